//! Results of gates that were run elsewhere: read as untrusted data, and used only where they are about the same code.

use std::path::Path;

use crate::model::evidence::Evidence;
use crate::model::results::{GateResult, Results, SCHEMA};
use crate::model::verdict::{Reason, Verdict};
use crate::sys::files;

/// Largest results file that is read.
const CAP: u64 = 256 << 10;

/// Why recorded results cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] files::FileError),
    /// It is not what this tool writes.
    #[error("{0} holds no results of this tool: {1}")]
    NotResults(String, serde_json::Error),
    /// It is of another version.
    #[error("{0} has schema {1}, this tool reads {SCHEMA}")]
    Schema(String, u32),
    /// It says nothing of the gate.
    #[error("{0} has no result of gate `{1}`")]
    NoGate(String, String),
}

/// What a results file says of one gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The gate's result there.
    pub result: GateResult,
    /// What that was about.
    pub evidence: Evidence,
}

/// Reads what a results file says of one gate.
///
/// # Errors
/// The file cannot be used, or says nothing of the gate.
pub fn read(path: &Path, gate: &str) -> Result<Recorded, ExternalError> {
    let name = || path.display().to_string();
    let bytes = files::read_regular(path, CAP)?;
    let mut results: Results =
        serde_json::from_slice(&bytes).map_err(|e| ExternalError::NotResults(name(), e))?;
    if results.schema != SCHEMA {
        return Err(ExternalError::Schema(name(), results.schema));
    }
    let result = results
        .results
        .swap_remove(gate)
        .ok_or_else(|| ExternalError::NoGate(name(), gate.to_owned()))?;
    Ok(Recorded {
        result,
        evidence: results.evidence,
    })
}

impl Recorded {
    /// The verdict for a run about `evidence`: what was recorded, if it is about the same code under the same registry.
    pub fn judge(&self, evidence: &Evidence, supplied_by: Option<&str>) -> GateResult {
        let same = self.evidence.same_code(evidence) && self.evidence.registry == evidence.registry;
        let mut result = if !same {
            GateResult::new(Verdict::Invalid, Some(Reason::StaleEvidence))
        } else {
            let reason = match self.result.status {
                Verdict::Pass => Some(Reason::External),
                _ => self.result.reason.or(Some(Reason::External)),
            };
            GateResult {
                reason,
                ..self.result.clone()
            }
        };
        result.supplied_by = supplied_by.map(str::to_owned);
        result
    }
}
