//! Defines what the lints compare a document with: the registry, the files of the checkout, naming, noise.

use std::cell::LazyCell;
use std::collections::BTreeSet;

use crate::document::Node;
use crate::domain::metric::{self, Direction, Metric};
use crate::domain::noise::{self, NoiseTable};
use crate::domain::preset::Preset;
use crate::domain::registry::DEFAULT_PERF_METRIC;
use crate::domain::settings::{Contracts, Naming};
use leakscan::scan::Options;

/// What the lints compare a document with. Absent parts are not checked.
#[derive(Default)]
pub struct LintContext {
    /// The registry of the policy checkout.
    pub registry: Option<RegistryIndex>,
    /// The files of the checkout under test.
    pub files: Files,
    pub naming: Naming,
    /// What every contract must contain.
    pub contracts: Contracts,
    /// Private terms, in addition to the built-in rules.
    pub leaks: Options,
    /// The measured noise of each gate, which limits its budget.
    pub noise: NoiseTable,
}

/// The files of a checkout, relative, with `/`. The first access lists them.
pub struct Files {
    list: LazyCell<Option<Vec<String>>, List>,
    folders: LazyCell<BTreeSet<String>, Folders>,
}

type List = Box<dyn FnOnce() -> Option<Vec<String>>>;
type Folders = Box<dyn FnOnce() -> BTreeSet<String>>;

impl Files {
    /// Makes a list that `list` fills on the first access. `folders` returns the folders at the top, without that list.
    pub fn listed_by(
        list: impl FnOnce() -> Option<Vec<String>> + 'static,
        folders: impl FnOnce() -> BTreeSet<String> + 'static,
    ) -> Self {
        Files {
            list: LazyCell::new(Box::new(list)),
            folders: LazyCell::new(Box::new(folders)),
        }
    }

    /// Returns the files; `None` without a checkout.
    pub fn get(&self) -> Option<&[String]> {
        self.list.as_deref()
    }

    /// Returns the names of the folders at the top of the checkout.
    pub fn folders(&self) -> &BTreeSet<String> {
        &self.folders
    }
}

impl Default for Files {
    fn default() -> Self {
        Files::listed_by(|| None, BTreeSet::new)
    }
}

/// A registry as far as it can be read, so that a registry with errors still serves the other lints.
#[derive(Clone, Debug)]
pub struct RegistryIndex(Node);

/// The entry of a gate in a registry.
#[derive(Clone, Copy)]
pub struct Gate<'n>(&'n Node);

impl RegistryIndex {
    /// Takes the position tree of a registry.
    pub fn new(root: Node) -> Self {
        RegistryIndex(root)
    }

    /// Returns the ids of the gates, in the order of the file.
    pub fn gate_ids(&self) -> impl Iterator<Item = &str> {
        self.ids("gates")
    }

    /// Returns the names of the bundles, in the order of the file.
    pub fn bundle_ids(&self) -> impl Iterator<Item = &str> {
        self.ids("bundles")
    }

    fn ids(&self, table: &str) -> impl Iterator<Item = &str> {
        let entries = self.0.get(table).map(Node::entries).unwrap_or_default();
        entries.iter().map(|entry| entry.key.as_str())
    }

    /// Returns the gate with this id.
    pub fn gate(&self, id: &str) -> Option<Gate<'_>> {
        self.0.at(&["gates", id]).map(Gate)
    }

    /// Whether a lower value of a perf gate's metric is better.
    pub fn is_lower_better(&self, perf_gate: &str) -> bool {
        let lower = || {
            let gate = self.gate(perf_gate)?;
            let compared = self.gate(gate.text("compare_gate")?)?;
            let name = noise::metric_name(gate.perf_metric());
            let metrics = metrics_of(compared.0);
            let metric = metrics.iter().find(|metric| metric.name == name)?;
            Some(metric.direction == Direction::Lower)
        };
        lower().unwrap_or(false)
    }
}

impl<'n> Gate<'n> {
    /// Whether the gate compares the metric of another gate.
    pub fn is_perf(self) -> bool {
        self.text("kind") == Some("perf")
    }

    /// Returns the metric that a perf gate compares, as [`crate::domain::registry::Gate::perf_metric`].
    pub fn perf_metric(self) -> &'n str {
        self.text("metric").unwrap_or(DEFAULT_PERF_METRIC)
    }

    /// Returns the text of a key, if it is not empty.
    pub fn text(self, key: &str) -> Option<&'n str> {
        self.0.get(key)?.text()
    }
}

/// Returns the metrics that are read from the output of a gate: its own and those of its preset.
pub fn metrics_of(gate: &Node) -> Vec<Metric> {
    let text = |node: &Node, key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    let preset = text(gate, "preset");
    let ready = Preset::ALL
        .iter()
        .find(|p| Some(p.as_str()) == preset.as_deref())
        .map(|p| p.metrics())
        .unwrap_or_default();
    let own = gate.get("metrics").map(Node::items).unwrap_or_default();
    let declared: Vec<Metric> = own
        .iter()
        .filter_map(|metric| {
            Some(Metric {
                direction: match text(metric, "direction").as_deref() {
                    Some("lower") => Direction::Lower,
                    _ => Direction::Higher,
                },
                ..Metric::named(&text(metric, "name")?)
            })
        })
        .collect();
    metric::completed(&declared, &ready)
}
