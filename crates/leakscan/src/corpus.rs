//! Measures precision and recall on three corpora, and compares the tables of docs/explanation/public-safety.md with the result. Tests only.
//!
//! The first corpus is templates of leaks, filled in with fixed noise, and harmless texts. The second is whole texts. The third
//! is templates of both, from public reports about scanners. `LEAKSCAN_BLESS=1` writes the tables; `LEAKSCAN_CORPUS=FILE` and
//! `LEAKSCAN_REPORTS=FILE` write the first and the third corpus as JSON lines for other scanners.

use std::collections::BTreeMap;
use std::path::Path;

use crate::examples::Noise;
use crate::examples::fill;
use crate::scan::Options;
use crate::scan::scan;

/// A text with its kind, and whether it is a leak.
struct Sample {
    kind: String,
    text: String,
    is_leak: bool,
}

/// How often each template is filled in.
const ROUNDS: u64 = 4;

fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn rows(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_once('\t').unwrap())
}

/// The first corpus.
fn templates() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (index, (kind, template)) in rows(&read("positives.tsv")).enumerate() {
        for round in 0..ROUNDS {
            let mut noise = Noise::new(index as u64 * 1_000 + round + 1);
            samples.push(Sample {
                kind: kind.to_owned(),
                text: unescaped(&fill(template, &mut noise)),
                is_leak: true,
            });
        }
    }
    for (kind, text) in rows(&read("negatives.tsv")) {
        samples.push(Sample {
            kind: kind.to_owned(),
            text: unescaped(text),
            is_leak: false,
        });
    }
    samples
}

/// Decodes the escapes of the first corpus.
fn unescaped(text: &str) -> String {
    text.replace("\\\\", "\u{1}")
        .replace("\\n", "\n")
        .replace("\\u200b", "\u{200b}")
        .replace("\\u0440", "\u{440}")
        .replace("\\u2011", "\u{2011}")
        .replace('\u{1}', "\\")
}

/// How often each template of the third corpus is filled in.
const REPORT_ROUNDS: u64 = 2;

/// The third corpus, without repetitions.
fn reports() -> Vec<Sample> {
    let text = read("reports.tsv");
    let rows = text.lines().filter(|line| !line.starts_with("# "));
    let mut seen = std::collections::HashSet::new();
    let mut samples = Vec::new();
    for (index, row) in rows.enumerate() {
        let cells: Vec<&str> = row.splitn(4, '\t').collect();
        for round in 0..REPORT_ROUNDS {
            let mut noise = Noise::new(1_000_000 + index as u64 * 1_000 + round);
            let text = fill(&with_characters(cells[3]), &mut noise);
            if seen.insert(text.clone()) {
                samples.push(Sample {
                    kind: cells[2].to_owned(),
                    text,
                    is_leak: cells[1] == "leak",
                });
            }
        }
    }
    samples
}

/// Decodes the escapes of the third corpus: `\n`, `\e`, `\uXXXX`, `\u{X}` and the doubled backslash.
fn with_characters(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let (number, length) = match tail.as_bytes() {
            [b'n', ..] => ("a", 1),
            [b'e', ..] => ("1b", 1),
            [b'u', b'{', ..] => {
                let end = tail.find('}').unwrap();
                (&tail[2..end], end + 1)
            }
            [b'u', ..] => (&tail[1..5], 5),
            _ => ("5c", 1),
        };
        out.push(char::from_u32(u32::from_str_radix(number, 16).unwrap()).unwrap());
        rest = &tail[length..];
    }
    out + rest
}

/// The second corpus. Its file is ROT47, so that no scanner finds a leak in it.
fn texts() -> Vec<Sample> {
    let text = read("independent.tsv");
    let rows = text.lines().filter(|line| !line.starts_with("# "));
    rows.map(|row| {
        let mut cells = row.splitn(3, '\t');
        let (label, kind) = (cells.next().unwrap(), cells.next().unwrap());
        let text = cells.next().unwrap();
        let plain = text
            .replace("\\\\", "\u{1}")
            .replace("\\n", "\n")
            .replace("\\t", "\t");
        Sample {
            kind: kind.to_owned(),
            text: plain.replace('\u{1}', "\\").chars().map(rot47).collect(),
            is_leak: label == "leak",
        }
    })
    .collect()
}

fn rot47(c: char) -> char {
    match u8::try_from(c) {
        Ok(b @ b'!'..=b'~') => char::from(b'!' + (b - b'!' + 47) % 94),
        _ => c,
    }
}

/// One row of a table.
#[derive(Default)]
struct Row {
    samples: usize,
    right: usize,
}

/// The results for a corpus: rows by kind, of harmless texts and of leaks, and the wrong results.
struct Results {
    harmless: BTreeMap<String, Row>,
    leaks: BTreeMap<String, Row>,
    wrong: Vec<String>,
}

impl Results {
    fn of(samples: &[Sample]) -> Self {
        let mut results = Results {
            harmless: BTreeMap::new(),
            leaks: BTreeMap::new(),
            wrong: Vec::new(),
        };
        for sample in samples {
            let found = scan(&sample.text, &Options::default());
            let right = found.is_empty() != sample.is_leak;
            let table = if sample.is_leak {
                &mut results.leaks
            } else {
                &mut results.harmless
            };
            let row = table.entry(sample.kind.clone()).or_default();
            row.samples += 1;
            row.right += usize::from(right);
            if !right {
                let codes: Vec<_> = found.iter().map(|leak| leak.kind.id).collect();
                results
                    .wrong
                    .push(format!("{} {codes:?}: {}", sample.kind, sample.text));
            }
        }
        results
    }

    /// The table of the results. Fails if the results are too bad.
    #[track_caller]
    fn table(&self) -> String {
        let sum = |table: &BTreeMap<String, Row>| {
            table
                .values()
                .fold((0, 0), |(n, right), row| (n + row.samples, right + row.right))
        };
        let ((positives, found), (negatives, silent)) = (sum(&self.leaks), sum(&self.harmless));
        let recall = found as f64 / positives as f64;
        let precision = found as f64 / (found + negatives - silent) as f64;
        let mut table = format!(
            "{positives} leaks and {negatives} harmless texts: precision {precision:.3}, recall {recall:.3}.\n\n| kind of leak | samples | recall |\n|---|---|---|\n"
        );
        for (kind, row) in &self.leaks {
            table += &format!(
                "| {kind} | {} | {:.2} |\n",
                row.samples,
                row.right as f64 / row.samples as f64
            );
        }
        table += "\n| kind of harmless text | samples | false alarms |\n|---|---|---|\n";
        for (kind, row) in &self.harmless {
            table += &format!("| {kind} | {} | {} |\n", row.samples, row.samples - row.right);
        }
        assert!(
            precision >= 0.98 && recall >= 0.95,
            "{table}\n{}",
            self.wrong.join("\n")
        );
        for (kind, row) in self.leaks.iter().filter(|(_, row)| row.samples >= 10) {
            assert!(
                row.right * 10 >= row.samples * 9,
                "{kind}\n{}",
                self.wrong.join("\n")
            );
        }
        table
    }
}

/// Compares a table of the page with the results, or writes the table.
#[track_caller]
fn compare_with_docs(name: &str, results: &Results) {
    let table = results.table();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/explanation/public-safety.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        format!("<!-- {name}: begin -->\n"),
        format!("<!-- {name}: end -->"),
    );
    let from = page.find(&begin).unwrap() + begin.len();
    let to = page.find(&end).unwrap();
    if std::env::var_os("LEAKSCAN_BLESS").is_some() {
        std::fs::write(&path, format!("{}{table}{}", &page[..from], &page[to..])).unwrap();
    } else {
        assert_eq!(
            &page[from..to],
            table,
            "docs/explanation/public-safety.md is stale: run this test with LEAKSCAN_BLESS=1\n{}",
            results.wrong.join("\n")
        );
    }
}

#[test]
fn precision_and_recall_match_docs() {
    let (templates, texts, reports) = (templates(), texts(), reports());
    for (variable, samples) in [("LEAKSCAN_CORPUS", &templates), ("LEAKSCAN_REPORTS", &reports)] {
        let Some(path) = std::env::var_os(variable) else {
            continue;
        };
        let line = |s: &Sample| {
            serde_json::json!({ "kind": s.kind, "label": u8::from(s.is_leak), "text": s.text }).to_string()
                + "\n"
        };
        let lines: String = samples.iter().map(line).collect();
        std::fs::write(path, lines).unwrap();
    }
    compare_with_docs("corpus table", &Results::of(&templates));
    compare_with_docs("texts table", &Results::of(&texts));
    compare_with_docs("report table", &Results::of(&reports));
}
