//! Runs a gate as a job: submits it, opens the barrier when every rank is ready, waits for the reports, and cancels what is left.
//!
//! What the reports mean is decided in [`crate::executor::join`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indexmap::IndexMap;

use crate::domain::event::Event;
use crate::domain::executor::{Executor, ExecutorKind, SlurmOptions};
use crate::domain::gate_environment::OF_JOB;
use crate::domain::registry::{Gate, Registry};
use crate::domain::results::GateResult;
use crate::domain::verdict::{Reason, Verdict};
use crate::executor::folder::{BARRIER, FolderError, JobFolder, JobSpec, Key, Start};
use crate::executor::join::{Ending, Rank, contradict, join, proven};
use crate::executor::log::JobLog;
use crate::executor::scheduler::{End, Job, Scheduler, SchedulerError, State};
use crate::executor::slurm::Slurm;
use crate::gate::engine::{JobCase, JobOutcome, JobRunner};
use crate::gate::filter::Learning;
use crate::gate::kernel_build::BUILD_TIMEOUT;
use crate::gate::process::Supervisor;
use crate::gate::recorder::Recorder;
use crate::system::files;
use crate::system::random;

/// The variable that the clients of SLURM get, in addition to those of the gate.
const OF_CLIENTS: &str = "SLURM_CONF";
/// How much longer a job may take than its gate: preflight, barrier and report.
const MARGIN: Duration = Duration::from_secs(180);
/// How long files may take to appear on a shared file system after the job ended.
const LATE: Duration = Duration::from_secs(20);
/// How long a job may take to end after its ranks, or after it was cancelled.
const GONE: Duration = Duration::from_secs(120);
/// How long the output that is left may take after the job ended.
const DRAIN: Duration = Duration::from_secs(10);
/// The largest template, in bytes.
const LARGEST_TEMPLATE: u64 = 1 << 20;
/// The time between two looks into the folder.
const LOOK: Duration = Duration::from_millis(100);
/// The first question about the end of a job is asked this long after the last report.
const SETTLE: Duration = Duration::from_millis(250);

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
        let Some(scheduler) = scheduler(case, template) else {
            return refused(Reason::NoExecutor);
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
            policy: absolute(self.policy),
            subject: absolute(case.subject),
        };
        let path = absolute(&JobFolder::of_results(self.results)).join(&name);
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
        let mut waiting = Waiting {
            scheduler: scheduler.as_ref(),
            executor: case.executor,
            spec: &spec,
            job,
            key: &key,
            log: JobLog::new(folder.file("job.log")),
            redactor: &self.redactor,
            names: BTreeSet::new(),
            said: false,
            nonce: case.evidence.run.as_deref().or(self.nonce.as_deref()),
        };
        supervisor.watch.begin(case.id, job.limit);
        let ending = waiting.run(supervisor, recorder);
        supervisor.watch.end();
        waiting.show_rest(supervisor);
        supervisor.output.end_of_gate();
        // The job has ended, so an error does not matter.
        let _ = folder.remove_key();
        let _ = files::remove(&program);
        if !matches!(ending, Ending::Stopped | Ending::Ended(Some(End::Completed))) {
            let log = folder.file("job.log");
            let line = format_args!("job: the log of the scheduler is {}", log.display());
            supervisor.output.line(line);
        }
        let ranks = waiting.ranks();
        JobOutcome {
            result: join(&spec, case.gate, &key, &ranks, ending),
            evidence: proven(&spec, &ranks),
        }
    }
}

/// Returns the absolute path of a file, which need not exist.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Returns the scheduler of an executor; `None` if this program cannot submit to it.
fn scheduler(case: &JobCase<'_>, template: Option<String>) -> Option<Box<dyn Scheduler>> {
    let executor = case.executor;
    let mut environment = case.environment.clone();
    environment.extend(of_clients(case.ours));
    match executor.kind {
        ExecutorKind::Slurm => Some(Box::new(Slurm {
            options: executor.slurm.clone(),
            template,
            environment,
        })),
        ExecutorKind::Local | ExecutorKind::Kubernetes => None,
    }
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

/// Ends the jobs with this name, and waits until the scheduler has none. Returns whether that is so.
fn cancel(scheduler: &dyn Scheduler, name: &str, poll: Duration) -> bool {
    let until = Instant::now() + GONE;
    let mut pause = SETTLE;
    loop {
        // Ask again: a controller that restarts may have lost the request.
        let asked = scheduler.cancel(name);
        std::thread::sleep(pause);
        if let (Ok(()), Ok(None)) = (asked, scheduler.find(name)) {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        pause = poll.max(Duration::from_secs(1));
    }
}

/// Whether a text is the name of a job of this program. A journal is only a file.
fn is_name(text: &str) -> bool {
    text.strip_prefix("nmoe-")
        .is_some_and(|token| token.len() == 16 && token.bytes().all(|b| b.is_ascii_hexdigit()))
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

/// Cancels the jobs of a run that did not end, from the events of its journal. Returns the names of those that may still run.
pub fn cancel_unfinished(events: &[Event], environment: &[(OsString, OsString)]) -> Vec<String> {
    let mut open: IndexMap<&str, &String> = IndexMap::new();
    for event in events {
        match event {
            Event::JobStarted {
                gate,
                executor: ExecutorKind::Slurm,
                name,
            } if is_name(name) => {
                open.insert(gate.as_str(), name);
            }
            Event::GateEnded { gate, .. } => {
                open.swap_remove(gate.as_str());
            }
            _ => {}
        }
    }
    if open.is_empty() {
        return Vec::new();
    }
    let named = environment.iter().filter(|(name, _)| name == "PATH").cloned();
    let slurm = Slurm {
        options: SlurmOptions::default(),
        template: None,
        environment: named.chain(of_clients(environment)).collect(),
    };
    let still = |name: &&&String| !cancel(&slurm, name, Duration::from_secs(1));
    open.values().filter(still).map(|name| (*name).clone()).collect()
}

/// A job that was submitted or is about to be.
struct Waiting<'a> {
    scheduler: &'a dyn Scheduler,
    executor: &'a Executor,
    spec: &'a JobSpec,
    job: Job<'a>,
    key: &'a Key,
    log: JobLog,
    redactor: &'a Learning,
    /// The names of the nodes.
    names: BTreeSet<String>,
    /// Whether an error of the scheduler was printed.
    said: bool,
    /// The nonce of kernel builds.
    nonce: Option<&'a str>,
}

impl Waiting<'_> {
    fn run(&mut self, supervisor: &mut Supervisor, recorder: &mut Recorder) -> Ending {
        let submitted = {
            let signals = &mut supervisor.signals;
            self.scheduler.submit(&self.job, &mut || signals.stop().is_some())
        };
        let id = match submitted {
            Ok(id) => id,
            Err(error) => {
                self.say(supervisor, &error);
                // The answer may be lost, and the job in the queue.
                self.cancel(supervisor);
                return match supervisor.stop() {
                    Some(_) => Ending::Stopped,
                    None => Ending::NotSubmitted,
                };
            }
        };
        recorder.push(&Event::JobSubmitted {
            gate: self.spec.gate.clone(),
            job: id.clone(),
        });
        supervisor
            .output
            .line(format_args!("job: {id} on {} nodes", self.spec.nodes));
        let ending = match self.until_reported(&id, supervisor) {
            None => self.until_ended(&id, supervisor),
            Some(ending) => ending,
        };
        if !matches!(ending, Ending::Ended(Some(_))) {
            self.cancel(supervisor);
        }
        ending
    }

    /// Waits until every rank has reported. Returns the ending of the job if that does not happen.
    fn until_reported(&mut self, id: &str, supervisor: &mut Supervisor) -> Option<Ending> {
        let submitted = Instant::now();
        let poll = Duration::from_secs(self.executor.poll_s.max(1));
        let (mut asked, mut ticked) = (submitted, submitted);
        let (mut first_ready, mut opened): (Option<Instant>, Option<Instant>) = (None, None);
        loop {
            if opened.is_none() {
                self.learn();
            }
            self.show(supervisor);
            if supervisor.stop().is_some() {
                return Some(Ending::Stopped);
            }
            let now = Instant::now();
            let ranks = self.ranks();
            let count = |has: fn(&Rank) -> bool| ranks.iter().filter(|rank| has(rank)).count();
            let reports = count(|rank| rank.report.is_some());
            if reports == ranks.len() {
                return None;
            }
            match opened {
                None => {
                    let ready = count(|rank| rank.ready.is_some());
                    if ready > 0 && first_ready.is_none() {
                        first_ready = Some(now);
                    }
                    if reports > 0 || contradict(self.spec, &ranks) {
                        return Some(Ending::Refused);
                    }
                    if ready == ranks.len() {
                        if let Err(error) = self.open() {
                            supervisor.output.line(format_args!("job: {error}"));
                            return Some(Ending::Incomplete);
                        }
                        opened = Some(now);
                    } else if first_ready.is_some_and(|first| now > first + BARRIER) {
                        return Some(Ending::Incomplete);
                    } else if ready == 0 && now > submitted + Duration::from_secs(self.executor.queue_s) {
                        return Some(Ending::Queued);
                    }
                }
                Some(opened) => {
                    if self.job.limit.is_some_and(|limit| now > opened + limit) {
                        return Some(Ending::TimedOut);
                    }
                }
            }
            if now >= asked + poll {
                asked = now;
                match self.ask(id, supervisor) {
                    Some(Ending::Restarted) => return Some(Ending::Restarted),
                    Some(ending) => return self.late(ending, supervisor),
                    None => {}
                }
            }
            if supervisor
                .watch
                .every()
                .is_some_and(|every| now >= ticked + every)
            {
                ticked = now;
                supervisor.watch.tick(now - submitted, Duration::ZERO);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits for reports that a slow file system shows late. Returns `None` if all are there.
    fn late(&mut self, ending: Ending, supervisor: &mut Supervisor) -> Option<Ending> {
        let until = Instant::now() + LATE;
        loop {
            if self.ranks().iter().all(|rank| rank.report.is_some()) {
                return None;
            }
            // A job without a rank at the barrier has nothing to report.
            let is_hopeless = self.job.folder.start(self.key).is_none();
            if is_hopeless || Instant::now() >= until || supervisor.stop().is_some() {
                return Some(ending);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until the job of ranks that all reported has ended.
    fn until_ended(&mut self, id: &str, supervisor: &mut Supervisor) -> Ending {
        let poll = Duration::from_secs(self.executor.poll_s.max(1));
        let until = Instant::now() + GONE.max(3 * poll);
        let mut pause = SETTLE;
        loop {
            std::thread::sleep(pause);
            if let Some(ending) = self.ask(id, supervisor) {
                return ending;
            }
            if supervisor.stop().is_some() {
                return Ending::Stopped;
            }
            if Instant::now() >= until {
                return Ending::Ended(None);
            }
            pause = poll;
        }
    }

    /// Asks whether and how the job ended. An error does not end the wait, because the controller may restart.
    fn ask(&mut self, id: &str, supervisor: &mut Supervisor) -> Option<Ending> {
        match self.scheduler.watch(id) {
            Ok(State::Restarted) => Some(Ending::Restarted),
            Ok(State::Ended(end)) => Some(Ending::Ended(Some(end))),
            Ok(State::Unknown) => Some(Ending::Ended(None)),
            Ok(State::Active) => None,
            Err(error) => {
                self.say(supervisor, &error);
                None
            }
        }
    }

    /// Prints the first error of the scheduler. What a client said can name the site, so it goes through the filter of the output.
    fn say(&mut self, supervisor: &mut Supervisor, error: &SchedulerError) {
        if !std::mem::replace(&mut self.said, true) {
            supervisor.output.push(format!("job: {error}\n").as_bytes());
        }
    }

    fn cancel(&self, supervisor: &mut Supervisor) {
        let poll = Duration::from_secs(self.executor.poll_s);
        if !cancel(self.scheduler, self.job.name, poll) {
            let line = format_args!(
                "job: {} may still be there: the scheduler did not confirm its end",
                self.job.name
            );
            supervisor.output.line(line);
        }
    }

    /// Opens the barrier with the address of rank 0.
    fn open(&mut self) -> Result<(), FolderError> {
        self.learn();
        let first = self.job.folder.ready(0);
        let start = Start {
            host: first.as_ref().map(|ready| ready.host.clone()).unwrap_or_default(),
            port: first.map(|ready| ready.port).unwrap_or_default(),
            nonce: self.nonce.map(str::to_owned),
            names: self.names.iter().cloned().collect(),
        };
        self.job.folder.open_barrier(&start, self.key)
    }

    /// Returns what is known about each rank.
    fn ranks(&self) -> Vec<Rank> {
        (0..self.spec.nodes)
            .map(|rank| {
                let ready = self.job.folder.ready(rank);
                let report = self.job.folder.report(rank, self.key);
                Rank {
                    node: report
                        .as_ref()
                        .map(|report| report.node.clone())
                        .or_else(|| ready.as_ref().map(|ready| ready.node.clone())),
                    ready: ready.map(|ready| ready.evidence),
                    report,
                }
            })
            .collect()
    }

    /// Redacts the names of all nodes that are known now.
    fn learn(&mut self) {
        let before = self.names.len();
        let ready = (0..self.spec.nodes).filter_map(|rank| self.job.folder.ready(rank));
        self.names.extend(ready.flat_map(|ready| ready.names));
        if self.names.len() > before {
            self.redactor.learn(self.names.iter().map(String::as_str));
        }
    }

    /// Prints new lines of the ranks. Returns whether there can be more.
    fn show(&mut self, supervisor: &mut Supervisor) -> bool {
        supervisor.output.collect();
        if !supervisor.output.ready() {
            // The reader of the output is slow. The lines stay in the file.
            return true;
        }
        let Some(lines) = self.log.read() else {
            return false;
        };
        if !lines.is_empty() {
            supervisor.output.push(&lines);
        }
        true
    }

    /// Prints what is left in the log of a job that has ended.
    fn show_rest(&mut self, supervisor: &mut Supervisor) {
        let until = Instant::now() + DRAIN;
        while self.show(supervisor) {
            if Instant::now() >= until {
                let line = "job: the rest of the output is only in the log of the scheduler";
                return supervisor.output.line(line);
            }
            if !supervisor.output.ready() {
                std::thread::sleep(LOOK);
            }
        }
        let rest = self.log.rest();
        if !rest.is_empty() {
            supervisor.output.push(&rest);
        }
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
