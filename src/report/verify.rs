//! Whether results may be published: about the right run, the right commits and the right gates, in the registry's own words.
//!
//! The job that produced them ran a stranger's code. [`crate::report::read`] holds them to the schema; this holds them to what
//! was resolved before that code ran. A refusal that is published uses closed words; its details are for the log.

use crate::domain::evidence::{Evidence, Identity};
use crate::domain::ids::{Login, Nonce, Sha256};
use crate::domain::path_pattern::PathPattern;
use crate::domain::registry::{Gate, GateKind, Registry};
use crate::domain::results::{GateResult, KernelCheck, PerfResult, Results, Series};
use crate::report::read;

/// The largest results that are published, in bytes.
pub const MAX_BYTES: u64 = 256 << 10;

/// What results must be to be published.
#[derive(Debug)]
pub struct Expected<'a> {
    /// The identities; what is null is not asked for.
    pub evidence: Evidence,
    /// Bundle, selection and gates not covered, where they were resolved before the run.
    pub selection: Option<Selection<'a>>,
    /// The registry in force.
    pub registry: &'a Registry,
}

/// What was to be run.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// Bundle that was asked for.
    pub bundle: Option<&'a str>,
    /// The gates, in order.
    pub gate_ids: &'a [String],
    /// Gates of the contract that it does not cover.
    pub uncovered: &'a [String],
}

/// Why results are not published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The kind, which may be published.
    pub why: RefusalKind,
    /// What exactly, for the log alone: it may quote the results.
    pub detail: String,
}

/// A kind of refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// There is no results file.
    Missing,
    /// It is a link, a folder, a pipe, or cannot be read.
    Unreadable,
    /// It is larger than any run writes.
    TooLarge,
    /// It does not follow the schema, or has a key twice.
    Malformed,
    /// It contradicts itself: an overall that does not follow from the verdicts, say.
    Inconsistent,
    /// It is about something else.
    Foreign(Vec<Identity>),
    /// It is not about the gates that were to be run.
    Selection,
    /// It uses names that the registry does not have.
    Vocabulary,
}

impl RefusalKind {
    /// What is said in public.
    pub fn says(&self) -> String {
        match self {
            RefusalKind::Missing => "the run left no results".to_owned(),
            RefusalKind::Unreadable => "the results are not a regular, readable file".to_owned(),
            RefusalKind::TooLarge => format!("the results are larger than {} KiB", MAX_BYTES >> 10),
            RefusalKind::Malformed => "the results do not follow the schema".to_owned(),
            RefusalKind::Inconsistent => "the results contradict themselves".to_owned(),
            RefusalKind::Foreign(identities) => format!(
                "the results are about something else; what differs: {}",
                names(identities)
            ),
            RefusalKind::Selection => "the results are not about the gates that were to be run".to_owned(),
            RefusalKind::Vocabulary => "the results use names that the registry does not have".to_owned(),
        }
    }
}

/// The words for some identities, in a row.
pub fn names(identities: &[Identity]) -> String {
    let names: Vec<&str> = identities.iter().map(|identity| identity.as_str()).collect();
    names.join(", ")
}

impl Refusal {
    /// A refusal of this kind, with its details.
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

/// Whether these results, already held to the schema, are what was expected.
pub fn verify(results: &Results, expected: &Expected<'_>) -> Result<(), Refusal> {
    if let Some(selection) = &expected.selection {
        let same = results.bundle.as_deref() == selection.bundle
            && results.gate_ids == selection.gate_ids
            && results.uncovered == selection.uncovered;
        if !same {
            return Err(Refusal::new(
                RefusalKind::Selection,
                "bundle, gate_ids or uncovered differ from what was resolved",
            ));
        }
    }
    let differ = differing(results, expected);
    if !differ.is_empty() {
        let detail = format!("{} differ from what was resolved", names(&differ));
        return Err(Refusal::new(RefusalKind::Foreign(differ), detail));
    }
    match foreign_word(results, expected.registry) {
        None => Ok(()),
        Some(word) => Err(Refusal::new(
            RefusalKind::Vocabulary,
            format!("not in the registry: {word}"),
        )),
    }
}

/// The identities that are not what they must be. Results of a run that was resolved were given their ids, so that there an
/// equal tree excuses nothing.
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

/// The first word that neither the registry nor this tool would have chosen: what would carry a stranger's text into public.
fn foreign_word(results: &Results, registry: &Registry) -> Option<String> {
    let e = &results.evidence;
    let image = |text: &str| Sha256::is_valid(text.strip_prefix("sha256:").unwrap_or(text));
    let time = |text: &str| text.len() <= 40 && text.parse::<jiff::Timestamp>().is_ok();
    let facts = [
        ("image", &e.image, image as fn(&str) -> bool),
        ("tool", &e.tool, is_version),
        ("run", &e.run, Nonce::is_valid),
        ("started_at", &results.started_at, time),
    ];
    for (name, value, fits) in facts {
        if let Some(value) = value.as_deref().filter(|value| !fits(value)) {
            return Some(format!("{name} {value:?}"));
        }
    }
    if let Some(target) = e.target.as_deref().filter(|text| !is_target(text, registry)) {
        return Some(format!("target {target:?}"));
    }
    if let Some(bundle) = results.bundle.as_deref().filter(|bundle| {
        !registry.bundles.contains_key(*bundle) && !matches!(*bundle, "single" | "tier_a" | "tier_b")
    }) {
        return Some(format!("bundle {bundle:?}"));
    }
    let known = |gate: &&String| registry.gates.contains_key(*gate);
    if let Some(gate) = results.gate_ids.iter().find(|gate| !known(gate)) {
        return Some(format!("gate {gate:?}"));
    }
    // A contract may require a gate that the registry does not have, and the table says so.
    let named = |gate: &&String| is_of(gate, 100, |b| b.is_ascii_alphanumeric() || b":._-/".contains(&b));
    if let Some(gate) = results.uncovered.iter().find(|gate| !named(gate)) {
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
    let reads = gate.reads();
    let measured = |(name, series): &(&String, &Series)| match reads.iter().find(|m| m.name == **name) {
        Some(metric) => series.unit == metric.unit,
        None => *name == "node_tps" && matches!(series.unit.as_deref(), None | Some("tokens/s")),
    };
    if let Some((name, series)) = result.metrics.iter().find(|entry| !measured(entry)) {
        return Some(format!("metric {name:?} {:?}", series.unit));
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let globs = &registry.target().kernels;
    let known = |check: &&KernelCheck| {
        is_of(&check.name, 64, plain)
            && check
                .library
                .as_deref()
                .is_none_or(|path| is_library(path, globs))
    };
    if let Some(check) = result.kernel_checks.iter().find(|check| !known(check)) {
        return Some(format!("kernel check {:?} {:?}", check.name, check.library));
    }
    if let Some(who) = &result.supplied_by
        && (gate.kind != GateKind::External || !Login::is_valid(who))
    {
        return Some(format!("supplied_by {who:?}"));
    }
    let perf = result.perf.as_ref()?;
    (!is_comparison(gate, perf, registry))
        .then(|| format!("comparison {:?} {:?}", perf.compare_gate, perf.metric))
}

fn is_comparison(gate: &Gate, perf: &PerfResult, registry: &Registry) -> bool {
    let metric = gate.metric.as_deref().unwrap_or("node_tps_p50");
    (perf.compare_gate.is_empty() || registry.gates.contains_key(&perf.compare_gate))
        && (perf.metric.is_empty() || perf.metric == metric)
}

fn is_of(text: &str, most: usize, fits: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.len() <= most && text.bytes().all(fits)
}

/// `1.2.3`, or `1.2.3-rc.4`.
fn is_version(text: &str) -> bool {
    let (release, candidate) = text.split_once("-rc.").unwrap_or((text, "0"));
    let numbers: Vec<&str> = release.split('.').collect();
    numbers.len() == 3
        && numbers
            .iter()
            .chain([&candidate])
            .all(|number| is_of(number, 6, |b| b.is_ascii_digit()))
}

/// `b200x8`: the name of a target of the registry, and how many.
fn is_target(text: &str, registry: &Registry) -> bool {
    let name = match text.rsplit_once('x') {
        Some((name, count)) if count.parse::<u16>().is_ok() => name,
        _ => text,
    };
    name == "b200" || name == registry.meta.target || registry.target.contains_key(name)
}

/// Whether the registry's patterns for kernel libraries match a path.
fn is_library(path: &str, patterns: &[PathPattern]) -> bool {
    let plain = is_of(path, 200, |b| b.is_ascii_alphanumeric() || b"._-/+".contains(&b));
    plain && patterns.iter().any(|pattern| pattern.matches(path))
}
