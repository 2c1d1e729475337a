//! Compares the files that `init` writes with the registry: the gates that a form names, and the bundles that tier-b.yml offers.
//!
//! Must not read files.

use crate::document::source::Source;
use crate::domain::finding::{Finding, Region};
use crate::domain::registry::{Registry, SINGLE};
use crate::lint::codes::contract::UNKNOWN_GATE;
use crate::lint::workflows;

/// The step that updates all of these files.
const UPDATE: &str = "`nmoe-gates init` shows what to update";

/// Returns the gates that a form gives as examples and the registry does not have, with their lines from 0.
pub fn unknown_gates<'f>(form: &'f str, registry: &Registry) -> Vec<(usize, &'f str)> {
    let mut in_list = false;
    let examples = form.lines().enumerate().filter_map(|(n, line)| {
        let rest = line.trim();
        match rest.strip_prefix("- ") {
            Some(id) => in_list.then(|| (n, id.trim())),
            None => {
                in_list = ["required:", "tier_a:", "tier_b:"].contains(&rest);
                None
            }
        }
    });
    examples
        .filter(|(_, id)| !registry.gates.contains_key(*id))
        .collect()
}

/// Checks a form.
pub fn form(source: &Source, registry: &Registry) -> Vec<Finding> {
    let found = unknown_gates(source.text(), registry).into_iter();
    found
        .map(|(n, id)| {
            let line = source.text().lines().nth(n).unwrap_or_default();
            let before = line.split(id).next().unwrap_or_default().chars().count();
            let column = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
            let line = column(n);
            let region = Region {
                line,
                column: column(before),
                end_line: line,
                end_column: column(before + id.chars().count()),
            };
            let message = format!("the form names the gate `{id}`, which the registry does not have");
            let finding = Finding::new(&UNKNOWN_GATE, message).at(region).help(UPDATE);
            finding.in_path(source.name().unwrap_or_default())
        })
        .collect()
}

/// Returns how the bundles that tier-b.yml offers differ from the registry; `None` if they agree or it offers none.
pub fn bundles(offered: &[String], registry: &Registry) -> Option<String> {
    if offered.is_empty() {
        return None;
    }
    let known = registry.bundles.keys().map(|id| id.as_str());
    let absent: Vec<&str> = known.filter(|name| !offered.iter().any(|o| o == name)).collect();
    let names = offered.iter().map(String::as_str);
    let unknown: Vec<&str> = names
        .filter(|name| *name != SINGLE && !registry.bundles.contains_key(*name))
        .collect();
    let mut found = Vec::new();
    if !absent.is_empty() {
        found.push(format!("does not offer {}", absent.join(", ")));
    }
    if !unknown.is_empty() {
        found.push(format!(
            "offers {}, which the registry does not have",
            unknown.join(", ")
        ));
    }
    (!found.is_empty()).then(|| found.join(", and "))
}

/// Checks the bundles that a workflow offers.
pub fn choices(source: &Source, registry: &Registry) -> Option<Finding> {
    let differs = bundles(&workflows::options(source, "bundle"), registry)?;
    let finding =
        Finding::new(&workflows::STALE_CHOICES, format!("the input `bundle` {differs}")).help(UPDATE);
    Some(finding.in_path(source.name().unwrap_or_default()))
}
