//! Why a comparison has no measured verdict. Knows neither arms' commands nor statistics.

use crate::domain::verdict::{Reason, Verdict};
use crate::perf::arms::ArmError;

/// Why a comparison has no measured verdict.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// The verdict that stands instead.
    pub verdict: Verdict,
    /// Its reason.
    pub reason: Reason,
    /// It in words, for the log alone: git or the system may have said a part of it.
    pub why: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(verdict: Verdict, reason: Reason, why: impl Into<String>) -> Self {
        Refusal {
            verdict,
            reason,
            why: why.into(),
        }
    }

    /// One that speaks against the measurement, not against either arm.
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
