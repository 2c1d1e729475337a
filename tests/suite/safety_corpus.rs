//! The labelled corpora, and the tables of docs/safety.md that are made from them: templates and hard negatives by kind,
//! filled in with fixed noise, and texts by people who had not seen the rules.
//!
//! `NMOE_GATES_BLESS=1` writes the table; `NMOE_GATES_CORPUS=FILE` writes the filled-in corpus as JSON lines for other scanners.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use leakscan::scan::{Options, scan};

/// A text with its kind, and whether it is a leak.
struct Sample {
    kind: String,
    text: String,
    leak: bool,
}

/// How often each template is filled in.
const ROUNDS: u64 = 4;

fn fixture(name: &str) -> String {
    std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/safety")
            .join(name),
    )
    .unwrap()
}

fn rows(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_once('\t').unwrap())
}

fn corpus() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (index, (kind, template)) in rows(&fixture("positives.tsv")).enumerate() {
        for round in 0..ROUNDS {
            let mut noise = Noise(index as u64 * 1_000 + round + 1);
            samples.push(Sample {
                kind: kind.to_owned(),
                text: plain(&fill(template, &mut noise)),
                leak: true,
            });
        }
    }
    for (kind, text) in rows(&fixture("negatives.tsv")) {
        samples.push(Sample {
            kind: kind.to_owned(),
            text: plain(text),
            leak: false,
        });
    }
    samples
}

/// Noise that is the same in every run (splitmix64).
struct Noise(u64);

impl Noise {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn text(&mut self, alphabet: &str, length: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length).map(|_| letters[self.below(letters.len())]).collect()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const HEX: &str = "0123456789abcdef";
const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const GENERATED: &str = "bcdfghjklmnpqrstvwxz2456789";

/// Fills in the braces of a template, the innermost first.
fn fill(template: &str, noise: &mut Noise) -> String {
    let mut text = template.to_owned();
    while let Some(close) = text.find('}') {
        let Some(open) = text[..close].rfind('{') else {
            break;
        };
        let inner = text[open + 1..close].to_owned();
        let (name, argument) = inner.split_once(':').unwrap_or((&inner, ""));
        let length = argument.parse().unwrap_or(0);
        let value = match name {
            "b62" => noise.text(BASE62, length),
            "b64" => noise.text(&format!("{BASE62}+/"), length),
            "hex" => noise.text(HEX, length),
            "up" => noise.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", length),
            "digits" => noise.text("0123456789", length),
            "gen" => noise.text(GENERATED, length),
            "gen9" => format!("{}7{}", noise.text(GENERATED, 4), noise.text(GENERATED, 4)),
            "pw" => format!("{}7k#X", noise.text(BASE62, length - 4)),
            "oct" => (1 + noise.below(254)).to_string(),
            "oct64" => (64 + noise.below(64)).to_string(),
            "n2" => format!("0{}", 1 + noise.below(9)),
            "n3" => format!("0{}{}", noise.below(10), 1 + noise.below(9)),
            "word" => noise
                .one(&["heron", "otter", "falcon", "maple", "quartz", "bluefin"])
                .to_owned(),
            "user" => noise.one(&["asmith", "mkovacs", "tnguyen", "lbrandt"]).to_owned(),
            "uuid" => [8, 4, 4, 4, 12].map(|n| noise.text(HEX, n)).join("-"),
            "base64" => base64::engine::general_purpose::STANDARD.encode(argument),
            other => {
                // A brace of the text itself.
                text.replace_range(
                    open..=close,
                    &format!(
                        "\u{1}{other}{}{argument}\u{2}",
                        if argument.is_empty() { "" } else { ":" }
                    ),
                );
                continue;
            }
        };
        text.replace_range(open..=close, &value);
    }
    text.replace('\u{1}', "{").replace('\u{2}', "}")
}

/// Undoes the escapes of the fixtures.
fn plain(text: &str) -> String {
    text.replace("\\\\", "\u{1}")
        .replace("\\n", "\n")
        .replace("\\u200b", "\u{200b}")
        .replace("\\u0440", "\u{440}")
        .replace("\\u2011", "\u{2011}")
        .replace('\u{1}', "\\")
}

/// The texts of people who had not seen the rules.
fn unaware() -> Vec<Sample> {
    let text = fixture("unaware.tsv");
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
            text: plain.replace('\u{1}', "\\").chars().map(turned).collect(),
            leak: label == "leak",
        }
    })
    .collect()
}

/// ROT47.
fn turned(c: char) -> char {
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

/// How a corpus is judged: rows by kind, of harmless texts and of leaks, and what was judged wrongly.
struct Judged {
    quiet: BTreeMap<String, Row>,
    leaks: BTreeMap<String, Row>,
    wrong: Vec<String>,
}

impl Judged {
    fn of(samples: &[Sample]) -> Self {
        let mut judged = Judged {
            quiet: BTreeMap::new(),
            leaks: BTreeMap::new(),
            wrong: Vec::new(),
        };
        for sample in samples {
            let found = scan(&sample.text, &Options::default());
            let right = found.is_empty() != sample.leak;
            let table = if sample.leak {
                &mut judged.leaks
            } else {
                &mut judged.quiet
            };
            let row = table.entry(sample.kind.clone()).or_default();
            row.samples += 1;
            row.right += usize::from(right);
            if !right {
                let codes: Vec<_> = found.iter().map(|leak| leak.kind.id).collect();
                judged
                    .wrong
                    .push(format!("{} {codes:?}: {}", sample.kind, sample.text));
            }
        }
        judged
    }

    /// Its table.
    #[track_caller]
    fn table(&self) -> String {
        let sum = |table: &BTreeMap<String, Row>| {
            table
                .values()
                .fold((0, 0), |(n, right), row| (n + row.samples, right + row.right))
        };
        let ((positives, found), (negatives, silent)) = (sum(&self.leaks), sum(&self.quiet));
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
        for (kind, row) in &self.quiet {
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

/// Holds the page to a table, or writes it.
#[track_caller]
fn stands_in_the_docs(name: &str, judged: &Judged) {
    let table = judged.table();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/safety.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        format!("<!-- {name}: begin -->\n"),
        format!("<!-- {name}: end -->"),
    );
    let from = page.find(&begin).unwrap() + begin.len();
    let to = page.find(&end).unwrap();
    if std::env::var_os("NMOE_GATES_BLESS").is_some() {
        std::fs::write(&path, format!("{}{table}{}", &page[..from], &page[to..])).unwrap();
    } else {
        assert_eq!(
            &page[from..to],
            table,
            "docs/safety.md is stale: run this test with NMOE_GATES_BLESS=1\n{}",
            judged.wrong.join("\n")
        );
    }
}

#[test]
fn precision_and_recall_hold_and_stand_in_the_docs() {
    let (ours, theirs) = (corpus(), unaware());
    if let Some(path) = std::env::var_os("NMOE_GATES_CORPUS") {
        let line = |s: &Sample| {
            serde_json::json!({ "kind": s.kind, "label": u8::from(s.leak), "text": s.text }).to_string()
                + "\n"
        };
        let lines: String = ours.iter().map(line).collect();
        std::fs::write(path, lines).unwrap();
    }
    stands_in_the_docs("corpus table", &Judged::of(&ours));
    stands_in_the_docs("unaware table", &Judged::of(&theirs));
}

#[test]
fn the_repository_itself_keeps_quiet() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_nmoe-gates"))
        .args(["lint", "safety"])
        .current_dir(root)
        .env_remove("NMOE_PRIVATE_TERMS")
        .env_remove("NMOE_PRIVATE_TERMS_FILE")
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}
