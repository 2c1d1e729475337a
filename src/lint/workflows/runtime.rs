//! Actions that run on a Node.js version which GitHub's runners no longer have.
//!
//! Must not send requests: the first major version on a living runtime is known only for actions that many workflows use.

use crate::document::node::Node;
use crate::lint::workflows::codes;
use crate::lint::workflows::job::Step;
use crate::lint::workflows::sink::Sink;

/// The first major version of an action that runs on Node.js 24, by the `runs.using` of its tags.
pub(super) const FIRST: [(&str, u32); 6] = [
    ("actions/attest", 3),
    ("actions/cache", 5),
    ("actions/checkout", 5),
    ("actions/deploy-pages", 5),
    ("actions/download-artifact", 7),
    ("actions/upload-artifact", 6),
];

/// Runtimes that are gone.
const DEAD: [&str; 3] = ["node12", "node16", "node20"];

pub(super) fn judge(step: &Step, sink: &mut Sink) {
    let Some((uses, span)) = &step.uses else { return };
    let Some((action, version)) = uses.split_once('@') else {
        return;
    };
    // `actions/cache/save` belongs to the repository `actions/cache`.
    let repository = action.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
    let Some((_, first)) = FIRST.iter().find(|(known, _)| *known == repository) else {
        return;
    };
    let text = sink.source.text();
    let line = text[span.end..].lines().next().unwrap_or_default();
    let comment = line.split_once('#').map_or("", |(_, comment)| comment.trim());
    let Some(major) = major(version).or_else(|| major(comment)) else {
        return;
    };
    if major < *first {
        sink.push(
            &codes::DEAD_RUNTIME,
            span,
            format!("`{repository}` v{major} needs a Node.js version that runners no longer have; v{first} is the first on Node.js 24"),
        );
    }
}

/// Checks the `runs.using` of an action file.
pub(super) fn of_action(tree: &Node, sink: &mut Sink) {
    let Some(using) = tree.at(&["runs", "using"]) else {
        return;
    };
    if let Some(name) = using.text().filter(|name| DEAD.contains(name)) {
        let message = format!("the action runs on `{name}`, which runners no longer have");
        sink.push(&codes::DEAD_RUNTIME, &using.span, message);
    }
}

/// Returns the major version of `v4`, `v4.2.2` or `v4 more text`.
fn major(version: &str) -> Option<u32> {
    let digits = version.strip_prefix('v')?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}
