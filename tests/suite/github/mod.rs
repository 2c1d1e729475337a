//! A GitHub stand-in: the HTTP server of [`crate::fake_github`] over a real bare git repository, with GitHub's rules of 2026.
//!
//! Must not use the program under test, and decides nothing about gates or contracts. Tests push to [`GitHub::remote`] with git.
//!
//! Its rules, each with the page of GitHub that it follows, and how it decides freshness: docs/development/github-stand-in.md.
//!
//! A conversation lock, a limit and the clock change only when a test changes them.
#![allow(dead_code, reason = "not every state of the suite uses each rule")]

mod actions;
mod merges;
mod routes;
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::driver::{Call, git};
use crate::fake_github::{Answer, FakeGitHub, REPOSITORY, RecordedRequest, State, TOKEN};

pub use crate::fake_graphql::DEFAULT_BRANCH;
use merges::Queued;

/// The first instant of the clock: 2026-01-01T00:00:00Z.
const BEGIN: i64 = 1_767_225_600;

/// A running stand-in; it stops when dropped.
pub struct GitHub {
    pub api: FakeGitHub,
    rules: Arc<Mutex<Rules>>,
    folder: TempDir,
}

/// The data that the rules add to [`State`], and the settings that a test may change.
pub struct Rules {
    repository: PathBuf,
    /// The clock, in seconds since 1970; only [`GitHub::advance`] moves it.
    now: i64,
    /// Permissions of the token, such as `statuses` to `write`.
    pub permissions: BTreeMap<&'static str, &'static str>,
    /// Role of each known user: `admin`, `write`, `read` or `none`.
    pub roles: BTreeMap<String, &'static str>,
    /// How often `GET /pulls/N` answers null before the job of a new state ends.
    pub job_polls: u32,
    /// Status contexts that a merge needs.
    pub required: Vec<String>,
    /// Requests of an hour; `None` for no limit.
    pub hourly: Option<u32>,
    /// New content of a minute; `None` for no limit.
    pub content: Option<usize>,
    /// Numbers of deleted issues.
    pub deleted: Vec<u64>,
    used: u32,
    written: Vec<std::time::Instant>,
    merges: BTreeMap<u64, merges::TestMerge>,
    queue: Vec<Queued>,
    next: u64,
}

impl GitHub {
    /// Starts a stand-in with one commit on the default branch.
    pub fn start() -> Self {
        let folder = TempDir::with_prefix("github-").unwrap();
        let repository = folder.path().join("repository.git");
        git(folder.path(), ["init", "-q", "--bare", "repository.git"]);
        let tree = git(&repository, ["mktree"]).trim().to_owned();
        let first = git(&repository, ["commit-tree", "-m", "Begin", &tree])
            .trim()
            .to_owned();
        git(&repository, ["update-ref", "refs/heads/master", &first]);
        let permissions = ["contents", "issues", "pull_requests", "statuses", "actions"];
        let rules = Arc::new(Mutex::new(Rules {
            repository,
            now: BEGIN,
            permissions: permissions.into_iter().map(|name| (name, "write")).collect(),
            roles: BTreeMap::from([
                ("captain".to_owned(), "admin"),
                ("reviewer".to_owned(), "write"),
                ("writer".to_owned(), "write"),
            ]),
            job_polls: 1,
            required: Vec::new(),
            hourly: None,
            content: None,
            deleted: Vec::new(),
            used: 0,
            written: Vec::new(),
            merges: BTreeMap::new(),
            queue: Vec::new(),
            next: 1,
        }));
        let api = FakeGitHub::start();
        let shared = Arc::clone(&rules);
        api.rules(move |request, state, base| {
            let mut rules = shared.lock().unwrap();
            Some(routes::answer(&mut rules, request, state, base))
        });
        GitHub { api, rules, folder }
    }

    /// Returns the bare repository, to push to.
    pub fn remote(&self) -> PathBuf {
        self.folder.path().join("repository.git")
    }

    /// Locks the rules, to read or change them. Must not be held during a request. The lock of the state comes first.
    pub fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap()
    }

    /// Points the call at this stand-in and adds the token.
    pub fn serves(&self, call: Call) -> Call {
        self.api.serves(call)
    }

    /// Commits a change of files to a branch, which begins at the default branch if it does not exist. Returns the commit.
    pub fn push(&self, branch: &str, files: &[(&str, &str)]) -> String {
        let repository = self.remote();
        let tip = |name: &str| {
            let name = format!("refs/heads/{name}");
            let found = git(&repository, ["for-each-ref", "--format=%(objectname)", &name]);
            Some(found.trim().to_owned()).filter(|id| !id.is_empty())
        };
        let parent = tip(branch).or_else(|| tip(DEFAULT_BRANCH)).unwrap();
        let index = self.folder.path().join("work");
        let _ = std::fs::remove_dir_all(&index);
        git(
            self.folder.path(),
            [
                "clone",
                "-q",
                "--no-checkout",
                repository.to_str().unwrap(),
                "work",
            ],
        );
        git(&index, ["checkout", "-q", "--detach", &parent]);
        for (path, text) in files {
            let path = index.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        git(&index, ["add", "-A"]);
        git(&index, ["commit", "-qm", &format!("Change {branch}")]);
        git(
            &index,
            ["push", "-q", "origin", &format!("HEAD:refs/heads/{branch}")],
        );
        git(&index, ["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Opens a pull request of a pushed branch; a branch of a fork is written `login:branch` and pushed as
    /// `refs/forks/login/branch`.
    pub fn open(&self, number: u64, branch: &str, author: &str, body: &str) {
        let (head, base) = (self.tip(branch), self.tip(DEFAULT_BRANCH));
        git(
            &self.remote(),
            ["update-ref", &format!("refs/pull/{number}/head"), &head],
        );
        let name = branch.split_once(':').map_or(branch, |(_, name)| name);
        self.api.pull(number, name, &head, &base, body);
        let mut state = self.api.state();
        let mut rules = self.rules();
        let association = rules.association(author);
        if let Some((login, _)) = branch.split_once(':') {
            let fork = format!("{login}/trainer");
            state.pulls.get_mut(&number).unwrap()["head"]["repo"] = json!({ "full_name": fork });
        }
        let State { pulls, issues, .. } = &mut *state;
        for entry in [pulls.get_mut(&number).unwrap(), issues.get_mut(&number).unwrap()] {
            entry["user"]["login"] = author.into();
            entry["author_association"] = association.into();
        }
        if author != "github-actions[bot]" {
            rules.start_run(&mut state, "pr-lint.yml", "pull_request", &head, name, author);
        }
    }

    /// Adds a review of the current head.
    pub fn review(&self, number: u64, login: &str, verdict: &str) {
        let mut state = self.api.state();
        let rules = self.rules();
        let (association, at) = (rules.association(login), rules.time());
        rules.synchronise(&mut state);
        let head = state.pulls[&number]["head"]["sha"].clone();
        state.reviews.entry(number).or_default().push(json!({
            "user": {"login": login}, "state": verdict, "commit_id": head, "submitted_at": at,
            "author_association": association,
        }));
    }

    /// Locks or unlocks a conversation.
    pub fn lock(&self, number: u64, locked: bool) {
        self.api.state().issues.get_mut(&number).unwrap()["locked"] = locked.into();
    }

    /// Returns how many requests the rate limit has counted: all but those that were answered with 304.
    pub fn counted(&self) -> u32 {
        self.rules().used
    }

    /// Moves the clock.
    pub fn advance(&self, hours: i64) {
        self.rules().now += hours * 3600;
    }

    /// Ends the background job of a pull request, as the web page of the pull request would.
    pub fn settle(&self, number: u64) {
        let mut state = self.api.state();
        let mut rules = self.rules();
        rules.synchronise(&mut state);
        rules.end_job(number, &state);
    }

    /// Merges a pull request as the API does; it must be mergeable.
    pub fn merge(&self, number: u64, body: &Value) {
        let mut state = self.api.state();
        let mut rules = self.rules();
        rules.synchronise(&mut state);
        let (status, answer, _) = rules.merge_pull(number, body, &mut state);
        assert_eq!(status, 200, "{answer}");
    }

    /// Puts a pull request into the merge queue and returns the payload of the `merge_group` event.
    pub fn enqueue(&self, number: u64) -> Value {
        let mut state = self.api.state();
        let mut rules = self.rules();
        rules.synchronise(&mut state);
        rules.enqueue(number, &state)
    }

    /// Takes a pull request out of the merge queue, as after its time limit.
    pub fn dequeue(&self, number: u64) {
        self.rules().queue.retain(|queued| queued.number != number);
    }

    /// Merges the first of the queue if its required statuses succeeded.
    pub fn advance_queue(&self) -> Option<u64> {
        let mut state = self.api.state();
        let mut rules = self.rules();
        rules.advance_queue(&mut state)
    }

    /// Adds a workflow run by a person and returns its id.
    pub fn run(&self, workflow: &str, event: &str, sha: &str, branch: &str) -> u64 {
        let mut state = self.api.state();
        self.rules()
            .start_run(&mut state, workflow, event, sha, branch, "captain")
    }

    /// Uploads an artifact of a run and returns its id.
    pub fn upload(&self, run: u64, name: &str, content: &str) -> u64 {
        self.api.state().add_artifact(run, name, content)
    }

    /// Returns the tip of a branch.
    pub fn tip(&self, branch: &str) -> String {
        self.rules().tip(branch).unwrap()
    }
}

impl Rules {
    /// Returns the tip of a branch of the repository or, as `login:branch`, of a fork.
    pub fn tip(&self, branch: &str) -> Option<String> {
        let name = match branch.split_once(':') {
            Some((login, name)) => format!("refs/forks/{login}/{name}"),
            None => format!("refs/heads/{branch}"),
        };
        self.reference(&name)
    }

    /// Returns the object id of a full ref name.
    fn reference(&self, name: &str) -> Option<String> {
        let found = git(
            &self.repository,
            ["for-each-ref", "--format=%(refname) %(objectname)", name],
        );
        found.lines().find_map(|line| {
            let (found, id) = line.split_once(' ')?;
            (found == name).then(|| id.to_owned())
        })
    }

    fn time(&self) -> String {
        jiff::Timestamp::from_second(self.now).unwrap().to_string()
    }

    fn association(&self, login: &str) -> &'static str {
        match self.roles.get(login) {
            Some(&"admin") => "OWNER",
            Some(&"write") => "MEMBER",
            Some(&"read") => "CONTRIBUTOR",
            _ => "NONE",
        }
    }

    fn may(&self, permission: &str, level: &str) -> bool {
        match self.permissions.get(permission) {
            Some(&"write") => true,
            Some(&held) => held == level,
            None => false,
        }
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Copies the tips of branches to the pull requests, and writes `refs/pull/N/head`.
    fn synchronise(&self, state: &mut State) {
        let listed = git(
            &self.repository,
            [
                "for-each-ref",
                "--format=%(refname) %(objectname)",
                "refs/heads",
                "refs/forks",
            ],
        );
        let tips: BTreeMap<&str, &str> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
        for (number, pull) in &mut state.pulls {
            if pull["state"] != "open" {
                continue;
            }
            let branch = pull["head"]["ref"].as_str().unwrap().to_owned();
            let repository = pull["head"]["repo"]["full_name"].as_str().unwrap_or_default();
            let name = match repository.split_once('/') {
                Some((login, _)) if repository != REPOSITORY => format!("refs/forks/{login}/{branch}"),
                _ => format!("refs/heads/{branch}"),
            };
            if let Some(&head) = tips.get(name.as_str()) {
                if pull["head"]["sha"] != head {
                    git(
                        &self.repository,
                        ["update-ref", &format!("refs/pull/{number}/head"), head],
                    );
                }
                pull["head"]["sha"] = head.into();
            }
            let base = format!("refs/heads/{}", text(&pull["base"]["ref"]));
            if let Some(&base) = tips.get(base.as_str()) {
                // GitHub stores the base of the last push to the branch; the tip is what the branch is now.
                pull["base"]["sha"] = base.into();
            }
        }
    }
}

fn refuse(status: u16, message: &str) -> Answer {
    (status, json!({ "message": message }), Vec::new())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn names_token(request: &RecordedRequest) -> bool {
    request.headers.get("authorization").map(String::as_str) == Some(&format!("Bearer {TOKEN}"))
}
