//! A fake GitHub server: issues, pull requests, comments, statuses, with GitHub's paging and error responses, and with faults
//! on request. It records every request. Each connection carries one request, so that a fault can break it anywhere.
#![allow(dead_code, reason = "a fake offers more than each state of the suite uses")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use crate::driver::Call;
use crate::fake_graphql;
use crate::support::digest::sha256;

/// The only repository of the fake.
pub const REPOSITORY: &str = "octo-org/trainer";

/// The token that the fake accepts.
pub const TOKEN: &str = "open-sesame";

/// A received request.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Headers with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body as JSON; null if the body is empty.
    pub body: Value,
}

/// Status, body and headers of a response. An object with the key `raw` is sent as that text.
pub type Answer = (u16, Value, Vec<(&'static str, String)>);

/// Answers a request before the data does. The last argument is the base URL.
pub type Rules = dyn Fn(&RecordedRequest, &mut State, &str) -> Option<Answer> + Send + Sync;

/// A fault in a response.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Responds with this status, message and headers.
    Status(u16, &'static str, Vec<(&'static str, String)>),
    /// Resets the connection before the response.
    Reset,
    /// Executes the request, then resets the connection.
    DoneThenReset,
    /// Sends no response before the client's timeout.
    Silence,
    /// Sends half of the body, then closes the connection.
    Truncated,
    /// Sends the body one byte at a time, with pauses.
    Slow,
    /// Sends HTML with status 200, as a login page would.
    Html,
    /// Redirects to this address.
    Redirect(u16, String),
    /// Sends a body of this many bytes.
    Huge(usize),
    /// Sends bytes that are not HTTP.
    Garbage,
}

/// The data of the fake.
pub struct State {
    /// Issues and the issue side of pull requests, by number.
    pub issues: BTreeMap<u64, Value>,
    /// Pull requests by number.
    pub pulls: BTreeMap<u64, Value>,
    /// Comments in the order of their ids.
    pub comments: Vec<Value>,
    /// Reviews by pull request.
    pub reviews: BTreeMap<u64, Vec<Value>>,
    /// Statuses by commit, newest first.
    pub statuses: BTreeMap<String, Vec<Value>>,
    /// Commit objects by id.
    pub commits: BTreeMap<String, Value>,
    /// Refs without `refs/`, such as `pull/5/merge`, to ids.
    pub refs: BTreeMap<String, String>,
    /// Files by commit and path.
    pub files: BTreeMap<(String, String), String>,
    /// Author and last editor by issue, as GraphQL tells them.
    pub editors: BTreeMap<u64, (String, Option<String>)>,
    /// Edits of descriptions by pull request, oldest first, as GraphQL tells them. The first is the original text.
    pub edits: BTreeMap<u64, Vec<Value>>,
    /// Whether the first edit adds no record of the original text.
    pub forgets_originals: bool,
    /// Role of each known user: `admin`, `write`, `read` or `none`.
    pub roles: BTreeMap<String, &'static str>,
    /// The rules that apply to every branch.
    pub branch_rules: Vec<Value>,
    /// Workflow runs by id.
    pub runs: BTreeMap<u64, Value>,
    /// Artifacts with their contents, oldest first.
    pub artifacts: Vec<(Value, String)>,
    /// Environments with their protection rules.
    pub environments: BTreeMap<String, Value>,
    /// The user of the token. `github-actions[bot]` cannot query its own user.
    pub login: String,
    /// Whether the token may write.
    pub may_write: bool,
    /// The maximum page size, for every request.
    pub page: usize,
    /// Every request so far.
    pub seen: Vec<RecordedRequest>,
    faults: Vec<(String, String, Fault, usize)>,
    /// Called before a response, without the lock, so that a test can change the state.
    #[allow(clippy::type_complexity, reason = "one place")]
    before: Option<Arc<dyn Fn(&RecordedRequest, &mut State) + Send + Sync>>,
    rules: Option<Arc<Rules>>,
    next_id: u64,
}

/// A running fake; it stops when dropped.
pub struct FakeGitHub {
    url: String,
    state: Arc<Mutex<State>>,
    address: std::net::SocketAddr,
}

impl FakeGitHub {
    /// Starts a fake without data.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::empty()));
        let shared = Arc::downgrade(&state);
        let url = format!("http://{address}");
        let base = url.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(state) = shared.upgrade() else { break };
                let base = base.clone();
                std::thread::spawn(move || serve(stream, &state, &base));
            }
        });
        FakeGitHub { url, state, address }
    }

    /// Returns the base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Locks the state, to read or change it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Points the call at this fake and adds a token.
    pub fn serves(&self, call: Call) -> Call {
        call.env("GITHUB_API_URL", &self.url)
            .env("GITHUB_REPOSITORY", REPOSITORY)
            .env("GITHUB_TOKEN", TOKEN)
            .env("NMOE_API_TIMEOUT_S", "2")
            .env("NMOE_API_PATIENCE_S", "4")
    }

    /// Adds an open issue.
    pub fn issue(&self, number: u64, title: &str, body: &str) {
        self.state().issues.insert(
            number,
            json!({"number": number, "title": title, "body": body, "state": "open",
                   "user": {"login": "captain"}, "author_association": "OWNER", "locked": false, "updated_at": "2026-01-01T00:00:00Z"}),
        );
    }

    /// Adds an open pull request of a branch against `master`.
    pub fn pull(&self, number: u64, branch: &str, head: &str, base: &str, body: &str) {
        let mut state = self.state();
        state.refs.insert("heads/master".to_owned(), base.to_owned());
        state.issues.insert(
            number,
            json!({"number": number, "title": "A change", "body": body, "state": "open",
                   "user": {"login": "writer"}, "pull_request": {}, "updated_at": "2026-01-01T00:00:00Z"}),
        );
        state.pulls.insert(
            number,
            json!({"number": number, "title": "A change", "body": body, "state": "open", "draft": false,
                   "merged": false, "mergeable": true, "user": {"login": "writer"},
                   "head": {"ref": branch, "sha": head, "repo": {"full_name": REPOSITORY}},
                   "base": {"ref": "master", "sha": base, "repo": {"full_name": REPOSITORY}}}),
        );
    }

    /// Adds a comment by this user and returns its id.
    pub fn comment(&self, number: u64, login: &str, body: &str) -> u64 {
        self.state().add_comment(number, login, body)["id"]
            .as_u64()
            .unwrap()
    }

    /// Adds a run of tier-b.yml that a person dispatched on `master`, with the workflow of this commit.
    pub fn tier_b_run(&self, id: u64, commit: &str) {
        self.state()
            .add_run(id, "tier-b.yml", "workflow_dispatch", commit, "master");
    }

    /// Uploads the evidence that `publish` left in a folder, as tier-b.yml does with `archive: false`.
    pub fn upload_evidence(&self, run: u64, folder: &std::path::Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            self.state()
                .add_artifact(run, name, &std::fs::read_to_string(&path).unwrap());
            std::fs::remove_file(&path).unwrap();
        }
    }

    /// Returns the comments on a number, oldest first.
    pub fn comments(&self, number: u64) -> Vec<String> {
        self.state()
            .comments
            .iter()
            .filter(|c| c["issue"] == number)
            .map(|c| c["body"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Injects a fault into the next `times` requests with this method (`*`: any) and this prefix of the path.
    pub fn fault(&self, method: &str, path: &str, fault: Fault, times: usize) {
        self.state()
            .faults
            .push((method.to_owned(), path.to_owned(), fault, times));
    }

    /// Removes all faults.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Calls this function before each response.
    pub fn before(&self, hook: impl Fn(&RecordedRequest, &mut State) + Send + Sync + 'static) {
        self.state().before = Some(Arc::new(hook));
    }

    /// Asks these rules first.
    pub fn rules(
        &self,
        rules: impl Fn(&RecordedRequest, &mut State, &str) -> Option<Answer> + Send + Sync + 'static,
    ) {
        self.state().rules = Some(Arc::new(rules));
    }

    /// Returns the requests so far, as `METHOD /path?query`.
    pub fn log(&self) -> Vec<String> {
        self.state()
            .seen
            .iter()
            .map(|s| format!("{} {}", s.method, s.path))
            .collect()
    }

    /// Returns the requests that change data, as `METHOD /path`.
    pub fn writes(&self) -> Vec<String> {
        self.log()
            .into_iter()
            .filter(|line| !line.starts_with("GET ") && !line.contains("/graphql"))
            .collect()
    }
}

impl Drop for FakeGitHub {
    fn drop(&mut self) {
        // Wakes the listener, which exits when the state is gone.
        self.state = Arc::new(Mutex::new(State::empty()));
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl State {
    fn empty() -> Self {
        State {
            issues: BTreeMap::new(),
            pulls: BTreeMap::new(),
            comments: Vec::new(),
            reviews: BTreeMap::new(),
            statuses: BTreeMap::new(),
            commits: BTreeMap::new(),
            refs: BTreeMap::new(),
            files: BTreeMap::new(),
            editors: BTreeMap::new(),
            edits: BTreeMap::new(),
            forgets_originals: false,
            roles: BTreeMap::from([
                ("captain".to_owned(), "admin"),
                ("reviewer".to_owned(), "write"),
                ("another".to_owned(), "write"),
                ("editor".to_owned(), "write"),
                ("writer".to_owned(), "write"),
            ]),
            branch_rules: Vec::new(),
            runs: BTreeMap::new(),
            artifacts: Vec::new(),
            environments: BTreeMap::new(),
            login: "github-actions[bot]".to_owned(),
            may_write: true,
            page: 100,
            seen: Vec::new(),
            faults: Vec::new(),
            before: None,
            rules: None,
            next_id: 1000,
        }
    }

    /// Adds a comment and returns it.
    pub fn add_comment(&mut self, number: u64, login: &str, body: &str) -> Value {
        self.next_id += 1;
        let comment = json!({"id": self.next_id, "issue": number, "body": body, "user": {"login": login},
            "html_url": format!("https://github.example/{REPOSITORY}/pull/{number}#issuecomment-{}", self.next_id)});
        self.comments.push(comment.clone());
        comment
    }

    /// Edits the description of a pull request, and records the edit. The first edit also records the original text.
    pub fn edit(&mut self, number: u64, login: &str, body: &str) {
        let pull = self.pulls.get_mut(&number).unwrap();
        if pull["body"] == body {
            return;
        }
        let author = pull["user"]["login"].as_str().unwrap().to_owned();
        pull["body"] = body.into();
        if let Some(issue) = self.issues.get_mut(&number) {
            issue["body"] = body.into();
        }
        let edits = self.edits.entry(number).or_default();
        let first = (edits.is_empty() && !self.forgets_originals).then_some(author.as_str());
        for (editor, original) in first
            .map(|author| (author, true))
            .into_iter()
            .chain([(login, false)])
        {
            let id = format!("UCE_{number}_{}", edits.len());
            edits.push(json!({"id": id, "editor": actor(editor), "original": original}));
        }
    }

    /// Adds a completed workflow run.
    pub fn add_run(&mut self, id: u64, workflow: &str, event: &str, sha: &str, branch: &str) {
        self.runs.insert(
            id,
            json!({"id": id, "name": workflow, "path": format!(".github/workflows/{workflow}"), "event": event,
                "head_sha": sha, "head_branch": branch, "run_attempt": 1, "status": "completed", "conclusion": "success",
                "actor": {"login": "captain"}, "repository": {"full_name": REPOSITORY}, "created_at": "2026-01-01T00:00:00Z",
                "html_url": format!("https://github.example/{REPOSITORY}/actions/runs/{id}")}),
        );
    }

    /// Adds an artifact of a run and returns its id. GitHub's digest is that of the uploaded bytes.
    pub fn add_artifact(&mut self, run: u64, name: &str, content: &str) -> u64 {
        self.next_id += 1;
        let artifact = json!({"id": self.next_id, "name": name, "size_in_bytes": content.len(), "expired": false,
            "digest": format!("sha256:{}", sha256(content)), "created_at": "2026-01-01T00:00:00Z", "workflow_run": {"id": run}});
        self.artifacts.push((artifact, content.to_owned()));
        self.next_id
    }

    fn fault_for(&mut self, method: &str, path: &str) -> Option<Fault> {
        let found = self.faults.iter_mut().find(|(m, p, _, times)| {
            *times > 0 && (m == "*" || m == method) && path.starts_with(p.as_str())
        })?;
        found.3 -= 1;
        Some(found.2.clone())
    }

    /// Answers a request from the data.
    pub fn answer(&mut self, seen: &RecordedRequest, base: &str) -> Answer {
        let refuse = |status: u16, says: &str| (status, json!({"message": says}), Vec::new());
        let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
        let token = seen.headers.get("authorization").map(String::as_str);
        if token.is_some_and(|t| t != format!("Bearer {TOKEN}")) {
            return refuse(401, "Bad credentials");
        }
        if path == "/user" {
            return if self.login.ends_with("[bot]") {
                refuse(403, "Resource not accessible by integration")
            } else {
                (200, json!({"login": self.login}), Vec::new())
            };
        }
        if path == "/graphql" {
            return (
                200,
                fake_graphql::execute(&mut |_, _| Value::Null, self, &seen.body),
                Vec::new(),
            );
        }
        let Some(rest) = path.strip_prefix(&format!("/repos/{REPOSITORY}/")) else {
            return refuse(404, "Not Found");
        };
        if seen.method != "GET" && (token.is_none() || !self.may_write) {
            return (
                403,
                json!({"message": "Resource not accessible by integration"}),
                vec![(
                    "x-accepted-github-permissions",
                    "issues=write; pull_requests=write".to_owned(),
                )],
            );
        }
        let parts: Vec<&str> = rest.split('/').collect();
        let number = |text: &str| text.parse::<u64>().unwrap_or(0);
        let one = |found: Option<&Value>| {
            found.map_or_else(|| refuse(404, "Not Found"), |v| (200, v.clone(), Vec::new()))
        };
        match (seen.method.as_str(), parts.as_slice()) {
            ("GET", ["issues"]) => self.page(selected(&self.issues, query), path, query, base),
            ("GET", ["collaborators", login, "permission"]) => match self.roles.get(*login) {
                Some(role) => (200, json!({"permission": role, "role_name": role}), Vec::new()),
                None => refuse(404, "Not Found"),
            },
            ("GET", ["rules", "branches", _]) => self.page(self.branch_rules.clone(), path, query, base),
            ("GET", ["environments", name]) => one(self.environments.get(*name)),
            ("GET", ["issues", n]) => one(self.issues.get(&number(n))),
            ("GET", ["pulls"]) => {
                let mut all = selected(&self.pulls, query);
                for entry in all.iter_mut().filter_map(Value::as_object_mut) {
                    entry.remove("mergeable");
                    entry.remove("merged");
                }
                self.page(all, path, query, base)
            }
            ("GET", ["pulls", n]) => one(self.pulls.get(&number(n))),
            ("PATCH", ["pulls", n]) => {
                let n = number(n);
                if !self.pulls.contains_key(&n) {
                    return refuse(404, "Not Found");
                }
                let login = self.login.clone();
                self.edit(n, &login, seen.body["body"].as_str().unwrap_or_default());
                (200, self.pulls[&n].clone(), Vec::new())
            }
            ("GET", ["pulls", n, "reviews"]) => self.page(
                self.reviews.get(&number(n)).cloned().unwrap_or_default(),
                path,
                query,
                base,
            ),
            ("GET", ["issues", n, "comments"]) => {
                let n = number(n);
                let all = self
                    .comments
                    .iter()
                    .filter(|c| c["issue"] == n)
                    .cloned()
                    .collect();
                self.page(all, path, query, base)
            }
            ("POST", ["issues", n, "comments"]) => {
                let n = number(n);
                let text = seen.body["body"].as_str().unwrap_or_default().to_owned();
                if !self.issues.contains_key(&n) {
                    return refuse(404, "Not Found");
                }
                if text.is_empty() || text.chars().count() > 65_536 {
                    return refuse(422, "Validation Failed");
                }
                let login = self.login.clone();
                (201, self.add_comment(n, &login, &text), Vec::new())
            }
            ("PATCH", ["issues", "comments", n]) => {
                let n = number(n);
                match self.comments.iter_mut().find(|c| c["id"] == n) {
                    None => refuse(404, "Not Found"),
                    Some(comment) => {
                        comment["body"] = seen.body["body"].clone();
                        (200, comment.clone(), Vec::new())
                    }
                }
            }
            ("DELETE", ["issues", "comments", n]) => {
                let n = number(n);
                let before = self.comments.len();
                self.comments.retain(|c| c["id"] != n);
                if self.comments.len() == before {
                    refuse(404, "Not Found")
                } else {
                    (204, Value::Null, Vec::new())
                }
            }
            ("POST", ["statuses", sha]) => {
                let mut status = seen.body.clone();
                status["creator"] = json!({"login": self.login});
                status["created_at"] = jiff::Timestamp::now().to_string().into();
                let statuses = self.statuses.entry((*sha).to_owned()).or_default();
                statuses.insert(0, status.clone());
                (201, status, Vec::new())
            }
            ("GET", ["commits", sha, "statuses"]) => self.page(
                self.statuses.get(*sha).cloned().unwrap_or_default(),
                path,
                query,
                base,
            ),
            ("GET", ["actions", "runs", n]) => one(self.runs.get(&number(n))),
            ("GET", ["actions", "runs", n, "artifacts"]) => {
                let name = query.split('&').find_map(|pair| pair.strip_prefix("name="));
                let of_run = |artifact: &&Value| {
                    artifact["workflow_run"]["id"] == number(n)
                        && name.is_none_or(|name| artifact["name"] == name)
                };
                let newest = self.artifacts.iter().rev().map(|(artifact, _)| artifact);
                let all = newest.filter(of_run).cloned().collect();
                self.page_of("artifacts", all, path, query, base)
            }
            ("GET", ["contents", ..]) => {
                let commit = query.strip_prefix("ref=").unwrap_or_default().to_owned();
                match self.files.get(&(commit, parts[1..].join("/"))) {
                    None => refuse(404, "Not Found"),
                    Some(text) => (200, json!({ "raw": text }), Vec::new()),
                }
            }
            ("GET", ["git", "commits", sha]) => one(self.commits.get(*sha)),
            ("GET", ["git", "ref", ..]) => {
                let name = parts[2..].join("/");
                match self.refs.get(&name) {
                    None => refuse(404, "Not Found"),
                    Some(sha) => (
                        200,
                        json!({"ref": format!("refs/{name}"), "object": {"sha": sha, "type": "commit"}}),
                        Vec::new(),
                    ),
                }
            }
            _ => refuse(404, "Not Found"),
        }
    }

    /// Returns one page of a list that GitHub wraps in an object with this key.
    pub fn page_of(&self, key: &str, all: Vec<Value>, path: &str, query: &str, base: &str) -> Answer {
        let total = all.len();
        let (status, page, headers) = self.page(all, path, query, base);
        (status, json!({"total_count": total, key: page}), headers)
    }

    /// Returns one page, with GitHub's `Link` header.
    fn page(&self, all: Vec<Value>, path: &str, query: &str, base: &str) -> Answer {
        let parameter = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<usize>().ok())
        };
        let size = parameter("per_page").unwrap_or(30).min(100).min(self.page);
        let page = parameter("page").unwrap_or(1).max(1);
        let others: Vec<&str> = query.split('&').filter(|p| !p.starts_with("page=")).collect();
        let link = |n: usize| format!("<{base}{path}?{}&page={n}>", others.join("&"));
        let last = all.len().div_ceil(size).max(1);
        let mut links = Vec::new();
        if page < last {
            links.push(format!(
                "{}; rel=\"next\", {}; rel=\"last\"",
                link(page + 1),
                link(last)
            ));
        }
        if page > 1 {
            links.push(format!(
                "{}; rel=\"prev\", {}; rel=\"first\"",
                link(page - 1),
                link(1)
            ));
        }
        let entries: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
        let headers = if links.is_empty() {
            Vec::new()
        } else {
            vec![("link", links.join(", "))]
        };
        (200, Value::Array(entries), headers)
    }
}

/// Returns a user as GraphQL does: it leaves out the `[bot]` of an app.
pub fn actor(login: &str) -> Value {
    match login.strip_suffix("[bot]") {
        Some(app) => json!({"login": app, "__typename": "Bot"}),
        None => json!({"login": login, "__typename": "User"}),
    }
}

/// Returns the entries of a list that a query selects, in its order: open ones, newest first, unless it asks for others.
fn selected(all: &BTreeMap<u64, Value>, query: &str) -> Vec<Value> {
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let state = parameter("state").unwrap_or("open");
    let branch = parameter("base");
    let mut found: Vec<Value> = all
        .values()
        .filter(|entry| state == "all" || entry["state"] == state)
        .filter(|entry| branch.is_none_or(|name| entry["base"]["ref"] == name))
        .cloned()
        .collect();
    if parameter("direction") != Some("asc") {
        found.reverse();
    }
    found
}

fn read(stream: &TcpStream) -> Option<RecordedRequest> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(RecordedRequest {
        method,
        path,
        headers,
        body,
    })
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, base: &str) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let Some(seen) = read(&stream) else { return };
    let (fault, (status, body, headers)) = {
        let mut state = state.lock().unwrap();
        state.seen.push(seen.clone());
        if let Some(hook) = state.before.clone() {
            hook(&seen, &mut state);
        }
        let fault = state.fault_for(&seen.method, &seen.path);
        match &fault {
            None | Some(Fault::DoneThenReset | Fault::Truncated | Fault::Slow) => {
                let rules = state.rules.clone();
                let ruled = rules.and_then(|rules| rules(&seen, &mut state, base));
                let answer = ruled.unwrap_or_else(|| state.answer(&seen, base));
                (fault, answer)
            }
            Some(Fault::Status(status, says, headers)) => {
                let answer = (*status, json!({ "message": says }), headers.clone());
                (None, answer)
            }
            Some(_) => (fault, (200, Value::Null, Vec::new())),
        }
    };
    let text = match &body {
        Value::Null => String::new(),
        Value::Object(file) if file.contains_key("raw") => {
            file["raw"].as_str().unwrap_or_default().to_owned()
        }
        other => other.to_string(),
    };
    let head = |status: u16, kind: &str, length: usize, headers: &[(&str, String)]| {
        let mut head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n"
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head + "\r\n"
    };
    let json = "application/json; charset=utf-8";
    // The client may have closed the connection; the test checks that.
    let _ = match fault {
        None => stream.write_all((head(status, json, text.len(), &headers) + &text).as_bytes()),
        Some(Fault::Truncated) => {
            stream.write_all((head(status, json, text.len(), &headers) + &text[..text.len() / 2]).as_bytes())
        }
        Some(Fault::Slow) => {
            let mut sent = stream.write_all(head(status, json, text.len(), &headers).as_bytes());
            for byte in text.bytes() {
                if sent.is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(200));
                sent = stream.write_all(&[byte]);
            }
            sent
        }
        Some(Fault::Html) => {
            let page = "<html>sign in</html>";
            stream.write_all((head(200, "text/html", page.len(), &[]) + page).as_bytes())
        }
        Some(Fault::Redirect(status, to)) => {
            stream.write_all(head(status, json, 0, &[("location", to)]).as_bytes())
        }
        Some(Fault::Huge(bytes)) => stream
            .write_all(head(200, json, bytes, &[]).as_bytes())
            .and_then(|()| stream.write_all(&vec![b' '; bytes])),
        Some(Fault::Garbage) => stream.write_all(b"SSH-2.0-nonsense\r\n\r\n"),
        Some(Fault::Silence) => {
            // Until the client gives up and closes the connection.
            let mut rest = [0; 1];
            let _ = stream.read(&mut rest);
            Ok(())
        }
        Some(Fault::Reset | Fault::DoneThenReset) => {
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
            Ok(())
        }
        Some(Fault::Status(..)) => Ok(()),
    };
}
