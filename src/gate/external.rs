//! Results of gates that were run elsewhere: used only where they are about the same code.

use crate::domain::evidence::Evidence;
use crate::domain::results::{GateResult, Results};
use crate::domain::verdict::{Reason, Verdict};

/// What a results file says of one gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The gate's result there.
    pub result: GateResult,
    /// What that was about.
    pub evidence: Evidence,
}

/// What recorded results say of one gate; none where they say nothing.
pub fn of_gate(mut results: Results, gate: &str) -> Option<Recorded> {
    Some(Recorded {
        result: results.results.swap_remove(gate)?,
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
