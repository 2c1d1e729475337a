//! Defines the types of GitHub's answers, with only the keys that this program uses. Unknown keys are ignored.
//!
//! Must not contain logic about gates or contracts.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::ids::CommitId;

/// A person or an app.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
    /// The login; the login of an app ends in `[bot]`.
    pub login: String,
}

/// An issue. A pull request is also an issue.
#[derive(Clone, Debug, Deserialize)]
pub struct Issue {
    pub number: u64,
    pub title: String,
    /// The description.
    #[serde(default, deserialize_with = "or_empty")]
    pub body: String,
    /// `open` or `closed`.
    pub state: String,
    /// Why the issue is closed: `completed`, `not_planned`, `duplicate`; `None` while it is open.
    #[serde(default)]
    pub state_reason: Option<String>,
    /// The author; `None` for a deleted account.
    pub user: Option<User>,
    /// As in [`Review::author_association`].
    #[serde(default)]
    pub author_association: Option<String>,
    /// Present if this is a pull request.
    #[serde(default)]
    pub pull_request: Option<serde::de::IgnoredAny>,
}

/// A pull request, from the API or from an event.
#[derive(Clone, Debug, Deserialize)]
pub struct Pull {
    pub number: u64,
    #[serde(default)]
    pub title: String,
    /// The description.
    #[serde(default, deserialize_with = "or_empty")]
    pub body: String,
    /// `open` or `closed`.
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub draft: bool,
    #[serde(default)]
    pub merged: bool,
    /// Whether it merges cleanly; `None` until GitHub has checked.
    #[serde(default)]
    pub mergeable: Option<bool>,
    /// The test merge commit of GitHub; `None` until GitHub has created it.
    #[serde(default)]
    pub merge_commit_sha: Option<String>,
    /// The author; `None` for a deleted account.
    pub user: Option<User>,
    /// The branch with the change.
    pub head: Side,
    /// The target branch.
    pub base: Side,
}

/// One side of a pull request.
#[derive(Clone, Debug, Deserialize)]
pub struct Side {
    /// The branch name.
    #[serde(rename = "ref")]
    pub branch: String,
    /// The commit id.
    pub sha: CommitId,
    /// The repository; `None` for a deleted fork.
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
    /// The id of the comment; a later comment has a larger id.
    pub id: u64,
    #[serde(default, deserialize_with = "or_empty")]
    pub body: String,
    /// The author; `None` for a deleted account.
    pub user: Option<User>,
    /// The URL of the comment in a browser.
    #[serde(default)]
    pub html_url: String,
}

/// A description with its edit history. REST cannot write on a condition, so only the history tells whether two edits crossed.
#[derive(Clone, Debug)]
pub struct EditedText {
    pub body: String,
    /// Whether one of the edits is the record of the original text, which the first edit adds.
    pub records_original: bool,
    /// The ids of the latest edits, each with its editor.
    pub edits: BTreeMap<String, String>,
}

impl EditedText {
    /// Returns who edited the description since an earlier reading, if not only this program replaced the text. Without a new record
    /// the answer is older than the write, so it says nothing about other edits.
    pub fn crossed(&self, earlier: &EditedText, is_written: bool) -> Option<String> {
        let new: Vec<&String> = self
            .edits
            .iter()
            .filter(|(id, _)| !earlier.edits.contains_key(*id))
            .map(|(_, editor)| editor)
            .collect();
        let expected = 1 + usize::from(self.records_original && !earlier.records_original);
        if new.is_empty() || new.len() <= expected && is_written {
            return None;
        }
        let mut editors: Vec<&str> = new.into_iter().map(String::as_str).collect();
        editors.sort_unstable();
        editors.dedup();
        Some(editors.join(", "))
    }
}

/// A review of a pull request.
#[derive(Clone, Debug, Deserialize)]
pub struct Review {
    /// The reviewer; `None` for a deleted account.
    pub user: Option<User>,
    /// `APPROVED`, `CHANGES_REQUESTED`, `COMMENTED`, `DISMISSED` or `PENDING`.
    pub state: String,
    /// `OWNER`, `MEMBER`, `COLLABORATOR`, `CONTRIBUTOR`, `NONE` and others.
    #[serde(default)]
    pub author_association: Option<String>,
    /// The head commit that was reviewed.
    #[serde(default)]
    pub commit_id: Option<String>,
    /// The time of the review, RFC 3339.
    #[serde(default)]
    pub submitted_at: Option<String>,
}

/// A commit object.
#[derive(Clone, Debug, Deserialize)]
pub struct Commit {
    pub sha: CommitId,
    pub tree: Object,
    /// The parents, in order.
    pub parents: Vec<Object>,
}

/// A git object.
#[derive(Clone, Debug, Deserialize)]
pub struct Object {
    pub sha: CommitId,
}

/// A deployment environment.
#[derive(Clone, Debug, Deserialize)]
pub struct Environment {
    #[serde(default)]
    pub protection_rules: Vec<Rule>,
}

/// A protection rule of an environment.
#[derive(Clone, Debug, Deserialize)]
pub struct Rule {
    /// `required_reviewers`, `wait_timer`, `branch_policy`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A commit status.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// The name of the status; the newest status of each name is current.
    pub context: String,
    /// `error`, `failure`, `pending` or `success`.
    pub state: String,
    /// One line of text.
    #[serde(default, deserialize_with = "or_empty")]
    pub description: String,
    /// The page that the status links to.
    #[serde(default)]
    pub target_url: Option<String>,
    #[serde(default)]
    pub creator: Option<User>,
    /// RFC 3339.
    #[serde(default)]
    pub created_at: Option<String>,
}

/// The state of a commit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Success,
    /// A gate failed.
    Failure,
    /// No verdict was possible.
    Error,
    Pending,
}

impl State {
    /// Parses the value of the API; an unknown value is an error of the status.
    pub fn of(text: &str) -> Self {
        match text {
            "success" => State::Success,
            "failure" => State::Failure,
            "pending" => State::Pending,
            _ => State::Error,
        }
    }

    /// Returns the value for the API.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Success => "success",
            State::Failure => "failure",
            State::Error => "error",
            State::Pending => "pending",
        }
    }
}

/// The author and the last editor of an issue. Only the GraphQL API returns the editor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorship {
    /// The author; `None` for a deleted account.
    pub author: Option<String>,
    /// The last editor of the text; `None` if the text was not edited.
    pub editor: Option<String>,
    /// The time of the last edit, RFC 3339.
    pub edited_at: Option<String>,
}

/// Parses a text that GitHub sends as `null` if it is empty.
fn or_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

/// A rule that applies to a branch.
#[derive(Clone, Debug, Deserialize)]
pub struct BranchRule {
    /// Such as `required_status_checks`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub parameters: RuleParameters,
}

/// The parameters of a rule; those of other rules are ignored.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RuleParameters {
    #[serde(default)]
    pub required_status_checks: Vec<RequiredCheck>,
}

/// A commit status that a merge needs.
#[derive(Clone, Debug, Deserialize)]
pub struct RequiredCheck {
    pub context: String,
    /// The app that must set the status; `None` for any.
    #[serde(default)]
    pub integration_id: Option<i64>,
}

/// A workflow run.
#[derive(Clone, Debug, Deserialize)]
pub struct Run {
    pub id: u64,
    /// The file of the workflow, such as `.github/workflows/ci.yml`.
    pub path: String,
    /// What started the run, such as `workflow_dispatch`.
    pub event: String,
    /// The branch or the tag that the run was started on; `None` for a deleted one.
    #[serde(default)]
    pub head_branch: Option<String>,
    /// The commit that the workflow came from.
    pub head_sha: CommitId,
}

/// An artifact of a workflow run.
#[derive(Clone, Debug, Deserialize)]
pub struct Artifact {
    pub name: String,
    /// `sha256:` and the digest of what was uploaded.
    #[serde(default)]
    pub digest: Option<String>,
    /// Whether the content is deleted, because its time of retention is over.
    #[serde(default)]
    pub expired: bool,
    /// The run that uploaded it.
    #[serde(default)]
    pub workflow_run: Option<OfRun>,
}

/// A reference to a workflow run.
#[derive(Clone, Debug, Deserialize)]
pub struct OfRun {
    pub id: u64,
}

/// The permission of a user in the repository.
#[derive(Clone, Debug, Deserialize)]
pub struct Permission {
    /// `admin`, `maintain`, `write`, `triage`, `read` or `none`.
    pub permission: String,
}

/// Whether people with this association belong to the repository. GitHub always tells the association.
pub fn is_insider(association: Option<&str>) -> bool {
    association.is_none_or(|word| ["OWNER", "MEMBER", "COLLABORATOR"].contains(&word))
}
