//! Submits, watches and cancels jobs with the clients of SLURM: sbatch, scontrol, squeue, scancel, and sacct if there is accounting.
//!
//! The state of a job comes from `scontrol show job`, and from `sacct` when the controller has forgotten the job. `squeue` only
//! finds a job by its name. Must not depend on gates.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::process::Command;
use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, context};

use crate::domain::executor::SlurmOptions;
use crate::domain::next_step::shell_line;
use crate::executor::scheduler::{End, Job, Queue, Scheduler, SchedulerError, State};
use crate::system::call::{Answer, call};
use crate::system::files;

/// The script of a job, if the executor names no other.
const TEMPLATE: &str = include_str!("../../templates/slurm.sh");
/// The longest call of a client. The clients themselves try for about a minute to reach a controller that restarts.
const LIMIT: Duration = Duration::from_secs(90);
/// The clients that must be installed.
pub const CLIENTS: [&str; 4] = ["sbatch", "scontrol", "squeue", "scancel"];

/// The clients of SLURM, with the options of the site.
#[derive(Clone, Debug)]
pub struct Slurm {
    pub options: SlurmOptions,
    /// The text of the template; `None` means the template of nmoe-gates.
    pub template: Option<String>,
    /// The environment of the clients, which is also that of the job.
    pub environment: BTreeMap<OsString, OsString>,
}

impl Slurm {
    fn call<S: AsRef<OsStr>>(
        &self,
        client: &'static str,
        arguments: impl IntoIterator<Item = S>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Answer, SchedulerError> {
        let mut command = Command::new(client);
        command.env_clear().envs(&self.environment).args(arguments);
        call(&mut command, LIMIT, stop).map_err(|cause| SchedulerError::Call { client, cause })
    }

    fn ask<S: AsRef<OsStr>>(
        &self,
        client: &'static str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Answer, SchedulerError> {
        self.call(client, arguments, &mut || false)
    }

    /// Renders the script of a job.
    fn script(&self, job: &Job<'_>) -> Result<String, SchedulerError> {
        let failed = |error: String| SchedulerError::Template(error);
        let source = self.template.as_deref().unwrap_or(TEMPLATE);
        let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let command = shell_line(&[text(job.program), "run-rank".to_owned(), text(job.folder.path())]);
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|error| failed(error.to_string()))?);
        environment
            .render_str(
                source,
                context! { nodes => job.nodes, gpus => job.gpus, command => command },
            )
            .map_err(|error| failed(error.to_string()))
    }

    /// Returns the options of a job. Options on the command line override those of a script.
    fn arguments(&self, job: &Job<'_>) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = [
            "--parsable",
            "--no-requeue",
            "--export=ALL",
            "--ntasks-per-node=1",
            "--open-mode=append",
            // The path of the folder could contain a pattern of SLURM, so it is not part of this name.
            "--output=job.log",
        ]
        .map(OsString::from)
        .into();
        let mut option = |name: &str, value: &dyn std::fmt::Display| {
            arguments.push(format!("--{name}={value}").into());
        };
        option("job-name", &job.name);
        option("nodes", &job.nodes);
        option("ntasks", &job.nodes);
        if let Some(limit) = job.limit {
            option("time", &limit.as_secs().div_ceil(60).max(1));
        }
        if job.gpus > 0 {
            let gres = self.options.gres.as_ref().map_or("gpu", |gres| gres.as_str());
            option("gres", &format_args!("{gres}:{}", job.gpus));
        }
        let site = &self.options;
        for (name, value) in [
            ("account", &site.account),
            ("partition", &site.partition),
            ("qos", &site.qos),
            ("constraint", &site.constraint),
            ("reservation", &site.reservation),
            ("mem", &site.mem),
        ] {
            if let Some(value) = value {
                option(name, value);
            }
        }
        if let Some(cores) = site.cpus_per_task {
            option("cpus-per-task", &cores);
        }
        if site.exclusive {
            arguments.push("--exclusive".into());
        }
        let mut folder = OsString::from("--chdir=");
        folder.push(job.folder.path());
        arguments.push(folder);
        arguments.push(job.folder.file("job.sh").into());
        arguments
    }

    /// Asks the accounting about a job that the controller has forgotten. A site may have no accounting.
    fn recorded(&self, id: &str) -> State {
        let arguments = [
            "--allocations",
            "--noheader",
            "--parsable2",
            "--format=State",
            "--jobs",
            id,
        ];
        let Ok(answer) = self.ask("sacct", arguments) else {
            return State::Unknown;
        };
        let last = answer.stdout.lines().rfind(|line| !line.trim().is_empty());
        match last.filter(|_| answer.status.success()) {
            Some(state) => state_of(state),
            None => State::Unknown,
        }
    }
}

impl Scheduler for Slurm {
    fn submit(&self, job: &Job<'_>, stop: &mut dyn FnMut() -> bool) -> Result<String, SchedulerError> {
        let script = self.script(job)?;
        files::replace(&job.folder.file("job.sh"), script.as_bytes(), false)
            .map_err(|error| SchedulerError::Template(error.to_string()))?;
        let answer = self.call("sbatch", self.arguments(job), stop)?;
        // In a federation the name of the cluster follows.
        let id = answer.stdout.trim().split(';').next().unwrap_or_default();
        let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        if !answer.status.success() || !is_id {
            return Err(failed("sbatch", &answer));
        }
        Ok(id.to_owned())
    }

    fn watch(&self, _: &Job<'_>, id: &str) -> Result<State, SchedulerError> {
        let answer = self.ask("scontrol", ["--oneliner", "show", "job", id])?;
        if answer.status.success() {
            return Ok(shown(&answer.stdout));
        }
        if answer.stderr.contains("Invalid job id") {
            return Ok(self.recorded(id));
        }
        Err(failed("scontrol", &answer))
    }
}

impl Queue for Slurm {
    fn cancel(&self, name: &str) -> Result<(), SchedulerError> {
        let answer = self.ask("scancel", [format!("--name={name}")])?;
        match answer.status.success() {
            true => Ok(()),
            false => Err(failed("scancel", &answer)),
        }
    }

    fn find(&self, name: &str) -> Result<Option<String>, SchedulerError> {
        let name = format!("--name={name}");
        let answer = self.ask("squeue", ["--noheader", "--format=%A", name.as_str()])?;
        if !answer.status.success() {
            return Err(failed("squeue", &answer));
        }
        Ok(answer.stdout.lines().next().map(|line| line.trim().to_owned()))
    }
}

fn failed(client: &'static str, answer: &Answer) -> SchedulerError {
    let said = answer.stderr.trim().lines().next_back().unwrap_or_default();
    SchedulerError::Failed {
        client,
        said: said.chars().take(200).collect(),
    }
}

/// Reads the state in a line of `scontrol show job`.
fn shown(line: &str) -> State {
    let value = |key: &str| {
        let mut words = line.split_ascii_whitespace();
        words.find_map(|word| word.strip_prefix(key))
    };
    if value("Restarts=").is_some_and(|count| count != "0") {
        return State::Restarted;
    }
    value("JobState=").map_or(State::Unknown, state_of)
}

/// Reads the word of a state, as scontrol and sacct print it: `CANCELLED by 0`, `NODE_FAIL`.
fn state_of(text: &str) -> State {
    let word = text.trim().split([' ', '+']).next().unwrap_or_default();
    match word.to_ascii_lowercase().as_str() {
        "completed" => State::Ended(End::Completed),
        "failed" => State::Ended(End::Failed),
        "timeout" | "deadline" => State::Ended(End::TimedOut),
        "cancelled" | "revoked" => State::Ended(End::Cancelled),
        "node_fail" | "preempted" | "boot_fail" | "out_of_memory" | "launch_failed" => {
            State::Ended(End::Lost)
        }
        "requeued" | "requeue_hold" | "requeue_fed" | "special_exit" => State::Restarted,
        // Running, completing, suspended and others: the deadlines of this program still apply.
        _ => State::Active,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_slurm_are_read() {
        let line = |state: &str, restarts: u32| {
            format!(
                "JobId=7 JobName=nmoe-1 JobState={state} Reason=None Requeue=0 Restarts={restarts} ExitCode=0:0"
            )
        };
        assert_eq!(shown(&line("COMPLETED", 0)), State::Ended(End::Completed));
        assert_eq!(shown(&line("RUNNING", 1)), State::Restarted);
        assert_eq!(shown(&line("COMPLETING", 0)), State::Active);
        assert_eq!(shown(&line("PENDING", 0)), State::Active);
        assert_eq!(shown(""), State::Unknown);
        assert_eq!(state_of("CANCELLED by 0"), State::Ended(End::Cancelled));
        assert_eq!(state_of("CANCELLED+"), State::Ended(End::Cancelled));
        assert_eq!(state_of("NODE_FAIL"), State::Ended(End::Lost));
    }
}
