//! Selects fields over GraphQL, and reads them as the types of the REST answers.
//!
//! Must not send requests: [`crate::github::api`] does.

use serde_json::{Value, json};

use crate::github::types::{Authorship, Comment, EditedText, Review, Status, User};

/// The reviews and comments of a pull request. A longer list is left to REST.
pub const OF_PULL: &str = "reviews(first:100){pageInfo{hasNextPage} nodes{state authorAssociation submittedAt author{login __typename} commit{oid}}} \
     comments(first:100){pageInfo{hasNextPage} nodes{fullDatabaseId body url author{login __typename}}}";

/// The newest commit status of each context.
pub const OF_COMMIT: &str = "...on Commit{oid status{contexts{context state description targetUrl createdAt creator{login __typename}}}}";

/// The description of a pull request and its latest edits.
pub const OF_TEXT: &str =
    "body includesCreatedEdit userContentEdits(first:100){nodes{id editor{login __typename}}}";

/// The author and the last editor of an issue.
pub const OF_ISSUE: &str = "author{login __typename} editor{login __typename} lastEditedAt";

/// Reads the nodes of a list; `None` if the list goes on, or if a node is not usable.
pub fn complete<T>(list: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    if list["pageInfo"]["hasNextPage"] != json!(false) {
        return None;
    }
    list["nodes"].as_array()?.iter().map(read).collect()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Reads a review; `None` if its commit is gone. Only REST tells the id of such a commit.
pub fn review(node: &Value) -> Option<Review> {
    Some(Review {
        user: login(&node["author"]).map(|login| User { login }),
        state: text(&node["state"])?,
        author_association: text(&node["authorAssociation"]),
        commit_id: Some(text(&node["commit"]["oid"])?),
        submitted_at: text(&node["submittedAt"]),
    })
}

/// Reads a comment.
pub fn comment(node: &Value) -> Option<Comment> {
    Some(Comment {
        id: node["fullDatabaseId"].as_str()?.parse().ok()?,
        body: text(&node["body"])?,
        user: login(&node["author"]).map(|login| User { login }),
        html_url: text(&node["url"])?,
    })
}

/// Reads the selection [`OF_COMMIT`].
pub fn statuses(commit: &Value) -> Option<Vec<Status>> {
    if commit["status"].is_null() {
        return Some(Vec::new());
    }
    let status = |node: &Value| {
        Some(Status {
            context: text(&node["context"])?,
            state: text(&node["state"])?.to_ascii_lowercase(),
            description: text(&node["description"]).unwrap_or_default(),
            target_url: text(&node["targetUrl"]),
            creator: login(&node["creator"]).map(|login| User { login }),
            created_at: text(&node["createdAt"]),
        })
    };
    commit["status"]["contexts"]
        .as_array()?
        .iter()
        .map(status)
        .collect()
}

/// Reads the selection [`OF_ISSUE`].
pub fn authorship(issue: &Value) -> Authorship {
    Authorship {
        author: login(&issue["author"]),
        editor: login(&issue["editor"]),
        edited_at: text(&issue["lastEditedAt"]),
    }
}

/// Reads the selection [`OF_TEXT`].
pub fn edited_text(pull: &Value) -> Option<EditedText> {
    let edits = pull["userContentEdits"]["nodes"].as_array()?.iter();
    let edit = |node: &Value| Some((text(&node["id"])?, login(&node["editor"]).unwrap_or_default()));
    Some(EditedText {
        body: text(&pull["body"])?,
        records_original: pull["includesCreatedEdit"].as_bool()?,
        edits: edits.map(edit).collect::<Option<_>>()?,
    })
}

/// Returns the login of an actor. GraphQL leaves out the `[bot]` of an app, so that a person could have the same login.
fn login(actor: &Value) -> Option<String> {
    match actor["__typename"].as_str() {
        Some("Bot") => text(&actor["login"]).map(|login| format!("{login}[bot]")),
        _ => text(&actor["login"]),
    }
}
