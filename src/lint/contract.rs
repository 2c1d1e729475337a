//! Checks contracts.

use crate::document::{Document, Node};
use crate::domain::contract::Contract;
use crate::domain::finding::Finding;
use crate::domain::next_step::own_line;
use crate::domain::noise::NoiseTable;
use crate::domain::path_pattern::PathPattern;
use crate::domain::registry::DEFAULT_PERF_METRIC;
use crate::domain::suggest::{did_you_mean, nearest};
use crate::lint::codes::contract as codes;
use crate::lint::context::{Gate, LintContext, RegistryIndex};
use crate::lint::diagnostics::Diagnostics;
use crate::lint::invariants;
use crate::lint::placeholders::{self, filled, filled_at};
use crate::lint::registry::node::pattern;
use crate::lint::schema::{self, Strictness, clip};
use crate::lint::schemas;
use crate::lint::template_sections;

/// Lists what is wrong with a contract, in the order of the document.
pub fn lint(document: &Document<Contract>, facts: &LintContext) -> Vec<Finding> {
    let mut diagnostics = Diagnostics::of(document);
    diagnostics.leaks(&facts.leaks);
    template_sections::issue_form(&mut diagnostics, &document.outline);
    if let Some(root) = &document.root {
        schema::check(
            &mut diagnostics,
            root,
            &schemas::CONTRACT,
            "",
            &document.anchor(),
            Strictness::Form,
        );
        dependencies(&mut diagnostics, root);
        scope(&mut diagnostics, root, facts);
        if let Some(entry) = root.entry_at(&["contract", "invariants"]) {
            invariants::check(&mut diagnostics, entry, &facts.contracts.invariants);
        }
        gates(&mut diagnostics, root, facts.registry.as_ref());
        numerics(&mut diagnostics, root, facts.registry.as_ref());
        budget(&mut diagnostics, root, &facts.noise);
        if !diagnostics.has_errors() {
            // The tables and the types should accept the same documents. If they differ, the types decide.
            if let Err(defect) = &document.value {
                diagnostics.defect(defect);
            }
        }
    }
    diagnostics.finish()
}

fn dependencies(diagnostics: &mut Diagnostics<'_>, root: &Node) {
    let own = root.at(&["nmoe", "issue"]).and_then(filled);
    let Some(list) = root.at(&["nmoe", "depends_on"]) else {
        return;
    };
    for (id, node) in list.texts().filter(|(id, _)| Some(*id) == own) {
        let message = format!("`{id}` depends on itself");
        diagnostics
            .report(&codes::SELF_DEPENDENCY, &node.span, message)
            .help = Some("name the contract that must be merged first, or remove the entry".to_owned());
    }
}

/// Parses the patterns of a list, and reports the invalid ones.
fn patterns<'n>(diagnostics: &mut Diagnostics<'_>, list: Option<&'n Node>) -> Vec<(PathPattern, &'n Node)> {
    let mut good = Vec::new();
    for (text, node) in list.into_iter().flat_map(Node::texts) {
        if placeholders::is_placeholder(text) {
            continue;
        }
        good.extend(pattern(diagnostics, text, node).map(|pattern| (pattern, node)));
    }
    good
}

fn scope(diagnostics: &mut Diagnostics<'_>, root: &Node, facts: &LintContext) {
    let allow = patterns(diagnostics, root.at(&["scope", "allow"]));
    let deny = patterns(diagnostics, root.at(&["scope", "deny"]));
    let hotspots = patterns(diagnostics, root.at(&["nmoe", "merge_hotspots"]));
    for (pattern, node) in &allow {
        if let Some((denied, _)) = deny.iter().find(|(d, _)| swallows(d, pattern)) {
            let message = format!(
                "`deny` covers all of `{}`, so this entry has no effect",
                pattern.as_str()
            );
            diagnostics
                .report(&codes::ALLOW_SWALLOWED, &node.span, message)
                .help = Some(format!(
                "`{}` in `deny` covers it, and `deny` overrides `allow`",
                denied.as_str()
            ));
        }
    }
    for (pattern, node) in &hotspots {
        let allowed = allow.is_empty() || allow.iter().any(|(a, _)| a.overlaps(pattern));
        if !allowed || deny.iter().any(|(d, _)| swallows(d, pattern)) {
            let message = format!("the hotspot `{}` is outside of the scope", pattern.as_str());
            diagnostics
                .report(&codes::HOTSPOT_OUTSIDE_SCOPE, &node.span, message)
                .help = Some("allow it to change, or remove it from `merge_hotspots`".to_owned());
        }
    }
    misspelled(diagnostics, &allow, facts);
    let declares = allow.iter().any(|(pattern, _)| !pattern.is_wild());
    let Some(entry) = root
        .entry_at(&["scope", "allow"])
        .filter(|_| !allow.is_empty() && !declares)
    else {
        return;
    };
    let Some(files) = facts.files.get() else { return };
    if !allow
        .iter()
        .any(|(pattern, _)| files.iter().any(|f| pattern.matches(f)))
    {
        let message = "`scope.allow` matches no file of the checkout";
        diagnostics
            .report(&codes::ALLOW_MATCHES_NOTHING, &entry.key_span, message)
            .help = Some("check the spelling; write the name of a new file without wildcards".to_owned());
    }
}

/// Reports a pattern in a folder that does not exist, if the name is almost that of a folder that does.
fn misspelled(diagnostics: &mut Diagnostics<'_>, allow: &[(PathPattern, &Node)], facts: &LintContext) {
    let folder = |path: &str| path.split_once('/').map(|(top, _)| top.to_owned());
    let absent: Vec<_> = allow
        .iter()
        .filter_map(|(pattern, node)| Some((folder(pattern.as_str())?, pattern, node)))
        .filter(|(top, pattern, _)| pattern.is_wild() && !top.contains(['*', '?', '[', '{']))
        .collect();
    if absent.is_empty() {
        return;
    }
    let folders = facts.files.folders();
    for (top, pattern, node) in absent {
        let meant = nearest(&top, folders.iter().map(String::as_str));
        if let Some(meant) = meant.filter(|_| !folders.contains(&top)) {
            let message = format!(
                "`{}` matches no file: there is no folder `{top}`",
                pattern.as_str()
            );
            diagnostics
                .report(&codes::ALLOW_MATCHES_NOTHING, &node.span, message)
                .help = Some(did_you_mean(meant));
        }
    }
}

/// Whether one pattern covers another completely. Unusual names replace the wildcards of the other pattern for this test.
fn swallows(outer: &PathPattern, inner: &PathPattern) -> bool {
    if !inner.is_wild() {
        return outer.matches(inner.as_str().trim_end_matches('/'));
    }
    if outer.as_str() == inner.as_str() {
        return true;
    }
    let fill = |any: &str, one: &str| {
        let mut out = String::new();
        let mut rest = inner.as_str();
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("**") {
                out.push_str(any);
                rest = after;
            } else if c == '*' || c == '?' {
                out.push_str(one);
                rest = &rest[1..];
            } else if c == '[' || c == '\\' {
                return None;
            } else {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        Some(out)
    };
    [("q7z", "j"), ("x0/w9.kk", "w")]
        .iter()
        .all(|(any, one)| fill(any, one).is_some_and(|path| outer.matches(path)))
}

/// Reports a gate id that the registry does not have. Returns whether the registry has it.
pub(crate) fn known_gate(
    diagnostics: &mut Diagnostics<'_>,
    registry: &RegistryIndex,
    id: &str,
    node: &Node,
) -> bool {
    if placeholders::is_placeholder(id) || registry.gate(id).is_some() {
        return registry.gate(id).is_some();
    }
    let meant = nearest(id, registry.gate_ids());
    let fix = meant.map(|m| diagnostics.fix(&node.span, m));
    let message = format!("the registry has no gate `{}`", clip(id));
    let finding = diagnostics.report(&codes::UNKNOWN_GATE, &node.span, message);
    finding.help = Some(match meant {
        _ if registry.bundle_ids().any(|b| b == id) => {
            let list = own_line(&["gates", "resolve", "--bundle", id]);
            format!("`{id}` is a bundle; name its gates (`{list}`)")
        }
        Some(meant) => did_you_mean(meant),
        None => format!("`{}` prints the ids", own_line(&["gates", "list"])),
    });
    finding.fix = fix;
    false
}

fn gates(diagnostics: &mut Diagnostics<'_>, root: &Node, registry: Option<&RegistryIndex>) {
    let required = root.at(&["gates", "required"]);
    if let (Some(registry), Some(list)) = (registry, required) {
        for (id, node) in list.texts() {
            known_gate(diagnostics, registry, id, node);
        }
    }
    let Some(perf) = root.at(&["gates", "perf"]).filter(|p| !p.entries().is_empty()) else {
        return;
    };
    if let Some(registry) = registry {
        perf_block(diagnostics, perf, registry);
    }
    let compare = filled_at(perf, &["compare"]);
    if let (Some((id, node)), Some(list)) = (compare, required) {
        let exists = registry.is_none_or(|k| k.gate(id).is_some());
        if exists && !list.items().is_empty() && !list.texts().any(|(t, _)| t == id) {
            let message = format!("the compared gate `{id}` is not in `gates.required`");
            diagnostics
                .report(&codes::COMPARE_NOT_REQUIRED, &node.span, message)
                .help = Some(format!("add `{id}` to `gates.required`"));
        }
    }
}

/// Reports declared numerics that no required gate proves.
fn numerics(diagnostics: &mut Diagnostics<'_>, root: &Node, registry: Option<&RegistryIndex>) {
    let (Some((_, node)), Some(registry)) = (filled_at(root, &["contract", "numerics"]), registry) else {
        return;
    };
    let numeric = |id: &str| {
        registry
            .gate(id)
            .is_some_and(|gate| gate.text("kind") == Some("numeric"))
    };
    let mut required = root.at(&["gates", "required"]).into_iter().flat_map(Node::texts);
    if required.any(|(id, _)| numeric(id)) {
        return;
    }
    let known: Vec<&str> = registry.gate_ids().filter(|id| numeric(id)).collect();
    let message = "`numerics` is declared, and no numeric gate is required";
    diagnostics
        .report(&codes::NUMERICS_UNPROVEN, &node.span, message)
        .help = Some(match known.first() {
        Some(id) => format!("add `{id}` to `gates.required`"),
        None => "the registry has no gate of kind numeric; add one".to_owned(),
    });
}

/// Compares the perf block of a contract or an attestation with the registry.
pub(crate) fn perf_block(diagnostics: &mut Diagnostics<'_>, perf: &Node, registry: &RegistryIndex) {
    let value = |key: &str| filled_at(perf, &[key]);
    let Some((id, node)) = value("gate") else { return };
    let compare_exists =
        value("compare").is_some_and(|(compare, node)| known_gate(diagnostics, registry, compare, node));
    if !known_gate(diagnostics, registry, id, node) {
        return;
    }
    let Some(gate) = registry.gate(id) else { return };
    if !gate.is_perf() {
        let perfs: Vec<&str> = registry
            .gate_ids()
            .filter(|id| registry.gate(id).is_some_and(Gate::is_perf))
            .collect();
        let message = format!("`{id}` is not a perf gate");
        diagnostics
            .report(&codes::PERF_INCONSISTENT, &node.span, message)
            .help = Some(format!("the registry's perf gates: {}", perfs.join(", ")));
        return;
    }
    for (key, fixed) in [
        ("compare", gate.text("compare_gate")),
        ("metric", Some(gate.perf_metric())),
    ] {
        let (Some((said, node)), Some(fixed)) = (value(key), fixed) else {
            continue;
        };
        if said != fixed && (key != "compare" || compare_exists) {
            let fix = diagnostics.fix(&node.span, fixed);
            let message = format!(
                "`{key}` is `{}`; the registry has `{fixed}` for `{id}`",
                clip(said)
            );
            let finding = diagnostics.report(&codes::PERF_INCONSISTENT, &node.span, message);
            finding.help = Some(format!("write `{fixed}`"));
            finding.fix = Some(fix);
        }
    }
}

fn budget(diagnostics: &mut Diagnostics<'_>, root: &Node, noise: &NoiseTable) {
    let word = |keys: &[&str]| root.at(keys).and_then(filled);
    let perf = root.at(&["gates", "perf"]).filter(|p| !p.entries().is_empty());
    if word(&["nmoe", "risk"]) == Some("hot")
        && perf.is_none()
        && let Some(entry) = root.entry("gates")
    {
        let message = "a hot change needs an explicit budget: `gates.perf` is missing";
        diagnostics
            .report(&codes::MISSING_BUDGET, &entry.key_span, message)
            .help = Some("add `perf` with gate, compare, metric and `budget_pct`, such as -10".to_owned());
    }
    let Some(node) = perf.and_then(|p| p.get("budget_pct")) else {
        return;
    };
    let Some(budget) = node.number().filter(|n| n.is_finite()) else {
        return;
    };
    if budget <= -100.0 {
        let message = "a budget of −100 % or less allows every loss";
        diagnostics
            .report(&codes::INVALID_BUDGET, &node.span, message)
            .help = Some("-10 means: at most 10 % worse than the baseline".to_owned());
    } else if budget > 0.0 && word(&["nmoe", "kind"]) != Some("perf") {
        let message = "a budget above zero requires a gain";
        diagnostics
            .report(&codes::POSITIVE_BUDGET, &node.span, message)
            .help = Some(format!("for a loss of at most {budget} % write -{budget}"));
    } else if budget <= 0.0
        && let Some(gate) = word(&["gates", "perf", "compare"])
        && let Some(finest) = noise.finest_pct(
            gate,
            word(&["gates", "perf", "metric"]).unwrap_or(DEFAULT_PERF_METRIC),
        )
        && budget > finest
    {
        let message = format!("a budget of {budget} % is finer than the noise of `{gate}` allows");
        diagnostics.report(&codes::FINE_BUDGET, &node.span, message).help = Some(format!(
            "the measured noise allows {finest:.1} % or coarser, such as {:.0}",
            finest.floor()
        ));
    }
}
