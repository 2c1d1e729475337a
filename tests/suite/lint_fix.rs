//! Tests `--fix`: it shows a diff, writes on request, and keeps every other byte. Also tests the pre-commit hooks and manual pages.

use crate::driver::Sandbox;
use crate::support::registry::registry;

/// A misspelt gate in a body with CRLF, a byte-order mark, comments, and no line end at its end.
const BODY: &str = "\u{feff}# Töpic\r\n\r\n```yaml\r\nnmoe:\r\n  issue: 01 # kept\r\ngates:\r\n  required: [ \"cpu:imporq\" ]  # why\r\n```\r\nend";

fn sandbox(body: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .registry(&registry().gate("cpu:import", "true", "tier = \"a\"\ntimeout_s = 5"))
        .file("issue.md", body);
    sandbox
}

#[test]
fn fix_without_write_only_shows_diff() {
    let sandbox = sandbox(BODY);
    sandbox
        .gates(["lint", "contract", "issue.md", "--fix"])
        .expect()
        .status(1)
        .stdout(
            "--- a/issue.md\n+++ b/issue.md\n@@ -4,6 +4,6 @@\n nmoe:\r\n   issue: 01 # kept\r\n gates:\r\n\
             -  required: [ \"cpu:imporq\" ]  # why\r\n+  required: [ cpu:import ]  # why\r\n ```\r\n end\n\
             \\ No newline at end of file\n",
        )
        .stderr_matches(".*")
        .check();
}

#[test]
fn written_fix_keeps_other_bytes() {
    let sandbox = sandbox(BODY);
    let out = sandbox
        .gates(["lint", "contract", "issue.md", "--fix", "--write"])
        .expect()
        .status(1)
        .stdout_any()
        .stderr_matches(".*")
        .writes("issue.md", BODY.replace("\"cpu:imporq\"", "cpu:import"))
        .check();
    assert!(!out.stdout.contains("unknown-gate"), "{}", out.stdout);
    assert!(out.stdout.contains("missing-key"), "{}", out.stdout);
}

/// Plain `git apply` needs context. Changes are at the start, in the middle, at the end, next to each other, and in several files.
#[test]
fn printed_diff_applies_with_git() {
    let gates = "gates: {required: [cpu:imporq]}\n";
    let many = "#\n".repeat(9);
    let lines = |text: &str| text.replace('\n', "\r\n");
    for (name, body) in [
        ("issue.md", BODY.to_owned()),
        ("first.yml", format!("{gates}nmoe: {{issue: 01}}\n{many}")),
        (
            "first-with-mark.yml",
            format!("\u{feff}{gates}nmoe: {{issue: 01}}\n"),
        ),
        ("middle.yml", format!("{many}nmoe: {{issue: 01}}\n{gates}{many}")),
        ("last.yml", format!("nmoe: {{issue: 01}}\n{many}{gates}")),
        (
            "last-open.yml",
            format!("nmoe: {{issue: 01}}\n{many}{}", gates.trim_end()),
        ),
        (
            "last-open-crlf.yml",
            lines(&format!("nmoe: {{issue: 01}}\n{many}{}", gates.trim_end())),
        ),
        (
            "only.yml",
            "{nmoe: {issue: 01}, gates: {required: [cpu:imporq]}}".to_owned(),
        ),
        (
            "two.yml",
            format!("gatez:\n  required:\n    - cpu:import\n{many}nmoe:\n  issue: 01\n  risk: hoz\n"),
        ),
        (
            "near.yml",
            "nmoe:\n  risk: hoz\n  issue: 01\n  kind: featura\ngates:\n  required:\n    - cpu:imporq\n"
                .to_owned(),
        ),
        ("a name.yml", format!("nmoe: {{issue: 01}}\n{gates}")),
        ("na\"me.yml", format!("nmoe: {{issue: 01}}\n{gates}")),
    ] {
        for folder in ["", "below/"] {
            let sandbox = sandbox(BODY);
            sandbox.git(["init", "-q"]);
            let files = [name, "issue.md"].map(|file| format!("{folder}{file}"));
            sandbox.file(&files[1], BODY).file(&files[0], &body);
            let call = |args: &[&str]| {
                let here = sandbox.repo().join(folder);
                let mut all = vec!["lint", "contract", name];
                all.extend((name != "issue.md").then_some("issue.md"));
                sandbox.gates(all.iter().chain(args)).current_dir(here).run()
            };
            let read = || {
                files
                    .clone()
                    .map(|file| std::fs::read(sandbox.repo().join(file)).unwrap())
            };
            let before = read();
            let printed = call(&["--fix"]).exits(1).stdout;
            assert!(printed.contains("\n@@ -"), "{name}: {printed}");
            std::fs::write(sandbox.path("fix.diff"), &*printed).unwrap();
            crate::driver::git(
                &sandbox.repo().join(folder),
                ["apply", sandbox.path("fix.diff").to_str().unwrap()],
            );
            let applied = read();
            assert_ne!(applied[0], before[0], "{name}: {printed}");
            for (file, text) in files.iter().zip(&before) {
                std::fs::write(sandbox.repo().join(file), text).unwrap();
            }
            call(&["--fix", "--write"]).exits(1).any_files().any_output();
            assert_eq!(read(), applied, "{name}: {printed}");
        }
    }
}

/// The context of a change would show the line.
#[test]
fn fix_near_private_line_is_left_out() {
    let token = ["gh", "p_", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"].concat();
    let sandbox = sandbox(&BODY.replace("# kept", &format!("# {token}")));
    let said = sandbox
        .gates(["lint", "contract", "issue.md", "--fix"])
        .run()
        .exits(1);
    let said = said.prints("error[github-token]").stdout;
    assert!(!said.contains(&token) && !said.contains("@@ -"), "{said}");
}

#[test]
fn private_line_is_neither_shown_nor_changed() {
    let token = ["gh", "p_", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"].concat();
    let body = BODY.replace("# why", &format!("# {token}"));
    let sandbox = sandbox(&body);
    let out = sandbox
        .gates(["lint", "contract", "issue.md", "--fix", "--write"])
        .expect()
        .status(1)
        .stdout_any()
        .stderr_matches(".*")
        .check();
    assert!(
        !out.stdout.contains(&token) && !out.stderr.contains(&token),
        "a private text was shown"
    );
}

#[test]
fn write_requires_option_and_local_file() {
    let sandbox = sandbox(BODY);
    sandbox
        .gates(["lint", "contract", "issue.md", "--write"])
        .expect()
        .status(2)
        .stderr_matches("error: .*--fix.*")
        .check();
    sandbox
        .gates(["lint", "contract", "--issue", "1", "--fix", "--write"])
        .expect()
        .status(2)
        .stderr_matches("error: .*")
        .check();
}

#[test]
fn manual_pages_cover_every_subcommand() {
    let sandbox = Sandbox::new();
    let page = sandbox.gates(["man"]).run().exits(0).stdout;
    assert!(page.contains(".TH nmoe-gates 1"), "{page}");
    assert!(page.contains(".SH \"COMMANDS BY ROLE\"\n  set up "), "{page}");
    sandbox
        .gates(["man", "--dir", "man"])
        .run()
        .exits(0)
        .reports("wrote the pages into man")
        .any_files();
    for name in [
        "nmoe-gates",
        "nmoe-gates-run",
        "nmoe-gates-lint-contract",
        "nmoe-gates-doctor",
    ] {
        assert!(sandbox.repo().join(format!("man/{name}.1")).is_file(), "{name}");
    }
}

#[test]
fn pre_commit_hooks_name_existing_commands() {
    let text = include_str!("../../.pre-commit-hooks.yaml");
    let hooks: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
    let hooks = hooks.as_sequence().unwrap();
    assert_eq!(hooks.len(), 4);
    for hook in hooks {
        let entry = hook["entry"].as_str().unwrap();
        let words: Vec<&str> = entry.split(' ').collect();
        assert_eq!(words[0], "nmoe-gates");
        let help: Vec<&str> = words[1..].iter().copied().chain(["--help"]).collect();
        Sandbox::new().gates(help).run().exits(0).any_output();
    }
}
