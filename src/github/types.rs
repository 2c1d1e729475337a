//! What GitHub says, as far as anybody here asks: plain types, tolerant of the many keys nobody needs.

use crate::domain::ids::CommitId;
use serde::Deserialize;

/// A person or an app.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Login; an app's ends in `[bot]`.
    pub login: String,
}

/// An issue; a pull request is one too.
#[derive(Clone, Debug, Deserialize)]
pub struct Issue {
    /// GitHub's number.
    pub number: u64,
    /// Title.
    pub title: String,
    /// Description.
    #[serde(default, deserialize_with = "or_empty")]
    pub body: String,
    /// `open` or `closed`.
    pub state: String,
    /// Why it is closed: `completed`, `not_planned`, `duplicate`; none while it is open.
    #[serde(default)]
    pub state_reason: Option<String>,
    /// Who opened it; none for a deleted account.
    pub user: Option<User>,
    /// Present where this is a pull request.
    #[serde(default)]
    pub pull_request: Option<serde::de::IgnoredAny>,
    /// When it was last changed, RFC 3339.
    pub updated_at: Option<String>,
}

/// A pull request, as the API and as events tell of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Pull {
    /// GitHub's number.
    pub number: u64,
    /// Title.
    #[serde(default)]
    pub title: String,
    /// Description.
    #[serde(default, deserialize_with = "or_empty")]
    pub body: String,
    /// `open` or `closed`.
    #[serde(default)]
    pub state: String,
    /// Not ready for review.
    #[serde(default)]
    pub draft: bool,
    /// Already merged.
    #[serde(default)]
    pub merged: bool,
    /// Whether it merges cleanly; none while GitHub is still finding out.
    #[serde(default)]
    pub mergeable: Option<bool>,
    /// The merge GitHub made for testing; none while it is still making it.
    #[serde(default)]
    pub merge_commit_sha: Option<String>,
    /// Who opened it; none for a deleted account.
    pub user: Option<User>,
    /// Where the change is.
    pub head: Side,
    /// Where it should go.
    pub base: Side,
}

/// One side of a pull request.
#[derive(Clone, Debug, Deserialize)]
pub struct Side {
    /// Branch name.
    #[serde(rename = "ref")]
    pub branch: String,
    /// Commit.
    pub sha: CommitId,
    /// Repository; none for a deleted fork.
    #[serde(default)]
    pub repo: Option<Repo>,
}

/// A repository.
#[derive(Clone, Debug, Deserialize)]
pub struct Repo {
    /// `owner/name`.
    pub full_name: String,
}

/// A comment on an issue or a pull request.
#[derive(Clone, Debug, Deserialize)]
pub struct Comment {
    /// GitHub's id; a later comment has a larger one.
    pub id: u64,
    /// Text.
    #[serde(default, deserialize_with = "or_empty")]
    pub body: String,
    /// Who wrote it; none for a deleted account.
    pub user: Option<User>,
    /// Where people see it.
    #[serde(default)]
    pub html_url: String,
}

/// A review of a pull request.
#[derive(Clone, Debug, Deserialize)]
pub struct Review {
    /// Who; none for a deleted account.
    pub user: Option<User>,
    /// `APPROVED`, `CHANGES_REQUESTED`, `COMMENTED`, `DISMISSED` or `PENDING`.
    pub state: String,
    /// The head commit that was reviewed.
    #[serde(default)]
    pub commit_id: Option<String>,
    /// When, RFC 3339.
    #[serde(default)]
    pub submitted_at: Option<String>,
}

/// A commit object.
#[derive(Clone, Debug, Deserialize)]
pub struct Commit {
    /// Its id.
    pub sha: CommitId,
    /// Its tree.
    pub tree: Object,
    /// Its parents, in order.
    pub parents: Vec<Object>,
}

/// A git object.
#[derive(Clone, Debug, Deserialize)]
pub struct Object {
    /// Its id.
    pub sha: CommitId,
}

/// An environment that jobs can wait for.
#[derive(Clone, Debug, Deserialize)]
pub struct Environment {
    /// What protects it.
    #[serde(default)]
    pub protection_rules: Vec<Rule>,
}

/// One protection of an environment.
#[derive(Clone, Debug, Deserialize)]
pub struct Rule {
    /// `required_reviewers`, `wait_timer`, `branch_policy`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A commit status, as it stands.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// Its name, unique per commit.
    pub context: String,
    /// `error`, `failure`, `pending` or `success`.
    pub state: String,
    /// One line.
    #[serde(default, deserialize_with = "or_empty")]
    pub description: String,
}

/// What a commit status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Green.
    Success,
    /// Red: judged, and found wanting.
    Failure,
    /// Red: not judged.
    Error,
    /// Yellow.
    Pending,
}

impl State {
    /// GitHub's word.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Success => "success",
            State::Failure => "failure",
            State::Error => "error",
            State::Pending => "pending",
        }
    }
}

/// Who wrote an issue and who changed its text last. GitHub tells the latter over GraphQL alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorship {
    /// Who opened it; none for a deleted account.
    pub author: Option<String>,
    /// Who edited the text last; none where nobody did.
    pub editor: Option<String>,
    /// When it was last edited, RFC 3339.
    pub edited_at: Option<String>,
}

/// GitHub's `null` for an empty text.
fn or_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}
