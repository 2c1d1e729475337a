//! Adapts the issue form and the pull-request template to a repository: its package, its gates, its perf gate.
//!
//! The forms of this project are the source. Only example values are replaced. Must not read or write files.

use crate::domain::registry::{GateKind, Registry, Tier};

/// The number of gates of a tier that a form shows.
const SHOWN: usize = 3;

/// Returns the form with the names of this registry, so that `lint` accepts a form that was filled in.
pub fn adapt(form: &str, registry: &Registry, package: Option<&str>) -> String {
    let ids = |tier: Tier, limit: usize| -> Vec<&str> {
        let of_tier = registry.gates.iter().filter(|(_, gate)| gate.tier == tier);
        let commands = of_tier.filter(|(_, gate)| gate.kind == GateKind::Command);
        commands.map(|(id, _)| id.as_str()).take(limit).collect()
    };
    let perf = registry.gates.iter().find_map(|(id, gate)| {
        let compared = gate.compare_gate.as_deref()?;
        (gate.kind == GateKind::Perf).then_some((id.as_str(), compared, gate.metric.as_deref()))
    });
    // A contract with a perf gate requires the gate that it compares.
    let required = || -> Vec<&str> {
        let first = ids(Tier::A, SHOWN);
        let then = match perf {
            Some((_, compared, _)) => vec![compared],
            None => ids(Tier::B, 1),
        };
        let then = then.into_iter().filter(|id| !first.contains(id)).collect();
        [first.clone(), then].concat()
    };
    let mut adapted = String::new();
    // The indent of the key whose example values are left out.
    let mut left_out: Option<usize> = None;
    for line in form.lines() {
        let rest = line.trim_start();
        let indent = line.len() - rest.len();
        if left_out.is_some_and(|key| indent > key && !rest.is_empty()) {
            continue;
        }
        left_out = None;
        let shown = match rest {
            "required:" => Some(required()),
            "tier_a:" => Some(ids(Tier::A, SHOWN)),
            _ => None,
        };
        if let Some(shown) = shown {
            left_out = Some(indent);
            adapted.push_str(line);
            adapted.push_str(if shown.is_empty() { " []\n" } else { "\n" });
            for id in shown {
                adapted.push_str(&format!("{:indent$}  - {id}\n", ""));
            }
        } else if rest.starts_with("perf:") && perf.is_none() {
            left_out = Some(indent);
            // The empty line before the block goes with it.
            if adapted.ends_with("\n\n") {
                adapted.pop();
            }
        } else {
            adapted.push_str(&named(line, perf, package));
            adapted.push('\n');
        }
    }
    adapted
}

/// Replaces the names of this project in one line.
fn named(line: &str, perf: Option<(&str, &str, Option<&str>)>, package: Option<&str>) -> String {
    let rest = line.trim_start();
    match perf {
        Some((id, ..)) if rest.starts_with("gate:") => line.replace("perf:baseline_delta", id),
        Some((_, compared, _)) if rest.starts_with("compare:") => {
            line.replace("b200:moonlight_8x20", compared)
        }
        Some((.., Some(metric))) if rest.starts_with("metric:") => line.replace("node_tps_p50", metric),
        _ if rest.starts_with("- nmoe/<module>/") => match package {
            Some(package) => line.replace("nmoe/", &format!("{package}/")),
            None => line.replace("nmoe/<module>/", "<folder>/"),
        },
        _ => line.to_owned(),
    }
}
