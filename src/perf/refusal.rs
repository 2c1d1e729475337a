//! Defines why a comparison ends without a measured verdict. Knows neither commands nor statistics.

use crate::domain::verdict::{Reason, Verdict};
use crate::perf::arms::ArmError;

/// Why a comparison has no measured verdict.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// The verdict of the comparison.
    pub verdict: Verdict,
    /// Its reason.
    pub reason: Reason,
    /// The explanation, for the log only: it can contain messages of git or of the operating system.
    pub why: String,
}

impl Refusal {
    /// Creates a refusal.
    pub fn new(verdict: Verdict, reason: Reason, why: impl Into<String>) -> Self {
        Refusal {
            verdict,
            reason,
            why: why.into(),
        }
    }

    /// Creates a refusal for a problem of the measurement, not of the baseline or the change.
    pub fn invalid(reason: Reason, why: impl Into<String>) -> Self {
        Refusal::new(Verdict::Invalid, reason, why)
    }
}

impl From<ArmError> for Refusal {
    fn from(error: ArmError) -> Self {
        let reason = match &error {
            ArmError::Bad(_) => Reason::BadBaseline,
            ArmError::Io(e) if crate::system::files::is_full(e) => Reason::DiskFull,
            ArmError::Git(_) | ArmError::Io(_) => Reason::BaselineFailed,
        };
        Refusal::new(Verdict::Invalid, reason, error.to_string())
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        ArmError::Io(error).into()
    }
}
