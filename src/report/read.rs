//! Reads results as untrusted input: one regular file of limited size that follows the schema exactly and does not contradict
//! itself.
//!
//! [`check`] defines what consistent means. The caller must check that the results are about the right commits.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::domain::ids::GateId;
use crate::domain::plausible;
use crate::domain::results::{Results, SCHEMA};
use crate::report::escape::{self, Sink};
use crate::system::files::{self, FileError};

/// Maximum size of a results file, in bytes.
pub const MAX_BYTES: u64 = 8 << 20;
/// Maximum length of a name (gate, bundle, variable, file, commit), in bytes.
const MAX_NAME: usize = 256;
/// Maximum number of gates of one run.
const MAX_GATES: usize = 100_000;

/// Why results are refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The file does not exist, or this process must not read it.
    #[error("cannot read the results")]
    Unreadable(#[from] std::io::Error),
    /// The path is a link, a folder, a pipe, or a device.
    #[error("the results are {0}, not a regular file")]
    NotRegular(&'static str),
    /// The file is larger than any run writes.
    #[error("the results are larger than {0} bytes")]
    TooLarge(u64),
    /// The file is not JSON that follows the schema.
    #[error("the results do not follow the schema: {0}")]
    Schema(String),
    /// The file follows the schema, but contradicts itself or exceeds a limit.
    #[error("the results contradict themselves: {0}")]
    Inconsistent(String),
}

/// Reads and checks a results file of at most `limit` bytes.
pub fn file_within(path: &Path, limit: u64) -> Result<Results, Refusal> {
    bytes(&regular_file(path, limit)?)
}

/// Reads and checks results of at most `limit` bytes from a stream.
pub fn stream(source: impl Read, limit: u64) -> Result<Results, Refusal> {
    let mut json = Vec::new();
    source.take(limit + 1).read_to_end(&mut json)?;
    if json.len() as u64 > limit {
        return Err(Refusal::TooLarge(limit));
    }
    bytes(&json)
}

/// Reads and checks results from memory.
pub fn bytes(json: &[u8]) -> Result<Results, Refusal> {
    if json.len() as u64 > MAX_BYTES {
        return Err(Refusal::TooLarge(MAX_BYTES));
    }
    serde_json::from_slice::<UniqueKeys>(json).map_err(schema)?;
    let results: Results = serde_json::from_slice(json).map_err(schema)?;
    check(&results)?;
    Ok(results)
}

/// Shortens and escapes the message of the parser, because the message can quote the file.
fn schema(error: serde_json::Error) -> Refusal {
    let said = error.to_string();
    let start: String = escape::text(Sink::Terminal, &said).chars().take(160).collect();
    let place = format!("line {} column {}", error.line(), error.column());
    Refusal::Schema(if said.contains(&place) && start.len() < said.len() {
        format!("{start}… at {place}")
    } else {
        start
    })
}

/// Reads one regular file of at most `limit` bytes. Refuses a link.
pub fn regular_file(path: &Path, limit: u64) -> Result<Vec<u8>, Refusal> {
    files::read_regular(path, limit).map_err(|error| match error {
        FileError::Io { error, .. } => Refusal::Unreadable(error),
        FileError::WrongKind { found, .. } => Refusal::NotRegular(found),
        FileError::TooLarge { cap, .. } => Refusal::TooLarge(cap),
    })
}

/// Checks that results are consistent: version, selection, names, numbers, and an overall verdict that follows from the gates.
pub fn check(results: &Results) -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal::Inconsistent(escape::text(Sink::Terminal, &why)));
    if results.schema != SCHEMA {
        return refuse(format!(
            "`schema` is {}, and this tool reads {SCHEMA}",
            results.schema
        ));
    }
    if results.gate_ids.len() > MAX_GATES {
        return refuse(format!("more than {MAX_GATES} gates"));
    }
    for name in names(results) {
        if name.trim().is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            let shown: String = name.chars().take(40).collect();
            return refuse(format!(
                "{shown:?} is not a name: it is empty, longer than {MAX_NAME} bytes, or holds a control character"
            ));
        }
    }
    let selected: BTreeSet<&str> = results.gate_ids.iter().map(GateId::as_str).collect();
    if selected.len() != results.gate_ids.len() {
        return refuse("`gate_ids` lists a gate twice".to_owned());
    }
    if let Some(gate) = selected.iter().find(|id| !results.results.contains_key(**id)) {
        return refuse(format!("gate {gate:?} was selected and has no result"));
    }
    if let Some(gate) = results.results.keys().find(|id| !selected.contains(id.as_str())) {
        return refuse(format!("gate {gate:?} has a result and was not selected"));
    }
    for (gate, result) in &results.results {
        if let Some(why) = plausible::contradiction(result) {
            return refuse(format!("gate {gate:?}: {why}"));
        }
    }
    if let Some(why) = plausible::odd_run(results) {
        return refuse(why);
    }
    let overall = results.evaluate();
    if overall != results.overall {
        return refuse(format!(
            "`overall` says {}, and the gates say {}",
            results.overall.as_str(),
            overall.as_str()
        ));
    }
    Ok(())
}

/// Returns every name that others chose and that is shown.
fn names(results: &Results) -> impl Iterator<Item = &str> {
    let e = &results.evidence;
    let ids = [
        &e.image,
        &e.tool,
        &e.target,
        &e.driver,
        &results.bundle,
        &results.started_at,
    ];
    let gates = results.results.values().flat_map(|r| {
        let perf = r.perf.iter().flat_map(|p| {
            let also = p.also.iter().map(|further| further.metric.as_str());
            let plain = [p.compare_gate.as_str(), p.metric.as_str()];
            plain.into_iter().chain(also).filter(|n| !n.is_empty())
        });
        let numeric = r.numeric.iter().flat_map(|n| {
            let series = n.series.iter().map(|series| series.metric.as_str());
            series
                .chain([n.compare_gate.as_str()])
                .filter(|name| !name.is_empty())
        });
        let units = r.metrics.values().filter_map(|s| s.unit.as_deref());
        r.missing_env
            .iter()
            .chain(&r.missing_files)
            .chain(r.metrics.keys())
            .chain(r.kernel_checks.iter().flat_map(|c| {
                let kernels = c.deltas.iter().map(|delta| &delta.kernel);
                std::iter::once(&c.name).chain(&c.library).chain(kernels)
            }))
            .chain(&r.supplied_by)
            .chain(&r.image)
            .map(String::as_str)
            .chain(units)
            .chain(perf)
            .chain(numeric)
    });
    ids.into_iter()
        .flatten()
        .chain(e.kernels.keys())
        .map(String::as_str)
        .chain(
            results
                .gate_ids
                .iter()
                .chain(&results.uncovered)
                .map(GateId::as_str),
        )
        .chain(gates)
}

/// Any JSON whose objects contain each key once.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueKeys)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = UniqueKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<UniqueKeys>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(serde::de::Error::custom(format_args!("duplicate key {key:?}")));
            }
            seen.insert(key);
            map.next_value::<UniqueKeys>()?;
        }
        Ok(self)
    }
}
