//! Tests `resolve`: the information for the maintainer who approves, and refusals.

use serde_json::{Value, json};

use crate::driver::{Call, Sandbox};
use crate::fake_github::{FakeGitHub, Fault, REPOSITORY};
use crate::output_escaping::{acts, only_text, structure, tricks};
use crate::pull_fixture::{BASE, HEAD, MERGE, TREE};
use crate::support::registry::registry;

/// Returns the registry of the policy checkout.
fn policy() -> String {
    registry()
        .gate("cpu:one", "true", "tier = \"a\"\ntimeout_s = 60")
        .gate(
            "b200:two",
            "python train.py",
            "tier = \"b\"\ngpus = 8\ntimeout_s = 600",
        )
        .perf("perf:delta", "b200:two", "pairs = 2")
        .bundle("full", &["cpu:one", "b200:two", "perf:delta"])
        .bundle("small", &["b200:two"])
        .text()
}

const CONTRACT: &str = "### Agent Contract (YAML, required)\n\n```yaml\nnmoe:\n  issue: 03a\n  slug: attention\n  kind: perf\n  risk: hot\n  complexity: M\nscope:\n  allow: [\"nmoe/**\"]\ncontract:\n  invariants: [\"B200-only\"]\ngates:\n  required: [\"cpu:one\", \"b200:two\"]\n```\n";

const BODY: &str = "## PR Attestation (YAML, required)\n```yaml\nnmoe_pr:\n  issue: 03a\n  pr_sha: 1111111\n  risk: hot\ngates_passed:\n  tier_a: [\"cpu:one\"]\n  tier_b: []\n```\n## Links\nFixes: #7\nFixes: #6\n";

/// The printed step needs the inputs of this call, and exists only if tier-b.yml has them.
#[test]
fn next_step_keeps_options_of_the_call() {
    let fixture = ResolveFixture::new();
    let workflow = include_str!("../../.github/workflows/tier-b.yml");
    let next = |options: &[&str]| -> Vec<String> {
        let call = fixture.call(&[options, &["--format", "json"]].concat());
        let json = call.run().exits(0).any_output().any_files().json();
        let steps = json["next"].as_array().cloned().unwrap_or_default();
        let words = |step: &Value| step["command"].as_str().unwrap().to_owned();
        steps.iter().map(words).collect()
    };
    let dispatch = "gh workflow run tier-b.yml -f pr_number=5 -f bundle=";
    for (options, step) in [
        (["--bundle", "small"].as_slice(), "small"),
        (
            &["--bundle", "small", "--registry-from-change"],
            "small -f registry_from_change=true",
        ),
        (&["--gate", "b200:two"], "single -f single_gate=b200:two"),
    ] {
        let steps = next(options);
        assert_eq!(steps, [format!("{dispatch}{step} -R octo-org/trainer")]);
        for input in steps[0].split(" -f ").skip(1) {
            let (name, _) = input.split_once('=').unwrap();
            assert!(workflow.contains(&format!("      {name}:\n")), "{name}");
        }
    }
    for options in [
        ["--tier", "b"].as_slice(),
        &["--gate", "b200:two", "cpu:one"],
        &["--bundle", "small", "--issue", "6"],
    ] {
        assert_eq!(next(options), Vec::<String>::new(), "{options:?}");
    }
    assert_eq!(
        next(&["--tier", "b", "--output", "../r.json"]),
        ["nmoe-gates run --resolution ../r.json --tier b"]
    );
    let file = std::fs::read_to_string(fixture.sandbox.path("r.json")).unwrap();
    assert!(!file.contains("\"next\""), "{file}");
    let settings = "[publish]\nworkflows = [\".github/workflows/gpu.yml\"]\n";
    fixture.sandbox.file("configs/nmoe-gates.toml", settings);
    assert_eq!(
        next(&["--bundle", "small"]),
        [format!("{dispatch}small -R octo-org/trainer").replace("tier-b.yml", "gpu.yml")]
    );
}

struct ResolveFixture {
    api: FakeGitHub,
    sandbox: Sandbox,
}

impl ResolveFixture {
    fn new() -> Self {
        let fixture = ResolveFixture {
            api: FakeGitHub::start(),
            sandbox: Sandbox::new(),
        };
        fixture.sandbox.file("configs/gates/gates.toml", policy());
        fixture.api.pull(5, "issue/03a-attention", HEAD, BASE, BODY);
        fixture.api.issue(6, "[03a] Attention", CONTRACT);
        fixture
            .api
            .issue(7, "[04] Another", &CONTRACT.replace("03a", "04"));
        fixture.merge_of(HEAD);
        {
            let mut state = fixture.api.state();
            state
                .editors
                .insert(6, ("captain".to_owned(), Some("editor".to_owned())));
            for commit in [BASE, MERGE] {
                state.files.insert(
                    (commit.to_owned(), "configs/gates/gates.toml".to_owned()),
                    policy(),
                );
            }
        }
        fixture
    }

    fn merge_of(&self, head: &str) {
        let mut state = self.api.state();
        state.refs.insert("pull/5/merge".to_owned(), MERGE.to_owned());
        state.commits.insert(
            MERGE.to_owned(),
            json!({"sha": MERGE, "tree": {"sha": TREE}, "parents": [{"sha": BASE}, {"sha": head}]}),
        );
    }

    fn call(&self, more: &[&str]) -> Call {
        let args = [&["resolve", "--pr", "5"], more].concat();
        self.api
            .serves(self.sandbox.gates(args))
            .env("NMOE_API_PATIENCE_S", "0")
    }

    fn json(&self, more: &[&str]) -> Value {
        self.call(&[more, &["--format", "json"]].concat())
            .run()
            .exits(0)
            .json()
    }

    fn propose(&self, text: &str) {
        let key = (MERGE.to_owned(), "configs/gates/gates.toml".to_owned());
        self.api.state().files.insert(key, text.to_owned());
    }
}

#[test]
fn resolution_has_ids_contract_gates_and_cost() {
    let fixture = ResolveFixture::new();
    let said = fixture.json(&["--bundle", "full"]);
    assert_eq!(said["repository"], REPOSITORY);
    let ids = ["head", "base", "merge", "tree"].map(|key| said[key].as_str().unwrap().to_owned());
    assert_eq!(ids, [HEAD, BASE, MERGE, TREE]);
    assert_eq!(said["gate_ids"], json!(["cpu:one", "b200:two", "perf:delta"]));
    assert_eq!(said["uncovered"], json!([]));
    // One measurement on 8 GPUs for 10 minutes, at most twelve pairs, and one warm-up.
    assert_eq!(said["gpu_minutes"], 80.0 + 26.0 * 80.0);
    let contract = &said["contract"];
    assert_eq!(
        contract["issue"], 6,
        "the one that the attestation names, not the first that is closed"
    );
    assert_eq!(
        (&contract["author"], &contract["editor"]),
        (&json!("captain"), &json!("editor"))
    );
    assert_eq!(contract["body"], CONTRACT);
    assert_eq!(said["registry"]["proposed"], json!(null));
    let nonce = said["nonce"].as_str().unwrap();
    assert!(nonce.len() == 32 && nonce != fixture.json(&["--bundle", "full"])["nonce"]);
    // The author attests Tier A, so only gates of Tier B can be missing.
    assert_eq!(fixture.json(&["--bundle", "small"])["uncovered"], json!([]));
    assert_eq!(
        fixture.json(&["--gate", "perf:delta"])["uncovered"],
        json!(["b200:two"])
    );
    assert!(fixture.api.writes().is_empty(), "resolving only reads");
}

#[test]
fn lint_findings_are_in_resolution() {
    let fixture = ResolveFixture::new();
    let hostile = CONTRACT
        .replace("cpu:one", "cpu:unknown")
        .replace("nmoe/**", "!nmoe\\n::error::x ##[error] @octocat");
    fixture.api.issue(6, "[03a] Attention", &hostile);
    let said = fixture.json(&["--bundle", "full"]);
    let codes: Vec<&str> = said["findings"]["shown"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect();
    assert!(codes.contains(&"unknown-gate"), "{codes:?}");
    assert!(said["findings"]["errors"].as_u64().unwrap() > 0);
    let out = fixture.call(&["--bundle", "full"]).run().exits(0);
    assert!(out.stdout.contains("- error `unknown-gate`"), "{}", out.stdout);
    assert!(
        crate::attack::runner::commands(&out.stdout).is_empty(),
        "{}",
        out.stdout
    );
}

/// Titles and logins come from GitHub, and stand in the log and in the summary that the approver reads.
#[test]
fn titles_and_logins_are_inert() {
    let show = |value: &str| {
        let fixture = ResolveFixture::new();
        fixture.api.issue(6, &format!("[03a] {value}"), CONTRACT);
        {
            let mut state = fixture.api.state();
            state
                .editors
                .insert(6, (format!("a{value}"), Some(format!("e{value}"))));
            let pull = state.pulls.get_mut(&5).unwrap();
            pull["title"] = json!(value);
            pull["user"]["login"] = json!(format!("u{value}"));
        }
        let summary = fixture.sandbox.path("summary");
        let call = fixture.call(&["--bundle", "full", "--output", "../resolution.json"]);
        let out = call
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_STEP_SUMMARY", &summary)
            .run()
            .any_code()
            .any_output()
            .any_files();
        (out, std::fs::read_to_string(summary).unwrap_or_default())
    };
    let (plain, page) = show("x");
    assert!(!page.is_empty(), "{}", plain.stderr);
    for trick in tricks() {
        let (out, summary) = show(trick);
        let what = format!("{trick:?}");
        assert_eq!(out.code(), plain.code(), "{what}\n{}", out.stderr);
        only_text(&what, "human", &out, &plain);
        assert_eq!(
            structure("summary", &summary),
            structure("summary", &page),
            "{what}\n{summary}"
        );
        // The summary is a page, not a log, so `##[` means nothing there.
        let acting = acts(&summary.replace("##[", "[["));
        assert_eq!(acting, Vec::<String>::new(), "{what}\n{summary}");
    }
}

#[test]
fn workflow_gets_outputs_and_summary() {
    let fixture = ResolveFixture::new();
    let path = |name: &str| fixture.sandbox.path(name);
    let out = fixture
        .call(&["--gate", "perf:delta", "--output", "../resolution.json"])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", path("output"))
        .env("GITHUB_STEP_SUMMARY", path("summary"))
        .run()
        .exits(0);
    assert_eq!(
        std::fs::read_to_string(path("output")).unwrap(),
        format!("merge={MERGE}\n")
    );
    let summary = std::fs::read_to_string(path("summary")).unwrap();
    assert_eq!(summary, out.stdout);
    assert!(
        summary.contains(&format!("| merge, the commit under test | `{MERGE}` |")),
        "{summary}"
    );
    assert!(
        summary.contains("80 GPU-minutes") && summary.contains("by `editor`"),
        "{summary}"
    );
    assert!(
        summary.contains("**not covered**, though the contract requires it | `b200:two`"),
        "{summary}"
    );
    let file = std::fs::read_to_string(path("resolution.json")).unwrap();
    assert_eq!(file.lines().count(), 1);
    serde_json::from_str::<Value>(&file).unwrap();
}

#[test]
fn merge_of_other_head_is_refused() {
    let fixture = ResolveFixture::new();
    fixture.merge_of(BASE);
    let out = fixture.call(&["--bundle", "full"]).run().exits(3);
    assert!(
        out.stderr.contains(
            "cannot use GitHub's merge of pull request 5: it is not with the current base, and it cannot be made here"
        ),
        "{}",
        out.stderr
    );
    // The commit arrives during the requests.
    fixture.api.before(|seen, state| {
        if seen.path.contains("/git/commits/") {
            state.commits.get_mut(MERGE).unwrap()["parents"][1]["sha"] = json!(HEAD);
        }
    });
    fixture
        .call(&["--bundle", "full"])
        .run()
        .exits(0)
        .prints("### Tier B: what is to be approved");
    fixture.api.state().refs.remove("pull/5/merge");
    fixture.api.state().pulls.get_mut(&5).unwrap()["mergeable"] = json!(false);
    assert!(
        fixture
            .call(&["--bundle", "full"])
            .run()
            .exits(3)
            .stderr
            .contains("conflicts")
    );
    fixture.api.state().pulls.get_mut(&5).unwrap()["state"] = json!("closed");
    assert!(
        fixture
            .call(&["--bundle", "full"])
            .run()
            .exits(3)
            .stderr
            .contains("not open")
    );
}

#[test]
fn proposed_registry_is_used_only_on_request() {
    let fixture = ResolveFixture::new();
    fixture.propose(
        &policy()
            .replace("python train.py", "true")
            .replace("gpus = 8\n", ""),
    );
    let said = fixture.json(&["--bundle", "full"]);
    assert_eq!(said["registry"]["source"], "base");
    assert_eq!(said["gpu_minutes"], 2160.0, "by the base's registry");
    assert_eq!(
        said["registry"]["proposed"]["changes"],
        json!([{"table": "gate", "name": "b200:two", "how": "changed", "keys": ["cmd", "gpus"]}])
    );
    let out = fixture.call(&["--bundle", "full"]).run().exits(0);
    assert!(
        out.stdout.contains("Registry: proposed, not active"),
        "{}",
        out.stdout
    );
    let own = fixture.json(&["--bundle", "full", "--registry-from-change"]);
    assert_eq!(own["registry"]["source"], "proposed");
    assert_eq!(own["gpu_minutes"], 0.0);
    assert_ne!(own["registry"]["sha256"], said["registry"]["sha256"]);
    fixture.propose("not = [toml");
    assert_eq!(
        fixture.json(&["--bundle", "full"])["registry"]["proposed"]["readable"],
        false
    );
    fixture
        .call(&["--bundle", "full", "--registry-from-change"])
        .run()
        .exits(3)
        .reports("no usable registry");
}

#[test]
fn moved_base_is_not_a_registry_change() {
    let fixture = ResolveFixture::new();
    for commit in [BASE, MERGE] {
        let key = (commit.to_owned(), "configs/gates/gates.toml".to_owned());
        fixture
            .api
            .state()
            .files
            .insert(key, "[gates.old]\ntier='a'\n".to_owned());
    }
    assert_eq!(
        fixture.json(&["--bundle", "full"])["registry"]["proposed"],
        json!(null)
    );
}

#[test]
fn missing_contract_or_editor_is_reported() {
    let fixture = ResolveFixture::new();
    let refused = Fault::Status(403, "Resource not accessible by integration", Vec::new());
    fixture.api.fault("POST", "/graphql", refused, 1);
    let out = fixture
        .call(&["--bundle", "full"])
        .run()
        .exits(0)
        .prints("### Tier B: what is to be approved");
    assert!(
        out.stderr.contains("GitHub does not tell who wrote it"),
        "{}",
        out.stderr
    );
    fixture.api.pull(5, "b", HEAD, BASE, "Fixes: #99");
    let out = fixture.call(&["--bundle", "full"]).run().exits(0);
    assert!(
        out.stderr.contains("no issue with a contract") && out.stdout.contains("| contract | **none**"),
        "{out:?}"
    );
    assert_eq!(
        fixture
            .call(&["--bundle", "full", "--issue", "6", "--format", "json"])
            .run()
            .exits(0)
            .json()["contract"]["issue"],
        6
    );
    fixture
        .call(&["--bundle", "full", "--issue", "99"])
        .run()
        .exits(3)
        .reports("error: cannot complete GET");
    fixture.api.issue(8, "x", "no contract");
    fixture
        .call(&["--bundle", "full", "--issue", "8"])
        .run()
        .exits(2)
        .reports("error: cannot use the contract of issue 8");
    fixture
        .call(&["--bundle", "ful"])
        .run()
        .exits(2)
        .reports("error: cannot find the bundle `ful");
}

#[test]
fn deleted_fork_is_resolved() {
    let resolved = |repo: Value| {
        let fixture = ResolveFixture::new();
        fixture.api.state().pulls.get_mut(&5).unwrap()["head"]["repo"] = repo;
        let out = fixture
            .call(&["--bundle", "small", "--format", "json"])
            .run()
            .exits(0);
        let mut resolution: Value = serde_json::from_str(&out.stdout).unwrap();
        resolution["nonce"].take();
        resolution
    };
    let own = resolved(json!({"full_name": REPOSITORY}));
    assert_eq!(resolved(json!({"full_name": "stranger/trainer"})), own);
    assert_eq!(resolved(Value::Null), own);
}
