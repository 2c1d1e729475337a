//! A repository with five contracts, its remote and a fake GitHub, and the steps from a branch to a merge.
#![allow(dead_code, reason = "not every state of the suite uses each step")]

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::driver::{Outcome, Sandbox, git};
use crate::fake_github::FakeGitHub;
use crate::support::contract::contract;
use crate::support::digest::sha256;
use crate::support::results::{REGISTRY, results};

/// The repository, its remote and its fake GitHub.
pub struct RepoFixture {
    pub sandbox: Sandbox,
    pub api: FakeGitHub,
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
        let b = "b200:moonlight_8x20";
        for (n, (slug, depends, allow, gates)) in [
            ("core", "", "nmoe/train.py", b),
            ("docs", "\"01\"", "docs/**", ""),
            ("wide", "", "nmoe/**", b),
            ("tools", "", "tools/shared.py", ""),
            ("more", "", "tools/**", ""),
        ]
        .into_iter()
        .enumerate()
        {
            let id = format!("0{}", n + 1);
            api.issue(
                n as u64 + 1,
                "Work",
                &contract(&id, slug)
                    .depends_on(depends)
                    .allow(allow)
                    .requires(gates)
                    .issue_body(),
            );
        }
        RepoFixture { sandbox, api }
    }

    #[track_caller]
    pub fn call(&self, dir: &Path, args: &[&str]) -> Outcome {
        self.api.serves(self.sandbox.gates(args).current_dir(dir)).run()
    }

    #[track_caller]
    pub fn here(&self, args: &[&str]) -> Outcome {
        self.call(&self.sandbox.repo(), args)
    }

    #[track_caller]
    pub fn start(&self, id: &str) -> PathBuf {
        let json = self.here(&["start", id, "--format", "json"]).exits(0).json();
        PathBuf::from(json["worktree"].as_str().unwrap())
    }

    /// Runs and attests Tier A, pushes, and opens the pull request or updates its description.
    #[track_caller]
    pub fn offer(&self, tree: &Path, issue: u64) -> String {
        self.call(tree, &["run", "--tier", "a"])
            .exits(0)
            .reports("next: write the attestation: nmoe-gates attest --write ");
        let branch = git(tree, ["branch", "--show-current"]).trim().to_owned();
        git(tree, ["push", "-q", "-f", "origin", &branch]);
        let head = git(tree, ["rev-parse", "HEAD"]).trim().to_owned();
        let number = issue + 10;
        if self.api.state().pulls.contains_key(&number) {
            self.api.state().pulls.get_mut(&number).unwrap()["head"]["sha"] = head.as_str().into();
            self.call(tree, &["attest", "--pr", &number.to_string()])
                .exits(0)
                .reports("next: see what blocks the merge");
        } else {
            let body = self.sandbox.path(&format!("body{issue}.md"));
            self.call(tree, &["attest", "--write", body.to_str().unwrap()])
                .exits(0)
                .reports("next: ");
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
    #[track_caller]
    pub fn blocked(&self, number: u64) -> Vec<String> {
        let number = number.to_string();
        let out = self.here(&["ready", &number, "--format", "json"]).any_output();
        let json = out.json();
        let blockers = json["pulls"][0]["blockers"].as_array().unwrap();
        assert_eq!(out.code(), Some(i32::from(!blockers.is_empty())));
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
    #[track_caller]
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
            state.refs.insert("heads/master".to_owned(), base.clone());
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
        evidence["target"] = "b200x8".into();
        evidence["image"] = format!("sha256:{}", sha256("an image")).into();
        evidence["merge"] = merge.into();
        evidence["contract"] = sha256(body).into();
        evidence["registry"] = sha256(REGISTRY).into();
        let path = self.sandbox.path("tier-b.json");
        std::fs::write(&path, serde_json::to_vec(&ran).unwrap()).unwrap();
        let run = self.api.state().runs.len() as u64 + 1;
        self.api
            .tier_b_run(run, self.sandbox.git(["rev-parse", "origin/master"]).trim());
        let folder = self.sandbox.path("evidence");
        std::fs::create_dir_all(&folder).unwrap();
        let args = [
            "publish",
            path.to_str().unwrap(),
            "--pr",
            &number.to_string(),
            "--evidence",
            folder.to_str().unwrap(),
        ];
        self.api
            .serves(self.sandbox.gates(args))
            .env("GITHUB_SERVER_URL", "https://github.example")
            .env("GITHUB_RUN_ID", run.to_string())
            .env("GITHUB_RUN_ATTEMPT", "1")
            .run()
            .exits(0);
        self.api.upload_evidence(run, &folder);
    }

    #[track_caller]
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
