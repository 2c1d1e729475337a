//! Defines the events of a run. The journal has one event per line, as JSON, and the results are computed from the events.

use serde::{Deserialize, Serialize};

use crate::domain::evidence::Evidence;
use crate::domain::executor::ExecutorKind;
use crate::domain::ids::GateId;
use crate::domain::results::GateResult;
use crate::domain::verdict::Reason;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run began with this selection.
    RunStarted {
        /// Format version; 1.
        schema: u32,
        /// RFC 3339, UTC.
        at: String,
        /// The requested bundle.
        bundle: Option<String>,
        /// The selected gates.
        gate_ids: Vec<GateId>,
        /// Gates of the contract that the selection does not cover.
        uncovered: Vec<GateId>,
        /// The commits and inputs of the run.
        evidence: Box<Evidence>,
    },
    /// The complete run was refused, because its inputs are not usable.
    RunRefused { reason: Reason },
    /// The evidence changed: kernels were built, or the target was found.
    EvidenceUpdated {
        /// The complete evidence.
        evidence: Box<Evidence>,
    },
    /// The command of a gate is about to start.
    GateStarted {
        gate: GateId,
        /// RFC 3339, UTC.
        at: String,
    },
    /// A job for a gate is about to be submitted.
    JobStarted {
        gate: GateId,
        /// The scheduler.
        executor: ExecutorKind,
        /// The name of the job, which no other job has.
        name: String,
    },
    /// The scheduler accepted the job.
    JobSubmitted {
        gate: GateId,
        /// The id of the scheduler.
        job: String,
    },
    /// A gate has a verdict. It may not have run.
    GateEnded {
        gate: GateId,
        /// The verdict and the measurements.
        result: Box<GateResult>,
    },
    /// The run ended. No event follows.
    RunEnded {
        /// RFC 3339, UTC.
        at: String,
        /// Wall time in seconds.
        duration_s: f64,
    },
}
