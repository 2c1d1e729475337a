//! Prepares the job of a gate, and ends the jobs of a run that was killed.
//!
//! Submitting and waiting are in [`crate::executor::wait`]; what the reports mean is decided in [`crate::executor::join`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;

use crate::domain::event::Event;
use crate::domain::executor::{ExecutorKind, SlurmOptions};
use crate::domain::gate_environment::OF_JOB;
use crate::domain::ids::GateId;
use crate::domain::registry::{Gate, Registry};
use crate::domain::results::GateResult;
use crate::domain::verdict::{Reason, Verdict};
use crate::executor::folder::{JobFolder, JobSpec};
use crate::executor::join::{Ending, join, proven};
use crate::executor::kubernetes::config::{Config, ConfigError};
use crate::executor::kubernetes::{Cluster, Kubernetes, Submission};
use crate::executor::scheduler::{End, Job, Queue, Scheduler, SchedulerError};
use crate::executor::slurm::Slurm;
use crate::executor::wait::{Waiting, cancel};
use crate::gate::engine::{JobCase, JobOutcome, JobRunner};
use crate::gate::filter::Learning;
use crate::gate::kernel_build::BUILD_TIMEOUT;
use crate::gate::process::Supervisor;
use crate::gate::recorder::Recorder;
use crate::system::digest::is_hex;
use crate::system::files;
use crate::system::random;

/// The variable that the clients of SLURM get, in addition to those of the gate.
const OF_CLIENTS: &str = "SLURM_CONF";
/// How much longer a job may take than its gate: preflight, barrier and report.
const MARGIN: Duration = Duration::from_secs(180);
/// The largest template, in bytes.
const LARGEST_TEMPLATE: u64 = 1 << 20;

/// Submits gates.
pub struct Jobs<'a> {
    /// The results of the run. The folders of the jobs are next to them.
    pub results: &'a Path,
    /// The policy checkout.
    pub policy: &'a Path,
    /// The templates of the executors.
    pub templates: Templates,
    /// The redactor of the output, which learns the names of the nodes.
    pub redactor: Learning,
    /// How to reach the cluster of the gates.
    pub cluster: Option<Result<Config, ConfigError>>,
    /// The nonce of kernel builds for a run without one, so that all its jobs build the same.
    pub nonce: Option<String>,
}

/// The texts of templates by their paths in the registry, or why a text cannot be read.
pub type Templates = BTreeMap<String, Result<String, String>>;

/// Reads the templates of all executors. A gate can change the files, so this comes before the first gate.
pub fn templates(registry: &Registry, policy: &Path) -> Templates {
    let named = registry
        .executor
        .values()
        .filter_map(|executor| executor.template.as_ref());
    named
        .map(|path| (path.clone(), template(&policy.join(path))))
        .collect()
}

fn template(path: &Path) -> Result<String, String> {
    let bytes = files::read_regular(path, LARGEST_TEMPLATE).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

impl JobRunner for Jobs<'_> {
    fn run(
        &mut self,
        case: &JobCase<'_>,
        supervisor: &mut Supervisor,
        recorder: &mut Recorder,
    ) -> JobOutcome {
        let refused = |reason| JobOutcome {
            result: GateResult::new(Verdict::Invalid, Some(reason)),
            evidence: None,
        };
        let template = case.executor.template.as_ref();
        let template = match template
            .and_then(|path| self.templates.get(path))
            .cloned()
            .transpose()
        {
            Ok(template) => template,
            Err(cause) => {
                let line = format_args!("job: cannot read the template of the job: {cause}");
                supervisor.output.line(line);
                return refused(Reason::JobRefused);
            }
        };
        let scheduler = match self.scheduler(case, template) {
            Ok(Some(scheduler)) => scheduler,
            Ok(None) => return refused(Reason::NoExecutor),
            Err(error) => {
                supervisor.output.push(format!("job: {error}\n").as_bytes());
                return refused(Reason::JobRefused);
            }
        };
        let Ok(token) = random::token() else {
            return refused(Reason::Prerequisite);
        };
        let name = format!("nmoe-{}", &token[..16]);
        let spec = JobSpec {
            gate: case.id.clone(),
            nodes: case.gate.nodes,
            registry: alone(case),
            evidence: case.evidence.clone(),
            // The ranks start in another folder.
            policy: files::absolute(self.policy),
            subject: files::absolute(case.subject),
        };
        let path = files::absolute(&JobFolder::of_results(self.results)).join(&name);
        let created = JobFolder::create(&path, &spec)
            .and_then(|(folder, key)| Ok((folder.copy_program()?, folder, key)));
        let (program, folder, key) = match created {
            Ok(created) => created,
            Err(error) => {
                supervisor.output.line(format_args!("job: {error}"));
                return refused(Reason::Prerequisite);
            }
        };
        let job = Job {
            name: &name,
            folder: &folder,
            program: &program,
            nodes: spec.nodes,
            gpus: case.gate.gpus,
            limit: limit(case.gate),
        };
        // Record the name first: a job whose submitter dies is found by its name.
        recorder.push(&Event::JobStarted {
            gate: case.id.clone(),
            executor: case.executor.kind,
            name: name.clone(),
        });
        if let Some(fault) = recorder.fault() {
            // A job whose start cannot be recorded must not run.
            return refused(fault);
        }
        let nonce = case.evidence.run.as_deref().or(self.nonce.as_deref());
        let waiting = Waiting::new(
            scheduler.as_ref(),
            case.executor,
            &spec,
            job,
            &key,
            &self.redactor,
            nonce,
        );
        supervisor.watch.begin(case.id, job.limit);
        let (ranks, ending) = waiting.run(supervisor, recorder);
        supervisor.output.end_of_gate();
        // The job has ended, so an error does not matter.
        let _ = folder.remove_key();
        let _ = files::remove(&program);
        let log = folder.file("job.log");
        if log.exists() && !matches!(ending, Ending::Stopped | Ending::Ended(Some(End::Completed))) {
            let line = format_args!("job: the log of the scheduler is {}", log.display());
            supervisor.output.line(line);
        }
        JobOutcome {
            result: join(&spec, case.gate, &key, &ranks, ending),
            evidence: proven(&spec, &ranks),
        }
    }
}

impl Jobs<'_> {
    /// Returns the scheduler of an executor; `None` if this program cannot submit to it.
    fn scheduler(
        &self,
        case: &JobCase<'_>,
        template: Option<String>,
    ) -> Result<Option<Box<dyn Scheduler>>, SchedulerError> {
        let executor = case.executor;
        match (executor.kind, &executor.kubernetes) {
            (ExecutorKind::Slurm, _) => {
                let mut environment = case.environment.clone();
                environment.extend(of_clients(case.ours));
                Ok(Some(Box::new(Slurm {
                    options: executor.slurm.clone(),
                    template,
                    environment,
                })))
            }
            (ExecutorKind::Kubernetes, Some(options)) => {
                let unsuitable = |why: &str| SchedulerError::Unsuitable(why.to_owned());
                let config = match &self.cluster {
                    Some(Ok(config)) => config.clone(),
                    Some(Err(error)) => return Err(SchedulerError::Unsuitable(error.to_string())),
                    None => return Err(unsuitable("no cluster is configured")),
                };
                for path in [self.policy, case.subject] {
                    if !files::absolute(path).starts_with(&*options.mount) {
                        return Err(SchedulerError::Unsuitable(format!(
                            "a checkout is not below {}",
                            options.mount
                        )));
                    }
                }
                let submission = Submission {
                    options: options.clone(),
                    template,
                    variables: variables(case),
                    queue_s: executor.queue_s,
                };
                Ok(Some(Box::new(Kubernetes::new(config, submission)?)))
            }
            (ExecutorKind::Local | ExecutorKind::Kubernetes, _) => Ok(None),
        }
    }
}

/// Reads how to reach the cluster of these gates; `None` if no gate needs one. A gate can change the file, so this comes before the
/// first gate.
pub fn cluster(
    registry: &Registry,
    gate_ids: &[GateId],
    environment: &[(OsString, OsString)],
) -> Option<Result<Config, ConfigError>> {
    let mut gates = gate_ids.iter().filter_map(|id| registry.gates.get(id));
    let needs_one = |gate: &Gate| {
        let executor = registry.submits(gate).ok().flatten();
        executor.is_some_and(|executor| executor.kind == ExecutorKind::Kubernetes)
    };
    gates.any(needs_one).then(|| Config::of_environment(environment))
}

/// Returns the variables that the registry names for a gate. The rest of the environment is that of the image.
fn variables(case: &JobCase<'_>) -> Vec<(String, String)> {
    let names = case.gate.env.iter().chain(&case.gate.requires);
    let value = |name: &str| case.environment.get(OsStr::new(name))?.to_str();
    let pairs = names.filter_map(|name| Some((name.to_string(), value(name)?.to_owned())));
    // A gate can name a variable twice.
    pairs.collect::<BTreeMap<_, _>>().into_iter().collect()
}

/// Returns the variables of an environment that the clients of a scheduler get.
fn of_clients(environment: &[(OsString, OsString)]) -> impl Iterator<Item = (OsString, OsString)> {
    environment.iter().filter(|(name, _)| name == OF_CLIENTS).cloned()
}

/// Returns a registry with the gate of a job only, as a rank runs it.
fn alone(case: &JobCase<'_>) -> Registry {
    let gate = Gate {
        nodes: 1,
        executor: None,
        env: case
            .gate
            .env
            .iter()
            .cloned()
            .chain(OF_JOB.map(str::to_owned))
            .collect(),
        ..case.gate.clone()
    };
    Registry {
        meta: case.registry.meta.clone(),
        target: case.registry.target.clone(),
        gates: IndexMap::from([(case.id.clone(), gate)]),
        ..Registry::default()
    }
}

/// Returns the longest time of the job of a gate; `None` for a gate without a limit.
fn limit(gate: &Gate) -> Option<Duration> {
    let build = match gate.needs_kernels() {
        true => BUILD_TIMEOUT,
        false => Duration::ZERO,
    };
    (gate.timeout_s > 0).then(|| Duration::from_secs(gate.timeout_s) + build + MARGIN)
}

/// Whether a text is the name of a job of this program. A journal is only a file.
fn is_name(text: &str) -> bool {
    text.strip_prefix("nmoe-")
        .is_some_and(|token| is_hex(token.as_bytes(), &[16]))
}

/// Removes the folders of the jobs of an earlier run.
pub fn remove_folders(results: &Path) {
    let folder = JobFolder::of_results(results);
    // Without the folder there was no job. A folder that stays is never read again.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_name) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A job that may still run.
pub struct Left {
    pub name: String,
    /// The command that ends it.
    pub command: String,
}

/// Cancels the jobs of a run that did not end, from the events of its journal. Returns those that may still run.
pub fn cancel_unfinished(events: &[Event], environment: &[(OsString, OsString)]) -> Vec<Left> {
    let mut open: IndexMap<&str, (ExecutorKind, &String)> = IndexMap::new();
    for event in events {
        match event {
            Event::JobStarted { gate, executor, name } if is_name(name) => {
                open.insert(gate.as_str(), (*executor, name));
            }
            Event::GateEnded { gate, .. } => {
                open.swap_remove(gate.as_str());
            }
            _ => {}
        }
    }
    let mut left = Vec::new();
    for (kind, name) in open.into_values() {
        let (queue, command): (Option<Box<dyn Queue>>, _) = match kind {
            ExecutorKind::Slurm => (
                Some(Box::new(clients(environment))),
                format!("scancel --name={name}"),
            ),
            ExecutorKind::Kubernetes => {
                let config = Config::of_environment(environment).ok();
                let cluster = config.and_then(|config| Cluster::new(config).ok());
                let queue = cluster.map(|cluster| Box::new(cluster) as Box<dyn Queue>);
                (queue, format!("kubectl delete job {name}"))
            }
            ExecutorKind::Local => continue,
        };
        if !queue.is_some_and(|queue| cancel(queue.as_ref(), name, Duration::from_secs(1))) {
            left.push(Left {
                name: name.clone(),
                command,
            });
        }
    }
    left
}

/// Returns the clients of SLURM, to end jobs.
fn clients(environment: &[(OsString, OsString)]) -> Slurm {
    let named = environment.iter().filter(|(name, _)| name == "PATH").cloned();
    Slurm {
        options: SlurmOptions::default(),
        template: None,
        environment: named.chain(of_clients(environment)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_jobs_are_not_cancelled() {
        assert!(is_name("nmoe-0123456789abcdef"));
        for name in ["nmoe-", "training", "nmoe-0123456789abcde ", "--user=root"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
