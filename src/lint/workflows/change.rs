//! Finds the places where a job takes the code of a change, and what that code could reach in the job.
//!
//! On `pull_request`, GitHub gives a fork a token that only reads, and no secrets. The other events give the job the token and
//! the secrets of the repository, so a change that is taken there must not meet them.

use std::sync::LazyLock;

use regex::Regex;

use crate::document::node::Node;

/// Events that run with the rights of the repository and can be about a change.
const PRIVILEGED: [&str; 8] = [
    "pull_request_target",
    "workflow_run",
    "issue_comment",
    "issues",
    "discussion_comment",
    "repository_dispatch",
    "workflow_dispatch",
    "workflow_call",
];

/// Expressions about a change, with the events in which they have a value. Index syntax is rewritten before.
static EXPRESSIONS: LazyLock<Vec<(Regex, &'static [&'static str])>> = LazyLock::new(|| {
    let rules: [(&str, &'static [&'static str]); 7] = [
        (
            r"(?i)\bpull_request\.(head|number|merge_commit_sha)|\bhead_ref\b|\bevent\.number\b",
            &["pull_request_target"],
        ),
        (r"(?i)\bworkflow_run\.(head|pull_requests)", &["workflow_run"]),
        (r"(?i)\bclient_payload\b", &["repository_dispatch"]),
        (r"(?i)\bevent\.issue\.number\b", &["issue_comment", "issues"]),
        (
            r"(?i)\binputs\.(pr|pull|head)([_-]?(request|head|number|num|id|sha|ref|merge))*([^\w-]|$)",
            &["workflow_dispatch", "workflow_call"],
        ),
        (
            r"(?i)\boutputs\.(merge|head|pr)([_-]?(sha|ref|commit|number))?([^\w-]|$)",
            &PRIVILEGED,
        ),
        (r"(?i)refs/pull/", &PRIVILEGED),
    ];
    let compiled = rules
        .into_iter()
        .filter_map(|(rule, events)| Some((Regex::new(rule).ok()?, events)));
    compiled.collect()
});
/// Commands that take a change by its number.
static BY_NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?m)\bgh\s+pr\s+checkout\b|\bgit\s[^\n]*\b(fetch|pull|clone|checkout)\b[^\n]*\bpull/").ok()
});
/// Commands that take code by a commit, a branch or an address.
static FETCHES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?m)^.*(\bgit\s[^\n]*\b(fetch|pull|clone|checkout|switch|reset|worktree)\b|\bgh\s+repo\s+clone\b|\b(curl|wget)\b[^\n]*\b(archive|tarball|zipball)\b).*$").ok()
});
/// Commands that put fetched code into a folder.
static PLACES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\bgit\s[^\n]*\b(checkout|switch|merge|rebase|reset|restore|worktree|pull|clone|cherry-pick)(\s|$)|\bgh\s+(pr\s+checkout|repo\s+clone)\b|\b(curl|wget)\b").ok()
});
/// The name of a branch that a command creates, which is not code.
static NEW_BRANCH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\s-[bBcC]\s+(\$\{\{[^}]*\}\}|\S+)").ok());
/// A name that moves, in an expression or in text.
static MOVES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)refs/pull/|\bhead_ref\b|\bhead\.ref\b|\bhead_branch\b").ok());
/// Access to a member by index: `github.event['pull_request']`.
static INDEX: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"\[\s*['"]([\w-]+)['"]\s*\]"#).ok());

/// What starts a workflow.
#[derive(Clone, Copy)]
pub(super) struct Events<'a>(pub(super) Option<&'a Node>);

impl Events<'_> {
    /// Whether this event starts the workflow.
    pub(super) fn has(self, event: &str) -> bool {
        self.0.is_some_and(|on| {
            on.text() == Some(event) || on.texts().any(|(text, _)| text == event) || on.get(event).is_some()
        })
    }

    /// Whether a text names a change in one of these events.
    fn name_change(self, text: &str, derived: &[String]) -> bool {
        let text = dotted(text);
        let expressed = EXPRESSIONS
            .iter()
            .any(|(rule, events)| events.iter().any(|event| self.has(event)) && rule.is_match(&text));
        expressed || derived.iter().any(|name| text.contains(name.as_str()))
    }

    fn are_privileged(self) -> bool {
        PRIVILEGED.iter().any(|event| self.has(event))
    }
}

/// Rewrites `a['b']` as `a.b`.
fn dotted(text: &str) -> String {
    INDEX.as_ref().map_or_else(
        || text.to_owned(),
        |index| index.replace_all(text, ".$1").into_owned(),
    )
}

/// Whether a ref is a name that can move.
pub(super) fn moves(text: &str) -> bool {
    MOVES.as_ref().is_some_and(|rule| rule.is_match(&dotted(text)))
}

/// The names in a job that stand for a change: variables of `env`, and outputs of steps that look the change up.
pub(super) struct Names<'a> {
    events: Events<'a>,
    /// As they are written in expressions.
    expressions: Vec<String>,
    /// As they are written in a shell.
    variables: Vec<Regex>,
}

impl<'a> Names<'a> {
    /// Collects the names of a workflow and one of its jobs.
    pub(super) fn of(tree: &Node, job: &Node, events: Events<'a>) -> Self {
        let mut names = Names {
            events,
            expressions: Vec::new(),
            variables: Vec::new(),
        };
        names.variables_of(tree);
        names.variables_of(job);
        for step in job.get("steps").map(Node::items).unwrap_or_default() {
            names.variables_of(step);
            let text = ["run", "with", "env"].map(|key| step.get(key).map(all_text).unwrap_or_default());
            let looks_up =
                names.has_change(&text.join("\n")) || text.iter().any(|text| text.contains("pulls/"));
            if let Some(id) = step.get("id").and_then(Node::text)
                && looks_up
                && events.are_privileged()
            {
                names.expressions.push(format!("steps.{id}.outputs."));
            }
        }
        names
    }

    fn variables_of(&mut self, node: &Node) {
        for entry in node.get("env").map(Node::entries).unwrap_or_default() {
            if self.has_change(&all_text(&entry.node)) {
                self.expressions.push(format!("env.{}", entry.key));
                let pattern = format!(r"\$\{{?{}\b", regex::escape(&entry.key));
                self.variables.extend(Regex::new(&pattern));
            }
        }
    }

    /// Whether a text names a change.
    pub(super) fn has_change(&self, text: &str) -> bool {
        self.events.name_change(text, &self.expressions)
    }

    /// Whether a script takes the code of a change and puts it into a folder.
    pub(super) fn takes_change(&self, script: &str) -> bool {
        let is_placed = PLACES.as_ref().is_some_and(|rule| rule.is_match(script));
        let by_number =
            || self.events.are_privileged() && BY_NUMBER.as_ref().is_some_and(|rule| rule.is_match(script));
        let by_name = || {
            let Some((fetches, branch)) = FETCHES.as_ref().zip(NEW_BRANCH.as_ref()) else {
                return false;
            };
            fetches.find_iter(script).any(|line| {
                let line = branch.replace_all(line.as_str(), "");
                self.has_change(&line) || self.variables.iter().any(|variable| variable.is_match(&line))
            })
        };
        is_placed && (by_number() || by_name())
    }
}

/// Returns every scalar of a node, one a line.
pub(super) fn all_text(node: &Node) -> String {
    if let Some(text) = node.text() {
        return text.to_owned();
    }
    let entries = node.entries().iter().map(|entry| &entry.node);
    let texts: Vec<String> = entries.chain(node.items()).map(all_text).collect();
    texts.join("\n")
}
