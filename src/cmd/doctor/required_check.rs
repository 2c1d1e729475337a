//! Checks of `doctor` for the commit status that branch protection requires: unless the rule names an app as its source, each workflow
//! with `statuses: write` can set it, and the check run of a job with that name satisfies it.

use crate::cmd::doctor::check::{Check, State};
use crate::domain::settings::Publish;
use crate::domain::status_context::PREFIX;
use crate::github::error::GitHubError;
use crate::github::types::RequiredCheck;

/// The app of GitHub Actions, which sets the statuses of all workflows.
const ACTIONS: i64 = 15_368;

const NAME: &str = "required";

/// Says whether a required status of this tool can come from another workflow.
/// `login` is the publisher that the settings name.
pub(super) fn checks(branch: &str, login: &str, answer: Result<Vec<RequiredCheck>, GitHubError>) -> Check {
    let checks = match answer {
        Ok(checks) => checks,
        Err(error) => {
            return Check::not(
                State::Hint,
                NAME,
                format!(
                    "the rules of branch {branch} were not asked: {}",
                    error.without_help()
                ),
                "see Settings, Rules: a required `nmoe-gates/…` should name an app as its source",
            );
        }
    };
    let ours: Vec<&RequiredCheck> = checks
        .iter()
        .filter(|check| check.context.starts_with(PREFIX))
        .collect();
    let Some(open) = ours
        .iter()
        .find(|check| check.integration_id.is_none_or(|id| id == ACTIONS))
    else {
        return match ours.first() {
            Some(check) => Check::ok(NAME, format!("{} must come from one app", check.context)),
            None => Check::not(
                State::Hint,
                NAME,
                format!("no ruleset of branch {branch} requires a status `nmoe-gates/…`"),
                "require `nmoe-gates/BUNDLE` in Settings, Rules, with the app that publishes as its source",
            ),
        };
    };
    let found = format!(
        "{} is required from {}, so a job of that name in any workflow satisfies it, also in a workflow that a pull request adds",
        open.context,
        if open.integration_id.is_none() {
            "any source"
        } else {
            "GitHub Actions"
        },
    );
    if Publish::default().login == login {
        let remedy = "publish with the token of a GitHub App (`publish.login`) and choose this app as the source of the check; or merge by what `ready` says";
        return Check::not(State::Hint, NAME, found, remedy);
    }
    let remedy = format!("choose the app of {login} as the source of the check: Settings, Rules");
    Check::not(State::Missing, NAME, found, remedy)
}
