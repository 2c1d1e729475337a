//! Five contracts from `start` to the last `ready`, over a real remote and a local GitHub: dependencies, a hotspot, a real
//! conflict, a scope violation, a stale attestation. Whoever acts here reads only what the tool says.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::api::Api;
use crate::driver::{Outcome, Place, git};
use crate::support::digest::sha256;
use crate::support::results::{REGISTRY, results};

/// The repository, its remote and its GitHub.
pub struct Life {
    pub place: Place,
    pub api: Api,
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

impl Life {
    pub fn begin() -> Self {
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

    pub fn call(&self, dir: &Path, args: &[&str]) -> Outcome {
        self.api.serves(self.place.gates(args).current_dir(dir)).run()
    }

    pub fn here(&self, args: &[&str]) -> Outcome {
        self.call(&self.place.repo(), args)
    }

    pub fn start(&self, id: &str) -> PathBuf {
        let json = self.here(&["start", id, "--format", "json"]).exits(0).json();
        PathBuf::from(json["worktree"].as_str().unwrap())
    }

    /// Tier A is run, attested and pushed; the pull request is opened, or its description brought up to date by the tool.
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

    /// The codes of what blocks a pull request.
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

    /// A Tier-B run of the maintainer on what would be merged now, published on the pull request.
    pub fn tier_b(&self, issue: u64, head: &str) {
        self.place.git(["fetch", "-q", "origin"]);
        let base = self.place.git(["rev-parse", "origin/master"]).trim().to_owned();
        let tree = self
            .place
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
        let path = self.place.path("tier-b.json");
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
            "stale-evidence"
        ]
    );
    let all = life.here(&["ready", "--all", "--format", "json"]).exits(1).json();
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

#[test]
fn published_evidence_is_believed_only_where_it_is_ours_and_the_status_agrees() {
    let life = Life::begin();
    let core = life.start("01");
    write(&core, "nmoe/train.py", "A\nb\nc\nd\ne\nf\n");
    commit(&core);
    let head = life.offer(&core, 1);
    life.tier_b(1, &head);
    assert_eq!(life.blocked(11), Vec::<String>::new());
    let ours = life.api.comments(11)[0].clone();
    let said = || life.here(&["ready", "11"]).stderr;

    // The same words by somebody else.
    life.api.state().comments.clear();
    life.api.comment(11, "stranger", &ours);
    assert_eq!(life.blocked(11), ["tier-b-missing"]);
    assert!(
        said().contains("a comment of stranger carries results"),
        "{}",
        said()
    );

    // Ours again, but made to say more than the run did.
    let forged = ours.replace("b200:moonlight_8x20", "b200:unknown");
    for (body, why) in [
        (ours.replace("\"schema\":1", "\"schema\":1,\"more\":1"), "schema"),
        (forged, "names that the registry does not have"),
    ] {
        life.api.state().comments.clear();
        life.api.comment(11, "github-actions[bot]", &body);
        assert_eq!(life.blocked(11), ["tier-b-missing"]);
        assert!(said().contains(why), "{}", said());
    }

    // Ours, and the commit status says otherwise, or nothing.
    life.api.state().comments.clear();
    life.api.comment(11, "github-actions[bot]", &ours);
    assert_eq!(life.blocked(11), Vec::<String>::new());
    life.api.state().statuses.get_mut(&head).unwrap()[0]["state"] = "failure".into();
    assert_eq!(life.blocked(11), ["tier-b-missing"]);
    assert!(said().contains("says failure"), "{}", said());
    life.api.state().statuses.clear();
    assert_eq!(life.blocked(11), ["tier-b-missing"]);
    assert!(said().contains("there is no status"), "{}", said());
}

#[test]
fn evidence_goes_stale_with_the_environment_of_the_image() {
    let life = Life::begin();
    let core = life.start("01");
    write(&core, "nmoe/train.py", "A\nb\nc\nd\ne\nf\n");
    commit(&core);
    let head = life.offer(&core, 1);
    life.tier_b(1, &head);
    let differs = |file: &str| {
        write(&life.place.repo(), file, &format!("# {file}\n"));
        commit(&life.place.repo());
        life.place.git(["push", "-q", "origin", "HEAD:master"]);
        let json = life.here(&["ready", "11", "--format", "json"]).exits(1).json();
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
fn only_what_was_signed_counts_when_signatures_are_asked_for() {
    let life = Life::begin();
    let core = life.start("01");
    write(&core, "nmoe/train.py", "A\nb\nc\nd\ne\nf\n");
    commit(&core);
    let head = life.offer(&core, 1);
    life.tier_b(1, &head);
    let file = life.place.path("tier-b.json");
    let file = file.to_str().unwrap();
    let statement = life
        .here(&["report", file, "--format", "in-toto"])
        .exits(0)
        .json();
    // In place of `gh`: it knows one signature, and must be asked for the right signer.
    let gh = life.place.path("bin/gh");
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
        let call = life.place.gates(["ready", "11", "--results", file, "--attested"]);
        life.api
            .serves(call.current_dir(life.place.repo()).env("PATH", path))
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
