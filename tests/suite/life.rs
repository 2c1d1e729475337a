//! Five contracts from `start` to the last `ready`, over a real remote and a local GitHub: dependencies, a hotspot, a real
//! conflict, a scope violation, a stale attestation. Whoever acts here reads only what the tool says.

use std::path::{Path, PathBuf};

use nmoe_gates::model::verdict::Verdict;
use serde_json::json;

use crate::api::Api;
use crate::attest::{REGISTRY, results};
use crate::driver::{Outcome, Place, git};

struct Life {
    place: Place,
    api: Api,
}

fn contract(issue: &str, slug: &str, depends_on: &str, allow: &str, gates: &str) -> String {
    format!(
        "### Summary (what + why)\n\nWork.\n\n### Agent Contract (YAML, required)\n\n```yaml\nnmoe:\n  issue: {issue}\n  slug: {slug}\n  kind: feature\n  risk: cold\n  \
         complexity: S\n  depends_on: [{depends_on}]\n  merge_hotspots: []\n\nscope:\n  allow: [{allow}]\n  deny: []\n\n\
         contract:\n  invariants:\n    - B200-only (sm_100a); fail off-target\n    - No NCCL all-to-all on the MoE path\n    \
         - TOML-only configuration; container-first\n  knobs:\n    add: []\n    change: []\n\n\
         gates:\n  required: [cpu:import, cpu:compileall{gates}]\n```\n\n### Notes (optional)\n\n_No response_\n\n\
         ### Public-safety confirmation (required)\n\n- [x] Nothing internal.\n"
    )
}

impl Life {
    fn begin() -> Self {
        let place = Place::new();
        git(&place.path(""), ["init", "-q", "--bare", "remote.git"]);
        place.git(["init", "-q"]);
        let remote = place.path("remote.git").display().to_string();
        place.git(["remote", "add", "origin", &remote]);
        place
            .file("configs/gates/gates.toml", REGISTRY)
            .file("nmoe/train.py", "a\nb\nc\nd\ne\nf\n")
            .file("nmoe/moe.py", "moe\n")
            .file("tools/shared.py", "one\ntwo\nthree\nfour\n")
            .file("README.md", "A trainer.\n");
        place.git(["add", "."]);
        place.git(["commit", "-qm", "Begin"]);
        place.git(["push", "-q", "-u", "origin", "master"]);
        let api = Api::start();
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
        Life { place, api }
    }

    fn call(&self, dir: &Path, args: &[&str]) -> Outcome {
        self.api.serves(self.place.gates(args).current_dir(dir)).run()
    }

    fn here(&self, args: &[&str]) -> Outcome {
        self.call(&self.place.repo(), args)
    }

    fn start(&self, id: &str) -> PathBuf {
        let json = self.here(&["start", id, "--format", "json"]).exits(0).json();
        PathBuf::from(json["worktree"].as_str().unwrap())
    }

    /// Tier A is run, attested and pushed; the pull request is opened, or its description brought up to date by the tool.
    fn offer(&self, tree: &Path, issue: u64) -> String {
        self.call(tree, &["run", "--tier", "a"]).exits(0);
        let branch = git(tree, ["branch", "--show-current"]).trim().to_owned();
        git(tree, ["push", "-q", "-f", "origin", &branch]);
        let head = git(tree, ["rev-parse", "HEAD"]).trim().to_owned();
        let number = issue + 10;
        if self.api.state().pulls.contains_key(&number) {
            self.api.state().pulls.get_mut(&number).unwrap()["head"]["sha"] = head.as_str().into();
            self.call(tree, &["attest", "--pr", &number.to_string()]).exits(0);
        } else {
            let body = self.place.path(&format!("body{issue}.md"));
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

    /// The codes of what blocks a pull request, with the results that lie there.
    fn blocked(&self, number: u64) -> Vec<String> {
        let number = number.to_string();
        let mut args = vec!["ready", number.as_str(), "--format", "json"];
        let recorded = self.recorded();
        for path in &recorded {
            args.extend(["--results", path]);
        }
        let json = self.here(&args).json();
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

    fn recorded(&self) -> Vec<String> {
        let mut paths: Vec<String> = std::fs::read_dir(self.place.path(""))
            .unwrap()
            .map(|e| e.unwrap().path().display().to_string())
            .filter(|p| p.ends_with(".results"))
            .collect();
        paths.sort();
        paths
    }

    /// A Tier-B run of the maintainer on what would be merged now.
    fn tier_b(&self, issue: u64, head: &str) {
        self.place.git(["fetch", "-q", "origin"]);
        let tree = self
            .place
            .git(["merge-tree", "--write-tree", "origin/master", head]);
        let mut ran = results(head, tree.trim(), &[("b200:moonlight_8x20", Verdict::Pass)]);
        let body = self.api.state().issues[&issue]["body"]
            .as_str()
            .unwrap()
            .to_owned();
        ran.evidence.contract = Some(nmoe_gates::sys::digest::sha256(body.as_bytes()));
        ran.evidence.registry = Some(nmoe_gates::sys::digest::sha256(REGISTRY.as_bytes()));
        let path = self.place.path(&format!("{issue}.results"));
        std::fs::write(path, serde_json::to_vec(&ran).unwrap()).unwrap();
    }

    fn merge(&self, issue: u64, squash: bool) {
        let number = issue + 10;
        assert_eq!(self.blocked(number), Vec::<String>::new(), "#{number}");
        let branch = self.api.state().pulls[&number]["head"]["ref"]
            .as_str()
            .unwrap()
            .to_owned();
        self.place.git(["fetch", "-q", "origin"]);
        self.place.git(["reset", "-q", "--hard", "origin/master"]);
        if squash {
            self.place
                .git(["merge", "-q", "--squash", &format!("origin/{branch}")]);
            self.place.git(["commit", "-qm", "Squash"]);
        } else {
            self.place.git([
                "merge",
                "-q",
                "--no-ff",
                "-m",
                "Merge",
                &format!("origin/{branch}"),
            ]);
        }
        self.place.git(["push", "-q", "origin", "master"]);
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

fn write(tree: &Path, file: &str, text: &str) {
    let path = tree.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    git(tree, ["add", "-A"]);
}

fn commit(tree: &Path) {
    git(tree, ["commit", "-qm", "Work"]);
}

#[test]
fn slow_five_contracts_from_start_to_the_last_ready() {
    let life = Life::begin();
    let waves = || life.here(&["plan", "--format", "json"]).json()["waves"].clone();
    assert_eq!(waves(), json!([["01", "04", "05"], ["02", "03"]]));
    life.here(&["start", "02"]).exits(1);
    let (core, wide, tools, more) = (
        life.start("01"),
        life.start("03"),
        life.start("04"),
        life.start("05"),
    );

    write(&core, "nmoe/train.py", "A\nb\nc\nd\ne\nf\n");
    commit(&core);
    write(&wide, "nmoe/moe.py", "MOE\n");
    commit(&wide);
    // A scope violation, found before it is committed, and taken back.
    write(&tools, "tools/shared.py", "one\nTOOLS\nthree\nfour\n");
    write(&tools, "README.md", "By the way.\n");
    let out = life.call(&tools, &["lint", "scope", "--cached"]).exits(1);
    assert!(
        out.stdout.contains("out-of-scope") && out.stdout.contains("README.md"),
        "{}",
        out.stdout
    );
    write(&tools, "README.md", "A trainer.\n");
    life.call(&tools, &["lint", "scope", "--cached"]).exits(0);
    commit(&tools);
    write(&more, "tools/shared.py", "one\nMORE\nthree\nfour\n");
    commit(&more);
    // Two branches conflict for real now, which nobody declared.
    assert_eq!(waves(), json!([["01", "04"], ["02", "03", "05"]]));

    let core_head = life.offer(&core, 1);
    let wide_head = life.offer(&wide, 3);
    life.offer(&tools, 4);
    life.offer(&more, 5);
    assert_eq!(life.blocked(11), ["tier-b-missing"]);
    life.tier_b(1, &core_head);
    assert_eq!(life.blocked(11), Vec::<String>::new());
    life.tier_b(3, &wide_head);
    assert_eq!(life.blocked(13), ["hotspot-order"]);
    // More work on 03: what was attested and approved is about an earlier head.
    write(&wide, "nmoe/moe.py", "MOE 2\n");
    commit(&wide);
    git(&wide, ["push", "-q", "origin", "HEAD"]);
    let moved = git(&wide, ["rev-parse", "HEAD"]).trim().to_owned();
    life.api.state().pulls.get_mut(&13).unwrap()["head"]["sha"] = moved.as_str().into();
    assert_eq!(
        life.blocked(13),
        [
            "not-reviewed",
            "attestation-faulty",
            "tier-a-missing",
            "hotspot-order",
            "tier-b-missing"
        ]
    );
    let all = life
        .here(&[
            "ready",
            "--all",
            "--format",
            "json",
            "--results",
            &life.place.path("1.results").display().to_string(),
        ])
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

    let wide_head = life.offer(&wide, 3);
    life.tier_b(3, &wide_head);
    life.merge(1, false);
    // The base moved under 03: its evidence is about a tree that would not be merged any more.
    assert_eq!(life.blocked(13), ["stale-evidence"]);
    life.tier_b(3, &wide_head);
    life.merge(3, true);
    let docs = life.start("02");
    write(&docs, "docs/a.md", "Read me.\n");
    commit(&docs);
    life.offer(&docs, 2);

    life.merge(4, true);
    assert_eq!(life.blocked(15), ["merge-conflict"]);
    // Resolved, with something else slipped in; then mechanically.
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
        life.offer(&more, 5);
        assert_eq!(life.blocked(15), expected);
        if slipped {
            git(&more, ["reset", "-q", "--hard", &before]);
        }
    }
    life.merge(5, false);
    life.merge(2, true);

    let clean = life
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
        &life.place.path("remote.git"),
        ["for-each-ref", "--format=%(refname)", "refs/nmoe-gates"],
    );
    assert_eq!(left.lines().filter(|l| l.contains("/done/")).count(), 5);
    assert_eq!(left.lines().count(), 5);
}
