//! Defines what this program needs from a scheduler: submit, watch and cancel a job. Collecting reports is the same for all: the ranks
//! write into the folder of the job.
//!
//! Must not depend on one scheduler.

use std::path::Path;
use std::time::Duration;

use crate::executor::folder::JobFolder;

/// A job to submit.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// A name that no other job has, so that a job is found even if the answer to its submission was lost.
    pub name: &'a str,
    pub folder: &'a JobFolder,
    /// This program, at a path that is the same on every node.
    pub program: &'a Path,
    pub nodes: u32,
    /// GPUs of each node.
    pub gpus: u32,
    /// The longest time of the job itself; `None` leaves the limit to the site.
    pub limit: Option<Duration>,
}

/// What a scheduler says about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The job is in the queue, it runs, or the scheduler cleans up after it.
    Active,
    /// The job was started again.
    Restarted,
    /// The job ended.
    Ended(End),
    /// The scheduler does not know the job (any more).
    Unknown,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With exit code 0.
    Completed,
    /// With another exit code.
    Failed,
    /// At its time limit.
    TimedOut,
    /// The job was cancelled.
    Cancelled,
    /// A node failed, another job took the nodes, or the memory was used up.
    Lost,
}

/// Why a scheduler did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// The scheduler refused, or its client failed.
    #[error("`{client}` failed: {said}")]
    Failed {
        client: &'static str,
        /// The last line of the client. It can name nodes and users of the site.
        said: String,
    },
    /// The client gave no answer.
    #[error("cannot run `{client}`: {cause}")]
    Call {
        client: &'static str,
        cause: crate::system::call::CallError,
    },
    /// The template of the job cannot be rendered.
    #[error("cannot render the template of the job: {0}")]
    Template(String),
    /// The site, or the configuration of this machine, cannot run the job.
    #[error("cannot submit the job: {0}")]
    Unsuitable(String),
    /// The API server refused a request.
    #[error("cannot use the cluster: the API server answered {code} ({reason})")]
    Refused {
        code: u16,
        reason: String,
        /// What the server said. It can name the site, so it is not printed.
        message: String,
    },
    /// The API server gave no usable answer.
    #[error("cannot reach the API server: {0}")]
    Unreachable(&'static str),
}

impl SchedulerError {
    /// Whether the job may be in the queue although its submission failed.
    pub fn may_have_submitted(&self) -> bool {
        match self {
            SchedulerError::Failed { .. } | SchedulerError::Call { .. } | SchedulerError::Unreachable(_) => {
                true
            }
            SchedulerError::Refused { code, .. } => *code >= 500,
            SchedulerError::Template(_) | SchedulerError::Unsuitable(_) => false,
        }
    }
}

/// Ends jobs and finds what is left of them.
pub trait Queue {
    /// Asks to end every job with this name. A job that has ended is ignored.
    ///
    /// # Errors
    /// The scheduler gave no answer.
    fn cancel(&self, name: &str) -> Result<(), SchedulerError>;

    /// Returns the id of a job that is in the queue or runs, by its name.
    ///
    /// # Errors
    /// The scheduler gave no answer.
    fn find(&self, name: &str) -> Result<Option<String>, SchedulerError>;
}

/// A scheduler of a site.
pub trait Scheduler: Queue {
    /// Submits a job and returns its id. `stop` ends the call; the job may be submitted nevertheless.
    ///
    /// # Errors
    /// The scheduler refused the job, or gave no answer.
    fn submit(&self, job: &Job<'_>, stop: &mut dyn FnMut() -> bool) -> Result<String, SchedulerError>;

    /// Asks for the state of a job.
    ///
    /// # Errors
    /// The scheduler gave no answer.
    fn watch(&self, job: &Job<'_>, id: &str) -> Result<State, SchedulerError>;

    /// Returns new lines of the ranks, if the scheduler does not write them to a file of the folder.
    fn collect(&self, _: &Job<'_>) -> Vec<u8> {
        Vec::new()
    }

    /// Whether a job that has ended stays until it is cancelled.
    fn keeps(&self) -> bool {
        false
    }
}
