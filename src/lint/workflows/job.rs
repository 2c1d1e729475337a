//! Reads a job of a workflow as far as the rules need: its runner, its permissions, and the code that it checks out.

use crate::document::node::{Entry, Node};
use crate::document::source::Span;

/// A job of a workflow.
pub(super) struct Job {
    pub(super) id: String,
    pub(super) span: Span,
    /// Labels of runners that GitHub does not host. Only the owner of the repository knows these runners.
    pub(super) labels: Vec<String>,
    pub(super) self_hosted: bool,
    /// The environment whose approval the job waits for.
    pub(super) environment: Option<String>,
    /// Whether the workflow runs on `pull_request`, so that the running commit is the change merged into its base.
    pub(super) on_change: bool,
    pub(super) has_timeout: bool,
    pub(super) calls_workflow: bool,
    /// The effective permissions: those of the job, else those of the workflow.
    pub(super) permissions: Option<Vec<(String, String, Span)>>,
    pub(super) steps: Vec<Step>,
}

/// A step of a job.
pub(super) struct Step {
    pub(super) uses: Option<(String, Span)>,
    /// The text of `run`, and of `script` of an action that has such an input.
    pub(super) scripts: Vec<Span>,
    /// The checkout, if the step checks out the code of a change.
    pub(super) change: Option<Checkout>,
}

/// A checkout of the code of a change.
pub(super) struct Checkout {
    pub(super) span: Span,
    /// Whether the ref is a name instead of a commit.
    pub(super) moving: bool,
    /// Whether `persist-credentials` is `false`.
    pub(super) drops_credential: bool,
    /// Whether the checkout is at the root of the workspace instead of in a separate folder.
    pub(super) at_root: bool,
}

/// The start of a reference to an action of the workflow's own repository at the running commit.
pub(super) const SELF: &str = "$/";

/// Parts of a `ref` that show that the code belongs to a change.
const CHANGE: [&str; 9] = [
    "refs/pull/",
    "pull_request.head",
    "head_ref",
    "head.sha",
    "merge_commit_sha",
    "outputs.merge",
    "outputs.head",
    "inputs.pr",
    "workflow_run.head",
];
/// Parts of a `ref` that show that the ref is a name, which can be moved.
const MOVING: [&str; 4] = ["refs/pull/", "head_ref", "head.ref", "head_branch"];

/// Reads the jobs of a workflow.
pub(super) fn all(tree: &Node) -> Vec<Job> {
    let on_change = mentions(tree.get("on"), "pull_request");
    let inherited = tree.get("permissions").map(permissions);
    tree.get("jobs")
        .map(Node::entries)
        .unwrap_or_default()
        .iter()
        .map(|e| job(e, on_change, inherited.as_ref()))
        .collect()
}

fn job(entry: &Entry, on_change: bool, inherited: Option<&Vec<(String, String, Span)>>) -> Job {
    let node = &entry.node;
    let runs_on = node.get("runs-on").map(labels).unwrap_or_default();
    Job {
        id: entry.key.clone(),
        span: entry.key_span.clone(),
        labels: runs_on
            .iter()
            .filter(|label| !is_common(label))
            .cloned()
            .collect(),
        self_hosted: !runs_on.is_empty() && runs_on.iter().all(|label| !is_hosted(label)),
        environment: named(node.get("environment")),
        on_change,
        has_timeout: node.get("timeout-minutes").is_some(),
        calls_workflow: node.get("uses").is_some(),
        permissions: node
            .get("permissions")
            .map(permissions)
            .or_else(|| inherited.cloned()),
        steps: node
            .get("steps")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .map(|n| step(n, on_change))
            .collect(),
    }
}

fn step(node: &Node, on_change: bool) -> Step {
    let uses = node
        .get("uses")
        .and_then(|n| n.text().map(|t| (t.to_owned(), n.span.clone())));
    let scripts = [node.get("run"), node.at(&["with", "script"])]
        .into_iter()
        .flatten();
    let change = uses
        .as_ref()
        .filter(|(u, _)| u.starts_with("actions/checkout@"))
        .and_then(|(_, span)| {
            let wanted = node.at(&["with", "ref"]);
            let text = wanted.and_then(Node::text).unwrap_or_default();
            let is_change = if text.is_empty() {
                on_change
            } else {
                CHANGE.iter().any(|c| text.contains(c))
            };
            is_change.then(|| Checkout {
                span: wanted.map_or_else(|| span.clone(), |n| n.span.clone()),
                moving: MOVING.iter().any(|m| text.contains(m)),
                drops_credential: node.at(&["with", "persist-credentials"]).and_then(Node::text)
                    == Some("false"),
                at_root: node.at(&["with", "path"]).is_none(),
            })
        });
    Step {
        uses,
        scripts: scripts.map(|n| n.span.clone()).collect(),
        change,
    }
}

/// Returns each permission: name, value and position. `permissions: write-all` has the name `all`.
fn permissions(node: &Node) -> Vec<(String, String, Span)> {
    match node.text() {
        Some(all) => vec![("all".to_owned(), all.to_owned(), node.span.clone())],
        None => node
            .entries()
            .iter()
            .filter_map(|e| Some((e.key.clone(), e.node.text()?.to_owned(), e.node.span.clone())))
            .collect(),
    }
}

/// Returns the labels of `runs-on`: a word, a list, or a map with `labels`.
fn labels(node: &Node) -> Vec<String> {
    let node = node.get("labels").unwrap_or(node);
    let texts = node.text().into_iter().chain(node.texts().map(|(t, _)| t));
    texts.map(str::to_owned).collect()
}

/// Whether a label is a runner of GitHub or an expression, whose value is unknown.
fn is_hosted(label: &str) -> bool {
    label.contains("${{")
        || ["ubuntu-", "windows-", "macos-"]
            .iter()
            .any(|hosted| label.starts_with(hosted))
}

/// Whether a label does not identify a runner: those of GitHub, and those that every runner has.
fn is_common(label: &str) -> bool {
    let common = ["self-hosted", "linux", "windows", "macos", "x64", "arm", "arm64"];
    is_hosted(label) || common.iter().any(|word| label.eq_ignore_ascii_case(word))
}

/// Returns the name in `environment: NAME`, or in a map with `name`. Returns nothing for an expression.
fn named(node: Option<&Node>) -> Option<String> {
    let node = node?;
    let name = node.text().or_else(|| node.get("name")?.text())?;
    (!name.contains("${{")).then(|| name.to_owned())
}

fn mentions(node: Option<&Node>, event: &str) -> bool {
    let Some(node) = node else { return false };
    node.text() == Some(event) || node.texts().any(|(t, _)| t == event) || node.get(event).is_some()
}

impl Job {
    /// Returns a write permission: its name, and its position if the workflow sets permissions.
    pub(super) fn write_permission(&self) -> Option<(String, Span)> {
        self.permissions
            .iter()
            .flatten()
            .find(|(_, value, _)| value.starts_with("write"))
            .map(|(name, _, span)| (name.clone(), span.clone()))
    }

    /// Returns the position where the job reads the registry, or calls the action of the repository, after a change replaced
    /// the root. `$/` is the running commit, which is the change itself on `pull_request`.
    pub(super) fn policy_from_change(&self, document: &str) -> Option<Span> {
        const REGISTRY: &str = "gates.toml";
        let own = |step: &Step| step.uses.clone().filter(|(uses, _)| uses.starts_with(SELF));
        if self.on_change
            && let Some((_, span)) = self.steps.iter().find_map(own)
        {
            return Some(span);
        }
        let from = self
            .steps
            .iter()
            .position(|s| s.change.as_ref().is_some_and(|c| c.at_root))?;
        self.steps[from + 1..].iter().find_map(|step| match &step.uses {
            Some((uses, span)) if uses.starts_with("./") => Some(span.clone()),
            _ => step.scripts.iter().find_map(|script| {
                let at = script.start + document[script.clone()].find(REGISTRY)?;
                Some(at..at + REGISTRY.len())
            }),
        })
    }
}
