//! The pages on GitHub that a report points to.
//!
//! Builds addresses from checked parts only: a server and a repository that the caller validated, commit ids and numbers.

use serde::Serialize;

use crate::domain::ids::CommitId;

/// The pages that belong to a run. Without a repository it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// The page of the repository, such as `https://github.com/owner/name`.
    pub repository: Option<String>,
    /// The number of the pull request.
    pub pull: Option<u64>,
    /// The number of the issue that contains the contract.
    pub contract: Option<u64>,
    /// The id of the workflow run.
    pub run: Option<u64>,
}

/// A link in a list of links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// What the page is about.
    pub name: String,
    /// The address.
    pub url: String,
}

impl Links {
    /// Returns the page of a commit.
    pub fn commit(&self, id: &CommitId) -> Option<String> {
        Some(format!("{}/commit/{id}", self.repository.as_ref()?))
    }

    /// Lists the pages other than those of commits.
    pub fn pages(&self) -> Vec<Link> {
        let page = |name: String, path: String| {
            let repository = self.repository.as_ref()?;
            Some(Link {
                name,
                url: format!("{repository}/{path}"),
            })
        };
        let pages = [
            self.pull
                .map(|number| page(format!("pull request {number}"), format!("pull/{number}"))),
            self.contract
                .map(|number| page(format!("contract, issue {number}"), format!("issues/{number}"))),
            self.run.map(|id| {
                page(
                    "workflow run, with its log".to_owned(),
                    format!("actions/runs/{id}"),
                )
            }),
        ];
        pages.into_iter().flatten().flatten().collect()
    }
}
