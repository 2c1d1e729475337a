//! Many contracts at once: who waits for whom, what they would fight over, and what can run in parallel.
//!
//! Takes contracts as plain [`Item`]s; knows nothing of files, GitHub or branches.

pub mod codes;
pub mod conflicts;
pub mod contracts;
pub mod graph;
pub mod hotspots;
pub mod images;
pub mod item;
pub mod overlap;
pub mod show;
pub mod waves;

use serde::Serialize;

use crate::domain::finding::{Finding, FindingJson};
use crate::domain::next_step::NextStep;
use crate::domain::settings;

pub use hotspots::{Hotspot, HotspotKind};
pub use item::{Conflict, Facts, Item, natural};

/// The whole plan, as `--format json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Format version; 1.
    pub schema: u32,
    /// Every contract with its wave, in the order of the ids.
    pub contracts: Vec<Row>,
    /// Contract ids that can be worked on at the same time, wave after wave.
    pub waves: Vec<Vec<String>>,
    /// The longest chain of dependencies: no plan takes fewer waves.
    pub critical_path: Vec<String>,
    /// What several contracts touch; real conflicts first, then what excludes, then hints.
    pub hotspots: Vec<Hotspot>,
    /// Contracts that no wave can hold, with the way to what blocks them.
    pub blocked: Vec<Blocked>,
    /// Cycles, missing ends, ids that stand twice, contracts that could not be read.
    pub findings: Vec<FindingJson>,
    /// What to do now.
    pub next: Vec<NextStep>,
}

/// One contract of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Contract id.
    pub issue: String,
    /// The rest of its branch's name.
    pub slug: String,
    /// The document it was read from.
    pub path: String,
    /// Its wave, from 1; null where it is blocked.
    pub wave: Option<usize>,
    /// Contract ids that must be merged first and are not yet.
    pub waits_for: Vec<String>,
    /// Hotspots that it holds alone in its wave.
    pub exclusive: Vec<String>,
}

/// A contract that no wave can hold.
#[derive(Clone, Debug, Serialize)]
pub struct Blocked {
    /// Contract id.
    pub issue: String,
    /// `dependency-cycle` or `missing-dependency`.
    pub because: &'static str,
    /// From the contract to what blocks it.
    pub way: Vec<String>,
}

/// Makes the plan. `findings` are those of reading; those of planning are added to them.
pub fn make(
    items: &[Item],
    facts: &Facts,
    settings: &settings::Hotspots,
    mut findings: Vec<Finding>,
) -> Plan {
    let graph = graph::Graph::new(items, &facts.done);
    findings.extend(graph.findings(items));
    let spots = hotspots::find(items, facts, settings, &graph.index);
    let waves = waves::waves(&graph, &spots.held);
    let mut wave_of = vec![None; items.len()];
    for (number, wave) in waves.iter().enumerate() {
        for &member in wave {
            wave_of[member] = Some(number + 1);
        }
    }
    let id = |n: &usize| items[*n].issue.clone();
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|a, b| natural(&items[*a].issue, &items[*b].issue));
    let next = waves
        .first()
        .into_iter()
        .flatten()
        .take(20)
        .map(|n| start_next(&items[*n]))
        .collect();
    Plan {
        schema: 1,
        contracts: order
            .iter()
            .map(|&n| Row {
                issue: id(&n),
                slug: items[n].slug.clone(),
                path: items[n].path.clone(),
                wave: wave_of[n],
                waits_for: graph.waits_for[n].iter().map(id).collect(),
                exclusive: spots.names(n),
            })
            .collect(),
        waves: waves.iter().map(|wave| wave.iter().map(id).collect()).collect(),
        critical_path: graph.critical_path().iter().map(id).collect(),
        hotspots: spots.shared,
        blocked: graph
            .blocked(items)
            .into_iter()
            .map(|(n, because, way)| Blocked {
                issue: id(&n),
                because,
                way,
            })
            .collect(),
        findings: findings.iter().map(FindingJson::from).collect(),
        next,
    }
}

fn start_next(item: &Item) -> NextStep {
    use crate::domain::next_step::Who;
    NextStep::run(
        Who::Author,
        format!("start {}, nothing it needs is open", item.issue),
        ["nmoe-gates", "start", &item.issue],
    )
}
