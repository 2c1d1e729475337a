//! Evaluates the reviews of a pull request: who approved its head, and who asks for changes.

use std::collections::BTreeMap;

use crate::github::types::Review;

/// The result of the reviews.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approvals {
    /// Another person approved the head.
    pub approved: bool,
    /// Another person approved an earlier head.
    pub approved_earlier: bool,
    /// The reviewers whose latest review asks for changes.
    pub changes_requested: Vec<String>,
}

impl Approvals {
    /// Evaluates reviews, oldest first. Only the latest review of each reviewer counts, and the author does not count.
    pub fn of(reviews: &[Review], author: &str, head: &str) -> Self {
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
            match review.state.as_str() {
                "APPROVED" if review.commit_id.as_deref().is_none_or(|commit| commit == head) => {
                    approvals.approved = true;
                }
                "APPROVED" => approvals.approved_earlier = true,
                "CHANGES_REQUESTED" => approvals.changes_requested.push(login.to_owned()),
                _ => {}
            }
        }
        approvals
    }
}
