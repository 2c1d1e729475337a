//! The view model: results in the words for people. Every format for people renders only this model.
//!
//! Numbers and fixed sentences are ready to show. Names that others chose stay separate
//! ([`crate::report::rich_text::TextSpan::Code`]), so that each format quotes them.

use serde::Serialize;

use crate::domain::evidence::Isolation;
use crate::domain::ids::CommitId;
use crate::domain::ids::GateId;
use crate::domain::metric::NODE_TPS;
use crate::domain::noise;
use crate::domain::results::{GateResult, PinDelta, Results, Series};
use crate::domain::verdict::{Overall, Reason, Verdict};
use crate::report::charts::{self, Chart};
use crate::report::comparison::{self, FurtherRow};
use crate::report::links::{Link, Links};
use crate::report::plot;
use crate::report::rich_text::{LISTED, RichText, TextSpan, listed, rich_text, text};
use crate::report::{kernels, number, numeric};

/// The complete report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// The bundle, or nothing for a list of gates.
    pub bundle: Option<String>,
    /// The overall verdict, one word.
    pub overall: &'static str,
    /// The number of gates per verdict, in one sentence.
    pub headline: RichText,
    /// The number of gates per verdict, in a fixed order, without zeros.
    pub counts: Vec<Count>,
    /// The metric in the column of numbers.
    pub metric: String,
    /// The number of selected gates.
    pub total: usize,
    /// The commit that was tested, if there is one.
    pub commit: Option<CommitId>,
    /// Head of the pull request.
    pub head: Option<CommitId>,
    /// The page of the tested commit.
    pub commit_url: Option<String>,
    /// The page of the head.
    pub head_url: Option<String>,
    /// The pages of the pull request, the contract and the run.
    pub pages: Vec<Link>,
    /// Whether the subject had changes that are not committed.
    pub dirty: bool,
    /// One row per gate, in the order of the run.
    pub gates: Vec<Row>,
    /// Gates of the contract that the selection did not cover.
    pub uncovered: Vec<GateId>,
    /// The fixes, one entry per reason.
    pub remedies: Vec<Remedy>,
    /// The evidence of the verdict.
    pub evidence: Vec<Fact>,
    /// Start of the run, RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// Wall time of the run.
    pub duration: Option<String>,
}

/// The number of gates with one verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The verdict.
    pub status: &'static str,
    /// The number of gates.
    pub count: usize,
}

/// The row of one gate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The gate id.
    pub gate: String,
    /// The verdict, one word.
    pub status: &'static str,
    /// The reason code. Empty for a plain pass.
    pub reason: Option<&'static str>,
    /// The meaning of the reason, without its full stop.
    pub why: Option<RichText>,
    /// Median throughput.
    pub node_tps_p50: Option<String>,
    /// The value in the column of numbers.
    pub headline: Option<String>,
    /// Further notes.
    pub notes: Vec<RichText>,
    /// Wall time.
    pub duration: Option<String>,
    /// Start and length of the gate, in percent of the wall time of the run.
    pub span: Option<[f64; 2]>,
    /// The throughput over the samples.
    pub plot: Option<Plot>,
    /// The further metrics of a perf gate.
    pub further: Vec<FurtherRow>,
    /// The charts of the comparison of a perf or numeric gate.
    pub charts: Vec<Chart>,
    /// The kernel checks of a kernel gate, or of the preflight of a GPU gate.
    pub checks: Vec<kernels::Check>,
}

/// A series, drawn for each format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plot {
    /// Block characters.
    pub sparkline: String,
    /// Mermaid text, without its fence.
    pub mermaid: String,
    /// Inline SVG.
    pub svg: String,
    /// The number of samples.
    pub count: u64,
}

/// The fix for a reason, and the gates that need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// The reason.
    pub reason: &'static str,
    /// The first few gates with this reason.
    pub gates: Vec<GateId>,
    /// The number of other gates with this reason.
    pub more: usize,
    /// The meaning of the reason.
    pub why: RichText,
    /// The fix.
    pub remedy: RichText,
}

/// One line of the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// The kind of the evidence.
    pub label: &'static str,
    /// The name, if there can be several of this kind.
    pub name: Option<String>,
    /// The identity, or nothing if it is unknown.
    pub value: Option<String>,
    /// The page about it.
    pub url: Option<String>,
    /// What was proven about it, for a kernel library.
    pub proven: Option<String>,
}

impl View {
    /// Creates the view of checked results, with the median of this metric in the column of numbers, and with links to pages.
    pub fn new(results: &Results, metric: &str, links: &Links) -> View {
        let evidence = &results.evidence;
        let ordered: Vec<(&GateId, &GateResult)> = results
            .gate_ids
            .iter()
            .filter_map(|id| results.results.get_key_value(id))
            .collect();
        let total_s: f64 = ordered.iter().filter_map(|(_, r)| r.duration_s).sum();
        let mut before = 0.0;
        let gates = ordered
            .iter()
            .map(|(id, result)| {
                let span = result.duration_s.filter(|_| total_s > 0.0).map(|d| {
                    let start = before;
                    before += d;
                    [start / total_s * 100.0, d / total_s * 100.0]
                });
                let unit = unit_of_comparison(results, result);
                Row::new(id, result, span, metric, unit)
            })
            .collect();
        let counts = counts(&ordered);
        View {
            bundle: results.bundle.clone(),
            overall: results.overall_word(),
            headline: vec![text(headline(&counts, ordered.len(), results.overall))],
            counts,
            metric: metric.to_owned(),
            total: ordered.len(),
            commit: evidence.commit().cloned(),
            head: evidence.head.clone(),
            commit_url: evidence.commit().and_then(|id| links.commit(id)),
            head_url: evidence.head.as_ref().and_then(|id| links.commit(id)),
            pages: links.pages(),
            dirty: evidence.dirty,
            gates,
            uncovered: results.uncovered.clone(),
            remedies: remedies(&ordered),
            evidence: facts(results, links),
            started_at: results.started_at.clone(),
            duration: results.duration_s.map(number::duration),
        }
    }
}

impl Row {
    fn new(id: &str, result: &GateResult, span: Option<[f64; 2]>, metric: &str, unit: Option<&str>) -> Row {
        let name = noise::metric_name(metric);
        let headline = match name {
            NODE_TPS => result.node_tps_p50,
            name => result.metrics.get(name).and_then(|series| series.p50),
        };
        let series = result.metrics.get(NODE_TPS).filter(|s| s.samples.len() >= 2);
        Row {
            gate: id.to_owned(),
            status: result.status.as_str(),
            reason: result.reason.map(Reason::as_str),
            why: result
                .reason
                .map(|r| rich_text(r.message().trim_end_matches('.'))),
            node_tps_p50: result.node_tps_p50.map(number::quantity),
            headline: headline.map(number::quantity),
            notes: notes(result, name),
            duration: result.duration_s.map(number::duration),
            span,
            further: result.perf.as_ref().map(comparison::further).unwrap_or_default(),
            charts: drawn(result, unit),
            plot: series.and_then(|s| {
                let (mermaid, svg) = plot::series(&s.samples, s.count)?;
                Some(Plot {
                    sparkline: plot::sparkline(&s.samples),
                    mermaid,
                    svg,
                    count: s.count,
                })
            }),
            checks: kernels::rows(result),
        }
    }
}

/// Returns the unit of the metric that a perf gate compares, from the result of the compared gate.
fn unit_of_comparison<'r>(results: &'r Results, result: &GateResult) -> Option<&'r str> {
    let perf = result.perf.as_ref()?;
    let compared = results.results.get(perf.compare_gate.as_str())?;
    let series = compared.metrics.get(noise::metric_name(&perf.metric))?;
    series.unit.as_deref()
}

/// The charts of a comparison.
fn drawn(result: &GateResult, unit: Option<&str>) -> Vec<Chart> {
    let perf = result.perf.iter().flat_map(|perf| charts::of(perf, unit));
    perf.chain(result.numeric.iter().flat_map(numeric::charts))
        .collect()
}

/// Lists the notes of a result. The metric `headline` has its own column.
fn notes(result: &GateResult, headline: &str) -> Vec<RichText> {
    let mut notes = Vec::new();
    match (result.rc, result.signal) {
        (_, Some(signal)) => notes.push(vec![text(format!("signal {signal}"))]),
        (Some(rc), None) if rc != 0 => notes.push(vec![text(format!("exit code {rc}"))]),
        _ => {}
    }
    if !result.missing_env.is_empty() {
        notes.push(listed("missing variables: ", &result.missing_env));
    }
    if !result.missing_files.is_empty() {
        notes.push(listed("missing files: ", &result.missing_files));
    }
    if let Some(perf) = &result.perf {
        notes.extend(comparison::notes(perf, result.status));
    }
    if let Some(compared) = &result.numeric {
        notes.extend(numeric::notes(compared));
    }
    if result.leaks > 0 {
        let (noun, verb) = if result.leaks == 1 {
            ("process", "was")
        } else {
            ("processes", "were")
        };
        notes.push(vec![text(format!(
            "left {} {noun} behind, which {verb} ended",
            result.leaks
        ))]);
    }
    notes.extend(ranks(result));
    notes.extend(kernel_note(result));
    notes.extend(
        result
            .metrics
            .iter()
            .filter(|(name, _)| *name != headline)
            .filter_map(metric_note),
    );
    if let Some(who) = &result.supplied_by {
        notes.push(vec![
            text("recorded elsewhere, supplied by "),
            TextSpan::Code(who.clone()),
        ]);
    }
    notes
}

/// The most ranks in the row of a gate.
const MAX_RANKS: usize = 8;

/// Names the ranks of a job, those that did not pass first.
fn ranks(result: &GateResult) -> Option<RichText> {
    let (passed, mut shown): (Vec<_>, Vec<_>) = result.ranks.iter().partition(|r| r.status == Verdict::Pass);
    let total = result.ranks.len();
    if total == 0 {
        return None;
    }
    let mut note = vec![text(format!("ranks: {} of {total} passed", passed.len()))];
    shown.extend(passed);
    for rank in shown.iter().take(MAX_RANKS) {
        let reason = rank.reason.map(|reason| format!(" ({})", reason.as_str()));
        note.push(text(format!(
            "; rank {} {}{}",
            rank.rank,
            rank.status.as_str(),
            reason.unwrap_or_default()
        )));
        if let Some(node) = &rank.node {
            note.push(text(" on node "));
            note.push(TextSpan::Code(node.clone()));
        }
    }
    if total > MAX_RANKS {
        note.push(text(format!("; {} more", total - MAX_RANKS)));
    }
    Some(note)
}

fn metric_note((name, series): (&String, &Series)) -> Option<RichText> {
    let mut note = vec![
        TextSpan::Code(format!("{name}_p50")),
        text(format!(" {}", number::quantity(series.p50?))),
    ];
    if let Some(unit) = &series.unit {
        note.push(text(" "));
        note.push(TextSpan::Code(unit.clone()));
    }
    Some(note)
}

/// The most numbers of kernels in the row of a gate.
const MAX_DELTAS: usize = 5;

fn kernel_note(result: &GateResult) -> Option<RichText> {
    let checks = &result.kernel_checks;
    if checks.is_empty() {
        return None;
    }
    let bad: Vec<String> = checks
        .iter()
        .filter(|c| c.status != Verdict::Pass)
        .map(|c| c.name.clone())
        .collect();
    let count = format!(
        "kernel checks: {} of {} passed",
        checks.len() - bad.len(),
        checks.len()
    );
    let mut note = if bad.is_empty() {
        vec![text(count)]
    } else {
        listed(&format!("{count}; not "), &bad)
    };
    let deltas: Vec<&PinDelta> = checks.iter().flat_map(|c| &c.deltas).collect();
    for delta in deltas.iter().take(MAX_DELTAS) {
        note.push(text("; "));
        note.push(TextSpan::Code(delta.kernel.clone()));
        note.push(text(format!(
            " {} {} → {}",
            delta.number.as_str(),
            delta.pinned,
            delta.used
        )));
    }
    if let Some(more @ 1..) = deltas.len().checked_sub(MAX_DELTAS) {
        note.push(text(format!("; {more} more numbers differ")));
    }
    Some(note)
}

fn counts(gates: &[(&GateId, &GateResult)]) -> Vec<Count> {
    const ORDER: [Verdict; 7] = [
        Verdict::Pass,
        Verdict::Fail,
        Verdict::Invalid,
        Verdict::Inconclusive,
        Verdict::Cancelled,
        Verdict::Pending,
        Verdict::NotRun,
    ];
    ORDER
        .into_iter()
        .map(|verdict| Count {
            status: verdict.as_str(),
            count: gates.iter().filter(|(_, r)| r.status == verdict).count(),
        })
        .filter(|c| c.count > 0)
        .collect()
}

fn headline(counts: &[Count], total: usize, overall: Overall) -> String {
    if total == 0 {
        return "No gate was selected, so nothing was proven".to_owned();
    }
    if overall == Overall::Pass {
        return match total {
            1 => "The gate passed".to_owned(),
            n => format!("All {n} gates passed"),
        };
    }
    let said: Vec<String> = counts
        .iter()
        .map(|c| format!("{} {}", c.count, c.status.replace('_', " ")))
        .collect();
    let noun = if total == 1 { "gate" } else { "gates" };
    format!("{total} {noun}: {}", said.join(", "))
}

fn remedies(gates: &[(&GateId, &GateResult)]) -> Vec<Remedy> {
    let mut out: Vec<Remedy> = Vec::new();
    for (id, result) in gates {
        let Some(reason) = result.reason else { continue };
        if result.status == Verdict::Pass || reason.remedy().is_empty() {
            continue;
        }
        match out.iter_mut().find(|r| r.reason == reason.as_str()) {
            Some(known) if known.gates.len() < LISTED => known.gates.push((*id).clone()),
            Some(known) => known.more += 1,
            None => out.push(Remedy {
                reason: reason.as_str(),
                gates: vec![(*id).clone()],
                more: 0,
                why: rich_text(reason.message()),
                remedy: rich_text(reason.remedy()),
            }),
        }
    }
    out
}

fn facts(results: &Results, links: &Links) -> Vec<Fact> {
    let e = &results.evidence;
    let fact = |label, value: Option<&str>| Fact {
        label,
        name: None,
        value: value.map(str::to_owned),
        url: None,
        proven: None,
    };
    let commit = |label, id: &Option<CommitId>| Fact {
        url: id.as_ref().and_then(|id| links.commit(id)),
        ..fact(label, id.as_deref())
    };
    let mut facts = vec![
        commit("merge", &e.merge),
        commit("head", &e.head),
        commit("base", &e.base),
        fact("tree", e.tree.as_deref()),
        fact("registry", e.registry.as_deref()),
        fact("contract", e.contract.as_deref()),
    ];
    facts.extend(e.kernels.iter().map(|(path, digest)| Fact {
        label: "kernels",
        name: Some(path.clone()),
        value: Some(digest.to_string()),
        url: None,
        proven: kernels::proven_of(results, path),
    }));
    facts.extend(e.jit.iter().map(|(cache, digests)| Fact {
        label: "jit",
        name: Some(cache.as_str().to_owned()),
        value: Some(format!("{} cubins", digests.len())),
        url: None,
        proven: None,
    }));
    facts.extend([
        fact("image", e.image.as_deref()),
        fact("tool", e.tool.as_deref()),
        fact("target", e.target.as_deref()),
        fact("isolation", e.isolation.map(Isolation::as_str)),
        fact("driver", e.driver.as_deref()),
        fact("run", e.run.as_deref()),
    ]);
    facts
}
