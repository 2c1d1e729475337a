//! Tests gates of two nodes through a replacement for the API of Kubernetes, which checks every request against the OpenAPI description.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process};
use serde_json::Value;

use crate::fake_kubernetes::{FakeKubernetes, Faults, NAMESPACE, NODES};
use crate::run_fixture::{Run, RunFixture};

/// A checkout with one gate of two pods, and a cluster.
struct Cluster {
    fixture: RunFixture,
    api: FakeKubernetes,
}

impl Cluster {
    fn new(cmd: &str, faults: Faults) -> Self {
        Cluster::with(cmd, faults, "")
    }

    /// Creates a cluster, with more keys of the pods.
    fn with(cmd: &str, faults: Faults, keys: &str) -> Self {
        let fixture = RunFixture::new();
        let mount = fixture.sandbox.path("");
        // Pods do not run as root, and the processes that replace them have the user of the test.
        let user = if getuid().is_root() { "user = 1000" } else { "" };
        let image = format!("example.org/gates@sha256:{}", "a".repeat(64));
        fixture
            .raw(&format!(
                "[executor.pods]\nkind = \"kubernetes\"\npoll_s = 1\n[executor.pods.kubernetes]\nimage = \"{image}\"\n\
                 claim = \"checkouts\"\nmount = \"{}\"\n{user}\n{keys}\n",
                mount.display().to_string().trim_end_matches('/')
            ))
            .gate_with(
                "cpu:job",
                cmd,
                "nodes = 2\nexecutor = \"pods\"\ntimeout_s = 60\nenv = [\"LANG\"]\nmetrics = [{ name = \"step\" }, { name = \"tps\", reduce = \"sum\" }]",
            );
        let cluster = Cluster {
            fixture,
            api: FakeKubernetes::new(faults),
        };
        let sandbox = &cluster.fixture.sandbox;
        std::fs::write(sandbox.path("home/kubeconfig"), cluster.api.config()).unwrap();
        sandbox.git(["init", "-q"]);
        cluster.commit();
        cluster
    }

    fn commit(&self) {
        self.fixture.sandbox.git(["add", "-A"]);
        self.fixture.sandbox.git(["commit", "-qm", "Change"]);
    }

    fn environment(&self) -> [(&'static str, String); 3] {
        let config = self.fixture.sandbox.path("home/kubeconfig");
        [
            ("KUBECONFIG", config.to_str().unwrap().to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("GITHUB_TOKEN", "ghp_forbidden".to_owned()),
        ]
    }

    /// Runs the gate, and checks what holds for every run: valid requests, nothing left, and no name of the site.
    #[track_caller]
    fn run(&self, code: i32) -> Run {
        let run = self.fixture.run_with(&["--gate", "cpu:job"], &self.environment());
        self.is_clean();
        let journal = std::fs::read_to_string(self.fixture.results().with_extension("json.journal")).unwrap();
        let everything = format!("{}{}{}{journal}", run.results, run.out.stdout, run.out.stderr);
        for name in [NAMESPACE, NODES[0], NODES[1]] {
            assert!(!everything.contains(name), "{everything}");
        }
        run.exits(code).prints("job: ")
    }

    #[track_caller]
    fn is_clean(&self) {
        let state = self.api.state();
        assert_eq!(state.complaints, Vec::<String>::new());
        assert!(state.is_empty(), "{:#?}", state.seen);
    }

    /// Starts the gate without waiting for its end.
    fn start(&self, more: &[&str]) -> Child {
        let results = self.fixture.results();
        let words = ["run", "--gate", "cpu:job", "--results", results.to_str().unwrap()];
        let mut call = self.fixture.call(&[&words, more].concat());
        for (name, value) in self.environment() {
            call = call.env(name, value);
        }
        let mut command = call.into_command();
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn gate(&self) -> Value {
        let results: Value = serde_json::from_slice(&std::fs::read(self.fixture.results()).unwrap()).unwrap();
        results["results"]["cpu:job"].clone()
    }
}

#[track_caller]
fn reason(run: &Run, status: &str, reason: &str) {
    let gate = run.gate("cpu:job");
    assert_eq!(
        (&gate["status"], &gate["reason"]),
        (&status.into(), &reason.into()),
        "{gate:#}"
    );
}

#[test]
fn slow_two_pods_prove_one_gate() {
    let cmd = "echo \"rank $NMOE_NODE_RANK of $NMOE_NODES at $NMOE_MASTER_ADDR\"; names=(heliotrope chrysanthemum)\n\
         echo \"peer ${names[1 - NMOE_NODE_RANK]}\"; for n in 1 2 3; do echo \"step: $n tps: $((n + NMOE_NODE_RANK * 10))\"; done; sleep 2";
    let cluster = Cluster::new(
        cmd,
        Faults {
            lingers: 2,
            ..Faults::default()
        },
    );
    let run = cluster
        .run(0)
        .prints("1: peer [host]\n")
        .prints("0: rank 0 of 2 at ");
    let gate = run.gate("cpu:job");
    assert_eq!(gate["status"], "pass", "{gate:#}");
    assert_eq!(gate["ranks"].as_array().unwrap().len(), 2);
    assert_ne!(gate["ranks"][0]["node"], gate["ranks"][1]["node"]);
    assert_eq!(
        gate["metrics"]["tps"]["samples"],
        serde_json::json!([12.0, 14.0, 16.0])
    );
    let digest = format!("sha256:{}", "a".repeat(64));
    assert_eq!(gate["image"], digest.as_str(), "{gate:#}");
    assert_eq!(
        run.out.stdout.matches("peer [host]").count(),
        2,
        "{}",
        run.out.stdout
    );
    let state = cluster.api.state();
    let job = &state.created[0];
    let (spec, pod) = (&job["spec"], &job["spec"]["template"]["spec"]);
    let fields: [(&Value, Value); 12] = [
        (&spec["completionMode"], "Indexed".into()),
        (&spec["completions"], 2.into()),
        (&spec["parallelism"], 2.into()),
        (&spec["backoffLimit"], 0.into()),
        (&spec["suspend"], false.into()),
        (&spec["activeDeadlineSeconds"], (60 + 180 + 86_400).into()),
        (&pod["restartPolicy"], "Never".into()),
        (&pod["automountServiceAccountToken"], false.into()),
        (&pod["hostNetwork"], false.into()),
        (&pod["securityContext"]["runAsNonRoot"], true.into()),
        (
            &pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"],
            false.into(),
        ),
        (
            &pod["volumes"][0]["persistentVolumeClaim"]["claimName"],
            "checkouts".into(),
        ),
    ];
    for (found, wanted) in fields {
        assert_eq!(*found, wanted, "{job:#}");
    }
    let text = job.to_string();
    assert!(
        text.contains("C.UTF-8") && !text.contains("ghp_forbidden"),
        "{job:#}"
    );
    // Discovery, one list, and then watches.
    assert!(state.seen.iter().any(|(_, path, _)| path == "/apis/batch/v1/"));
    assert_eq!(state.requests("POST", "fieldValidation=Strict"), 1);
    assert!(state.requests("GET", "watch=true") > 0);
    let lists = state.requests("GET", "jobs?fieldSelector") - state.requests("GET", "watch=true");
    assert_eq!(lists, 1);
}

#[test]
fn queue_of_kueue_starts_suspended_job() {
    let cluster = Cluster::with(
        "true",
        Faults::default(),
        "queue = \"gates\"\ncpu = \"2\"\nmemory = \"4Gi\"",
    );
    reason_of_pass(&cluster.run(0));
    let state = cluster.api.state();
    let job = &state.created[0];
    assert_eq!(job["spec"]["suspend"], true);
    assert_eq!(job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], "gates");
    let limits = &job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"];
    assert_eq!(*limits, serde_json::json!({"cpu": "2", "memory": "4Gi"}));
}

#[track_caller]
fn reason_of_pass(run: &Run) {
    assert_eq!(run.gate("cpu:job")["status"], "pass", "{:#}", run.results);
}

#[test]
fn cluster_without_kueue_refuses_queue() {
    let faults = Faults {
        has_no_kueue: true,
        ..Faults::default()
    };
    let cluster = Cluster::with("true", faults, "queue = \"gates\"");
    let run = cluster.run(3).prints("the cluster has no Kueue");
    reason(&run, "invalid", "job_refused");
    assert_eq!(cluster.api.state().created.len(), 0);
}

#[test]
fn slow_expired_watch_is_followed_by_list() {
    let cluster = Cluster::new(
        "sleep 3",
        Faults {
            expires: 2,
            ..Faults::default()
        },
    );
    reason_of_pass(&cluster.run(0));
    let state = cluster.api.state();
    let watches = state.requests("GET", "watch=true");
    assert_eq!(
        state.requests("GET", "jobs?fieldSelector") - watches,
        3,
        "one list before, and one after each 410"
    );
}

#[test]
fn failed_pod_fails_gate() {
    let cluster = Cluster::new("exit $((NMOE_NODE_RANK * 3))", Faults::default());
    let run = cluster.run(1);
    reason(&run, "fail", "exit_code");
    assert_eq!(run.gate("cpu:job")["rc"], 3);
}

#[test]
fn slow_job_without_one_pod_is_invalid() {
    let cluster = Cluster::new(
        "true",
        Faults {
            absent: Some(1),
            ..Faults::default()
        },
    );
    let run = cluster.run(3);
    reason(&run, "invalid", "rank_missing");
    assert_eq!(run.gate("cpu:job")["ranks"][1]["status"], "not_run");
}

#[test]
fn slow_evicted_or_preempted_job_is_lost() {
    for faults in [
        Faults {
            evicts: true,
            ..Faults::default()
        },
        Faults {
            preempts: true,
            ..Faults::default()
        },
    ] {
        let cluster = Cluster::new("echo up; sleep 50", faults.clone());
        let run = cluster.run(3);
        reason(&run, "invalid", "job_lost");
    }
}

#[test]
fn refused_job_keeps_message_of_server() {
    let cluster = Cluster::new(
        "true",
        Faults {
            refuses: true,
            ..Faults::default()
        },
    );
    let run = cluster.run(3).prints("the API server answered 403 (Forbidden)");
    reason(&run, "invalid", "job_refused");
    let folder = std::fs::read_dir(cluster.fixture.sandbox.path("home/results.json.jobs"))
        .unwrap()
        .next();
    let log = std::fs::read_to_string(folder.unwrap().unwrap().path().join("job.log")).unwrap();
    assert!(log.contains(NAMESPACE), "{log}");
    assert_eq!(cluster.api.state().requests("DELETE", "jobs"), 0);
}

#[test]
fn lost_answer_leaves_no_job() {
    let cluster = Cluster::new(
        "sleep 50",
        Faults {
            loses_answer: true,
            ..Faults::default()
        },
    );
    let run = cluster.run(3);
    reason(&run, "invalid", "job_refused");
    let state = cluster.api.state();
    assert_eq!((state.created.len(), state.requests("POST", "jobs")), (1, 1));
}

#[test]
fn slow_stopped_run_deletes_job_and_waits() {
    // In the queue, and while the gate runs.
    for (faults, running) in [
        (
            Faults {
                is_full: true,
                ..Faults::default()
            },
            0,
        ),
        (
            Faults {
                lingers: 2,
                ..Faults::default()
            },
            2,
        ),
    ] {
        let cluster = Cluster::new("echo up; sleep 50", faults);
        let mut run = cluster.start(&[]);
        cluster
            .api
            .wait_until(|state| state.created.len() == 1 && state.running() == running);
        if running > 0 {
            let started = cluster.fixture.sandbox.path("home/results.json.journal");
            wait_for(|| std::fs::read_to_string(&started).is_ok_and(|text| text.contains("job_submitted")));
        }
        kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(143));
        cluster.is_clean();
        let gate = cluster.gate();
        assert_eq!(gate["status"], "cancelled", "{gate:#}");
    }
}

#[test]
fn slow_next_run_deletes_job_of_killed_run() {
    let cluster = Cluster::new("test -e ../home/go || sleep 50", Faults::default());
    let mut run = cluster.start(&[]);
    cluster.api.wait_until(|state| state.running() == 2);
    let children = format!("/proc/{0}/task/{0}/children", run.id());
    let worker = std::fs::read_to_string(children).unwrap();
    // The supervisor cannot cancel the job, because it dies first.
    kill_process(Pid::from_child(&run), Signal::KILL).unwrap();
    for pid in worker.split_whitespace().map(|pid| pid.parse::<i32>().unwrap()) {
        let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
    }
    run.wait().unwrap();
    assert_eq!(cluster.api.state().jobs.len(), 1);
    std::fs::write(cluster.fixture.sandbox.path("home/go"), "").unwrap();
    let mut again = cluster.start(&["--resume"]);
    assert_eq!(again.wait().unwrap().code(), Some(0));
    cluster.is_clean();
    assert_eq!(cluster.gate()["status"], "pass");
    assert_eq!(cluster.api.state().created.len(), 2);
}

#[test]
fn slow_template_of_base_adds_listed_fields() {
    for (field, code) in [("nodeSelector: {pool: gates}", 0), ("hostNetwork: true", 3)] {
        let container = "{resources: {{ resources | tojson }}}";
        let cluster = Cluster::new("true", Faults::default());
        let registry = cluster.fixture.sandbox.repo().join("configs/gates/gates.toml");
        let text = std::fs::read_to_string(&registry).unwrap();
        std::fs::write(
            &registry,
            text.replace("poll_s = 1", "poll_s = 1\ntemplate = \"job.yaml\""),
        )
        .unwrap();
        cluster.fixture.sandbox.file(
            "job.yaml",
            format!(
                "apiVersion: batch/v1\nkind: Job\nspec:\n  template:\n    spec:\n      {field}\n      containers:\n        - {container}\n"
            ),
        );
        cluster.commit();
        let run = cluster.run(code);
        if code == 0 {
            let pool = &cluster.api.state().created[0]["spec"]["template"]["spec"]["nodeSelector"]["pool"];
            assert_eq!(*pool, "gates");
        } else {
            reason(&run, "invalid", "job_refused");
            run.prints("the field `spec.template.spec.hostNetwork` is not allowed");
        }
    }
}

#[test]
fn gate_without_cluster_is_refused() {
    let cluster = Cluster::new("true", Faults::default());
    std::fs::write(
        cluster.fixture.sandbox.path("home/kubeconfig"),
        "users: [{name: u, user: {exec: {}}}]",
    )
    .unwrap();
    let run = cluster
        .fixture
        .run_with(&["--gate", "cpu:job"], &cluster.environment());
    reason(
        &run.exits(3).reports("cannot submit jobs of Kubernetes"),
        "invalid",
        "prerequisite",
    );
}

fn wait_for(done: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < until, "nothing happened");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn image_of_pods_needs_name_and_digest() {
    let fixture = RunFixture::new();
    let digest = format!("sha256:{}", "a".repeat(64));
    for (image, is_refused) in [
        (digest.clone(), true),
        (format!("example.org/gates@{digest}"), false),
    ] {
        let registry = format!(
            "[meta]\nversion = \"1\"\ntarget = \"b200\"\n[executor.pods]\nkind = \"kubernetes\"\n\
             [executor.pods.kubernetes]\nimage = \"{image}\"\nclaim = \"c\"\nmount = \"/m\"\n[gates]\n[bundles]\n"
        );
        fixture.sandbox.file("pods.toml", registry);
        let out = fixture
            .sandbox
            .gates(["lint", "registry", "pods.toml", "--format", "json"])
            .run()
            .any_code()
            .json();
        let findings = out["findings"].as_array().unwrap();
        let refused = findings
            .iter()
            .any(|finding| finding["code"] == "image-without-digest");
        assert_eq!(refused, is_refused, "{image}: {out}");
    }
}
