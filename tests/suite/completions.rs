//! Tests the bash completion in an interactive bash: subcommands, options, values, gate ids, bundles, codes, files.

use regex::Regex;

use crate::driver::{Sandbox, scrubbed};
use crate::support::program::folder;
use crate::terminal::Terminal;

const REGISTRY: &str = r#"
[gates."cpu:import"]
tier = "a"
cmd = "true"

[gates."cpu:compileall"]
tier = "a"
cmd = "true"

[gates."b200:moonlight"]
tier = "b"
gpus = 8
cmd = "true"

[bundles]
hot_path_min = ["b200:moonlight"]
full = ["b200:moonlight"]
"#;

/// What is typed before the tab key, and the words after it.
const CASES: [(&str, &str); 15] = [
    ("nmoe-gates repo", "report"),
    ("nmoe-gates lint atte", "lint|attestation"),
    ("nmoe-gates schema regi", "schema|registry"),
    ("nmoe-gates report --format juni", "report|--format|junit"),
    ("nmoe-gates run --keep-g", "run|--keep-going"),
    ("nmoe-gates run --gate cpu:im", "run|--gate|cpu:import"),
    ("nmoe-gates run --gate=cpu:im", "run|--gate=cpu:import"),
    (
        "nmoe-gates run --gate cpu:import --gate b2",
        "run|--gate|cpu:import|--gate|b200:moonlight",
    ),
    ("nmoe-gates run --bundle hot", "run|--bundle|hot_path_min"),
    ("nmoe-gates gates show cpu:c", "gates|show|cpu:compileall"),
    (
        "nmoe-gates --repo other run --gate oth",
        "--repo|other|run|--gate|other:one",
    ),
    ("nmoe-gates explain unknown-ga", "explain|unknown-gate"),
    ("nmoe-gates explain missing_e", "explain|missing_env"),
    ("nmoe-gates lint contract iss", "lint|contract|issue.md"),
    // An internal option is not offered.
    ("nmoe-gates run --panic-in", "run|--panic-in"),
];

#[test]
fn bash_completes_after_subcommands() {
    let sandbox = Sandbox::new();
    sandbox
        .file("configs/gates/gates.toml", REGISTRY)
        .file(
            "other/configs/gates/gates.toml",
            "[gates.\"other:one\"]\ntier = \"a\"\ncmd = \"true\"\n",
        )
        .file("issue.md", "")
        .file("below/a", "");
    let mut command = scrubbed("bash");
    command
        .args(["--norc", "--noprofile", "-i"])
        // The registry of the nearest parent counts, and file names are those of the current directory.
        .current_dir(sandbox.repo())
        .env(
            "PATH",
            format!("{}:{}", folder().display(), std::env::var("PATH").unwrap()),
        )
        .env("HOME", sandbox.path("home"))
        .env("INPUTRC", "/dev/null")
        .env("PS1", "ready> ")
        .env("TERM", "dumb");
    let (mut terminal, mut bash) = Terminal::spawn(&mut command);
    let (ready, start, end) = (
        Regex::new("ready> ").unwrap(),
        Regex::new("\nOUT:").unwrap(),
        Regex::new(":END").unwrap(),
    );
    for line in ["source <(nmoe-gates completions bash)\r", "stty columns 500\r"] {
        terminal.until(&ready);
        terminal.write(line);
    }
    for (typed, completed) in CASES {
        terminal.until(&ready);
        // After the tab, Ctrl-A and Ctrl-E put a command around the line that prints its words.
        terminal.write(&format!(
            "{typed}\t\x01printf '\\nOUT:'; printf '%s|' \x05; echo :END\r"
        ));
        terminal.until(&start);
        assert_eq!(
            terminal.until(&end),
            format!("nmoe-gates|{completed}|"),
            "{typed}"
        );
    }
    // From a folder below, the same registry is used.
    terminal.until(&ready);
    terminal.write("cd below\r");
    terminal.until(&ready);
    terminal.write("nmoe-gates run --gate b2\t\x01printf '\\nOUT:'; printf '%s|' \x05; echo :END\r");
    terminal.until(&start);
    assert_eq!(terminal.until(&end), "nmoe-gates|run|--gate|b200:moonlight|");
    terminal.until(&ready);
    terminal.write("exit\r");
    assert!(bash.wait().unwrap().success());
}

#[test]
fn broken_registry_completes_other_words() {
    let sandbox = Sandbox::new();
    sandbox.file("configs/gates/gates.toml", "[gates\n");
    let complete = |words: &[&str]| {
        let out = sandbox
            .gates(["completions", "bash", "--", "nmoe-gates"].iter().chain(words))
            .run();
        out.exits(0).stdout
    };
    assert_eq!(complete(&["run", "--gate", "cpu"]), "");
    assert_eq!(complete(&["run", "--bundle", "si"]), "single\n");
    assert_eq!(complete(&["lint", "sco"]), "scope\n");
}
