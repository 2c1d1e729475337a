//! Evaluates the reviews of a pull request: who approved its head, and who asks for changes.

use std::collections::BTreeMap;

use crate::github::error::GitHubError;
use crate::github::types::{Pull, Review};
use crate::pull::standing::Writers;

/// The result of the reviews.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approvals {
    /// Another person approved the head.
    pub approved: bool,
    /// Another person approved an earlier head.
    pub approved_earlier: bool,
    /// Those who approved without permission to write, so that GitHub does not count them.
    pub without_permission: Vec<String>,
    /// The reviewers whose latest review asks for changes.
    pub changes_requested: Vec<String>,
}

impl Approvals {
    /// Evaluates the reviews of a pull request.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub fn fetch(writers: &Writers<'_>, pull: &Pull) -> Result<Self, GitHubError> {
        let author = pull.user.as_ref().map_or("", |user| user.login.as_str());
        let may_write =
            |review: &Review, login: &str| writers.may_write(login, review.author_association.as_deref());
        Self::of(&writers.reviews(pull.number)?, author, &pull.head.sha, may_write)
    }

    /// Evaluates reviews, oldest first. Only the latest review of each reviewer counts. The author does not count, and neither do
    /// people who may not write to the repository.
    ///
    /// # Errors
    /// `may_write` fails.
    fn of<E>(
        reviews: &[Review],
        author: &str,
        head: &str,
        may_write: impl Fn(&Review, &str) -> Result<bool, E>,
    ) -> Result<Self, E> {
        let mut latest: BTreeMap<&str, &Review> = BTreeMap::new();
        for review in reviews {
            let Some(user) = review.user.as_ref().filter(|user| user.login != author) else {
                continue;
            };
            if matches!(
                review.state.as_str(),
                "APPROVED" | "CHANGES_REQUESTED" | "DISMISSED"
            ) {
                latest.insert(&user.login, review);
            }
        }
        let mut approvals = Approvals::default();
        for (login, review) in latest {
            if review.state != "DISMISSED" && !may_write(review, login)? {
                if review.state == "APPROVED" {
                    approvals.without_permission.push(login.to_owned());
                }
                continue;
            }
            match review.state.as_str() {
                "APPROVED" if review.commit_id.as_deref().is_none_or(|commit| commit == head) => {
                    approvals.approved = true;
                }
                "APPROVED" => approvals.approved_earlier = true,
                "CHANGES_REQUESTED" => approvals.changes_requested.push(login.to_owned()),
                _ => {}
            }
        }
        Ok(approvals)
    }
}
