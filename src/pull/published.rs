//! Reads the results in the comments of a pull request. A comment counts only with provenance: a trusted workflow run uploaded
//! what the comment embeds, and the commit status of that run is still the newest.

use crate::domain::evidence::Evidence;
use crate::domain::ids::{CommitId, GateId};
use crate::domain::plausible::Reading;
use crate::domain::registry::{Registry, SINGLE, TIER_A, TIER_B, Tier};
use crate::domain::results::Results;
use crate::domain::settings::Publish;
use crate::domain::verdict::{Overall, Verdict};
use crate::gate::select;
use crate::github::api::GitHub;
use crate::github::batch::{Batch, Wanted};
use crate::github::comments;
use crate::github::error::GitHubError;
use crate::github::statuses::RunNumber;
use crate::github::types::{Comment, Pull, Status};
use crate::policy::Loaded;
use crate::pull::provenance::{Doubt, Provenance};
use crate::report::embedded_results::Embedded;
use crate::report::verify::{self, Expected};

/// The results in the comments of one pull request.
#[derive(Debug, Default)]
pub struct Published {
    pub results: Vec<Results>,
    /// The comments that do not count.
    pub refused: Vec<Refused>,
}

/// A comment whose results do not count.
#[derive(Clone, Debug)]
pub struct Refused {
    pub why: Doubt,
    /// The gates that pass by the comment, if the publisher's login wrote it.
    pub passed: Vec<GateId>,
}

/// By what published results are checked.
pub struct Trust<'a> {
    pub registry: &'a Loaded<Registry>,
    /// The settings of the base commit.
    pub publish: &'a Publish,
    /// Whether the base branch contains a commit.
    pub is_on_base: &'a dyn Fn(&CommitId) -> bool,
    /// Answers of GitHub that are known already.
    pub batch: &'a Batch,
}

/// Adds what [`read`] needs to know about these comments: run, artifact and status of each.
pub fn want(comments: &[Comment], login: &str, wanted: &mut Wanted) {
    for comment in comments.iter().filter(|comment| is_by(comment, login)) {
        if let Some(embedded) = Embedded::of(&comment.body)
            && let Some((run, _)) = comments::shown(&comment.body).and_then(|shown| shown.run)
            && let Ok(results) = embedded.results()
        {
            wanted.runs.insert(run);
            wanted.artifacts.insert((run, embedded.artifact()));
            wanted
                .commits
                .extend(results.evidence.head.or(results.evidence.merge));
        }
    }
}

fn is_by(comment: &Comment, login: &str) -> bool {
    comment.user.as_ref().is_some_and(|user| user.login == login)
}

/// Reads the published results in the comments of a pull request.
///
/// # Errors
/// GitHub does not answer. A comment that does not count is not an error.
pub fn read(
    github: &GitHub,
    pull: &Pull,
    comments: &[Comment],
    trust: &Trust<'_>,
) -> Result<Published, GitHubError> {
    let provenance = Provenance::new(github, trust.batch, trust.publish, &pull.base.branch);
    let mut published = Published::default();
    for comment in comments {
        let Some(embedded) = Embedded::of(&comment.body) else {
            continue;
        };
        if !is_by(comment, &trust.publish.login) {
            let author = comment.user.as_ref().map_or("", |user| user.login.as_str());
            published.refused.push(Refused {
                why: Doubt::Unproven(format!(
                    "{author} wrote them, and `publish.login` is {}",
                    trust.publish.login
                )),
                passed: Vec::new(),
            });
            continue;
        }
        let results = match embedded.results() {
            Ok(results) => results,
            Err(refusal) => {
                published.refused.push(Refused {
                    why: Doubt::Unproven(refusal.to_string()),
                    passed: Vec::new(),
                });
                continue;
            }
        };
        match confirm(github, comment, &embedded, &results, &provenance, trust)? {
            Ok(()) => published.results.push(results),
            Err(why) => published.refused.push(Refused {
                why,
                passed: passed(&results),
            }),
        }
    }
    Ok(published)
}

fn passed(results: &Results) -> Vec<GateId> {
    let gates = results.results.iter();
    gates
        .filter(|(_, gate)| gate.status == Verdict::Pass)
        .map(|(id, _)| id.clone())
        .collect()
}

/// Checks the results of one comment: their words, their gates, their run, its artifact and its status.
fn confirm(
    github: &GitHub,
    comment: &Comment,
    embedded: &Embedded,
    results: &Results,
    provenance: &Provenance<'_>,
    trust: &Trust<'_>,
) -> Result<Result<(), Doubt>, GitHubError> {
    let unproven = |why: &str| Ok(Err(Doubt::Unproven(why.to_owned())));
    let Some(shown) = comments::shown(&comment.body) else {
        return unproven("the first line of the comment is not the marker of this tool");
    };
    let Some(run) = shown.run else {
        return unproven("the comment names no workflow run");
    };
    let expected = Expected {
        evidence: Evidence::default(),
        selection: None,
        registry: &trust.registry.value,
        reading: Reading {
            budget_pct: None,
            is_abridged: true,
        },
    };
    if let Err(refusal) = verify::verify(results, &expected) {
        return unproven(&refusal.why.message());
    }
    // Results of another registry are stale, and its bundles are not known here.
    if results.evidence.registry.as_ref() == Some(&trust.registry.sha256)
        && !are_selected(results, &trust.registry.value)
    {
        return unproven("the gates are not those of the bundle");
    }
    match provenance.run(run.0)? {
        Err(why) => return Ok(Err(why)),
        Ok(commit) if !(trust.is_on_base)(&commit) => {
            return unproven(&format!(
                "the workflow of run {} is not on the base branch",
                run.0
            ));
        }
        Ok(_) => {}
    }
    if let Err(doubt) = provenance.artifact(run.0, embedded)? {
        return Ok(Err(doubt));
    }
    if passed(results).is_empty() {
        return Ok(Ok(()));
    }
    let status = status(github, results, run, trust)?;
    Ok(status.map_err(Doubt::Unproven))
}

/// Checks that the commit status of the run is the newest of its context, and that it is not red for a pass.
fn status(
    github: &GitHub,
    results: &Results,
    run: RunNumber,
    trust: &Trust<'_>,
) -> Result<Result<(), String>, GitHubError> {
    let evidence = &results.evidence;
    let Some(head) = evidence.head.as_ref().or(evidence.merge.as_ref()) else {
        return Ok(Err("they name no commit".to_owned()));
    };
    let of_run = |status: &&Status| {
        status.run() == Some(run)
            && status
                .creator
                .as_ref()
                .is_some_and(|user| user.login == trust.publish.login)
    };
    // The newest of each context is enough if that of the run is among them. Otherwise the history says why it is not.
    let newest = trust.batch.newest_statuses(head);
    let statuses = match newest.filter(|newest| newest.iter().any(|status| of_run(&status))) {
        Some(newest) => newest.to_vec(),
        None => github.statuses(head)?,
    };
    let Some(own) = statuses.iter().find(of_run) else {
        return Ok(Err(format!("run {} set no commit status", run.0)));
    };
    let context = &own.context;
    let newest = statuses.iter().find(|status| status.context == *context);
    Ok(match newest {
        Some(newest) if newest.run() != Some(run) => Err(format!(
            "a later status `{context}` replaced that of run {}",
            run.0
        )),
        Some(newest)
            if results.overall == Overall::Pass
                && !matches!(newest.state.as_str(), "success" | "pending") =>
        {
            Err(format!(
                "they say pass, but the status `{context}` is {}",
                newest.state
            ))
        }
        _ => Ok(()),
    })
}

/// Whether the results have exactly the gates that their bundle or tier selects.
fn are_selected(results: &Results, registry: &Registry) -> bool {
    let tier = |tier| select::Request {
        tier: Some(tier),
        ..select::Request::default()
    };
    let request = match results.bundle.as_deref() {
        None => return true,
        Some(SINGLE) => return results.gate_ids.len() == 1,
        Some(TIER_A) => tier(Tier::A),
        Some(TIER_B) => tier(Tier::B),
        Some(name) => select::Request {
            bundle: Some(name.to_owned()),
            ..select::Request::default()
        },
    };
    select::resolve(registry, &request).is_ok_and(|selection| selection.gate_ids == results.gate_ids)
}

/// Returns what has one comment and one commit status: a bundle, or a single gate, or any other selection. Another base branch than
/// that of the settings, and a registry of the change, have their own, because branch protection requires a status by its name.
pub fn publication_key(
    bundle: Option<&str>,
    gate_ids: &[GateId],
    other_base: Option<&str>,
    proposed: bool,
) -> String {
    let mut key = match (bundle, gate_ids) {
        (Some(SINGLE), [gate]) => format!("{SINGLE}/{gate}"),
        (bundle, _) => bundle.unwrap_or("gates").to_owned(),
    };
    if let Some(branch) = other_base {
        key += &format!("@{branch}");
    }
    if proposed {
        key += "+proposed";
    }
    key
}
