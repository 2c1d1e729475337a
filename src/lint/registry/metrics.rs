//! Checks the metrics of a gate: names, patterns, and how each is read.

use std::collections::HashSet;

use crate::document::Node;
use crate::domain::metric::MetricPattern;
use crate::lint::codes::document::{DUPLICATE_ENTRY, WRONG_TYPE};
use crate::lint::codes::registry as codes;
use crate::lint::context::metrics_of;
use crate::lint::diagnostics::Diagnostics;
use crate::lint::registry::node::text;
use crate::lint::schema::clip;

pub(super) fn check(diagnostics: &mut Diagnostics<'_>, gate: &Node) {
    let mut names: HashSet<&str> = HashSet::new();
    let metrics = metrics_of(gate);
    let known: HashSet<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
    for metric in gate.get("metrics").map(Node::items).unwrap_or_default() {
        if let Some((name, node)) = metric.get("name").and_then(|n| n.text().map(|t| (t, n)))
            && !names.insert(name)
        {
            let message = format!("a second metric `{}`", clip(name));
            diagnostics.report(&DUPLICATE_ENTRY, &node.span, message);
        }
        reading(diagnostics, metric, &known);
        let Some((pattern, node)) = metric.get("pattern").and_then(|n| n.text().map(|t| (t, n))) else {
            continue;
        };
        if let Err(fault) = MetricPattern::new(pattern) {
            let message = format!("the pattern cannot be used: {fault}");
            diagnostics.report(&codes::INVALID_PATTERN, &node.span, message);
        }
    }
}

/// Checks the keys that define how a metric is read.
fn reading(diagnostics: &mut Diagnostics<'_>, metric: &Node, known: &HashSet<&str>) {
    if let Some(node) = metric
        .get("scale")
        .filter(|n| n.number().is_some_and(|scale| scale <= 0.0))
    {
        diagnostics.report(&WRONG_TYPE, &node.span, "`scale` must be above 0");
    }
    if let (Some(node), Some(_)) = (metric.get("label"), metric.get("pattern")) {
        let message = "a metric has a `label` or a `pattern`, not both";
        diagnostics.report(&codes::INVALID_PATTERN, &node.span, message);
    }
    if let Some((per, node)) = metric.get("rate").and_then(|n| n.text().map(|t| (t, n)))
        && per != "step"
        && !(known.contains(per) && Some(per) != text(metric, "name"))
    {
        let message = format!("`rate` names `{}`, which the gate does not read", clip(per));
        diagnostics
            .report(&codes::INVALID_PATTERN, &node.span, message)
            .help = Some("name `step`, or another metric of this gate".to_owned());
    }
}
