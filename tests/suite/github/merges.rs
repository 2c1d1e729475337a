//! Test merges, merges, updates of a branch and the merge queue, over the bare repository.
//!
//! The rules are in docs/development/github-stand-in.md.

use std::process::Command;

use serde_json::{Value, json};

use super::{DEFAULT_BRANCH, Rules, refuse, text};
use crate::driver::git;
use crate::fake_github::{Answer, State};

/// Age in seconds after which a test merge is made again.
const STALE_AFTER: i64 = 12 * 3600;

/// What is known about the merge of a pull request.
#[derive(Default)]
pub struct TestMerge {
    /// Head and base tip for which `mergeable` is known.
    pair: (String, String),
    mergeable: bool,
    /// Requests until the running job ends.
    polls: Option<(String, String, u32)>,
    /// The last test merge: commit, head, merge base, time.
    made: Option<(String, String, String, i64)>,
}

/// How a pull request is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeMethod {
    Merge,
    Squash,
    Rebase,
}

/// A pull request in the merge queue.
#[derive(Clone, Debug)]
pub struct Queued {
    pub number: u64,
    /// The commit of the merge group.
    pub head: String,
    /// The full name of its ref.
    pub name: String,
}

impl Rules {
    /// Returns `mergeable` and the test merge of a pull request; starts a job if the state is new.
    pub(super) fn mergeable(&mut self, number: u64, state: &State) -> (Value, Value) {
        let polls = self.job_polls;
        let (head, base) = sides(&state.pulls[&number]);
        let merge = self.merges.entry(number).or_default();
        if merge.pair != (head.clone(), base.clone()) {
            let left = match merge.polls.take() {
                Some((of_head, of_base, left)) if (&of_head, &of_base) == (&head, &base) => left,
                _ => polls,
            };
            if left > 0 {
                merge.polls = Some((head, base, left - 1));
                let made = merge.made.as_ref().map(|(commit, ..)| commit.clone());
                return (Value::Null, json!(made));
            }
            self.end_job(number, state);
        } else if merge
            .made
            .as_ref()
            .is_some_and(|(.., at)| self.now - at > STALE_AFTER)
        {
            self.end_job(number, state);
        }
        let merge = &self.merges[&number];
        let made = merge.made.as_ref().map(|(commit, ..)| commit.clone());
        (json!(merge.mergeable), json!(made))
    }

    /// Ends the job of a pull request: checks the merge, and makes a test merge if the rules ask for one.
    pub(super) fn end_job(&mut self, number: u64, state: &State) {
        let (head, base) = sides(&state.pulls[&number]);
        let tree = self.merged_tree(&base, &head);
        let merge_base = self.try_git(&["merge-base", &base, &head]).unwrap_or_default();
        let now = self.now;
        let merge = self.merges.entry(number).or_default();
        merge.pair = (head.clone(), base.clone());
        merge.polls = None;
        merge.mergeable = tree.is_some();
        let fresh = merge.made.as_ref().is_some_and(|(_, of_head, of_base, at)| {
            *of_head == head && *of_base == merge_base && now - at <= STALE_AFTER
        });
        if let (Some(tree), false) = (tree, fresh) {
            let message = format!("Merge {head} into {base}");
            let commit = self.commit(&tree, &[&base, &head], &message);
            git(
                &self.repository,
                ["update-ref", &format!("refs/pull/{number}/merge"), &commit],
            );
            self.merges.get_mut(&number).unwrap().made = Some((commit, head, merge_base, now));
        }
    }

    /// Answers `PUT /pulls/N/merge`.
    pub(super) fn merge_pull(&mut self, number: u64, body: &Value, state: &mut State) -> Answer {
        let pull = state.pulls[&number].clone();
        let (head, base) = sides(&pull);
        if pull["state"] != "open" {
            return refuse(405, "Pull Request is not mergeable");
        }
        if pull["draft"] == true {
            return refuse(405, "Pull Request is still a draft");
        }
        if body["sha"].as_str().is_some_and(|sha| sha != head) {
            return refuse(409, "Head branch was modified. Review and try the merge again.");
        }
        if let Some(context) = self.missing(&head, state) {
            return refuse(405, &format!("Required status check \"{context}\" is expected."));
        }
        let method = match body["merge_method"].as_str() {
            Some("squash") => MergeMethod::Squash,
            Some("rebase") => MergeMethod::Rebase,
            _ => MergeMethod::Merge,
        };
        let Some(tree) = self.merged_tree(&base, &head) else {
            return refuse(405, "Pull Request is not mergeable");
        };
        let title = format!("{} (#{number})", text(&pull["title"]));
        let commit = match method {
            MergeMethod::Merge => {
                self.commit(&tree, &[&base, &head], &format!("Merge pull request #{number}"))
            }
            // A rebase of one commit has the tree and the parent of a squash.
            MergeMethod::Squash | MergeMethod::Rebase => self.commit(&tree, &[&base], &title),
        };
        let branch = text(&pull["base"]["ref"]).to_owned();
        git(
            &self.repository,
            ["update-ref", &format!("refs/heads/{branch}"), &commit],
        );
        self.close_merged(number, &branch, &commit, state);
        (
            200,
            json!({"sha": commit, "merged": true, "message": "Pull Request successfully merged"}),
            Vec::new(),
        )
    }

    fn close_merged(&mut self, number: u64, branch: &str, commit: &str, state: &mut State) {
        let pull = state.pulls.get_mut(&number).unwrap();
        pull["state"] = "closed".into();
        pull["merged"] = true.into();
        pull["merged_at"] = self.time().into();
        pull["merge_commit_sha"] = commit.into();
        let body = text(&pull["body"]).to_owned();
        let issue = state.issues.get_mut(&number).unwrap();
        issue["state"] = "closed".into();
        issue["pull_request"]["merged_at"] = self.time().into();
        if branch != DEFAULT_BRANCH {
            return;
        }
        for closed in crate::fake_graphql::closing_references(&body) {
            if let Some(issue) = state.issues.get_mut(&closed) {
                issue["state"] = "closed".into();
                issue["state_reason"] = "completed".into();
            }
        }
    }

    /// Answers `PUT /pulls/N/update-branch`.
    pub(super) fn update_branch(&mut self, number: u64, body: &Value, state: &State) -> Answer {
        let pull = &state.pulls[&number];
        let (head, base) = sides(pull);
        if body["expected_head_sha"].as_str().is_some_and(|sha| sha != head) {
            return refuse(422, "expected head sha didn’t match current head ref.");
        }
        let Some(tree) = self.merged_tree(&head, &base) else {
            return refuse(422, "merge conflict between base and head");
        };
        let commit = self.commit(&tree, &[&head, &base], "Merge branch into pull request");
        let branch = format!("refs/heads/{}", text(&pull["head"]["ref"]));
        git(&self.repository, ["update-ref", &branch, &commit]);
        (
            202,
            json!({"message": "Updating pull request branch.", "url": ""}),
            Vec::new(),
        )
    }

    /// Makes a merge group behind those that wait, and returns the payload of `merge_group`.
    pub(super) fn enqueue(&mut self, number: u64, state: &State) -> Value {
        let (head, tip) = sides(&state.pulls[&number]);
        let base = self.queue.last().map_or(tip, |ahead| ahead.head.clone());
        let tree = self.merged_tree(&base, &head).expect("a conflict is not queued");
        let commit = self.commit(&tree, &[&base, &head], &format!("Merge pull request #{number}"));
        let name = format!("refs/heads/gh-readonly-queue/{DEFAULT_BRANCH}/pr-{number}-{base}");
        git(&self.repository, ["update-ref", &name, &commit]);
        self.queue.push(Queued {
            number,
            head: commit.clone(),
            name: name.clone(),
        });
        json!({"action": "checks_requested", "merge_group": {"head_sha": commit, "head_ref": name, "base_sha": base,
            "base_ref": format!("refs/heads/{DEFAULT_BRANCH}"),
            "head_commit": {"id": commit, "tree_id": tree}},
            "repository": {"full_name": crate::fake_github::REPOSITORY, "default_branch": DEFAULT_BRANCH}})
    }

    /// Merges the first group if its required statuses succeeded.
    pub(super) fn advance_queue(&mut self, state: &mut State) -> Option<u64> {
        let first = self.queue.first()?.clone();
        if self.missing(&first.head, state).is_some() {
            return None;
        }
        self.queue.remove(0);
        git(
            &self.repository,
            ["update-ref", &format!("refs/heads/{DEFAULT_BRANCH}"), &first.head],
        );
        git(&self.repository, ["update-ref", "-d", &first.name]);
        self.close_merged(first.number, DEFAULT_BRANCH, &first.head, state);
        Some(first.number)
    }

    /// Returns the first required context whose newest status on a commit is not `success`.
    fn missing(&self, commit: &str, state: &State) -> Option<String> {
        let statuses = state.statuses.get(commit).map_or(&[][..], Vec::as_slice);
        let newest = |context: &str| statuses.iter().find(|s| s["context"] == context);
        let mut required = self.required.iter();
        required
            .find(|c| newest(c).is_none_or(|s| s["state"] != "success"))
            .cloned()
    }

    /// Returns the tree of a clean merge.
    fn merged_tree(&self, ours: &str, theirs: &str) -> Option<String> {
        self.try_git(&["merge-tree", "--write-tree", ours, theirs])
            .and_then(|out| out.lines().next().map(str::to_owned))
    }

    /// Makes a commit at the time of the clock.
    fn commit(&self, tree: &str, parents: &[&str], message: &str) -> String {
        let mut args = vec!["commit-tree", "-m", message];
        for parent in parents {
            args.extend(["-p", parent]);
        }
        args.push(tree);
        self.try_git(&args).unwrap()
    }

    fn try_git(&self, args: &[&str]) -> Option<String> {
        let date = format!("{} +0000", self.now);
        let out = Command::new("git")
            .args(args)
            .current_dir(&self.repository)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", "GitHub")
            .env("GIT_AUTHOR_EMAIL", "noreply@github.com")
            .env("GIT_COMMITTER_NAME", "GitHub")
            .env("GIT_COMMITTER_EMAIL", "noreply@github.com")
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date)
            .output()
            .unwrap();
        out.status
            .success()
            .then(|| String::from_utf8(out.stdout).unwrap().trim().to_owned())
    }
}

/// Returns the head and the base tip.
fn sides(pull: &Value) -> (String, String) {
    (
        text(&pull["head"]["sha"]).to_owned(),
        text(&pull["base"]["sha"]).to_owned(),
    )
}
