//! Runs the real workflows with act on this machine, with replacements for checkout and artifacts and a local API.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::attack::attack;
use crate::driver::{Sandbox, git};
use crate::fake_github::{FakeGitHub, REPOSITORY, TOKEN};
use crate::support::program::folder;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PULL: u64 = 5;
const REGISTRY: &str = "configs/gates/gates.toml";
/// The action as another repository names it, pinned to a commit.
const ACTION: &str = "octo-org/gates@0123456789abcdef0123456789abcdef01234567";

#[expect(
    clippy::print_stderr,
    reason = "a test that did not run must not look like one that passed"
)]
fn say_skipped(why: &str) {
    eprintln!(
        "SKIPPED, NOT PASSED: the workflows were not run, since scripts/dev/install-tools failed: {why}"
    );
}

/// Returns act, which `scripts/dev/install-tools` installs. Returns `None` if it is not available and not required.
pub fn act() -> Option<&'static Path> {
    static ACT: OnceLock<Option<PathBuf>> = OnceLock::new();
    ACT.get_or_init(|| {
        let made = Command::new("scripts/dev/install-tools")
            .current_dir(ROOT)
            .output()
            .unwrap();
        if made.status.success() {
            let bin = String::from_utf8(made.stdout).unwrap();
            return Some(Path::new(bin.trim()).join("act"));
        }
        let why = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(
            std::env::var_os("NMOE_GATES_REQUIRE_TOOLS").is_none(),
            "scripts/dev/install-tools failed: {why}"
        );
        say_skipped(&why);
        None
    })
    .as_deref()
}

/// A folder with the real actions/checkout, which then replaces the stand-in. It needs Node.js.
const REAL_CHECKOUT: &str = "NMOE_REAL_CHECKOUT";

/// Returns arguments that replace external actions by the local ones in `tests/act`.
pub fn stand_ins() -> Vec<String> {
    let checkout = std::env::var(REAL_CHECKOUT).ok();
    [
        ("actions/checkout", "3d3c42e5aac5ba805825da76410c181273ba90b1"),
        (
            "actions/upload-artifact",
            "bbbca2ddaa5d8feaa63e36b76fdaad77386f024f",
        ),
        ("actions/attest", "1e69f48acb82d1966a394da916b4c1698aa569d6"),
        (
            "actions/download-artifact",
            "3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c",
        ),
        ("actions/cache", "27d5ce7f107fe9357f9df03efb73ab90386fccae"),
        (
            "pypa/gh-action-pypi-publish",
            "ed0c53931b1dc9bd32cbe73a98c7f6766f8a527e",
        ),
    ]
    .map(|(action, sha)| {
        let name = action.rsplit('/').next().unwrap();
        match &checkout {
            Some(folder) if name == "checkout" => format!("--local-repository={action}@{sha}={folder}"),
            _ => format!("--local-repository={action}@{sha}={ROOT}/tests/act/{name}"),
        }
    })
    .to_vec()
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

/// Copies the files of the action that a workflow needs.
fn copy_action(to: &Path) {
    std::fs::create_dir_all(to.join("scripts")).unwrap();
    for file in [
        "action.yml",
        "Cargo.toml",
        "checksums.txt",
        "scripts/get",
        "scripts/action",
    ] {
        std::fs::copy(Path::new(ROOT).join(file), to.join(file)).unwrap();
    }
}

/// A repository with the sample, this action and its workflows, a pull request, and an API that serves them.
struct WorkflowFixture {
    sandbox: Sandbox,
    api: FakeGitHub,
    base: String,
    head: String,
}

/// The output and the results of one act run.
struct ActRun {
    passed: bool,
    log: String,
}

impl WorkflowFixture {
    /// Opens a pull request that increases the sample's batch size.
    fn bigger_batch() -> Self {
        WorkflowFixture::new("configs/tiny.toml", &read("examples/demo/change.toml"))
    }

    /// Opens a pull request that replaces the content of one file.
    fn new(path: &str, content: &str) -> Self {
        WorkflowFixture::changing(&[(path, content)])
    }

    /// Opens a pull request that changes these files.
    fn changing(files: &[(&str, &str)]) -> Self {
        let sandbox = Sandbox::new();
        for file in [".github/workflows/tier-b.yml", ".github/workflows/pr-lint.yml"] {
            sandbox.file(file, read(file));
        }
        sandbox.file(
            ".github/workflows/tier-b-fan-out.yml",
            read("examples/tier-b-fan-out.yml"),
        );
        copy_action(&sandbox.repo());
        sandbox.git(["init", "--quiet"]);
        WorkflowFixture::pull(sandbox, files)
    }

    /// Opens the same pull request in another repository, with the workflows that `init` writes.
    fn strangers(files: &[(&str, &str)]) -> Self {
        let sandbox = Sandbox::new();
        copy_action(&sandbox.path("action"));
        sandbox.git(["init", "--quiet", "--initial-branch=master"]);
        // Added after `init` has run, because `init` adapts to an existing registry.
        sandbox.file(REGISTRY, read(&format!("examples/demo/{REGISTRY}")));
        sandbox
            .gates(["init", "--action", ACTION])
            .run()
            .exits(0)
            .prints("create  .github/workflows/tier-b.yml")
            .any_files();
        WorkflowFixture::pull(sandbox, files)
    }

    /// Adds the sample to this repository and opens a pull request that changes these files.
    fn pull(sandbox: Sandbox, files: &[(&str, &str)]) -> Self {
        for file in ["nmoe/__init__.py", "nmoe/train.py", "configs/tiny.toml"] {
            sandbox.file(file, read(&format!("examples/demo/{file}")));
        }
        let registry = read(&format!("examples/demo/{REGISTRY}")).replace(
            "[bundles]",
            r#"[gates."demo:needs"]
tier = "b"
requires = ["NMOE_DATA_PATH", "NMOE_RUN_ROOT"]
requires_files = ["configs/none.toml"]
cmd = "true"

[gates."demo:gpu"]
tier = "b"
gpus = 8
cmd = "test -e nmoe/csrc/rdep.so"

[target.b200]
build = "sh nmoe/csrc/build.sh"

[bundles]
needs = ["demo:needs"]
gpu = ["demo:gpu"]"#,
        );
        sandbox.file(REGISTRY, &registry);
        sandbox.git(["add", "."]);
        sandbox.git(["commit", "--quiet", "--message", "The base"]);
        sandbox.git(["checkout", "--quiet", "-b", "issue/01-bigger-batch"]);
        for (path, content) in files {
            sandbox.file(path, content);
        }
        sandbox.git(["add", "."]);
        sandbox.git(["commit", "--quiet", "--message", "The change"]);
        sandbox.git(["checkout", "--quiet", "--detach", "master"]);
        sandbox.git([
            "merge",
            "--quiet",
            "--no-ff",
            "--message",
            "The merge",
            "issue/01-bigger-batch",
        ]);
        let id = |name: &str| sandbox.git(["rev-parse", name]).trim().to_owned();
        let (base, head, merge) = (id("master"), id("issue/01-bigger-batch"), id("HEAD"));
        let tree = id("HEAD^{tree}");
        sandbox.git(["checkout", "--quiet", "master"]);
        let origin = sandbox.path("origin.git");
        git(
            &sandbox.path("."),
            ["clone", "--quiet", "--bare", "repo", "origin.git"],
        );
        for (name, id) in [("head", &head), ("merge", &merge)] {
            git(&origin, ["fetch", "--quiet", "../repo", id]);
            git(&origin, ["update-ref", &format!("refs/pull/{PULL}/{name}"), id]);
        }

        // For the real actions/checkout, which fetches commits by their id.
        git(&origin, ["config", "uploadpack.allowAnySHA1InWant", "true"]);
        let instead = format!(
            "[url \"file://{}\"]\n\tinsteadOf = https://github.com/{REPOSITORY}\n",
            origin.display()
        );
        std::fs::write(sandbox.path("home/.gitconfig"), instead).unwrap();

        let api = FakeGitHub::start();
        api.issue(1, "[01] A bigger batch", &read("examples/demo/issue.md"));
        let body = read("examples/demo/pull_request.md")
            .replace("@BASE@", &base)
            .replace("@HEAD@", &head);
        api.pull(PULL, "issue/01-bigger-batch", &head, &base, &body);
        let mut state = api.state();
        state.refs.insert(format!("pull/{PULL}/merge"), merge.clone());
        state.commits.insert(
            merge.clone(),
            json!({ "sha": merge, "tree": { "sha": tree }, "parents": [{ "sha": base }, { "sha": head }] }),
        );
        let proposed = files.iter().find(|(path, _)| *path == REGISTRY);
        for (commit, text) in [
            (&base, &*registry),
            (&merge, proposed.map_or(&*registry, |p| p.1)),
        ] {
            state
                .files
                .insert((commit.clone(), REGISTRY.to_owned()), text.to_owned());
        }
        drop(state);
        WorkflowFixture {
            sandbox,
            api,
            base,
            head,
        }
    }

    /// Returns the description of the pull request.
    fn body(&self) -> String {
        self.api.state().pulls[&PULL]["body"].as_str().unwrap().to_owned()
    }

    /// Moves the change to a fork: the repository keeps only the refs that GitHub creates for pull requests, and no branch.
    fn forked(self) -> Self {
        git(
            &self.sandbox.path("origin.git"),
            ["update-ref", "-d", "refs/heads/issue/01-bigger-batch"],
        );
        let fork = json!({ "full_name": "stranger/trainer" });
        self.api.state().pulls.get_mut(&PULL).unwrap()["head"]["repo"] = fork;
        self
    }

    /// Runs one workflow for one event. Returns `None` if act is not available.
    fn run(&self, event: &str, workflow: &str, args: &[String]) -> Option<ActRun> {
        let act = act()?;
        let path = format!(
            "{}:{}",
            folder().display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let in_place = |name: &str| self.sandbox.path(name).display().to_string();
        let output = Command::new(act)
            .args([event, "--workflows", &format!(".github/workflows/{workflow}")])
            .args([
                "--platform=b200=-self-hosted",
                "--platform=ubuntu-latest=-self-hosted",
            ])
            .args(["--no-skip-checkout", "--no-cache-server", "--action-offline-mode"])
            .args(["--action-cache-path", &in_place("home/act")])
            .args(stand_ins())
            .arg(format!("--local-repository={ACTION}={}", in_place("action")))
            .args(["--secret", &format!("GITHUB_TOKEN={TOKEN}")])
            .args(["--env", &format!("GITHUB_API_URL={}", self.api.url())])
            .args(["--env", &format!("GITHUB_REPOSITORY={REPOSITORY}")])
            .args(["--env", "NMOE_API_PATIENCE_S=4"])
            .args(["--env", &format!("STAND_IN_ORIGIN={}", in_place("origin.git"))])
            .args(["--env", &format!("STAND_IN_ARTIFACTS={}", in_place("artifacts"))])
            .args(args)
            .current_dir(self.sandbox.repo())
            .env_clear()
            .env("PATH", path)
            .env("HOME", in_place("home"))
            .env("TMPDIR", in_place("tmp"))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let log =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Some(ActRun {
            passed: output.status.success(),
            log,
        })
    }

    /// Starts Tier B manually.
    fn tier_b(&self, inputs: &[(&str, &str)]) -> Option<ActRun> {
        self.by_hand("tier-b.yml", inputs)
    }

    fn by_hand(&self, workflow: &str, inputs: &[(&str, &str)]) -> Option<ActRun> {
        let pull = PULL.to_string();
        let args: Vec<String> = [("pr_number", &*pull)]
            .iter()
            .chain(inputs)
            .flat_map(|(name, value)| ["--input".to_owned(), format!("{name}={value}")])
            .collect();
        self.run("workflow_dispatch", workflow, &args)
    }

    /// Runs the PR lint with this description of the pull request.
    fn lint(&self, body: &str) -> Option<ActRun> {
        let event = json!({
            "action": "edited", "number": PULL,
            "repository": { "full_name": REPOSITORY },
            "pull_request": {
                "number": PULL, "draft": false, "state": "open", "title": "A change", "body": body,
                "head": { "sha": self.head, "ref": "issue/01-bigger-batch", "repo": self.api.state().pulls[&PULL]["head"]["repo"] },
                "base": { "sha": self.base, "ref": "master" },
            },
        });
        self.api.state().pulls.get_mut(&PULL).unwrap()["body"] = json!(body);
        let path = self.sandbox.path("event.json");
        std::fs::write(&path, event.to_string()).unwrap();
        let args = ["--eventpath".to_owned(), path.display().to_string()];
        self.run("pull_request", "pr-lint.yml", &args)
    }

    /// Puts the pull request into a merge queue, and returns the commit of its group and the arguments for `merge_group`.
    fn queued(&self) -> (String, Vec<String>) {
        let origin = self.sandbox.path("origin.git");
        let group = git(&origin, ["rev-parse", &format!("refs/pull/{PULL}/merge")])
            .trim()
            .to_owned();
        let name = format!("refs/heads/gh-readonly-queue/master/pr-{PULL}-{}", self.base);
        git(&origin, ["update-ref", &name, &group]);
        let event = json!({
            "action": "checks_requested", "repository": { "full_name": REPOSITORY },
            "merge_group": { "head_sha": group, "head_ref": name, "base_sha": self.base, "base_ref": "refs/heads/master" },
        });
        let path = self.sandbox.path("queue.json");
        std::fs::write(&path, event.to_string()).unwrap();
        (group, vec!["--eventpath".to_owned(), path.display().to_string()])
    }

    /// Returns the only comment, and the state of the head's commit status.
    #[track_caller]
    fn published(&self, ran: &ActRun) -> (String, String) {
        let comments = self.api.comments(PULL);
        assert_eq!(comments.len(), 1, "{}", ran.log);
        let state = self.api.state();
        let status = state.statuses[&self.head][0]["state"]
            .as_str()
            .unwrap()
            .to_owned();
        (comments[0].clone(), status)
    }
}

#[test]
fn slow_act_tier_b_passes() {
    let fixture = WorkflowFixture::bigger_batch();
    let Some(ran) = fixture.tier_b(&[("bundle", "demo")]) else {
        return;
    };
    assert!(ran.passed, "{}", ran.log);
    assert!(ran.log.contains("::set-output:: overall=pass\n"), "{}", ran.log);
    let (comment, status) = fixture.published(&ran);
    assert!(comment.contains("| `demo:tiny_1x40` | pass |"), "{comment}");
    assert!(comment.contains(&fixture.head), "{comment}");
    assert_eq!(status, "success");
    let attested = fixture.sandbox.path("artifacts/attested/predicate.json");
    let predicate: Value = serde_json::from_slice(&std::fs::read(attested).expect(&ran.log)).unwrap();
    assert_eq!(predicate["result"], "PASSED");
    assert_eq!(predicate["passedTests"].as_array().unwrap().len(), 4);
}

#[test]
fn slow_act_tier_b_fails() {
    let trainer = read("examples/demo/nmoe/train.py").replace("    main(sys.argv[1:])", "    sys.exit(7)");
    let fixture = WorkflowFixture::new("nmoe/train.py", &trainer);
    let Some(ran) = fixture.tier_b(&[("bundle", "demo")]) else {
        return;
    };
    assert!(!ran.passed, "{}", ran.log);
    assert!(ran.log.contains("::set-output:: overall=fail\n"), "{}", ran.log);
    let (comment, status) = fixture.published(&ran);
    assert!(comment.contains("| `demo:tiny_1x10` | **fail** |"), "{comment}");
    assert!(
        comment.contains("| `demo:tiny_1x40` | **not_run** |"),
        "{comment}"
    );
    assert_eq!(status, "failure");
}

#[test]
fn slow_act_tier_b_preflight_lists_missing_requirements() {
    let fixture = WorkflowFixture::bigger_batch();
    let Some(ran) = fixture.tier_b(&[("bundle", "needs")]) else {
        return;
    };
    assert!(!ran.passed, "{}", ran.log);
    assert!(
        ran.log.contains("::set-output:: overall=invalid\n"),
        "{}",
        ran.log
    );
    let (comment, status) = fixture.published(&ran);
    assert!(comment.contains("| `demo:needs` | **invalid** |"), "{comment}");
    for missing in ["NMOE_DATA_PATH", "NMOE_RUN_ROOT", "configs/none.toml"] {
        assert!(comment.contains(missing), "{comment}");
    }
    assert_ne!(status, "success");
}

/// Opens a pull request whose build makes a library from this container. The container is in no commit.
fn kernels(container: &str) -> WorkflowFixture {
    let path = Path::new(ROOT).join(format!("tests/fixtures/kernel/{container}.fatbin"));
    let text = base64::engine::general_purpose::STANDARD.encode(std::fs::read(path).unwrap());
    let build =
        "set -e\ncd nmoe/csrc\nbase64 -d device.txt >device.fatbin\ncc -shared -fPIC -o rdep.so rdep.c\n";
    let source = "__asm__(\".section .nv_fatbin,\\\"a\\\"\\n.balign 8\\n.incbin \\\"device.fatbin\\\"\\n.previous\\n\");\nint entry(void) { return 0; }\n";
    WorkflowFixture::changing(&[
        ("nmoe/csrc/device.txt", &text),
        ("nmoe/csrc/rdep.c", source),
        ("nmoe/csrc/build.sh", build),
    ])
}

#[test]
fn slow_act_tier_b_builds_and_proves_kernels() {
    for (container, row, proven) in [
        (
            "sm_100a_zstd",
            "| `demo:gpu` | pass |",
            ": inspected, built from scratch in this run, never loaded by this tool |",
        ),
        (
            "sm_103a_zstd",
            "| `demo:gpu` | **invalid** |",
            ": refused by inspection, built from scratch in this run, never loaded by this tool |",
        ),
    ] {
        let fixture = kernels(container);
        let driver = crate::kernel_driver::b200(&fixture.sandbox);
        let libraries = format!("LD_LIBRARY_PATH={}", driver.display());
        let pull = PULL.to_string();
        let inputs = [
            "--input",
            &format!("pr_number={pull}"),
            "--input",
            "bundle=gpu",
            "--env",
            &libraries,
        ];
        let Some(ran) = fixture.run("workflow_dispatch", "tier-b.yml", &inputs.map(str::to_owned)) else {
            return;
        };
        let (comment, _) = fixture.published(&ran);
        assert!(comment.contains(row), "{comment}\n{}", ran.log);
        assert!(
            comment.contains("| kernels `nmoe/csrc/rdep.so` |") && comment.contains(proven),
            "{comment}\n{}",
            ran.log
        );
        assert_eq!(
            comment.contains("`kernel_off_target`"),
            row.contains("invalid"),
            "{comment}"
        );
    }
}

#[test]
fn slow_act_tier_b_runs_a_single_gate() {
    let fixture = WorkflowFixture::bigger_batch();
    let Some(ran) = fixture.tier_b(&[("bundle", "single"), ("single_gate", "demo:tiny_1x10")]) else {
        return;
    };
    assert!(ran.passed, "{}", ran.log);
    let (comment, status) = fixture.published(&ran);
    assert!(comment.contains("| `demo:tiny_1x10` | pass |"), "{comment}");
    assert!(!comment.contains("| `demo:tiny_1x40` |"), "{comment}");
    // One gate of four proves that gate, not the contract.
    assert!(comment.contains("**Not covered:**"), "{comment}");
    assert_eq!(status, "pending");
}

#[test]
fn slow_act_unknown_bundle_publishes_refusal() {
    let fixture = WorkflowFixture::bigger_batch();
    let Some(ran) = fixture.tier_b(&[("bundle", "demoo")]) else {
        return;
    };
    assert!(!ran.passed, "{}", ran.log);
    assert!(ran.log.contains("demoo"), "{}", ran.log);
    let (comment, status) = fixture.published(&ran);
    assert!(comment.contains("refused"), "{comment}");
    assert_ne!(status, "success");
}

#[test]
fn slow_act_head_moved_after_approval_publishes_stale() {
    let fixture = WorkflowFixture::bigger_batch();
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let moved = "7".repeat(40);
    let (now, base) = (moved.clone(), fixture.base.clone());
    fixture.api.before(move |seen, state| {
        let is_pull = seen.method == "GET" && seen.path.ends_with(&format!("/pulls/{PULL}"));
        // The first request is from `resolve`. The pull request moves before the second request.
        if is_pull && asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0 {
            state.pulls.get_mut(&PULL).unwrap()["head"]["sha"] = json!(now);
            let merge = "8".repeat(40);
            state.refs.insert(format!("pull/{PULL}/merge"), merge.clone());
            state.commits.insert(
                merge.clone(),
                json!({ "sha": merge, "tree": { "sha": "9".repeat(40) }, "parents": [{ "sha": base }, { "sha": now }] }),
            );
        }
    });
    let Some(ran) = fixture.tier_b(&[("bundle", "demo")]) else {
        return;
    };
    let comments = fixture.api.comments(PULL);
    assert_eq!(comments.len(), 1, "{}", ran.log);
    assert!(comments[0].contains("[!WARNING]"), "{}", comments[0]);
    assert!(comments[0].contains(&fixture.head), "{}", comments[0]);
    assert!(!fixture.api.state().statuses.contains_key(&moved), "{}", ran.log);
    // Stale results are published as stale, and are not signed.
    assert!(
        !fixture.sandbox.path("artifacts/attested").exists(),
        "{}",
        ran.log
    );
}

#[test]
fn slow_act_tier_b_uses_registry_of_base() {
    let registry = read(&format!("examples/demo/{REGISTRY}"))
        .replace("python3 -m nmoe.train configs/tiny.toml --steps=10", "true")
        .replace("python3 -m nmoe.train configs/tiny.toml --steps=40", "true");
    let trainer = read("examples/demo/nmoe/train.py").replace("    main(sys.argv[1:])", "    sys.exit(7)");
    let fixture = WorkflowFixture::changing(&[(REGISTRY, &registry), ("nmoe/train.py", &trainer)]);
    let Some(ran) = fixture.tier_b(&[("bundle", "demo")]) else {
        return;
    };
    assert!(!ran.passed, "{}", ran.log);
    let (comment, status) = fixture.published(&ran);
    assert!(comment.contains("| `demo:tiny_1x10` | **fail** |"), "{comment}");
    assert!(comment.contains("proposed, not active"), "{comment}");
    assert_eq!(status, "failure");
}

#[test]
fn slow_act_forged_results_are_not_published() {
    let forged = json!({
        "schema": 1, "bundle": "demo", "gate_ids": ["cpu:import", "cpu:compileall", "demo:tiny_1x10", "demo:tiny_1x40"],
        "overall": "pass", "evidence": { "dirty": false },
        "results": { "cpu:import": { "status": "pass" }, "cpu:compileall": { "status": "pass" },
            "demo:tiny_1x10": { "status": "pass" }, "demo:tiny_1x40": { "status": "pass" } },
    })
    .to_string();
    // A process that outlives its gate and overwrites every results file that it finds near its home.
    let trainer = r#"
import os, pathlib, sys, time
if __name__ == "__main__":
    if os.fork() == 0:
        os.setsid()
        forged = pathlib.Path("results.json").read_text()
        for _ in range(200):
            for found in pathlib.Path(os.environ["HOME"]).rglob("results.json*"):
                try:
                    found.write_text(forged)
                except OSError:
                    pass
            time.sleep(0.05)
        os._exit(0)
    time.sleep(0.5)
    sys.exit(7)
"#;
    let fixture = WorkflowFixture::changing(&[("results.json", &forged), ("nmoe/train.py", trainer)]);
    let Some(ran) = fixture.tier_b(&[("bundle", "demo")]) else {
        return;
    };
    assert!(!ran.passed, "{}", ran.log);
    let (comment, status) = fixture.published(&ran);
    assert!(!comment.contains("| `demo:tiny_1x40` | pass |"), "{comment}");
    assert!(
        comment.contains("| `demo:tiny_1x10` | **fail** |") || comment.contains("refused"),
        "{comment}"
    );
    assert_ne!(status, "success");
}

#[test]
fn slow_act_fan_out_publishes_one_table() {
    let trainer = read("examples/demo/nmoe/train.py").replace(
        "    main(sys.argv[1:])",
        "    sys.exit(7 if '--steps=40' in sys.argv else main(sys.argv[1:]))",
    );
    let fixture = WorkflowFixture::new("nmoe/train.py", &trainer);
    let Some(ran) = fixture.by_hand("tier-b-fan-out.yml", &[("bundle", "demo")]) else {
        return;
    };
    assert!(!ran.passed, "{}", ran.log);
    let (comment, status) = fixture.published(&ran);
    // Each gate had a separate runner, so the failure of one gate stopped no other gate.
    for row in [
        "| `cpu:import` | pass |",
        "| `cpu:compileall` | pass |",
        "| `demo:tiny_1x10` | pass |",
        "| `demo:tiny_1x40` | **fail** |",
    ] {
        assert!(comment.contains(row), "{row}\n{comment}\n{}", ran.log);
    }
    assert_eq!(status, "failure");
    let parts = std::fs::read_dir(fixture.sandbox.path("artifacts"))
        .unwrap()
        .count();
    assert_eq!(parts, 5, "four parts and the evidence: {}", ran.log);
    assert!(ran.log.contains("::set-output:: overall=fail\n"), "{}", ran.log);
}

/// A workflow that every writer of a branch may add: it rewrites our comment and sets our status.
const FORGER: &str = r#"
name: Own
on: push
permissions: {}
jobs:
  forge:
    runs-on: ubuntu-latest
    permissions:
      statuses: write
      pull-requests: write
    steps:
      - env:
          TOKEN: ${{ github.token }}
        run: |
          python3 - <<'END'
          import json, os, re, urllib.request
          def ask(method, path, body=None):
              data = json.dumps(body).encode() if body else None
              headers = {"authorization": "Bearer " + os.environ["TOKEN"], "content-type": "application/json"}
              url = os.environ["GITHUB_API_URL"] + "/repos/octo-org/trainer/" + path
              request = urllib.request.Request(url, data=data, method=method, headers=headers)
              return json.load(urllib.request.urlopen(request))
          comment = ask("GET", "issues/5/comments")[0]
          status = ask("GET", "commits/@HEAD@/statuses")[0]
          body = comment["body"].replace("fail", "pass")
          line = re.search("<!-- nmoe-gates results (.*) -->", comment["body"])[1]
          results = json.loads(line)
          results["overall"] = "pass"
          for gate in results["results"].values():
              gate.update(status="pass", reason=None)
          forged = json.dumps(results).replace("-", "\\u002d")
          body = re.sub("<!-- nmoe-gates results .* -->", lambda _: "<!-- nmoe-gates results " + forged + " -->", body)
          ask("PATCH", "issues/comments/%d" % comment["id"], {"body": body})
          ask("POST", "statuses/@HEAD@", {"state": "success", "context": status["context"], "description": "4 pass", "target_url": status["target_url"]})
          END
"#;

impl WorkflowFixture {
    /// Tells GitHub's side of the first run: who started it, and what it uploaded.
    fn record_run(&self) {
        self.api.tier_b_run(1, &self.base);
        for entry in std::fs::read_dir(self.sandbox.path("artifacts")).unwrap() {
            let path = entry.unwrap().path();
            if path
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("evidence-")
            {
                self.api.upload_evidence(1, &path);
            }
        }
    }

    /// Returns codes and messages of what `ready` finds about Tier B.
    fn evidence_blockers(&self) -> Vec<(String, String)> {
        let origin = self.sandbox.path("origin.git").display().to_string();
        let remotes = self.sandbox.git(["remote"]);
        if remotes.is_empty() {
            self.sandbox.git(["remote", "add", "origin", &origin]);
        }
        let call = self.sandbox.gates(["ready", "5", "--format", "json"]);
        let out = self.api.serves(call).run().exits(1).any_output();
        let blockers = out.json()["pulls"][0]["blockers"].as_array().unwrap().clone();
        let text = |blocker: &Value, key: &str| blocker[key].as_str().unwrap().to_owned();
        blockers
            .iter()
            .map(|blocker| (text(blocker, "code"), text(blocker, "message")))
            .filter(|(code, _)| code.starts_with("tier-b") || code.contains("evidence"))
            .collect()
    }
}

/// T22: a second workflow of the repository forges comment and status of a failed run. An honest run counts.
#[test]
fn slow_act_second_workflow_forges_green() {
    let honest = WorkflowFixture::bigger_batch();
    let Some(ran) = honest.tier_b(&[("bundle", "demo")]) else {
        return;
    };
    assert!(ran.passed, "{}", ran.log);
    honest.record_run();
    assert_eq!(honest.evidence_blockers(), [], "{}", ran.log);

    let trainer = read("examples/demo/nmoe/train.py").replace("    main(sys.argv[1:])", "    sys.exit(7)");
    let fixture = WorkflowFixture::new("nmoe/train.py", &trainer);
    fixture.tier_b(&[("bundle", "demo")]).unwrap();
    fixture.record_run();
    let failed = fixture.evidence_blockers();
    assert!(
        failed.iter().all(|(code, _)| code == "tier-b-missing") && !failed.is_empty(),
        "{failed:?}"
    );
    fixture.sandbox.file(
        ".github/workflows/own.yml",
        FORGER.replace("@HEAD@", &fixture.head),
    );
    let ran = fixture.run("push", "own.yml", &[]).unwrap();
    assert!(ran.passed, "{}", ran.log);
    let (comment, status) = fixture.published(&ran);
    let blockers = fixture.evidence_blockers();
    attack(
        "a second workflow",
        status == "success" && !comment.contains("**fail**"),
        blockers.is_empty(),
    );
    for (code, message) in &blockers {
        assert_eq!(code, "evidence-unproven", "{message}");
        assert!(
            message.contains("run 1 has no artifact with the digest of these results"),
            "{message}"
        );
    }
}

#[test]
fn slow_act_pr_lint_checks_body() {
    let fixture = WorkflowFixture::bigger_batch();
    let good = fixture.body();
    let Some(ran) = fixture.lint(&good) else { return };
    assert!(ran.passed, "{}", ran.log);
    let bad = good.replace("cpu:import", "cpu:imports");
    let Some(ran) = fixture.lint(&bad) else { return };
    assert!(!ran.passed, "{}", ran.log);
    assert!(ran.log.contains("cpu:imports"), "{}", ran.log);
    // The change edits the action, but the lint uses the action of the base.
    let hostile = WorkflowFixture::new(
        "scripts/action",
        "#!/bin/sh\necho 'overall=pass' >> \"$GITHUB_OUTPUT\"\n",
    );
    let Some(ran) = hostile.lint(&bad) else { return };
    assert!(!ran.passed, "{}", ran.log);
}

/// Required checks must answer in a merge queue. Only published results of an equal tree are reused.
#[test]
fn slow_act_merge_group_is_answered() {
    let fixture = WorkflowFixture::bigger_batch();
    let (group, args) = fixture.queued();
    let status = || {
        let state = fixture.api.state();
        let status = &state.statuses[&group][0];
        assert_eq!(status["context"], "nmoe-gates/demo");
        let text = |key: &str| status[key].as_str().unwrap().to_owned();
        (text("state"), text("description"))
    };
    let Some(ran) = fixture.run("merge_group", "tier-b.yml", &args) else {
        return;
    };
    assert!(ran.passed, "{}", ran.log);
    let (state, line) = status();
    assert_eq!(state, "pending", "{line}");
    assert!(
        line.starts_with("#5: there is no result of `demo:tiny_1x10`"),
        "{line}"
    );
    // The run of the queue publishes nothing, and runs no gate.
    assert!(
        fixture.api.comments(PULL).is_empty() && !ran.log.contains("Run the gates"),
        "{}",
        ran.log
    );

    fixture.tier_b(&[("bundle", "demo")]).unwrap();
    fixture.record_run();
    let ran = fixture.run("merge_group", "tier-b.yml", &args).unwrap();
    assert!(ran.passed, "{}", ran.log);
    let line = "reused: the results published on #5 are about the same tree".to_owned();
    assert_eq!(status(), ("success".to_owned(), line), "{}", ran.log);

    let ran = fixture.run("merge_group", "pr-lint.yml", &args).unwrap();
    assert!(ran.passed, "{}", ran.log);
    let bad = fixture.body().replace("cpu:import", "cpu:imports");
    fixture.api.state().pulls.get_mut(&PULL).unwrap()["body"] = json!(bad);
    let ran = fixture.run("merge_group", "pr-lint.yml", &args).unwrap();
    assert!(!ran.passed && ran.log.contains("cpu:imports"), "{}", ran.log);
}

#[test]
fn slow_act_init_workflows_work_in_other_repository() {
    let fixture = WorkflowFixture::strangers(&[("configs/tiny.toml", &read("examples/demo/change.toml"))]);
    for workflow in ["tier-b.yml", "pr-lint.yml"] {
        let text =
            std::fs::read_to_string(fixture.sandbox.repo().join(".github/workflows").join(workflow)).unwrap();
        assert!(
            text.contains(&format!("uses: {ACTION}\n")) && !text.contains("uses: ./"),
            "{text}"
        );
    }
    let good = fixture.body();
    let Some(ran) = fixture.lint(&good.replace("cpu:import", "cpu:imports")) else {
        return;
    };
    assert!(!ran.passed && ran.log.contains("cpu:imports"), "{}", ran.log);
    let Some(ran) = fixture.lint(&good) else { return };
    assert!(ran.passed, "{}", ran.log);
    let Some(ran) = fixture.tier_b(&[("bundle", "demo")]) else {
        return;
    };
    assert!(ran.passed, "{}", ran.log);
    let (comment, status) = fixture.published(&ran);
    assert!(comment.contains("| `demo:tiny_1x40` | pass |"), "{comment}");
    assert_eq!(status, "success");
}

#[test]
fn slow_act_fork_pull_request_is_reported() {
    let fixture = WorkflowFixture::bigger_batch().forked();
    let Some(ran) = fixture.lint(&fixture.body()) else {
        return;
    };
    assert!(ran.passed, "{}", ran.log);
    let Some(ran) = fixture.tier_b(&[("bundle", "demo")]) else {
        return;
    };
    assert!(ran.passed, "{}", ran.log);
    let (comment, status) = fixture.published(&ran);
    assert!(comment.contains("| `demo:tiny_1x40` | pass |"), "{comment}");
    assert_eq!(status, "success");
}

/// Returns the process of the program that runs gates, if it has started.
fn gates_process(fixture: &WorkflowFixture) -> Option<rustix::process::Pid> {
    let home = fixture
        .sandbox
        .path(".")
        .canonicalize()
        .unwrap()
        .display()
        .to_string();
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|dir| {
        let pid = dir.file_name().to_str()?.parse().ok()?;
        let line = String::from_utf8_lossy(&std::fs::read(dir.path().join("cmdline")).ok()?).into_owned();
        let there = std::fs::read_link(dir.path().join("cwd")).ok()?;
        let words: Vec<&str> = line.split('\0').collect();
        let runs = words.first()?.ends_with("nmoe-gates") && words.get(1) == Some(&"run");
        (runs && there.display().to_string().starts_with(&home))
            .then(|| rustix::process::Pid::from_raw(pid))
            .flatten()
    })
}

#[test]
fn slow_act_cancelled_tier_b_publishes_cancelled() {
    // The gate prints that it has started, and then waits.
    let trainer =
        "import os, pathlib, time\npathlib.Path(os.environ[\"HOME\"], \"began\").touch()\ntime.sleep(120)\n";
    let fixture = WorkflowFixture::changing(&[("nmoe/train.py", trainer)]);
    if act().is_none() {
        return;
    }
    let ran = std::thread::scope(|scope| {
        let running = scope.spawn(|| fixture.tier_b(&[("bundle", "demo")]));
        while !fixture.sandbox.path("home/began").exists() && !running.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        // The runner sends these signals to the step when a user cancels the job.
        if let Some(pid) = gates_process(&fixture) {
            rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        }
        running.join().unwrap().unwrap()
    });
    assert!(!ran.passed, "{}", ran.log);
    let (comment, status) = fixture.published(&ran);
    assert!(comment.contains("**cancelled**"), "{comment}");
    assert_eq!(status, "error");
}
