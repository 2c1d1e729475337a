//! Checks a numeric gate against the gate that it compares.

use crate::document::Node;
use crate::document::node::Entry;
use crate::lint::codes::document::{EMPTY_VALUE, MISSING_KEY, WRONG_TYPE};
use crate::lint::codes::registry as codes;
use crate::lint::context::metrics_of;
use crate::lint::diagnostics::Diagnostics;
use crate::lint::registry::node::{compared_gate, reads};
use crate::lint::schema::clip;

/// Checks a numeric gate: the compared gate prints each series.
pub(super) fn check(diagnostics: &mut Diagnostics<'_>, entry: &Entry, gates: &[Entry]) {
    let gate = &entry.node;
    for key in ["compare_gate", "series"] {
        if gate.entry(key).is_none() {
            let message = format!("the numeric gate `{}` has no `{key}`", clip(&entry.key));
            diagnostics.report(&MISSING_KEY, &entry.key_span, message);
        }
    }
    if let Some(node) = gate.get("series").filter(|n| n.items().is_empty()) {
        diagnostics.report(&EMPTY_VALUE, &node.span, "`series` names no metric");
    }
    if let Some((tolerance, node)) = gate.get("tolerance").and_then(|n| n.number().map(|v| (v, n)))
        && !(tolerance > 0.0 && tolerance < 1.0)
    {
        let message = "`tolerance` must be above 0 and below 1";
        diagnostics.report(&WRONG_TYPE, &node.span, message).help =
            Some("1e-5 allows a relative difference of 0.001 %".to_owned());
    }
    let Some((compared_id, _, compared)) = compared_gate(diagnostics, gate, gates) else {
        return;
    };
    let own = metrics_of(&compared.node);
    for (name, node) in gate.get("series").into_iter().flat_map(Node::texts) {
        if !reads(&own, name) {
            let message = format!("`{}` does not read `{}`", clip(compared_id), clip(name));
            diagnostics
                .report(&codes::METRIC_NOT_YIELDED, &node.span, message)
                .help = Some("declare the metric in the compared gate".to_owned());
        }
    }
}
