//! Checks one gate of the registry after the other: its kind, variables, files, command and container.

use crate::document::node::Entry;
use crate::document::{Node, Source, Span};
use crate::domain::gate_environment;
use crate::domain::ids::GateId;
use crate::domain::registry::Target;
use crate::lint::codes::registry as codes;
use crate::lint::diagnostics::Diagnostics;
use crate::lint::gate_command;
use crate::lint::registry::node::{compares, kind, pattern, text};
use crate::lint::registry::{metrics, numeric, perf};
use crate::lint::schema::clip;

/// Checks every gate. Returns the ids of gates with missing required files, each with the first missing file.
pub(super) fn check_all<'n>(
    diagnostics: &mut Diagnostics<'_>,
    root: &'n Node,
    has_file: Option<&dyn Fn(&str) -> bool>,
) -> Vec<(&'n str, &'n str)> {
    let gates = root.get("gates").map(Node::entries).unwrap_or_default();
    let target = Target::name(
        root.at(&["meta", "target"])
            .and_then(Node::text)
            .unwrap_or_default(),
    );
    let most = root
        .at(&["target", target, "gpus"])
        .and_then(Node::number)
        .unwrap_or_else(|| Target::default().gpus.into());
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
        for node in ["cmd", "resume_cmd"].iter().filter_map(|key| entry.node.get(key)) {
            for pattern in gate_command::unsafe_patterns(node.text().unwrap_or_default()) {
                let span = span_of_substring(diagnostics.source(), node, pattern.text);
                let message = format!("the command of `{}` is unsafe: {}", clip(&entry.key), pattern.why);
                diagnostics.report(&codes::UNSAFE_COMMAND, &span, message).help =
                    Some(pattern.instead.to_owned());
            }
        }
        metrics::check(diagnostics, &entry.node);
        for (text, node) in entry.node.get("artifacts").into_iter().flat_map(Node::texts) {
            pattern(diagnostics, text, node);
        }
        if let Some(first) = files(diagnostics, entry, has_file) {
            missing.push((entry.key.as_str(), first));
        }
    }
    for entry in gates {
        match kind(&entry.node) {
            "perf" => perf::check(diagnostics, entry, gates),
            "numeric" => {
                numeric::check(diagnostics, entry, gates);
                resume(diagnostics, &entry.node, gates);
            }
            _ => {}
        }
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
    const PERF_KEYS: &[&str] = &["metric", "also", "pairs", "max_pairs", "warmup_steps"];
    const NUMERIC_KEYS: &[&str] = &["series", "tolerance", "resume_cmd"];
    const COMPARISON_KEYS: &[&str] = &["compare_gate", "perf_args"];
    for key in gate.entries() {
        let among = |keys: &[&str]| keys.contains(&key.key.as_str());
        let unused = (among(PERF_KEYS) && kind != "perf")
            || (among(NUMERIC_KEYS) && kind != "numeric")
            || (among(COMPARISON_KEYS) && !compares(kind))
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
    matches!(kind, "perf" | "numeric" | "external" | "kernel")
}

/// The variables that a gate declares.
fn declared_variables(gate: &Node) -> Vec<(&str, &Node)> {
    let keys = ["requires", "env"];
    keys.iter()
        .filter_map(|key| gate.get(key))
        .flat_map(Node::texts)
        .collect()
}

/// Checks the variables of the resumed run, which receives those of the compared gate.
fn resume(diagnostics: &mut Diagnostics<'_>, gate: &Node, gates: &[Entry]) {
    let compared = text(gate, "compare_gate").and_then(|id| gates.iter().find(|g| g.key == id));
    if let (Some(node), Some(compared)) = (gate.get("resume_cmd"), compared) {
        undeclared(diagnostics, node, &declared_variables(&compared.node));
    }
}

fn variables(diagnostics: &mut Diagnostics<'_>, gate: &Node) {
    let declared = declared_variables(gate);
    for (name, node) in &declared {
        if gate_environment::is_forbidden(name) {
            let message = format!("`{}` never reaches a gate", clip(name));
            diagnostics
                .report(&codes::FORBIDDEN_ENV, &node.span, message)
                .help = Some("remove it".to_owned());
        }
    }
    let Some(node) = gate.get("cmd") else { return };
    undeclared(diagnostics, node, &declared);
}

/// Reports the variables that a command reads and that its gate does not receive.
fn undeclared(diagnostics: &mut Diagnostics<'_>, node: &Node, declared: &[(&str, &Node)]) {
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
    let declared = declared_variables(&entry.node)
        .into_iter()
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
pub(super) fn image(diagnostics: &mut Diagnostics<'_>, owner: &Node) {
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

fn files<'n>(
    diagnostics: &mut Diagnostics<'_>,
    entry: &'n Entry,
    has_file: Option<&dyn Fn(&str) -> bool>,
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
        if has_file.is_some_and(|has| !has(path)) {
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
