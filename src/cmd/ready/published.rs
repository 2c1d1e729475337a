//! Evidence that was published on a pull request: our comments, found by author and carried results, and believed only as far as
//! the commit status beside them goes.

use crate::domain::evidence::Evidence;
use crate::domain::registry::Registry;
use crate::domain::results::Results;
use crate::domain::verdict::Overall;
use crate::github::api::GitHub;
use crate::github::error::GitHubError;
use crate::report::embedded_results;
use crate::report::verify::{self, Expected};

/// Who publishes in a workflow.
const WORKFLOW: &str = "github-actions[bot]";

/// What was found on one pull request.
#[derive(Debug, Default)]
pub struct Published {
    /// Results that are ours, and hold.
    pub results: Vec<Results>,
    /// Why others were passed over.
    pub doubts: Vec<String>,
}

/// Reads the results that were published on a pull request. GitHub being out of reach is an error; a comment that is not to be
/// believed is a doubt.
pub fn read(hub: &GitHub, pull: u64, registry: &Registry) -> anyhow::Result<Published> {
    let mut found = Published::default();
    let mut me: Option<String> = None;
    for comment in hub.comments(pull)? {
        let Some(carried) = embedded_results::of(&comment.body) else {
            continue;
        };
        let author = comment.user.as_ref().map_or("", |user| user.login.as_str());
        if author != WORKFLOW {
            let me = match &me {
                Some(me) => me,
                None => me.insert(hub.login()?),
            };
            if author != me {
                found.doubts.push(format!(
                    "a comment of {author} carries results: not ours, not believed"
                ));
                continue;
            }
        }
        let held = carried
            .map_err(|refusal| refusal.to_string())
            .and_then(|results| held(hub, results, registry).map_err(|fault| fault.to_string())?);
        match held {
            Ok(results) => found.results.push(results),
            Err(why) => found
                .doubts
                .push(format!("published results are not believed: {why}")),
        }
    }
    Ok(found)
}

/// The results, if they speak the registry's words and the status of their head says the same.
fn held(hub: &GitHub, results: Results, registry: &Registry) -> Result<Result<Results, String>, GitHubError> {
    let expected = Expected {
        evidence: Evidence::default(),
        selection: None,
        registry,
    };
    if let Err(refusal) = verify::verify(&results, &expected) {
        return Ok(Err(refusal.why.says()));
    }
    let evidence = &results.evidence;
    let Some(head) = evidence.head.as_ref().or(evidence.merge.as_ref()) else {
        return Ok(Err("they name no commit".to_owned()));
    };
    if results.overall != Overall::Pass {
        return Ok(Ok(results));
    }
    let context = format!("nmoe-gates/{}", results.bundle.as_deref().unwrap_or("gates"));
    let statuses = hub.statuses(head)?;
    let state = statuses
        .iter()
        .find(|status| status.context == context)
        .map(|s| s.state.as_str());
    Ok(match state {
        Some("success" | "pending") => Ok(results),
        Some(state) => Err(format!("they say pass, and the status `{context}` says {state}")),
        None => Err(format!("they say pass, and there is no status `{context}`")),
    })
}
