//! Rules for the workflows of a repository that runs gates: write tokens in the same job as the code of a change, policy from
//! the change, checkouts of moving refs, and scripts that cannot work.
//!
//! A general linter knows more about workflows; these rules know about gates. Must not run or fetch anything.

mod codes;
mod job;
mod runtime;
mod script;
mod sink;

use crate::document::node::Node;
use crate::document::source::Source;
use crate::document::source_map::MappedText;
use crate::document::yaml;
use crate::domain::finding::Finding;

pub use codes::TABLE;
use job::{Job, Step};
use sink::Sink;

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
            expressions(step, &mut sink);
            script::judge(step, &mut sink);
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
    if let (true, Some((name, span))) = (job.self_hosted, &write) {
        sink.push(
            &codes::SELF_HOSTED_WRITE,
            span,
            format!(
                "job `{}` runs on a self-hosted runner and may write `{name}`",
                job.id
            ),
        );
    }
    for step in &job.steps {
        let Some(checkout) = &step.change else { continue };
        if let Some((name, span)) = &write {
            sink.push(
                &codes::WRITE_BESIDE_CHANGE,
                span,
                format!(
                    "job `{}` checks out the code of a change and may write `{name}`",
                    job.id
                ),
            );
        }
        if checkout.moving {
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
    if !job.has_timeout && !job.calls_workflow {
        sink.push(
            &codes::NO_TIMEOUT,
            &job.span,
            format!(
                "job `{}` has no `timeout-minutes`: a hanging job occupies its runner for six hours",
                job.id
            ),
        );
    }
}

fn expressions(step: &Step, sink: &mut Sink) {
    for text in &step.scripts {
        let raw = &sink.source.text()[text.clone()];
        let hits: Vec<usize> = raw.match_indices("${{").map(|(at, _)| text.start + at).collect();
        for at in hits {
            sink.push(
                &codes::SCRIPT_EXPRESSION,
                &(at..at + 3),
                "GitHub inserts the value of an expression into the script, so the value becomes code",
            );
        }
    }
}

fn pinned(step: &Step, sink: &mut Sink) {
    let Some((uses, span)) = &step.uses else { return };
    let by_commit = uses
        .rsplit_once('@')
        .is_some_and(|(_, version)| version.len() == 40 && version.bytes().all(|b| b.is_ascii_hexdigit()));
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
