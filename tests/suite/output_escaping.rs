//! Tests that hostile names in human output have no effect in a terminal or a job log.

use pulldown_cmark::{Event, Options, Parser};
use serde_json::json;

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

/// Parts of hostile names that break a format, and further ones that act in a terminal or a log.
const MORE: [&str; 10] = [
    "</script><script>alert(1)</script>",
    "a|b",
    "``|`",
    "]]>&quot;\"'",
    "<!-- x --><b>",
    "[x](y)*z*_",
    "\u{1b}]8;;mailto:x\u{1b}\\y\u{1b}]8;;\u{1b}\\",
    "\n::set-output name=a::b",
    "\u{2066}txt\u{2069}",
    "\u{2028}x",
];

/// Returns all hostile parts.
pub fn tricks() -> Vec<&'static str> {
    TRICKS.into_iter().chain(MORE).collect()
}

/// Returns the parts of this output that a terminal or the runner would execute.
pub fn acts(output: &str) -> Vec<String> {
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

/// Returns what a reader of this format sees besides the text: the markup, or the commands of the runner.
pub fn structure(format: &str, output: &str) -> Vec<String> {
    match format {
        "html" | "junit" => vec![output.chars().filter(|c| matches!(c, '<' | '>' | '"')).collect()],
        "summary" | "comment" => {
            let all = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
            Parser::new_ext(output, all)
                .filter(|event| !matches!(event, Event::Text(_) | Event::Code(_)))
                .map(|event| format!("{event:?}"))
                .collect()
        }
        "github" => {
            let first = |line: &str| line.split([' ', ':']).nth(2).unwrap_or_default().to_owned();
            output.lines().map(first).collect()
        }
        "json" | "sarif" | "in-toto" => {
            serde_json::from_str::<serde_json::Value>(output).unwrap();
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// Asserts that a hostile value in a format changes only the text, compared with a plain value.
#[track_caller]
pub fn only_text(what: &str, format: &str, hostile: &Outcome, plain: &Outcome) {
    let both = [hostile.stdout.as_str(), hostile.stderr.as_str()].concat();
    if format == "github" {
        // Annotations are commands, but no value starts another one.
        let is_hidden = |c: char| c != '\n' && (c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c));
        assert!(!both.contains(is_hidden), "{what}\n{both}");
    } else {
        assert_eq!(acts(&both), Vec::<String>::new(), "{what}\n{both}");
    }
    assert_eq!(
        structure(format, &hostile.stdout),
        structure(format, &plain.stdout),
        "{what}\n{both}"
    );
}

/// Each format of `report`, with a hostile value in each field of results except ids.
#[test]
fn values_of_results_are_inert() {
    let report = |field: &str, value: &str, format: &str| {
        let mut results = json!({
            "schema": 1, "bundle": "some", "gate_ids": ["cpu:one"], "overall": "invalid",
            "evidence": { "merge": "3".repeat(40), "head": "1".repeat(40), "dirty": false },
            "results": { "cpu:one": { "status": "invalid", "reason": "missing_env" } },
        });
        let gate = &mut results["results"]["cpu:one"];
        match field {
            "bundle" => results["bundle"] = json!(value),
            "image" | "tool" | "target" => results["evidence"][field] = json!(value),
            "kernels" => results["evidence"]["kernels"] = json!({ value: "0".repeat(64) }),
            "supplied_by" => gate[field] = json!(value),
            "metrics" => {
                gate[field] = json!({ value: { "count": 1, "p50": 1.0, "samples": [1.0], "unit": value } });
            }
            _ => gate[field] = json!([value]),
        }
        let sandbox = Sandbox::new();
        sandbox.file("results.json", results.to_string());
        let args = ["report", "results.json", "--format", format];
        sandbox.gates(args).run().any_code().any_output()
    };
    let formats = [
        "human", "terminal", "summary", "comment", "json", "junit", "html", "in-toto", "sarif", "github",
    ];
    let fields = [
        "bundle",
        "image",
        "tool",
        "target",
        "kernels",
        "supplied_by",
        "metrics",
        "missing_env",
        "missing_files",
    ];
    for (at, format) in formats.into_iter().enumerate() {
        // A value as this tool writes it; results with another one are refused.
        let plain = fields.map(|field| match field {
            "image" => report(field, &format!("sha256:{}", "0".repeat(64)), format),
            "tool" => report(field, "0.1.0", format),
            _ => report(field, "x", format),
        });
        // Each pair of a trick, a format and a field.
        for (n, trick) in tricks().into_iter().enumerate() {
            let chosen = (n + at) % fields.len();
            let (field, plain) = (fields[chosen], &plain[chosen]);
            assert_eq!(plain.code(), Some(0), "{field} {format}\n{}", plain.stderr);
            let what = format!("{trick:?} as {field} in {format}");
            let hostile = report(field, trick, format);
            if hostile.code() == Some(0) {
                only_text(&what, format, &hostile, plain);
            } else {
                // Refused results are only named.
                assert_eq!(hostile.code(), Some(2), "{what}");
                assert!(hostile.stdout.is_empty(), "{what}");
                assert_eq!(acts(&hostile.stderr), Vec::<String>::new(), "{what}");
            }
        }
    }
}

/// Each format of lints, with hostile file names and with a hostile name of the branch.
#[test]
fn names_in_findings_are_inert() {
    let token = format!("gh{}_{}\n", "p", "k6A7i3VrORqhnKaJQhDojJYh3IVY1W2uyglY");
    let lint = |name: &str, format: &str| {
        let sandbox = Sandbox::new();
        sandbox.file(&format!("a{name}.txt"), &token);
        let args = ["lint", "safety", "--format", format];
        sandbox.gates(args).run().exits(1).any_output()
    };
    let of_branch = |name: &str, format: &str| {
        let sandbox = Sandbox::new();
        sandbox.git(["init", "-q"]);
        sandbox.git(["commit", "-qm", "Begin", "--allow-empty"]);
        sandbox.git(["checkout", "-qb", &format!("issue/{name}-{}", token.trim())]);
        sandbox.git(["commit", "-qm", "Change", "--allow-empty"]);
        let args = ["lint", "safety", "--diff", "HEAD~1..HEAD", "--format", format];
        sandbox.gates(args).run().exits(1).any_output()
    };
    for format in ["human", "json", "github", "sarif"] {
        let plain = lint("x", format);
        for trick in tricks() {
            // A slash would name a folder.
            let name = trick.replace('/', "\u{2066}");
            let what = format!("{trick:?} in a file name in {format}");
            only_text(&what, format, &lint(&name, format), &plain);
        }
        let plain = of_branch("x", format);
        for trick in ["</script><b>", "a|b`", "##]error]", "\u{202e}txt", "%0A::error"] {
            let what = format!("{trick:?} in a branch in {format}");
            let hostile = of_branch(&trick.replace("::", "="), format);
            only_text(&what, format, &hostile, &plain);
        }
    }
}
