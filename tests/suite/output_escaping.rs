//! Tests that hostile names in human output have no effect in a terminal or a job log.

use crate::attack::{attack, runner};
use crate::driver::{Outcome, Sandbox};

/// Parts of hostile names: a line break before a workflow command, a clipboard write, an erased line, reordered text.
const TRICKS: [&str; 6] = [
    "\n::error::x",
    "\u{1b}]52;c;eA==\u{7}",
    "\r\u{1b}[2Kok",
    "\u{202e}txt",
    "\u{9b}31m",
    "##[error]x",
];

/// Returns the parts of this output that a terminal or the runner would execute.
fn acts(output: &str) -> Vec<String> {
    let mut found = runner::commands(output);
    found.extend(
        output
            .lines()
            .filter(|line| {
                let hidden = |c: char| {
                    (c.is_control() && c != '\t')
                        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                };
                line.chars().any(hidden) || line.trim_start().starts_with("::") || line.contains("##[")
            })
            .map(str::to_owned),
    );
    found
}

#[track_caller]
fn inert(what: &str, out: &Outcome) {
    let both = [out.stdout.as_str(), out.stderr.as_str()].concat();
    assert!(!both.is_empty(), "{what} printed nothing");
    assert_eq!(acts(&both), Vec::<String>::new(), "{what}\n{both}");
}

/// Creates a checkout whose names are all chosen by an attacker.
fn hostile() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    sandbox.file("nmoe/a.py", "a\n");
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "-qm", "Begin"]);
    sandbox.git(["checkout", "-qb", "issue/07-x"]);
    let mut registry = String::new();
    for (n, trick) in TRICKS.iter().enumerate() {
        let quoted = serde_json::to_string(&format!("cpu:{n}{trick}")).unwrap();
        let quoted = quoted.replace('\u{9b}', "\\u009b").replace('\u{7f}', "\\u007f");
        let file = serde_json::to_string(&format!("missing{trick}"))
            .unwrap()
            .replace('\u{9b}', "\\u009b");
        registry.push_str(&format!(
            "[gates.{quoted}]\ntier = \"a\"\ncmd = \"true\"\nnote = {quoted}\nrequires_files = [{file}]\n"
        ));
        sandbox.file(
            &format!("nmoe/evil{trick}.cu"),
            format!("ghp_{}\n", "a1B2".repeat(9)),
        );
        sandbox.file(&format!("lib{trick}.so"), "nothing\n");
    }
    sandbox.file("configs/gates/gates.toml", &registry);
    let word = |n: usize| serde_json::to_string(&format!("{n}{}", TRICKS[n])).unwrap();
    for n in 0..TRICKS.len() {
        sandbox.file(
            &format!("contracts/{n}.yml"),
            format!(
                "nmoe:\n  issue: {0}\n  slug: {0}\n  kind: feature\n  risk: cold\n  complexity: S\n  depends_on: [{0}, {1}]\n  \
                 merge_hotspots: [{0}]\nscope:\n  allow: [{0}]\n  deny: []\ncontract:\n  invariants: []\n  knobs:\n    add: []\n    \
                 change: []\ngates:\n  required: [{0}]\n",
                word(n),
                word((n + 1) % TRICKS.len()),
            ),
        );
    }
    sandbox
}

/// A naive program prints the names unchanged, and they take effect.
#[test]
fn t04_hostile_names_in_terminal() {
    let sandbox = hostile();
    let mut shown = String::new();
    let mut commands: Vec<Vec<String>> = [
        "lint safety nmoe",
        "lint registry",
        "plan contracts",
        "plan contracts --format mermaid",
        "plan contracts --format dot",
        "start 07 --contract contracts",
        "gates list",
        "gates resolve --tier a",
        "run --tier a --dry-run",
        "run --tier a",
        "doctor",
        "lint contract contracts/0.yml contracts/1.yml contracts/2.yml",
        "lint scope --contract contracts/0.yml --base master",
    ]
    .iter()
    .map(|line| line.split(' ').map(str::to_owned).collect())
    .collect();
    for (n, trick) in TRICKS.iter().enumerate() {
        for line in [
            "gates show cpu:",
            "explain code",
            "lint contract nowhere",
            "start 9",
            "--flag",
        ] {
            let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let last = words.last_mut().unwrap();
            if last == "cpu:" {
                last.push_str(&n.to_string());
            }
            last.push_str(trick);
            commands.push(words);
        }
        commands.push(vec!["kernels".into(), "inspect".into(), format!("lib{trick}.so")]);
        commands.push(vec![
            "lint".into(),
            "safety".into(),
            format!("nmoe/evil{trick}.cu"),
        ]);
    }
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "-qm", "Change"]);
    for command in &commands {
        for format in ["human", "json"] {
            let has_format = command.iter().any(|word| word == "--format");
            let extra: &[&str] = if has_format { &[] } else { &["--format", format] };
            let args: Vec<&str> = command
                .iter()
                .map(String::as_str)
                .chain(extra.iter().copied())
                .collect();
            let out = sandbox.gates(&args).run().any_code().any_files();
            inert(&format!("{args:?}"), &out);
            shown.push_str(&(out.stdout + &out.stderr));
        }
    }
    for trick in TRICKS {
        attack(
            &format!("{trick:?} in a name"),
            !acts(trick).is_empty(),
            shown.contains(trick) || !acts(&shown).is_empty(),
        );
    }
}

#[test]
fn forged_line_in_error_is_indented() {
    let sandbox = Sandbox::new();
    let out = sandbox
        .gates(["lint", "contract", "a\nall gates passed"])
        .run()
        .exits(2);
    assert!(
        !out.stderr.lines().any(|line| line.starts_with("all gates")),
        "{}",
        out.stderr
    );
}
