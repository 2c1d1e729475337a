//! Rules for the workflows of a repository that runs gates: write tokens in the same job as the code of a change, policy from
//! the change, checkouts of moving refs, and scripts that cannot work.
//!
//! A general linter knows more about workflows; these rules know about gates. Must not run or fetch anything.

mod calls;
mod check_name;
pub mod codes;
mod expression;
mod flow;
mod job;
mod runner;
mod runtime;
mod script;
mod shell;
mod sink;
mod status;

use std::collections::BTreeSet;

use crate::document::defect::ParseError;
use crate::document::node::Node;
use crate::document::source::Source;
use crate::document::source_map::MappedText;
use crate::document::yaml;
use crate::domain::finding::{Finding, Severity};
use crate::domain::ids::CommitId;
use crate::domain::page;

pub use codes::{STALE_CHOICES, TABLE};
use flow::Events;
use job::{Job, Setting, Step, Taken};
use runner::Runner;
use sink::Sink;

/// Words of a workflow that runs gates.
const MEASURES: [&str; 3] = ["gates.toml", "nmoe-gates", "node_tps"];

/// Checks one workflow file without the rest of its repository.
pub fn lint(source: &Source) -> Vec<Finding> {
    lint_all(std::slice::from_ref(source), &[], &[])
}

/// Checks the workflows of a repository. `actions` are its `action.yml` files, named by their path in the repository; `labels` are
/// those of its own runners, by its settings.
pub fn lint_all(sources: &[Source], actions: &[Source], labels: &[String]) -> Vec<Finding> {
    let trees: Vec<(Option<Node>, Vec<ParseError>)> = sources.iter().map(tree).collect();
    let path = |source: &Source| source.name().and_then(calls::path_of);
    let files: Vec<(Option<String>, &Node)> = sources
        .iter()
        .zip(&trees)
        .filter_map(|(source, (tree, _))| Some((path(source), tree.as_ref()?)))
        .collect();
    let mut local: job::Actions = actions
        .iter()
        .filter_map(|source| Some((folder_of(source.name()?), tree(source).0?)))
        .collect();
    local.extend(
        files
            .iter()
            .filter_map(|(path, tree)| Some((path.clone()?, (*tree).clone()))),
    );
    // Only a repository that runs gates has something to lose from a status whose name is not known.
    let runs_gates = sources
        .iter()
        .any(|source| MEASURES.iter().any(|word| source.text().contains(word)));
    let settings = calls::settings(&files, &local).into_iter();
    let mut settings = settings.map(|setting| Setting {
        labels: labels.to_vec(),
        ..setting
    });
    let mut findings = Vec::new();
    for (source, (tree, defects)) in sources.iter().zip(&trees) {
        let mut sink = Sink {
            source,
            findings: Vec::new(),
            runs_gates,
        };
        // Anchors and similar features are allowed here, because GitHub accepts them. Only a syntax error stops the check.
        match tree.as_ref().zip(tree.as_ref().and_then(|_| settings.next())) {
            Some((tree, setting)) => judge_all(tree, &setting, &local, &mut sink),
            None => {
                for defect in defects {
                    sink.push(&codes::UNREADABLE, &defect.span, defect.message.clone());
                }
            }
        }
        sink.findings.sort_by_key(|f| f.region);
        findings.append(&mut sink.findings);
    }
    findings
}

/// Returns the local actions that a workflow or an action uses, by folder.
fn local_actions(source: &Source) -> BTreeSet<String> {
    let text = tree(source).0.map(|tree| uses_of(&tree)).unwrap_or_default();
    text.into_iter()
        .filter_map(|uses| Some(job::local(&uses)?.trim_matches('/').to_owned()))
        .filter(|path| {
            !path.split('/').any(|part| part == "..") && !path.ends_with(".yml") && !path.ends_with(".yaml")
        })
        .collect()
}

/// Reads the local actions that workflows use. `read` returns the text of a file of the repository, or nothing if it has no such file.
///
/// # Errors
/// `read` fails.
pub fn actions<E>(
    workflows: &[Source],
    mut read: impl FnMut(&str) -> Result<Option<Vec<u8>>, E>,
) -> Result<Vec<Source>, E> {
    let folders: BTreeSet<String> = workflows.iter().flat_map(local_actions).collect();
    let mut actions = Vec::new();
    for folder in folders {
        for file in ["action.yml", "action.yaml"] {
            let start = if folder.is_empty() { "" } else { "/" };
            let name = format!("{folder}{start}{file}");
            if let Some(text) = read(&name)? {
                actions.push(Source::new(Some(name), String::from_utf8_lossy(&text)));
            }
        }
    }
    Ok(actions)
}

fn uses_of(node: &Node) -> Vec<String> {
    let own = node.get("uses").and_then(Node::text).map(str::to_owned);
    let entries = node.entries().iter().map(|entry| &entry.node);
    own.into_iter()
        .chain(entries.chain(node.items()).flat_map(uses_of))
        .collect()
}

/// Returns the folder of an action file.
fn folder_of(name: &str) -> String {
    name.rsplit_once('/')
        .map(|(folder, _)| folder.to_owned())
        .unwrap_or_default()
}

fn tree(source: &Source) -> (Option<Node>, Vec<ParseError>) {
    yaml::parse(&MappedText::lines_of(source.text(), 0))
}

fn judge_all(tree: &Node, setting: &Setting, actions: &job::Actions, sink: &mut Sink) {
    let jobs = job::all(tree, setting, actions);
    runtime::of_action(tree, sink);
    permissions(tree, &jobs, sink);
    let own = Events::of(tree);
    let is_called_only = setting.events.is_open && own.is_open && own.names.is_empty();
    for job in &jobs {
        judge(job, sink);
        check_name::judge(job, is_called_only, sink);
        status::judge(job, sink);
        for step in &job.steps {
            if MEASURES.iter().any(|word| sink.source.text().contains(word)) {
                script::judge(step, sink);
            }
            pinned(step, sink);
            runtime::judge(step, sink);
        }
    }
}

/// The labels and the environment that a job needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The id of the job.
    pub job: String,
    /// The labels of runners that only the owner of the repository knows.
    pub labels: Vec<String>,
    /// The environment that the job waits for.
    pub environment: Option<String>,
    /// The actions that its steps use, as written.
    pub uses: Vec<String>,
}

/// Returns the options of an input of `workflow_dispatch`; none if it is not a choice.
pub fn options(source: &Source, input: &str) -> Vec<String> {
    let tree = tree(source).0;
    let path = ["on", "workflow_dispatch", "inputs", input, "options"];
    let options = tree.as_ref().and_then(|tree| tree.at(&path));
    let texts = options.map(|list| list.texts().map(|(text, _)| text.to_owned()).collect());
    texts.unwrap_or_default()
}

/// Returns the needs of each job of a workflow, or nothing if the file cannot be parsed.
pub fn asked(source: &Source) -> Vec<Asked> {
    let jobs = tree(source)
        .0
        .map(|tree| job::all(&tree, &Setting::default(), &job::Actions::new()));
    jobs.unwrap_or_default()
        .into_iter()
        .map(|job| Asked {
            job: job.id,
            labels: job.labels,
            environment: job.environment,
            uses: job
                .steps
                .into_iter()
                .filter_map(|step| Some(step.uses?.0))
                .collect(),
        })
        .collect()
}

fn permissions(tree: &Node, jobs: &[Job], sink: &mut Sink) {
    if tree.get("permissions").is_none() && jobs.iter().any(|job| job.permissions.is_none()) {
        sink.push(
            &codes::DEFAULT_PERMISSIONS,
            &(tree.span.start..tree.span.start),
            "the workflow sets no permissions, so its jobs get the default token of the repository",
        );
    }
}

fn judge(job: &Job, sink: &mut Sink) {
    // On a machine that keeps what a job leaves, the rights of later jobs count on `pull_request` too.
    let on_own = job.on_change && job.runner != Runner::Hosted;
    let with_rights = |taken: &&Taken| taken.is_privileged || on_own;
    // A privileged event decides over the events without rights of the same workflow.
    let first = job.all_taken().find(|taken| taken.is_privileged);
    if let Some(taken) = first.or_else(|| job.all_taken().find(with_rights)) {
        let is_certain = taken.is_privileged || job.runner == Runner::Own;
        let or_warning = |severity| if is_certain { severity } else { Severity::Warning };
        beside_write(job, taken, or_warning, sink);
        if job.secret.is_some() {
            let message = format!("job `{}` {} here, and uses secrets", job.id, taken.what);
            let severity = match job.environment {
                // A person can release the secrets of an environment for one change.
                Some(_) => Severity::Warning,
                None => or_warning(Severity::Error),
            };
            sink.push_as(&codes::SECRET_BESIDE_CHANGE, severity, &taken.span, message);
        }
    }
    let may_write = job.write_permission().is_some();
    for taken in job.all_taken().filter(|taken| taken.is_privileged) {
        if taken.moving && (job.runner == Runner::Own || may_write) {
            sink.push(
                &codes::MOVING_REF,
                &taken.span,
                format!(
                    "job `{}` checks out a name that can move, not the approved commit",
                    job.id
                ),
            );
        }
        if !taken.drops_credential && !taken.from_queue {
            sink.push(
                &codes::PERSISTED_CREDENTIAL,
                &taken.span,
                format!(
                    "job `{}` leaves its token in the git configuration of the change's checkout",
                    job.id
                ),
            );
        }
    }
    if let Some(span) = job.policy_from_change(sink.source.text()) {
        sink.push(
            &codes::POLICY_FROM_CHANGE,
            &span,
            format!(
                "job `{}` takes the registry or the tool from the change under test",
                job.id
            ),
        );
    }
    moving_code(job, sink);
}

/// Reports a job that takes a change and may write.
fn beside_write(job: &Job, taken: &Taken, or_warning: impl Fn(Severity) -> Severity, sink: &mut Sink) {
    let id = &job.id;
    let Some((name, span)) = job.write_permission() else {
        if job.permissions.is_none() {
            let severity = if taken.is_privileged && !taken.from_queue {
                Severity::Error
            } else {
                Severity::Warning
            };
            let message = format!(
                "job `{id}` {} and sets no permissions, so its token may write",
                taken.what
            );
            sink.push_as(&codes::WRITE_BESIDE_CHANGE, severity, &taken.span, message);
        }
        return;
    };
    if job.runner == Runner::Own {
        let message = format!("job `{id}` runs on a self-hosted runner and may write `{name}`");
        sink.push(&codes::SELF_HOSTED_WRITE, &span, message);
    }
    let message = format!("job `{id}` {} and may write `{name}`", taken.what);
    sink.push_as(
        &codes::WRITE_BESIDE_CHANGE,
        or_warning(Severity::Error),
        &span,
        message,
    );
}

/// Reports code of others that moves, in a job that has something to protect.
fn moving_code(job: &Job, sink: &mut Sink) {
    if job.secret.is_none() && job.write_permission().is_none() && job.runner != Runner::Own {
        return;
    }
    let steps = job.steps.iter().filter_map(|step| step.uses.as_ref());
    for (uses, span) in steps.chain(&job.calls) {
        let branch = uses
            .rsplit_once('@')
            .is_some_and(|(_, version)| ["main", "master", "HEAD", "latest"].contains(&version));
        let image = uses
            .strip_prefix("docker://")
            .is_some_and(|image| !image.contains("@sha256:"));
        if image || (branch && job.calls.is_some()) {
            let message = format!(
                "`{uses}` can be moved to other code, and job `{}` has rights",
                job.id
            );
            sink.push(&codes::MOVING_CODE, span, message);
        }
    }
}

fn pinned(step: &Step, sink: &mut Sink) {
    let Some((uses, span)) = &step.uses else { return };
    let by_commit = uses
        .rsplit_once('@')
        .is_some_and(|(_, version)| CommitId::is_valid(version));
    let own = ["./", job::SELF, "docker://"]
        .iter()
        .any(|start| uses.starts_with(start));
    if !own && !by_commit && !is_release(uses) {
        sink.push(
            &codes::UNPINNED_ACTION,
            span,
            format!("the owner of `{uses}` can move it to other code"),
        );
    }
}

/// Whether this is the action of this program in an exact version, which nobody can move: its releases are immutable.
fn is_release(uses: &str) -> bool {
    let own = page::action();
    let name = own.split('@').next().unwrap_or_default();
    let Some((used, version)) = uses.rsplit_once("@v") else {
        return false;
    };
    let numbers: Vec<&str> = version.split('.').collect();
    used.eq_ignore_ascii_case(name)
        && numbers.len() == 3
        && numbers.iter().all(|number| number.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests;
