//! A pull request with a resolution and results, and the policy checkout that publishes them.

use serde_json::{Value, json};

use crate::driver::{Call, Outcome, Sandbox};
use crate::fake_github::{FakeGitHub, REPOSITORY};
use crate::support::digest::sha256;
use crate::support::registry::registry;

pub const HEAD: &str = "1111111111111111111111111111111111111111";
pub const BASE: &str = "2222222222222222222222222222222222222222";
pub const MERGE: &str = "3333333333333333333333333333333333333333";
pub const TREE: &str = "4444444444444444444444444444444444444444";
pub const OTHER: &str = "5555555555555555555555555555555555555555";
pub const NONCE: &str = "0123456789abcdef0123456789abcdef";
const BODY: &str = "an agreed contract";

/// Returns the registry of the policy checkout.
fn policy() -> String {
    registry()
        .gate("cpu:one", "true", "tier = \"a\"\ntimeout_s = 600")
        .gate(
            "b200:two",
            "python train.py configs/moonlet.toml",
            "tier = \"b\"\ngpus = 8\ntimeout_s = 600\nrequires = [\"NMOE_DATA_PATH\"]\nrequires_files = [\"configs/moonlet.toml\"]",
        )
        .bundle("full", &["cpu:one", "b200:two"])
        .text()
}

/// A resolved pull request, and the policy checkout that publishes its results.
pub struct PullFixture {
    pub api: FakeGitHub,
    pub sandbox: Sandbox,
}

impl PullFixture {
    pub fn new() -> Self {
        let fixture = PullFixture {
            api: FakeGitHub::start(),
            sandbox: Sandbox::new(),
        };
        fixture.sandbox.file("configs/gates/gates.toml", policy());
        fixture.api.pull(5, "issue/01-x", HEAD, BASE, "Fixes: #1");
        fixture.api.issue(1, "[01] A contract", BODY);
        fixture.set_merge(MERGE, HEAD, TREE);
        std::fs::write(
            fixture.sandbox.path("resolution.json"),
            fixture.resolution().to_string(),
        )
        .unwrap();
        fixture
    }

    /// Sets the commit of `refs/pull/5/merge`.
    pub fn set_merge(&self, merge: &str, head: &str, tree: &str) {
        let mut state = self.api.state();
        state.refs.insert("pull/5/merge".to_owned(), merge.to_owned());
        state.commits.insert(
            merge.to_owned(),
            json!({"sha": merge, "tree": {"sha": tree}, "parents": [{"sha": BASE}, {"sha": head}]}),
        );
        state.pulls.get_mut(&5).unwrap()["head"]["sha"] = json!(head);
    }

    pub fn resolution(&self) -> Value {
        json!({"schema": 1, "repository": REPOSITORY, "pull": 5, "head": HEAD, "base": BASE, "base_branch": "master", "merge": MERGE,
            "tree": TREE, "bundle": "full", "gate_ids": ["cpu:one", "b200:two"], "uncovered": [],
            "registry": {"sha256": sha256(policy()), "source": "base", "proposed": null},
            "contract": {"issue": 1, "sha256": sha256(BODY), "standing": "written", "author": "captain", "editor": null,
                "edited_at": null, "body": BODY},
            "findings": {"errors": 0, "warnings": 0, "shown": []}, "gpu_minutes": 8.0, "nonce": NONCE, "tool": "0.1.0"})
    }

    /// Returns results of that run in which all gates pass.
    pub fn results(&self) -> Value {
        let pass =
            json!({"status": "pass", "reason": null, "rc": 0, "duration_s": 1.5, "node_tps_p50": null});
        json!({"schema": 1, "bundle": "full", "gate_ids": ["cpu:one", "b200:two"], "overall": "pass", "uncovered": [],
            "evidence": {"head": HEAD, "base": BASE, "merge": MERGE, "tree": TREE, "dirty": false,
                "registry": sha256(policy()), "contract": sha256(BODY), "kernels": {}, "image": null,
                "tool": "0.1.0", "target": "b200x8", "run": NONCE},
            "started_at": "2026-01-02T03:04:05Z", "duration_s": 3.0,
            "results": {"cpu:one": pass, "b200:two": pass}})
    }

    /// Returns the call that publishes these results as the report job does.
    pub fn call(&self, results: &Value) -> Call {
        self.raw(results.to_string())
    }

    /// Returns the call that publishes these bytes.
    pub fn raw(&self, results: impl AsRef<[u8]>) -> Call {
        std::fs::write(self.sandbox.path("results.json"), results).unwrap();
        let args = [
            "publish",
            "../results.json",
            "--pr",
            "5",
            "--resolution",
            "../resolution.json",
        ];
        self.api
            .serves(self.sandbox.gates(args))
            .env("GITHUB_SERVER_URL", "https://github.example")
    }

    pub fn publish(&self, results: &Value, run: u32) -> Outcome {
        self.api.tier_b_run(run.into(), BASE);
        self.call(results)
            .env("GITHUB_RUN_ID", run.to_string())
            .env("GITHUB_RUN_ATTEMPT", "1")
            .run()
    }

    /// Returns the only comment.
    #[track_caller]
    pub fn comment(&self) -> String {
        let all = self.api.comments(5);
        assert_eq!(all.len(), 1, "{all:#?}");
        all[0].clone()
    }

    /// Returns state and description of the newest status of the head.
    #[track_caller]
    pub fn status(&self) -> (String, String) {
        let state = self.api.state();
        let status = &state.statuses[HEAD][0];
        assert_eq!(status["context"], "nmoe-gates/full");
        let text = |key: &str| status[key].as_str().unwrap().to_owned();
        (text("state"), text("description"))
    }
}
