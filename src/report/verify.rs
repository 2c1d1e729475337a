//! Checks whether results may be published: they must be about the right run, commits and gates, and use only words of the
//! registry.
//!
//! The job that produced the results ran untrusted code. [`crate::report::read`] checks the schema; this module compares the
//! results with what was resolved before that code ran. A published refusal contains only fixed words; its details go to the
//! log.

use crate::domain::evidence::{Evidence, Identity};
use crate::domain::ids::GateId;
use crate::domain::ids::{Login, Sha256};
use crate::domain::metric::Metric;
use crate::domain::numeric::NumericResult;
use crate::domain::path_pattern::PathPattern;
use crate::domain::plausible::{self, Reading, is_of};
use crate::domain::registry::{Gate, GateKind, RESERVED_BUNDLES, Registry};
use crate::domain::results::{GateResult, KernelCheck, PerfResult, PinDelta, RankResult, Results, Series};
use crate::report::read;

/// Maximum size of results that are published, in bytes.
pub const MAX_BYTES: u64 = 256 << 10;

/// The values that results must have to be published.
#[derive(Debug)]
pub struct Expected<'a> {
    /// The required evidence. An absent value is not compared.
    pub evidence: Evidence,
    /// Bundle, selection and uncovered gates, if they were resolved before the run.
    pub selection: Option<Selection<'a>>,
    /// The active registry.
    pub registry: &'a Registry,
    /// The budget of the policy, and whether the results are those of a comment.
    pub reading: Reading,
}

/// The selection that was resolved.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// The selected bundle.
    pub bundle: Option<&'a str>,
    /// The gates, in order.
    pub gate_ids: &'a [GateId],
    /// Gates of the contract that the selection does not cover.
    pub uncovered: &'a [GateId],
}

/// The refusal of results that must not be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of the refusal. It may be published.
    pub why: RefusalKind,
    /// The details, for the log only. They may quote the results.
    pub detail: String,
}

/// The kind of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The results file does not exist.
    Missing,
    /// The file is a link, a folder, a pipe, or cannot be read.
    Unreadable,
    /// The file is larger than any run writes.
    TooLarge,
    /// The file does not follow the schema, or contains a key twice.
    Malformed,
    /// The results contradict themselves, for example an overall verdict that does not follow from the gates.
    Inconsistent,
    /// The results have other evidence than expected.
    Foreign(Vec<Identity>),
    /// The run was a rehearsal.
    Rehearsal,
    /// The results are not about the selected gates.
    Selection,
    /// The results use names that the registry does not have.
    Vocabulary,
    /// The job that ran the gates failed, and the results say pass.
    JobFailed,
}

impl RefusalKind {
    /// Returns the text that is published.
    pub fn message(&self) -> String {
        match self {
            RefusalKind::Missing => "the run left no results".to_owned(),
            RefusalKind::Unreadable => "the results are not a regular, readable file".to_owned(),
            RefusalKind::TooLarge => format!("the results are larger than {} KiB", MAX_BYTES >> 10),
            RefusalKind::Malformed => "the results do not follow the schema".to_owned(),
            RefusalKind::Inconsistent => "the results contradict themselves".to_owned(),
            RefusalKind::Foreign(identities) => format!(
                "the results are about something else; these values differ: {}",
                names(identities)
            ),
            RefusalKind::Rehearsal => "the results are of a rehearsal, which proves nothing".to_owned(),
            RefusalKind::Selection => "the results are not about the selected gates".to_owned(),
            RefusalKind::Vocabulary => "the results use names that the registry does not have".to_owned(),
            RefusalKind::JobFailed => "the job that ran the gates did not succeed".to_owned(),
        }
    }
}

/// Lists the names of identities.
pub fn names(identities: &[Identity]) -> String {
    let names: Vec<&str> = identities.iter().map(|identity| identity.as_str()).collect();
    names.join(", ")
}

impl Refusal {
    /// Creates a refusal of this kind with its details.
    pub fn new(why: RefusalKind, detail: impl Into<String>) -> Self {
        Refusal {
            why,
            detail: detail.into(),
        }
    }
}

impl From<read::Refusal> for Refusal {
    fn from(refusal: read::Refusal) -> Self {
        let why = match &refusal {
            read::Refusal::Unreadable(e) if e.kind() == std::io::ErrorKind::NotFound => RefusalKind::Missing,
            read::Refusal::Unreadable(_) | read::Refusal::NotRegular(_) => RefusalKind::Unreadable,
            read::Refusal::TooLarge(_) => RefusalKind::TooLarge,
            read::Refusal::Schema(_) => RefusalKind::Malformed,
            read::Refusal::Inconsistent(_) => RefusalKind::Inconsistent,
        };
        Refusal::new(why, refusal.to_string())
    }
}

/// Compares results with what was expected. The results must already be checked by [`read::check`].
pub fn verify(results: &Results, expected: &Expected<'_>) -> Result<(), Refusal> {
    if results.evidence.rehearsal {
        return Err(Refusal::new(RefusalKind::Rehearsal, "evidence.rehearsal is true"));
    }
    if let Some(selection) = &expected.selection {
        let same = results.bundle.as_deref() == selection.bundle
            && results.gate_ids == selection.gate_ids
            && results.uncovered == selection.uncovered;
        if !same {
            return Err(Refusal::new(
                RefusalKind::Selection,
                "bundle, gate_ids or uncovered differ from the resolution",
            ));
        }
    }
    let differ = differing(results, expected);
    if !differ.is_empty() {
        let detail = format!("{} differ from the resolution", names(&differ));
        return Err(Refusal::new(RefusalKind::Foreign(differ), detail));
    }
    fits(results, expected.registry, expected.reading)
}

/// Checks that a run with this registry can have written the results: no impossible pass, and no foreign word.
pub fn fits(results: &Results, registry: &Registry, reading: Reading) -> Result<(), Refusal> {
    if let Some(why) = plausible::impossible(results, registry, reading) {
        return Err(Refusal::new(RefusalKind::Inconsistent, why));
    }
    match foreign_word(results, registry) {
        None => Ok(()),
        Some(word) => Err(Refusal::new(
            RefusalKind::Vocabulary,
            format!("not in the registry: {word}"),
        )),
    }
}

/// Checks that the result of one gate is possible with this registry and has only its words. Who supplied it is not known yet.
pub fn fits_gate(
    gate: &Gate,
    result: &GateResult,
    evidence: &Evidence,
    registry: &Registry,
    reading: Reading,
) -> Result<(), Refusal> {
    if let Some(why) = plausible::impossible_pass(gate, result, evidence, registry, reading) {
        return Err(Refusal::new(
            RefusalKind::Inconsistent,
            format!("the gate passed and {why}"),
        ));
    }
    match foreign_word_of(gate, result, registry) {
        None => Ok(()),
        Some(word) => Err(Refusal::new(
            RefusalKind::Vocabulary,
            format!("not in the registry: {word}"),
        )),
    }
}

/// Returns the identities that differ from the expected ones. A resolved run gets its ids before it starts, so an equal tree
/// does not excuse a different commit.
fn differing(results: &Results, expected: &Expected<'_>) -> Vec<Identity> {
    if expected.selection.is_none() {
        return results.evidence.stale_for(&expected.evidence);
    }
    let mut strict = expected.evidence.clone();
    let tree = strict.tree.take();
    let mut differ = results.evidence.stale_for(&strict);
    if tree.is_some() && results.evidence.tree != tree {
        differ.push(Identity::Tree);
        differ.sort_unstable();
    }
    differ
}

/// Returns the first word that neither the registry nor this tool would choose. Such a word could carry text of a stranger
/// into the comment.
fn foreign_word(results: &Results, registry: &Registry) -> Option<String> {
    let e = &results.evidence;
    if let Some(target) = e.target.as_deref().filter(|text| !registry.has_target(text)) {
        return Some(format!("target {target:?}"));
    }
    if let Some(bundle) = results
        .bundle
        .as_deref()
        .filter(|bundle| !registry.bundles.contains_key(*bundle) && !RESERVED_BUNDLES.contains(bundle))
    {
        return Some(format!("bundle {bundle:?}"));
    }
    let known = |gate: &&GateId| registry.gates.contains_key(*gate);
    if let Some(gate) = results.gate_ids.iter().find(|gate| !known(gate)) {
        return Some(format!("gate {gate:?}"));
    }
    let globs = &registry.target().kernels;
    if let Some(path) = e.kernels.keys().find(|path| !is_library(path, globs)) {
        return Some(format!("kernel library {path:?}"));
    }
    results.results.iter().find_map(|(id, result)| {
        let word = foreign_word_of(registry.gates.get(id)?, result, registry)?;
        Some(format!("gate {id:?}: {word}"))
    })
}

fn foreign_word_of(gate: &Gate, result: &GateResult, registry: &Registry) -> Option<String> {
    let required = |name: &&String| gate.requires.contains(name);
    if let Some(name) = result.missing_env.iter().find(|name| !required(name)) {
        return Some(format!("variable {name:?}"));
    }
    let cmd = gate.cmd.as_deref().unwrap_or_default();
    let named = |file: &&String| {
        gate.requires_files.contains(file) || cmd.split_whitespace().any(|word| word == file.as_str())
    };
    if let Some(file) = result.missing_files.iter().find(|file| !named(file)) {
        return Some(format!("file {file:?}"));
    }
    let (reads, implied) = (gate.reads(), Metric::node_tps());
    let measured = |(name, series): &(&String, &Series)| match reads.iter().find(|m| m.name == **name) {
        Some(metric) => series.unit == metric.unit,
        None => **name == implied.name && (series.unit.is_none() || series.unit == implied.unit),
    };
    if let Some((name, series)) = result.metrics.iter().find(|entry| !measured(entry)) {
        return Some(format!("metric {name:?} {:?}", series.unit));
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let globs = &registry.target().kernels;
    let symbol = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'.');
    let known = |check: &&KernelCheck| {
        let mut kernels = check.deltas.iter().map(|delta| &delta.kernel);
        is_of(&check.name, 64, plain)
            && kernels.all(|kernel| is_of(kernel, PinDelta::MAX_NAME, symbol))
            && check
                .library
                .as_deref()
                .is_none_or(|path| is_library(path, globs))
    };
    if let Some(check) = result.kernel_checks.iter().find(|check| !known(check)) {
        return Some(format!("kernel check {:?} {:?}", check.name, check.library));
    }
    if let Some(image) = result
        .image
        .as_deref()
        .filter(|text| !Sha256::is_image_digest(text))
    {
        return Some(format!("image {image:?}"));
    }
    if let Some(who) = &result.supplied_by
        && (gate.kind != GateKind::External || !Login::is_valid(who))
    {
        return Some(format!("supplied_by {who:?}"));
    }
    let is_node = |rank: &&RankResult| rank.node.as_deref().is_none_or(RankResult::is_node);
    if let Some(rank) = result.ranks.iter().find(|rank| !is_node(rank)) {
        return Some(format!("node {:?}", rank.node));
    }
    if let Some(numeric) = &result.numeric
        && !is_numeric(gate, numeric, registry)
    {
        return Some(format!("comparison {:?}", numeric.compare_gate));
    }
    let perf = result.perf.as_ref()?;
    (!is_comparison(gate, perf, registry))
        .then(|| format!("comparison {:?} {:?}", perf.compare_gate, perf.metric))
}

fn is_comparison(gate: &Gate, perf: &PerfResult, registry: &Registry) -> bool {
    (perf.compare_gate.is_empty() || registry.gates.contains_key(&perf.compare_gate))
        && (perf.metric.is_empty() || perf.metric == gate.perf_metric())
        && perf
            .also
            .iter()
            .all(|further| gate.also.iter().any(|declared| declared.metric == further.metric))
}

fn is_numeric(gate: &Gate, numeric: &NumericResult, registry: &Registry) -> bool {
    let compared = gate.compare_gate.as_ref();
    compared.is_some_and(|id| *id == numeric.compare_gate && registry.gates.contains_key(id))
        && numeric
            .series
            .iter()
            .all(|series| gate.series.contains(&series.metric))
}

/// Whether a path matches the patterns of the registry for kernel libraries.
fn is_library(path: &str, patterns: &[PathPattern]) -> bool {
    let plain = is_of(path, 200, |b| b.is_ascii_alphanumeric() || b"._-/+".contains(&b));
    plain && patterns.iter().any(|pattern| pattern.selects_library(path))
}
