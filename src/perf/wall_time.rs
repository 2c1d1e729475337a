//! Compares the throughput that both sides print with the wall time that the supervisor measured.
//!
//! Start-up is left out: the time between the first and the last output with a sample counts. Code of the change decides when it
//! prints, so this finds wrong numbers and cannot prove right ones. Must not read a clock.

use std::time::Duration;

use crate::domain::verdict::{Reason, Verdict};
use crate::gate::metrics::Measured;
use crate::gate::process::CommandOutcome;
use crate::perf::refusal::Refusal;
use crate::perf::stats;

/// A baseline that prints for less time than this is not compared: the start of a process would decide.
const SHORTEST: Duration = Duration::from_secs(2);

/// Disagreement of the logarithms that is always accepted.
const ACCEPTED: f64 = 0.05;

/// The same where a single pair shows no noise.
const ACCEPTED_OF_ONE: f64 = 0.15;

/// What one measurement did in which time.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Steps, or samples if the log has no steps, after the first output with a sample.
    work: f64,
    /// Steps or samples from the first to the last sample.
    claimed: f64,
    /// The time from the first to the last output with a sample.
    window: Duration,
    /// The time of the complete measurement.
    duration: Duration,
}

impl Pace {
    /// Returns the pace of a measurement; `None` if the metric is not a rate, or has too few samples.
    pub fn of(ended: &CommandOutcome, metric: &str) -> Option<Self> {
        let measured = ended.metrics.get(metric)?;
        let kept = measured.samples.values().len() as u64;
        if !is_rate(measured) || measured.told.restarts > 0 || kept != measured.samples.count() {
            return None;
        }
        let printing = ended.printing?;
        let steps = measured.samples.steps();
        let before = usize::try_from(printing.before.clamp(1, kept)).ok()?;
        let done = |index: usize| steps.get(index).copied().flatten();
        let since = |index: usize| match (done(index), done(steps.len().checked_sub(1)?)) {
            (Some(first), Some(last)) => last.checked_sub(first),
            _ => Some(kept.saturating_sub(index as u64 + 1)),
        };
        Some(Pace {
            work: since(before - 1)? as f64,
            claimed: since(0)? as f64,
            window: printing.last.saturating_sub(printing.first),
            duration: ended.duration,
        })
    }
}

fn is_rate(measured: &Measured) -> bool {
    measured
        .metric
        .unit
        .as_deref()
        .is_some_and(|unit| unit.ends_with("/s"))
}

/// The pairs of one comparison.
#[derive(Clone, Debug, Default)]
pub struct WallTimes {
    /// For each pair: how much faster the change is by what it prints than by its wall time, as a logarithm.
    excess: Vec<f64>,
    /// Whether a change claims work that takes longer than its measurement.
    is_impossible: bool,
}

impl WallTimes {
    /// Adds a pair. `log_ratio` is the logarithm of the change's printed throughput over that of the baseline.
    pub fn push(&mut self, base: Option<Pace>, change: Option<Pace>, log_ratio: f64) {
        let (Some(base), Some(change)) = (base, change) else {
            return;
        };
        if base.window < SHORTEST || base.work < 1.0 {
            return;
        }
        let seconds_per_step = base.window.as_secs_f64() / base.work;
        let claimed = change.claimed * seconds_per_step / log_ratio.exp();
        self.is_impossible |= claimed > change.duration.as_secs_f64() * 1.1;
        // A change that prints everything at once has no measurable window.
        let window = change.window.as_secs_f64().max(1e-3);
        let speedup = change.work.max(1.0) / window * seconds_per_step;
        self.excess.push(log_ratio - speedup.ln());
    }

    /// Checks that what was printed agrees with the wall times.
    ///
    /// # Errors
    /// Both disagree by more than their noise.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.is_impossible {
            let why = "the change claims steps that need more time than its measurement lasted";
            return Err(Refusal::new(Verdict::Fail, Reason::Tampered, why));
        }
        let Some(mean) = stats::mean(&self.excess) else {
            return Ok(());
        };
        let count = self.excess.len() as f64;
        let accepted = if self.excess.len() == 1 {
            ACCEPTED_OF_ONE
        } else {
            let variance = stats::squares(&self.excess) / (count - 1.0);
            ACCEPTED + 4.0 * (variance / count).sqrt()
        };
        if mean.abs() <= accepted {
            return Ok(());
        }
        let why = format!(
            "by its output the change is {:.0} % {} than by its wall time",
            (mean.abs().exp() - 1.0) * 100.0,
            if mean > 0.0 { "faster" } else { "slower" }
        );
        Err(Refusal::invalid(Reason::WallTime, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(work: f64, window: f64) -> Option<Pace> {
        Some(Pace {
            work,
            claimed: work,
            window: Duration::from_secs_f64(window),
            duration: Duration::from_secs_f64(window + 1.0),
        })
    }

    fn checked(pairs: &[(f64, f64)]) -> Option<Reason> {
        let mut times = WallTimes::default();
        for (window, printed) in pairs {
            times.push(pace(100.0, 10.0), pace(100.0, *window), printed.ln());
        }
        times.check().err().map(|refusal| refusal.reason)
    }

    #[test]
    fn only_disagreement_beyond_noise_is_refused() {
        assert_eq!(checked(&[]), None);
        assert_eq!(checked(&[(12.5, 0.8), (12.4, 0.8), (12.6, 0.8)]), None);
        assert_eq!(checked(&[(9.0, 1.0), (11.2, 1.0), (10.0, 1.0)]), None);
        assert_eq!(
            checked(&[(12.5, 1.0), (12.4, 1.0), (12.6, 1.0)]),
            Some(Reason::WallTime)
        );
        assert_eq!(checked(&[(11.0, 1.0)]), None);
        assert_eq!(checked(&[(12.5, 1.0)]), Some(Reason::WallTime));
        assert_eq!(checked(&[(0.0, 2.0)]), Some(Reason::Tampered));
        // A short baseline proves nothing.
        let mut times = WallTimes::default();
        times.push(pace(100.0, 1.0), pace(100.0, 0.1), 0.0);
        assert!(times.check().is_ok());
    }
}
