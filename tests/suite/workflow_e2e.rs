//! Takes five contracts from `start` to the last `ready`, with a real remote and a fake GitHub: dependencies, a hotspot, a real
//! conflict, a scope violation, a stale attestation. The test uses only information that the program prints.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::driver::{Outcome, Sandbox, git};
use crate::fake_github::FakeGitHub;
use crate::support::digest::sha256;
use crate::support::results::{REGISTRY, results};

/// The repository, its remote and its fake GitHub.
pub struct RepoFixture {
    pub sandbox: Sandbox,
    pub api: FakeGitHub,
}

pub fn contract(issue: &str, slug: &str, depends_on: &str, allow: &str, gates: &str) -> String {
    format!(
        "### Summary (what + why)\n\nWork.\n\n### Agent Contract (YAML, required)\n\n```yaml\nnmoe:\n  issue: {issue}\n  slug: {slug}\n  kind: feature\n  risk: cold\n  \
         complexity: S\n  depends_on: [{depends_on}]\n  merge_hotspots: []\n\nscope:\n  allow: [{allow}]\n  deny: []\n\n\
         contract:\n  invariants:\n    - B200-only (sm_100a); fail off-target\n    - No NCCL all-to-all on the MoE path\n    \
         - TOML-only configuration; container-first\n  knobs:\n    add: []\n    change: []\n\n\
         gates:\n  required: [cpu:import, cpu:compileall{gates}]\n```\n\n### Notes (optional)\n\n_No response_\n\n\
         ### Public-safety confirmation (required)\n\n- [x] Nothing internal.\n"
    )
}

impl RepoFixture {
    pub fn begin() -> Self {
        let sandbox = Sandbox::new();
        git(&sandbox.path(""), ["init", "-q", "--bare", "remote.git"]);
        sandbox.git(["init", "-q"]);
        let remote = sandbox.path("remote.git").display().to_string();
        sandbox.git(["remote", "add", "origin", &remote]);
        sandbox
            .file("configs/gates/gates.toml", REGISTRY)
            .file("nmoe/train.py", "a\nb\nc\nd\ne\nf\n")
            .file("nmoe/moe.py", "moe\n")
            .file("tools/shared.py", "one\ntwo\nthree\nfour\n")
            .file("README.md", "A trainer.\n");
        sandbox.git(["add", "."]);
        sandbox.git(["commit", "-qm", "Begin"]);
        sandbox.git(["push", "-q", "-u", "origin", "master"]);
        let api = FakeGitHub::start();
        let b = ", b200:moonlight_8x20";
        for (n, (slug, depends, allow, gates)) in [
            ("core", "", "nmoe/train.py", b),
            ("docs", "01", "docs/**", ""),
            ("wide", "", "nmoe/**", b),
            ("tools", "", "tools/shared.py", ""),
            ("more", "", "tools/**", ""),
        ]
        .into_iter()
        .enumerate()
        {
            let id = format!("0{}", n + 1);
            let depends = if depends.is_empty() {
                String::new()
            } else {
                format!("\"{depends}\"")
            };
            api.issue(n as u64 + 1, "Work", &contract(&id, slug, &depends, allow, gates));
        }
        RepoFixture { sandbox, api }
    }

    pub fn call(&self, dir: &Path, args: &[&str]) -> Outcome {
        self.api.serves(self.sandbox.gates(args).current_dir(dir)).run()
    }

    pub fn here(&self, args: &[&str]) -> Outcome {
        self.call(&self.sandbox.repo(), args)
    }

    pub fn start(&self, id: &str) -> PathBuf {
        let json = self.here(&["start", id, "--format", "json"]).exits(0).json();
        PathBuf::from(json["worktree"].as_str().unwrap())
    }

    /// Runs and attests Tier A, pushes, and opens the pull request or updates its description.
    pub fn offer(&self, tree: &Path, issue: u64) -> String {
        self.call(tree, &["run", "--tier", "a"]).exits(0);
        let branch = git(tree, ["branch", "--show-current"]).trim().to_owned();
        git(tree, ["push", "-q", "-f", "origin", &branch]);
        let head = git(tree, ["rev-parse", "HEAD"]).trim().to_owned();
        let number = issue + 10;
        if self.api.state().pulls.contains_key(&number) {
            self.api.state().pulls.get_mut(&number).unwrap()["head"]["sha"] = head.as_str().into();
            self.call(tree, &["attest", "--pr", &number.to_string()]).exits(0);
        } else {
            let body = self.sandbox.path(&format!("body{issue}.md"));
            self.call(tree, &["attest", "--write", body.to_str().unwrap()])
                .exits(0);
            let block = std::fs::read_to_string(&body).unwrap();
            let text = format!(
                "{block}\n## Summary\n- Work.\n\n## Links\n- Fixes: #{issue}\n\n## Public-safety (required)\n- [x] No internal names.\n\
                 - [x] No credentials.\n\n## Reviewer focus\n- all\n"
            );
            self.api.pull(number, &branch, &head, &"0".repeat(40), &text);
        }
        self.api.state().reviews.insert(
            number,
            vec![json!({"user": {"login": "reviewer"}, "state": "APPROVED", "commit_id": head})],
        );
        head
    }

    /// Returns the codes of the blockers of a pull request.
    pub fn blocked(&self, number: u64) -> Vec<String> {
        let number = number.to_string();
        let json = self.here(&["ready", &number, "--format", "json"]).json();
        let blockers = json["pulls"][0]["blockers"].as_array().unwrap();
        assert_eq!(json["pulls"][0]["ready"], blockers.is_empty());
        for blocker in blockers {
            assert!(blocker["next"]["who"].is_string() && blocker["next"]["what"].is_string());
        }
        blockers
            .iter()
            .map(|b| b["code"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Runs Tier B on the current merge as the maintainer, and publishes the results.
    pub fn tier_b(&self, issue: u64, head: &str) {
        self.sandbox.git(["fetch", "-q", "origin"]);
        let base = self.sandbox.git(["rev-parse", "origin/master"]).trim().to_owned();
        let tree = self
            .sandbox
            .git(["merge-tree", "--write-tree", "origin/master", head])
            .trim()
            .to_owned();
        let merge = sha256(tree.as_bytes())[..40].to_owned();
        let number = issue + 10;
        {
            let mut state = self.api.state();
            state.refs.insert(format!("pull/{number}/merge"), merge.clone());
            let commit =
                json!({"sha": merge, "tree": {"sha": tree}, "parents": [{"sha": base}, {"sha": head}]});
            state.commits.insert(merge.clone(), commit);
        }
        let mut ran = results(head, &tree, &[("b200:moonlight_8x20", "pass")]);
        let body = self.api.state().issues[&issue]["body"]
            .as_str()
            .unwrap()
            .to_owned();
        let evidence = &mut ran["evidence"];
        evidence["base"] = base.into();
        evidence["image"] = format!("sha256:{}", sha256("an image")).into();
        evidence["merge"] = merge.into();
        evidence["contract"] = sha256(body).into();
        evidence["registry"] = sha256(REGISTRY).into();
        let path = self.sandbox.path("tier-b.json");
        std::fs::write(&path, serde_json::to_vec(&ran).unwrap()).unwrap();
        self.here(&["publish", path.to_str().unwrap(), "--pr", &number.to_string()])
            .exits(0);
    }

    pub fn merge(&self, issue: u64, squash: bool) {
        let number = issue + 10;
        assert_eq!(self.blocked(number), Vec::<String>::new(), "#{number}");
        let branch = self.api.state().pulls[&number]["head"]["ref"]
            .as_str()
            .unwrap()
            .to_owned();
        self.sandbox.git(["fetch", "-q", "origin"]);
        self.sandbox.git(["reset", "-q", "--hard", "origin/master"]);
        if squash {
            self.sandbox
                .git(["merge", "-q", "--squash", &format!("origin/{branch}")]);
            self.sandbox.git(["commit", "-qm", "Squash"]);
        } else {
            self.sandbox.git([
                "merge",
                "-q",
                "--no-ff",
                "-m",
                "Merge",
                &format!("origin/{branch}"),
            ]);
        }
        self.sandbox.git(["push", "-q", "origin", "master"]);
        let mut state = self.api.state();
        let issue = state.issues.get_mut(&issue).unwrap();
        issue["state"] = "closed".into();
        issue["state_reason"] = "completed".into();
        state.issues.get_mut(&number).unwrap()["state"] = "closed".into();
        let pull = state.pulls.get_mut(&number).unwrap();
        pull["state"] = "closed".into();
        pull["merged"] = true.into();
    }
}

pub fn write(tree: &Path, file: &str, text: &str) {
    let path = tree.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    git(tree, ["add", "-A"]);
}

pub fn commit(tree: &Path) {
    git(tree, ["commit", "-qm", "Work"]);
}

#[test]
fn slow_five_contracts_from_start_to_ready() {
    let fixture = RepoFixture::begin();
    let waves = || fixture.here(&["plan", "--format", "json"]).json()["waves"].clone();
    assert_eq!(waves(), json!([["01", "04", "05"], ["02", "03"]]));
    fixture.here(&["start", "02"]).exits(1);
    let (core, wide, tools, more) = (
        fixture.start("01"),
        fixture.start("03"),
        fixture.start("04"),
        fixture.start("05"),
    );

    write(&core, "nmoe/train.py", "A\nb\nc\nd\ne\nf\n");
    commit(&core);
    write(&wide, "nmoe/moe.py", "MOE\n");
    commit(&wide);
    // A scope violation, found before the commit, and reverted.
    write(&tools, "tools/shared.py", "one\nTOOLS\nthree\nfour\n");
    write(&tools, "README.md", "By the way.\n");
    let out = fixture.call(&tools, &["lint", "scope", "--cached"]).exits(1);
    assert!(
        out.stdout.contains("out-of-scope") && out.stdout.contains("README.md"),
        "{}",
        out.stdout
    );
    write(&tools, "README.md", "A trainer.\n");
    fixture.call(&tools, &["lint", "scope", "--cached"]).exits(0);
    commit(&tools);
    write(&more, "tools/shared.py", "one\nMORE\nthree\nfour\n");
    commit(&more);
    // Two branches conflict, although no contract declared a hotspot.
    assert_eq!(waves(), json!([["01", "04"], ["02", "03", "05"]]));

    let core_head = fixture.offer(&core, 1);
    let wide_head = fixture.offer(&wide, 3);
    fixture.offer(&tools, 4);
    fixture.offer(&more, 5);
    assert_eq!(fixture.blocked(11), ["tier-b-missing"]);
    fixture.tier_b(1, &core_head);
    assert_eq!(fixture.blocked(11), Vec::<String>::new());
    fixture.tier_b(3, &wide_head);
    assert_eq!(fixture.blocked(13), ["hotspot-order"]);
    // More work on 03: the attestation and the approval are for an earlier head.
    write(&wide, "nmoe/moe.py", "MOE 2\n");
    commit(&wide);
    git(&wide, ["push", "-q", "origin", "HEAD"]);
    let moved = git(&wide, ["rev-parse", "HEAD"]).trim().to_owned();
    fixture.api.state().pulls.get_mut(&13).unwrap()["head"]["sha"] = moved.as_str().into();
    assert_eq!(
        fixture.blocked(13),
        [
            "not-reviewed",
            "attestation-faulty",
            "tier-a-missing",
            "hotspot-order",
            "stale-evidence"
        ]
    );
    let all = fixture
        .here(&["ready", "--all", "--format", "json"])
        .exits(1)
        .json();
    assert_eq!(all["order"][0]["pull"], 11);
    assert_eq!(all["order"][0]["evidence_stands"], true);
    assert_eq!(all["order"].as_array().unwrap().len(), 4);
    let step = all["order"]
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["pull"] == 13)
        .unwrap();
    assert_eq!(step["rerun"], json!(["b200:moonlight_8x20"]));

    let wide_head = fixture.offer(&wide, 3);
    fixture.tier_b(3, &wide_head);
    fixture.merge(1, false);
    // The base moved: the evidence of 03 is for a tree that would no longer be merged.
    assert_eq!(fixture.blocked(13), ["stale-evidence"]);
    fixture.tier_b(3, &wide_head);
    fixture.merge(3, true);
    let docs = fixture.start("02");
    write(&docs, "docs/a.md", "Read me.\n");
    commit(&docs);
    fixture.offer(&docs, 2);

    fixture.merge(4, true);
    assert_eq!(fixture.blocked(15), ["merge-conflict"]);
    // The merge is resolved first with an unrelated change, then mechanically.
    git(&more, ["fetch", "-q", "origin"]);
    for (slipped, expected) in [(true, vec!["resolution-too-wide"]), (false, vec![])] {
        let before = git(&more, ["rev-parse", "issue/05-more"]).trim().to_owned();
        assert!(
            !std::process::Command::new("git")
                .args([
                    "-c",
                    "user.name=A",
                    "-c",
                    "user.email=a@example.com",
                    "merge",
                    "-q",
                    "origin/master"
                ])
                .current_dir(&more)
                .output()
                .unwrap()
                .status
                .success()
        );
        write(&more, "tools/shared.py", "one\nTOOLS, MORE\nthree\nfour\n");
        if slipped {
            write(&more, "tools/slipped.py", "new\n");
        }
        commit(&more);
        fixture.offer(&more, 5);
        assert_eq!(fixture.blocked(15), expected);
        if slipped {
            git(&more, ["reset", "-q", "--hard", &before]);
        }
    }
    fixture.merge(5, false);
    fixture.merge(2, true);

    let clean = fixture
        .here(&["start", "--clean", "--format", "json"])
        .exits(0)
        .json();
    let rows = clean["branches"].as_array().unwrap();
    assert!(
        rows.len() == 5 && rows.iter().all(|r| r["removed"] == true),
        "{clean}"
    );
    assert_eq!(waves(), json!([]));
    let left = git(
        &fixture.sandbox.path("remote.git"),
        ["for-each-ref", "--format=%(refname)", "refs/nmoe-gates"],
    );
    assert_eq!(left.lines().filter(|l| l.contains("/done/")).count(), 5);
    assert_eq!(left.lines().count(), 5);
}

#[test]
fn foreign_or_contradicted_evidence_is_ignored() {
    let fixture = RepoFixture::begin();
    let core = fixture.start("01");
    write(&core, "nmoe/train.py", "A\nb\nc\nd\ne\nf\n");
    commit(&core);
    let head = fixture.offer(&core, 1);
    fixture.tier_b(1, &head);
    assert_eq!(fixture.blocked(11), Vec::<String>::new());
    let ours = fixture.api.comments(11)[0].clone();
    let said = || fixture.here(&["ready", "11"]).stderr;

    // The same comment by another user.
    fixture.api.state().comments.clear();
    fixture.api.comment(11, "stranger", &ours);
    assert_eq!(fixture.blocked(11), ["tier-b-missing"]);
    assert!(
        said().contains("a comment of stranger carries results"),
        "{}",
        said()
    );

    // The program's own comment, edited to claim more than the run proved.
    let forged = ours.replace("b200:moonlight_8x20", "b200:unknown");
    for (body, why) in [
        (ours.replace("\"schema\":1", "\"schema\":1,\"more\":1"), "schema"),
        (forged, "names that the registry does not have"),
    ] {
        fixture.api.state().comments.clear();
        fixture.api.comment(11, "github-actions[bot]", &body);
        assert_eq!(fixture.blocked(11), ["tier-b-missing"]);
        assert!(said().contains(why), "{}", said());
    }

    // The program's own comment with a contradicting commit status, or without one.
    fixture.api.state().comments.clear();
    fixture.api.comment(11, "github-actions[bot]", &ours);
    assert_eq!(fixture.blocked(11), Vec::<String>::new());
    fixture.api.state().statuses.get_mut(&head).unwrap()[0]["state"] = "failure".into();
    assert_eq!(fixture.blocked(11), ["tier-b-missing"]);
    assert!(said().contains("says failure"), "{}", said());
    fixture.api.state().statuses.clear();
    assert_eq!(fixture.blocked(11), ["tier-b-missing"]);
    assert!(said().contains("there is no status"), "{}", said());
}

#[test]
fn changed_image_environment_makes_evidence_stale() {
    let fixture = RepoFixture::begin();
    let core = fixture.start("01");
    write(&core, "nmoe/train.py", "A\nb\nc\nd\ne\nf\n");
    commit(&core);
    let head = fixture.offer(&core, 1);
    fixture.tier_b(1, &head);
    let differs = |file: &str| {
        write(&fixture.sandbox.repo(), file, &format!("# {file}\n"));
        commit(&fixture.sandbox.repo());
        fixture.sandbox.git(["push", "-q", "origin", "HEAD:master"]);
        let json = fixture.here(&["ready", "11", "--format", "json"]).exits(1).json();
        let blocker = &json["pulls"][0]["blockers"][0];
        assert_eq!(blocker["code"], "stale-evidence", "{json}");
        blocker["message"]
            .as_str()
            .unwrap()
            .rsplit(": ")
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(differs("docs/a.md"), "tree");
    assert_eq!(differs("docker/Dockerfile.train"), "tree, image");
}

#[test]
fn attested_option_ignores_unsigned_results() {
    let fixture = RepoFixture::begin();
    let core = fixture.start("01");
    write(&core, "nmoe/train.py", "A\nb\nc\nd\ne\nf\n");
    commit(&core);
    let head = fixture.offer(&core, 1);
    fixture.tier_b(1, &head);
    let file = fixture.sandbox.path("tier-b.json");
    let file = file.to_str().unwrap();
    let statement = fixture
        .here(&["report", file, "--format", "in-toto"])
        .exits(0)
        .json();
    // Replaces `gh`: the script knows one signature, and requires the correct signer.
    let gh = fixture.sandbox.path("bin/gh");
    let answers = |statement: &serde_json::Value| {
        std::fs::create_dir_all(gh.parent().unwrap()).unwrap();
        let said = json!([{ "verificationResult": { "statement": statement } }]).to_string();
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n  *'--repo octo-org/trainer --signer-workflow octo-org/trainer/.github/workflows/tier-b.yml '*) cat <<'END'\n{said}\nEND\n  ;;\n  *) exit 1 ;;\nesac\n"
        );
        std::fs::write(&gh, script).unwrap();
        std::fs::set_permissions(&gh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    let ready = || {
        let path = format!(
            "{}:{}",
            gh.parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let call = fixture
            .sandbox
            .gates(["ready", "11", "--results", file, "--attested"]);
        fixture
            .api
            .serves(call.current_dir(fixture.sandbox.repo()).env("PATH", path))
            .run()
    };
    answers(&statement);
    ready().exits(0);
    let mut other = statement.clone();
    other["predicate"]["result"] = "FAILED".into();
    answers(&other);
    let out = ready().exits(1);
    assert!(
        out.stderr
            .contains("what was signed is not what these results say"),
        "{}",
        out.stderr
    );
    std::fs::write(&gh, "#!/bin/sh\nexit 1\n").unwrap();
    let out = ready().exits(1);
    assert!(out.stderr.contains("found no signature"), "{}", out.stderr);
}
