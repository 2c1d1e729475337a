//! A perf comparison in words, the same at a prompt, in a comment and in a summary.
//!
//! Numbers and verdicts only: nothing a gate printed reaches it.

use crate::domain::contract::Risk;
use crate::domain::finding::Severity;
use crate::domain::metric::NODE_TPS;
use crate::domain::noise::metric_name;
use crate::domain::results::PerfMethod;
use crate::domain::results::PerfResult;
use crate::domain::verdict::{Reason, Verdict};

/// The comparison of each metric as one line.
pub fn lines(perf: &PerfResult, verdict: Verdict, reason: Option<Reason>) -> Vec<String> {
    let (own, own_reason) = own_verdict(perf, verdict, reason);
    let main = sentence(perf, own, own_reason);
    let further = perf.also.iter().map(|further| {
        let comparison = further.comparison();
        let line = sentence(&comparison, further.status, further.reason);
        match comparison.delta_pct {
            Some(_) => line,
            None => format!("{}: {line}", further.metric),
        }
    });
    std::iter::once(main).chain(further).collect()
}

/// Verdict and reason of the main metric alone. Those of the gate are the worst of all metrics.
pub fn own_verdict(perf: &PerfResult, verdict: Verdict, reason: Option<Reason>) -> (Verdict, Option<Reason>) {
    match perf.own_status {
        Some(own) => (own, perf.own_reason),
        None => (verdict, reason),
    }
}

/// The comparison as one line, for a prompt and a log.
pub fn sentence(perf: &PerfResult, verdict: Verdict, reason: Option<Reason>) -> String {
    let Some(line) = verdict_line(perf, verdict) else {
        let why = reason.map_or(String::new(), |r| format!(" ({})", r.as_str()));
        return format!("nothing measured: {}{why}", verdict.as_str());
    };
    let mut text = match subject(perf) {
        "" => line,
        subject => format!("{subject} {line}"),
    };
    if reason == Some(Reason::TotalTime)
        && let Some(total) = perf.total_delta_pct
    {
        text.push_str(&format!(" by total time, {}", change(total)));
    }
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

/// What changed: `throughput`, or the name of another metric.
pub fn subject(perf: &PerfResult) -> &str {
    match metric_name(&perf.metric) {
        NODE_TPS => "throughput",
        name => name,
    }
}

/// The change, its interval, the budget and the verdict: «change −1.4 % (96 % interval −2.3 to −0.5 %), allowed −10 %: pass».
///
/// All have as many decimals as it takes to see on which side of the budget the change and the ends of the interval lie.
pub fn verdict_line(perf: &PerfResult, verdict: Verdict) -> Option<String> {
    let ends = perf.interval_pct.map_or(Vec::new(), |i| i.to_vec());
    let edge = perf.budget_pct.map(|b| perf.direction.edge_pct(b));
    let fewest = perf.budget_pct.map_or(1, written_decimals);
    let decimals = decimals(&[&[perf.delta_pct?], ends.as_slice()].concat(), edge, fewest);
    let mut text = measured(perf, decimals)?;
    if let Some(edge) = edge {
        text.push_str(&format!(", allowed {} %", shortest(edge)));
    }
    text.push_str(&format!(": {}", verdict.as_str()));
    Some(text)
}

/// The change and its interval.
fn measured(perf: &PerfResult, decimals: usize) -> Option<String> {
    let change = signed(perf.delta_pct?, decimals);
    let Some([low, high]) = perf.interval_pct else {
        return Some(format!("change {change} %"));
    };
    // Measurements that repeat exactly have no variance, so they have no interval.
    if perf.confidence_pct == Some(100.0) && low == high {
        return Some(format!("change {change} % (exact)"));
    }
    let confidence = perf.confidence_pct.map_or(String::new(), |confidence| {
        format!("{} % ", (confidence * 10.0).round() / 10.0)
    });
    let (low, high) = (signed(low, decimals), signed(high, decimals));
    Some(format!(
        "change {change} % ({confidence}interval {low} to {high} %)"
    ))
}

/// Returns a note if a pass is nevertheless slower.
pub fn inside_budget(perf: &PerfResult) -> Option<&'static str> {
    perf.regression_inside_budget
        .then_some("regression inside the budget")
}

/// Says how many more pairs are likely to decide an inconclusive comparison, where a number is likely to.
pub fn undecided(perf: &PerfResult, verdict: Verdict) -> Option<String> {
    let more = perf.more_pairs.filter(|_| verdict == Verdict::Inconclusive)?;
    let noun = if more == 1 { "pair is" } else { "pairs are" };
    Some(format!("{more} more {noun} likely to decide"))
}

/// Says what the verdict rests on, where that is less than calibrated pairs.
pub fn method(perf: &PerfResult) -> Option<&'static str> {
    match perf.method {
        PerfMethod::Threshold => Some("threshold only, one pair"),
        _ if perf.history_dropped => {
            Some("uncalibrated: the pairs vary significantly more than the stored noise")
        }
        _ if !perf.calibrated => Some("uncalibrated"),
        _ => None,
    }
}

/// Decimals at which every value still shows the side of the edge that it lies on; at least as many as the budget has, at
/// most six.
fn decimals(values: &[f64], edge: Option<f64>, fewest: usize) -> usize {
    let Some(edge) = edge else { return fewest };
    let shows = |digits: usize| {
        let scale = 10f64.powi(i32::try_from(digits).unwrap_or(6));
        values.iter().all(|v| {
            let rounded = (v * scale).round() / scale;
            v.total_cmp(&edge) == rounded.total_cmp(&edge) || (v - edge).abs() < 1e-6
        })
    };
    (fewest..=6).find(|digits| shows(*digits)).unwrap_or(6)
}

/// Decimals of the budget as it is written, at least one and at most six.
fn written_decimals(budget: f64) -> usize {
    let text = shortest(budget);
    text.split_once('.')
        .map_or(1, |(_, digits)| digits.len().clamp(1, 6))
}

/// The pairs so far in words, before a verdict: «change −1.4 % (98.4 % interval −2.3 to −0.5 %)».
pub fn interim(perf: &PerfResult) -> String {
    measured(perf, 1).unwrap_or_else(|| "nothing measured".to_owned())
}

/// A change in percent: «−1.4 %».
pub fn change(pct: f64) -> String {
    format!("{} %", signed(pct, 1))
}

/// Returns the severity of a perf verdict. `inconclusive` blocks a hot change, is a warning for a warm change and a note for a
/// cold one. Any other verdict than `pass` always blocks.
pub fn weight(verdict: Verdict, risk: Risk) -> Severity {
    match (verdict, risk) {
        (Verdict::Pass, _) | (Verdict::Inconclusive, Risk::Cold) => Severity::Note,
        (Verdict::Inconclusive, Risk::Warm) => Severity::Warning,
        _ => Severity::Error,
    }
}

/// So many decimals, with a true minus sign and always a sign, except for zero.
fn signed(value: f64, decimals: usize) -> String {
    let text = format!("{value:+.decimals$}");
    if text
        .trim_start_matches(['+', '-'])
        .trim_matches(['0', '.'])
        .is_empty()
    {
        return text.trim_start_matches(['+', '-']).to_owned();
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
            metric: "node_tps_p50".to_owned(),
            interval_pct: Some([-2.3, -0.5]),
            confidence_pct: Some(96.0),
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
            "throughput change −1.4 % (96 % interval −2.3 to −0.5 %), allowed −10 %: pass"
        );
        let tight = PerfResult {
            budget_pct: Some(-2.0),
            more_pairs: Some(4),
            calibrated: false,
            ..measured()
        };
        assert_eq!(
            sentence(&tight, Verdict::Inconclusive, Some(Reason::Noisy)),
            "throughput change −1.4 % (96 % interval −2.3 to −0.5 %), allowed −2 %: inconclusive, 4 more pairs are likely to decide (uncalibrated)"
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
            "change 0.0 %, allowed +2.5 %: fail (threshold only, one pair)"
        );
        let near = PerfResult {
            metric: "step_time_p50".to_owned(),
            confidence_pct: None,
            delta_pct: Some(-9.96),
            interval_pct: Some([-9.97, -9.951]),
            budget_pct: Some(-9.95),
            ..measured()
        };
        assert_eq!(
            sentence(&near, Verdict::Fail, Some(Reason::OverBudget)),
            "step_time change −9.960 % (interval −9.970 to −9.951 %), allowed −9.95 %: fail"
        );
        let stalls = PerfResult {
            total_delta_pct: Some(-48.2),
            ..measured()
        };
        assert_eq!(
            sentence(&stalls, Verdict::Fail, Some(Reason::TotalTime)),
            "throughput change −1.4 % (96 % interval −2.3 to −0.5 %), allowed −10 %: fail by total time, −48.2 %"
        );
        assert_eq!(
            sentence(&PerfResult::default(), Verdict::Invalid, Some(Reason::NoSamples)),
            "nothing measured: invalid (no_samples)"
        );
    }
}
