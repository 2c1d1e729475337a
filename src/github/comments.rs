//! Creates and updates the sticky comment: one comment for each pull request and key, found by author and marker. Concurrent
//! publishers end with the same comment.
//!
//! Must not depend on the text of the comment. The marker stores the shown run and the earlier runs in a restricted alphabet,
//! and a marker that does not validate is ignored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::ids::CommitId;
use crate::github::api::GitHub;
use crate::github::error::GitHubError;
use crate::github::statuses::RunNumber;
use crate::github::types::Comment;

/// The start of the marker; the JSON of [`Marker`] and ` -->` follow.
const OPEN: &str = "<!-- nmoe-gates ";

/// The end of the marker.
const CLOSE: &str = " -->";

/// The most earlier runs in a marker.
const REMEMBERED: usize = 20;

/// The most rounds of reading and writing before the publisher gives up.
const ROUNDS: usize = 40;

/// The most tries to create a comment, and the pause after the first; it doubles.
const CREATIONS: u32 = 5;
const CREATION_PAUSE: Duration = Duration::from_millis(500);

/// The outcome of a text that only points to its run, because the table of that run was lost. The run itself may replace it.
pub const POINTER: &str = "pointer";

/// A run that a comment shows or showed. All texts have a restricted alphabet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The number of the workflow run and of its attempt; a later run has larger numbers. `None` outside of a workflow.
    pub run: Option<(u64, u64)>,
    /// The result: lower-case letters and `_`.
    pub outcome: String,
    /// The head commit of the run.
    pub head: Option<String>,
    /// The start time, RFC 3339 in UTC.
    pub at: Option<String>,
    /// A summary such as `9 pass, 1 fail`: lower-case letters, digits, `,`, `_` and spaces.
    pub says: String,
}

impl Shown {
    fn is_plain(&self) -> bool {
        let all = |text: &str, most: usize, more: &str| {
            text.len() <= most
                && text
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || more.as_bytes().contains(&b))
        };
        all(&self.outcome, 20, "_")
            && all(&self.says, 120, ", _")
            && self.head.as_deref().is_none_or(CommitId::is_valid)
            && self.at.as_deref().is_none_or(|at| {
                at.len() <= 40
                    && at.bytes().all(|b| b.is_ascii_digit() || b"TZ:.+-".contains(&b))
                    && !at.contains("--")
            })
    }
}

/// The first line of the comment, an HTML comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    /// The key of the comment: a bundle, or `gates`.
    key: String,
    shown: Shown,
    /// Earlier runs, newest first.
    before: Vec<Shown>,
}

impl Marker {
    fn line(&self) -> String {
        // `>` and `--` cannot occur, because all texts have a restricted alphabet.
        format!("{OPEN}{}{CLOSE}", serde_json::to_string(self).unwrap_or_default())
    }

    fn of(body: &str) -> Option<Self> {
        let line = body.lines().next()?.trim_end();
        let marker: Marker = serde_json::from_str(line.strip_prefix(OPEN)?.strip_suffix(CLOSE)?).ok()?;
        let plain = std::iter::once(&marker.shown)
            .chain(&marker.before)
            .all(Shown::is_plain);
        (plain && marker.before.len() <= REMEMBERED).then_some(marker)
    }
}

/// Returns the run that a comment shows, if its first line is a marker.
pub fn shown(body: &str) -> Option<Shown> {
    Marker::of(body).map(|marker| marker.shown)
}

/// The comment that should exist.
pub struct Sticky<'a> {
    /// The key; there is one comment for each key. Lower-case letters, digits, `_`, `-`; other characters are replaced.
    pub key: &'a str,
    pub shown: Shown,
    /// Returns the text for these earlier runs, newest first. At most [`Sticky::ROOM`] bytes.
    pub text: &'a dyn Fn(&[Shown]) -> String,
    /// Whether a workflow run may publish here. Every workflow has the login of this publisher and could write a marker.
    pub is_real: &'a dyn Fn(RunNumber) -> bool,
}

/// The result of publishing, with the URL of the comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The comment is new.
    Created(String),
    /// The existing comment was updated.
    Updated(String),
    /// The existing comment was already correct.
    Unchanged(String),
    /// The existing comment shows a newer run and was not changed.
    Newer(String),
}

/// A comment of this publisher.
#[derive(Clone, Debug)]
struct Ours {
    id: u64,
    body: String,
    marker: Marker,
}

/// The next step of publishing.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Create(String),
    Update(u64, String),
    Delete(u64),
    Rest { newer: bool },
}

impl Sticky<'_> {
    /// The most bytes of the text. The rest is for the marker.
    pub const ROOM: usize = crate::github::api::LONGEST_BODY - 8 * 1024;

    fn key(&self) -> String {
        let plain = |c: char| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' {
                c
            } else {
                '-'
            }
        };
        let mut key: String = self.key.chars().take(60).map(plain).collect();
        while key.contains("--") {
            key = key.replace("--", "-");
        }
        key
    }

    /// Ensures that the pull request has exactly one comment, which shows this run or a newer one.
    ///
    /// Every round reads the comments and performs one step, until no step is left. Concurrent publishers see each other's
    /// comments and keep the oldest.
    pub fn publish(&self, github: &GitHub, number: u64) -> Result<Done, GitHubError> {
        let mut login: Option<String> = None;
        let mut done = None;
        let mut creations = 0;
        let mut created: Option<String> = None;
        for _ in 0..ROUNDS {
            let found = self.find(github, number, &mut login)?;
            match self.step(&found, done.is_some()) {
                Step::Rest { newer } => {
                    let url = found.first().map(|(c, _)| c.html_url.clone()).unwrap_or_default();
                    return Ok(match done {
                        _ if newer => Done::Newer(url),
                        Some(true) => Done::Created(url),
                        Some(false) => Done::Updated(url),
                        None => Done::Unchanged(url),
                    });
                }
                Step::Create(body) => {
                    // A comment that is not found again, although it was created, must not be created twice.
                    if let Some(url) = created {
                        return Ok(Done::Created(url));
                    }
                    match github.create_comment(number, &body) {
                        Ok(comment) => {
                            created = Some(comment.html_url);
                            login = comment.user.map(|user| user.login).or(login);
                        }
                        // The next round checks whether the comment exists.
                        Err(fault) if fault.may_have_happened() && creations + 1 < CREATIONS => {
                            github.pause(CREATION_PAUSE * 2_u32.pow(creations));
                            creations += 1;
                        }
                        Err(fault) => return Err(fault),
                    }
                    done = Some(true);
                }
                Step::Update(id, body) => {
                    match github.update_comment(id, &body) {
                        Ok(_) => {}
                        // The comment was deleted since it was read.
                        Err(fault) if fault.is_missing() => {}
                        Err(fault) => return Err(fault),
                    }
                    done = done.or(Some(false));
                }
                Step::Delete(id) => github.delete_comment(id)?,
            }
        }
        Err(GitHubError::contended(number))
    }

    /// Returns the comments of this login with this key, oldest first.
    fn find(
        &self,
        github: &GitHub,
        number: u64,
        login: &mut Option<String>,
    ) -> Result<Vec<(Comment, Ours)>, GitHubError> {
        let key = self.key();
        let mut found: Vec<(Comment, Ours)> = github
            .comments(number)?
            .into_iter()
            .filter_map(|comment| {
                let marker = Marker::of(&comment.body).filter(|marker| marker.key == key)?;
                let ours = Ours {
                    id: comment.id,
                    body: comment.body.clone(),
                    marker,
                };
                Some((comment, ours))
            })
            .collect();
        if !found.is_empty() {
            let me = match login {
                Some(me) => me.clone(),
                None => github.login()?,
            };
            found.retain(|(comment, _)| comment.user.as_ref().is_some_and(|user| user.login == me));
            let is_planted = |shown: &Shown| shown.run.is_some_and(|run| !(self.is_real)(run));
            for (_, Ours { marker, .. }) in &mut found {
                marker.before.retain(|shown| !is_planted(shown));
                if is_planted(&marker.shown) {
                    marker.shown = self.shown.clone();
                }
            }
            *login = Some(me);
        }
        Ok(found)
    }

    /// Returns the next step. After this publisher has `written`, it accepts the text of another publisher of the same run.
    fn step(&self, found: &[(Comment, Ours)], written: bool) -> Step {
        let ours: Vec<&Ours> = found.iter().map(|(_, ours)| ours).collect();
        let Some(oldest) = ours.first() else {
            return Step::Create(self.body(Vec::new()));
        };
        // A run outside of a workflow has no number, so it replaces every other run.
        let newest = ours.iter().max_by_key(|o| (o.marker.shown.run, o.id));
        let newer = newest.filter(|o| {
            let (theirs, mine) = (o.marker.shown.run, self.shown.run);
            let same = theirs == mine && o.marker.shown != self.shown && o.marker.shown.outcome != POINTER;
            (mine.is_some() && theirs > mine) || (same && (written || self.shown.outcome == POINTER))
        });
        let target = match newer {
            Some(newest) => newest.body.clone(),
            None => {
                let mut before: Vec<Shown> = Vec::new();
                for ours in ours.iter().rev() {
                    for shown in std::iter::once(&ours.marker.shown).chain(&ours.marker.before) {
                        if *shown != self.shown && !before.contains(shown) {
                            before.push(shown.clone());
                        }
                    }
                }
                // Newest first; the sort is stable, so runs without a number keep their order.
                before.sort_by_key(|shown| std::cmp::Reverse(shown.run));
                before.truncate(REMEMBERED);
                self.body(before)
            }
        };
        if normal(&oldest.body) != normal(&target) {
            return Step::Update(oldest.id, target);
        }
        match ours.last() {
            Some(extra) if ours.len() > 1 => Step::Delete(extra.id),
            _ => Step::Rest {
                newer: newer.is_some(),
            },
        }
    }

    fn body(&self, before: Vec<Shown>) -> String {
        let text = (self.text)(&before);
        let marker = Marker {
            key: self.key(),
            shown: self.shown.clone(),
            before,
        };
        format!("{}\n{text}", marker.line())
    }
}

/// Removes differences that GitHub may introduce: line ends, and white space at the end.
fn normal(body: &str) -> String {
    body.replace('\r', "").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(n: u64) -> Shown {
        Shown {
            run: Some((n, 1)),
            outcome: "pass".to_owned(),
            head: Some("a".repeat(40)),
            at: Some("2026-01-01T00:00:00Z".to_owned()),
            says: "2 pass, 1 not_run".to_owned(),
        }
    }

    /// Simulates the comments of a pull request, one step at a time.
    #[derive(Default)]
    struct Board(Vec<(Comment, Ours)>, u64);

    impl Board {
        fn step(&mut self, n: u64) -> bool {
            let text = |before: &[Shown]| format!("run {n} after {}", before.len());
            let sticky = Sticky {
                key: "full",
                shown: run(n),
                text: &text,
                is_real: &|_| true,
            };
            let set = |id, body: String| {
                let comment = Comment {
                    id,
                    body: body.clone(),
                    user: None,
                    html_url: String::new(),
                };
                (
                    comment,
                    Ours {
                        id,
                        marker: Marker::of(&body).unwrap(),
                        body,
                    },
                )
            };
            match sticky.step(&self.0, false) {
                Step::Create(body) => {
                    self.1 += 1;
                    self.0.push(set(self.1, body));
                }
                Step::Update(id, body) => {
                    let at = self.0.iter().position(|(c, _)| c.id == id).unwrap();
                    self.0[at] = set(id, body);
                }
                Step::Delete(id) => self.0.retain(|(c, _)| c.id != id),
                Step::Rest { .. } => return false,
            }
            true
        }
    }

    proptest::proptest! {
        #[test]
        fn racing_publishers_leave_one_newest_comment(turns in proptest::collection::vec(1u64..5, 0..40)) {
            let mut board = Board::default();
            // Two publishers create a comment at the same time.
            for n in [1, 2] {
                let mut alone = Board(Vec::new(), board.1);
                alone.step(n);
                board.1 = alone.1;
                board.0.extend(alone.0);
            }
            for n in turns {
                board.step(n);
            }
            for _ in 0..20 {
                for n in 1..5 {
                    board.step(n);
                }
            }
            proptest::prop_assert_eq!(board.0.len(), 1);
            let marker = &board.0[0].1.marker;
            proptest::prop_assert_eq!(&marker.shown, &run(4));
            for n in 1..5 {
                proptest::prop_assert!(!board.step(n), "settled");
            }
        }
    }

    #[test]
    fn a_planted_marker_is_not_believed() {
        let good = Marker {
            key: "full".to_owned(),
            shown: run(1),
            before: vec![run(0)],
        };
        assert_eq!(Marker::of(&format!("{}\nx", good.line())), Some(good.clone()));
        let mut bad = good.clone();
        bad.shown.says = "x --><img>".to_owned();
        assert_eq!(Marker::of(&bad.line()), None);
        bad = good.clone();
        bad.before = vec![run(1); REMEMBERED + 1];
        assert_eq!(Marker::of(&bad.line()), None);
        assert_eq!(
            Marker::of(&format!("x\n{}", good.line())),
            None,
            "only the first line"
        );
        assert_eq!(Marker::of("<!-- nmoe-gates {} -->"), None);
    }

    #[test]
    fn a_key_cannot_end_the_marker() {
        let text = |_: &[Shown]| String::new();
        let sticky = Sticky {
            key: "--><b>@x FULL",
            shown: run(1),
            text: &text,
            is_real: &|_| true,
        };
        assert_eq!(sticky.key(), "-b-x-");
        assert!(Marker::of(&sticky.body(Vec::new())).is_some());
    }
}
