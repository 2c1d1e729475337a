//! Publishes results on their pull request, as one comment and one commit status. The results are untrusted until they are
//! verified; a refusal is published too.

use std::path::{Path, PathBuf};

use crate::domain::evidence::{Evidence, Identity};
use crate::domain::ids::{CommitId, Sha256};
use crate::domain::messages::Messages;
use crate::domain::registry::Registry;
use crate::domain::resolution::Resolution;
use crate::domain::results::Results;
use crate::domain::verdict::Overall;
use crate::github::api::GitHub;
use crate::github::comments::{Done, Shown, Sticky};
use crate::github::error::GitHubError;
use crate::github::types::State;
use crate::github::workflow_run::WorkflowRun;
use crate::pull::published::status_context;
use crate::pull::snapshot::Snapshot;
use crate::pull::staleness;
use crate::report::comment_sections::{self, Past};
use crate::report::embedded_results;
use crate::report::merge_results::{self, Whole};
use crate::report::read;
use crate::report::render::{self, Page};
use crate::report::verify::{self, Expected, Refusal, Selection};
use crate::report::view::View;

/// The bytes of a comment that are kept free for the sections around the table.
const RESERVED: usize = (12 << 10) + embedded_results::MOST;

/// What to publish, and where.
pub struct Request<'a> {
    /// The number of the pull request.
    pub pull: u64,
    /// Results files, or folders of them.
    pub files: &'a [PathBuf],
    /// The output of `resolve`. Without it, the results are compared with the pull request as it is now.
    pub resolution: Option<&'a Resolution>,
    /// The registry that the run used.
    pub registry: &'a Registry,
    /// A folder with templates that replace the embedded ones.
    pub templates: Option<&'a Path>,
    pub workflow: WorkflowRun,
}

/// The comment and the status of a pull request.
pub struct Publication<'a> {
    request: Request<'a>,
    results: Result<Results, Refusal>,
    /// What changed in the pull request since it was resolved.
    stale: Vec<Identity>,
    /// The head commit of the results.
    head: CommitId,
    /// Why nothing can be written.
    unreachable: Option<GitHubError>,
}

impl<'a> Publication<'a> {
    /// Verifies the results and compares the pull request with its resolution.
    ///
    /// # Errors
    /// GitHub does not answer, and no resolution was given.
    pub fn prepare(
        github: &GitHub,
        request: Request<'a>,
        messages: &dyn Messages,
    ) -> Result<Self, GitHubError> {
        let now = current_evidence(github, &request);
        let (expected, head) = match (request.resolution, &now) {
            (Some(resolution), _) => (resolution.evidence(), resolution.head.clone()),
            (None, Ok((now, head))) => (now.clone(), head.clone()),
            (None, Err(error)) => return Err(error.clone()),
        };
        let stale = match (request.resolution, &now) {
            (Some(_), Ok((now, _))) => staleness::stale(&expected, now, None),
            _ => Vec::new(),
        };
        let results = verified(&request, expected);
        if let Err(refusal) = &results {
            messages.warn(&format!("refused: {}", refusal.detail));
        }
        Ok(Publication {
            request,
            results,
            stale,
            head,
            unreachable: now.err(),
        })
    }

    /// Whether the results were refused.
    pub fn is_refused(&self) -> bool {
        self.results.is_err()
    }

    /// Returns the outcome in one word: the overall verdict, `stale`, or `refused`.
    pub fn outcome(&self) -> &'static str {
        match &self.results {
            Err(_) => "refused",
            Ok(_) if !self.stale.is_empty() => "stale",
            Ok(results) => results.overall.as_str(),
        }
    }

    fn bundle(&self) -> Option<&str> {
        match (self.request.resolution, &self.results) {
            (Some(resolution), _) => resolution.bundle.as_deref(),
            (None, Ok(results)) => results.bundle.as_deref(),
            (None, Err(_)) => None,
        }
    }

    fn shown(&self) -> Shown {
        let results = self.results.as_ref().ok();
        Shown {
            run: self.request.workflow.id.zip(self.request.workflow.attempt),
            outcome: self.outcome().to_owned(),
            head: Some(self.head.to_string()),
            at: results.and_then(|results| results.started_at.clone()),
            says: results.map(summary).unwrap_or_default(),
        }
    }

    /// Renders the comment, with a list of earlier runs.
    ///
    /// # Errors
    /// An embedded template is broken.
    pub fn text(&self, before: &[Shown], messages: &dyn Messages) -> anyhow::Result<String> {
        let mut text = String::new();
        if !self.stale.is_empty() {
            text += &comment_sections::notice(&format!(
                "This is about an older state of the pull request, and proves nothing about the present one. What changed since it was approved: {}. Run the gates again.",
                verify::names(&self.stale)
            ));
        }
        match &self.results {
            Ok(results) => {
                let options = render::Options {
                    templates: self.request.templates,
                    color: false,
                    reserve: RESERVED,
                };
                let rendered = render::page(&View::new(results), Page::Comment, &options)?;
                if let Some(complaint) = rendered.complaint {
                    messages.note(&format!(
                        "cannot use the templates in --templates, so the embedded ones are used: {complaint}"
                    ));
                }
                text += rendered.text.trim_end();
                text += "\n";
                if self.stale.is_empty()
                    && let Some(line) = embedded_results::line(results)
                {
                    text += &format!("\n{line}\n");
                }
            }
            Err(refusal) => {
                text += &comment_sections::refusal(self.bundle(), &refusal.why.says(), &self.head);
            }
        }
        if let Some(resolution) = self.request.resolution
            && let Some(proposed) = &resolution.registry.proposed
        {
            text += &comment_sections::proposal(proposed, resolution.registry.source);
        }
        let past: Vec<Past> = before.iter().map(|shown| self.past(shown)).collect();
        text += &comment_sections::history(&past);
        let workflow = &self.request.workflow;
        if let Some(url) = workflow.id.and_then(|id| workflow.url(id)) {
            text += &format!("\n[The run, with its log]({url})\n");
        }
        Ok(text)
    }

    fn past(&self, shown: &Shown) -> Past {
        Past {
            outcome: shown.outcome.clone(),
            head: shown.head.clone(),
            at: shown.at.clone(),
            says: shown.says.clone(),
            url: shown.run.and_then(|(id, _)| self.request.workflow.url(id)),
        }
    }

    /// Writes the comment, then the status.
    ///
    /// # Errors
    /// GitHub does not answer, or refuses the comment.
    pub fn write(&self, github: &GitHub, messages: &dyn Messages) -> Result<(), GitHubError> {
        if let Some(error) = &self.unreachable {
            return Err(error.clone());
        }
        let text = |before: &[Shown]| {
            self.text(before, messages)
                .unwrap_or_else(|_| "The table could not be rendered; see the job's log.\n".to_owned())
        };
        let sticky = Sticky {
            key: self.bundle().unwrap_or("gates"),
            shown: self.shown(),
            text: &text,
        };
        let done = sticky.publish(github, self.request.pull)?;
        let (verb, url) = match &done {
            Done::Created(url) => ("published", url),
            Done::Updated(url) => ("updated", url),
            Done::Unchanged(url) => ("unchanged", url),
            Done::Newer(url) => ("not changed, because it shows a newer run", url),
        };
        messages.note(&format!("the comment is {verb}: {url}"));
        self.set_status(
            github,
            Some(url.as_str()).filter(|url| url.starts_with("https://")),
            messages,
        )
    }

    /// Sets the commit status, which branch protection can require. A token without permission for it is not an error.
    fn set_status(
        &self,
        github: &GitHub,
        url: Option<&str>,
        messages: &dyn Messages,
    ) -> Result<(), GitHubError> {
        let (state, line) = self.status();
        match github.set_status(&self.head, &status_context(self.bundle()), state, &line, url) {
            Err(error) if error.status() == Some(403) => {
                messages.warn(&format!(
                    "warning: no commit status was set (`statuses: write` in `permissions:` allows it): {error}"
                ));
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn status(&self) -> (State, String) {
        let results = match &self.results {
            Ok(results) if self.stale.is_empty() => results,
            Ok(_) => {
                let line = format!("stale: {} changed", verify::names(&self.stale));
                return (State::Error, line);
            }
            Err(refusal) => return (State::Error, format!("refused: {}", refusal.why.says())),
        };
        let state = match results.overall {
            Overall::Pass if results.uncovered.is_empty() => State::Success,
            Overall::Pass => State::Pending,
            Overall::Fail => State::Failure,
            Overall::Inconclusive | Overall::Invalid | Overall::Cancelled => State::Error,
        };
        let mut line = summary(results);
        if !results.uncovered.is_empty() {
            line += &format!("; {} more required by the contract", results.uncovered.len());
        }
        (state, line)
    }
}

/// Returns the evidence that is valid for the pull request as it is now, and its head.
fn current_evidence(github: &GitHub, request: &Request<'_>) -> Result<(Evidence, CommitId), GitHubError> {
    let snapshot = Snapshot::fetch(github, request.pull)?;
    let merge = snapshot.latest_merge(github)?;
    let contract = match request
        .resolution
        .and_then(|resolution| resolution.contract.as_ref())
    {
        Some(contract) => Some(Sha256::of(github.issue(contract.issue)?.body.as_bytes())),
        None => None,
    };
    let evidence = snapshot.evidence(merge.as_ref(), None, contract.as_ref());
    Ok((evidence, snapshot.pull.head.sha))
}

/// Reads and verifies the results.
fn verified(request: &Request<'_>, mut evidence: Evidence) -> Result<Results, Refusal> {
    let resolution = request.resolution;
    let results = read_all(request)?;
    if resolution.is_none() && results.evidence.merge == evidence.head && results.evidence.head.is_none() {
        // The run tested the head itself, without a merge, so only this commit can be compared.
        evidence = Evidence {
            merge: evidence.head,
            ..Evidence::default()
        };
    }
    let expected = Expected {
        evidence,
        selection: resolution.map(|resolution| Selection {
            bundle: resolution.bundle.as_deref(),
            gate_ids: &resolution.gate_ids,
            uncovered: &resolution.uncovered,
        }),
        registry: request.registry,
    };
    verify::verify(&results, &expected)?;
    Ok(results)
}

/// Reads the results, and merges the parts of several runners.
fn read_all(request: &Request<'_>) -> Result<Results, Refusal> {
    let mut parts = Vec::new();
    for path in request.files {
        for file in merge_results::files(path).map_err(read::Refusal::from)? {
            parts.push(read::file_within(&file, verify::MAX_BYTES)?);
        }
    }
    // A single file must contain the complete run. A folder contains parts, even if only one runner wrote any.
    if let ([path], [_]) = (request.files, &*parts)
        && !path.is_dir()
    {
        return Ok(parts.swap_remove(0));
    }
    let whole = request.resolution.map(|resolution| Whole {
        bundle: resolution.bundle.as_deref(),
        gate_ids: &resolution.gate_ids,
    });
    merge_results::merge(parts, whole)
}

/// Counts the gates by verdict, such as `9 pass, 1 fail`.
fn summary(results: &Results) -> String {
    let counts: Vec<String> = View::new(results)
        .counts
        .iter()
        .map(|count| format!("{} {}", count.count, count.status))
        .collect();
    counts.join(", ")
}
