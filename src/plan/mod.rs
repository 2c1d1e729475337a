//! Plans many contracts: dependencies, hotspots, and the waves that can run in parallel.
//!
//! [`make`] takes contracts as plain [`Item`]s. [`contracts`] reads them, and [`conflicts`] compares their branches. A service for
//! commands: no command line, no output, no environment variables.

pub mod codes;
pub mod conflicts;
pub mod contracts;
pub mod dockerfile;
pub mod graph;
pub mod hotspots;
pub mod images;
pub mod item;
pub mod overlap;
pub mod render;
pub mod waves;

use std::collections::HashSet;

use serde::Serialize;

use crate::domain::finding::{Finding, FindingJson, listed};
use crate::domain::next_step::{NextStep, Who};
use crate::domain::settings;

pub use hotspots::{Hotspot, HotspotKind};
pub use item::{Conflict, Facts, Item, Taken, natural};

/// A plan, as `--format json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Format version; 1.
    pub schema: u32,
    /// All contracts, sorted by id.
    pub contracts: Vec<Row>,
    /// The contract ids of each wave.
    pub waves: Vec<Vec<String>>,
    /// The longest chain of dependencies. No plan has fewer waves.
    pub critical_path: Vec<String>,
    /// The hotspots: conflicts first, then other exclusive hotspots, then hints.
    pub hotspots: Vec<Hotspot>,
    /// The contracts in no wave, with the cause.
    pub blocked: Vec<Blocked>,
    /// Cycles, missing dependencies, duplicate ids, invalid contracts.
    pub findings: Vec<FindingJson>,
    pub next: Vec<NextStep>,
}

/// One contract of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The contract id.
    pub issue: String,
    pub slug: String,
    /// The name of the document.
    pub path: String,
    /// The wave, from 1; `None` if the contract is blocked.
    pub wave: Option<usize>,
    /// The unmerged dependencies.
    pub waits_for: Vec<String>,
    /// The hotspots that no other contract of the wave changes.
    pub exclusive: Vec<String>,
    /// Who works on it; `None` if the contract is free.
    pub taken: Option<Taken>,
}

/// A contract in no wave.
#[derive(Clone, Debug, Serialize)]
pub struct Blocked {
    /// The contract id.
    pub issue: String,
    /// `dependency-cycle` or `missing-dependency`.
    pub because: &'static str,
    /// The path from the contract to the cause.
    pub way: Vec<String>,
}

/// Makes a plan. `findings` are the findings of [`contracts::read`].
pub fn make(
    items: &[Item],
    facts: &Facts,
    settings: &settings::Hotspots,
    mut findings: Vec<Finding>,
) -> Plan {
    let graph = graph::Graph::new(items, &facts.done);
    findings.extend(graph.findings(items));
    let spots = hotspots::find(items, facts, settings, &graph.index);
    findings.extend(spots.finding(items));
    let waves = waves::waves(&graph, &spots.exclusive_of);
    let mut wave_of = vec![None; items.len()];
    for (number, wave) in waves.iter().enumerate() {
        for &member in wave {
            wave_of[member] = Some(number + 1);
        }
    }
    let id = |n: &usize| items[*n].issue.clone();
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|a, b| natural(&items[*a].issue, &items[*b].issue));
    let next = next(items, facts, &waves, &spots);
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
                taken: facts.taken.get(&items[n].issue).cloned(),
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
        findings: listed(&findings).iter().map(FindingJson::from).collect(),
        next,
    }
}

/// Returns the steps that are possible now: free contracts of the first wave whose hotspots are free; without any, what is in review.
fn next(items: &[Item], facts: &Facts, waves: &[Vec<usize>], spots: &hotspots::Spots) -> Vec<NextStep> {
    let is_taken = |n: usize| facts.taken.contains_key(&items[n].issue);
    let busy: HashSet<usize> = (0..items.len())
        .filter(|n| is_taken(*n) && !facts.untrusted.contains(&items[*n].issue))
        .flat_map(|n| &spots.exclusive_of[n])
        .copied()
        .collect();
    let first = waves.first().into_iter().flatten().copied();
    let is_free = |n: &usize| {
        !is_taken(*n)
            && !facts.untrusted.contains(&items[*n].issue)
            && !spots.exclusive_of[*n].iter().any(|s| busy.contains(s))
    };
    let free = first.filter(is_free);
    let start = |n: usize| {
        let item = &items[n];
        let command = ["nmoe-gates", "start", &item.issue].map(str::to_owned);
        NextStep::run(
            Who::Author,
            format!("start {}: all its dependencies are merged", item.issue),
            command.into_iter().chain(facts.options.iter().cloned()),
        )
    };
    let steps: Vec<NextStep> = free.take(20).map(start).collect();
    if !steps.is_empty() {
        return steps;
    }
    let in_review = facts
        .taken
        .iter()
        .filter_map(|(id, taken)| Some((id, taken.pull?)));
    in_review
        .take(20)
        .map(|(id, pull)| {
            let command = ["nmoe-gates", "ready", &pull.to_string()].map(str::to_owned);
            NextStep::run(
                Who::MergeCaptain,
                format!("see what blocks the merge of {id}, which others wait for"),
                command,
            )
        })
        .collect()
}
