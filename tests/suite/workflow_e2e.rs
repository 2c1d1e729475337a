//! Takes five contracts from `start` to the last `ready`, with a real remote and a fake GitHub: dependencies, a hotspot, a real
//! conflict, a scope violation, a stale attestation. The test uses only information that the program prints.

use serde_json::json;

use crate::driver::git;
use crate::repo_fixture::{RepoFixture, commit, write};
#[test]
fn slow_five_contracts_from_start_to_ready() {
    let fixture = RepoFixture::begin();
    let waves = || fixture.here(&["plan", "--format", "json"]).exits(0).json()["waves"].clone();
    assert_eq!(waves(), json!([["01", "04", "05"], ["02", "03"]]));
    fixture
        .here(&["start", "02"])
        .exits(1)
        .prints("error[dependency-open]: contract 01 is not merged");
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
    out.reports("`nmoe-gates lint scope --issue 4` reads it again");
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
            "evidence-stale"
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
    assert_eq!(fixture.blocked(13), ["evidence-stale"]);
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
    let said = || fixture.here(&["ready", "11"]).any_code().any_output().stderr;

    // The same comment by another user.
    fixture.api.state().comments.clear();
    fixture.api.comment(11, "stranger", &ours);
    assert_eq!(fixture.blocked(11), ["tier-b-missing"]);
    assert!(
        said().contains("ignored published results: stranger wrote them"),
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
    assert_eq!(fixture.blocked(11), ["evidence-unproven"]);
    assert!(said().contains("is failure"), "{}", said());
    fixture.api.state().statuses.clear();
    assert_eq!(fixture.blocked(11), ["evidence-unproven"]);
    assert!(said().contains("set no commit status"), "{}", said());
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
        assert_eq!(blocker["code"], "evidence-stale", "{json}");
        blocker["message"]
            .as_str()
            .unwrap()
            .rsplit(": ")
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(differs("docs/a.md"), "base, tree");
    assert_eq!(differs("docker/Dockerfile.train"), "base, tree, image");
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
            "#!/bin/sh\ncase \"$*\" in\n  *'--repo octo-org/trainer --signer-workflow octo-org/trainer/.github/workflows/tier-b.yml --source-ref refs/heads/master '*) cat <<'END'\n{said}\nEND\n  ;;\n  *) exit 1 ;;\nesac\n"
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
    ready().exits(0).prints("#11 (contract 01) is ready");
    let mut other = statement.clone();
    other["predicate"]["result"] = "FAILED".into();
    answers(&other);
    let out = ready().exits(1).prints("#11 (contract 01) is blocked");
    assert!(
        out.stderr
            .contains("what was signed is not what these results say"),
        "{}",
        out.stderr
    );
    std::fs::write(&gh, "#!/bin/sh\nexit 1\n").unwrap();
    let out = ready().exits(1).prints("#11 (contract 01) is blocked");
    assert!(out.stderr.contains("found no signature"), "{}", out.stderr);
}
