//! What a document may be held against: the registry's ids, the checkout's files, the agreed contract, names.
//!
//! Read leniently from position trees, so that a registry or contract with a fault of its own still serves.

use std::cell::LazyCell;

use indexmap::IndexMap;

use crate::document::Node;
use crate::domain::metric::{self, Direction, Metric};
use crate::domain::noise::NoiseTable;
use crate::domain::preset::Preset;
use crate::domain::settings::Naming;
use leakscan::scan::Options;

/// Everything that is known around a document. Absent facts are not judged.
#[derive(Default)]
pub struct Facts {
    /// The registry of the policy checkout.
    pub registry: Option<Known>,
    /// The files of the checkout under test.
    pub files: Files,
    /// How branches are named.
    pub naming: Naming,
    /// What must not be public beyond the built-in rules.
    pub leaks: Options,
    /// What budgets each gate can be held to, as far as it was measured.
    pub noise: NoiseTable,
}

/// The files of a checkout, relative, with `/`; listed when somebody first asks.
pub struct Files(LazyCell<Option<Vec<String>>, List>);

type List = Box<dyn FnOnce() -> Option<Vec<String>>>;

impl Files {
    /// Files that this lists; none where there is no checkout.
    pub fn listed_by(list: impl FnOnce() -> Option<Vec<String>> + 'static) -> Self {
        Files(LazyCell::new(Box::new(list)))
    }

    /// The files; none where there is no checkout.
    pub fn get(&self) -> Option<&[String]> {
        self.0.as_deref()
    }
}

impl Default for Files {
    fn default() -> Self {
        Files::listed_by(|| None)
    }
}

/// The ids of a registry and what is fixed about them.
#[derive(Debug, Default)]
pub struct Known {
    /// Gates by id.
    pub gates: IndexMap<String, KnownGate>,
    /// Names of bundles.
    pub bundles: Vec<String>,
}

/// What the registry fixes about a gate.
#[derive(Debug, Default)]
pub struct KnownGate {
    /// `a` or `b`.
    pub tier: String,
    /// Whether it compares another gate's metric.
    pub is_perf: bool,
    /// The gate that it compares.
    pub compare_gate: Option<String>,
    /// The metric that it compares.
    pub metric: Option<String>,
    /// Metrics of its output where lower is better.
    pub lower_is_better: Vec<String>,
}

impl Known {
    /// What a registry's tree says, whatever else is wrong with it.
    pub fn read(root: &Node) -> Self {
        let own = |node: &Node, key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
        let gates = root.get("gates").map(Node::entries).unwrap_or_default();
        let bundles = root.get("bundles").map(Node::entries).unwrap_or_default();
        Known {
            gates: gates
                .iter()
                .map(|entry| {
                    let gate = &entry.node;
                    let known = KnownGate {
                        tier: own(gate, "tier").unwrap_or_default(),
                        is_perf: own(gate, "kind").as_deref() == Some("perf"),
                        compare_gate: own(gate, "compare_gate"),
                        metric: own(gate, "metric"),
                        lower_is_better: metrics_of(gate)
                            .into_iter()
                            .filter(|m| m.direction == Direction::Lower)
                            .map(|m| m.name)
                            .collect(),
                    };
                    (entry.key.clone(), known)
                })
                .collect(),
            bundles: bundles.iter().map(|e| e.key.clone()).collect(),
        }
    }

    /// Whether lower is better for a perf gate's metric.
    pub fn is_lower_better(&self, perf_gate: &str) -> bool {
        let gate = self.gates.get(perf_gate);
        let metric = gate.and_then(|g| g.metric.as_deref()).unwrap_or_default();
        let name = metric.strip_suffix("_p50").unwrap_or(metric);
        gate.and_then(|g| self.gates.get(g.compare_gate.as_deref()?))
            .is_some_and(|compared| compared.lower_is_better.iter().any(|m| m == name))
    }
}

/// The metrics that a gate's output is read for, as far as its entry says so: its own and its preset's.
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

/// What a contract fixes, as far as it says so.
#[derive(Debug, Default)]
pub struct Agreed {
    /// Contract id.
    pub issue: Option<String>,
    /// Slug of the branch.
    pub slug: Option<String>,
    /// Risk.
    pub risk: Option<String>,
    /// Required gates.
    pub required: Vec<String>,
    /// The perf block.
    pub perf: Option<AgreedPerf>,
}

/// The perf block of a contract.
#[derive(Debug, Default)]
pub struct AgreedPerf {
    /// The perf gate.
    pub gate: Option<String>,
    /// The gate it compares.
    pub compare: Option<String>,
    /// The metric it compares.
    pub metric: Option<String>,
    /// Percent.
    pub budget_pct: Option<f64>,
}

impl Agreed {
    /// What a contract's tree says, whatever else is wrong with it.
    pub fn read(root: &Node) -> Self {
        let own = |keys: &[&str]| root.at(keys).and_then(Node::text).map(str::to_owned);
        let perf = root.at(&["gates", "perf"]).filter(|p| !p.entries().is_empty());
        Agreed {
            issue: own(&["nmoe", "issue"]),
            slug: own(&["nmoe", "slug"]),
            risk: own(&["nmoe", "risk"]),
            required: root
                .at(&["gates", "required"])
                .map(|list| list.texts().map(|(text, _)| text.to_owned()).collect())
                .unwrap_or_default(),
            perf: perf.map(|_| AgreedPerf {
                gate: own(&["gates", "perf", "gate"]),
                compare: own(&["gates", "perf", "compare"]),
                metric: own(&["gates", "perf", "metric"]),
                budget_pct: root.at(&["gates", "perf", "budget_pct"]).and_then(Node::number),
            }),
        }
    }
}
