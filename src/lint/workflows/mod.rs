//! GitHub workflows of a repository that runs gates: who holds a write token beside a change's code, whose policy judges
//! it, which commit was meant, and scripts that cannot do what they say.
//!
//! General linters know workflows better; these rules know what a gate is. Nothing here runs or fetches anything.

mod codes;
mod job;
mod runtime;
mod script;
mod sink;

use crate::document::mapped::Mapped;
use crate::document::node::Node;
use crate::document::source::Source;
use crate::document::yaml;
use crate::domain::finding::Finding;

pub use codes::TABLE;
use job::{Job, Step};
use sink::Sink;

/// Judges one workflow file.
pub fn lint(source: &Source) -> Vec<Finding> {
    let content = Mapped::lines_of(source.text(), 0);
    let (tree, defects) = yaml::parse(&content);
    let mut sink = Sink {
        source,
        findings: Vec::new(),
    };
    // Anchors and the like are the forms' business: GitHub reads them, and only a broken file stops us.
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

/// What a job asks of the world around its workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The job's id.
    pub job: String,
    /// Labels that only the repository's owner can know a runner for.
    pub labels: Vec<String>,
    /// The environment that it waits for.
    pub environment: Option<String>,
}

/// What each job of a workflow asks for; nothing of a file that cannot be read.
pub fn asked(source: &Source) -> Vec<Asked> {
    let (tree, _) = yaml::parse(&Mapped::lines_of(source.text(), 0));
    let jobs = tree.map(|tree| job::all(&tree)).unwrap_or_default();
    jobs.into_iter()
        .map(|job| Asked {
            job: job.id,
            labels: job.labels,
            environment: job.environment,
        })
        .collect()
}

fn permissions(tree: &Node, jobs: &[Job], sink: &mut Sink) {
    if tree.get("permissions").is_none() && jobs.iter().any(|job| job.permissions.is_none()) {
        sink.push(
            &codes::DEFAULT_PERMISSIONS,
            &(tree.span.start..tree.span.start),
            "the workflow names no permissions, so its jobs get the repository's default token",
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
                    "job `{}` checks out a change's code and may write `{name}`",
                    job.id
                ),
            );
        }
        if checkout.moving {
            sink.push(
                &codes::MOVING_REF,
                &checkout.span,
                format!(
                    "job `{}` checks out a name that moves, not the commit that was approved",
                    job.id
                ),
            );
        }
        if !checkout.drops_credential {
            sink.push(
                &codes::PERSISTED_CREDENTIAL,
                &checkout.span,
                format!(
                    "job `{}` leaves its token in the configuration of the change's checkout",
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
                "job `{}` takes the registry or the tool from the change that they judge",
                job.id
            ),
        );
    }
    if !job.has_timeout && !job.calls_workflow {
        sink.push(
            &codes::NO_TIMEOUT,
            &job.span,
            format!(
                "job `{}` has no `timeout-minutes`: a hang holds its runner for six hours",
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
                "an expression inside a script is code, whatever its value turns out to be",
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
            format!("`{uses}` can be moved to other code by its owner"),
        );
    }
}

#[cfg(test)]
mod tests;
