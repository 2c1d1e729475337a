//! A perf comparison in words, the same at a prompt, in a comment and in a summary.
//!
//! Numbers and verdicts only: nothing a gate printed reaches it.

use crate::domain::contract::Risk;
use crate::domain::finding::Severity;
use crate::domain::results::PerfResult;
use crate::domain::verdict::{Reason, Verdict};

/// The comparison in words: «−1.4 %, between −2.3 and −0.5, budget −10: pass».
pub fn sentence(perf: &PerfResult, verdict: Verdict, reason: Option<Reason>) -> String {
    let Some(delta) = perf.delta_pct else {
        let why = reason.map_or(String::new(), |r| format!(" ({})", r.as_str()));
        return format!("nothing measured: {}{why}", verdict.as_str());
    };
    let mut text = format!("{} %", signed(delta));
    if let Some([low, high]) = perf.interval_pct {
        text.push_str(&format!(", between {} and {}", signed(low), signed(high)));
    }
    if let Some(budget) = perf.budget_pct {
        text.push_str(&format!(", budget {}", shortest(budget)));
    }
    text.push_str(&format!(": {}", verdict.as_str()));
    if perf.regression_inside_budget {
        text.push_str(", regression inside the budget");
    }
    if verdict == Verdict::Inconclusive {
        text.push_str(&match perf.more_pairs {
            Some(1) => ", 1 more pair would decide".to_owned(),
            Some(more) => format!(", {more} more pairs would decide"),
            None => ", more pairs would not decide".to_owned(),
        });
    }
    if perf.method == "threshold" {
        text.push_str(" (threshold only, one pair)");
    } else if !perf.calibrated {
        text.push_str(" (uncalibrated)");
    }
    text
}

/// What a perf verdict weighs for a change of this risk: an inconclusive one blocks a hot change, warns on a warm one and is
/// noted on a cold one; whatever else is no pass always blocks.
pub fn weight(verdict: Verdict, risk: Risk) -> Severity {
    match (verdict, risk) {
        (Verdict::Pass, _) | (Verdict::Inconclusive, Risk::Cold) => Severity::Note,
        (Verdict::Inconclusive, Risk::Warm) => Severity::Warning,
        _ => Severity::Error,
    }
}

/// One decimal with a true minus sign and always a sign, except for zero.
fn signed(value: f64) -> String {
    let text = format!("{value:+.1}");
    if text == "+0.0" || text == "-0.0" {
        return "0.0".to_owned();
    }
    text.replace('-', "−")
}

/// The budget as it was written, with a true minus sign.
fn shortest(value: f64) -> String {
    let sign = if value > 0.0 { "+" } else { "" };
    format!("{sign}{value}").replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> PerfResult {
        PerfResult {
            delta_pct: Some(-1.4),
            interval_pct: Some([-2.3, -0.5]),
            budget_pct: Some(-10.0),
            method: "paired".to_owned(),
            calibrated: true,
            ..PerfResult::default()
        }
    }

    #[test]
    fn a_verdict_reads_as_a_sentence() {
        assert_eq!(
            sentence(&measured(), Verdict::Pass, None),
            "−1.4 %, between −2.3 and −0.5, budget −10: pass"
        );
        let tight = PerfResult {
            budget_pct: Some(-2.0),
            more_pairs: Some(4),
            calibrated: false,
            ..measured()
        };
        assert_eq!(
            sentence(&tight, Verdict::Inconclusive, Some(Reason::Noisy)),
            "−1.4 %, between −2.3 and −0.5, budget −2: inconclusive, 4 more pairs would decide (uncalibrated)"
        );
        let threshold = PerfResult {
            delta_pct: Some(0.04),
            interval_pct: None,
            budget_pct: Some(2.5),
            method: "threshold".to_owned(),
            ..PerfResult::default()
        };
        assert_eq!(
            sentence(&threshold, Verdict::Fail, Some(Reason::OverBudget)),
            "0.0 %, budget +2.5: fail (threshold only, one pair)"
        );
        assert_eq!(
            sentence(&PerfResult::default(), Verdict::Invalid, Some(Reason::NoSamples)),
            "nothing measured: invalid (no_samples)"
        );
    }
}
