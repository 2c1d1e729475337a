//! Repositories in the states that the pages describe, with a fake GitHub, and a shell in them whose `nmoe-gates` is the program
//! under test.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::json;

use crate::driver::{Sandbox, git, scrubbed};
use crate::fake_github::{FakeGitHub, REPOSITORY, TOKEN};
use crate::support::contract::contract;
use crate::support::program::folder;
use crate::support::results::results;

/// The state of the reader's repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A trainer's repository without any file of the program.
    Fresh,
    /// A repository with contracts; no work on 03a has begun.
    Adopted,
    /// The worktree of 03a: the change is committed and pushed, Tier A has passed, the attestation is written, and GitHub has
    /// the pull request 12 and another pull request 13.
    Worked,
}

const REGISTRY: &str = r#"
[meta]
version = "1"
target = "b200"

[gates."cpu:import"]
tier = "a"
timeout_s = 30
cmd = "python3 -c 'import nmoe'"

[gates."cpu:compileall"]
tier = "a"
timeout_s = 60
cmd = "python3 -m compileall -q nmoe/"

[gates."b200:moonlight_8x20"]
tier = "b"
gpus = 8
timeout_s = 900
requires = ["NMOE_DATA_PATH", "NMOE_RUN_ROOT"]
requires_files = ["configs/moonlight.toml"]
cmd = "torchrun --nproc_per_node=8 -m nmoe.train configs/moonlight.toml --steps=20 --data_path=${NMOE_DATA_PATH}"

[gates."perf:baseline_delta"]
tier = "b"
kind = "perf"
compare_gate = "b200:moonlight_8x20"
metric = "node_tps_p50"
perf_args = "--log_every=1"

[bundles]
hot_path_min = ["b200:moonlight_8x20"]
full = ["b200:moonlight_8x20", "perf:baseline_delta"]
"#;

/// Files in the reader's folder that are not committed.
const UNTRACKED: &str = "/issue.md\n/pr.md\n/*.json\n/*.log\n/my-templates\n/report.html\n/junit.xml\n/notes.md\n/parts\n__pycache__\n";

/// A repository with its remote, a fake GitHub, and the current directory of the reader.
pub struct DocumentedFixture {
    sandbox: Sandbox,
    api: FakeGitHub,
    here: PathBuf,
}

/// The result of a command line.
pub struct Left {
    pub code: Option<i32>,
    /// Standard output, then standard error.
    pub said: String,
    pub stdout: String,
    pub stderr: String,
}

impl DocumentedFixture {
    pub fn new(state: State) -> Self {
        let sandbox = Sandbox::new();
        git(&sandbox.path(""), ["init", "-q", "--bare", "remote.git"]);
        sandbox.git(["init", "-q"]);
        sandbox.git([
            "remote",
            "add",
            "origin",
            sandbox.path("remote.git").to_str().unwrap(),
        ]);
        sandbox
            .file("nmoe/__init__.py", "")
            .file("nmoe/train.py", "print('train')\n")
            .file("docs/a.md", "A trainer.\n")
            .file(".git/info/exclude", UNTRACKED);
        if state != State::Fresh {
            sandbox
                .file("configs/gates/gates.toml", REGISTRY)
                .file("configs/moonlight.toml", "steps = 20\n")
                .file("docker/Dockerfile.base", "FROM scratch\n")
                .file(
                    ".github/pull_request_template.md",
                    include_str!("../../.github/pull_request_template.md"),
                );
        }
        sandbox.git(["add", "-A"]);
        sandbox.git(["commit", "-qm", "Begin"]);
        sandbox.git(["push", "-q", "-u", "origin", "master"]);
        sandbox.git(["remote", "set-head", "origin", "master"]);
        let here = sandbox.repo();
        let api = FakeGitHub::start();
        api.issue(4, "[01] Data", &contract("01", "data").allow("nmoe/**").section());
        api.state().issues.get_mut(&4).unwrap()["state"] = "closed".into();
        api.state().issues.get_mut(&4).unwrap()["state_reason"] = "completed".into();
        api.issue(5, "[03a] Attention", &attention());
        api.issue(
            6,
            "[04] Router",
            &contract("04", "router")
                .depends_on("\"01\"")
                .allow("docs/**")
                .section(),
        );
        let reviewed = json!({"name": "b200-gates", "protection_rules": [{"type": "required_reviewers"}]});
        api.state().environments.insert("b200-gates".to_owned(), reviewed);
        let mut fixture = DocumentedFixture { sandbox, api, here };
        match state {
            State::Fresh => {}
            State::Adopted => fixture.supplies(),
            State::Worked => fixture.work(),
        }
        fixture
    }

    /// Makes the change of 03a, up to its pull request.
    fn work(&mut self) {
        self.does("nmoe-gates start 03a");
        self.here = self.sandbox.path("nmoe-worktrees/issue-03a-attention");
        std::fs::write(self.here.join("nmoe/train.py"), "print('attention')\n").unwrap();
        git(&self.here, ["commit", "-qam", "Attend locally"]);
        self.supplies();
        self.does("nmoe-gates run --tier a");
        std::fs::remove_file(self.here.join("pr.md")).unwrap();
        self.does("nmoe-gates attest --write pr.md");
        self.does("git push -q origin HEAD");
        self.opens_a_pull_request();
    }

    /// Does what `gh pr create` does on GitHub, and leaves the results of a maintainer's run: pull request 12, its event, results.
    pub fn opens_a_pull_request(&mut self) {
        let rev = |rev: &str| git(&self.here, ["rev-parse", rev]).trim().to_owned();
        let (head, base) = (rev("HEAD"), rev("origin/master"));
        let body = whole(&std::fs::read_to_string(self.here.join("pr.md")).unwrap());
        std::fs::write(self.here.join("pr.md"), &body).unwrap();
        self.api.pull(12, "issue/03a-attention", &head, &base, &body);
        self.api
            .pull(13, "issue/04-router", &head, &base, "Nothing is written yet.");
        let pull = json!({"pull_request": {
            "number": 12, "body": body, "draft": false,
            "head": { "ref": "issue/03a-attention", "sha": head }, "base": { "ref": "master", "sha": base },
        }});
        std::fs::write(self.sandbox.path("pull_request.json"), pull.to_string()).unwrap();
        let push = json!({"before": base, "after": head, "ref": "refs/heads/issue/03a-attention"});
        std::fs::write(self.sandbox.path("push.json"), push.to_string()).unwrap();
        self.does("nmoe-gates run --tier a --results ~/results.json && cp ~/results.json .");
    }

    /// Writes the files that the pages name into the reader's folder.
    fn supplies(&self) {
        let write = |name: &str, text: &str| std::fs::write(self.here.join(name), text).unwrap();
        write("issue.md", &attention());
        write("notes.md", "Nothing private.\n");
        write(
            "pr.md",
            &whole(include_str!("../../.github/pull_request_template.md")),
        );
        std::fs::create_dir(self.here.join("my-templates")).unwrap();
        write("my-templates/summary.md", "Ours: {{ overall }}\n");
        // One recorded run of the baseline and one of the change.
        for (name, level) in [("base.json", 50_000.0), ("head.json", 49_500.0)] {
            let gate = "b200:moonlight_8x20";
            let mut recorded = results(&"1".repeat(40), &"2".repeat(40), &[(gate, "pass")]);
            let samples: Vec<f64> = (0..24).map(|step| level + f64::from(step * 37 % 11)).collect();
            let series = json!({"count": 24, "p50": level + 5.0, "samples": samples});
            recorded["results"][gate]["metrics"]["node_tps"] = series;
            recorded["results"][gate]["node_tps_p50"] = json!(level + 5.0);
            recorded["results"][gate]["node_tps_samples"] = json!(24);
            write(name, &serde_json::to_string(&recorded).unwrap());
        }
        for launch in 0..4u32 {
            for (arm, level) in [("base", 50_000), ("head", 49_500)] {
                let steps = (1..=24u32).map(|step| {
                    let tps = level + (launch * 131 + step * 37) % 400;
                    format!("step: {step}  loss: 2.5  node_tps: {tps}\n")
                });
                write(&format!("{arm}-{launch}.log"), &steps.collect::<String>());
            }
        }
    }

    /// Writes a file into the reader's folder.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.here.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Returns the folder that contains the repository, its remote and its worktrees.
    pub fn root(&self) -> PathBuf {
        self.sandbox.path("")
    }

    /// Returns the fake GitHub.
    pub fn api(&self) -> &FakeGitHub {
        &self.api
    }

    /// Runs a setup step, which must succeed.
    pub fn does(&mut self, line: &str) {
        let left = self.line(line, None);
        assert_eq!(left.code, Some(0), "{line}\n{}", left.said);
    }

    /// Runs a line of a page in a shell, and keeps the directory that the line changed to.
    pub fn line(&mut self, line: &str, event: Option<&str>) -> Left {
        let stood = self.sandbox.path("stood");
        let script = format!("{line}\nended=$?\npwd > \"$STOOD\"\nexit $ended");
        let path = format!("{}:{}", folder().display(), std::env::var("PATH").unwrap());
        let mut shell = scrubbed("bash");
        shell
            .args(["-c", &script])
            .current_dir(&self.here)
            .stdin(Stdio::null())
            .env("PATH", path)
            .env("HOME", self.sandbox.path("home"))
            .env("TMPDIR", self.sandbox.path("tmp"))
            .env("STOOD", &stood)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GITHUB_API_URL", self.api.url())
            .env("GITHUB_REPOSITORY", REPOSITORY)
            .env("GITHUB_TOKEN", TOKEN);
        for role in ["AUTHOR", "COMMITTER"] {
            shell
                .env(format!("GIT_{role}_NAME"), "A")
                .env(format!("GIT_{role}_EMAIL"), "a@example.com");
        }
        if let Some(event) = event {
            shell
                .env("GITHUB_EVENT_NAME", event)
                .env("GITHUB_EVENT_PATH", self.sandbox.path(&format!("{event}.json")));
        }
        let out = shell.output().unwrap();
        self.here = PathBuf::from(std::fs::read_to_string(stood).unwrap().trim());
        let [stdout, stderr] = [out.stdout, out.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
        Left {
            code: out.status.code(),
            said: format!("{stdout}{stderr}"),
            stdout,
            stderr,
        }
    }
}

fn attention() -> String {
    contract("03a", "attention")
        .depends_on("\"01\"")
        .allow("nmoe/**")
        .section()
}

/// Returns a description as its author leaves it: sections filled in, boxes ticked, no unmeasured number claimed.
fn whole(body: &str) -> String {
    body.replace("- [ ]", "- [x]")
        .replace("Fixes: #\n", "Fixes: #5\n")
}
