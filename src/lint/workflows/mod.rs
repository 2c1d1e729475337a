//! Rules for the workflows of a repository that runs gates: write tokens in the same job as the code of a change, policy from
//! the change, checkouts of moving refs, and scripts that cannot work.
//!
//! A general linter knows more about workflows; these rules know about gates. Must not run or fetch anything.

mod change;
mod codes;
mod job;
mod runtime;
mod script;
mod sink;

use crate::document::node::Node;
use crate::document::source::Source;
use crate::document::source_map::MappedText;
use crate::document::yaml;
use crate::domain::finding::{Finding, Severity};
use crate::domain::ids::CommitId;
use crate::domain::status_context::PREFIX;

pub use codes::{STALE_CHOICES, TABLE};
use job::{Job, Step};
use sink::Sink;

/// Words of a workflow that runs gates.
const MEASURES: [&str; 3] = ["gates.toml", "nmoe-gates", "node_tps"];

/// Checks one workflow file.
pub fn lint(source: &Source) -> Vec<Finding> {
    let content = MappedText::lines_of(source.text(), 0);
    let (tree, defects) = yaml::parse(&content);
    let mut sink = Sink {
        source,
        findings: Vec::new(),
    };
    // Anchors and similar features are allowed here, because GitHub accepts them. Only a syntax error stops the check.
    let Some(tree) = tree else {
        for defect in defects {
            sink.push(&codes::UNREADABLE, &defect.span, defect.message);
        }
        return sink.findings;
    };
    let jobs = job::all(&tree);
    runtime::of_action(&tree, &mut sink);
    permissions(&tree, &jobs, &mut sink);
    for job in &jobs {
        judge(job, &mut sink);
        for step in &job.steps {
            if MEASURES.iter().any(|word| source.text().contains(word)) {
                script::judge(step, &mut sink);
            }
            pinned(step, &mut sink);
            runtime::judge(step, &mut sink);
        }
    }
    sink.findings.sort_by_key(|f| f.region);
    sink.findings
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
    let (tree, _) = yaml::parse(&MappedText::lines_of(source.text(), 0));
    let path = ["on", "workflow_dispatch", "inputs", input, "options"];
    let options = tree.as_ref().and_then(|tree| tree.at(&path));
    let texts = options.map(|list| list.texts().map(|(text, _)| text.to_owned()).collect());
    texts.unwrap_or_default()
}

/// Returns the needs of each job of a workflow, or nothing if the file cannot be parsed.
pub fn asked(source: &Source) -> Vec<Asked> {
    let (tree, _) = yaml::parse(&MappedText::lines_of(source.text(), 0));
    let jobs = tree.map(|tree| job::all(&tree)).unwrap_or_default();
    jobs.into_iter()
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
    let write = job.write_permission();
    let taken: Vec<_> = job.steps.iter().filter_map(|step| step.change.as_ref()).collect();
    if let Some(checkout) = taken.iter().find(|checkout| checkout.is_privileged) {
        if let Some((name, span)) = &write {
            let id = &job.id;
            if job.self_hosted {
                let message = format!("job `{id}` runs on a self-hosted runner and may write `{name}`");
                sink.push(&codes::SELF_HOSTED_WRITE, span, message);
            }
            let message = format!("job `{id}` checks out the code of a change and may write `{name}`");
            sink.push(&codes::WRITE_BESIDE_CHANGE, span, message);
        }
        if job.secret.is_some() {
            let message = format!(
                "job `{}` takes the code of a change here, and uses secrets",
                job.id
            );
            let severity = match job.environment {
                // A person can release the secrets of an environment for one change.
                Some(_) => Severity::Warning,
                None => Severity::Error,
            };
            sink.push_as(&codes::SECRET_BESIDE_CHANGE, severity, &checkout.span, message);
        }
    }
    for checkout in taken.iter().filter(|checkout| checkout.is_privileged) {
        if checkout.moving && (job.self_hosted || write.is_some()) {
            sink.push(
                &codes::MOVING_REF,
                &checkout.span,
                format!(
                    "job `{}` checks out a name that can move, not the approved commit",
                    job.id
                ),
            );
        }
        if !checkout.drops_credential {
            sink.push(
                &codes::PERSISTED_CREDENTIAL,
                &checkout.span,
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
    status_writer(job, sink);
}

/// Reports code of others that moves, in a job that has something to protect.
fn moving_code(job: &Job, sink: &mut Sink) {
    if job.secret.is_none() && job.write_permission().is_none() && !job.self_hosted {
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

/// Reports a job that can write our commit status without being the publisher.
fn status_writer(job: &Job, sink: &mut Sink) {
    let can_write = |name: &str| matches!(name, "statuses" | "checks" | "all");
    let permission = job
        .permissions
        .iter()
        .flatten()
        .find(|(name, value, _)| can_write(name) && value.starts_with("write"));
    let Some((name, _, span)) = permission else { return };
    if job.steps.iter().any(|step| step.is_ours) {
        return;
    }
    let text = sink.source.text();
    let named = job
        .steps
        .iter()
        .flat_map(|step| &step.scripts)
        .find_map(|script| Some(script.start + text[script.clone()].find(PREFIX)?));
    if let Some(at) = named {
        let message = format!(
            "job `{}` may write `{name}` and names the commit status of the gates",
            job.id
        );
        sink.push(&codes::STATUS_WRITER, &(at..at + PREFIX.len()), message);
    } else if name == "statuses" {
        let message = format!(
            "job `{}` may write every commit status, also that of the gates",
            job.id
        );
        sink.push_as(&codes::STATUS_WRITER, Severity::Warning, span, message);
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
    if !own && !by_commit {
        sink.push(
            &codes::UNPINNED_ACTION,
            span,
            format!("the owner of `{uses}` can move it to other code"),
        );
    }
}

#[cfg(test)]
mod tests;
