//! Checks the registry: the file itself, the checkout under test, and the ids of an earlier revision.

use crate::document::node::{Entry, Value};
use crate::document::{Document, Node, Source, Span};
use crate::domain::finding::Finding;
use crate::domain::gate_environment;
use crate::domain::ids::GateId;
use crate::domain::metric::Metric;
use crate::domain::path_pattern::PathPattern;
use crate::domain::registry::Registry;
use crate::domain::suggest::{did_you_mean, nearest};
use crate::lint::codes::contract::{INVALID_GLOB, LITERAL_BRACES, UNKNOWN_GATE};
use crate::lint::codes::document::{DUPLICATE_ENTRY, EMPTY_VALUE, MISSING_KEY, WRONG_TYPE};
use crate::lint::codes::registry as codes;
use crate::lint::context::{RegistryIndex, metrics_of};
use crate::lint::diagnostics::Diagnostics;
use crate::lint::gate_command;
use crate::lint::schema::{self, Strictness, clip};
use crate::lint::schemas;
use leakscan::scan::Options;

/// What a registry is compared with. Absent parts are not checked.
#[derive(Default)]
pub struct RegistryContext<'f> {
    /// Whether the checkout under test has a file.
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
        image(&mut diagnostics, root);
        let missing = gates(&mut diagnostics, root, around);
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
    for target in root.get("target").map(Node::entries).unwrap_or_default() {
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
            glob(diagnostics, text, node);
        }
    }
}

fn glob(diagnostics: &mut Diagnostics<'_>, text: &str, node: &Node) {
    match PathPattern::new(text) {
        Ok(pattern) => braces(diagnostics, &pattern, node),
        Err(error) => {
            let message = format!("`{}` is not a path pattern", clip(text));
            diagnostics.report(&INVALID_GLOB, &node.span, message).help = Some(error.to_string());
        }
    }
}

/// Reports `{a,b}`, because braces are literal in patterns.
pub(crate) fn braces(diagnostics: &mut Diagnostics<'_>, pattern: &PathPattern, node: &Node) {
    if pattern.has_literal_braces() {
        let message = format!("the braces in `{}` are literal", clip(pattern.written()));
        diagnostics.report(&LITERAL_BRACES, &node.span, message).help =
            Some("write one entry for each alternative".to_owned());
    }
}

fn kind(gate: &Node) -> &str {
    match gate.get("kind").and_then(Node::text) {
        None | Some("cmd") => "command",
        Some(kind) => kind,
    }
}

fn text<'n>(gate: &'n Node, key: &str) -> Option<&'n str> {
    gate.get(key).and_then(Node::text)
}

/// Checks every gate. Returns the ids of gates with missing required files, each with the first missing file.
fn gates<'n>(
    diagnostics: &mut Diagnostics<'_>,
    root: &'n Node,
    around: &RegistryContext<'_>,
) -> Vec<(&'n str, &'n str)> {
    let gates = root.get("gates").map(Node::entries).unwrap_or_default();
    let most = root
        .get("target")
        .and_then(|t| t.entries().first())
        .and_then(|t| t.node.get("gpus"))
        .and_then(Node::number)
        .unwrap_or(8.0);
    let mut missing = Vec::new();
    for entry in gates {
        if !GateId::is_valid(&entry.key) {
            let message = format!("`{}` cannot be an id", clip(&entry.key));
            diagnostics
                .report(&codes::INVALID_GATE_ID, &entry.key_span, message)
                .help = Some("letters, digits, `_`, `.`, `-` and `:`, 64 at most".to_owned());
        }
        shape_of_gate(diagnostics, entry, most);
        variables(diagnostics, &entry.node);
        engine(diagnostics, entry);
        image(diagnostics, &entry.node);
        if let Some(node) = entry.node.get("cmd") {
            for pattern in gate_command::unsafe_patterns(node.text().unwrap_or_default()) {
                let span = span_of_substring(diagnostics.source(), node, pattern.text);
                let message = format!("the command of `{}` is unsafe: {}", clip(&entry.key), pattern.why);
                diagnostics.report(&codes::UNSAFE_COMMAND, &span, message).help =
                    Some(pattern.instead.to_owned());
            }
        }
        metrics(diagnostics, &entry.node);
        for (pattern, node) in entry.node.get("artifacts").into_iter().flat_map(Node::texts) {
            glob(diagnostics, pattern, node);
        }
        if let Some(first) = files(diagnostics, entry, around) {
            missing.push((entry.key.as_str(), first));
        }
    }
    for entry in gates.iter().filter(|e| kind(&e.node) == "perf") {
        perf(diagnostics, entry, gates);
    }
    missing
}

fn shape_of_gate(diagnostics: &mut Diagnostics<'_>, entry: &Entry, most: f64) {
    let gate = &entry.node;
    let id = clip(&entry.key);
    let kind = kind(gate);
    if kind == "command" && text(gate, "cmd").is_none() {
        let message = format!("`{id}` has no command");
        let span = gate.entry("cmd").map_or(&entry.key_span, |e| &e.node.span);
        diagnostics
            .report(&codes::GATE_WITHOUT_COMMAND, span, message)
            .help = Some("add `cmd`, or set `kind = \"external\"` if the gate runs elsewhere".to_owned());
    }
    const PERF_KEYS: &[&str] = &[
        "compare_gate",
        "metric",
        "also",
        "pairs",
        "max_pairs",
        "warmup_steps",
        "perf_args",
    ];
    for key in gate.entries() {
        let unused = (PERF_KEYS.contains(&key.key.as_str()) && kind != "perf")
            || (key.key == "cmd" && kind != "command" && forms_has(kind));
        if unused {
            let message = format!("`{}` has no effect for a gate of kind {kind}", key.key);
            diagnostics
                .report(&codes::UNUSED_KEY, &key.key_span, message)
                .help = Some("remove it".to_owned());
        }
    }
    let gpus = gate.get("gpus").and_then(|n| n.number().map(|v| (v, n)));
    if let Some((_, node)) = gpus.filter(|(n, _)| *n > most) {
        let message = format!("`{id}` needs more GPUs than the target's {most}");
        diagnostics.report(&codes::TOO_MANY_GPUS, &node.span, message);
    }
    if text(gate, "tier") == Some("a") {
        let kernel = gate.get("kernel").filter(|n| n.text() == Some("true"));
        if let Some(node) = gpus.filter(|(n, _)| *n >= 1.0).map(|(_, n)| n).or(kernel) {
            let message = format!("`{id}` is Tier A and needs the target");
            diagnostics
                .report(&codes::TIER_A_NEEDS_GPU, &node.span, message)
                .help = Some("write `tier = \"b\"`".to_owned());
        }
    }
}

fn forms_has(kind: &str) -> bool {
    matches!(kind, "perf" | "external" | "kernel")
}

fn variables(diagnostics: &mut Diagnostics<'_>, gate: &Node) {
    let declared: Vec<(&str, &Node)> = ["requires", "env"]
        .iter()
        .filter_map(|key| gate.get(key))
        .flat_map(Node::texts)
        .collect();
    for (name, node) in &declared {
        if gate_environment::is_forbidden(name) {
            let message = format!("`{}` never reaches a gate", clip(name));
            diagnostics
                .report(&codes::FORBIDDEN_ENV, &node.span, message)
                .help = Some("remove it".to_owned());
        }
    }
    let Some(node) = gate.get("cmd") else { return };
    for (name, written) in gate_command::variables(node.text().unwrap_or_default()) {
        let span = span_of_substring(diagnostics.source(), node, written);
        if gate_environment::is_forbidden(name) {
            let message = format!("the command reads `{name}`, which never reaches a gate");
            diagnostics.report(&codes::FORBIDDEN_ENV, &span, message);
        } else if !gate_environment::needs_no_declaration(name) && !declared.iter().any(|(d, _)| *d == name) {
            let message = format!("the command reads `{name}`, which the gate does not declare");
            diagnostics.report(&codes::UNDECLARED_ENV, &span, message).help = Some(format!(
                "add \"{name}\" to `requires`, or to `env` if it is optional"
            ));
        }
    }
}

/// Reports a gate that reaches a container engine: by a command, a socket or a variable.
fn engine(diagnostics: &mut Diagnostics<'_>, entry: &Entry) {
    let command = entry
        .node
        .get("cmd")
        .and_then(|n| Some((n, gate_command::engine(n.text()?)?)));
    let declared = ["requires", "env"]
        .iter()
        .filter_map(|key| entry.node.get(key))
        .flat_map(Node::texts)
        .find(|(name, _)| gate_command::engine(name).is_some());
    let (span, what) = match (command, declared) {
        (Some((node, word)), _) => (span_of_substring(diagnostics.source(), node, word), word),
        (None, Some((name, node))) => (node.span.clone(), name),
        (None, None) => return,
    };
    let message = format!(
        "`{}` reaches a container engine (`{}`), and so everything on the machine",
        clip(&entry.key),
        clip(what)
    );
    diagnostics.report(&codes::ENGINE_SOCKET, &span, message).help = Some(format!(
        "name the image in [gates.\"{}\".container] and use `run --container`: then the gate needs no engine",
        clip(&entry.key)
    ));
}

/// Reports a Dockerfile that is not used, because the same table names an image.
fn image(diagnostics: &mut Diagnostics<'_>, owner: &Node) {
    let Some(container) = owner.get("container") else {
        return;
    };
    if let (Some(_), Some(unused)) = (container.entry("image"), container.entry("dockerfile")) {
        let message = "`dockerfile` has no effect next to `image`";
        diagnostics
            .report(&codes::UNUSED_KEY, &unused.key_span, message)
            .help = Some("remove one of them".to_owned());
    }
}

/// Returns the span of a part of a string. The search uses the written text, because strings have escape sequences.
fn span_of_substring(source: &Source, node: &Node, piece: &str) -> Span {
    let first = piece.lines().next().unwrap_or_default().trim();
    source
        .text()
        .get(node.span.clone())
        .filter(|_| !first.is_empty())
        .and_then(|written| written.find(first))
        .map_or(node.span.clone(), |at| {
            let start = node.span.start + at;
            start..start + first.len()
        })
}

fn metrics(diagnostics: &mut Diagnostics<'_>, gate: &Node) {
    let mut names: Vec<&str> = Vec::new();
    let known = metrics_of(gate);
    for metric in gate.get("metrics").map(Node::items).unwrap_or_default() {
        if let Some((name, node)) = metric.get("name").and_then(|n| n.text().map(|t| (t, n))) {
            if names.contains(&name) {
                let message = format!("a second metric `{}`", clip(name));
                diagnostics.report(&DUPLICATE_ENTRY, &node.span, message);
            }
            names.push(name);
        }
        reading(diagnostics, metric, &known);
        let Some((pattern, node)) = metric.get("pattern").and_then(|n| n.text().map(|t| (t, n))) else {
            continue;
        };
        let fault = match regex::Regex::new(pattern) {
            Err(error) => {
                let said = error.to_string();
                said.lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned()
            }
            Ok(regex) if regex.captures_len() != 2 => {
                format!(
                    "it has {} groups; it needs exactly one, around the number",
                    regex.captures_len() - 1
                )
            }
            Ok(_) => continue,
        };
        diagnostics.report(
            &codes::INVALID_PATTERN,
            &node.span,
            format!("the pattern cannot be used: {fault}"),
        );
    }
}

/// Checks the keys that define how a metric is read.
fn reading(diagnostics: &mut Diagnostics<'_>, metric: &Node, known: &[Metric]) {
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
        && !known
            .iter()
            .any(|m| m.name == per && Some(per) != text(metric, "name"))
    {
        let message = format!("`rate` names `{}`, which the gate does not read", clip(per));
        diagnostics
            .report(&codes::INVALID_PATTERN, &node.span, message)
            .help = Some("name `step`, or another metric of this gate".to_owned());
    }
}

fn files<'n>(
    diagnostics: &mut Diagnostics<'_>,
    entry: &'n Entry,
    around: &RegistryContext<'_>,
) -> Option<&'n str> {
    let mut first = None;
    for (path, node) in entry.node.get("requires_files").into_iter().flat_map(Node::texts) {
        let inside =
            !path.starts_with('/') && !path.split('/').any(|part| part == "..") && !path.contains('\0');
        if !inside {
            let message = format!("`{}` is not a path inside the repository", clip(path));
            diagnostics.report(&codes::INVALID_PATH, &node.span, message);
            continue;
        }
        if around.has_file.is_some_and(|has| !has(path)) {
            let message = format!(
                "`{}` requires `{}`, which the checkout does not have",
                clip(&entry.key),
                clip(path)
            );
            diagnostics.report(&codes::MISSING_FILE, &node.span, message).help = Some(
                "add the file, or correct the path; until then every bundle with this gate is refused"
                    .to_owned(),
            );
            first.get_or_insert(path);
        }
    }
    first
}

fn perf(diagnostics: &mut Diagnostics<'_>, entry: &Entry, gates: &[Entry]) {
    let gate = &entry.node;
    let id = clip(&entry.key);
    for key in ["compare_gate", "metric"] {
        if gate.entry(key).is_none() {
            let message = format!("the perf gate `{id}` has no `{key}`");
            diagnostics.report(&MISSING_KEY, &entry.key_span, message);
        }
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
    let Some((compared_id, compare)) = gate.get("compare_gate").and_then(|n| n.text().map(|t| (t, n))) else {
        return;
    };
    let Some(compared) = gates.iter().find(|g| g.key == compared_id) else {
        unknown(diagnostics, compared_id, compare, gates);
        return;
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
        return;
    }
    let command = text(&compared.node, "cmd").unwrap_or_default();
    if let Some((metric, node)) = gate.get("metric").and_then(|n| n.text().map(|t| (t, n))) {
        let own = metrics_of(&compared.node);
        let names = || own.iter().map(|m| m.name.as_str());
        let name = metric.strip_suffix("_p50");
        if !name.is_some_and(|n| n == "node_tps" || names().any(|own| own == n)) {
            let known: Vec<String> = std::iter::once("node_tps")
                .chain(names())
                .map(|n| format!("{n}_p50"))
                .collect();
            let message = format!("`{}` does not print `{}`", clip(compared_id), clip(metric));
            diagnostics
                .report(&codes::METRIC_NOT_YIELDED, &node.span, message)
                .help = Some(format!("it prints {}", known.join(", ")));
            return;
        }
        let processes = gate_command::option(command, "nproc_per_node").unwrap_or(1);
        if name == Some("node_tps")
            && gate_command::is_trainer(command)
            && processes <= 1
            && !names().any(|n| n == "node_tps")
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
    let mut named: Vec<&str> = text(gate, "metric")
        .map(|m| m.strip_suffix("_p50").unwrap_or(m))
        .into_iter()
        .collect();
    for further in gate.get("also").map(Node::items).unwrap_or_default() {
        if let Some((name, node)) = further.get("metric").and_then(|n| n.text().map(|t| (t, n))) {
            if name != "node_tps" && own.iter().all(|m| m.name != name) {
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

fn unknown(diagnostics: &mut Diagnostics<'_>, id: &str, node: &Node, gates: &[Entry]) {
    let meant = nearest(id, gates.iter().map(|g| g.key.as_str()));
    let fix = meant.map(|m| diagnostics.fix(&node.span, format!("\"{m}\"")));
    let message = format!("there is no gate `{}`", clip(id));
    let finding = diagnostics.report(&UNKNOWN_GATE, &node.span, message);
    finding.help = meant.map(did_you_mean);
    finding.fix = fix;
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
        if matches!(bundle.key.as_str(), "single" | "tier_a") {
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
            if kind(&gate.node) != "perf" {
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
