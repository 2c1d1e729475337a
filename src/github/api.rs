//! What is asked of GitHub and what is written to it, one method each. Paths are made of checked names, numbers and
//! hexadecimal ids alone.

use serde_json::{Value, json};
use ureq::http::Method;

use crate::domain::ids::CommitId;
use crate::github::client::{Client, Repeat};
use crate::github::config::Repository;
use crate::github::error::GitHubError;
use crate::github::types::{
    Authorship, Comment, Commit, Environment, Issue, Object, Pull, Review, State, Status, User,
};

/// Most characters of a comment or a description.
pub const LONGEST_BODY: usize = 65_536;

/// Most characters of a commit status's line.
const LONGEST_LINE: usize = 140;

/// One repository, as its GitHub tells it.
pub struct GitHub {
    client: Client,
    repository: Repository,
}

impl GitHub {
    /// The repository, over this client.
    pub fn new(client: Client, repository: Repository) -> Self {
        GitHub { client, repository }
    }

    /// Waits, on the client's clock.
    pub fn pause(&self, wait: std::time::Duration) {
        self.client.pause(wait);
    }

    /// Which repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    fn path(&self, rest: &str) -> String {
        format!("/repos/{}{rest}", self.repository)
    }

    /// An issue; a pull request's number gives its issue side.
    pub fn issue(&self, number: u64) -> Result<Issue, GitHubError> {
        self.client.get(&self.path(&format!("/issues/{number}")))
    }

    /// Every open issue, oldest first, pull requests left out.
    pub fn open_issues(&self) -> Result<Vec<Issue>, GitHubError> {
        self.issues("open")
    }

    /// Every closed issue, oldest first, pull requests left out.
    pub fn closed_issues(&self) -> Result<Vec<Issue>, GitHubError> {
        self.issues("closed")
    }

    fn issues(&self, state: &str) -> Result<Vec<Issue>, GitHubError> {
        let mut all: Vec<Issue> = self
            .client
            .list(&self.path(&format!("/issues?state={state}&sort=created&direction=asc")))?;
        all.retain(|issue| issue.pull_request.is_none());
        Ok(all)
    }

    /// Who wrote an issue and who edited its text last; needs a token.
    pub fn authorship(&self, number: u64) -> Result<Authorship, GitHubError> {
        let data = self.client.query(
            "query($owner:String!,$name:String!,$number:Int!){repository(owner:$owner,name:$name){issue(number:$number){author{login} editor{login} lastEditedAt}}}",
            &json!({"owner": self.repository.owner, "name": self.repository.name, "number": number}),
        )?;
        let issue = &data["repository"]["issue"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(Authorship {
            author: text(&issue["author"]["login"]),
            editor: text(&issue["editor"]["login"]),
            edited_at: text(&issue["lastEditedAt"]),
        })
    }

    /// A pull request.
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

    /// The reviews of a pull request, oldest first.
    pub fn reviews(&self, number: u64) -> Result<Vec<Review>, GitHubError> {
        self.client.list(&self.path(&format!("/pulls/{number}/reviews")))
    }

    /// The comments of an issue or a pull request, oldest first.
    pub fn comments(&self, number: u64) -> Result<Vec<Comment>, GitHubError> {
        let mut all: Vec<Comment> = self
            .client
            .list(&self.path(&format!("/issues/{number}/comments")))?;
        all.sort_by_key(|comment| comment.id);
        all.dedup_by_key(|comment| comment.id);
        Ok(all)
    }

    /// Writes a new comment. After a broken answer it may be there all the same: see [`GitHubError::may_have_happened`].
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

    /// Deletes a comment; one that is gone already is no fault.
    pub fn delete_comment(&self, comment: u64) -> Result<(), GitHubError> {
        let path = self.path(&format!("/issues/comments/{comment}"));
        match self.client.write(&Method::DELETE, &path, None, Repeat::Safe) {
            Err(fault) if !fault.is_missing() => Err(fault),
            _ => Ok(()),
        }
    }

    /// The login that this token writes as. An Actions token may not ask, and always writes as one app.
    pub fn login(&self) -> Result<String, GitHubError> {
        match self.client.get::<User>("/user") {
            Ok(user) => Ok(user.login),
            Err(fault) if matches!(fault.status(), Some(403 | 404)) => Ok("github-actions[bot]".to_owned()),
            Err(fault) => Err(fault),
        }
    }

    /// Sets a commit status. Setting it twice is the same as once.
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
            "description": line.chars().take(LONGEST_LINE).collect::<String>(),
        });
        if let Some(target) = target {
            body["target_url"] = json!(target);
        }
        let path = self.path(&format!("/statuses/{commit}"));
        self.client
            .write(&Method::POST, &path, Some(&body), Repeat::Safe)
            .map(drop)
    }

    /// The statuses of a commit, newest first; of each context the first one counts.
    pub fn statuses(&self, commit: &CommitId) -> Result<Vec<Status>, GitHubError> {
        self.client
            .list(&self.path(&format!("/commits/{commit}/statuses")))
    }

    /// A commit object.
    pub fn commit(&self, commit: &CommitId) -> Result<Commit, GitHubError> {
        self.client.get(&self.path(&format!("/git/commits/{commit}")))
    }

    /// A file of a commit; `None` where the commit has none there. The path is one of ours, never a stranger's.
    pub fn file(&self, commit: &CommitId, path: &str) -> Result<Option<Vec<u8>>, GitHubError> {
        let path = self.path(&format!("/contents/{path}?ref={commit}"));
        match self.client.file(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(fault) if fault.is_missing() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// The commit that `refs/pull/N/merge` names now; `None` where there is no merge (a conflict, or not made yet).
    pub fn merge_ref(&self, pull: u64) -> Result<Option<CommitId>, GitHubError> {
        #[derive(serde::Deserialize)]
        struct Ref {
            object: Object,
        }
        match self
            .client
            .get::<Ref>(&self.path(&format!("/git/ref/pull/{pull}/merge")))
        {
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
        .ok_or_else(|| GitHubError {
            request: format!("{method} {path}"),
            kind: crate::github::error::ErrorKind::Shape("no such object".to_owned()),
            tries: 1,
        })
}

/// A byte of a name as it may stand in a path.
fn segment(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}
