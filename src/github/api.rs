//! Offers one method for each API request. Paths contain only checked names, numbers and hexadecimal ids.
//!
//! Must not depend on the meaning of issues and comments, and sends requests only through [`Client`].

use serde_json::{Value, json};
use ureq::http::Method;

use crate::domain::ids::{CommitId, Login};
use crate::github::client::{Client, Repeat};
use crate::github::closing_keywords::Site;
use crate::github::config::Repository;
use crate::github::error::{ErrorKind, GitHubError};
use crate::github::graphql;
use crate::github::types::{
    Artifact, Authorship, BranchRule, Comment, Commit, EditedText, Environment, Issue, Object, Permission,
    Pull, RequiredCheck, Review, Run, State, Status, User,
};

/// The longest comment or description, in characters.
pub const LONGEST_BODY: usize = 65_536;

/// The most pages of closed issues that are read; older issues are not looked at.
const MOST_CLOSED_PAGES: usize = 200;

/// The longest description of a commit status, in characters.
const LONGEST_LINE: usize = 140;

/// Requests about one repository.
pub struct GitHub {
    client: Client,
    repository: Repository,
}

impl GitHub {
    /// Creates the requests of this repository.
    pub fn new(client: Client, repository: Repository) -> Self {
        GitHub { client, repository }
    }

    /// Waits on the clock of the client.
    pub fn pause(&self, wait: std::time::Duration) {
        self.client.pause(wait);
    }

    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Returns where the descriptions of this repository are read.
    pub fn site(&self) -> Site<'_> {
        Site {
            repository: &self.repository,
            host: self.client.config().base.web_host(),
        }
    }

    /// Returns the git setting, key and value, that authenticates on this host; `None` without a token.
    pub fn git_credential(&self) -> Option<(String, String)> {
        let config = self.client.config();
        let token = config.token.as_ref()?;
        let key = format!("http.https://{}/.extraheader", config.base.web_host());
        Some((key, token.git_authorization()))
    }

    fn path(&self, rest: &str) -> String {
        format!("/repos/{}{rest}", self.repository)
    }

    /// Gets an issue. A pull request is also an issue.
    pub fn issue(&self, number: u64) -> Result<Issue, GitHubError> {
        self.client.get(&self.path(&format!("/issues/{number}")))
    }

    /// Lists the open issues without pull requests, oldest first.
    pub fn open_issues(&self) -> Result<Vec<Issue>, GitHubError> {
        let mut all: Vec<Issue> = self
            .client
            .list(&self.path("/issues?state=open&sort=created&direction=asc"))?;
        all.retain(|issue| issue.pull_request.is_none());
        Ok(all)
    }

    /// Lists the closed issues without pull requests, newest first, page by page until `enough` returns true.
    pub fn closed_issues(&self, mut enough: impl FnMut(Vec<Issue>) -> bool) -> Result<(), GitHubError> {
        let path = self.path("/issues?state=closed&sort=created&direction=desc");
        self.client
            .pages(&path, MOST_CLOSED_PAGES, |mut page: Vec<Issue>| {
                page.retain(|issue| issue.pull_request.is_none());
                enough(page)
            })
    }

    /// Gets the author and the last editor of an issue; needs a token.
    pub fn authorship(&self, number: u64) -> Result<Authorship, GitHubError> {
        let data = self.query_repository(&format!("issue(number:{number}){{{}}}", graphql::OF_ISSUE))?;
        Ok(graphql::authorship(&data["issue"]))
    }

    /// Gets the description of a pull request with its latest edits; needs a token.
    pub fn edited_text(&self, number: u64) -> Result<EditedText, GitHubError> {
        let selection = graphql::OF_TEXT;
        let data = self.query_repository(&format!("pullRequest(number:{number}){{{selection}}}"))?;
        graphql::edited_text(&data["pullRequest"]).ok_or_else(|| {
            let kind = ErrorKind::Shape("no description".to_owned());
            GitHubError::of_request("POST", "/graphql", kind)
        })
    }

    /// Selects fields of the repository over GraphQL; needs a token. The fields must not contain user input.
    pub fn query_repository(&self, fields: &str) -> Result<Value, GitHubError> {
        let mut data = self.client.query(
            &format!(
                "query($owner:String!,$name:String!){{repository(owner:$owner,name:$name){{{fields}}}}}"
            ),
            &json!({"owner": self.repository.owner, "name": self.repository.name}),
        )?;
        Ok(data["repository"].take())
    }

    /// Gets a pull request.
    pub fn pull(&self, number: u64) -> Result<Pull, GitHubError> {
        self.client.get(&self.path(&format!("/pulls/{number}")))
    }

    /// Whether an environment has required reviewers.
    pub fn needs_review(&self, environment: &str) -> Result<bool, GitHubError> {
        let name: String = environment.bytes().map(segment).collect();
        let found: Environment = self.client.get(&self.path(&format!("/environments/{name}")))?;
        let mut rules = found.protection_rules.iter();
        Ok(rules.any(|rule| rule.kind == "required_reviewers"))
    }

    /// Lists the statuses that rulesets require on a branch.
    pub fn required_checks(&self, branch: &str) -> Result<Vec<RequiredCheck>, GitHubError> {
        let name: String = branch.bytes().map(segment).collect();
        let rules: Vec<BranchRule> = self.client.list(&self.path(&format!("/rules/branches/{name}")))?;
        let checks = rules
            .into_iter()
            .filter(|rule| rule.kind == "required_status_checks");
        Ok(checks
            .flat_map(|rule| rule.parameters.required_status_checks)
            .collect())
    }

    /// Every open pull request, oldest first.
    pub fn open_pulls(&self) -> Result<Vec<Pull>, GitHubError> {
        let mut all: Vec<Pull> = self
            .client
            .list(&self.path("/pulls?state=open&sort=created&direction=asc"))?;
        all.sort_by_key(|pull| pull.number);
        all.dedup_by_key(|pull| pull.number);
        Ok(all)
    }

    /// Replaces the description of a pull request.
    pub fn update_pull_body(&self, number: u64, body: &str) -> Result<(), GitHubError> {
        self.client
            .write(
                &Method::PATCH,
                &self.path(&format!("/pulls/{number}")),
                Some(&json!({ "body": body })),
                Repeat::Safe,
            )
            .map(drop)
    }

    /// Merges the base branch into the branch of a pull request, if its head is this commit. GitHub does so in the background.
    pub fn update_branch(&self, number: u64, head: &CommitId) -> Result<(), GitHubError> {
        let path = self.path(&format!("/pulls/{number}/update-branch"));
        let body = json!({ "expected_head_sha": head });
        let answer = self
            .client
            .write(&Method::PUT, &path, Some(&body), Repeat::Careful);
        answer.map(drop)
    }

    /// Counts the workflow runs of a commit; `None` if the token may not ask.
    pub fn workflow_runs(&self, commit: &CommitId) -> Result<Option<u64>, GitHubError> {
        #[derive(serde::Deserialize)]
        struct Runs {
            total_count: u64,
        }
        let path = self.path(&format!("/actions/runs?head_sha={commit}&per_page=1"));
        match self.client.get::<Runs>(&path) {
            Ok(found) => Ok(Some(found.total_count)),
            Err(fault) if matches!(fault.status(), Some(403 | 404)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Lists the reviews of a pull request, oldest first.
    pub fn reviews(&self, number: u64) -> Result<Vec<Review>, GitHubError> {
        self.client.list(&self.path(&format!("/pulls/{number}/reviews")))
    }

    /// Whether a user may write to the repository; `None` if the token may not ask.
    pub fn may_write(&self, login: &str) -> Result<Option<bool>, GitHubError> {
        let name: String = login.bytes().map(segment).collect();
        let path = self.path(&format!("/collaborators/{name}/permission"));
        match self.client.get::<Permission>(&path) {
            Ok(found) => Ok(Some(
                ["admin", "maintain", "write"].contains(&found.permission.as_str()),
            )),
            Err(fault) if matches!(fault.status(), Some(403 | 404)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Lists the comments of an issue or a pull request, oldest first.
    pub fn comments(&self, number: u64) -> Result<Vec<Comment>, GitHubError> {
        let mut all: Vec<Comment> = self
            .client
            .list(&self.path(&format!("/issues/{number}/comments")))?;
        all.sort_by_key(|comment| comment.id);
        all.dedup_by_key(|comment| comment.id);
        Ok(all)
    }

    /// Creates a comment. After an incomplete answer the comment may exist: see [`GitHubError::may_have_happened`].
    pub fn create_comment(&self, number: u64, body: &str) -> Result<Comment, GitHubError> {
        let path = self.path(&format!("/issues/{number}/comments"));
        let answer = self.client.write(
            &Method::POST,
            &path,
            Some(&json!({ "body": body })),
            Repeat::Careful,
        )?;
        shaped(answer, "POST", &path)
    }

    /// Replaces the text of a comment.
    pub fn update_comment(&self, comment: u64, body: &str) -> Result<Comment, GitHubError> {
        let path = self.path(&format!("/issues/comments/{comment}"));
        let answer = self.client.write(
            &Method::PATCH,
            &path,
            Some(&json!({ "body": body })),
            Repeat::Safe,
        )?;
        shaped(answer, "PATCH", &path)
    }

    /// Deletes a comment. A comment that does not exist is not an error.
    pub fn delete_comment(&self, comment: u64) -> Result<(), GitHubError> {
        let path = self.path(&format!("/issues/comments/{comment}"));
        match self.client.write(&Method::DELETE, &path, None, Repeat::Safe) {
            Err(fault) if !fault.is_missing() => Err(fault),
            _ => Ok(()),
        }
    }

    /// Gets the login of this token. The token of an app may not read `/user`, but knows its login over GraphQL; without that
    /// answer it is the token of Actions.
    pub fn login(&self) -> Result<String, GitHubError> {
        match self.client.get::<User>("/user") {
            Ok(user) => Ok(user.login),
            Err(fault) if matches!(fault.status(), Some(403 | 404)) => {
                let viewer = self.client.query("query{viewer{login}}", &json!({}));
                let login = viewer
                    .ok()
                    .and_then(|data| data["viewer"]["login"].as_str().map(str::to_owned));
                Ok(match login {
                    Some(login) if login.ends_with("[bot]") => login,
                    Some(login) => format!("{login}[bot]"),
                    None => Login::ACTIONS.to_owned(),
                })
            }
            Err(fault) => Err(fault),
        }
    }

    /// Sets a commit status. The request is idempotent.
    pub fn set_status(
        &self,
        commit: &CommitId,
        context: &str,
        state: State,
        line: &str,
        target: Option<&str>,
    ) -> Result<(), GitHubError> {
        let mut body = json!({
            "state": state.as_str(),
            "context": context,
            "description": status_line(line),
        });
        if let Some(target) = target {
            body["target_url"] = json!(target);
        }
        let path = self.path(&format!("/statuses/{commit}"));
        self.client
            .write(&Method::POST, &path, Some(&body), Repeat::Safe)
            .map(drop)
    }

    /// Lists the statuses of a commit, newest first. Only the first status of each context is current.
    pub fn statuses(&self, commit: &CommitId) -> Result<Vec<Status>, GitHubError> {
        self.client
            .list(&self.path(&format!("/commits/{commit}/statuses")))
    }

    /// Gets a workflow run; needs `actions: read`.
    pub fn workflow_run(&self, id: u64) -> Result<Run, GitHubError> {
        self.client.get(&self.path(&format!("/actions/runs/{id}")))
    }

    /// Lists the workflow runs that an event started, newest first, page by page until `enough` returns true.
    pub fn recent_runs(
        &self,
        event: &str,
        most: usize,
        mut enough: impl FnMut(Vec<Run>) -> bool,
    ) -> Result<(), GitHubError> {
        #[derive(serde::Deserialize)]
        struct Runs {
            workflow_runs: Vec<Run>,
        }
        let path = self.path(&format!("/actions/runs?event={event}"));
        self.client
            .pages(&path, most, |page: Runs| enough(page.workflow_runs))
    }

    /// Lists the artifacts of the repository, newest first, page by page until `enough` returns true.
    pub fn recent_artifacts(
        &self,
        most: usize,
        mut enough: impl FnMut(Vec<Artifact>) -> bool,
    ) -> Result<(), GitHubError> {
        let path = self.path("/actions/artifacts");
        self.client
            .pages(&path, most, |page: Artifacts| enough(page.artifacts))
    }

    /// Gets the newest artifact of a workflow run with this name, which must have only letters, digits, `.` and `-`.
    pub fn artifact(&self, run: u64, name: &str) -> Result<Option<Artifact>, GitHubError> {
        let path = self.path(&format!("/actions/runs/{run}/artifacts?name={name}"));
        let found: Artifacts = self.client.get(&path)?;
        Ok(found.artifacts.into_iter().find(|artifact| artifact.name == name))
    }

    /// Gets a commit.
    pub fn commit(&self, commit: &CommitId) -> Result<Commit, GitHubError> {
        self.client.get(&self.path(&format!("/git/commits/{commit}")))
    }

    /// Gets a file of a commit; `None` if it does not exist. The path must come from this program, not from user input.
    pub fn file(&self, commit: &CommitId, path: &str) -> Result<Option<Vec<u8>>, GitHubError> {
        let path = self.path(&format!("/contents/{path}?ref={commit}"));
        match self.client.file(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(fault) if fault.is_missing() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Gets the tip of a branch; `None` if the branch does not exist.
    pub fn branch_tip(&self, branch: &str) -> Result<Option<CommitId>, GitHubError> {
        let name: String = branch
            .bytes()
            .map(|b| if b == b'/' { "/".to_owned() } else { segment(b) })
            .collect();
        self.reference(&format!("heads/{name}"))
    }

    /// Gets the commit of `refs/pull/N/merge`; `None` without a merge (a conflict, or GitHub has not created it yet).
    pub fn merge_ref(&self, pull: u64) -> Result<Option<CommitId>, GitHubError> {
        self.reference(&format!("pull/{pull}/merge"))
    }

    fn reference(&self, name: &str) -> Result<Option<CommitId>, GitHubError> {
        #[derive(serde::Deserialize)]
        struct Ref {
            object: Object,
        }
        match self.client.get::<Ref>(&self.path(&format!("/git/ref/{name}"))) {
            Ok(found) => Ok(Some(found.object.sha)),
            Err(fault) if fault.is_missing() => Ok(None),
            Err(fault) => Err(fault),
        }
    }
}

fn shaped<T: serde::de::DeserializeOwned>(
    answer: Option<Value>,
    method: &str,
    path: &str,
) -> Result<T, GitHubError> {
    answer
        .and_then(|value| serde_json::from_value(value).ok())
        .ok_or_else(|| {
            let kind = ErrorKind::Shape("no such object".to_owned());
            GitHubError::of_request(method, path, kind)
        })
}

/// A page of artifacts.
#[derive(serde::Deserialize)]
struct Artifacts {
    artifacts: Vec<Artifact>,
}

/// Shortens the text of a status to what GitHub accepts.
pub fn status_line(line: &str) -> String {
    line.chars().take(LONGEST_LINE).collect()
}

/// Percent-encodes a byte for a path.
fn segment(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}
