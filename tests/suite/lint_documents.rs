//! Lints documents in unusual shapes: fences, line ends, standard input, unreadable files, extreme sizes.

use serde_json::Value;

use crate::driver::{Outcome, Sandbox};

const CONTRACT: &str = include_str!("../fixtures/lint/contract.md");
const REGISTRY: &str = include_str!("../fixtures/lint/gates.toml");

fn checkout() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("configs/gates/gates.toml", REGISTRY);
    sandbox
}

fn lint(sandbox: &Sandbox, text: &str) -> Outcome {
    sandbox
        .gates(["lint", "contract", "-", "--format", "json"])
        .stdin(text)
        .run()
}

fn codes(out: &Outcome) -> Vec<(String, u64, u64)> {
    let json = out.findings();
    let number = |f: &Value, key: &str| f[key].as_u64().unwrap();
    json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            (
                f["code"].as_str().unwrap().to_owned(),
                number(f, "line"),
                number(f, "column"),
            )
        })
        .collect()
}

/// Returns the block of the valid contract, without its fences.
fn block() -> String {
    let start = CONTRACT.find("nmoe:").unwrap();
    CONTRACT[start..CONTRACT[start..].find("```").unwrap() + start].to_owned()
}

#[test]
fn clean_contract_passes_in_every_wrapping() {
    let sandbox = checkout();
    let indented: String = CONTRACT.lines().map(|l| format!("   {l}\n")).collect();
    let in_list = block().lines().map(|l| format!("  {l}\n")).collect::<String>();
    for text in [
        CONTRACT.to_owned(),
        CONTRACT.replace('\n', "\r\n"),
        format!("\u{feff}{CONTRACT}"),
        CONTRACT.replace("```yaml", "~~~YML").replace("```", "~~~"),
        CONTRACT.replace("```yaml", "```"),
        CONTRACT
            .replace("```yaml", "`````yaml title=contract")
            .replace("\n```\n", "\n`````\n"),
        CONTRACT.replacen("### Agent", "```sh\nnmoe: 1\n```\n\n### Agent", 1),
        CONTRACT.replace("nmoe:\n", "# ours\n\nnmoe:\n"),
        indented,
        block(),
        format!("---\n{}", block()),
        format!("* item\n\n  ```yaml\n{in_list}  ```\n"),
    ] {
        let out = lint(&sandbox, &text);
        assert_eq!(codes(&out), [], "{text}");
        out.exits(0);
    }
}

#[test]
fn positions_count_from_document_start() {
    let sandbox = checkout();
    let bad = CONTRACT.replace("kind: feature", "kind: Feature");
    let line = CONTRACT.lines().position(|l| l.contains("kind:")).unwrap() as u64 + 1;
    for text in [bad.clone(), bad.replace('\n', "\r\n"), format!("\u{feff}{bad}")] {
        assert_eq!(
            codes(&lint(&sandbox, &text)),
            [("invalid-value".to_owned(), line, 9)]
        );
    }
    // Columns count code points from the start of the line, also in an indented fence.
    let indented: String = bad.lines().map(|l| format!("  {l}\n")).collect();
    assert_eq!(
        codes(&lint(&sandbox, &indented)),
        [("invalid-value".to_owned(), line, 11)]
    );
    let wide = bad.replace("slug: attention", "slug: ätt→ention");
    let found = lint(&sandbox, &wide).findings();
    let slug = &found["findings"][0];
    assert_eq!(slug["code"], "invalid-slug");
    assert_eq!(
        (slug["column"].as_u64(), slug["end_column"].as_u64()),
        (Some(9), Some(19))
    );
}

#[test]
fn escaped_line_ends_are_one_finding() {
    let sandbox = checkout();
    let text = CONTRACT
        .replace("kind: feature", "kind: Feature")
        .replace('\n', "\\n");
    let out = lint(&sandbox, &text);
    let found = codes(&out);
    let column = text.find("Feature").unwrap() as u64 + 1;
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].0, "literal-newlines");
    assert_eq!(found[1], ("invalid-value".to_owned(), 1, column));
}

#[test]
fn unclosed_fence_is_one_finding() {
    let sandbox = checkout();
    let text = CONTRACT.replacen("\n```\n\n### Notes", "\n\n### Notes", 1);
    let line = CONTRACT.lines().position(|l| l == "```yaml").unwrap() as u64 + 1;
    assert_eq!(
        codes(&lint(&sandbox, &text)),
        [("unclosed-fence".to_owned(), line, 1)]
    );
}

#[test]
fn missing_block_is_a_finding() {
    let sandbox = checkout();
    for text in [
        "",
        "\n",
        "Please make it faster.\n",
        "```json\nnmoe: 1\n```\n",
        "nmoe_pr:\n  issue: 1\n",
    ] {
        let out = lint(&sandbox, text).exits(1);
        assert_eq!(codes(&out)[0].0, "no-block", "{text:?}");
    }
    for (args, named) in [
        (["lint", "contract", "no-such-file"].as_slice(), "no-such-file"),
        (&["lint", "contract"], "FILE"),
        (&["lint", "contract", "-"], "UTF-8"),
    ] {
        sandbox
            .gates(args)
            .stdin([0xff, 0xfe, 0x00])
            .expect()
            .status(2)
            .stderr_matches(&format!("error: .*{named}.*"))
            .check();
    }
    // The readable documents are checked.
    sandbox.file("bad.md", "nothing").file("good.md", CONTRACT);
    let out = sandbox
        .gates([
            "lint", "contract", "bad.md", "gone.md", "good.md", "--format", "json",
        ])
        .expect()
        .status(2)
        .stdout_json()
        .stderr_matches("error: [^\n]*gone.md[^\n]*\n")
        .check()
        .json();
    assert_eq!(out["summary"]["errors"], 1);
    assert_eq!(out["summary"]["documents"], 2);
}

#[test]
fn oversized_documents_are_refused_quickly() {
    let sandbox = checkout();
    for text in [
        "prose, no block at all\n".repeat(200_000),
        format!("```yaml\nnmoe: {}\n```\n", "[".repeat(60_000)),
        format!("```yaml\nnmoe: {}\n```\n", "{a: ".repeat(15_000)),
        format!("```yaml\nnmoe:\n  slug: {}\n```\n", "x".repeat(70_000)),
        format!("nmoe\n{}", "> ".repeat(50_000)),
        format!("nmoe\n{}", "[![".repeat(100_000)),
        format!("nmoe\n{}", "*a_ ".repeat(100_000)),
        format!("nmoe\n{}", "```\n".repeat(50_000)),
    ] {
        lint(&sandbox, &text).exits(1).prints("\"schema\": 1,");
    }
}

#[test]
fn missing_registry_skips_gate_id_checks() {
    let sandbox = Sandbox::new();
    sandbox.file("contract.md", CONTRACT.replace("cpu:import", "cpu:imprt"));
    sandbox
        .gates(["lint", "contract", "contract.md"])
        .expect()
        .stdout_matches(".*")
        .stderr_matches(".*no registry.*")
        .check();
}

#[test]
fn secret_is_found_but_not_shown() {
    let sandbox = checkout();
    let secret = format!("gh{}_{}", "p", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6");
    let text = CONTRACT.replace("slug: attention", &format!("slug: {secret}"));
    for format in ["human", "json", "github", "sarif"] {
        let out = sandbox
            .gates(["lint", "contract", "-", "--format", format])
            .stdin(text.clone())
            .run()
            .exits(1);
        assert!(
            !out.stdout.contains(&secret) && !out.stderr.contains(&secret),
            "{}",
            out.stdout
        );
        assert!(out.stdout.contains("invalid-slug"), "{}", out.stdout);
    }
}
