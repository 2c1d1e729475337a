//! A replacement for the API of Kubernetes: discovery, jobs of batch/v1, their pods and logs, with faults on request. A pod is a process
//! of this machine. Each request is checked against Kubernetes' OpenAPI description.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tiny_http::{Method, Request, Response, Server};

use crate::kubernetes_schema::Schema;

/// The namespace of the jobs. It must not be in anything that the program prints.
pub const NAMESPACE: &str = "blue-heron";
/// The token that the API accepts.
pub const TOKEN: &str = "open-sesame";
/// How many requests are answered at once.
const THREADS: usize = 4;
/// The names of the nodes. No rule of the redactor knows them.
pub const NODES: [&str; 2] = ["heliotrope", "chrysanthemum"];

/// What differs from a cluster without faults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// The group of Kueue is missing.
    pub has_no_kueue: bool,
    /// Kueue admits no job.
    pub is_full: bool,
    /// The server refuses to create jobs.
    pub refuses: bool,
    /// The answer to the creation of the job is lost on the way.
    pub loses_answer: bool,
    /// The next watches end with 410: first as a status, then as an event.
    pub expires: u32,
    /// This rank never starts, and the job ends as complete when the other one was ended.
    pub absent: Option<u32>,
    /// The pods are evicted as soon as they all run.
    pub evicts: bool,
    /// Kueue suspends the job again after the pods have started.
    pub preempts: bool,
    /// How many questions for the pods of a deleted job still find them.
    pub lingers: u32,
}

#[derive(Default)]
pub struct State {
    pub faults: Faults,
    /// Method, path with query, and body of each request.
    pub seen: Vec<(String, String, Value)>,
    /// What was wrong with requests.
    pub complaints: Vec<String>,
    /// Jobs by name.
    pub jobs: BTreeMap<String, Value>,
    /// The jobs that were created.
    pub created: Vec<Value>,
    pods: Vec<Pod>,
    /// How often the pods were observed while a rank was absent.
    observed: u32,
    /// The server ends.
    is_over: bool,
    version: u64,
    /// The changes: version, type and object.
    events: Vec<(u64, &'static str, Value)>,
}

struct Pod {
    job: String,
    rank: usize,
    child: Option<Child>,
    lines: Arc<Mutex<Vec<(jiff::Timestamp, String)>>>,
}

/// A running server.
pub struct FakeKubernetes {
    server: Arc<Server>,
    state: Arc<Mutex<State>>,
    address: String,
}

impl FakeKubernetes {
    pub fn new(faults: Faults) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let address = format!("http://{}", server.server_addr());
        let state = Arc::new(Mutex::new(State {
            faults,
            version: 100,
            ..State::default()
        }));
        for _ in 0..THREADS {
            let (server, state) = (Arc::clone(&server), Arc::clone(&state));
            std::thread::spawn(move || {
                for request in server.incoming_requests() {
                    answer(&state, request);
                }
            });
        }
        let of_pods = Arc::clone(&state);
        std::thread::spawn(move || {
            while !of_pods.lock().unwrap().is_over {
                of_pods.lock().unwrap().observe_pods();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        FakeKubernetes {
            server,
            state,
            address,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Returns a kubeconfig for this server.
    pub fn config(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: gates\n\
             contexts: [{{name: gates, context: {{cluster: fake, user: fake, namespace: {NAMESPACE}}}}}]\n\
             clusters: [{{name: fake, cluster: {{server: '{}'}}}}]\nusers: [{{name: fake, user: {{token: {TOKEN}}}}}]\n",
            self.address
        )
    }

    /// Waits until the state is as wanted.
    #[track_caller]
    pub fn wait_until(&self, wanted: impl Fn(&State) -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !wanted(&self.state()) {
            assert!(Instant::now() < until, "the cluster is not as wanted");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for FakeKubernetes {
    fn drop(&mut self) {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        state.is_over = true;
        (0..THREADS).for_each(|_| self.server.unblock());
        for pod in &mut state.pods {
            pod.signal(Signal::KILL);
            if let Some(child) = &mut pod.child {
                let _ = child.wait();
            }
        }
    }
}

impl State {
    /// Returns the requests with this method whose path has this part.
    pub fn requests(&self, method: &str, part: &str) -> usize {
        let fits = |(m, path, _): &&(String, String, Value)| m == method && path.contains(part);
        self.seen.iter().filter(fits).count()
    }

    /// Whether nothing of any job is left.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.pods.is_empty()
    }

    pub fn running(&self) -> usize {
        self.pods.iter().filter(|pod| pod.child.is_some()).count()
    }

    fn changed(&mut self, kind: &'static str, name: &str) {
        self.version += 1;
        let version = self.version;
        let Some(job) = self.jobs.get_mut(name) else {
            return;
        };
        job["metadata"]["resourceVersion"] = version.to_string().into();
        let job = job.clone();
        self.events.push((version, kind, job));
    }

    fn start(&mut self, name: &str) {
        let job = self.jobs[name].clone();
        let ranks = job["spec"]["completions"].as_u64().unwrap() as usize;
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        for rank in 0..ranks {
            let absent = self.faults.absent == Some(u32::try_from(rank).unwrap());
            let lines = Arc::default();
            let child = (!absent).then(|| run(container, rank, &lines));
            self.pods.push(Pod {
                job: name.to_owned(),
                rank,
                child,
                lines,
            });
        }
        let job = self.jobs.get_mut(name).unwrap();
        job["spec"]["suspend"] = false.into();
        job["status"] = json!({"active": ranks});
        self.changed("MODIFIED", name);
    }

    fn end(&mut self, name: &str, kind: &str, reason: &str) {
        for pod in self.pods.iter_mut().filter(|pod| pod.job == name) {
            pod.signal(Signal::TERM);
        }
        if let Some(job) = self.jobs.get_mut(name) {
            job["status"] = json!({"conditions": [{"type": kind, "status": "True", "reason": reason}]});
        }
        self.changed("MODIFIED", name);
    }

    /// Does what the controllers of jobs and queues do.
    fn observe_pods(&mut self) {
        let names: Vec<String> = self.jobs.keys().cloned().collect();
        for name in names {
            let job = &self.jobs[&name];
            let waits = job["spec"]["suspend"] == true;
            let is_begun = self.pods.iter().any(|pod| pod.job == name);
            if !is_begun && !self.faults.is_full {
                self.start(&name);
                continue;
            }
            if waits || !is_begun || job["status"]["conditions"].is_array() {
                continue;
            }
            let ready = self.pods.iter().all(|pod| pod.has_printed("up"));
            if self.faults.evicts && ready {
                self.end(&name, "Failed", "PodFailurePolicy");
            } else if self.faults.preempts && ready {
                for pod in &mut self.pods {
                    pod.signal(Signal::TERM);
                }
                self.jobs.get_mut(&name).unwrap()["spec"]["suspend"] = true.into();
                self.changed("MODIFIED", &name);
            } else if self.faults.absent.is_some() {
                // The other rank waits at the barrier, so it prints nothing.
                self.observed += 1;
                if self.observed > 100 {
                    self.end(&name, "Complete", "");
                }
            } else {
                let codes: Vec<Option<bool>> = self.pods.iter_mut().map(Pod::ended).collect();
                if codes.contains(&Some(false)) {
                    self.end(&name, "Failed", "BackoffLimitExceeded");
                } else if codes.iter().all(|code| *code == Some(true)) {
                    self.end(&name, "Complete", "");
                }
            }
        }
    }

    fn delete(&mut self, name: &str) -> (u16, String) {
        if !self.jobs.contains_key(name) {
            return failure(404, "NotFound");
        }
        for pod in self.pods.iter_mut().filter(|pod| pod.job == name) {
            pod.signal(Signal::TERM);
        }
        self.changed("DELETED", name);
        self.jobs.remove(name);
        (200, json!({"kind": "Status", "status": "Success"}).to_string())
    }

    fn list_pods(&mut self, name: &str) -> Value {
        if !self.jobs.contains_key(name) {
            let has_ended = self.pods.iter_mut().all(|pod| pod.ended().is_some());
            if has_ended && self.faults.lingers == 0 {
                self.pods.retain(|pod| pod.job != name);
            }
            self.faults.lingers = self.faults.lingers.saturating_sub(1);
        }
        let items: Vec<Value> = self
            .pods
            .iter()
            .filter(|pod| pod.job == name)
            .map(|pod| {
                json!({"metadata": {
                    "name": format!("{name}-{}", pod.rank),
                    "annotations": {"batch.kubernetes.io/job-completion-index": pod.rank.to_string()},
                }})
            })
            .collect();
        json!({"kind": "PodList", "metadata": {"resourceVersion": self.version.to_string()}, "items": items})
    }
}

impl Pod {
    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let _ = kill_process_group(Pid::from_child(child), signal);
        }
    }

    /// Whether the process passed; `None` while it runs.
    fn ended(&mut self) -> Option<bool> {
        match &mut self.child {
            Some(child) => child.try_wait().unwrap().map(|status| status.success()),
            None => Some(true),
        }
    }

    fn has_printed(&self, text: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|(_, line)| line == text)
    }
}

/// Starts the process of a pod, with the variables of its manifest.
fn run(container: &Value, rank: usize, lines: &Arc<Mutex<Vec<(jiff::Timestamp, String)>>>) -> Child {
    let words = container["command"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap());
    let mut command = Command::new("bash");
    command.args(["-c", "exec \"$@\" 2>&1", "pod"]).args(words);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("JOB_COMPLETION_INDEX", rank.to_string());
    for variable in container["env"].as_array().unwrap() {
        let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some("spec.nodeName") => NODES[rank].to_owned(),
            Some("status.podIP") => "127.0.0.1".to_owned(),
            Some(other) => panic!("{other}"),
            None => variable["value"].as_str().unwrap().to_owned(),
        };
        command.env(variable["name"].as_str().unwrap(), value);
    }
    let mut child = command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let (output, lines) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(lines));
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            lines.lock().unwrap().push((jiff::Timestamp::now(), line));
        }
    });
    child
}

fn failure(code: u16, reason: &str) -> (u16, String) {
    let message = format!("jobs.batch in namespace {NAMESPACE}: {reason}");
    let status =
        json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message});
    (code, status.to_string())
}

fn answer(state: &Mutex<State>, mut request: Request) {
    let mut text = String::new();
    request.as_reader().read_to_string(&mut text).unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let (method, target) = (request.method().to_string(), request.url().to_owned());
    let authorized = request.headers().iter().any(|header| {
        header.field.equiv("authorization") && header.value.as_str() == format!("Bearer {TOKEN}")
    });
    {
        let mut state = state.lock().unwrap();
        let complaints = Schema::new().complaints(&method, &target, &body);
        state.complaints.extend(complaints);
        state.seen.push((method, target.clone(), body.clone()));
    }
    if !authorized {
        let (code, text) = failure(401, "Unauthorized");
        let _ = request.respond(Response::from_string(text).with_status_code(code));
        return;
    }
    let (code, text) =
        respond(state, request.method(), &target, body).unwrap_or_else(|| failure(404, "NotFound"));
    let _ = request.respond(Response::from_string(text).with_status_code(code));
}

fn respond(state: &Mutex<State>, method: &Method, target: &str, body: Value) -> Option<(u16, String)> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let jobs = format!("/apis/batch/v1/namespaces/{NAMESPACE}/jobs");
    let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    let parameter = |name: &str| {
        query
            .split('&')
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    };
    if parameter("watch").is_some() {
        return Some(watch(
            state,
            parameter("resourceVersion").unwrap().parse().unwrap(),
        ));
    }
    let mut state = state.lock().unwrap();
    let state = &mut *state;
    let ok = |value: Value| Some((200, value.to_string()));
    match (method, path) {
        (Method::Get, "/apis/") => {
            let mut groups = vec![json!({"name": "batch"})];
            if !state.faults.has_no_kueue {
                groups.push(json!({"name": "kueue.x-k8s.io"}));
            }
            ok(json!({"kind": "APIGroupList", "groups": groups}))
        }
        (Method::Get, "/apis/batch/v1/") => {
            let verbs = [
                "create",
                "delete",
                "deletecollection",
                "get",
                "list",
                "patch",
                "update",
                "watch",
            ];
            ok(
                json!({"kind": "APIResourceList", "resources": [{"name": "jobs", "kind": "Job", "verbs": verbs}]}),
            )
        }
        (Method::Post, path) if path == jobs => {
            if state.faults.refuses {
                return Some(failure(403, "Forbidden"));
            }
            let name = body["metadata"]["name"].as_str().unwrap().to_owned();
            let mut job = body;
            job["metadata"]["uid"] = format!("uid-{}", state.created.len()).into();
            state.created.push(job.clone());
            state.jobs.insert(name.clone(), job);
            state.changed("ADDED", &name);
            match std::mem::take(&mut state.faults.loses_answer) {
                true => Some(failure(504, "Timeout")),
                false => Some((201, state.jobs[&name].to_string())),
            }
        }
        (Method::Get, path) if path == jobs => {
            let name = parameter("fieldSelector")
                .unwrap()
                .strip_prefix("metadata.name%3D")
                .unwrap();
            let items: Vec<&Value> = state.jobs.get(name).into_iter().collect();
            ok(
                json!({"kind": "JobList", "metadata": {"resourceVersion": state.version.to_string()}, "items": items}),
            )
        }
        (Method::Get, path) if path == pods => {
            let label = "batch.kubernetes.io%2Fjob-name%3D";
            let name = parameter("labelSelector")
                .unwrap()
                .strip_prefix(label)
                .unwrap()
                .to_owned();
            ok(state.list_pods(&name))
        }
        (Method::Get, path) if path.ends_with("/log") => {
            let name = path
                .strip_prefix(&pods)
                .unwrap()
                .trim_matches('/')
                .trim_end_matches("/log");
            let found = state
                .pods
                .iter()
                .find(|pod| format!("{}-{}", pod.job, pod.rank) == name);
            let Some(pod) = found else {
                return Some(failure(404, "NotFound"));
            };
            let since = parameter("sinceSeconds").map(|s| s.parse::<i64>().unwrap());
            let begin = since.map(|since| jiff::Timestamp::now() - jiff::SignedDuration::from_secs(since));
            let lines = pod.lines.lock().unwrap();
            let lines = lines
                .iter()
                .filter(|(time, _)| begin.is_none_or(|begin| *time >= begin));
            Some((
                200,
                lines.map(|(time, line)| format!("{time} {line}\n")).collect(),
            ))
        }
        (Method::Get, path) => Some(match state.jobs.get(path.strip_prefix(&format!("{jobs}/"))?) {
            Some(job) => (200, job.to_string()),
            None => failure(404, "NotFound"),
        }),
        (Method::Delete, path) => Some(state.delete(path.strip_prefix(&format!("{jobs}/"))?)),
        _ => Some(failure(405, "MethodNotAllowed")),
    }
}

/// Answers a watch: the changes since a version, at the latest after one second.
fn watch(state: &Mutex<State>, since: u64) -> (u16, String) {
    let until = Instant::now() + Duration::from_secs(1);
    loop {
        {
            let mut state = state.lock().unwrap();
            match state.faults.expires {
                0 => {}
                left => {
                    state.faults.expires -= 1;
                    let (code, text) = failure(410, "Expired");
                    let status: Value = serde_json::from_str(&text).unwrap();
                    return match left % 2 {
                        0 => (code, text),
                        _ => (200, json!({"type": "ERROR", "object": status}).to_string()),
                    };
                }
            }
            let events: String = state
                .events
                .iter()
                .filter(|(version, _, _)| *version > since)
                .map(|(_, kind, job)| format!("{}\n", json!({"type": kind, "object": job})))
                .collect();
            if !events.is_empty() || Instant::now() >= until {
                return (200, events);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
