//! Formats a perf comparison as notes of a table: change, interval, pairs, why it is undecided, what was discarded.
//!
//! Uses numbers, fixed words and quoted names. Decides nothing.

use serde::Serialize;

use crate::domain::perf_summary;
use crate::domain::results::{FurtherResult, PerfMethod, PerfResult};
use crate::domain::verdict::Verdict;
use crate::report::number;
use crate::report::rich_text::{LISTED, RichText, TextSpan, text};

/// What there is to say, the verdict first.
pub fn notes(perf: &PerfResult, status: Verdict) -> Vec<RichText> {
    let (status, _) = perf_summary::own_verdict(perf, status, None);
    let mut notes = Vec::new();
    if let Some(line) = perf_summary::verdict_line(perf, status) {
        notes.push(match perf_summary::subject(perf) {
            "" => vec![text(line)],
            "throughput" => vec![text(format!("throughput {line}"))],
            // The metric of results that nobody verified may be any text.
            name => vec![TextSpan::Code(name.to_owned()), text(format!(" {line}"))],
        });
    }
    if let (Some(baseline), Some(result)) = (perf.baseline, perf.result) {
        let mut compared = Vec::new();
        if !perf.metric.is_empty() {
            compared.extend([TextSpan::Code(perf.metric.clone()), text(" ")]);
        }
        compared.push(text(format!(
            "{} against {}",
            number::quantity(result),
            number::quantity(baseline)
        )));
        if !perf.compare_gate.is_empty() {
            compared.extend([text(" on "), TextSpan::Code(perf.compare_gate.clone())]);
        }
        if let Some(sha) = &perf.baseline_sha {
            compared.extend([text(", baseline "), TextSpan::Code(sha.short().to_owned())]);
        }
        if perf.pairs.len() > 1 {
            compared.push(text(format!(", {} pairs", perf.pairs.len())));
        }
        notes.push(compared);
    }
    notes.extend(perf_summary::inside_budget(perf).map(|line| vec![text(line)]));
    if perf.pairs.len() > 1 {
        let changes: Vec<String> = perf
            .pairs
            .iter()
            .take(LISTED)
            .map(|pair| number::percent(pair.log_ratio.exp_m1() * 100.0, false))
            .collect();
        let more = if perf.pairs.len() > LISTED { " …" } else { "" };
        notes.push(vec![text(format!("pairs: {}{more} %", changes.join(", ")))]);
    }
    if let Some(estimator) = perf.estimator {
        notes.push(vec![text(format!("estimator: {}", estimator.as_str()))]);
    }
    notes.extend(perf_summary::undecided(perf, status).map(|line| vec![text(line)]));
    if perf.method != PerfMethod::Undecided {
        notes.extend(perf_summary::method(perf).map(|line| vec![text(line)]));
    }
    if let Some(total) = perf.total_delta_pct {
        let total = number::percent(total, false);
        notes.push(vec![text(format!("{total} % over total time"))]);
    }
    if perf.spoiled > 0 {
        let noun = if perf.spoiled == 1 {
            "measurement"
        } else {
            "measurements"
        };
        let by: Vec<String> = perf
            .spoiled_by
            .iter()
            .map(|(interference, count)| format!("{} {count}", interference.as_str()))
            .collect();
        let by = if by.is_empty() {
            String::new()
        } else {
            format!(" ({})", by.join(", "))
        };
        notes.push(vec![text(format!(
            "{} disturbed {noun} discarded{by}",
            perf.spoiled
        ))]);
    }
    if perf.unsteady > 0 {
        notes.push(vec![text(format!("{} measurements not steady", perf.unsteady))]);
    }
    if perf.restarted > 0 {
        let (noun, last) = if perf.restarted == 1 {
            ("measurement", "its")
        } else {
            ("measurements", "their")
        };
        notes.push(vec![text(format!(
            "{} {noun} restarted and counted from {last} last start",
            perf.restarted
        ))]);
    }
    if perf.unwatched {
        notes.push(vec![text("the GPUs' health could not be read")]);
    }
    if let Some(minutes) = perf.gpu_minutes {
        notes.push(vec![text(format!("{} GPU-minutes", number::quantity(minutes)))]);
    }
    notes
}

/// A further metric of a comparison, as a row below its gate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FurtherRow {
    /// The metric.
    pub metric: String,
    /// The verdict for this metric alone, one word.
    pub status: &'static str,
    /// The change, its interval and its budget; then the two values.
    pub says: RichText,
}

/// The rows of the further metrics.
pub fn further(perf: &PerfResult) -> Vec<FurtherRow> {
    perf.also.iter().map(further_row).collect()
}

fn further_row(further: &FurtherResult) -> FurtherRow {
    let line = perf_summary::verdict_line(&further.comparison(), further.status);
    let mut says = vec![text(line.unwrap_or_else(|| {
        let why = further.reason.map_or("", |reason| reason.as_str());
        format!("not measured: {why}")
    }))];
    if let (Some(baseline), Some(result)) = (further.baseline, further.result) {
        says.push(text(format!(
            "; {} against {}",
            number::quantity(result),
            number::quantity(baseline)
        )));
    }
    FurtherRow {
        metric: further.metric.clone(),
        status: further.status.as_str(),
        says,
    }
}
