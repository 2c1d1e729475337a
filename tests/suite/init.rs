//! Tests `init`: the written files pass the lints, no text of a user is overwritten, and a second call updates what the first wrote.

use regex::Regex;

use crate::driver::Sandbox;
use crate::support::registry::registry;
use crate::terminal::Terminal;

fn fresh() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q", "-b", "trunk"]);
    sandbox
        .file("trainer/__init__.py", "")
        .file("trainer/run.py", "print(1)\n");
    sandbox
}

fn actions(sandbox: &Sandbox, args: &[&str]) -> Vec<(String, String)> {
    let report = sandbox
        .gates(["init", "--format", "json"].iter().chain(args))
        .run()
        .exits(0)
        .any_files()
        .json();
    let files = report["files"].as_array().unwrap().iter();
    files
        .map(|f| {
            (
                f["path"].as_str().unwrap().to_owned(),
                f["action"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[test]
fn written_files_pass_own_lints() {
    let sandbox = fresh();
    assert!(
        actions(&sandbox, &[])
            .iter()
            .all(|(_, action)| action == "create")
    );
    sandbox.gates(["lint", "registry"]).run().exits(0);
    let workflows = sandbox
        .gates(["lint", "workflows", "--format", "json"])
        .run()
        .exits(0)
        .json();
    assert_eq!(workflows["findings"], serde_json::json!([]));
    sandbox.gates(["run", "--tier", "a"]).run().exits(0);
    // A gate that leaves files in the checkout makes every later result one of a changed checkout.
    assert!(!sandbox.repo().join("trainer/__pycache__").exists());
    let settings = std::fs::read_to_string(sandbox.repo().join("configs/nmoe-gates.toml")).unwrap();
    assert!(settings.contains("base = \"trunk\""), "{settings}");
    let tier_b = std::fs::read_to_string(sandbox.repo().join(".github/workflows/tier-b.yml")).unwrap();
    assert!(
        !tier_b.contains("uses: ./")
            && !tier_b.contains("self-repository")
            && tier_b.contains("uses: Noumena-Network/nmoe-gates@v"),
        "{tier_b}"
    );
}

/// A repository of scripts: its gates also check the modules beside the folders.
#[test]
fn modules_at_the_top_are_checked() {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "--quiet"]);
    for file in ["train.py", "config/small.py", "my data/x.py"] {
        sandbox.file(file, "a = 1\n");
    }
    sandbox.gates(["init"]).run().any_output().any_files().exits(0);
    sandbox.gates(["lint", "registry"]).run().exits(0);
    let tier_a = |expected| {
        let run = sandbox.gates(["run", "--tier", "a", "--keep-going"]).run();
        run.any_output().any_files().exits(expected).stderr
    };
    let said = tier_a(0);
    assert!(said.contains("All 3 gates passed"), "{said}");
    for file in ["train.py", "my data/x.py"] {
        sandbox.file(file, "a = (\n");
        let said = tier_a(1);
        assert!(said.contains("1 fail"), "{file}: {said}");
        sandbox.file(file, "a = 1\n");
    }
}

/// GitHub finds a template in three folders, in any case. `doctor` and `init` find the same file.
#[test]
fn template_of_the_repository_is_found() {
    for path in [
        ".github/PULL_REQUEST_TEMPLATE.md",
        "docs/PULL_REQUEST_TEMPLATE.md",
        "Pull_Request_Template.md",
    ] {
        let sandbox = fresh();
        sandbox.file(path, "Ours\n\n```yaml\nnmoe_pr: {}\n```\n");
        let files = actions(&sandbox, &[]);
        let templates: Vec<_> = files
            .iter()
            .filter(|(file, _)| file.to_lowercase().ends_with("pull_request_template.md"))
            .collect();
        assert_eq!(templates, [&(path.to_owned(), "keep".to_owned())]);
        let report = sandbox
            .gates(["doctor", "--format", "json"])
            .run()
            .exits(0)
            .any_output()
            .json();
        let checks = report["checks"].as_array().unwrap();
        let forms = checks.iter().find(|check| check["name"] == "forms").unwrap();
        assert_eq!(forms["state"], "ok", "{path}: {forms}");
    }
}

#[test]
fn existing_files_are_not_overwritten() {
    let sandbox = fresh();
    let registry = registry().tier_a("cpu:a", "true").bundle("mine", &["cpu:a"]);
    sandbox
        .registry(&registry)
        .file(".github/PULL_REQUEST_TEMPLATE.md", "hello\n");
    sandbox.file("AGENTS.md", "# Agents\n");
    sandbox.file(
        ".github/workflows/tier-b.yml",
        "on: workflow_dispatch\njobs: {}\n",
    );
    let said = sandbox.gates(["init", "--dry-run"]).run().exits(0).stdout;
    assert!(
        said.contains("keep    .github/workflows/tier-b.yml  (this workflow does not call nmoe-gates;"),
        "{said}"
    );
    std::fs::remove_file(sandbox.repo().join(".github/workflows/tier-b.yml")).unwrap();
    let first = actions(&sandbox, &["--agents", "--hook"]);
    let action = |path: &str| first.iter().find(|(p, _)| p == path).map(|(_, a)| a.as_str());
    assert_eq!(action("configs/gates/gates.toml"), Some("keep"));
    assert_eq!(action(".github/PULL_REQUEST_TEMPLATE.md"), Some("keep"));
    assert_eq!(action("AGENTS.md"), Some("append"));
    assert_eq!(
        std::fs::read_to_string(sandbox.repo().join("configs/gates/gates.toml")).unwrap(),
        registry.text()
    );
    let tier_b = std::fs::read_to_string(sandbox.repo().join(".github/workflows/tier-b.yml")).unwrap();
    assert!(tier_b.contains("options: [mine, single]"), "{tier_b}");
    let agents = std::fs::read_to_string(sandbox.repo().join("AGENTS.md")).unwrap();
    assert!(
        agents.starts_with("# Agents\n\n<!-- nmoe-gates init: begin "),
        "{agents}"
    );

    let second = actions(&sandbox, &["--agents", "--hook"]);
    assert!(second.iter().all(|(_, action)| action == "keep"), "{second:?}");
    assert_eq!(
        std::fs::read_to_string(sandbox.repo().join("AGENTS.md")).unwrap(),
        agents
    );
}

#[test]
fn dry_run_writes_nothing() {
    let sandbox = fresh();
    sandbox
        .gates(["init", "--dry-run"])
        .run()
        .exits(0)
        .prints("create  configs/gates/gates.toml");
    assert!(!sandbox.repo().join("configs").exists());
    Sandbox::new()
        .gates(["init"])
        .run()
        .exits(2)
        .reports("it is not a git checkout\n  help: run `git init` there first");
}

#[test]
fn dry_run_patch_equals_written_files() {
    for agents in [
        None,
        Some(""),
        Some("# A"),
        Some("# A\n\nb\nc\nd\n"),
        Some("one\ntwo\nthree\nfour"),
    ] {
        let (shown, written) = (fresh(), fresh());
        for sandbox in [&shown, &written] {
            if let Some(text) = agents {
                sandbox.file("AGENTS.md", text);
            }
        }
        let patch = shown
            .gates(["init", "--agents", "--dry-run", "-v"])
            .run()
            .exits(0)
            .stdout;
        assert!(!shown.repo().join("configs").exists());
        std::fs::write(shown.path("patch"), patch).unwrap();
        shown.git(["apply", "--whitespace=nowarn", "../patch"]);
        written
            .gates(["init", "--agents"])
            .run()
            .exits(0)
            .prints("create  configs/gates/gates.toml")
            .any_files();
        for sandbox in [&shown, &written] {
            sandbox.git(["add", "-A"]);
        }
        let tree = |sandbox: &Sandbox| sandbox.git(["write-tree"]);
        assert_eq!(tree(&shown), tree(&written), "{agents:?}");
    }
}

#[test]
fn invalid_action_name_is_refused() {
    let sandbox = fresh();
    for name in [
        "foo",
        "a/b@$(x) y: z",
        "a/b@",
        "@v1",
        "a@v1",
        "a/b@v1#c",
        "./x@v1",
    ] {
        let refused = sandbox.gates(["init", "--action", name]).run();
        refused.exits(2).reports("OWNER/REPO@REF");
    }
    assert!(!sandbox.repo().join(".github").exists());
    sandbox
        .gates(["init", "--action", "octo-org/tools/gates@release/v1"])
        .run()
        .exits(0)
        .any_files()
        .prints("create  .github/workflows/tier-b.yml");
}

#[test]
fn skill_file_names_every_command_and_code() {
    let sandbox = fresh();
    assert!(actions(&sandbox, &["--skill"]).contains(&(
        ".claude/skills/nmoe-gates/SKILL.md".to_owned(),
        "create".to_owned()
    )));
    let skill = std::fs::read_to_string(sandbox.repo().join(".claude/skills/nmoe-gates/SKILL.md")).unwrap();
    assert!(
        skill.starts_with("---\nname: nmoe-gates\ndescription: "),
        "{skill}"
    );
    assert!(skill.lines().count() <= 150, "{} lines", skill.lines().count());
    assert!(
        !skill.contains("{{") && !skill.contains("{%") && skill.contains("nmoe-gates start <ID>"),
        "{skill}"
    );
    let help = sandbox.gates(["--help"]).run().exits(0).stdout;
    let commands = help
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let names = commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let mut found = 0;
    for name in names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
    {
        assert!(skill.contains(&format!("| `{name}` | ")), "{name}\n{skill}");
        found += 1;
    }
    assert!(found > 15, "{help}");
    let all = sandbox
        .gates(["explain", "--format", "json"])
        .run()
        .exits(0)
        .json();
    for (list, key) in [("codes", "code"), ("reasons", "reason")] {
        for entry in all[list].as_array().unwrap() {
            assert!(
                skill.contains(&format!("`{}`", entry[key].as_str().unwrap())),
                "{entry}"
            );
        }
    }
    assert!(actions(&sandbox, &["--skill", ".agents/skills/"]).contains(&(
        ".agents/skills/nmoe-gates/SKILL.md".to_owned(),
        "create".to_owned()
    )));
    assert!(
        actions(&sandbox, &["--skill"])
            .iter()
            .all(|(_, action)| action == "keep")
    );
}

/// Returns the contract of the written issue form, filled in without a look at the registry.
fn filled_in(sandbox: &Sandbox) -> String {
    let form = std::fs::read_to_string(sandbox.repo().join(".github/ISSUE_TEMPLATE/work_item.yml")).unwrap();
    let block = form
        .split("```yaml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let block: String = block
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("        ").unwrap_or("")))
        .collect();
    [
        ("<NN>", "01"),
        ("<slug>", "first"),
        ("feature|bugfix|perf|refactor|docs", "feature"),
        ("hot|warm|cold", "warm"),
        ("S|M|L", "S"),
        ("<module>", "data"),
    ]
    .iter()
    .fold(block, |text, (from, to)| text.replace(from, to))
}

#[test]
fn written_forms_name_only_what_the_registry_has() {
    let registry = r#"
[meta]
version = "1"
target = "b200"
[gates."cpu:unit"]
tier = "a"
cmd = "true"
[gates."gpu:first"]
tier = "b"
gpus = 1
cmd = "true"
[gates."gpu:steps_8x20"]
tier = "b"
gpus = 8
cmd = "true"
[gates."perf:speed"]
tier = "b"
kind = "perf"
compare_gate = "gpu:steps_8x20"
metric = "tokens_per_s"
[bundles]
quick = ["gpu:steps_8x20", "perf:speed"]
"#;
    for (registry, choices, holds) in [
        (
            None,
            "options: [single]",
            vec!["- cpu:compileall", "- trainer/data/**"],
        ),
        (
            Some(registry),
            "options: [quick, single]",
            vec![
                "- cpu:unit",
                "- gpu:steps_8x20",
                "gate: perf:speed",
                "metric: tokens_per_s",
            ],
        ),
    ] {
        let sandbox = fresh();
        sandbox.file("trainer/data/loader.py", "");
        if let Some(registry) = registry {
            sandbox.file("configs/gates/gates.toml", registry);
        }
        sandbox
            .gates(["init"])
            .run()
            .exits(0)
            .any_files()
            .prints("create");
        let contract = filled_in(&sandbox);
        for part in holds {
            assert!(contract.contains(part), "{part}\n{contract}");
        }
        assert_eq!(contract.contains("perf:"), registry.is_some(), "{contract}");
        // A hot change needs a perf gate, and its contract requires the gate that it compares.
        let risks: &[&str] = if registry.is_some() {
            &["warm", "hot"]
        } else {
            &["warm"]
        };
        for risk in risks {
            sandbox.file(
                "contract.yaml",
                contract.replace("risk: warm", &format!("risk: {risk}")),
            );
            let linted = sandbox
                .gates(["lint", "contract", "contract.yaml", "--format", "json"])
                .run()
                .exits(0)
                .json();
            assert_eq!(linted["findings"], serde_json::json!([]), "{contract}");
        }
        let tier_b = std::fs::read_to_string(sandbox.repo().join(".github/workflows/tier-b.yml")).unwrap();
        assert!(tier_b.contains(choices), "{tier_b}");
        let template =
            std::fs::read_to_string(sandbox.repo().join(".github/pull_request_template.md")).unwrap();
        for foreign in ["cpu:import", "moonlight", "baseline_delta"] {
            assert!(
                !template.contains(foreign) && !contract.contains(foreign),
                "{foreign}\n{template}"
            );
        }
    }
}

/// git commits what is staged. A secret that was staged and then removed from the working tree would be committed.
#[test]
fn hook_checks_index_and_not_working_tree() {
    let sandbox = fresh();
    let created = sandbox.gates(["init", "--hook"]).run().exits(0);
    created
        .prints("create  .git/hooks/pre-commit")
        .prints("create  .git/hooks/commit-msg")
        .any_files();
    let path = std::env::join_paths(
        std::iter::once(crate::support::program::folder().to_path_buf())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    let commit = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command
            .args([
                "-c",
                "user.name=A",
                "-c",
                "user.email=a@example.com",
                "commit",
                "-qm",
                "x",
            ])
            .args(args)
            .current_dir(sandbox.repo())
            .env("PATH", &path);
        let out = command.output().unwrap();
        (
            out.status.success(),
            String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout),
        )
    };
    let token = format!("token = \"ghp_{}\"\n", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
    sandbox.file("conf.py", &token).git(["add", "conf.py"]);
    sandbox.file("conf.py", "token = \"\"\n");
    let (committed, said) = commit(&[]);
    assert!(!committed && said.contains("conf.py"), "{said}");
    // A commit of named files has an index of its own.
    sandbox.git(["reset", "-q"]);
    sandbox.file("conf.py", &token).git(["add", "-N", "conf.py"]);
    let (committed, said) = commit(&["conf.py"]);
    assert!(!committed && said.contains("conf.py"), "{said}");
    sandbox.file("conf.py", "token = \"\"\n");
    assert_eq!(commit(&["conf.py"]), (true, String::new()));

    // The message is as public as the files. git removes what is below the scissors.
    let empty = ["--allow-empty", "-m"];
    let (committed, said) = commit(&[empty[0], empty[1], &token]);
    assert!(!committed && said.contains("standard input:3:10"), "{said}");
    sandbox.file(
        ".git/message",
        format!("Say what\n# ------------------------ >8 ------------------------\n{token}"),
    );
    let editor = ["-c", "core.editor=cp .git/message"];
    let command = [
        &editor[..],
        &["-c", "user.name=A", "-c", "user.email=a@example.com"],
        &["commit", "-q", "--allow-empty", "-v"],
    ]
    .concat();
    let out = std::process::Command::new("git")
        .args(command)
        .current_dir(sandbox.repo())
        .env("PATH", &path)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

    // The contract that `start` stored is found.
    let contract = crate::support::contract::contract("07", "x")
        .allow("nmoe/**")
        .yaml();
    sandbox.file(".git/nmoe-gates/contract.md", format!("```yaml\n{contract}```\n"));
    sandbox.file("docs/x.md", "x\n").git(["add", "docs/x.md"]);
    let (committed, said) = commit(&[]);
    assert!(!committed && said.contains("out-of-scope"), "{said}");
}

const TIER_B: &str = ".github/workflows/tier-b.yml";
const FORM: &str = ".github/ISSUE_TEMPLATE/work_item.yml";

fn read(sandbox: &Sandbox, path: &str) -> String {
    std::fs::read_to_string(sandbox.repo().join(path)).unwrap()
}

/// Writes the files for the first registry, then replaces the registry.
fn outdated() -> Sandbox {
    let sandbox = fresh();
    sandbox.registry(&registry().tier_a("cpu:unit", "true"));
    sandbox
        .gates(["init"])
        .run()
        .exits(0)
        .any_files()
        .prints("create");
    let own = format!("# own text before\n{}# own text after\n", read(&sandbox, TIER_B));
    sandbox.file(TIER_B, own);
    sandbox.registry(
        &registry()
            .tier_a("cpu:fast", "true")
            .bundle("quick", &["cpu:fast"]),
    );
    sandbox
}

#[test]
fn second_run_updates_its_regions_after_a_patch() {
    let sandbox = outdated();
    let before = [read(&sandbox, TIER_B), read(&sandbox, FORM)];
    let lint = || sandbox.gates(["lint", "workflows", "--format", "json"]).run();
    let stale = lint().exits(1).json();
    let found: Vec<(&str, &str)> = stale["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            (
                f["code"].as_str().unwrap(),
                f["path"].as_str().unwrap().trim_start_matches("./"),
            )
        })
        .collect();
    assert!(found.contains(&("workflow-stale-choices", TIER_B)), "{found:?}");
    assert!(found.contains(&("unknown-gate", FORM)), "{found:?}");
    let doctor = || sandbox.gates(["doctor"]).run().any_code().stdout.to_string();
    assert!(doctor().contains("`nmoe-gates init` would update"));

    // Without --write and without a terminal, only the patch is shown.
    let said = sandbox.gates(["init"]).run().exits(0).stdout;
    assert!(said.contains("+        options: [quick, single]\n"), "{said}");
    assert!(
        said.contains("updates not written\nnext: nmoe-gates init --write\n"),
        "{said}"
    );
    assert_eq!([read(&sandbox, TIER_B), read(&sandbox, FORM)], before);
    let patch = said.split("\nkeep ").next().unwrap().to_owned() + "\n";
    std::fs::write(sandbox.path("patch"), patch).unwrap();
    sandbox.git(["apply", "--check", "../patch"]);

    sandbox
        .gates(["init", "--write"])
        .run()
        .exits(0)
        .prints("update  .github/workflows/tier-b.yml")
        .changes(&[
            "repo/.github/ISSUE_TEMPLATE/work_item.yml",
            "repo/.github/pull_request_template.md",
            "repo/.github/workflows/tier-b.yml",
        ]);
    let tier_b = read(&sandbox, TIER_B);
    assert!(tier_b.contains("options: [quick, single]"), "{tier_b}");
    assert!(
        tier_b.starts_with("# own text before\n") && tier_b.ends_with("# own text after\n"),
        "{tier_b}"
    );
    assert!(read(&sandbox, FORM).contains("- cpu:fast"));
    let codes = lint().exits(0).json();
    assert!(!codes.to_string().contains("stale"), "{codes}");
    assert!(doctor().contains("the files of `nmoe-gates init` are up to date"));
    assert!(
        actions(&sandbox, &["--write"])
            .iter()
            .all(|(_, action)| action == "keep")
    );
}

/// `init` shows a patch and waits for an answer. An edit that is made meanwhile is not lost.
#[test]
fn edit_while_init_asks_is_kept() {
    let sandbox = outdated();
    let before = read(&sandbox, FORM);
    let mut command = sandbox.gates(["init"]).into_command();
    let (mut terminal, mut asking) = Terminal::spawn(&mut command);
    terminal.until(&Regex::new("Apply this patch").unwrap());
    let edited = read(&sandbox, TIER_B) + "# meanwhile\n";
    sandbox.file(TIER_B, &edited);
    terminal.write("y\n");
    terminal.until(&Regex::new("it has changed since `init` read it").unwrap());
    assert_eq!(asking.wait().unwrap().code(), Some(2));
    assert_eq!(read(&sandbox, TIER_B), edited);
    assert_eq!(read(&sandbox, FORM), before, "one file was written");
}

#[test]
fn link_out_of_repository_is_not_followed() {
    for (link, target) in [("AGENTS.md", "outside/AGENTS.md"), (".github", "outside")] {
        let sandbox = fresh();
        let outside = sandbox.path("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("AGENTS.md"), "# Theirs\n").unwrap();
        std::os::unix::fs::symlink(sandbox.path(target), sandbox.repo().join(link)).unwrap();
        let refused = sandbox.gates(["init", "--agents"]).run().exits(2);
        refused.changes(&[]).reports("a symbolic link leads to ");
    }
    // A link inside the repository stays a link.
    let sandbox = fresh();
    sandbox.file("CLAUDE.md", "# Ours\n");
    std::os::unix::fs::symlink("CLAUDE.md", sandbox.repo().join("AGENTS.md")).unwrap();
    assert!(actions(&sandbox, &["--agents"]).contains(&("AGENTS.md".to_owned(), "append".to_owned())));
    assert!(sandbox.repo().join("AGENTS.md").is_symlink());
    assert!(read(&sandbox, "CLAUDE.md").starts_with("# Ours\n\n<!-- nmoe-gates init: begin "));
}

#[test]
fn json_says_what_was_written() {
    let sandbox = outdated();
    sandbox.file(".github/pull_request_template.md", "our own: nmoe_pr\n");
    let call = |args: &[&str]| {
        let args = ["init", "--format", "json", "--agents"].iter().chain(args);
        let json = sandbox.gates(args).run().exits(0).any_files().json();
        let files = json["files"].as_array().unwrap().iter();
        let written = files.filter(|file| file["written"] == true);
        let written: Vec<String> = written
            .map(|file| file["path"].as_str().unwrap().to_owned())
            .collect();
        (written, json["written"].clone(), json["next"].clone())
    };
    let none = Vec::<String>::new();
    assert_eq!(
        call(&["--dry-run"]),
        (none.clone(), false.into(), "nmoe-gates init".into())
    );
    let created = vec!["AGENTS.md".to_owned()];
    assert_eq!(
        call(&[]),
        (created, false.into(), "nmoe-gates init --write".into())
    );
    let updated = vec![FORM.to_owned(), TIER_B.to_owned()];
    assert_eq!(
        call(&["--write"]),
        (updated, true.into(), "nmoe-gates doctor".into())
    );
    assert_eq!(
        call(&["--write"]),
        (none, true.into(), "nmoe-gates doctor".into())
    );
}

/// A person has added a step with another action before the region of `init`.
#[test]
fn foreign_step_is_not_the_action() {
    let sandbox = outdated();
    let own = "# uses: other/action@v1\n    uses: other/action@v1\n";
    sandbox.file(TIER_B, format!("{own}{}", read(&sandbox, TIER_B)));
    sandbox
        .gates(["init", "--write"])
        .run()
        .exits(0)
        .any_files()
        .prints("update");
    let tier_b = read(&sandbox, TIER_B);
    assert_eq!(tier_b.matches("other/action").count(), 2, "{tier_b}");
    assert!(tier_b.contains("uses: Noumena-Network/nmoe-gates@v"), "{tier_b}");
}

#[test]
fn edited_region_is_reported_and_kept() {
    let sandbox = outdated();
    let edited = read(&sandbox, TIER_B).replace("name: Tier B", "name: Ours");
    assert_ne!(edited, read(&sandbox, TIER_B));
    sandbox.file(TIER_B, &edited);
    let said = sandbox
        .gates(["init", "--write"])
        .run()
        .exits(0)
        .any_files()
        .stdout;
    assert!(
        said.contains("edited  .github/workflows/tier-b.yml  (its region was edited: "),
        "{said}"
    );
    assert!(
        said.contains("update  .github/ISSUE_TEMPLATE/work_item.yml"),
        "{said}"
    );
    assert_eq!(read(&sandbox, TIER_B), edited);
}

#[test]
fn update_keeps_the_action_of_the_workflow() {
    let sandbox = fresh();
    let action = "octo-org/gates@0123456789012345678901234567890123456789";
    sandbox
        .gates(["init", "--action", action])
        .run()
        .exits(0)
        .any_files()
        .prints("create");
    sandbox.registry(
        &registry()
            .tier_a("cpu:fast", "true")
            .bundle("quick", &["cpu:fast"]),
    );
    sandbox
        .gates(["init", "--write"])
        .run()
        .exits(0)
        .any_files()
        .prints("update");
    let tier_b = read(&sandbox, TIER_B);
    assert!(
        tier_b.contains(&format!("uses: {action}")) && tier_b.contains("[quick, single]"),
        "{tier_b}"
    );
}

/// In a merge queue the running commit is the change, so that `$/` would run the action of the change with a token that writes.
#[test]
fn self_reference_never_runs_the_change() {
    let sandbox = fresh();
    sandbox.file("action.yml", "name: x\n");
    let calls = || {
        let own = |text: String| -> Vec<String> {
            let lines = text.lines().filter_map(|line| line.trim().strip_prefix("uses: "));
            let own = lines.filter(|uses| uses.starts_with("./") || uses.starts_with("$/"));
            own.map(str::to_owned).collect()
        };
        let lint = own(read(&sandbox, ".github/workflows/pr-lint.yml"));
        (lint, own(read(&sandbox, TIER_B)))
    };
    actions(&sandbox, &["--self-reference"]);
    let (lint, tier_b) = calls();
    assert_eq!(lint, ["./"]);
    assert_eq!(tier_b, ["./", "$/", "$/", "$/", "$/"]);
    let linted = sandbox
        .gates(["lint", "workflows", "--format", "json"])
        .run()
        .exits(0)
        .json();
    assert_eq!(linted["findings"], serde_json::json!([]));
    // A second run keeps what the workflows call.
    actions(&sandbox, &["--write"]);
    assert_eq!(calls(), (lint, tier_b));
}

#[test]
fn registry_and_settings_come_from_named_repository() {
    let other = registry().tier_a("cpu:theirs", "true");
    let source = Sandbox::new();
    source.registry(&other);
    let folder = source.repo();
    let naming = "[naming]\nbase = \"main\"\nremote = \"upstream\"\n";
    for (from, settings) in [
        (folder.clone(), Some(naming)),
        (
            folder.clone(),
            Some("[naming] # names\nremote = \"upstream\"\n\n[perf]\n"),
        ),
        (folder.clone(), Some("[perf]\n")),
        (folder.join("configs/gates/gates.toml"), None),
    ] {
        source.file("configs/nmoe-gates.toml", settings.unwrap_or_default());
        let has_remote = settings.is_some_and(|text| text.contains("remote"));
        let sandbox = fresh();
        let args = ["init", "--from", from.to_str().unwrap()];
        sandbox.gates(args).run().exits(0).any_files().prints("create");
        assert_eq!(read(&sandbox, "configs/gates/gates.toml"), other.text());
        let settings = read(&sandbox, "configs/nmoe-gates.toml");
        let naming = toml::from_str::<toml::Value>(&settings).unwrap()["naming"].clone();
        assert_eq!(naming["base"].as_str(), Some("trunk"), "{settings}");
        let remote = naming.get("remote").and_then(toml::Value::as_str);
        assert_eq!(remote, has_remote.then_some("upstream"), "{settings}");
        assert!(read(&sandbox, FORM).contains("- cpu:theirs"));
    }
    source.file("configs/nmoe-gates.toml", "naming.remote = \"upstream\"\n");
    let refused = |from: &str, says: &str| {
        let outcome = fresh().gates(["init", "--from", from]).run();
        outcome.exits(2).reports(says);
    };
    refused(folder.to_str().unwrap(), "cannot set the base branch");
    refused("absent", "cannot read absent");
}

#[test]
fn named_package_is_checked() {
    let sandbox = fresh();
    sandbox.file("other/__init__.py", "");
    sandbox
        .gates(["init", "--package", "trainer"])
        .run()
        .exits(0)
        .any_files()
        .prints("create");
    let gates = read(&sandbox, "configs/gates/gates.toml");
    assert!(
        gates.contains("-q trainer/") && !gates.contains("other"),
        "{gates}"
    );
    assert!(read(&sandbox, FORM).contains("- trainer/<module>/"));
    assert!(actions(&sandbox, &[]).iter().all(|(_, action)| action == "keep"));
    let refused = fresh().gates(["init", "--package", "absent"]).run();
    refused.exits(2).reports("cannot use the package absent");
}

/// Questions are for a person at a terminal. Each answer has an option.
#[test]
fn questions_need_a_terminal() {
    let sandbox = fresh();
    let refused = sandbox.gates(["init", "--ask"]).run();
    refused.exits(2).reports("cannot ask questions");
    let mut command = sandbox.gates(["init", "--ask"]).into_command();
    let (mut terminal, mut asking) = Terminal::spawn(&mut command);
    for (question, answer) in [
        (r"check, .* \[trainer\]: ", ""),
        ("AGENTS.md", "y"),
        ("skill file", "n"),
        ("git hook", "y"),
    ] {
        terminal.until(&Regex::new(question).unwrap());
        terminal.write(&format!("{answer}\n"));
    }
    terminal.until(&Regex::new("next: nmoe-gates doctor").unwrap());
    assert!(asking.wait().unwrap().success());
    for (path, there) in [
        ("AGENTS.md", true),
        (".git/hooks/pre-commit", true),
        (".claude", false),
        (TIER_B, true),
    ] {
        assert_eq!(sandbox.repo().join(path).exists(), there, "{path}");
    }
}
