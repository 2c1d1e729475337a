//! Tests the way of a pull request on the GitHub stand-in: `resolve`, `run`, `publish` and `ready` under GitHub's rules of 2026.
//!
//! The gates of Tier B need no GPU here, so the complete way runs on every machine.

use serde_json::{Value, json};

use crate::driver::{Call, Outcome, Sandbox, git};
use crate::github::GitHub;
use crate::support::contract::contract;
use crate::support::digest::sha256;
use crate::support::registry::{Registry, registry};

/// Two gates of Tier A, and two of Tier B that need no GPU.
pub fn gates() -> Registry {
    registry()
        .gate("cpu:import", "true", "tier = \"a\"\ntimeout_s = 60")
        .gate("cpu:compileall", "true", "tier = \"a\"\ntimeout_s = 60")
        .gate("host:one", "test ! -e broken", "tier = \"b\"\ntimeout_s = 60")
        .gate("host:two", "true", "tier = \"b\"\ntimeout_s = 60")
        .bundle("one", &["host:one"])
}

/// A repository on the stand-in, and a clone of its default branch: the trusted checkout of the workflows.
pub struct Loop {
    pub github: GitHub,
    pub sandbox: Sandbox,
    /// The longest time of a request in seconds.
    pub timeout_s: u32,
}

impl Loop {
    pub fn new() -> Self {
        Loop::with(&[
            ("configs/gates/gates.toml", &gates().text()),
            ("a", "1\n"),
            ("b", "1\n"),
        ])
    }

    /// Begins with these files on the default branch.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let github = GitHub::start();
        github.push("master", files);
        let sandbox = Sandbox::new();
        sandbox.git(["init", "-q"]);
        sandbox.git(["remote", "add", "origin", github.remote().to_str().unwrap()]);
        let way = Loop {
            github,
            sandbox,
            timeout_s: 2,
        };
        way.update();
        way
    }

    /// Brings the trusted checkout to the tip of the default branch.
    pub fn update(&self) {
        self.sandbox.git(["fetch", "-q", "origin"]);
        self.sandbox
            .git(["checkout", "-q", "-B", "master", "origin/master"]);
    }

    /// Opens a contract with these gates, and a pull request that changes a file, with an approval.
    pub fn offer(&self, id: &str, file: &str, text: &str, gates: &str) -> u64 {
        let issue: u64 = id.parse().unwrap();
        let terms = contract(id, "x").allow(file).requires(gates).issue_body();
        self.github.api.issue(issue, &format!("[{id}] Work"), &terms);
        let branch = format!("issue/{id}-x");
        self.github.push(&branch, &[(file, text)]);
        let number = issue + 10;
        self.github.open(number, &branch, "writer", "");
        self.attest(number, id, "cpu:import, cpu:compileall");
        self.github.review(number, "reviewer", "APPROVED");
        number
    }

    /// Writes an attestation of the current head with these gates of Tier A into the description.
    pub fn attest(&self, number: u64, id: &str, tier_a: &str) {
        let (head, base) = (
            self.github.tip(&format!("issue/{id}-x")),
            self.github.tip("master"),
        );
        let body = format!(
            "## PR Attestation (YAML, required)\n\n```yaml\nnmoe_pr:\n  issue: {id}\n  baseline_sha: {base}\n  pr_sha: {head}\n  risk: cold\n\n\
             gates_passed:\n  tier_a: [{tier_a}]\n  tier_b: []\n```\n\n## Summary\n- Work.\n\n## Links\n- Fixes: #{}\n\n\
             ## Public-safety (required)\n- [x] Nothing private.\n- [x] Paths come from configuration.\n\n## Reviewer focus\n- all\n",
            number - 10
        );
        let mut state = self.github.api.state();
        state.pulls.get_mut(&number).unwrap()["body"] = body.as_str().into();
        state.issues.get_mut(&number).unwrap()["body"] = body.into();
    }

    pub fn call(&self, args: &[&str]) -> Call {
        self.github
            .serves(self.sandbox.gates(args))
            .env("GITHUB_SERVER_URL", "https://github.example")
            .env("NMOE_API_TIMEOUT_S", self.timeout_s.to_string())
    }

    pub fn resolve(&self, number: u64, more: &[&str]) -> Outcome {
        let number = number.to_string();
        let args = [
            &["resolve", "--pr", &number, "--output", "../resolution.json"],
            more,
        ]
        .concat();
        std::fs::write(self.sandbox.path("outputs"), "").unwrap();
        self.call(&args)
            .env("GITHUB_OUTPUT", self.sandbox.path("outputs"))
            .run()
    }

    /// Resolves a bundle, and returns what `resolve` printed on standard error.
    pub fn resolved(&self, number: u64, which: &[&str]) -> String {
        let out = self.resolve(number, which).exits(0);
        out.prints("### Tier B: what is to be approved").stderr.into()
    }

    pub fn resolution(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.sandbox.path("resolution.json")).unwrap()).unwrap()
    }

    /// Checks out what `resolve` named, as the gates job does.
    pub fn checkout(&self) -> std::path::PathBuf {
        let outputs = std::fs::read_to_string(self.sandbox.path("outputs")).unwrap();
        let commit = outputs
            .lines()
            .find_map(|line| line.strip_prefix("merge="))
            .unwrap();
        let subject = self.sandbox.path("subject");
        let _ = std::fs::remove_dir_all(&subject);
        let remote = self.github.remote();
        git(
            &self.sandbox.path(""),
            ["clone", "-q", remote.to_str().unwrap(), "subject"],
        );
        // actions/checkout fetches all branches, and the commit by its id.
        git(
            &subject,
            ["fetch", "-q", "origin", "+refs/pull/*:refs/remotes/pull/*"],
        );
        git(&subject, ["checkout", "-q", "--detach", commit]);
        subject
    }

    /// Runs the gates of the resolution in a new checkout. Returns the recorded results.
    pub fn gates(&self, more: &[&str]) -> Value {
        self.checkout();
        self.gates_with(more, &std::env::var("PATH").unwrap())
    }

    /// Runs the gates of the resolution with this search path. Returns the recorded results.
    pub fn gates_with(&self, more: &[&str], path: &str) -> Value {
        let args = [
            &[
                "run",
                "--subject",
                "../subject",
                "--resolution",
                "../resolution.json",
                "--results",
                "../results.json",
            ],
            more,
        ]
        .concat();
        let call = self
            .call(&args)
            .env("PATH", path)
            .env("HOME", self.sandbox.path("home"));
        call.run().any_code().any_output().any_files();
        serde_json::from_slice(&std::fs::read(self.sandbox.path("results.json")).unwrap()).unwrap()
    }

    pub fn publish(&self, number: u64, run: u64) -> Outcome {
        let args = [
            "publish",
            "../results.json",
            "--pr",
            &number.to_string(),
            "--resolution",
            "../resolution.json",
            "--evidence",
            "../evidence",
        ];
        self.github.api.tier_b_run(run, &self.github.tip("master"));
        let folder = self.sandbox.path("evidence");
        std::fs::create_dir_all(&folder).unwrap();
        let out = self
            .call(&args)
            .env("GITHUB_RUN_ID", run.to_string())
            .env("GITHUB_RUN_ATTEMPT", "1")
            .run();
        self.github.api.upload_evidence(run, &folder);
        out
    }

    /// Runs Tier B as tier-b.yml does.
    pub fn tier_b(&self, number: u64, run: u64, which: &[&str]) {
        self.update();
        self.resolved(number, which);
        self.gates(which);
        self.publish(number, run).exits(0).any_output();
    }

    pub fn ready(&self, number: u64) -> Value {
        let out = self
            .call(&["ready", &number.to_string(), "--format", "json"])
            .run();
        let pull = out.json()["pulls"][0].clone();
        assert_eq!(out.code(), Some(i32::from(pull["ready"] == false)), "{pull}");
        pull
    }

    pub fn codes(&self, number: u64) -> Vec<String> {
        let ready = self.ready(number);
        let all = ready["blockers"].as_array().unwrap().iter();
        all.map(|b| b["code"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns state and description of the current status of a context, `nmoe-gates/` left out.
    pub fn status(&self, number: u64, key: &str) -> (String, String) {
        let state = self.github.api.state();
        let head = state.pulls[&number]["head"]["sha"].as_str().unwrap();
        let statuses = state.statuses.get(head).cloned().unwrap_or_default();
        let context = format!("nmoe-gates/{key}");
        let status = statuses
            .iter()
            .find(|s| s["context"] == context)
            .cloned()
            .unwrap_or_default();
        let text = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
        (text("state"), text("description"))
    }

    pub fn merge(&self, number: u64) {
        let head = self.github.api.state().pulls[&number]["head"]["sha"].clone();
        self.github
            .merge(number, &json!({"sha": head, "merge_method": "squash"}));
    }
}

/// B1: GitHub does not remake the test merge when the base moves. Each merge of a wave left the others in a loop.
#[test]
fn slow_wave_of_merges_ends_without_a_loop() {
    let way = Loop::new();
    let (first, second) = (
        way.offer("01", "a", "2\n", "host:one"),
        way.offer("02", "b", "2\n", "host:one"),
    );
    for number in [first, second] {
        way.github.settle(number);
        way.tier_b(number, number, &["--bundle", "one"]);
        assert_eq!(way.codes(number), Vec::<String>::new(), "#{number}");
    }
    way.merge(first);
    assert_eq!(way.codes(second), ["evidence-stale"]);
    // GitHub's merge still has the old base. `resolve` makes the merge with the current base.
    way.update();
    way.resolved(second, &["--bundle", "one"]);
    let (resolution, tip) = (way.resolution(), way.github.tip("master"));
    assert_eq!(resolution["base"], tip);
    assert_eq!(
        resolution["registry"]["proposed"],
        json!(null),
        "the merge is not on GitHub"
    );
    let head = way.github.tip("issue/02-x");
    assert!(
        std::fs::read_to_string(way.sandbox.path("outputs"))
            .unwrap()
            .contains(&format!("merge={head}\n"))
    );
    let made = resolution["merge"].clone();
    way.resolved(second, &["--bundle", "one"]);
    assert_eq!(
        way.resolution()["merge"],
        made,
        "the same parents give the same merge"
    );
    // The gates job makes the same merge in its own checkout, and the results are about it.
    way.tier_b(second, 100, &["--bundle", "one"]);
    let results: Value =
        serde_json::from_slice(&std::fs::read(way.sandbox.path("results.json")).unwrap()).unwrap();
    assert_eq!(
        (&results["overall"], &results["evidence"]["merge"]),
        (&json!("pass"), &made)
    );
    assert_eq!(way.codes(second), Vec::<String>::new());
    way.merge(second);
    assert_eq!(git(&way.github.remote(), ["show", "master:a"]), "2\n");
    assert_eq!(git(&way.github.remote(), ["show", "master:b"]), "2\n");
}

/// The registry of the pull request is read from the merge, which GitHub does not have.
#[test]
fn slow_proposed_registry_of_local_merge() {
    let way = Loop::new();
    let number = way.offer(
        "01",
        "configs/gates/gates.toml",
        &format!("{}# a comment\n", gates().text()),
        "host:one",
    );
    way.github.settle(number);
    way.github.push("master", &[("b", "2\n")]);
    let which = ["--bundle", "one", "--registry-from-change"];
    way.update();
    way.resolved(number, &which);
    let resolution = way.resolution();
    assert_eq!(
        (&resolution["base"], &resolution["registry"]["source"]),
        (&json!(way.github.tip("master")), &json!("proposed"))
    );
    assert_eq!(way.gates(&which[..2])["overall"], "pass");
    way.publish(number, 1).exits(0);
    assert_eq!(way.status(number, "one+proposed").0, "success");
    assert_eq!(
        way.status(number, "one").0,
        "",
        "branch protection requires this one"
    );
}

#[test]
fn fresh_merge_is_used_and_pending_one_awaited() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    // GitHub answers null at first, and has no ref before.
    way.resolved(number, &["--bundle", "one"]);
    let resolution = way.resolution();
    let github = git(&way.github.remote(), ["rev-parse", "refs/pull/11/merge"]);
    assert_eq!(resolution["merge"], github.trim());
    // A repeated request is conditional, so that an unchanged answer does not count against the rate limit.
    let tagged: Vec<bool> = way
        .github
        .api
        .state()
        .seen
        .iter()
        .filter(|request| request.path.ends_with("/git/ref/heads/master"))
        .map(|request| request.headers.contains_key("if-none-match"))
        .collect();
    assert_eq!(tagged, [false, true]);
    way.github.push("master", &[("a", "3\n")]);
    let out = way.resolve(number, &["--bundle", "one"]).exits(3);
    out.reports("still checking").reports("conflicts with its base");
}

/// A run that ends after another merge proves nothing about the present base, and must not look green.
#[test]
fn slow_base_moves_during_run() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    way.resolved(number, &["--bundle", "one"]);
    way.gates(&["--bundle", "one"]);
    way.github.push("master", &[("b", "2\n")]);
    way.publish(number, 1).exits(0);
    let (state, line) = way.status(number, "one");
    assert_eq!(state, "error");
    assert!(line.starts_with("stale: base"), "{line}");
}

/// B2: a contract that requires gates of Tier A could never get a green status.
#[test]
fn slow_attested_tier_a_makes_the_status_green() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    way.tier_b(number, 1, &["--bundle", "one"]);
    let attested = (
        "success".to_owned(),
        "1 pass; Tier A attested by the author".to_owned(),
    );
    assert_eq!(way.status(number, "one"), attested);
    // The same publication sets no second status: GitHub has room for 1,000 of a context.
    way.publish(number, 1).exits(0).any_output();
    let statuses = |way: &Loop| {
        way.github
            .api
            .state()
            .statuses
            .values()
            .map(Vec::len)
            .sum::<usize>()
    };
    assert_eq!(statuses(&way), 1);
    let comment = way.github.api.comments(number).remove(0);
    assert!(
        comment.contains("Tier A: attested by the author, not run here: `cpu:import`, `cpu:compileall`."),
        "{comment}"
    );
    assert_eq!(way.codes(number), Vec::<String>::new());
    // Without the attestation it is pending, and `ready` says the same.
    way.attest(number, "01", "cpu:import");
    way.publish(number, 2).exits(0);
    let (state, line) = way.status(number, "one");
    assert_eq!(
        (state.as_str(), line.contains("Tier A not attested")),
        ("pending", true),
        "{line}"
    );
    assert!(way.codes(number).contains(&"tier-a-missing".to_owned()));
}

/// B3 and B7: an older run that publishes later, or at the same time, wins nowhere.
#[test]
fn slow_older_run_changes_neither_comment_nor_status() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    way.resolved(number, &["--bundle", "one"]);
    way.gates(&["--bundle", "one"]);
    let pass = std::fs::read(way.sandbox.path("results.json")).unwrap();
    let mut failed: Value = serde_json::from_slice(&pass).unwrap();
    let gate = &mut failed["results"]["host:one"];
    (gate["status"], gate["reason"], gate["rc"]) = (json!("fail"), json!("exit_code"), json!(1));
    failed["overall"] = json!("fail");
    std::fs::write(way.sandbox.path("results.json"), failed.to_string()).unwrap();
    way.publish(number, 101).exits(0);
    let after = (way.status(number, "one"), way.github.api.comments(number));
    assert_eq!(after.0.0, "failure");
    std::fs::write(way.sandbox.path("results.json"), &pass).unwrap();
    let out = way.publish(number, 100).exits(0);
    assert!(out.stderr.contains("newer run"), "{}", out.stderr);
    assert_eq!(
        (way.status(number, "one"), way.github.api.comments(number)),
        after
    );

    way.github.api.tier_b_run(300, &way.github.tip("master"));
    // The newer run publishes between the older run's last look and its write.
    let head = way.github.tip("issue/01-x");
    way.github.api.before(move |request, state| {
        if request.method == "PATCH" && request.path.contains("/comments/") {
            let mut newer = state.statuses[&head][0].clone();
            newer["target_url"] =
                "https://github.example/octo-org/trainer/actions/runs/300/attempts/1".into();
            (newer["state"], newer["description"]) = ("failure".into(), "1 fail".into());
            if !state.statuses[&head]
                .iter()
                .any(|s| s["target_url"] == newer["target_url"])
            {
                state.statuses.get_mut(&head).unwrap().insert(1, newer);
            }
        }
    });
    let out = way.publish(number, 200).exits(0);
    out.reports("the comment points to a newer run");
    assert_eq!(way.status(number, "one").0, "failure");
    let comment = way.github.api.comments(number).remove(0);
    assert!(
        comment.contains("\"shown\":{\"run\":[300,1]") && comment.contains("A newer run published"),
        "{comment}"
    );
}

/// B4: where the comment cannot be written, an old green status stood over a new failure.
#[test]
fn slow_status_is_set_if_conversation_is_locked() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    way.resolved(number, &["--bundle", "one"]);
    way.gates(&["--bundle", "one"]);
    way.github.lock(number, true);
    let out = way
        .publish(number, 1)
        .exits(3)
        .prints("### Gates: `one` — ✅ pass");
    out.reports("cannot publish the table on the pull request")
        .reports("help: unlock the conversation");
    assert_eq!(way.status(number, "one").0, "success");
    // The other way round: the comment is written although the status is refused.
    way.github.lock(number, false);
    let path = format!(
        "/repos/octo-org/trainer/statuses/{}",
        way.github.tip("issue/01-x")
    );
    way.github.api.fault(
        "POST",
        &path,
        crate::fake_github::Fault::Status(422, "Validation Failed", Vec::new()),
        1,
    );
    let out = way
        .publish(number, 2)
        .exits(3)
        .prints("### Gates: `one` — ✅ pass");
    out.reports("422");
    assert_eq!(way.github.api.comments(number).len(), 1);
    // An outage of some seconds is waited for.
    let comments = format!("/repos/octo-org/trainer/issues/{number}/comments");
    way.github.api.state().comments.clear();
    way.github.api.fault(
        "POST",
        &comments,
        crate::fake_github::Fault::Status(502, "Bad gateway", Vec::new()),
        3,
    );
    way.publish(number, 3).exits(0);
    assert_eq!(way.github.api.comments(number).len(), 1);
}

/// B5: single runs replaced each other, so `ready` sent the maintainer round in a circle, and a failure disappeared.
#[test]
fn slow_single_runs_accumulate() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one\n    - host:two");
    for turn in 1..=2 {
        let ready = way.ready(number);
        let next = ready["blockers"][0]["next"]["argv"].as_array().unwrap().clone();
        let gate = next
            .iter()
            .find_map(|a| a.as_str().unwrap().strip_prefix("single_gate="))
            .unwrap();
        assert!(next.contains(&json!("bundle=single")), "{next:?}");
        way.tier_b(number, turn, &["--bundle", "single", "--gate", gate]);
    }
    assert_eq!(way.codes(number), Vec::<String>::new());
    assert_eq!(way.github.api.comments(number).len(), 2);
    assert_eq!(way.status(number, "single/host:one").0, "pending", "one of two");
}

/// B8: GitHub counts the approvals of people with write access. `ready` took everybody's approval and everybody's contract.
#[test]
fn outsiders_neither_approve_nor_write_contracts() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "");
    assert_eq!(way.codes(number), Vec::<String>::new());
    way.github.api.state().reviews.clear();
    way.github.review(number, "forker", "APPROVED");
    way.github.review(number, "stranger", "CHANGES_REQUESTED");
    let ready = way.ready(number);
    assert_eq!(way.codes(number), ["not-reviewed"]);
    let message = ready["blockers"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("without write access") && message.contains("forker"),
        "{message}"
    );
    way.github.api.state().issues.get_mut(&1).unwrap()["author_association"] = "NONE".into();
    assert_eq!(way.codes(number), ["contract-untrusted", "not-reviewed"]);
}

/// Everybody can open an issue with a contract, and a pull request that closes it. Such a contract came first on a hotspot, and `plan`
/// and `start` offered it like any other.
#[test]
fn contract_of_outsider_stops_nobody_until_adopted() {
    let way = Loop::new();
    let terms = |id: &str| {
        let terms = contract(id, "x").hotspots("a").allow("a");
        terms.requires("host:one").issue_body()
    };
    let (first, second) = (
        way.offer("01", "a", "2\n", "host:one"),
        way.offer("02", "a", "3\n", "host:one"),
    );
    for (number, id) in [(1, "01"), (2, "02")] {
        way.github.api.state().issues.get_mut(&number).unwrap()["body"] = terms(id).into();
    }
    let association = |number: u64, word: &str| {
        way.github.api.state().issues.get_mut(&number).unwrap()["author_association"] = word.into();
    };
    let is_stopped = || way.codes(second).contains(&"hotspot-order".to_owned());
    assert!(is_stopped());
    association(1, "NONE");
    assert!(!is_stopped());
    assert!(way.codes(first).contains(&"contract-untrusted".to_owned()));

    let body = contract("03", "x").allow("b").requires("host:one").issue_body();
    way.github.api.issue(3, "[03] Work", &body);
    association(3, "NONE");
    let plan = || {
        let out = way.call(&["plan", "--format", "json"]).run().exits(0);
        (out.json()["next"].to_string(), out.json()["findings"].to_string())
    };
    let (next, findings) = plan();
    assert!(!next.contains("start 03"), "{next}");
    let adopt = format!("nmoe-gates adopt {}", sha256(&body));
    assert!(
        findings.contains("contract-untrusted") && findings.contains(&adopt),
        "{findings}"
    );
    let start = way.call(&["start", "03"]).run().exits(0).any_files();
    start
        .prints("warning[contract-untrusted]: the contract in #3 does not count")
        .prints(&adopt);
    way.call(&["start", "--release", "03"])
        .run()
        .exits(0)
        .any_files()
        .any_output();
    way.github.api.state().comments.push(json!({
        "id": 77, "issue": 3, "body": adopt, "user": {"login": "captain"}, "html_url": "",
    }));
    let (next, findings) = plan();
    assert!(next.contains("start 03"), "{next}");
    assert!(!findings.contains("issue #3"), "{findings}");
}

/// B16: an unreadable contract was "no contract", and a pass without its gates was green.
#[test]
fn unreadable_contract_is_faulty_and_not_absent() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    let mut state = way.github.api.state();
    let body = state.issues[&1]["body"]
        .as_str()
        .unwrap()
        .replace("allow: [a]", "allow:\n    - **");
    state.issues.get_mut(&1).unwrap()["body"] = body.into();
    drop(state);
    assert!(
        way.codes(number).contains(&"contract-faulty".to_owned()),
        "{:?}",
        way.codes(number)
    );
    let out = way.resolve(number, &["--bundle", "one"]).exits(3);
    assert!(
        out.stderr.contains("cannot use the contract of issue 1"),
        "{}",
        out.stderr
    );
}

/// GitHub starts no workflow for events of `GITHUB_TOKEN`, so nothing would ever answer on such a pull request.
#[test]
fn pull_request_of_a_workflow_needs_an_event() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "");
    assert_eq!(way.codes(number), Vec::<String>::new());
    let body = way.github.api.state().pulls[&number]["body"]
        .as_str()
        .unwrap()
        .to_owned();
    way.github.push("issue/01-x", &[("a", "3\n")]);
    way.github
        .open(number, "issue/01-x", "github-actions[bot]", &body);
    way.attest(number, "01", "cpu:import, cpu:compileall");
    way.github.review(number, "reviewer", "APPROVED");
    assert_eq!(way.codes(number), ["no-workflow-run"]);
    let head = way.github.tip("issue/01-x");
    way.github.run("pr-lint.yml", "pull_request", &head, "issue/01-x");
    assert_eq!(way.codes(number), Vec::<String>::new());
}

/// With `tier_a = "run"` an attestation proves nothing, and the same answer is in status and `ready`.
#[test]
fn slow_recorded_tier_a_is_required_by_the_settings() {
    let way = Loop::with(&[
        (
            "configs/gates/gates.toml",
            &gates()
                .text()
                .replace("one = [", "one = [\"cpu:import\", \"cpu:compileall\", "),
        ),
        ("configs/nmoe-gates.toml", "tier_a = \"run\"\n"),
        ("a", "1\n"),
    ]);
    let number = way.offer("01", "a", "2\n", "host:one");
    assert_eq!(
        way.codes(number),
        ["tier-a-missing", "tier-a-missing", "tier-b-missing"]
    );
    way.tier_b(number, 1, &["--bundle", "single", "--gate", "host:one"]);
    let (state, line) = way.status(number, "single/host:one");
    assert_eq!(state, "pending");
    assert!(
        line.ends_with("Tier A not run: cpu:import, cpu:compileall"),
        "{line}"
    );
    way.tier_b(number, 2, &["--bundle", "one"]);
    assert_eq!(way.status(number, "one").0, "success");
    assert_eq!(way.codes(number), Vec::<String>::new());
}

/// A required check that does not run on `merge_group` blocks a merge queue for ever.
#[test]
fn merge_queue_lints_its_pull_request() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    way.github.settle(number);
    way.update();
    let event = way.sandbox.path("event.json");
    std::fs::write(&event, way.github.enqueue(number).to_string()).unwrap();
    let lint = || {
        let call = way.call(&["lint", "pr", "--format", "json"]);
        call.env("GITHUB_EVENT_NAME", "merge_group")
            .env("GITHUB_EVENT_PATH", &event)
    };
    let out = lint().run().exits(0);
    assert_eq!(out.json()["findings"], json!([]));
    way.github.api.state().pulls.get_mut(&number).unwrap()["body"] = "Nothing.".into();
    assert_ne!(lint().run().exits(1).findings()["summary"]["errors"], 0);
}

/// Only results of an equal tree prove the commit of a merge group. The queue waits for an answer in any case.
#[test]
fn slow_merge_queue_reuses_evidence_of_equal_tree() {
    let way = Loop::new();
    way.github.rules().required = vec!["nmoe-gates/one".to_owned()];
    let (first, second) = (
        way.offer("01", "a", "2\n", "host:one"),
        way.offer("02", "b", "2\n", "host:one"),
    );
    let event = way.sandbox.path("event.json");
    let answer = |number: u64, expected: &str| {
        way.github.settle(number);
        std::fs::write(&event, way.github.enqueue(number).to_string()).unwrap();
        way.update();
        let call = way.call(&["publish", "--merge-group", "--output", "../outcome"]);
        let call = call
            .env("GITHUB_EVENT_NAME", "merge_group")
            .env("GITHUB_EVENT_PATH", &event);
        let state = if expected.contains("reused") {
            "success"
        } else {
            "pending"
        };
        call.run()
            .exits(0)
            .prints(&format!("nmoe-gates/one is {state}: {expected}"));
    };
    way.github.settle(first);
    way.tier_b(first, 1, &["--bundle", "one"]);
    answer(
        first,
        "reused: the results published on #11 are about the same tree",
    );
    assert_eq!(way.github.advance_queue(), Some(first));

    answer(
        second,
        "#12: there is no result of `host:one` for the current merge result",
    );
    assert_eq!(way.github.advance_queue(), None);
    way.github.dequeue(second);
    way.tier_b(second, 2, &["--bundle", "one"]);
    way.github.push("master", &[("c", "2\n")]);
    answer(
        second,
        "#12: `host:one` passed for another state; what differs: base, tree",
    );
    assert_eq!(way.github.advance_queue(), None);
    // The answer is no evidence: `ready` still asks for a run.
    assert_eq!(way.codes(second), ["evidence-stale"]);
}

/// An update writes to the branch and can dismiss approvals, so a workflow must not make one.
#[test]
fn slow_branch_is_updated_only_at_a_prompt() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    let tip = way.github.push("master", &[("b", "2\n")]);
    let args = ["resolve", "--pr", "11", "--bundle", "one", "--update-branch"];
    way.call(&args)
        .env("GITHUB_ACTIONS", "true")
        .run()
        .exits(2)
        .reports("cannot update the branch in a workflow");
    assert_eq!(way.github.api.writes(), Vec::<String>::new());
    way.call(&args)
        .run()
        .exits(0)
        .any_output()
        .prints("next: start the run: gh workflow run tier-b.yml -f pr_number=11 -f bundle=one -R octo-org/trainer (maintainer)");
    let parents = git(&way.github.remote(), ["rev-parse", "issue/01-x^2"]);
    assert_eq!(parents.trim(), tip);
    assert!(way.codes(number).contains(&"not-reviewed".to_owned()));
}

/// A run that is started again gets the event of its first attempt. The description may have changed since.
#[test]
fn rerun_lints_the_description_as_it_is_now() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    let mut pull = way.github.api.state().pulls[&number].clone();
    pull["body"] = "Nothing.".into();
    let event = way.sandbox.path("event.json");
    std::fs::write(&event, json!({ "pull_request": pull }).to_string()).unwrap();
    let lint = || {
        let call = way.call(&["lint", "pr"]);
        let call = call.env("GITHUB_EVENT_NAME", "pull_request");
        call.env("GITHUB_EVENT_PATH", &event).run()
    };
    lint().exits(0).any_output();
    way.github.api.state().pulls.get_mut(&number).unwrap()["body"] = "Broken.".into();
    lint().exits(1).any_output().prints("no-block");
}

/// B17: the token of an app may not read `/user`. Each publication made a comment and deleted it, and `ready` never believed one.
#[test]
fn slow_app_publishes_one_comment_that_counts() {
    let way = Loop::with(&[
        ("configs/gates/gates.toml", &gates().text()),
        ("configs/nmoe-gates.toml", "[publish]\nlogin = \"gates[bot]\"\n"),
        ("a", "1\n"),
    ]);
    way.github.api.state().login = "gates[bot]".to_owned();
    let number = way.offer("01", "a", "2\n", "host:one");
    way.tier_b(number, 1, &["--bundle", "one"]);
    way.tier_b(number, 2, &["--bundle", "one"]);
    let writes = way.github.api.writes();
    let with = |method: &str| {
        writes
            .iter()
            .filter(|line| line.starts_with(method) && line.contains("/comments"))
            .count()
    };
    assert_eq!(
        (with("POST"), with("PATCH"), with("DELETE")),
        (1, 1, 0),
        "{writes:?}"
    );
    assert_eq!(way.codes(number), Vec::<String>::new());
}

/// The merged attestation said `pending` although Tier B had passed.
#[test]
fn slow_attest_reads_published_results() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    way.tier_b(number, 1, &["--bundle", "one"]);
    way.sandbox.git(["fetch", "-q", "origin"]);
    way.sandbox
        .git(["checkout", "-q", "-B", "issue/01-x", "origin/issue/01-x"]);
    way.call(&["attest", "--pr", "11"]).run().exits(0).any_output();
    let body = way.github.api.state().pulls[&number]["body"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(body.contains("tier_b: [host:one]"), "{body}");
    assert!(body.contains("tier_a: [cpu:import, cpu:compileall]"), "{body}");
}
