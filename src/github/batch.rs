//! Looks up the reviews and comments of many pull requests, and the authors of many issues, with few GraphQL queries.
//!
//! Must not evaluate the answers. They have the types of the REST requests, which answer what a query leaves out.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::github::api::GitHub;
use crate::github::error::GitHubError;
use crate::github::graphql::{self, OF_ISSUE, OF_PULL};
use crate::github::types::{Authorship, Comment, Review};

/// The most pull requests, and the most issues, of one query. GitHub counts requested nodes, and ends a query after 10 seconds:
/// <https://docs.github.com/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api>.
const OF_QUERY: usize = 20;

/// The answers. The default is empty, so that REST answers everything.
#[derive(Default)]
pub struct Batch {
    reviews: HashMap<u64, Vec<Review>>,
    comments: HashMap<u64, Vec<Comment>>,
    authors: HashMap<u64, Authorship>,
}

impl Batch {
    /// Asks about open pull requests and existing issues. `every` is called before each query with the number of pull requests that
    /// are known.
    ///
    /// # Errors
    /// The token is missing, or GitHub refuses a query. The REST requests may still be possible.
    pub fn load(
        github: &GitHub,
        pulls: &[u64],
        issues: &[u64],
        every: impl Fn(usize),
    ) -> Result<Self, GitHubError> {
        let mut batch = Batch::default();
        for n in 0..pulls.len().max(issues.len()).div_ceil(OF_QUERY) {
            every(batch.comments.len());
            let pulls = pulls.chunks(OF_QUERY).nth(n).unwrap_or_default();
            let issues = issues.chunks(OF_QUERY).nth(n).unwrap_or_default();
            let mut fields = String::new();
            for number in pulls {
                let _ = write!(fields, " p{number}:pullRequest(number:{number}){{{OF_PULL}}}");
            }
            for number in issues {
                let _ = write!(fields, " i{number}:issue(number:{number}){{{OF_ISSUE}}}");
            }
            let data = github.query_repository(&fields)?;
            for number in pulls {
                batch.keep(*number, &data[format!("p{number}")]);
            }
            for number in issues {
                let author = graphql::authorship(&data[format!("i{number}")]);
                batch.authors.insert(*number, author);
            }
        }
        Ok(batch)
    }

    fn keep(&mut self, number: u64, pull: &Value) {
        if let Some(reviews) = graphql::complete(&pull["reviews"], graphql::review) {
            self.reviews.insert(number, reviews);
        }
        if let Some(mut comments) = graphql::complete(&pull["comments"], graphql::comment) {
            comments.sort_by_key(|comment| comment.id);
            self.comments.insert(number, comments);
        }
    }

    /// Returns the reviews of a pull request, oldest first.
    ///
    /// # Errors
    /// The reviews are not known, and GitHub does not answer.
    pub fn reviews(&self, github: &GitHub, number: u64) -> Result<Vec<Review>, GitHubError> {
        match self.reviews.get(&number) {
            Some(known) => Ok(known.clone()),
            None => github.reviews(number),
        }
    }

    /// Returns the comments of a pull request, oldest first.
    ///
    /// # Errors
    /// The comments are not known, and GitHub does not answer.
    pub fn comments(&self, github: &GitHub, number: u64) -> Result<Vec<Comment>, GitHubError> {
        match self.comments.get(&number) {
            Some(known) => Ok(known.clone()),
            None => github.comments(number),
        }
    }

    /// Returns the author and the last editor of an issue.
    ///
    /// # Errors
    /// They are not known, and GitHub does not answer.
    pub fn authorship(&self, github: &GitHub, number: u64) -> Result<Authorship, GitHubError> {
        match self.authors.get(&number) {
            Some(known) => Ok(known.clone()),
            None => github.authorship(number),
        }
    }

    /// Returns the number of the pull requests whose comments are not known.
    pub fn unknown(&self, pulls: &[u64]) -> usize {
        pulls
            .iter()
            .filter(|number| !self.comments.contains_key(number))
            .count()
    }
}
