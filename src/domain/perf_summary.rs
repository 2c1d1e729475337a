//! A perf comparison in words, the same at a prompt, in a comment and in a summary.
//!
//! Numbers and verdicts only: nothing a gate printed reaches it.

use crate::domain::contract::Risk;
use crate::domain::finding::Severity;
use crate::domain::results::PerfMethod;
use crate::domain::results::PerfResult;
use crate::domain::verdict::{Reason, Verdict};

/// The comparison as one line, for a prompt and a log.
pub fn sentence(perf: &PerfResult, verdict: Verdict, reason: Option<Reason>) -> String {
    let Some(mut text) = verdict_line(perf, verdict) else {
        let why = reason.map_or(String::new(), |r| format!(" ({})", r.as_str()));
        return format!("nothing measured: {}{why}", verdict.as_str());
    };
    for part in [inside_budget(perf).map(str::to_owned), undecided(perf, verdict)]
        .into_iter()
        .flatten()
    {
        text.push_str(", ");
        text.push_str(&part);
    }
    if let Some(method) = method(perf) {
        text.push_str(&format!(" ({method})"));
    }
    text
}

/// The change, its interval, the budget and the verdict: «−1.4 %, between −2.3 and −0.5, budget −10: pass».
pub fn verdict_line(perf: &PerfResult, verdict: Verdict) -> Option<String> {
    let mut text = format!("{} %", signed(perf.delta_pct?));
    if let Some([low, high]) = perf.interval_pct {
        text.push_str(&format!(", between {} and {}", signed(low), signed(high)));
    }
    if let Some(budget) = perf.budget_pct {
        text.push_str(&format!(", budget {}", shortest(budget)));
    }
    text.push_str(&format!(": {}", verdict.as_str()));
    Some(text)
}

/// Says that a pass is slower all the same.
pub fn inside_budget(perf: &PerfResult) -> Option<&'static str> {
    perf.regression_inside_budget
        .then_some("regression inside the budget")
}

/// Says how many more pairs an inconclusive comparison needs.
pub fn undecided(perf: &PerfResult, verdict: Verdict) -> Option<String> {
    (verdict == Verdict::Inconclusive && perf.delta_pct.is_some()).then(|| match perf.more_pairs {
        Some(1) => "about 1 more pair would decide".to_owned(),
        Some(more) => format!("about {more} more pairs would decide"),
        None => "more pairs would not decide".to_owned(),
    })
}

/// Says what the verdict rests on, where that is less than calibrated pairs.
pub fn method(perf: &PerfResult) -> Option<&'static str> {
    match perf.method {
        PerfMethod::Threshold => Some("threshold only, one pair"),
        _ if perf.history_dropped => {
            Some("uncalibrated: the pairs vary more than twice as much as the stored noise")
        }
        _ if !perf.calibrated => Some("uncalibrated"),
        _ => None,
    }
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
            method: PerfMethod::Paired,
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
            "−1.4 %, between −2.3 and −0.5, budget −2: inconclusive, about 4 more pairs would decide (uncalibrated)"
        );
        let threshold = PerfResult {
            delta_pct: Some(0.04),
            interval_pct: None,
            budget_pct: Some(2.5),
            method: PerfMethod::Threshold,
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
