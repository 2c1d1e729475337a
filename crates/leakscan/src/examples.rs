//! Fills in the templates of examples, and lists the rules for the documentation. Tests only.
//!
//! A template contains placeholders such as `{b62:36}` where a secret would be, so that no file contains a text that looks
//! like a secret. The filled-in text is the same in every run.

use base64::Engine as _;

use crate::kinds;
use crate::rule::Find;
use crate::rule::Rule;

/// Noise that is the same in every run (splitmix64).
pub struct Noise(u64);

impl Noise {
    /// Noise for a seed.
    pub fn new(seed: u64) -> Self {
        Noise(seed)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn text(&mut self, alphabet: &str, length: usize) -> String {
        let letters = alphabet.as_bytes();
        (0..length)
            .map(|_| char::from(letters[self.below(letters.len())]))
            .collect()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const HEX: &str = "0123456789abcdef";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const BASE58: &str = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const GENERATED: &str = "bcdfghjklmnpqrstvwxz2456789";

/// Fills in the placeholders of a template, the innermost first. Keeps braces that are not a placeholder.
pub fn fill(template: &str, noise: &mut Noise) -> String {
    let mut text = template.to_owned();
    while let Some(close) = text.find('}') {
        let Some(open) = text[..close].rfind('{') else {
            break;
        };
        let inner = text[open + 1..close].to_owned();
        let (name, argument) = inner.split_once(':').unwrap_or((&inner, ""));
        let value = placeholder(name, argument, noise).unwrap_or_else(|| format!("\u{1}{inner}\u{2}"));
        text.replace_range(open..=close, &value);
    }
    text.replace('\u{1}', "{").replace('\u{2}', "}")
}

fn placeholder(name: &str, argument: &str, noise: &mut Noise) -> Option<String> {
    let length: usize = argument.parse().unwrap_or(0);
    let bytes = argument.as_bytes();
    let spaced = |text: String| text.chars().map(String::from).collect::<Vec<_>>().join(" ");
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    Some(match name {
        "b58" => noise.text(BASE58, length),
        "b62" => noise.text(BASE62, length),
        "b64" => noise.text(&format!("{BASE62}+/"), length),
        "hex" => noise.text(HEX, length),
        "up" => noise.text(UPPER, length),
        "low" => noise.text(LOWER, length),
        "digits" => noise.text("0123456789", length),
        "spaced" => spaced(noise.text(BASE62, length)),
        "spaced-up" => spaced(noise.text(UPPER, length)),
        // A name that Kubernetes generates: without vowels; `gen9` has a digit.
        "gen" => noise.text(GENERATED, length),
        "gen9" => format!("{}7{}", noise.text(GENERATED, 4), noise.text(GENERATED, 4)),
        "pw" => format!("{}7k#X", noise.text(BASE62, length.checked_sub(4)?)),
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
        "base32" => base32(bytes),
        "decimal" => bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(","),
        "octal" => bytes.iter().map(|b| format!("\\{b:03o}")).collect(),
        "hex-pairs" => bytes.chunks(1).map(hex).collect::<Vec<_>>().join(" "),
        "hex-words" => bytes.chunks(2).map(hex).collect::<Vec<_>>().join(" "),
        _ => return None,
    })
}

fn base32(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|b| (0..8).rev().map(move |n| b >> n & 1))
        .collect();
    bits.chunks(5)
        .map(|five| {
            let index = (0..5).fold(0, |all, n| all << 1 | five.get(n).copied().unwrap_or(0));
            char::from(alphabet[usize::from(index)])
        })
        .collect()
}

/// The head of the page of all rules.
const HEAD: &str = "\
# Leak rules

A test generates this page from `crates/leakscan/rules/*.toml`. A rule runs where one of its keywords occurs. It matches a
pattern that begins at the keyword, a pattern in the line of the keyword, or code. The page shows at most four keywords of a
rule. In the examples, `{b62:36}` stands for 36 random letters and digits. All names in the examples are made up.

## Add a rule

1. Add a table `[kind.name]` to a file of `crates/leakscan/rules`. `kinds.toml` lists the kinds.
2. List `keywords` in lower case, and write the pattern: `at_keyword` or `in_line`. The first group is the secret part.
3. Optionally name a function in `accept` (decides from the secret part) or in `prefilter` (decides from the bytes around the
   keyword). The functions are in the Rust file of the same name. The default for `accept` rejects placeholders.
4. Add `examples` that the rule must match, and `non_examples` that it must not match. Write placeholders for secrets.
5. Run `LEAKSCAN_BLESS=1 cargo test --package leakscan`, which also updates this page.
";

/// The Markdown page of all rules, by kind.
pub fn page(rules: impl Iterator<Item = &'static Rule> + Clone) -> String {
    let mut page = HEAD.to_owned();
    for kind in kinds::TABLE {
        let of_kind: Vec<&Rule> = rules.clone().filter(|rule| rule.kind == *kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        page += &format!(
            "\n## {}\n\nReports {}.\n\n| rule | keywords | match | example |\n|---|---|---|---|\n",
            kind.id, kind.title
        );
        for rule in of_kind {
            let keywords: Vec<String> = rule.keywords.iter().take(4).map(|word| code(word)).collect();
            let find = match rule.find {
                Find::AtKeyword(_) => "at the keyword",
                Find::InLine(_) => "in the line",
                Find::Code(_) => "code",
            };
            let more = if rule.keywords.len() > 4 { ", …" } else { "" };
            let example = code(rule.examples.first().copied().unwrap_or_default());
            page += &format!(
                "| {} | {}{more} | {find} | {example} |\n",
                rule.name,
                keywords.join(", ")
            );
        }
    }
    page
}

/// A text as code in a table of Markdown.
fn code(text: &str) -> String {
    let shown = text.replace('\n', "⏎").replace('\t', " ").replace('|', "\\|");
    if shown.contains('`') {
        format!("`` {shown} ``")
    } else {
        format!("`{shown}`")
    }
}
