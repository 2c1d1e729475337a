//! Looks up with few requests what many pull requests need: reviews, comments, authors, commit statuses, workflow runs, artifacts.
//!
//! Must not evaluate the answers. They have the types of the REST requests, which answer what a query or a list leaves out.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use serde_json::Value;

use crate::domain::ids::CommitId;
use crate::github::api::GitHub;
use crate::github::error::GitHubError;
use crate::github::graphql::{self, OF_ISSUE, OF_PULL};
use crate::github::types::{Artifact, Authorship, Comment, Review, Run, Status};

/// The most pull requests, and the most issues, of one query. GitHub counts requested nodes, and ends a query after 10 seconds:
/// <https://docs.github.com/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api>.
const OF_QUERY: usize = 20;

/// The most commits of one query. Each has one status for each context, and no list.
const COMMITS_OF_QUERY: usize = 60;

/// The most pages of a list of runs or artifacts. A list takes the place of single requests, so it must need fewer.
const MOST_PAGES: usize = 10;

/// What the evidence of many pull requests names.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The ids of workflow runs.
    pub runs: BTreeSet<u64>,
    /// The names of artifacts, with their runs.
    pub artifacts: BTreeSet<(u64, String)>,
    /// The commits whose statuses count.
    pub commits: BTreeSet<CommitId>,
}

/// The answers. The default is empty, so that REST answers everything.
#[derive(Default)]
pub struct Batch {
    reviews: HashMap<u64, Vec<Review>>,
    comments: HashMap<u64, Vec<Comment>>,
    authors: HashMap<u64, Authorship>,
    /// The newest status of each context.
    statuses: HashMap<CommitId, Vec<Status>>,
    runs: HashMap<u64, Run>,
    artifacts: HashMap<(u64, String), Artifact>,
    /// The refusal of workflow runs, which is the same for all.
    refusal: RefCell<Option<GitHubError>>,
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

    /// Asks for statuses, runs and artifacts where one request answers for several. What GitHub does not answer here is asked later,
    /// one by one.
    pub fn load_evidence(&mut self, github: &GitHub, event: &str, wanted: &Wanted) {
        let commits: Vec<&CommitId> = wanted.commits.iter().collect();
        for commits in commits
            .chunks(COMMITS_OF_QUERY)
            .filter(|commits| commits.len() > 1)
        {
            let mut fields = String::new();
            for commit in commits {
                let _ = write!(
                    fields,
                    " c{commit}:object(oid:\"{commit}\"){{{}}}",
                    graphql::OF_COMMIT
                );
            }
            let Ok(data) = github.query_repository(&fields) else {
                break;
            };
            for commit in commits {
                let object = &data[format!("c{commit}")];
                if let Some(statuses) = graphql::statuses(object).filter(|_| object["oid"].is_string()) {
                    self.statuses.insert((*commit).clone(), statuses);
                }
            }
        }
        if let Some(oldest) = wanted.runs.first().filter(|_| wanted.runs.len() > 1) {
            let _ = github.recent_runs(event, pages(wanted.runs.len()), |page| {
                let goes_on = page.last().is_some_and(|run| run.id > *oldest);
                let found = page.into_iter().filter(|run| wanted.runs.contains(&run.id));
                let before = self.runs.len();
                self.runs.extend(found.map(|run| (run.id, run)));
                !goes_on || self.runs.len() == before || self.runs.len() == wanted.runs.len()
            });
        }
        if wanted.artifacts.len() > 1 {
            let _ = github.recent_artifacts(pages(wanted.artifacts.len()), |page| {
                let before = self.artifacts.len();
                for artifact in page {
                    let run = artifact.workflow_run.as_ref().map_or(0, |run| run.id);
                    let key = (run, artifact.name.clone());
                    // The first of a list is the newest.
                    if wanted.artifacts.contains(&key) {
                        self.artifacts.entry(key).or_insert(artifact);
                    }
                }
                self.artifacts.len() == before || self.artifacts.len() == wanted.artifacts.len()
            });
        }
    }

    /// Returns the number of requests for what [`Batch::load_evidence`] left out.
    pub fn unknown_evidence(&self, wanted: &Wanted) -> usize {
        let commits = wanted
            .commits
            .iter()
            .filter(|id| !self.statuses.contains_key(*id));
        let runs = wanted.runs.iter().filter(|id| !self.runs.contains_key(id));
        let artifacts = wanted
            .artifacts
            .iter()
            .filter(|key| !self.artifacts.contains_key(*key));
        commits.count() + runs.count() + artifacts.count()
    }

    /// Returns the newest status of each context, if they are known.
    pub fn newest_statuses(&self, commit: &CommitId) -> Option<&[Status]> {
        self.statuses.get(commit).map(Vec::as_slice)
    }

    /// Returns a workflow run.
    ///
    /// # Errors
    /// The run is not known, and GitHub does not answer.
    pub fn workflow_run(&self, github: &GitHub, id: u64) -> Result<Run, GitHubError> {
        if let Some(known) = self.runs.get(&id) {
            return Ok(known.clone());
        }
        if let Some(refusal) = &*self.refusal.borrow() {
            return Err(refusal.clone());
        }
        let answer = github.workflow_run(id);
        if let Err(error) = &answer
            && error.status() == Some(403)
        {
            *self.refusal.borrow_mut() = Some(error.clone());
        }
        answer
    }

    /// Returns the newest artifact of a workflow run with this name.
    ///
    /// # Errors
    /// The artifact is not known, and GitHub does not answer.
    pub fn artifact(&self, github: &GitHub, run: u64, name: &str) -> Result<Option<Artifact>, GitHubError> {
        match self.artifacts.get(&(run, name.to_owned())) {
            Some(known) => Ok(Some(known.clone())),
            None => github.artifact(run, name),
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

/// Returns how many pages of a list are worth so many single requests.
fn pages(requests: usize) -> usize {
    (requests / 2).clamp(1, MOST_PAGES)
}
