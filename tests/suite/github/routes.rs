//! The answers of the rules. A request that no rule concerns is answered by [`crate::fake_github`] from its data.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{DEFAULT_BRANCH, Rules, names_token, refuse, text};
use crate::fake_github::{Answer, REPOSITORY, RecordedRequest, State};
use crate::fake_graphql;
use crate::support::digest::sha256;

/// Most statuses of a commit and context.
const STATUSES: usize = 1000;

/// Answers a request, by the rules or else from the data. Each answer to a GET has an `ETag`.
pub(super) fn answer(rules: &mut Rules, request: &RecordedRequest, state: &mut State, base: &str) -> Answer {
    let answer = by_rule(rules, request, state, base).unwrap_or_else(|| state.answer(request, base));
    match (request.method.as_str(), answer.0) {
        ("GET", 200) => rules.conditional(request, answer),
        _ => answer,
    }
}

/// Answers a request; `None` leaves it to the data.
fn by_rule(rules: &mut Rules, request: &RecordedRequest, state: &mut State, base: &str) -> Option<Answer> {
    rules.synchronise(state);
    if let Some(refused) = rules.limited(request) {
        return Some(refused);
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    if let Some(id) = path.strip_prefix("/blobs/") {
        // The storage of artifacts refuses the token of the API.
        let id = id.parse::<u64>().unwrap_or(0);
        let mut all = state.artifacts.iter();
        let found = all.find(|(artifact, _)| artifact["id"] == id);
        return Some(match found.map(|(_, content)| content) {
            Some(content) if !request.headers.contains_key("authorization") => {
                (200, json!({ "raw": content }), Vec::new())
            }
            _ => refuse(403, "Server failed to authenticate the request"),
        });
    }
    if !names_token(request) {
        return None;
    }
    if path == "/graphql" {
        return Some((
            200,
            fake_graphql::execute(&mut |n, state| rules.mergeable(n, state).0, state, &request.body),
            Vec::new(),
        ));
    }
    let rest = path.strip_prefix(&format!("/repos/{REPOSITORY}"))?;
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    if let Some(refused) = rules.forbidden(&request.method, &parts) {
        return Some(refused);
    }
    let number = |word: &str| word.parse::<u64>().unwrap_or(0);
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", []) => Some((
            200,
            json!({"full_name": REPOSITORY, "default_branch": DEFAULT_BRANCH}),
            Vec::new(),
        )),
        ("GET", ["pulls", n]) => {
            let n = number(n);
            let mut pull = state.pulls.get(&n)?.clone();
            if pull["state"] == "open" {
                let (mergeable, commit) = rules.mergeable(n, state);
                pull["mergeable"] = mergeable;
                pull["merge_commit_sha"] = commit;
            }
            Some((200, pull, Vec::new()))
        }
        ("PUT", ["pulls", n, "merge"]) => Some(rules.merge_pull(number(n), &request.body, state)),
        ("PUT", ["pulls", n, "update-branch"]) => Some(rules.update_branch(number(n), &request.body, state)),
        ("GET", ["collaborators", login, "permission"]) => {
            let role = rules.roles.get(*login).copied().unwrap_or("read");
            Some((
                200,
                json!({"permission": role, "role_name": role, "user": {"login": login}}),
                Vec::new(),
            ))
        }
        ("POST", ["issues", n, "comments"]) => {
            let n = number(n);
            if rules.deleted.contains(&n) {
                return Some(refuse(410, "This issue was deleted"));
            }
            let writer = rules
                .roles
                .get(&state.login)
                .is_some_and(|role| ["admin", "write"].contains(role));
            let locked = state.issues.get(&n).is_some_and(|issue| issue["locked"] == true);
            (locked && !writer).then(|| refuse(403, "Unable to create comment because issue is locked."))
        }
        ("GET", ["issues", n]) if rules.deleted.contains(&number(n)) => {
            Some(refuse(410, "This issue was deleted"))
        }
        ("POST", ["statuses", sha]) => Some(rules.add_status(sha, &request.body, state)),
        ("GET", ["git", "ref", ..]) => {
            let name = format!("refs/{}", parts[2..].join("/"));
            Some(match rules.reference(&name) {
                Some(sha) => (
                    200,
                    json!({"ref": name, "object": {"sha": sha, "type": "commit"}}),
                    Vec::new(),
                ),
                None => refuse(404, "Not Found"),
            })
        }
        ("GET", ["git", "commits", sha]) => Some(rules.commit_object(sha)),
        ("GET", ["contents", ..]) => Some(rules.contents(&parts[1..].join("/"), query)),
        ("GET", ["actions", "runs"]) => {
            let all = Rules::select_runs(state, None, query);
            Some(state.page_of("workflow_runs", all, path, query, base))
        }
        ("GET", ["actions", "workflows", file, "runs"]) => {
            let all = Rules::select_runs(state, Some(file), query);
            Some(state.page_of("workflow_runs", all, path, query, base))
        }
        ("GET", ["actions", "artifacts"]) => {
            let newest = state.artifacts.iter().rev().map(|(artifact, _)| artifact.clone());
            let all = newest.collect();
            Some(state.page_of("artifacts", all, path, query, base))
        }
        ("GET", ["actions", "artifacts", id, "zip"]) => {
            let to = format!("{base}/blobs/{id}");
            Some((302, Value::Null, vec![("location", to)]))
        }
        ("POST", ["actions", "workflows", file, "dispatches"]) => {
            Some(rules.dispatch(file, &request.body, state))
        }
        _ => None,
    }
}

impl Rules {
    /// Answers 304 if the client has this value already.
    fn conditional(&mut self, request: &RecordedRequest, answer: Answer) -> Answer {
        let (_, value, mut headers) = answer;
        let tag = format!("\"{}\"", sha256(format!("{value}{headers:?}")));
        let has = request
            .headers
            .get("if-none-match")
            .is_some_and(|known| known.trim_start_matches("W/") == tag);
        if has {
            self.used = self.used.saturating_sub(1);
            return (304, Value::Null, vec![("etag", tag)]);
        }
        headers.push(("etag", tag));
        (200, value, headers)
    }

    fn limited(&mut self, request: &RecordedRequest) -> Option<Answer> {
        self.used += 1;
        if let Some(hourly) = self.hourly
            && self.used > hourly
        {
            let reset = self.now + 3600;
            let headers = vec![
                ("x-ratelimit-limit", hourly.to_string()),
                ("x-ratelimit-remaining", "0".to_owned()),
                ("x-ratelimit-reset", reset.to_string()),
            ];
            return Some((
                403,
                json!({"message": "API rate limit exceeded for installation."}),
                headers,
            ));
        }
        let reads = request.method == "GET" || request.path == "/graphql";
        if let (Some(most), false) = (self.content, reads) {
            let now = Instant::now();
            self.written
                .retain(|at| now.duration_since(*at) < Duration::from_secs(60));
            if self.written.len() >= most {
                let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
                return Some((
                    403,
                    json!({ "message": message }),
                    vec![("retry-after", "60".to_owned())],
                ));
            }
            self.written.push(now);
        }
        None
    }

    /// Refuses a request for which the token lacks a permission.
    fn forbidden(&self, method: &str, parts: &[&str]) -> Option<Answer> {
        let level = if method == "GET" { "read" } else { "write" };
        let needed: &[&str] = match parts {
            ["issues", ..] => &["issues", "pull_requests"],
            ["pulls", _, "merge"] | ["contents", ..] | ["git", ..] => &["contents"],
            ["pulls", ..] => &["pull_requests"],
            ["statuses", ..] | ["commits", _, "statuses" | "status"] => &["statuses"],
            ["actions", ..] => &["actions"],
            _ => return None,
        };
        if needed.iter().any(|permission| self.may(permission, level)) {
            return None;
        }
        let accepted: Vec<String> = needed.iter().map(|p| format!("{p}={level}")).collect();
        let headers = vec![("x-accepted-github-permissions", accepted.join("; "))];
        Some((
            403,
            json!({"message": "Resource not accessible by integration"}),
            headers,
        ))
    }

    fn add_status(&mut self, sha: &str, body: &Value, state: &mut State) -> Answer {
        if self.object(sha).is_none() {
            return refuse(422, &format!("No commit found for SHA: {sha}"));
        }
        if !["error", "failure", "pending", "success"].contains(&text(&body["state"]))
            || text(&body["description"]).chars().count() > 140
        {
            return refuse(422, "Validation Failed");
        }
        let statuses = state.statuses.entry(sha.to_owned()).or_default();
        let context = body.get("context").cloned().unwrap_or_else(|| json!("default"));
        if statuses.iter().filter(|s| s["context"] == context).count() >= STATUSES {
            return refuse(
                422,
                "This SHA and context has reached the maximum number of statuses.",
            );
        }
        let mut status = body.clone();
        status["context"] = context;
        status["id"] = self.next.into();
        status["created_at"] = jiff::Timestamp::from_second(self.now).unwrap().to_string().into();
        status["creator"] = json!({"login": state.login});
        self.next += 1;
        statuses.insert(0, status.clone());
        (201, status, Vec::new())
    }

    fn commit_object(&self, sha: &str) -> Answer {
        let Some(raw) = self.object(sha) else {
            return refuse(404, "Not Found");
        };
        let all = |name: &str| -> Vec<Value> {
            let head = raw.split("\n\n").next().unwrap_or_default();
            let lines = head
                .lines()
                .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            lines.map(|id| json!({ "sha": id })).collect()
        };
        let message = raw
            .split_once("\n\n")
            .map_or("", |(_, message)| message)
            .trim_end();
        (
            200,
            json!({"sha": sha, "tree": all("tree")[0], "parents": all("parent"), "message": message}),
            Vec::new(),
        )
    }

    fn object(&self, sha: &str) -> Option<String> {
        let out = std::process::Command::new("git")
            .args(["cat-file", "commit", sha])
            .current_dir(&self.repository)
            .output()
            .unwrap();
        out.status
            .success()
            .then(|| String::from_utf8(out.stdout).unwrap())
    }

    fn contents(&self, path: &str, query: &str) -> Answer {
        let at = query.strip_prefix("ref=").unwrap_or(DEFAULT_BRANCH);
        let out = std::process::Command::new("git")
            .args(["cat-file", "blob", &format!("{at}:{path}")])
            .current_dir(&self.repository)
            .output()
            .unwrap();
        if !out.status.success() {
            return refuse(404, "Not Found");
        }
        (
            200,
            json!({"raw": String::from_utf8(out.stdout).unwrap()}),
            Vec::new(),
        )
    }
}
