//! Tests `report`: the output for people and programs, and refused results.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use regex::Regex;
use serde_json::{Value, json};

use crate::driver::{Outcome, Sandbox};
use crate::support::program::program;
use crate::support::registry::registry;

const MIXED: &str = include_str!("../fixtures/report/mixed.json");

/// Returns results in which all of these gates pass.
fn passed(gates: &[&str]) -> Value {
    let results: serde_json::Map<String, Value> = gates
        .iter()
        .map(|id| {
            (
                (*id).to_owned(),
                json!({ "status": "pass", "reason": null, "rc": 0, "duration_s": 1.0 }),
            )
        })
        .collect();
    json!({
        "schema": 1, "bundle": "some", "gate_ids": gates, "overall": "pass",
        "evidence": { "merge": "3".repeat(40), "head": "1".repeat(40), "dirty": false },
        "results": results,
    })
}

#[track_caller]
fn report(results: impl ToString, format: &str) -> Outcome {
    let sandbox = Sandbox::new();
    sandbox.file("results.json", results.to_string());
    sandbox
        .gates(["report", "results.json", "--format", format])
        .run()
}

/// The content that a GFM parser finds in a page.
#[derive(Debug, Default)]
struct Page {
    tables: Vec<Vec<Vec<String>>>,
    loose: String,
    html: Vec<String>,
    links: usize,
    mermaid: usize,
}

fn parse(markdown: &str) -> Page {
    let mut page = Page::default();
    let mut cell: Option<String> = None;
    let mut fenced = false;
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Start(Tag::Table(_)) => page.tables.push(Vec::new()),
            Event::Start(Tag::TableHead | Tag::TableRow) => page.tables.last_mut().unwrap().push(Vec::new()),
            Event::Start(Tag::TableCell) => cell = Some(String::new()),
            Event::End(TagEnd::TableCell) => {
                let row = page.tables.last_mut().unwrap().last_mut().unwrap();
                row.push(cell.take().unwrap());
            }
            Event::Start(Tag::Link { .. } | Tag::Image { .. }) => page.links += 1,
            Event::Start(Tag::CodeBlock(kind)) => {
                fenced = true;
                assert!(
                    matches!(&kind, CodeBlockKind::Fenced(info) if &**info == "mermaid"),
                    "{kind:?}"
                );
                page.mermaid += 1;
            }
            Event::End(TagEnd::CodeBlock) => fenced = false,
            Event::Text(text) if fenced => assert!(!text.contains('@')),
            Event::Code(text) => {
                if let Some(cell) = &mut cell {
                    cell.push_str(&text);
                }
            }
            Event::Text(text) => {
                page.loose.push_str(&text);
                if let Some(cell) = &mut cell {
                    cell.push_str(&text);
                }
            }
            Event::Html(html) | Event::InlineHtml(html) => page.html.push(html.trim().to_owned()),
            _ => {}
        }
    }
    page
}

/// Returns names that would break a table, mention a user, load a picture or run a command if they were not escaped.
fn hostile() -> Vec<String> {
    let mut names: Vec<String> = [
        "a|b",
        "|",
        "||",
        "a\\|b",
        "a\\",
        "\\",
        "\\\\",
        "a\\\\|b",
        "`",
        "``",
        "```",
        "a`b",
        "`a",
        "a`",
        "`|`",
        "a``|``b",
        "``` | ```",
        "@somebody",
        "@org/team",
        "#1",
        "org/repo#1",
        "GH-1",
        "https://example.com/",
        "www.example.com",
        "http://example.com|x",
        "<b>x</b>",
        "<script>alert(1)</script>",
        "<img src=https://example.com/x.png>",
        "<a href=\"javascript:x\">y</a>",
        "<!-- x",
        "-->",
        "<details>",
        "</td></tr></table>",
        "</code>",
        "<br>",
        "![x](https://example.com/x.png)",
        "[x](https://example.com)",
        "[x]: https://example.com",
        "*x*",
        "_x_",
        "**fail**",
        "~~x~~",
        "$x$",
        "$`x`$",
        "&lt;",
        "&#124;",
        "&amp;|",
        "{{ 7*7 }}",
        "{% raw %}",
        "${{ github.token }}",
        "::error::x",
        "##[error]x",
        "a b",
        " a",
        "a ",
        "| pass | 1 |",
        "--|--",
        ":--|--:",
        "# x",
        "> x",
        "1. x",
        "- x",
        "===",
        "---",
        "user@example.com",
        "ünïcødé",
        "日本",
        "'\"",
        "%0A%0D",
        "\\u{0a}",
        "<!-- nmoe-gates -->",
    ]
    .map(str::to_owned)
    .to_vec();
    names.extend(["\u{202e}txt.exe", "a\u{200b}b", "a\u{2028}b", "\u{feff}x"].map(str::to_owned));
    names
}

/// Returns a name as a page shows it: invisible characters are spelled out.
fn shown(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            '\u{200b}' | '\u{202e}' | '\u{2028}' | '\u{feff}' => c.escape_unicode().to_string(),
            c => c.to_string(),
        })
        .collect()
}

#[test]
fn summary_is_a_table() {
    let page = parse(&report(MIXED, "summary").exits(0).stdout);
    let table = &page.tables[0];
    assert_eq!(table[0], ["Gate", "Status", "node_tps_p50", "Notes", "Duration"]);
    let status: Vec<(&str, &str)> = table[1..].iter().map(|row| (&*row[0], &*row[1])).collect();
    assert_eq!(
        status,
        [
            ("cpu:import", "pass"),
            ("b200:moonlet_1x10", "invalid"),
            ("b200:moonlight_8x20", "pass"),
            ("perf:baseline_delta", "fail"),
            ("zero2:resume_determinism", "pending"),
            ("b200:profile_fp8", "fail"),
        ]
    );
    assert_eq!(table[3][2], "12,345");
    assert!(
        table[4][3].contains("throughput change −11.7 % (interval −12.5 to −10.9 %), allowed −10 %: fail"),
        "{}",
        table[4][3]
    );
    // One chart of samples, one of pairs.
    assert_eq!(page.mermaid, 2);
    assert_eq!(page.links, 0);
}

/// Returns the mixed results with the samples of each measurement.
fn mixed_with_samples() -> Value {
    let mut results: Value = serde_json::from_str(MIXED).unwrap();
    let pairs = results["results"]["perf:baseline_delta"]["perf"]["pairs"]
        .as_array_mut()
        .unwrap();
    for pair in pairs {
        pair["baseline_samples"] = json!([12_300.0, 12_400.0, 12_350.0]);
        pair["result_samples"] = json!([10_900.0, 10_800.0, 10_950.0]);
    }
    results
}

/// The page draws labels of 22 px on phones. The labels on the left were wider than their margin, so `12,062` became `2,062`.
#[test]
fn labels_of_charts_fit_on_phones() {
    // A digit is at most 0.59 of the size wide in the fonts of the page.
    const DIGIT: f64 = 22.0 * 0.59;
    let page = report(mixed_with_samples(), "html").exits(0).stdout;
    assert!(page.contains(".plot text { font-size: 22px; }"));
    let chart = Regex::new(r#"(?s)<svg class="plot" viewBox="-(\d+) .*?</svg>"#).unwrap();
    let label = Regex::new(r#"<text x="(-?[\d.]+)"[^>]*>([^<]*)</text>"#).unwrap();
    let mut labels = 0;
    for chart in chart.captures_iter(&page) {
        let margin: f64 = chart[1].parse().unwrap();
        for label in label.captures_iter(&chart[0]) {
            let end: f64 = label[1].parse().unwrap();
            let start = end - DIGIT * label[2].chars().count() as f64;
            assert!(
                start >= -margin,
                "{} starts at {start}, margin {margin}",
                &label[0]
            );
            labels += 1;
        }
    }
    assert!(labels > 4, "only {labels} labels");
}

#[test]
fn comparison_has_charts() {
    let results = mixed_with_samples();
    for format in ["summary", "comment"] {
        let out = report(&results, format).exits(0).stdout;
        assert_eq!(parse(&out).mermaid, 3, "{format}");
        assert!(
            out.contains("line [12300, 12400, 12350]\n    line [10900, 10800, 10950]"),
            "{out}"
        );
        assert!(out.contains("Blue is the baseline, orange the change."), "{out}");
    }
    let page = report(&results, "html").exits(0).stdout;
    for class in ["base", "head"] {
        assert_eq!(
            page.matches(&format!("<path class=\"{class}\"")).count(),
            2,
            "{class}"
        );
        assert_eq!(
            page.matches(&format!("<path class=\"median {class}\"")).count(),
            2,
            "{class}"
        );
    }
    assert!(page.contains("<path class=\"interval\"") && page.contains("<path class=\"edge\""));
    for text in [
        ">1 baseline</text>",
        ">2 change</text>",
        ">all: −11.7 %</text>",
        "<code>node_tps_p50</code>",
        "the budget, −10.0 %",
    ] {
        assert!(page.contains(text), "{text}\n{page}");
    }
}

/// A terminal of 80 columns wraps a wider table into a mess.
#[test]
fn terminal_table_fits_80_columns() {
    let mut wide = passed(&["cpu:import"]);
    let id = format!("b200:{}", "x".repeat(59));
    wide["gate_ids"] = json!(["cpu:import", id]);
    wide["overall"] = json!("inconclusive");
    wide["results"][&id] = json!({ "status": "inconclusive", "reason": "noisy", "duration_s": 3599.0, "node_tps_p50": 1e9,
        "node_tps_samples": 1, "missing_env": (0..12).map(|n| format!("NMOE_VARIABLE_{n}")).collect::<Vec<_>>() });
    for results in [MIXED.to_owned(), wide.to_string()] {
        let out = report(results, "terminal").exits(0).stdout;
        for line in out.lines() {
            assert!(line.chars().count() <= 80, "{line}\n{out}");
        }
    }
}

/// A line that begins with a colon is escaped, and a rule of the style that begins so has no effect.
#[test]
fn style_of_html_is_not_escaped() {
    let html = report(MIXED, "html")
        .exits(0)
        .prints("\nhtml { color-scheme")
        .stdout;
    let style = html.split("</style>").next().unwrap();
    assert!(!style.contains('\\'), "{style}");
}

#[test]
fn report_links_to_pages_on_github() {
    let sandbox = Sandbox::new();
    sandbox.file("results.json", MIXED);
    sandbox.git(["init", "-q"]);
    sandbox.git(["remote", "add", "origin", "git@github.com:o/n.git"]);
    let report = |format: &str| sandbox.gates(["report", "results.json", "--format", format]);
    let page = |id: &str| format!("https://github.com/o/n/commit/{}", id.repeat(40));
    let html = report("html").run().exits(0).stdout;
    for id in ["1", "2", "3"] {
        assert!(html.contains(page(id).as_str()), "{id}\n{html}");
    }
    let run = |format: &str| {
        report(format)
            .env("GITHUB_SERVER_URL", "https://git.example.org")
            .env("GITHUB_REPOSITORY", "o/n")
            .env("GITHUB_RUN_ID", "7")
    };
    let summary = run("summary").run().exits(0).stdout;
    assert!(
        summary.contains("[workflow run, with its log](https://git.example.org/o/n/actions/runs/7)"),
        "{summary}"
    );
    assert_eq!(parse(&summary).links, 6, "{summary}");
    run("terminal")
        .run()
        .exits(0)
        .prints("  workflow run, with its log: https://git.example.org/o/n/actions/runs/7\n");
    // Pages of another host have other addresses.
    sandbox.git(["remote", "set-url", "origin", "https://gitlab.com/o/n.git"]);
    let html = report("html").run().exits(0).prints("<!doctype html>").stdout;
    assert!(!html.contains("<a "), "{html}");
}

#[test]
fn terminal_matches_summary() {
    let out = report(MIXED, "human").exits(0).stdout;
    insta::assert_snapshot!(out, @r#"
    Gates: full — fail
    6 gates: 2 pass, 2 fail, 1 invalid, 1 pending, in 1 h 02 min.
    Tested commit: 3333333333333333333333333333333333333333, the merge of
      1111111111111111111111111111111111111111.

    Gate                      Status   node_tps_p50  Duration
    cpu:import                pass                –  0.4 s
    b200:moonlet_1x10         invalid             –  –
        missing_env
        missing variables: NMOE_DATA_PATH, NMOE_RUN_ROOT
        missing files: configs/moonlight_frozen.toml
    b200:moonlight_8x20       pass           12,345  3 min 05 s
        left 2 processes behind, which were ended
        kernel checks: 1 of 1 passed
        loss_p50 2.31 nats
        ▁█████ 6 samples of node_tps
    perf:baseline_delta       fail           10,900  15 min 00 s
        over_budget
        throughput change −11.7 % (interval −12.5 to −10.9 %), allowed −10 %: fail
        node_tps_p50 10,900 against 12,345 on b200:moonlight_8x20, baseline
          222222222222, 2 pairs
        pairs: −11.7, −11.7 %
        42.5 GPU-minutes
    zero2:resume_determinism  pending             –  –
        external
    b200:profile_fp8          fail                –  12 s
        exit_code
        exit code 2

    Not covered: the contract also requires b200:profile_nvfp4.

    What to do
      missing_env (b200:moonlet_1x10): The runner lacks an environment variable that
        the registry's requires names. Fix the configuration of the runner. Do not
        paste details of the cluster here.
      over_budget (perf:baseline_delta): The change is slower than the budget
        allows. Check that the intended gate was compared and that the budget
        matches the contract; else make the change faster.
      external (zero2:resume_determinism): The gate is run elsewhere; its verdict
        comes from a recorded result. Give the recorded result with --external
        ID=RESULTS.
      exit_code (b200:profile_fp8): The command ended with a non-zero exit code.
        Read the part of the gate in the job's log, or run the gate locally with
        nmoe-gates run --gate ID.

    Evidence
      merge     3333333333333333333333333333333333333333
      head      1111111111111111111111111111111111111111
      base      2222222222222222222222222222222222222222
      tree      4444444444444444444444444444444444444444
      registry  5555555555555555555555555555555555555555555555555555555555555555
      contract  6666666666666666666666666666666666666666666666666666666666666666
      kernels   7777777777777777777777777777777777777777777777777777777777777777
        nmoe/csrc/rdep.so
      image
        sha256:8888888888888888888888888888888888888888888888888888888888888888
      tool      0.1.0
      target    b200x8
      run       0123456789abcdef0123456789abcdef
    "#);
    assert_eq!(out, report(MIXED, "terminal").exits(0).stdout);
}

#[test]
fn hostile_names_are_escaped_in_summary() {
    let names = hostile();
    assert!(names.len() >= 55, "{}", names.len());
    let plain = parse(&report(passed(&["cpu:import"]), "comment").exits(0).stdout);
    for name in &names {
        // As a bundle, and in every other field for a name, apart from ids and images, whose form is checked.
        let mut results = passed(&["cpu:hostile", "cpu:import"]);
        results["bundle"] = json!(name);
        results["overall"] = json!("invalid");
        results["evidence"]["kernels"] = json!({ name: "0".repeat(64) });
        let gate = &mut results["results"]["cpu:hostile"];
        gate["status"] = json!("invalid");
        gate["reason"] = json!("missing_env");
        gate["missing_env"] = json!([name]);
        gate["missing_files"] = json!([name]);
        gate["metrics"] = json!({ name: { "count": 1, "p50": 1.0, "samples": [1.0], "unit": name } });
        gate["supplied_by"] = json!(name);
        let out = report(&results, "comment").exits(0).stdout;
        let page = parse(&out);
        assert_eq!(page.tables.len(), 2, "{name}\n{out}");
        assert_eq!(page.tables[0].len(), 3, "{name}\n{out}");
        for row in &page.tables[0] {
            assert_eq!(row.len(), 5, "{name}\n{out}");
        }
        // The runner reads commands in a log, and this output may be part of a log.
        let inert = shown(name).replace("##[", "##\\[");
        assert!(page.tables[0][1][3].contains(&inert), "{name}\n{out}");
        assert_eq!(page.html, plain.html, "{name}\n{out}");
        assert_eq!(page.links, 0, "{name}\n{out}");
        assert!(!page.loose.contains('@'), "{name}\n{out}");
        assert!(!page.loose.contains("example.com"), "{name}\n{out}");
    }
}

#[test]
fn kernel_checks_are_listed_by_library() {
    let mut results = passed(&["b200:train", "b200:kernels"]);
    let row = |name: &str, status: &str, reason: Value| json!({ "name": name, "status": status, "reason": reason, "duration_s": 0.25 });
    let rows = json!([
        row("rdep_inspect", "pass", Value::Null),
        row("libnmoe_kernels_inspect", "pass", Value::Null),
        row("libnmoe_kernels_fresh", "pass", Value::Null),
        row("libnmoe_kernels_load", "pass", Value::Null),
        row("gather", "fail", json!("kernel_failed")),
    ]);
    results["results"]["b200:kernels"] =
        json!({ "status": "fail", "reason": "kernel_failed", "kernel_checks": rows });
    results["overall"] = json!("fail");
    let ours = "nmoe-csrc/build/libnmoe_kernels.so";
    results["evidence"]["kernels"] = json!({ "nmoe/csrc/rdep.so": "7".repeat(64), ours: "8".repeat(64) });
    let html = report(&results, "html").exits(0).stdout;
    for part in [
        "<h2 id=\"kernels\">Kernel checks</h2>",
        "<th scope=\"row\"><code>gather</code></th>",
        "<code>kernel_failed</code></td><td class=\"number\">0.2 s</td>",
        "</code>: inspected, never loaded by this tool</td>",
        "</code>: inspected, built from these sources, loaded</td>",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    let terminal = report(&results, "terminal").exits(0).stdout;
    let words: Vec<&str> = terminal.split_whitespace().collect();
    let said = format!("{ours}: inspected, built from these sources, loaded");
    assert!(words.join(" ").contains(&said), "{terminal}");
    let plain = report(passed(&["b200:train"]), "html")
        .exits(0)
        .prints("<!doctype html>")
        .stdout;
    assert!(!plain.contains("Kernel checks"), "{plain}");
}

#[test]
fn hostile_names_are_escaped_in_other_formats() {
    let names = hostile();
    let ids: Vec<String> = (0..names.len()).map(|n| format!("cpu:gate_{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut results = passed(&ids);
    results["overall"] = json!("invalid");
    for (id, name) in ids.iter().zip(&names) {
        results["results"][id] =
            json!({ "status": "invalid", "reason": "missing_env", "missing_env": [name] });
    }
    let html = report(&results, "html").exits(0).stdout;
    for tag in ["<script", "<img", "<b>", "<a ", "<details", "{{"] {
        assert_eq!(html.contains(tag), tag == "{{", "{tag}\n{html}");
    }
    let terminal = report(&results, "terminal").exits(0).stdout;
    for name in &names {
        let escaped = shown(name).replace("##[", "##\\[");
        assert!(terminal.contains(&escaped), "{name}\n{terminal}");
    }
    assert!(!terminal.contains("##["));
    assert!(!terminal.lines().any(|l| l.trim_start().starts_with("::")));
    let hidden = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{feff}');
    for format in ["json", "sarif", "in-toto"] {
        let out = report(&results, format).exits(0);
        assert!(
            !out.stdout.as_str().contains(hidden) && !out.stdout.contains("##["),
            "{format}"
        );
        let listed = out.json().to_string();
        if format != "json" {
            // The other two do not list missing variables.
            continue;
        }
        let missing: Vec<&String> = names
            .iter()
            .filter(|name| !listed.contains(serde_json::to_string(name).unwrap().trim_matches('"')))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
    let junit = report(&results, "junit").exits(0).stdout;
    assert!(!junit.as_str().contains(hidden), "{junit}");
    assert_eq!(junit.matches("<testcase ").count(), names.len(), "{junit}");
}

#[test]
fn impossible_gate_id_is_refused() {
    let plain = |name: &String| {
        name.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-:".contains(&b))
    };
    for name in hostile().iter().filter(|name| !plain(name)) {
        for key in ["gate_ids", "uncovered"] {
            let mut results = passed(&["cpu:import"]);
            results[key] = json!([name]);
            report(&results, "comment")
                .exits(2)
                .reports("the results do not follow the schema: must be letters, digits");
        }
    }
}

#[test]
fn terminal_sequences_are_removed() {
    let mut results = passed(&["cpu:import"]);
    results["evidence"]["tool"] = json!("x\u{9b}31m\u{202e}");
    let out = report(&results, "terminal").run_or_refused();
    assert!(!out.contains('\u{9b}') && !out.contains('\u{202e}'), "{out}");
}

impl Outcome {
    /// Returns the complete output, also for refused input.
    fn run_or_refused(self) -> String {
        assert!(matches!(self.code(), Some(0 | 2)));
        self.stdout + &self.stderr
    }
}

#[test]
fn long_report_is_shortened() {
    for (gates, format, limit) in [(1_200, "comment", 65_536), (12_000, "summary", 1 << 20)] {
        let ids: Vec<String> = (0..gates)
            .map(|i| format!("cpu:gate_with_a_long_name_{i:04}_{}", "x".repeat(30)))
            .collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut results = passed(&ids);
        results["overall"] = json!("fail");
        results["results"][ids[7]] = json!({ "status": "fail", "reason": "exit_code", "rc": 1 });
        let out = report(&results, format).exits(0).stdout;
        assert!(out.len() <= limit, "{gates} {format}: {}", out.len());
        let page = parse(&out);
        let table = &page.tables[0];
        assert_eq!(table.len(), 2, "only the open gate");
        assert_eq!(table[1][0], ids[7]);
        assert!(out.contains("pass"), "{out}");
        assert!(out.trim_end().ends_with("</details>"));
    }
}

#[test]
fn too_many_open_gates_are_counted() {
    let ids: Vec<String> = (0..600)
        .map(|i| format!("cpu:gate_{i:03}_{}", "x".repeat(50)))
        .collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut results = passed(&ids);
    results["overall"] = json!("fail");
    results["uncovered"] = json!(ids);
    for id in &ids {
        results["results"][id] = json!({ "status": "fail", "reason": "exit_code", "rc": 1 });
    }
    let out = report(&results, "comment").exits(0).stdout;
    assert!(out.len() <= 65_536);
    assert_eq!(parse(&out).tables[0], [["Status", "Gates"], ["fail", "600"]]);
}

#[test]
fn charts_are_dropped_before_rows() {
    let ids: Vec<String> = (0..200).map(|i| format!("b200:gate_{i}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut results = passed(&ids);
    for id in &ids {
        let samples: Vec<f64> = (0..100).map(|i| 12_345.678 + f64::from(i)).collect();
        let p50 = 12_345.678 + 49.5;
        results["results"][id]["metrics"] =
            json!({ "node_tps": { "count": 100, "p50": p50, "samples": samples } });
        results["results"][id]["node_tps_p50"] = json!(p50);
        results["results"][id]["node_tps_samples"] = json!(100);
    }
    let page = parse(&report(&results, "comment").exits(0).stdout);
    assert_eq!((page.mermaid, page.tables[0].len()), (0, 201));
    let page = parse(&report(&results, "summary").exits(0).stdout);
    assert_eq!((page.mermaid, page.tables[0].len()), (200, 201));
}

#[test]
fn forged_or_broken_results_are_refused() {
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut results = passed(&["cpu:import", "cpu:compileall"]);
        change(&mut results);
        results.to_string()
    };
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let cases: Vec<(&str, String)> = vec![
        (
            "overall",
            broken(&|r| r["results"]["cpu:import"]["status"] = json!("fail")),
        ),
        (
            "not_run is no pass",
            broken(&|r| r["results"]["cpu:import"]["status"] = json!("not_run")),
        ),
        (
            "missing gate",
            broken(&|r| drop(r["results"].as_object_mut().unwrap().remove("cpu:import"))),
        ),
        (
            "extra gate",
            broken(&|r| r["results"]["cpu:other"] = json!({ "status": "pass" })),
        ),
        (
            "a gate twice",
            broken(&|r| r["gate_ids"] = json!(["cpu:import", "cpu:import"])),
        ),
        ("unknown key", broken(&|r| r["note"] = json!("x"))),
        (
            "unknown key in a gate",
            broken(&|r| r["results"]["cpu:import"]["note"] = json!("x")),
        ),
        (
            "unknown status",
            broken(&|r| r["results"]["cpu:import"]["status"] = json!("skipped")),
        ),
        (
            "free text as reason",
            broken(&|r| r["results"]["cpu:import"]["reason"] = json!("because")),
        ),
        ("another schema", broken(&|r| r["schema"] = json!(2))),
        (
            "pass with exit code 1",
            broken(&|r| r["results"]["cpu:import"]["rc"] = json!(1)),
        ),
        (
            "pass without its files",
            broken(&|r| r["results"]["cpu:import"]["missing_files"] = json!(["x"])),
        ),
        (
            "negative time",
            broken(&|r| r["results"]["cpu:import"]["duration_s"] = json!(-1.0)),
        ),
        (
            "line end in a name",
            broken(&|r| r["uncovered"] = json!(["a\nb"])),
        ),
        ("empty name", broken(&|r| r["bundle"] = json!(""))),
        (
            "long name",
            broken(&|r| r["uncovered"] = json!(["x".repeat(300)])),
        ),
        ("infinite", broken(&|_| ()).replacen("1.0", "1e999", 1)),
        ("not a number", broken(&|_| ()).replacen("1.0", "NaN", 1)),
        (
            "a key twice",
            broken(&|_| ()).replacen("\"bundle\"", "\"schema\":1,\"bundle\"", 1),
        ),
        (
            "a gate's result twice",
            broken(&|_| ()).replacen(
                "\"results\":{",
                "\"results\":{\"cpu:import\":{\"status\":\"fail\"},",
                1,
            ),
        ),
        ("deep", deep),
        ("empty", String::new()),
        ("cut off", MIXED[..MIXED.len() / 2].to_owned()),
        ("a list", "[]".to_owned()),
        (
            "too large",
            format!("{}{}", passed(&["cpu:import"]), " ".repeat(9 << 20)),
        ),
    ];
    for (what, text) in cases {
        for format in ["summary", "json"] {
            let out = report(&text, format).exits(2);
            assert!(out.stdout.is_empty(), "{what}: {}", out.stdout);
            assert!(
                out.stderr.starts_with("error: ") && out.stderr.len() < 1000,
                "{what}: {}",
                out.stderr
            );
        }
    }
}

#[test]
fn only_a_regular_file_is_read() {
    let sandbox = Sandbox::new();
    sandbox.file("real.json", passed(&["cpu:import"]).to_string());
    std::os::unix::fs::symlink("real.json", sandbox.repo().join("link.json")).unwrap();
    std::fs::create_dir(sandbox.repo().join("folder.json")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, sandbox.repo().join("pipe.json"), 0o600.into()).unwrap();
    for (path, says) in [
        ("link.json", "a symbolic link"),
        ("folder.json", "the folder contains no results"),
        ("pipe.json", "a named pipe"),
        ("/dev/null", "a device"),
        ("none.json", "No such file"),
    ] {
        let out = sandbox.gates(["report", path]).run().exits(2);
        assert!(out.stderr.contains(says), "{path}: {}", out.stderr);
    }
    let json = std::fs::read(sandbox.repo().join("real.json")).unwrap();
    sandbox
        .gates(["report", "-"])
        .stdin(json)
        .run()
        .exits(0)
        .prints("Gates: some — pass");
}

#[test]
fn broken_template_falls_back_to_default() {
    let sandbox = Sandbox::new();
    sandbox.file("results.json", MIXED);
    let render = |format: &str| {
        sandbox
            .gates(["report", "results.json", "--templates", "own", "--format", format])
            .run()
            .exits(0)
    };
    sandbox.file(
        "own/summary.md",
        "mine: {{ report.bundle }} {{ report.overall }}\n{% include 'gates.md' %}",
    );
    let out = render("summary");
    assert!(
        out.stdout.starts_with("mine: full fail\n**6 gates"),
        "{}",
        out.stdout
    );
    assert_eq!(out.stderr, "");
    let embedded = report(MIXED, "summary").exits(0).stdout;
    for broken in [
        "{% if %}",
        "{{ report.no_such_thing }}",
        "{{ report.bundle | no_such_filter }}",
        "{% include 'none.md' %}",
    ] {
        sandbox.file("own/summary.md", broken);
        let out = render("summary");
        assert_eq!(out.stdout, embedded);
        assert!(
            out.stderr.starts_with("error: cannot use the templates"),
            "{}",
            out.stderr
        );
        assert!(out.stderr.contains("summary.md"), "{}", out.stderr);
    }
    // Template output is escaped, even if the template does not ask for it.
    let mut hostile = passed(&["cpu:import"]);
    hostile["bundle"] = json!("<b>|@x");
    sandbox.file("results.json", hostile.to_string());
    sandbox.file("own/summary.md", "{{ report.bundle }}");
    assert_eq!(parse(&render("summary").stdout).html.len(), 0);
    assert!(!render("summary").stdout.as_str().contains("@x"));
}

#[test]
fn junit_passes_only_passed_gates() {
    let out = report(MIXED, "junit").exits(0).stdout;
    assert!(
        out.contains(r#"tests="6" skipped="0" failures="2" errors="2""#),
        "{out}"
    );
    let mut idle = passed(&["cpu:import"]);
    idle["overall"] = json!("inconclusive");
    idle["results"]["cpu:import"] = json!({ "status": "not_run", "reason": "refused" });
    assert!(report(&idle, "junit").exits(0).stdout.contains(r#"errors="1""#));
}

/// A viewer follows a test by class and name, so a failure must not change them.
#[test]
fn junit_identity_does_not_depend_on_verdict() {
    let identities = |status: &str, reason: Value| {
        let mut results = passed(&["cpu:import"]);
        results["overall"] = json!(status);
        results["results"]["cpu:import"] = json!({ "status": status, "reason": reason });
        let xml = String::from(report(&results, "junit").exits(0).stdout);
        let cases = xml.lines().filter(|line| line.contains("<testcase "));
        cases
            .map(|line| {
                line.trim()
                    .split(" time=")
                    .next()
                    .unwrap()
                    .trim_end_matches(['>', '/'])
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    let green = identities("pass", json!(null));
    assert_eq!(green.len(), 1);
    assert_eq!(green, identities("fail", json!("exit_code")));
}

#[test]
fn in_toto_names_plain_commit_head() {
    let mut results = passed(&["cpu:import"]);
    results["evidence"]["head"] = json!("2".repeat(40));
    results["evidence"]["merge"] = json!(null);
    let subject = |results: &Value| report(results, "in-toto").exits(0).json()["subject"][0].clone();
    assert_eq!(subject(&results)["name"], "head");
    results["evidence"]["merge"] = json!("3".repeat(40));
    assert_eq!(subject(&results)["name"], "merge");
}

#[test]
fn in_toto_subjects_are_merge_and_kernels() {
    let json = report(MIXED, "in-toto").exits(0).json();
    assert_eq!(json["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(
        json["predicateType"],
        "https://in-toto.io/attestation/test-result/v0.1"
    );
    assert_eq!(json["subject"][0]["digest"]["gitCommit"], "3".repeat(40));
    assert_eq!(json["subject"][1]["digest"]["sha256"], "7".repeat(64));
    assert_eq!(json["predicate"]["result"], "FAILED");
    assert_eq!(
        json["predicate"]["passedTests"],
        json!(["cpu:import", "b200:moonlight_8x20"])
    );
    assert_eq!(
        report(passed(&["cpu:import"]), "in-toto").exits(0).json()["predicate"]["result"],
        "PASSED"
    );

    let mut nowhere = passed(&["cpu:import"]);
    nowhere["evidence"] = json!({ "dirty": false });
    report(&nowhere, "in-toto")
        .exits(2)
        .reports("error: these results name no commit, so there");
    let mut dirty = passed(&["cpu:import"]);
    dirty["evidence"]["dirty"] = json!(true);
    report(&dirty, "in-toto")
        .exits(2)
        .reports("error: the subject had uncommitted changes");
}

#[test]
fn sarif_lists_gates_without_pass() {
    let json = report(MIXED, "sarif").exits(0).json();
    let found = json["runs"][0]["results"].as_array().unwrap();
    let rules: Vec<&str> = found.iter().map(|r| r["ruleId"].as_str().unwrap()).collect();
    assert_eq!(rules, ["missing_env", "over_budget", "external", "exit_code"]);
}

#[test]
fn json_equals_recorded_results() {
    let json = report(MIXED, "json").exits(0).json();
    let given: Value = serde_json::from_str(MIXED).unwrap();
    for key in ["schema", "bundle", "gate_ids", "overall", "evidence", "uncovered"] {
        assert_eq!(json[key], given[key], "{key}");
    }
}

/// Returns results of several runs, as a fan-out leaves them.
fn fan_out(parts: &[Value]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file(
        "configs/gates/gates.toml",
        registry()
            .tier_a("a", "true")
            .tier_a("b", "true")
            .tier_a("c", "true")
            .bundle("all", &["a", "b", "c"])
            .text(),
    );
    for (n, part) in parts.iter().enumerate() {
        sandbox.file(&format!("parts/results-{n}/results.json"), part.to_string());
    }
    sandbox
}

#[test]
fn several_results_become_one_table() {
    let sandbox = fan_out(&[passed(&["b"]), passed(&["a"])]);
    let out = sandbox
        .gates(["report", "parts", "--bundle", "all", "--format", "json"])
        .run()
        .exits(0);
    let joined = out.json();
    assert_eq!(
        joined["gate_ids"],
        json!(["a", "b", "c"]),
        "in the bundle's order"
    );
    assert_eq!(joined["results"]["c"]["reason"], "no_results");
    assert_eq!(
        joined["overall"], "inconclusive",
        "what left nothing is not green"
    );
    // Joined results are ordinary results.
    report(&out.stdout, "junit")
        .exits(0)
        .prints("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    // Without a selection the parts together are the complete run.
    let files = ["parts/results-0/results.json", "parts/results-1/results.json"];
    let out = sandbox
        .gates(["report", files[0], files[1], "--format", "json"])
        .run()
        .exits(0);
    assert_eq!(out.json()["overall"], "pass");
    assert_eq!(out.json()["gate_ids"], json!(["b", "a"]));
}

#[test]
fn results_that_do_not_join_are_refused() {
    let mut elsewhere = passed(&["b"]);
    elsewhere["evidence"]["merge"] = json!("4".repeat(40));
    for (parts, said) in [
        ([passed(&["a"]), elsewhere], "merge"),
        ([passed(&["a"]), passed(&["a"])], "two parts contain gate"),
        ([passed(&["a"]), passed(&["z"])], "was not selected"),
    ] {
        let out = fan_out(&parts)
            .gates(["report", "parts", "--bundle", "all"])
            .run()
            .exits(2);
        assert!(out.stderr.contains(said), "{}", out.stderr);
    }
    let empty = Sandbox::new();
    std::fs::create_dir(empty.repo().join("parts")).unwrap();
    let out = empty.gates(["report", "parts"]).run().exits(2);
    assert!(
        out.stderr.contains("the folder contains no results"),
        "{}",
        out.stderr
    );
}

#[test]
#[ignore = "needs a browser: scripts/test --all"]
fn slow_html_passes_browser_checks() {
    let root = env!("CARGO_MANIFEST_DIR");
    let out = std::process::Command::new(format!("{root}/scripts/verify/report-page"))
        .arg(program())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.success() && said.contains("the page is fine"),
        "{said}"
    );
}
