//! Reuses results of gates that ran elsewhere, if they are about the same code.

use crate::domain::evidence::Evidence;
use crate::domain::results::{GateResult, Results};
use crate::domain::verdict::{Reason, Verdict};

/// The result of one gate in a results file.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub result: GateResult,
    /// The evidence that the result is bound to.
    pub evidence: Evidence,
}

/// Takes the result of one gate from recorded results; `None` if they do not have it.
pub fn of_gate(mut results: Results, gate: &str) -> Option<Recorded> {
    Some(Recorded {
        result: results.results.swap_remove(gate)?,
        evidence: results.evidence,
    })
}

impl Recorded {
    /// Returns the recorded verdict if code and registry are the same as in `evidence`, otherwise `invalid`.
    pub fn evaluate(&self, evidence: &Evidence, supplied_by: Option<&str>) -> GateResult {
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
