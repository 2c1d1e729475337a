//! Documents in the shapes that people and tools leave them: fences, line ends, standard input, unreadable files, hostile sizes.

use serde_json::Value;

use crate::driver::{Outcome, Place};

const CONTRACT: &str = include_str!("../fixtures/lint/contract.md");
const REGISTRY: &str = include_str!("../fixtures/lint/gates.toml");

fn checkout() -> Place {
    let place = Place::new();
    place.file("configs/gates/gates.toml", REGISTRY);
    place
}

fn lint(place: &Place, text: &str) -> Outcome {
    place
        .gates(["lint", "contract", "-", "--format", "json"])
        .stdin(text)
        .run()
}

fn codes(out: &Outcome) -> Vec<(String, u64, u64)> {
    let json = out.json();
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

/// The block of the clean contract, without its fences.
fn block() -> String {
    let start = CONTRACT.find("nmoe:").unwrap();
    CONTRACT[start..CONTRACT[start..].find("```").unwrap() + start].to_owned()
}

#[test]
fn a_clean_contract_is_clean_in_every_wrapping() {
    let place = checkout();
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
        let out = lint(&place, &text);
        assert_eq!(codes(&out), [], "{text}");
        out.exits(0);
    }
}

#[test]
fn places_are_those_of_the_whole_document() {
    let place = checkout();
    let bad = CONTRACT.replace("kind: feature", "kind: Feature");
    let line = CONTRACT.lines().position(|l| l.contains("kind:")).unwrap() as u64 + 1;
    for text in [bad.clone(), bad.replace('\n', "\r\n"), format!("\u{feff}{bad}")] {
        assert_eq!(
            codes(&lint(&place, &text)),
            [("invalid-value".to_owned(), line, 9)]
        );
    }
    // Columns are code points, and an indented fence counts as it stands.
    let indented: String = bad.lines().map(|l| format!("  {l}\n")).collect();
    assert_eq!(
        codes(&lint(&place, &indented)),
        [("invalid-value".to_owned(), line, 11)]
    );
    let wide = bad.replace("slug: attention", "slug: ätt→ention");
    let found = lint(&place, &wide).json();
    let slug = &found["findings"][0];
    assert_eq!(slug["code"], "invalid-slug");
    assert_eq!(
        (slug["column"].as_u64(), slug["end_column"].as_u64()),
        (Some(9), Some(19))
    );
}

#[test]
fn written_out_line_ends_are_one_finding_and_the_rest_is_judged_in_place() {
    let place = checkout();
    let text = CONTRACT
        .replace("kind: feature", "kind: Feature")
        .replace('\n', "\\n");
    let out = lint(&place, &text);
    let found = codes(&out);
    let column = text.find("Feature").unwrap() as u64 + 1;
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].0, "literal-newlines");
    assert_eq!(found[1], ("invalid-value".to_owned(), 1, column));
}

#[test]
fn an_unclosed_fence_is_one_finding() {
    let place = checkout();
    let text = CONTRACT.replacen("\n```\n\n### Notes", "\n\n### Notes", 1);
    let line = CONTRACT.lines().position(|l| l == "```yaml").unwrap() as u64 + 1;
    assert_eq!(
        codes(&lint(&place, &text)),
        [("unclosed-fence".to_owned(), line, 1)]
    );
}

#[test]
fn a_document_without_a_block_is_a_finding_and_an_unreadable_file_is_unusable() {
    let place = checkout();
    for text in [
        "",
        "\n",
        "Please make it faster.\n",
        "```json\nnmoe: 1\n```\n",
        "nmoe_pr:\n  issue: 1\n",
    ] {
        let out = lint(&place, text).exits(1);
        assert_eq!(codes(&out)[0].0, "no-block", "{text:?}");
    }
    place.gates(["lint", "contract", "no-such-file"]).run().exits(2);
    place.gates(["lint", "contract"]).run().exits(2);
    place
        .gates(["lint", "contract", "-"])
        .stdin(vec![0xff, 0xfe, 0x00])
        .run()
        .exits(2);
    // What can be read is judged all the same.
    place.file("bad.md", "nothing").file("good.md", CONTRACT);
    let out = place
        .gates([
            "lint", "contract", "bad.md", "gone.md", "good.md", "--format", "json",
        ])
        .run()
        .exits(2);
    assert_eq!(out.json()["summary"]["errors"], 1);
    assert_eq!(out.json()["summary"]["documents"], 2);
}

#[test]
fn hostile_sizes_end_at_once() {
    let place = checkout();
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
        lint(&place, &text).exits(1);
    }
}

#[test]
fn without_a_registry_gate_ids_are_not_judged_and_that_is_said() {
    let place = Place::new();
    place.file("contract.md", CONTRACT.replace("cpu:import", "cpu:imprt"));
    let out = place.gates(["lint", "contract", "contract.md"]).run().exits(0);
    assert!(out.stderr.contains("no registry"), "{}", out.stderr);
}

#[test]
fn a_secret_is_found_and_never_shown() {
    let place = checkout();
    let secret = format!("gh{}_{}", "p", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6");
    let text = CONTRACT.replace("slug: attention", &format!("slug: {secret}"));
    for format in ["human", "json", "github", "sarif"] {
        let out = place
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
