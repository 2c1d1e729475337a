//! Checks the registry: the file itself, the checkout under test, and the ids of an earlier revision.

mod executor;
mod gate;
mod metrics;
pub(crate) mod node;
mod numeric;
mod perf;

use crate::document::node::{Entry, Value};
use crate::document::{Document, Node, Span};
use crate::domain::finding::Finding;
use crate::domain::ids::GateId;
use crate::domain::registry::{RESERVED_BUNDLES, Registry};
use crate::lint::codes::document::{EMPTY_VALUE, MISSING_KEY, WRONG_TYPE};
use crate::lint::codes::registry as codes;
use crate::lint::context::RegistryIndex;
use crate::lint::diagnostics::Diagnostics;
use crate::lint::registry::node::{compares, kind, pattern, text, unknown};
use crate::lint::schema::{self, Strictness, clip};
use crate::lint::schemas;
use leakscan::scan::Options;

/// What a registry is compared with. Absent parts are not checked.
#[derive(Default)]
pub struct RegistryContext<'f> {
    /// Whether the checkout under test has a file: [`crate::system::files::contains`], as the preflight check of `run`.
    pub has_file: Option<&'f dyn Fn(&str) -> bool>,
    /// The registry of the base.
    pub base: Option<&'f RegistryIndex>,
    /// Private terms, in addition to the built-in rules.
    pub leaks: Options,
}

/// Lists what is wrong with a registry, in the order of the file.
pub fn lint(document: &Document<Registry>, around: &RegistryContext<'_>) -> Vec<Finding> {
    let mut diagnostics = Diagnostics::of(document);
    diagnostics.leaks(&around.leaks);
    let readable = document.defects.is_empty();
    if let Some(root) = &document.root {
        let anchor = document.anchor();
        schema::check(
            &mut diagnostics,
            root,
            &schemas::REGISTRY,
            "",
            &anchor,
            Strictness::File,
        );
        head(&mut diagnostics, root);
        gate::image(&mut diagnostics, root);
        executor::check(&mut diagnostics, root);
        let missing = gate::check_all(&mut diagnostics, root, around.has_file);
        bundles(&mut diagnostics, root, &missing);
        if let (Some(base), true) = (around.base, readable) {
            vanished(&mut diagnostics, root, base, &anchor);
        }
    }
    if let Err(defect) = &document.value
        && readable
        && !diagnostics.has_errors()
    {
        // The tables and the types should accept the same documents. If they differ, the types decide.
        diagnostics.defect(defect);
    }
    let mut findings = diagnostics.finish();
    if !readable {
        // After a syntax error these findings are only consequences of it.
        let echoes = [&WRONG_TYPE, &EMPTY_VALUE, &MISSING_KEY];
        findings.retain(|f| !echoes.contains(&f.code));
    }
    findings
}

fn head(diagnostics: &mut Diagnostics<'_>, root: &Node) {
    if let Some(node) = root.at(&["meta", "version"])
        && node.text().is_some_and(|v| v != "1")
    {
        let message = format!("unknown version `{}`", clip(node.text().unwrap_or_default()));
        diagnostics
            .report(&codes::UNSUPPORTED_VERSION, &node.span, message)
            .help = Some("the version is \"1\"".to_owned());
    }
    let targets = root.get("target").map(Node::entries).unwrap_or_default();
    if let Some((name, node)) = root
        .at(&["meta", "target"])
        .and_then(|n| n.text().map(|name| (name, n)))
        && name != B200
        && !targets
            .iter()
            .any(|target| target.key == name && defines_b200(target))
    {
        let message = format!("the target is `{}`; gates run on a B200 only", clip(name));
        diagnostics
            .report(&codes::OFF_TARGET_DEFINITION, &node.span, message)
            .help = Some(format!(
            "write `target = \"{B200}\"`, or define `[target.{}]` for sm_100a",
            clip(name)
        ));
    }
    for target in targets {
        if target.key != B200 && !defines_b200(target) {
            let message = format!("the target `{}` is not defined as sm_100a", clip(&target.key));
            diagnostics
                .report(&codes::OFF_TARGET_DEFINITION, &target.key_span, message)
                .help = Some("add `arch = \"sm_100a\"`; gates run on a B200 only".to_owned());
        }
        for (key, only) in [("compute_capability", "10.0"), ("arch", "sm_100a")] {
            let Some((said, node)) = target.node.get(key).and_then(|n| n.text().map(|t| (t, n))) else {
                continue;
            };
            if said != only {
                let message = format!("`{key}` is `{}`; the only target is `{only}`", clip(said));
                diagnostics.report(&codes::OFF_TARGET_DEFINITION, &node.span, message);
            }
        }
        for (text, node) in target.node.get("kernels").into_iter().flat_map(Node::texts) {
            pattern(diagnostics, text, node);
        }
        let rules = ["checks", "foreign"].map(|key| target.node.get(key));
        for rule in rules.into_iter().flatten().flat_map(Node::items) {
            if let Some((text, node)) = rule.get("library").and_then(|n| n.text().map(|t| (t, n))) {
                pattern(diagnostics, text, node);
            }
        }
    }
}

/// The target that needs no definition.
const B200: &str = "b200";

/// Whether a target says that it is a B200. The name alone does not.
fn defines_b200(target: &Entry) -> bool {
    ["compute_capability", "arch"]
        .iter()
        .any(|key| target.node.get(key).is_some())
}

fn bundles(diagnostics: &mut Diagnostics<'_>, root: &Node, missing: &[(&str, &str)]) {
    let gates = root.get("gates").map(Node::entries).unwrap_or_default();
    let bundles = root.get("bundles").map(Node::entries).unwrap_or_default();
    let stops = |bundle: &Entry, perf: &str| {
        let inside: Vec<&str> = bundle.node.texts().map(|(id, _)| id).collect();
        missing
            .iter()
            .copied()
            .find(|(id, _)| *id != perf && inside.contains(id))
    };
    for bundle in bundles {
        if RESERVED_BUNDLES.contains(&bundle.key.as_str()) {
            let message = format!("`{}` cannot be the name of a bundle", bundle.key);
            diagnostics.report(&codes::RESERVED_NAME, &bundle.key_span, message);
        } else if !GateId::is_valid(&bundle.key) {
            let message = format!("`{}` cannot be the name of a bundle", clip(&bundle.key));
            diagnostics.report(&codes::INVALID_GATE_ID, &bundle.key_span, message);
        }
        if bundle.node.items().is_empty() && matches!(bundle.node.value, Value::List(_)) {
            let message = format!("the bundle `{}` names no gate", clip(&bundle.key));
            diagnostics.report(&EMPTY_VALUE, &bundle.node.span, message);
        }
        for (id, node) in bundle.node.texts() {
            let Some(gate) = gates.iter().find(|g| g.key == id) else {
                unknown(diagnostics, id, node, gates);
                continue;
            };
            if !compares(kind(&gate.node)) {
                continue;
            }
            let compared = text(&gate.node, "compare_gate").filter(|c| gates.iter().any(|g| g.key == *c));
            if let Some(compared) = compared
                && !bundle.node.texts().any(|(other, _)| other == compared)
            {
                let message = format!(
                    "`{}` compares `{}`, which is not in this bundle",
                    clip(id),
                    clip(compared)
                );
                diagnostics
                    .report(&codes::COMPARE_NOT_IN_BUNDLE, &node.span, message)
                    .help = Some(format!("add `{}` before it", clip(compared)));
            }
            let reachable = bundles
                .iter()
                .any(|b| b.node.texts().any(|(other, _)| other == id) && stops(b, id).is_none());
            if let (Some((dead, file)), false) = (stops(bundle, id), reachable) {
                let message = format!(
                    "`{}` cannot reach `{}`: it is refused because `{}` requires `{}`, which is missing",
                    clip(&bundle.key),
                    clip(id),
                    clip(dead),
                    clip(file)
                );
                diagnostics
                    .report(&codes::PERF_UNREACHABLE, &node.span, message)
                    .help = Some(
                    "no other bundle has the perf gate; add the file, or a bundle without that gate"
                        .to_owned(),
                );
            }
        }
    }
}

fn vanished(diagnostics: &mut Diagnostics<'_>, root: &Node, base: &RegistryIndex, anchor: &Span) {
    let is_gone = |key: &'static str| move |id: &&str| root.at(&[key, id]).is_none();
    let gates = base.gate_ids().filter(is_gone("gates"));
    let bundles = base.bundle_ids().filter(is_gone("bundles"));
    for (what, key, id) in gates
        .map(|id| ("gate", "gates", id))
        .chain(bundles.map(|id| ("bundle", "bundles", id)))
    {
        let span = root.entry(key).map_or(anchor, |e| &e.key_span);
        let message = format!("the {what} `{}` of the base is missing", clip(id));
        diagnostics.report(&codes::VANISHED_ID, span, message).help =
            Some("keep the id, because contracts, attestations and workflows refer to it".to_owned());
    }
}
