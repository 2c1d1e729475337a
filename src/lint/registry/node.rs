//! Reads the tables of a registry, and checks the parts that several of them have: patterns and ids of gates.

use crate::document::Node;
use crate::document::node::Entry;
use crate::domain::metric::{Metric, NODE_TPS};
use crate::domain::path_pattern::PathPattern;
use crate::domain::suggest::{did_you_mean, nearest};
use crate::lint::codes::contract::{INVALID_GLOB, LITERAL_BRACES, UNKNOWN_GATE};
use crate::lint::codes::registry as codes;
use crate::lint::diagnostics::Diagnostics;
use crate::lint::path_characters;
use crate::lint::schema::clip;

/// Parses a pattern, and reports what is wrong with it.
pub(crate) fn pattern(diagnostics: &mut Diagnostics<'_>, text: &str, node: &Node) -> Option<PathPattern> {
    match path_characters::parse(text) {
        Ok(pattern) => {
            braces(diagnostics, &pattern, node);
            Some(pattern)
        }
        Err(fault) => {
            let message = format!("`{}` is not a path pattern", clip(text));
            diagnostics.report(&INVALID_GLOB, &node.span, message).help = Some(fault);
            None
        }
    }
}

/// Reports `{a,b}`, because braces are literal in patterns.
fn braces(diagnostics: &mut Diagnostics<'_>, pattern: &PathPattern, node: &Node) {
    if pattern.has_literal_braces() {
        let message = format!("the braces in `{}` are literal", clip(pattern.written()));
        diagnostics.report(&LITERAL_BRACES, &node.span, message).help =
            Some("write one entry for each alternative".to_owned());
    }
}

pub(super) fn kind(gate: &Node) -> &str {
    match gate.get("kind").and_then(Node::text) {
        None | Some("cmd") => "command",
        Some(kind) => kind,
    }
}

pub(super) fn text<'n>(gate: &'n Node, key: &str) -> Option<&'n str> {
    gate.get(key).and_then(Node::text)
}

pub(super) fn unknown(diagnostics: &mut Diagnostics<'_>, id: &str, node: &Node, gates: &[Entry]) {
    let meant = nearest(id, gates.iter().map(|g| g.key.as_str()));
    let fix = meant.map(|m| diagnostics.fix(&node.span, format!("\"{m}\"")));
    let message = format!("there is no gate `{}`", clip(id));
    let finding = diagnostics.report(&UNKNOWN_GATE, &node.span, message);
    finding.help = Some(match meant {
        Some(meant) => did_you_mean(meant),
        None => "add the gate to `gates`, or name another one".to_owned(),
    });
    finding.fix = fix;
}

/// Returns the gate that a gate compares: its id, where it is named, and its entry. Reports a gate that cannot be compared.
pub(super) fn compared_gate<'n>(
    diagnostics: &mut Diagnostics<'_>,
    gate: &'n Node,
    gates: &'n [Entry],
) -> Option<(&'n str, &'n Node, &'n Entry)> {
    let (compared_id, compare) = gate.get("compare_gate").and_then(|n| n.text().map(|t| (t, n)))?;
    let Some(compared) = gates.iter().find(|g| g.key == compared_id) else {
        unknown(diagnostics, compared_id, compare, gates);
        return None;
    };
    if kind(&compared.node) != "command" {
        let message = format!(
            "`{}` is of kind {} and prints no metrics",
            clip(compared_id),
            kind(&compared.node)
        );
        diagnostics
            .report(&codes::METRIC_NOT_YIELDED, &compare.span, message)
            .help = Some("compare a gate that runs a command".to_owned());
        return None;
    }
    Some((compared_id, compare, compared))
}

/// Whether a gate of this kind compares another gate.
pub(super) fn compares(kind: &str) -> bool {
    matches!(kind, "perf" | "numeric")
}

/// Whether a gate reads a metric. Every gate can read `node_tps`.
pub(super) fn reads(own: &[Metric], name: &str) -> bool {
    name == NODE_TPS || own.iter().any(|metric| metric.name == name)
}
