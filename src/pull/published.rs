//! Reads the results in the comments of a pull request. A comment counts only if this tool wrote it, and a pass counts only if the
//! commit status confirms it.

use crate::domain::evidence::Evidence;
use crate::domain::ids::GateId;
use crate::domain::registry::{Registry, SINGLE};
use crate::domain::results::Results;
use crate::domain::verdict::Overall;
use crate::github::api::GitHub;
use crate::github::error::GitHubError;
use crate::report::embedded_results;
use crate::report::verify::{self, Expected};

/// The author of the comments that a workflow writes.
pub const WORKFLOW: &str = "github-actions[bot]";

/// The results in the comments of one pull request.
#[derive(Debug, Default)]
pub struct Published {
    pub results: Vec<Results>,
    /// Why other comments with results do not count.
    pub ignored: Vec<String>,
}

/// Reads the published results of a pull request.
///
/// # Errors
/// GitHub does not answer. A comment that does not count is not an error.
pub fn read(github: &GitHub, pull: u64, registry: &Registry) -> Result<Published, GitHubError> {
    let mut published = Published::default();
    let mut own_login: Option<String> = None;
    for comment in github.comments(pull)? {
        let Some(embedded) = embedded_results::of(&comment.body) else {
            continue;
        };
        let author = comment.user.as_ref().map_or("", |user| user.login.as_str());
        if author != WORKFLOW {
            let own = match &own_login {
                Some(own) => own,
                None => own_login.insert(github.login()?),
            };
            if author != own {
                published.ignored.push(format!(
                    "ignored the results in a comment of {author}, because this tool did not write it"
                ));
                continue;
            }
        }
        let checked = embedded
            .map_err(|refusal| refusal.to_string())
            .and_then(|results| confirm(github, results, registry).map_err(|fault| fault.to_string())?);
        match checked {
            Ok(results) => published.results.push(results),
            Err(why) => published
                .ignored
                .push(format!("ignored published results: {why}")),
        }
    }
    Ok(published)
}

/// Returns the results if they use the names of the registry, and the status of their head confirms a pass.
fn confirm(
    github: &GitHub,
    results: Results,
    registry: &Registry,
) -> Result<Result<Results, String>, GitHubError> {
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
    let context = status_context(&publication_key(results.bundle.as_deref(), &results.gate_ids));
    let statuses = github.statuses(head)?;
    let state = statuses
        .iter()
        .find(|status| status.context == context)
        .map(|s| s.state.as_str());
    Ok(match state {
        Some("success" | "pending") => Ok(results),
        Some(state) => Err(format!("they say pass, but the status `{context}` is {state}")),
        None => Err(format!("they say pass, but there is no status `{context}`")),
    })
}

/// Returns what has one comment and one commit status: a bundle, or a single gate, or any other selection.
pub fn publication_key(bundle: Option<&str>, gate_ids: &[GateId]) -> String {
    match (bundle, gate_ids) {
        (Some(SINGLE), [gate]) => format!("{SINGLE}/{gate}"),
        (bundle, _) => bundle.unwrap_or("gates").to_owned(),
    }
}

/// Returns the name of the commit status of a publication.
pub fn status_context(key: &str) -> String {
    format!("nmoe-gates/{key}")
}
