//! What happens in a run, as it happens. The journal is these, one JSON object a line; the results are a fold over them.

use serde::{Deserialize, Serialize};

use crate::domain::evidence::Evidence;
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
        /// Bundle that was asked for.
        bundle: Option<String>,
        /// The selection.
        gate_ids: Vec<String>,
        /// Gates of the contract that it does not cover.
        uncovered: Vec<String>,
        /// What it is about.
        evidence: Box<Evidence>,
    },
    /// The run as a whole was refused: what was asked for could not be used.
    RunRefused {
        /// Why.
        reason: Reason,
    },
    /// The evidence grew: kernels were built, the target was found.
    EvidenceUpdated {
        /// The whole, as it is now.
        evidence: Box<Evidence>,
    },
    /// A gate's command is about to start.
    GateStarted {
        /// Which.
        gate: String,
        /// RFC 3339, UTC.
        at: String,
    },
    /// A gate has its verdict, whether it ran or not.
    GateEnded {
        /// Which.
        gate: String,
        /// The verdict and all that was measured.
        result: Box<GateResult>,
    },
    /// The run is over; nothing follows.
    RunEnded {
        /// RFC 3339, UTC.
        at: String,
        /// Wall time in seconds.
        duration_s: f64,
    },
}
