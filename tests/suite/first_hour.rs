//! Tests what a new user tries first: subdirectories, wrong folders, quiet runs, dry runs, and the wording of first mistakes.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::driver::Sandbox;
use crate::run_fixture::RunFixture;
use crate::start::world;
use crate::support::contract::contract;
use crate::support::registry::registry;

fn checkout() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q", "-b", "main"]);
    sandbox
        .registry(
            &registry()
                .tier_a("cpu:import", "true")
                .tier_a("cpu:compileall", "true"),
        )
        .file("trainer/data/load.py", "x = 1\n");
    sandbox
}

#[test]
fn subdirectory_finds_repository_root() {
    let sandbox = checkout();
    let body = contract("07", "loader")
        .allow("trainer/**")
        .requires("cpu:nothing");
    sandbox.file("trainer/data/issue.md", body.issue_body());
    let below = |args: &[&str]| {
        sandbox
            .gates(args)
            .current_dir(sandbox.repo().join("trainer/data"))
    };
    below(&["lint", "registry"]).run().exits(0);
    below(&["lint", "contract", "issue.md"])
        .run()
        .exits(1)
        .prints("the registry has no gate `cpu:nothing`");
    below(&["gates", "list"]).run().exits(0).prints("cpu:import");
    below(&["run", "--gate", "cpu:import"]).run().exits(0);
    below(&["init"])
        .run()
        .exits(0)
        .prints("create  .github/workflows/tier-b.yml")
        .any_files();
    assert!(sandbox.repo().join(".github/workflows/tier-b.yml").is_file());
    assert!(!sandbox.repo().join("trainer/data/.github").exists());
    // A folder that the user names is not searched for.
    below(&["lint", "registry", "--repo", "."])
        .run()
        .exits(2)
        .reports("no such file")
        .any_files();
}

#[test]
fn init_writes_only_at_top_of_checkout() {
    let sandbox = checkout();
    let refused = |args: &[&str], why: &str| {
        let said = sandbox.gates(args).run().exits(2).stderr;
        assert!(said.contains(why), "{said}");
    };
    refused(
        &["init", "--repo", "trainer"],
        "it is not the top of its checkout",
    );
    refused(&["init", "--repo", ".git"], "git's own folder");
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "Begin"]);
    sandbox.git(["clone", "-q", "--bare", ".", "../bare.git"]);
    refused(&["init", "--repo", "../bare.git"], "bare repository");
    assert!(!sandbox.path("bare.git/configs").exists());
    // git's own folder can belong to another checkout than the one above it.
    sandbox.git(["worktree", "add", "-q", "../linked"]);
    let clone = [
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "add",
        "-q",
        "../bare.git",
        "sub",
    ];
    sandbox.git(clone);
    for (folder, why) in [
        (".git", "git's own folder"),
        (".git/hooks", "git's own folder"),
        (".git/worktrees/linked", "git's own folder"),
        (".git/modules/sub", "it is not the top of its checkout"),
        ("../bare.git", "bare repository"),
        ("../bare.git/refs", "bare repository"),
    ] {
        for args in [
            &["init"][..],
            &["init", "--write"],
            &["init", "--agents", "--hook", "--skill"],
        ] {
            let call = sandbox.gates(args).current_dir(sandbox.repo().join(folder));
            call.run()
                .exits(2)
                .reports("cannot write into .")
                .reports(why)
                .changes(&[]);
        }
    }
}

#[test]
fn missing_directory_is_named() {
    for option in ["--repo", "--subject"] {
        Sandbox::new()
            .gates(["doctor", option, "/nonexistent"])
            .expect()
            .status(2)
            .stderr(format!(
                "error: cannot use {option} /nonexistent: there is no such directory\n"
            ))
            .check();
    }
    let said = Sandbox::new().gates(["doctor"]).run().exits(1).stdout;
    assert!(said.contains(". is not a git checkout"), "{said}");
}

#[test]
fn quiet_run_keeps_verdict() {
    let stage = RunFixture::new();
    stage
        .gate("cpu:good", "echo fine")
        .gate("cpu:bad", "echo broken; exit 3");
    let run = |quiet: &str| {
        let call = stage
            .call(&["run", "--tier", "a", "--keep-going", quiet])
            .current_dir(stage.sandbox.repo());
        call.run().exits(1)
    };
    let once = run("-q");
    assert_eq!(once.stdout, "fine\nbroken\n");
    let said = once.stderr.as_str();
    assert!(
        said.starts_with("Gates: tier_a — fail\n") && !said.contains("run      cpu:good"),
        "{said}"
    );
    let twice = run("-qq");
    assert_eq!(
        twice.stdout,
        "fail     tier_a: 1 of 2 gates passed\nfail     cpu:bad  exit_code\n"
    );
    assert_eq!(twice.stderr, "");
}

/// A run that is refused for one gate starts no other gate, and the dry run says the same.
#[test]
fn dry_run_agrees_with_refused_run() {
    let stage = RunFixture::new();
    stage
        .gate_with("cpu:needs", "true", "requires = [\"ABSENT_PATH\"]\nrequires_files = [\"absent.toml\"]")
        .gate("cpu:other", "true")
        .raw("[gates.\"far:away\"]\ntier = \"b\"\nkind = \"external\"\n[bundles]\nall = [\"cpu:needs\", \"cpu:other\", \"far:away\"]");
    let dry = stage
        .call(&["run", "--bundle", "all", "--dry-run"])
        .run()
        .exits(3);
    assert_eq!(
        dry.stdout,
        "refused  cpu:needs  missing_env  missing variables: ABSENT_PATH  missing files: absent.toml\n\
         not_run  cpu:other\n\
         not_run  far:away\n"
    );
    assert_eq!(dry.stderr, "no gate was run\n");
    let real = stage
        .run(&["--bundle", "all"])
        .exits(3)
        .reports("missing variables: ABSENT_PATH");
    for id in ["cpu:other", "far:away"] {
        assert_eq!(real.gate(id)["status"], "not_run", "{id}");
    }
}

#[test]
fn dry_start_and_dry_release_change_nothing() {
    let sandbox = world();
    let call = |args: &[&str]| sandbox.gates(["start", "01", "--contract", "../work"].iter().chain(args));
    let said = call(&["--dry-run"]).run().exits(0).stdout;
    assert!(
        said.starts_with("would start 01: branch issue/01-attention in "),
        "{said}"
    );
    assert_eq!(sandbox.git(["ls-remote", "origin", "refs/nmoe-gates/*"]), "");
    assert_eq!(sandbox.git(["branch", "--list"]).trim(), "* master");

    call(&[]).run().exits(0).prints("started 01");
    let claim = sandbox.git(["ls-remote", "origin", "refs/nmoe-gates/*"]);
    let said = call(&["--release", "--dry-run"]).run().exits(0).stdout;
    assert!(said.starts_with("would release 01, which "), "{said}");
    assert_eq!(sandbox.git(["ls-remote", "origin", "refs/nmoe-gates/*"]), claim);
}

/// The remote of a first try is often a folder. The message must name what works without GitHub.
#[test]
fn remote_that_is_not_github_is_named() {
    let sandbox = world();
    let refused = |args: &[&str], cause: &str, help: &str| {
        let message = format!(
            "error: cannot find the repository on GitHub: {cause}\n  help: set GITHUB_REPOSITORY to `owner/name`{help}\n"
        );
        sandbox.gates(args).expect().status(2).stderr(&message).check();
    };
    let cause = "the address of the remote `origin` names none";
    refused(&["start", "01"], cause, ", or name a file with `--contract FILE`");
    refused(&["plan"], cause, ", or name files: `nmoe-gates plan FILE`");
    refused(&["ready", "1"], cause, "");
    let way_out = ["start", "01", "--contract", "../work", "--dry-run"];
    sandbox.gates(way_out).run().exits(0).prints("would start 01");
    sandbox.git(["remote", "remove", "origin"]);
    refused(
        &["plan"],
        "the checkout has no remote `origin`",
        ", or name files: `nmoe-gates plan FILE`",
    );
    sandbox.gates(["plan", "../work"]).run().exits(0).prints("01");
}

#[test]
fn shortened_list_of_contracts_ends_in_dots() {
    let sandbox = world();
    for n in 3..15 {
        crate::start::put(&sandbox, &format!("{n:02}"), "more", "");
    }
    let said = sandbox
        .gates(["start", "zz", "--contract", "../work"])
        .run()
        .exits(1)
        .stdout;
    assert!(
        said.contains("there are: 01, 02, 03, 04, 05, 06, 07, 08, 09, 10, …"),
        "{said}"
    );
}

#[test]
fn first_mistakes_are_named_as_written() {
    let sandbox = checkout();
    let lint = |text: String| {
        sandbox.file("issue.md", text);
        sandbox
            .gates(["lint", "contract", "issue.md"])
            .run()
            .exits(1)
            .stdout
    };
    let good = || contract("07", "loader").allow("trainer/**");
    let said = lint(good().knobs("prefetch depth", "").issue_body());
    assert!(
        said.contains("an entry of `contract.knobs.add` is `prefetch depth`"),
        "{said}"
    );
    let said = lint(good().allow("").issue_body());
    assert!(
        said.contains("`scope.allow` is empty") && said.contains("add at least one entry"),
        "{said}"
    );
    for kind in ["contract", "attestation"] {
        sandbox
            .gates(["lint", kind, "absent.md"])
            .expect()
            .status(2)
            .stderr("error: cannot read absent.md: No such file or directory (os error 2)\n")
            .check();
    }
}

/// `git apply` and `patch` refuse a path that leaves their folder.
#[test]
fn fix_of_file_outside_applies_in_its_folder() {
    let sandbox = checkout();
    let body = contract("07", "loader")
        .allow("trainer/**")
        .requires("cpu:improt");
    std::fs::create_dir(sandbox.path("notes")).unwrap();
    std::fs::write(sandbox.path("notes/issue.md"), body.issue_body()).unwrap();
    let diff = sandbox
        .gates(["lint", "contract", "../notes/issue.md", "--fix"])
        .run()
        .exits(1)
        .stdout;
    std::fs::write(sandbox.path("notes/fix.diff"), &diff).unwrap();
    crate::driver::git(&sandbox.path("notes"), ["apply", "fix.diff"]);
    let fixed = std::fs::read_to_string(sandbox.path("notes/issue.md")).unwrap();
    assert!(!fixed.contains("cpu:improt"), "{fixed}");
}

#[test]
fn doctor_counts_errors_of_registry() {
    let sandbox = checkout();
    let registry = registry()
        .tier_a("cpu:import", "true")
        .bundle("broken", &["cpu:nothing"]);
    sandbox.registry(&registry);
    let said = sandbox.gates(["doctor"]).run().exits(1).stdout;
    assert!(
        said.contains("registry") && said.contains("1 gate, 1 bundle, 1 error"),
        "{said}"
    );
}

#[test]
fn folder_of_contracts_is_linted() {
    let sandbox = checkout();
    let good = contract("07", "loader").allow("trainer/**").issue_body();
    let bad = contract("08", "Rows").allow("trainer/**").issue_body();
    sandbox
        .file("contracts/07.md", good)
        .file("contracts/more/08.md", bad)
        .file("contracts/README.md", "How to write an nmoe contract.\n")
        .file("docs/README.md", "Nothing.\n");
    let said = sandbox.gates(["lint", "contract", "contracts"]).run().exits(1);
    assert!(said.stdout.contains("contracts/more/08.md:"), "{}", said.stdout);
    assert!(said.stderr.contains("1 error in 2 documents"), "{}", said.stderr);
    sandbox
        .gates(["lint", "contract", "docs"])
        .run()
        .exits(2)
        .reports("no file below it has a block with the key `nmoe`");
}

/// Before the pull request exists, its description and the commits of the checkout can be checked.
#[test]
fn description_is_linted_before_pull_request_exists() {
    let sandbox = world();
    sandbox
        .gates(["start", "01", "--contract", "../work"])
        .run()
        .exits(0)
        .prints("started 01");
    let tree = sandbox.path("nmoe-worktrees/issue-01-attention");
    std::fs::write(tree.join("nmoe/train.py"), "print('faster')\n").unwrap();
    let commit = |name: &str| {
        crate::driver::git(&tree, ["add", "-A"]);
        crate::driver::git(&tree, ["commit", "-qm", name]);
        crate::driver::git(&tree, ["rev-parse", "HEAD"]).trim().to_owned()
    };
    let describe = |head: &str| {
        let body = format!(
            "```yaml\nnmoe_pr:\n  issue: 01\n  pr_sha: {head}\n  risk: cold\ngates_passed:\n  tier_a: [cpu:import, cpu:compileall]\n  tier_b: []\n```\n"
        );
        std::fs::write(sandbox.path("pr.md"), body).unwrap();
        sandbox
            .gates(["lint", "pr", "--body", "../../pr.md"])
            .current_dir(&tree)
            .run()
    };
    let head = commit("Faster");
    describe(&head).exits(0).reports("no findings");
    std::fs::write(tree.join("README.md"), "x\n").unwrap();
    let next = commit("Sneak");
    let said = describe(&next).exits(1).stdout;
    assert!(said.contains("out-of-scope"), "{said}");
    let said = describe(&head).exits(1).stdout;
    assert!(said.contains("../../pr.md"), "{said}");
}

#[test]
fn new_contract_passes_its_lint() {
    let sandbox = checkout();
    let new = |args: &[&str]| {
        let common = [
            "contract",
            "new",
            "07",
            "--slug",
            "loader",
            "--allow",
            "trainer/**",
        ];
        sandbox.gates(common.iter().chain(args)).run()
    };
    let block = new(&[]).exits(0).stdout;
    assert!(
        block.contains("invariants: [b200-only, no-nccl-a2a, toml-container]")
            && block.contains("required: [cpu:import, cpu:compileall]"),
        "{block}"
    );
    sandbox
        .gates(["lint", "contract", "-"])
        .stdin(block.as_str())
        .run()
        .exits(0)
        .reports("no findings");
    let body = new(&["--summary", "Faster."]).exits(0).stdout;
    let ticked = body.as_str().replace("- [ ]", "- [x]");
    let lint = |body: &str| sandbox.gates(["lint", "contract", "-"]).stdin(body).run();
    lint(&ticked).exits(0).reports("no findings");
    lint(&body).exits(1).prints("unticked-box");
    let wrong = new(&["--gate", "cpu:improt"])
        .exits(1)
        .prints("required: [cpu:improt]");
    assert_eq!(
        wrong.stderr,
        "error[unknown-gate]: the registry has no gate `cpu:improt`\n  help: did you mean `cpu:import`?\n"
    );
}

#[test]
fn every_command_has_a_role() {
    let help: String = Sandbox::new().gates(["--help"]).run().exits(0).stdout.into();
    let (commands, roles) = help.split_once("\nBy role:\n").unwrap();
    let roles: Vec<&str> = roles
        .split("\n\n")
        .next()
        .unwrap()
        .split([' ', ',', '\n'])
        .collect();
    let listed = commands.split("\nCommands:\n").nth(1).unwrap();
    for row in listed.lines().take_while(|line| !line.is_empty()) {
        let name = row.trim().split(' ').next().unwrap();
        let continued = row.starts_with("     ");
        assert!(continued || name == "help" || roles.contains(&name), "{name}");
    }
}

/// Adds every word of a closed list in a schema.
fn closed_words(schema: &Value, words: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            let listed = map.get("enum").and_then(Value::as_array).into_iter().flatten();
            let found = listed.chain(map.get("const")).filter_map(Value::as_str);
            words.extend(found.map(str::to_owned));
            map.values().for_each(|value| closed_words(value, words));
        }
        Value::Array(items) => items.iter().for_each(|value| closed_words(value, words)),
        _ => {}
    }
}

#[test]
fn explain_knows_words_of_reports() {
    // Words of tables and sentences. The schemas list the words of results and findings.
    let mut words: BTreeSet<String> = [
        "uncalibrated",
        "unsteady",
        "disturbed",
        "restarted",
        "budget",
        "interval",
        "dirty",
        "stale",
        "proven",
        "skipped",
        "run",
        "ok",
        "hint",
        "missing",
        "wave",
        "after",
        "exclusive",
        "conflict",
        "core",
        "declared",
        "append-only",
        "ready",
        "blocked",
        "removed",
        "kept",
        "added",
        "changed",
        "merge",
        "head",
        "base",
        "tree",
        "registry",
        "contract",
        "kernels",
        "image",
        "tool",
        "target",
        "isolation",
        "xid",
        "throttled",
        "foreign",
        "drift",
        "lost",
        "split",
        "short",
        "memory",
        "merge captain",
        "not run",
    ]
    .map(str::to_owned)
    .into();
    for schema in ["results", "findings", "contract"] {
        let schema = Sandbox::new().gates(["schema", schema]).run().exits(0).json();
        closed_words(&schema, &mut words);
    }
    // Sizes of a contract are letters.
    words.retain(|word| word.len() > 1);
    assert!(words.len() > 110, "{words:?}");
    let sandbox = Sandbox::new();
    for word in &words {
        let said = sandbox.gates(["explain", word]).run().exits(0).stdout;
        let name = said.split(['\n', ' ']).next().unwrap();
        assert_eq!(name.replace('-', "_"), word.replace([' ', '-'], "_"), "{said}");
    }
    let json = Sandbox::new()
        .gates(["explain", "pending", "--format", "json"])
        .run()
        .exits(0)
        .json();
    assert_eq!(json["word"], "pending");
}

/// Forms that were written for another registry lead every author into an error.
#[test]
fn doctor_compares_forms_with_registry() {
    let sandbox = checkout();
    sandbox.gates(["init"]).run().exits(0).any_output().any_files();
    let forms = || {
        let report = sandbox
            .gates(["doctor", "--format", "json"])
            .run()
            .any_code()
            .json();
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|c| c["name"] == "forms").unwrap();
        check["found"].as_str().unwrap().to_owned()
    };
    assert_eq!(forms(), "issue form and pull-request template");
    sandbox.registry(&registry().tier_a("cpu:other", "true"));
    let found = forms();
    assert!(
        found.contains("work_item.yml names cpu:import, cpu:compileall") && found.contains("no such gate"),
        "{found}"
    );
}

#[test]
fn column_of_numbers_is_a_setting() {
    let stage = RunFixture::new();
    stage.gate_with(
        "cpu:speed",
        "for i in 1 2 3; do echo \"step: $i rows_per_s: 40$i\"; done",
        "[[gates.\"cpu:speed\".metrics]]\nname = \"rows_per_s\"",
    );
    let table = || {
        let run = stage.run(&["--tier", "a"]).exits(0).prints("rows_per_s");
        let said = run.out.stderr.as_str().to_owned();
        let row = said[said.find("\ncpu:speed").unwrap()..].to_owned();
        let head = said
            .lines()
            .find(|line| line.starts_with("Gate "))
            .unwrap()
            .to_owned();
        (head, row)
    };
    let (head, row) = table();
    assert!(
        head.contains("node_tps_p50") && row.contains("–") && row.contains("rows_per_s_p50 402"),
        "{row}"
    );
    stage.sandbox.file(
        "configs/nmoe-gates.toml",
        "[report]\nmetric = \"rows_per_s_p50\"\n",
    );
    let (head, row) = table();
    assert!(
        head.contains("rows_per_s_p50") && !head.contains("node_tps"),
        "{head}"
    );
    assert!(row.contains(" 402 ") && !row.contains('–'), "{row}");
}

/// The page lists each wrong turn of first users with the test that keeps it fixed.
#[test]
fn each_wrong_turn_names_a_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/development/github-stand-in.md")).unwrap();
    let turns = |who: &str| {
        page.lines()
            .filter(|row| row.starts_with(&format!("| {who} ")))
            .count()
    };
    assert_eq!((turns("contributor"), turns("agent")), (10, 19));
    let rows = page
        .lines()
        .filter(|row| row.starts_with("| contributor ") || row.starts_with("| agent "));
    for row in rows {
        let (_, test) = row.trim_end_matches("` |").rsplit_once('`').unwrap();
        let (file, name) = test.split_once("::").unwrap();
        let source = std::fs::read_to_string(root.join(format!("tests/suite/{file}.rs"))).unwrap();
        assert!(source.contains(&format!("fn {name}() {{")), "{row}");
    }
}
