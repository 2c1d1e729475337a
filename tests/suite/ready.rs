//! Tests every blocker of a merge: a pull request that is ready, with one problem at a time.

use serde_json::{Value, json};

use crate::driver::git;
use crate::repo_fixture::{RepoFixture, commit, write};
use crate::support::contract::contract;

/// Creates a pull request of the first contract without blockers.
fn is_ready() -> RepoFixture {
    let fixture = RepoFixture::begin();
    let core = fixture.start("01");
    write(&core, "nmoe/train.py", "A\nb\nc\nd\ne\nf\n");
    commit(&core);
    let head = fixture.offer(&core, 1);
    fixture.tier_b(1, &head);
    fixture
}

/// A blocker: the code, who can resolve it, how its command begins, and the change that causes it.
type Blocker = (&'static str, &'static str, &'static str, fn(&RepoFixture));

fn pull(fixture: &RepoFixture, change: impl FnOnce(&mut Value)) {
    change(fixture.api.state().pulls.get_mut(&11).unwrap());
}

fn body(fixture: &RepoFixture, from: &str, to: &str) {
    pull(fixture, |pull| {
        let body = pull["body"].as_str().unwrap();
        assert!(body.contains(from), "{body}");
        pull["body"] = body.replace(from, to).into();
    });
}

/// Replaces the contract, so that the evidence is for an older contract.
fn agreed(fixture: &RepoFixture, text: &str) {
    fixture.api.issue(1, "Work", text);
    let head = fixture.api.state().pulls[&11]["head"]["sha"]
        .as_str()
        .unwrap()
        .to_owned();
    fixture.tier_b(1, &head);
}

const B: &str = "b200:moonlight_8x20";

const WAYS: &[Blocker] = &[
    ("not-open", "author", "gh pr reopen 11", |fixture| {
        pull(fixture, |pull| pull["state"] = "closed".into())
    }),
    ("draft", "author", "gh pr ready 11", |fixture| {
        pull(fixture, |pull| pull["draft"] = true.into())
    }),
    ("no-contract", "author", "", |fixture| {
        body(fixture, "Fixes: #1", "Fixes: nothing")
    }),
    (
        "contract-faulty",
        "merge_captain",
        "nmoe-gates lint contract --issue 1",
        |fixture| {
            agreed(
                fixture,
                &contract("01", "core")
                    .allow("nmoe/train.py")
                    .requires(B)
                    .issue_body()
                    .replace("complexity: S", "complexity: huge"),
            );
        },
    ),
    ("rival-pull", "merge_captain", "gh pr close 99", |fixture| {
        let head = "9".repeat(40);
        fixture.api.pull(99, "issue/01-again", &head, &head, "Fixes: #1");
    }),
    ("changes-requested", "author", "", |fixture| {
        let mut state = fixture.api.state();
        let reviews = state.reviews.get_mut(&11).unwrap();
        reviews.push(json!({"user": {"login": "another"}, "state": "CHANGES_REQUESTED"}));
    }),
    (
        "not-reviewed",
        "reviewer",
        "gh pr review 11 --approve",
        |fixture| {
            fixture.api.state().reviews.clear();
        },
    ),
    ("not-public", "author", "nmoe-gates lint pr --pr 11", |fixture| {
        body(fixture, "- Work.", "- Ran on trainer-0.gpu.svc.cluster.local.")
    }),
    ("attestation-faulty", "author", "nmoe-gates --repo /", |fixture| {
        body(fixture, "risk: cold", "risk: lukewarm")
    }),
    // Tier A cannot fix the name of a branch.
    ("attestation-faulty", "author", "", |fixture| {
        pull(fixture, |pull| pull["head"]["ref"] = "fix-attention".into())
    }),
    ("tier-a-missing", "author", "nmoe-gates --repo /", |fixture| {
        body(
            fixture,
            "tier_a: [cpu:import, cpu:compileall]",
            "tier_a: [cpu:import]",
        );
    }),
    (
        "contract-untrusted",
        "merge_captain",
        "gh issue comment 1 --body 'nmoe-gates adopt ",
        |fixture| {
            let mut state = fixture.api.state();
            state.issues.get_mut(&1).unwrap()["author_association"] = "NONE".into();
        },
    ),
    (
        "scope-violated",
        "author",
        "git fetch origin && nmoe-gates lint scope --issue 1 --base ",
        |fixture| {
            agreed(
                fixture,
                &contract("01", "core")
                    .allow("nmoe/moe.py")
                    .requires(B)
                    .issue_body(),
            );
        },
    ),
    (
        "dependency-unmerged",
        "author",
        "nmoe-gates start 04",
        |fixture| {
            agreed(
                fixture,
                &contract("01", "core")
                    .depends_on("\"04\"")
                    .allow("nmoe/train.py")
                    .requires(B)
                    .issue_body(),
            );
        },
    ),
    (
        "hotspot-order",
        "merge_captain",
        "nmoe-gates ready 10",
        |fixture| {
            fixture.api.issue(
                9,
                "Work",
                &contract("00", "earlier").allow("nmoe/train.py").issue_body(),
            );
            let head = "8".repeat(40);
            fixture
                .api
                .pull(10, "issue/00-earlier", &head, &head, "Fixes: #9");
        },
    ),
    (
        "tier-b-missing",
        "maintainer",
        "gh workflow run tier-b.yml -f pr_number=11",
        |fixture| {
            fixture.api.state().comments.clear();
        },
    ),
    (
        "evidence-stale",
        "maintainer",
        "gh workflow run tier-b.yml -f pr_number=11",
        |fixture| {
            fixture.api.issue(
                1,
                "Work",
                &contract("01", "core")
                    .allow("nmoe/train.py, docs/**")
                    .requires(B)
                    .issue_body(),
            );
        },
    ),
    (
        "evidence-unproven",
        "maintainer",
        "gh workflow run tier-b.yml -f pr_number=11",
        |fixture| {
            fixture.api.state().artifacts.clear();
        },
    ),
    (
        "evidence-expired",
        "maintainer",
        "gh workflow run tier-b.yml -f pr_number=11",
        |fixture| {
            for (artifact, _) in &mut fixture.api.state().artifacts {
                artifact["expired"] = true.into();
            }
        },
    ),
    ("perf-unproven", "merge_captain", "", |fixture| {
        agreed(
            fixture,
            &contract("01", "core")
                .allow("nmoe/train.py")
                .requires(B)
                .issue_body()
                .replace("risk: cold", "risk: hot"),
        );
    }),
    (
        "merge-conflict",
        "author",
        "git fetch origin && git merge origin/master",
        |fixture| {
            let repo = fixture.sandbox.repo();
            write(&repo, "nmoe/train.py", "B\nb\nc\nd\ne\nf\n");
            commit(&repo);
            git(&repo, ["push", "-q", "origin", "HEAD:master"]);
        },
    ),
];

#[test]
fn repeated_number_is_checked_once() {
    let out = is_ready()
        .here(&["ready", "11", "11", "--format", "json"])
        .exits(0);
    assert_eq!(out.json()["pulls"].as_array().unwrap().len(), 1);
}

#[test]
fn slow_each_blocker_names_resolver_and_command() {
    assert_eq!(is_ready().blocked(11), Vec::<String>::new());
    // `workflow_e2e.rs` makes the merge on the branch of `resolution-too-wide`, and the GitHub stand-in has the workflow runs of
    // `no-workflow-run`.
    let list = is_ready().here(&["explain"]).exits(0).stdout;
    let section = list.split_once("\nWhat blocks a merge\n").unwrap().1;
    let rows = section.lines().take_while(|line| !line.is_empty());
    // A long row continues on an indented line.
    let rows = rows.filter(|row| !row.starts_with("   "));
    let known: Vec<&str> = rows.map(|row| row.split_whitespace().next().unwrap()).collect();
    assert!(known.len() > 5, "{known:?}");
    let elsewhere = ["resolution-too-wide", "no-workflow-run"];
    for code in known.into_iter().filter(|code| !elsewhere.contains(code)) {
        assert!(
            WAYS.iter().any(|way| way.0 == code),
            "nothing here is blocked by `{code}`"
        );
    }
    std::thread::scope(|scope| {
        for way in WAYS {
            scope.spawn(move || blocks(way));
        }
    });
}

fn blocks((code, who, command, change): &Blocker) {
    let fixture = is_ready();
    change(&fixture);
    let out = fixture
        .here(&["ready", "11", "--format", "json"])
        .exits(1)
        .any_output();
    let is_about_evidence = out.stderr.contains("ignored published results");
    assert_eq!(
        is_about_evidence,
        code.starts_with("evidence-") && *code != "evidence-stale",
        "{code}: {}",
        out.stderr
    );
    let json = out.json();
    let blockers = json["pulls"][0]["blockers"].as_array().unwrap().clone();
    let found = blockers
        .iter()
        .find(|blocker| blocker["code"] == *code)
        .unwrap_or_else(|| panic!("{code}: {}", out.stdout));
    assert_eq!(found["next"]["who"], *who, "{found}");
    let says = found["next"]["command"].as_str().unwrap_or_default();
    assert!(says.starts_with(command), "{found}");
    assert_eq!(says.is_empty(), command.is_empty(), "{found}");
    assert!(
        json["next"].as_array().unwrap().contains(&found["next"]),
        "{code}"
    );
    assert!(!found["message"].as_str().unwrap().is_empty());
}
