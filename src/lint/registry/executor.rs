//! Checks where gates run: their executors, and whether an executor can run them.

use crate::document::Node;
use crate::document::node::Entry;
use crate::domain::suggest::{did_you_mean, nearest};
use crate::lint::codes::registry as codes;
use crate::lint::diagnostics::Diagnostics;
use crate::lint::registry::node::{compares, kind, text};
use crate::lint::schema::clip;

/// Checks the executor of each gate.
pub(super) fn check(diagnostics: &mut Diagnostics<'_>, root: &Node) {
    let entries = |key| root.get(key).map(Node::entries).unwrap_or_default();
    let (gates, executors) = (entries("gates"), entries("executor"));
    for gate in gates {
        let named = gate.node.get("executor").and_then(|n| n.text().map(|t| (t, n)));
        if let Some((name, node)) = named.filter(|(name, _)| !executors.iter().any(|e| e.key == *name)) {
            let meant = nearest(name, executors.iter().map(|e| e.key.as_str()));
            let message = format!("there is no executor `{}`", clip(name));
            diagnostics
                .report(&codes::UNKNOWN_EXECUTOR, &node.span, message)
                .help = Some(meant.map_or_else(|| format!("add [executor.{}]", clip(name)), did_you_mean));
            continue;
        }
        submitted(diagnostics, gate, gates, executors);
    }
    for executor in executors {
        let is_cluster = text(&executor.node, "kind") == Some("kubernetes");
        let lacks_pods = is_cluster && executor.node.get("kubernetes").is_none();
        if let Some(kind) = executor.node.get("kind").filter(|_| lacks_pods) {
            let id = clip(&executor.key);
            let message = format!("`{id}` does not say what its pods are");
            diagnostics
                .report(&codes::CANNOT_SUBMIT, &kind.span, message)
                .help = Some(format!("add [executor.{id}.kubernetes]"));
        }
    }
}

/// Whether a gate runs in a job.
fn is_submitted(gate: &Node, executors: &[Entry]) -> bool {
    let executor = text(gate, "executor").and_then(|name| executors.iter().find(|e| e.key == name));
    executor.is_some_and(|e| text(&e.node, "kind") != Some("local"))
}

fn submitted(diagnostics: &mut Diagnostics<'_>, gate: &Entry, gates: &[Entry], executors: &[Entry]) {
    let id = clip(&gate.key);
    let is_job = is_submitted(&gate.node, executors);
    let nodes = gate.node.get("nodes").and_then(|n| n.number().map(|v| (v, n)));
    if let Some((count, node)) = nodes.filter(|(count, _)| *count < 1.0 || (*count > 1.0 && !is_job)) {
        let message = format!("`{id}` cannot run on {count} nodes");
        diagnostics
            .report(&codes::CANNOT_SUBMIT, &node.span, message)
            .help = Some(match count < 1.0 {
            true => "write 1 or more".to_owned(),
            false => "name an executor of kind slurm or kubernetes".to_owned(),
        });
    }
    let kind = kind(&gate.node);
    if let Some(entry) = gate
        .node
        .entry("executor")
        .filter(|_| is_job && kind != "command")
    {
        let message = format!("`{id}` is of kind {kind} and cannot be submitted");
        diagnostics
            .report(&codes::CANNOT_SUBMIT, &entry.key_span, message)
            .help = Some("remove `executor`".to_owned());
    }
    let compared = text(&gate.node, "compare_gate").filter(|_| compares(kind));
    let compared = compared.and_then(|id| gates.iter().find(|g| g.key == id));
    if let (Some(node), Some(compared)) = (gate.node.get("compare_gate"), compared)
        && is_submitted(&compared.node, executors)
    {
        let message = format!("`{id}` compares `{}`, which runs in a job", clip(&compared.key));
        diagnostics
            .report(&codes::CANNOT_SUBMIT, &node.span, message)
            .help = Some("compare a gate without `executor`".to_owned());
    }
}
