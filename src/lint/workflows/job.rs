//! Reads a job of a workflow as far as the rules need: its runner, its permissions, and the code that it checks out.

use crate::document::node::{Entry, Node};
use crate::document::source::Span;
use crate::lint::workflows::change::{self, Events, Names};

/// A job of a workflow.
pub(super) struct Job {
    pub(super) id: String,
    /// Labels of runners that GitHub does not host. Only the owner of the repository knows these runners.
    pub(super) labels: Vec<String>,
    pub(super) self_hosted: bool,
    /// The environment whose approval the job waits for.
    pub(super) environment: Option<String>,
    /// Whether the workflow runs on `pull_request`, so that the running commit is the change merged into its base.
    pub(super) on_change: bool,
    /// Whether the job certainly runs on `merge_group`, so that the running commit contains the change.
    in_queue: bool,
    /// Where the job uses a secret.
    pub(super) secret: Option<Span>,
    /// The workflow that the job calls.
    pub(super) calls: Option<(String, Span)>,
    /// The effective permissions: those of the job, else those of the workflow.
    pub(super) permissions: Option<Vec<(String, String, Span)>>,
    pub(super) steps: Vec<Step>,
}

/// A step of a job.
pub(super) struct Step {
    pub(super) uses: Option<(String, Span)>,
    /// The text of `run`, and of `script` of an action that has such an input.
    pub(super) scripts: Vec<Span>,
    /// The checkout, if the step takes the code of a change.
    pub(super) change: Option<Checkout>,
    /// Whether the step calls this program: it has its input `command`.
    pub(super) is_ours: bool,
}

/// A checkout of the code of a change.
pub(super) struct Checkout {
    pub(super) span: Span,
    /// Whether the ref is a name instead of a commit.
    pub(super) moving: bool,
    /// Whether the event gives the job the rights of the repository.
    pub(super) is_privileged: bool,
    /// Whether `persist-credentials` is `false`, or the checkout stores no token.
    pub(super) drops_credential: bool,
    /// Whether the checkout is at the root of the workspace instead of in a separate folder.
    pub(super) at_root: bool,
}

/// The start of a reference to an action of the workflow's own repository at the running commit.
pub(super) const SELF: &str = "$/";

/// Reads the jobs of a workflow.
pub(super) fn all(tree: &Node) -> Vec<Job> {
    let events = Events(tree.get("on"));
    let inherited = tree.get("permissions").map(permissions);
    tree.get("jobs")
        .map(Node::entries)
        .unwrap_or_default()
        .iter()
        .map(|e| job(tree, e, events, inherited.as_ref()))
        .collect()
}

fn job(
    tree: &Node,
    entry: &Entry,
    events: Events<'_>,
    inherited: Option<&Vec<(String, String, Span)>>,
) -> Job {
    let node = &entry.node;
    let names = Names::of(tree, node, events);
    let on_change = events.has("pull_request");
    let runs_on = node.get("runs-on").map(labels).unwrap_or_default();
    let is_group = node.at(&["runs-on", "group"]).is_some();
    Job {
        id: entry.key.clone(),
        labels: runs_on
            .iter()
            .filter(|label| !is_common(label))
            .cloned()
            .collect(),
        self_hosted: (is_group || !runs_on.is_empty()) && !runs_on.iter().any(|label| is_hosted(label)),
        environment: named(node.get("environment")),
        on_change,
        in_queue: events.has("merge_group") && runs_in_queue(node),
        secret: secret(node).or_else(|| tree.get("env").and_then(secret)),
        calls: used(node),
        permissions: node
            .get("permissions")
            .map(permissions)
            .or_else(|| inherited.cloned()),
        steps: node
            .get("steps")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .map(|n| step(n, on_change, &names))
            .collect(),
    }
}

/// Whether nothing but the event decides that a job runs in a merge queue. A job that needs another one may be skipped with it.
fn runs_in_queue(job: &Node) -> bool {
    match job.get("if").and_then(Node::text) {
        Some(condition) => condition.contains("== 'merge_group'"),
        None => job.get("needs").is_none(),
    }
}

fn used(node: &Node) -> Option<(String, Span)> {
    let uses = node.get("uses")?;
    Some((uses.text()?.to_owned(), uses.span.clone()))
}

/// Returns where a node uses a secret. The token of the job is a permission and not a secret.
fn secret(node: &Node) -> Option<Span> {
    if let Some(text) = node.text() {
        let others = text
            .replace("secrets.GITHUB_TOKEN", "")
            .replace("secrets.github_token", "");
        let is_secret = others.contains("${{") && others.contains("secrets") || text == "inherit";
        return is_secret.then(|| node.span.clone());
    }
    let entries = node.entries().iter().map(|entry| &entry.node);
    entries.chain(node.items()).find_map(secret)
}

fn step(node: &Node, on_change: bool, names: &Names<'_>) -> Step {
    let uses = used(node);
    let scripts: Vec<Span> = [node.get("run"), node.at(&["with", "script"])]
        .into_iter()
        .flatten()
        .map(|n| n.span.clone())
        .collect();
    let is_checkout = uses
        .as_ref()
        .is_some_and(|(uses, _)| uses.to_ascii_lowercase().starts_with("actions/checkout@"));
    let change = if is_checkout {
        checkout(node, on_change, names)
    } else {
        fetch(node, names)
    };
    Step {
        uses,
        scripts,
        change,
        is_ours: node.at(&["with", "command"]).is_some(),
    }
}

fn checkout(node: &Node, on_change: bool, names: &Names<'_>) -> Option<Checkout> {
    let (reference, repository) = (node.at(&["with", "ref"]), node.at(&["with", "repository"]));
    let named = [reference, repository]
        .into_iter()
        .flatten()
        .find(|n| n.text().is_some_and(|text| names.has_change(text)));
    let by_default = on_change && reference.is_none() && repository.is_none();
    (named.is_some() || by_default).then(|| Checkout {
        span: named
            .or(node.get("uses"))
            .map_or(node.span.clone(), |n| n.span.clone()),
        moving: named.is_some_and(|n| {
            // A repository without a ref is its default branch.
            n.text().is_some_and(change::moves) || reference.is_none()
        }),
        is_privileged: named.is_some(),
        drops_credential: node.at(&["with", "persist-credentials"]).and_then(Node::text) == Some("false"),
        at_root: node.at(&["with", "path"]).is_none(),
    })
}

/// Reads a script that takes the code of a change.
fn fetch(node: &Node, names: &Names<'_>) -> Option<Checkout> {
    let run = node.get("run")?;
    names.takes_change(run.text()?).then(|| Checkout {
        span: run.span.clone(),
        // A script can compare the commit with the approved one.
        moving: false,
        is_privileged: true,
        drops_credential: true,
        at_root: true,
    })
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

/// Whether a label is a runner of GitHub, or an expression that names no other runner.
fn is_hosted(label: &str) -> bool {
    let starts = |text: &str| {
        ["ubuntu-", "windows-", "macos-"]
            .iter()
            .any(|hosted| text.starts_with(hosted))
    };
    if label.contains("${{") {
        // The texts of an expression are the possible labels, or what a variable is compared with.
        let texts = || label.split('\'').skip(1).step_by(2);
        return texts().next().is_none() || texts().all(starts);
    }
    starts(label)
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
    /// the root. `$/` is the running commit, which is the change itself on `pull_request` and `merge_group`.
    pub(super) fn policy_from_change(&self, document: &str) -> Option<Span> {
        const REGISTRY: &str = "gates.toml";
        let own = |step: &Step| {
            let uses = step.uses.clone().filter(|(uses, _)| uses.starts_with(SELF))?;
            step.is_ours.then_some(uses)
        };
        if (self.on_change || self.in_queue)
            && let Some((_, span)) = self.steps.iter().find_map(own)
        {
            return Some(span);
        }
        let from = self
            .steps
            .iter()
            .position(|s| s.change.as_ref().is_some_and(|c| c.at_root))?;
        self.steps[from + 1..].iter().find_map(|step| match &step.uses {
            Some((uses, span)) if uses.starts_with("./") && step.is_ours => Some(span.clone()),
            _ => step.scripts.iter().find_map(|script| {
                let at = script.start + document[script.clone()].find(REGISTRY)?;
                Some(at..at + REGISTRY.len())
            }),
        })
    }
}
