//! Checks a perf gate against the gate that it compares.

use crate::document::Node;
use crate::document::node::Entry;
use crate::domain::metric::NODE_TPS;
use crate::domain::noise::metric_name;
use crate::domain::registry::DEFAULT_PERF_METRIC;
use crate::lint::codes::document::{MISSING_KEY, WRONG_TYPE};
use crate::lint::codes::registry as codes;
use crate::lint::context::metrics_of;
use crate::lint::diagnostics::Diagnostics;
use crate::lint::gate_command;
use crate::lint::registry::node::{compared_gate, reads, text};
use crate::lint::schema::clip;

pub(super) fn check(diagnostics: &mut Diagnostics<'_>, entry: &Entry, gates: &[Entry]) {
    let gate = &entry.node;
    let id = clip(&entry.key);
    if gate.entry("compare_gate").is_none() {
        let message = format!("the perf gate `{id}` has no `compare_gate`");
        diagnostics.report(&MISSING_KEY, &entry.key_span, message);
    }
    for key in ["pairs", "max_pairs"] {
        let Some((said, node)) = gate.get(key).and_then(|n| n.number().map(|v| (v, n))) else {
            continue;
        };
        if said < 1.0 {
            diagnostics.report(&WRONG_TYPE, &node.span, format!("`{key}` must be 1 or more"));
        }
    }
    let bound = |key: &str| gate.get(key).and_then(Node::number);
    if let (Some(pairs), Some(max), Some(node)) = (bound("pairs"), bound("max_pairs"), gate.get("max_pairs"))
        && pairs > max
        && max >= 1.0
    {
        diagnostics.report(&WRONG_TYPE, &node.span, "`max_pairs` is below `pairs`");
    }
    let Some((compared_id, compare, compared)) = compared_gate(diagnostics, gate, gates) else {
        return;
    };
    let command = text(&compared.node, "cmd").unwrap_or_default();
    let own = metrics_of(&compared.node);
    let names = || own.iter().map(|m| m.name.as_str());
    let metric = text(gate, "metric").unwrap_or(DEFAULT_PERF_METRIC);
    let name = metric.strip_suffix("_p50");
    if !name.is_some_and(|n| reads(&own, n)) {
        let known: Vec<String> = std::iter::once(NODE_TPS)
            .chain(names())
            .map(|n| format!("{n}_p50"))
            .collect();
        let message = format!("`{}` does not print `{}`", clip(compared_id), clip(metric));
        let node = gate.get("metric").unwrap_or(compare);
        diagnostics
            .report(&codes::METRIC_NOT_YIELDED, &node.span, message)
            .help = Some(format!("it prints {}", known.join(", ")));
        return;
    }
    let processes = gate_command::option(command, "nproc_per_node").unwrap_or(1);
    if name == Some(NODE_TPS)
        && gate_command::is_trainer(command)
        && processes <= 1
        && names().all(|own| own != NODE_TPS)
    {
        let message = format!(
            "`{}` trains in one process, which prints no node_tps",
            clip(compared_id)
        );
        diagnostics
            .report(&codes::METRIC_NOT_YIELDED, &compare.span, message)
            .help = Some("compare a gate that trains in several processes".to_owned());
        return;
    }
    further_metrics(diagnostics, gate, &compared.node);
    let whole = format!("{command} {}", text(gate, "perf_args").unwrap_or_default());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 0, checked by the shape"
    )]
    let warmup = bound("warmup_steps").map(|n| n as u64);
    if let Some((have, need)) = gate_command::samples(&whole, warmup, bound("pairs") == Some(1.0))
        && have < need
    {
        let message = format!(
            "`{}` prints {have} samples after the warm-up; a verdict needs {need}",
            clip(compared_id)
        );
        diagnostics
            .report(&codes::TOO_FEW_SAMPLES, &compare.span, message)
            .help = Some(
            "add `perf_args = \"--log_every=1\"` to the perf gate, or give the compared gate more steps"
                .to_owned(),
        );
    }
}

/// Checks the further metrics of a perf gate: the compared gate prints each, none is named twice, and budgets are percentages.
fn further_metrics(diagnostics: &mut Diagnostics<'_>, gate: &Node, compared: &Node) {
    let own = metrics_of(compared);
    let main = text(gate, "metric").unwrap_or(DEFAULT_PERF_METRIC);
    let mut named = vec![metric_name(main)];
    for further in gate.get("also").map(Node::items).unwrap_or_default() {
        if let Some((name, node)) = further.get("metric").and_then(|n| n.text().map(|t| (t, n))) {
            if !reads(&own, name) {
                let message = format!("the compared gate does not read `{}`", clip(name));
                diagnostics
                    .report(&codes::METRIC_NOT_YIELDED, &node.span, message)
                    .help = Some("declare the metric in the compared gate".to_owned());
            } else if named.contains(&name) {
                let message = format!("`{}` is compared twice", clip(name));
                diagnostics
                    .report(&codes::METRIC_NOT_YIELDED, &node.span, message)
                    .help = Some("remove one of the two".to_owned());
            }
            named.push(name);
        }
        if let Some((budget, node)) = further.get("budget_pct").and_then(|n| n.number().map(|v| (v, n)))
            && !(budget > -100.0 && budget < 100.0)
        {
            diagnostics.report(
                &WRONG_TYPE,
                &node.span,
                "`budget_pct` must be above -100 and below 100",
            );
        }
    }
}
