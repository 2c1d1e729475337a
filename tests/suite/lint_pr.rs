//! Tests `lint pr`: it checks the pull request of the current event, as a workflow does.

use serde_json::{Value, json};

use crate::driver::{Call, Outcome, Sandbox};
use crate::fake_github::{FakeGitHub, Fault, REPOSITORY, TOKEN};

pub const CONTRACT: &str = include_str!("../fixtures/lint/contract.md");
const ATTESTATION: &str = include_str!("../fixtures/lint/attestation.md");
const REGISTRY: &str = include_str!("../fixtures/lint/gates.toml");

pub struct Pull {
    pub sandbox: Sandbox,
    pub event: Value,
}

/// Creates a repository with a base and a change on its branch, and the event that GitHub would send.
pub fn pull(change: &[(&str, &str)]) -> Pull {
    let sandbox = Sandbox::new();
    sandbox
        .file("configs/gates/gates.toml", REGISTRY)
        .file("configs/moonlet.toml", "steps = 10\n")
        .file("configs/moonlight.toml", "steps = 20\n")
        .file("nmoe/model.py", "a\n");
    sandbox.git(["init", "-q"]);
    let commit = |message: &str| {
        sandbox.git(["add", "-A"]);
        sandbox.git(["commit", "-qm", message]);
        sandbox.git(["rev-parse", "HEAD"]).trim().to_owned()
    };
    let base = commit("base");
    sandbox.git(["checkout", "-qb", "issue/03a-attention"]);
    for (path, content) in change {
        sandbox.file(path, content);
    }
    let head = commit("change");
    std::fs::write(sandbox.path("contract.md"), CONTRACT).unwrap();
    let body = ATTESTATION
        .replace("800ae9d", &base[..9])
        .replace("1188731", &head[..9]);
    let event = json!({
        "action": "opened",
        "pull_request": {
            "number": 7, "body": body, "draft": false,
            "head": { "ref": "issue/03a-attention", "sha": head },
            "base": { "ref": "master", "sha": base },
        },
    });
    Pull { sandbox, event }
}

impl Pull {
    fn lint(&self, format: &str) -> Outcome {
        self.call(format).run()
    }

    /// Returns the call that lints the event.
    pub fn call(&self, format: &str) -> Call {
        std::fs::write(self.sandbox.path("event.json"), self.event.to_string()).unwrap();
        self.sandbox
            .gates(["lint", "pr", "--format", format, "--contract", "../contract.md"])
            .env("GITHUB_EVENT_PATH", self.sandbox.path("event.json"))
            .env("GITHUB_EVENT_NAME", "pull_request")
    }

    pub fn edit(&mut self, from: &str, to: &str) {
        let body = self.event["pull_request"]["body"]
            .as_str()
            .unwrap()
            .replace(from, to);
        self.event["pull_request"]["body"] = json!(body);
    }
}

#[test]
fn valid_pull_request_has_no_findings() {
    let out = pull(&[("nmoe/model.py", "b\n")]).lint("json").exits(0);
    assert_eq!(out.json()["findings"], json!([]));
}

/// An event file alone says which repository it is about.
#[test]
fn event_names_its_repository() {
    let mut pull = pull(&[("nmoe/model.py", "b\n")]);
    pull.event["pull_request"]["base"]["repo"] = json!({ "full_name": REPOSITORY });
    std::fs::write(pull.sandbox.path("event.json"), pull.event.to_string()).unwrap();
    let api = FakeGitHub::start();
    api.issue(5, "Attention", CONTRACT);
    let out = pull
        .sandbox
        .gates(["lint", "pr", "--format", "json"])
        .env("GITHUB_EVENT_PATH", pull.sandbox.path("event.json"))
        .env("GITHUB_EVENT_NAME", "pull_request")
        .env("GITHUB_API_URL", api.url())
        .env("GITHUB_TOKEN", TOKEN)
        .run()
        .exits(0);
    assert_eq!(out.json()["findings"], json!([]));
    let read = format!("GET /repos/{REPOSITORY}/issues/5");
    assert!(api.log().contains(&read), "{:?}", api.log());
}

#[test]
fn all_to_all_on_moe_path_is_error() {
    let moe = "# all_to_all is not used\ny = rdep.dispatch(x)\ndist.all_to_all_single(y, x)\n";
    let elsewhere = "a = 1\ndist.all_to_all(a, b)\n";
    let pull = pull(&[("nmoe/moe.py", moe), ("nmoe/zero2.py", elsewhere)]);
    let out = pull.lint("json").exits(1).json();
    let found: Vec<_> = out["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["code"] == "moe-all-to-all")
        .map(|f| {
            (
                f["path"].as_str(),
                f["severity"].as_str(),
                f["line"].as_u64(),
                f["column"].as_u64(),
            )
        })
        .collect();
    let expected = [
        (Some("nmoe/moe.py"), Some("error"), Some(3), Some(6)),
        (Some("nmoe/zero2.py"), Some("warning"), Some(2), Some(6)),
    ];
    assert_eq!(found, expected, "{out}");
    // An annotation of the changed file, at its line.
    let out = pull.lint("github").exits(1);
    assert!(out.stdout.contains("file=nmoe/moe.py,line=3"), "{}", out.stdout);
}

#[test]
fn changed_files_are_scanned_completely() {
    // The base has grouped sends in one file, and an all-to-all in a file that the change leaves unchanged.
    let sandbox = Sandbox::new();
    sandbox
        .file("configs/gates/gates.toml", REGISTRY)
        .file("nmoe/moe.py", "dist.all_to_all(a, b)\n")
        .file(
            "nmoe/csrc/rdep.cu",
            "void f() {\n  ncclSend(a);\n  ncclRecv(b);\n}\n",
        );
    sandbox.git(["init", "-q"]);
    let commit = |message: &str| {
        sandbox.git(["add", "-A"]);
        sandbox.git(["commit", "-qm", message]);
        sandbox.git(["rev-parse", "HEAD"]).trim().to_owned()
    };
    let base = commit("base");
    // Grouping makes the old sends an exchange, although their lines are not new.
    sandbox.file(
        "nmoe/csrc/rdep.cu",
        "void f() {\n  ncclGroupStart();\n  ncclSend(a);\n  ncclRecv(b);\n}\n",
    );
    let head = commit("change");
    std::fs::write(sandbox.path("contract.md"), CONTRACT).unwrap();
    let event = json!({"action": "opened", "pull_request": {
        "number": 7, "body": ATTESTATION, "draft": false,
        "head": { "ref": "issue/03a-attention", "sha": head }, "base": { "ref": "master", "sha": base },
    }});
    let out = Pull { sandbox, event }.lint("json").exits(1).json();
    let lines: Vec<_> = out["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["code"] == "moe-all-to-all")
        .map(|f| {
            (
                f["path"].as_str().unwrap().to_owned(),
                f["line"].as_u64().unwrap(),
            )
        })
        .collect();
    let path = "nmoe/csrc/rdep.cu".to_owned();
    assert_eq!(lines, [(path.clone(), 3), (path, 4)], "{out}");
}

#[test]
fn change_outside_scope_is_found() {
    let out = pull(&[("nmoe/train.py", "x\n"), ("nmoe/csrc/rdep.cu", "x\n")])
        .lint("json")
        .exits(1)
        .json();
    let found: Vec<_> = out["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["code"].as_str(), f["path"].as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (Some("denied-path"), Some("nmoe/csrc/rdep.cu")),
            (Some("out-of-scope"), Some("nmoe/train.py")),
        ]
    );
}

#[test]
fn proposed_registry_is_checked_against_policy() {
    let smoke = REGISTRY.replace("hot_path_min =", "smoke =");
    let subject = pull(&[("configs/gates/gates.toml", &smoke)]);
    let policy = pull(&[("nmoe/model.py", "b\n")]).sandbox;
    std::fs::write(subject.sandbox.path("event.json"), subject.event.to_string()).unwrap();
    let repo = policy.repo();
    let options = [
        "--contract",
        "../contract.md",
        "--subject",
        ".",
        "--repo",
        repo.to_str().unwrap(),
    ];
    let out = subject
        .sandbox
        .gates(["lint", "pr", "--format", "json"].iter().chain(&options))
        .env("GITHUB_EVENT_PATH", subject.sandbox.path("event.json"))
        .run()
        .exits(1)
        .json();
    let found: Vec<_> = out["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["code"].as_str().unwrap())
        .collect();
    assert!(
        found.contains(&"out-of-scope") && found.contains(&"vanished-id"),
        "{found:?}"
    );
}

/// The settings of a change apply once it is merged, so they cannot hide an all-to-all or a missing invariant of the change.
#[test]
fn settings_of_change_do_not_replace_policy() {
    let settings = "[moe]\npath = []\n[contracts]\ninvariants = []\n";
    let moe = "dist.all_to_all_single(y, x)\n";
    let subject = pull(&[("configs/nmoe-gates.toml", settings), ("nmoe/moe.py", moe)]);
    let contract = CONTRACT.replace("    - No NCCL all-to-all on the MoE path\n", "");
    assert_ne!(contract, CONTRACT);
    let policy = pull(&[("nmoe/model.py", "b\n")]).sandbox;
    let repo = policy.repo();
    let call = subject
        .call("json")
        .arg("--subject")
        .arg(".")
        .arg("--repo")
        .arg(repo);
    std::fs::write(subject.sandbox.path("contract.md"), contract).unwrap();
    let out = call.run().exits(1).json();
    let findings = out["findings"].as_array().unwrap();
    let errors: Vec<_> = findings
        .iter()
        .filter(|f| f["severity"] == "error")
        .map(|f| (f["code"].as_str().unwrap(), f["path"].as_str().unwrap()))
        .collect();
    for expected in [
        ("moe-all-to-all", "nmoe/moe.py"),
        ("missing-invariant", "../contract.md"),
    ] {
        assert!(errors.contains(&expected), "{expected:?}: {errors:?}");
    }
}

#[test]
fn secret_in_change_is_found_but_not_shown() {
    let secret = format!("gh{}_{}", "p", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6");
    let out = pull(&[("nmoe/model.py", &format!("x = '{secret}'\n"))])
        .lint("json")
        .exits(1);
    assert!(!out.stdout.contains(&secret));
    assert_eq!(
        out.json()["findings"][0]["path"],
        "nmoe/model.py",
        "{}",
        out.stdout
    );
}

#[test]
fn draft_gets_warnings_instead_of_errors() {
    let mut pull = pull(&[("nmoe/model.py", "b\n")]);
    pull.edit("    - cpu:compileall\n", "");
    let out = pull.lint("github").exits(1);
    assert!(
        out.stdout
            .starts_with("::error title=tier-a-uncovered (pull request #7%2C line 13)::"),
        "{}",
        out.stdout
    );
    pull.event["pull_request"]["draft"] = json!(true);
    let out = pull.lint("github").exits(0);
    assert!(out.stdout.starts_with("::warning "), "{}", out.stdout);
}

#[test]
fn branch_and_head_come_from_event() {
    let mut pull = pull(&[("nmoe/model.py", "b\n")]);
    pull.event["pull_request"]["head"]["ref"] = json!("my-branch");
    let base = pull.event["pull_request"]["base"]["sha"].clone();
    pull.event["pull_request"]["head"]["sha"] = base;
    let out = pull.lint("json").exits(1).json();
    let codes: Vec<&str> = out["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["code"].as_str().unwrap())
        .collect();
    assert!(
        codes.contains(&"wrong-branch") && codes.contains(&"wrong-head"),
        "{codes:?}"
    );
}

#[test]
fn empty_body_is_checked() {
    let mut pull = pull(&[("nmoe/model.py", "b\n")]);
    pull.event["pull_request"]["body"] = Value::Null;
    let out = pull.lint("json").exits(1).json();
    assert_eq!(out["findings"][0]["code"], "no-block");
}

#[test]
fn other_event_is_refused() {
    let mut pull = pull(&[("nmoe/model.py", "b\n")]);
    pull.event = json!({ "action": "opened" });
    let out = pull.lint("json").exits(2);
    assert!(out.stderr.contains("not about a pull request"), "{}", out.stderr);
    let out = pull.sandbox.gates(["lint", "pr"]).run().exits(2);
    assert!(out.stderr.contains("GITHUB_EVENT_PATH"), "{}", out.stderr);
}

#[test]
fn missing_issue_is_a_finding() {
    let mut pull = pull(&[("nmoe/model.py", "b\n")]);
    pull.edit("Fixes: #5", "See #55. Fixes: #5");
    pull.edit(
        "- [x] Nothing private is in this change.",
        "- [ ] Nothing private is in this change.",
    );
    std::fs::write(pull.sandbox.path("event.json"), pull.event.to_string()).unwrap();
    let api = FakeGitHub::start();
    let lint = || {
        let call = pull
            .sandbox
            .gates(["lint", "pr", "--format", "json"])
            .env("GITHUB_EVENT_PATH", pull.sandbox.path("event.json"))
            .env("GITHUB_EVENT_NAME", "pull_request");
        api.serves(call).run()
    };
    let out = lint().exits(1).json();
    let body = pull.event["pull_request"]["body"].as_str().unwrap();
    let line = body.lines().position(|l| l.contains("Fixes: #5")).unwrap() as u64 + 1;
    let found: Vec<_> = out["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            (
                f["code"].as_str().unwrap(),
                f["line"].as_u64().unwrap(),
                f["column"].as_u64().unwrap(),
            )
        })
        .collect();
    let column = body.lines().nth(line as usize - 1).unwrap().rfind("#5").unwrap() as u64 + 1;
    assert!(found.contains(&("no-linked-contract", line, column)), "{out}");
    assert!(found.iter().any(|(code, ..)| *code == "unticked-box"), "{out}");
    api.issue(5, "[03a] Attention", CONTRACT);
    let codes: Vec<String> = lint().exits(1).json()["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["code"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(codes, ["unticked-box"]);
    // A failed request is not a finding.
    api.fault(
        "GET",
        "/repos",
        Fault::Status(403, "Resource not accessible by integration", Vec::new()),
        9,
    );
    lint().exits(3).reports("error: cannot complete GET");
}
