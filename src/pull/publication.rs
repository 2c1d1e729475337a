//! Publishes results on their pull request, as one comment and one commit status. The results are untrusted until they are
//! verified; a refusal is published too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::document::Document;
use crate::domain::contract::Contract;
use crate::domain::evidence::Identity;
use crate::domain::ids::{CommitId, GateId};
use crate::domain::messages::Messages;
use crate::domain::registry::Registry;
use crate::domain::resolution::{Resolution, Source};
use crate::domain::results::Results;
use crate::domain::settings::{Settings, TierAProof};
use crate::domain::status_context::status_context;
use crate::domain::verdict::Overall;
use crate::github::api::GitHub;
use crate::github::batch::Batch;
use crate::github::comments::{Done, POINTER, Shown, Sticky};
use crate::github::error::GitHubError;
use crate::github::statuses::{self, RunNumber, Settled, Wanted};
use crate::github::types::{State, Status};
use crate::github::workflow_run::WorkflowRun;
use crate::lint;
use crate::pull::current;
use crate::pull::fresh_merge::Checkout;
use crate::pull::provenance::{Doubt, Provenance};
use crate::pull::published::publication_key;
use crate::pull::results_files::{self, Files};
use crate::pull::staleness;
use crate::pull::standing;
use crate::pull::tier_a::{self, TierA};
use crate::report::comment_sections::{self, Past};
use crate::report::embedded_results::Embedded;
use crate::report::links::Links;
use crate::report::render::{self, Page};
use crate::report::verify::{self, Refusal};
use crate::report::view::View;

/// The most bytes of a comment for the registry that a pull request proposes.
const PROPOSAL: usize = 8 << 10;

/// How often a run looks for an older run that publishes at the same time, and the pause between two looks.
const RACE_ROUNDS: u32 = 3;
const RACE_PAUSE: Duration = Duration::from_secs(2);

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
    /// What the attestation is checked with.
    pub facts: &'a lint::LintContext,
    /// Where a merge is made, if GitHub's is outdated.
    pub checkout: Checkout<'a>,
    /// Whether the job that ran the gates did not succeed.
    pub has_job_failed: bool,
    /// A folder with templates that replace the embedded ones.
    pub templates: Option<&'a Path>,
    pub workflow: WorkflowRun,
    /// The settings of the policy.
    pub settings: &'a Settings,
}

/// Where to write, and which other runs may have written there.
#[derive(Clone, Copy)]
struct Target<'t> {
    github: &'t GitHub,
    is_real: &'t dyn Fn(RunNumber) -> bool,
}

/// The comment and the status of a pull request.
pub struct Publication<'a> {
    request: Request<'a>,
    results: Result<Results, Refusal>,
    /// What changed in the pull request since it was resolved.
    stale: Vec<Identity>,
    /// The head commit of the results.
    head: CommitId,
    /// The base branch of the pull request.
    base_branch: String,
    tier_a: TierA,
    /// Why a pass is not a success: the contract is absent, or does not count.
    contract_gap: Option<&'static str>,
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
        let now = current::evidence(github, request.pull, request.resolution, request.checkout);
        let (expected, head) = match (request.resolution, &now) {
            (Some(resolution), _) => (resolution.evidence(), resolution.head.clone()),
            (None, Ok((now, snapshot))) => (now.clone(), snapshot.pull.head.sha.clone()),
            (None, Err(error)) => return Err(error.clone()),
        };
        let stale = match (request.resolution, &now) {
            (Some(resolution), Ok((now, snapshot))) => {
                staleness::of_run(resolution, now, &snapshot.pull.base.branch)
            }
            _ => Vec::new(),
        };
        let files = Files {
            has_job_failed: request.has_job_failed,
            paths: request.files,
            resolution: request.resolution,
            registry: request.registry,
            budget_pct: request.settings.perf.budget_pct,
        };
        let results = results_files::verified(files, expected);
        if let Err(refusal) = &results {
            messages.warn(&format!("refused: {}", refusal.detail));
        }
        let tier_a = match (&now, &results) {
            (Ok((_, snapshot)), Ok(results)) => {
                let evaluate = |contract: &Document<Contract>| {
                    TierA::of(
                        snapshot,
                        contract,
                        request.registry,
                        request.facts,
                        results,
                        request.settings.tier_a,
                    )
                };
                tier_a::of_run(github, request.resolution, snapshot, evaluate)?
            }
            _ => TierA::default(),
        };
        let contract_gap = match &now {
            Ok((_, snapshot)) => {
                let authors = &request.settings.contracts.authors;
                standing::gap(github, request.resolution, snapshot, authors)?
            }
            Err(_) => None,
        };
        let base_branch = now.as_ref().map_or_else(
            |_| String::new(),
            |(_, snapshot)| snapshot.pull.base.branch.clone(),
        );
        Ok(Publication {
            base_branch,
            contract_gap,
            tier_a,
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

    /// Returns what the comment embeds, which the run must upload as an artifact. Nothing for stale or refused results.
    pub fn evidence(&self) -> Option<Embedded> {
        let results = self.results.as_ref().ok().filter(|_| self.stale.is_empty())?;
        Embedded::new(results)
    }

    /// Whether a run may be newer than this run: GitHub must know it as a run that may publish. Without permission to ask, every
    /// run may.
    fn is_real(&self, provenance: &Provenance<'_>, run: RunNumber) -> bool {
        let own = self.request.workflow.id;
        own.is_none_or(|own| run.0 <= own)
            || !matches!(
                provenance.run(run.0),
                Ok(Err(Doubt::Expired | Doubt::Unproven(_)))
            )
    }

    fn selection(&self) -> (Option<&str>, &[GateId]) {
        match (self.request.resolution, &self.results) {
            (Some(resolution), _) => (resolution.bundle.as_deref(), &resolution.gate_ids),
            (None, Ok(results)) => (results.bundle.as_deref(), &results.gate_ids),
            (None, Err(_)) => (None, &[]),
        }
    }

    fn key(&self) -> String {
        let (bundle, gate_ids) = self.selection();
        let (branch, proposed) = match self.request.resolution {
            Some(resolution) => (
                &resolution.base_branch,
                resolution.registry.source == Source::Proposed,
            ),
            None => (&self.base_branch, false),
        };
        let other_base = (*branch != self.request.settings.naming.base).then_some(branch.as_str());
        publication_key(bundle, gate_ids, other_base, proposed)
    }

    fn shown(&self) -> Shown {
        let results = self.results.as_ref().ok();
        Shown {
            run: self.request.workflow.number(),
            outcome: self.outcome().to_owned(),
            head: Some(self.head.to_string()),
            at: results.and_then(|results| results.started_at.clone()),
            says: results.map(summary).unwrap_or_default(),
        }
    }

    /// Renders the comment, with a list of earlier runs. The table gets the space that the other sections leave.
    ///
    /// # Errors
    /// An embedded template is broken.
    pub fn text(&self, before: &[Shown], messages: &dyn Messages) -> anyhow::Result<String> {
        let notice = match self.stale.as_slice() {
            [] => String::new(),
            stale => comment_sections::notice(&format!(
                "This is about an older state of the pull request, and proves nothing about the present one. What changed since it was approved: {}. Run the gates again.",
                verify::names(stale)
            )),
        };
        let mut rest = String::new();
        if self.results.is_ok() {
            if let Some(gap) = self.contract_gap {
                rest += &format!("\n**Pending:** {gap}.\n");
            }
            rest += &comment_sections::tier_a(&self.tier_a.attested, &self.tier_a.missing, self.tier_a.proof);
        }
        if let Some(evidence) = self.evidence() {
            rest += &format!("\n{}\n", evidence.line());
        }
        if let Some(resolution) = self.request.resolution
            && let Some(proposed) = &resolution.registry.proposed
        {
            rest += &comment_sections::proposal(proposed, resolution.registry.source, PROPOSAL);
        }
        let past: Vec<Past> = before.iter().map(|shown| self.past(shown)).collect();
        rest += &comment_sections::history(&past);
        let workflow = &self.request.workflow;
        if let Some(url) = workflow.id.and_then(|id| workflow.url(id)) {
            rest += &format!("\n[The run, with its log]({url})\n");
        }
        let table = match &self.results {
            Ok(results) => self.table(
                results,
                Sticky::ROOM.saturating_sub(notice.len() + rest.len()),
                messages,
            )?,
            Err(refusal) => comment_sections::refusal(self.selection().0, &refusal.why.message(), &self.head),
        };
        Ok(notice + &table + &rest)
    }

    /// Renders the table of the gates in at most `room` bytes.
    fn table(&self, results: &Results, room: usize, messages: &dyn Messages) -> anyhow::Result<String> {
        let links = Links {
            repository: self.request.workflow.repository.clone(),
            pull: Some(self.request.pull),
            contract: self
                .request
                .resolution
                .and_then(|resolution| Some(resolution.contract.as_ref()?.issue)),
            run: self.request.workflow.id,
        };
        let options = render::Options {
            templates: self.request.templates,
            room: Some(room),
            ..render::Options::default()
        };
        let view = View::new(results, &self.request.settings.report.metric, &links);
        let rendered = render::page(&view, Page::Comment, &options)?;
        if let Some(complaint) = rendered.complaint {
            messages.note(&format!(
                "cannot use the templates in --templates, so the embedded ones are used: {complaint}"
            ));
        }
        Ok(format!("{}\n", rendered.text.trim_end()))
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

    /// Sets the status, then writes the comment. Each is written even if the other fails. An older run changes neither.
    ///
    /// # Errors
    /// GitHub does not answer, or refuses the comment or the status.
    pub fn write(&self, github: &GitHub, messages: &dyn Messages) -> Result<(), GitHubError> {
        if let Some(error) = &self.unreachable {
            return Err(error.clone());
        }
        let batch = Batch::default();
        let publish = &self.request.settings.publish;
        let provenance = Provenance::new(github, &batch, publish, &self.base_branch);
        let is_real = |run| self.is_real(&provenance, run);
        let to = Target {
            github,
            is_real: &is_real,
        };
        let Some(page) = self.request.workflow.page() else {
            // A publication outside a workflow has no run, so the status links to the comment.
            let comment = self.write_comment(to, messages);
            let status = self.set_status(to, comment.as_deref().ok(), messages);
            return comment.and(status).map(drop);
        };
        let status = self.set_status(to, Some(&page), messages);
        if let Ok(Some(_)) = status {
            messages.note("the comment is not changed, because a newer run has published");
            return Ok(());
        }
        let comment = self.write_comment(to, messages);
        let race = match comment {
            Ok(_) => self.end_race(to, &page, messages),
            Err(_) => Ok(()),
        };
        comment.and(status.map(drop)).and(race)
    }

    /// Writes the comment, and returns its address.
    fn write_comment(&self, to: Target<'_>, messages: &dyn Messages) -> Result<String, GitHubError> {
        let done = self.publish_comment(to, messages)?;
        let (verb, url) = match done {
            Done::Created(url) => ("published", url),
            Done::Updated(url) => ("updated", url),
            Done::Unchanged(url) => ("unchanged", url),
            Done::Newer(url) => ("not changed, because it shows a newer run", url),
        };
        messages.note(&format!("the comment is {verb}: {url}"));
        Ok(url)
    }

    fn publish_comment(&self, to: Target<'_>, messages: &dyn Messages) -> Result<Done, GitHubError> {
        let text = |before: &[Shown]| {
            self.text(before, messages)
                .unwrap_or_else(|_| "The table could not be rendered; see the job's log.\n".to_owned())
        };
        let sticky = Sticky {
            key: &self.key(),
            shown: self.shown(),
            text: &text,
            is_real: to.is_real,
        };
        sticky.publish(to.github, self.request.pull)
    }

    /// Sets the commit status, which branch protection can require. Returns the status of a newer run, which stays. A token without
    /// permission for statuses is not an error.
    fn set_status(
        &self,
        to: Target<'_>,
        target: Option<&str>,
        messages: &dyn Messages,
    ) -> Result<Option<Status>, GitHubError> {
        let (state, line) = self.status();
        let wanted = Wanted {
            context: &status_context(&self.key()),
            state,
            line: &line,
            target,
        };
        let settled = to
            .github
            .login()
            .and_then(|login| wanted.settle(to.github, &self.head, &login, to.is_real));
        match settled {
            Ok(Settled::Newer(status)) => Ok(Some(status)),
            Ok(Settled::Set | Settled::Unchanged) => Ok(None),
            Err(error) if error.status() == Some(403) => {
                messages.warn(&format!(
                    "warning: no commit status was set (`statuses: write` in `permissions:` allows it): {error}"
                ));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Ensures that the comment ends with the newest of several runs that publish at the same time. GitHub has no conditional write
    /// of a comment, so an older run may have replaced the table of a newer one. The older run finds out from the statuses, and
    /// points to the newer run. The newer run finds the older one there, waits for it, and writes its table again.
    fn end_race(&self, to: Target<'_>, page: &str, messages: &dyn Messages) -> Result<(), GitHubError> {
        let Some(mine) = self.request.workflow.number() else {
            return Ok(());
        };
        let context = status_context(&self.key());
        let login = to.github.login()?;
        for _ in 0..RACE_ROUNDS {
            // The order of runs is unknown without permission for statuses.
            let Ok(statuses) = to.github.statuses(&self.head) else {
                return Ok(());
            };
            let newest = statuses::newest(&statuses, &context, &login, to.is_real);
            if let Some(newer) = newest.filter(|status| status.run() > Some(mine)) {
                self.point_to(to, &newer, messages)?;
                return self.set_status(to, Some(page), messages).map(drop);
            }
            if !statuses::is_contested(&statuses, &context, &login, mine) {
                return Ok(());
            }
            to.github.pause(RACE_PAUSE);
            self.publish_comment(to, messages)?;
        }
        Ok(())
    }

    /// Replaces the table of this run by a reference to a newer run, unless the comment shows the newer run already.
    fn point_to(&self, to: Target<'_>, newer: &Status, messages: &dyn Messages) -> Result<(), GitHubError> {
        let Some(run) = newer.run() else {
            return Ok(());
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ", _".contains(c);
        let counts: String = newer
            .description
            .chars()
            .filter(|c| plain(*c))
            .take(100)
            .collect();
        let text = |before: &[Shown]| {
            let past: Vec<Past> = before.iter().map(|shown| self.past(shown)).collect();
            let mut text = comment_sections::notice(&format!(
                "A newer run published at the same time as an older one, and its table was replaced. Its result: {counts}. Publish it again, or read its summary."
            ));
            text += &comment_sections::history(&past);
            if let Some(url) = self.request.workflow.url(run.0) {
                text += &format!("\n[The run, with its log]({url})\n");
            }
            text
        };
        let sticky = Sticky {
            key: &self.key(),
            shown: Shown {
                run: Some(run),
                outcome: POINTER.to_owned(),
                head: Some(self.head.to_string()),
                at: None,
                says: counts.clone(),
            },
            text: &text,
            is_real: to.is_real,
        };
        if let Done::Updated(url) = sticky.publish(to.github, self.request.pull)? {
            messages.note(&format!("the comment points to a newer run: {url}"));
        }
        Ok(())
    }

    fn status(&self) -> (State, String) {
        let results = match &self.results {
            Ok(results) if self.stale.is_empty() => results,
            Ok(_) => {
                let line = format!("stale: {} changed", verify::names(&self.stale));
                return (State::Error, line);
            }
            Err(refusal) => return (State::Error, format!("refused: {}", refusal.why.message())),
        };
        let open =
            !results.uncovered.is_empty() || !self.tier_a.missing.is_empty() || self.contract_gap.is_some();
        let state = match results.overall {
            Overall::Pass if open => State::Pending,
            Overall::Pass => State::Success,
            Overall::Fail => State::Failure,
            Overall::Inconclusive | Overall::Invalid | Overall::Cancelled => State::Error,
        };
        let mut line = summary(results);
        if let Some(gap) = self.contract_gap {
            line += &format!("; {gap}");
        }
        if !results.uncovered.is_empty() {
            line += &format!("; {} more required by the contract", results.uncovered.len());
        }
        if !self.tier_a.missing.is_empty() {
            let lacks = match self.tier_a.proof {
                TierAProof::Attest => "attested",
                TierAProof::Run => "run",
            };
            line += &format!("; Tier A not {lacks}: {}", self.tier_a.missing.join(", "));
        } else if !self.tier_a.attested.is_empty() {
            line += "; Tier A attested by the author";
        }
        (state, line)
    }
}

/// Counts the gates by verdict, such as `9 pass, 1 fail`.
fn summary(results: &Results) -> String {
    let counts: Vec<String> = View::new(results, "", &Links::default())
        .counts
        .iter()
        .map(|count| format!("{} {}", count.count, count.status))
        .collect();
    counts.join(", ")
}
