//! Generates Rust tables from the rules in `rules/*.toml`, so that the program parses no TOML when it starts.
//!
//! Prepares the search for the keywords of all rules too, so that the program builds nothing when it starts.
//!
//! A rule names its functions; the generated code calls the function of that name in the module of the rule's family.
//! Cargo reports an unknown key, kind or function when it builds the crate.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use prefilter_tables::Tables;
use prefilter_tables::WindowTables;
use toml::Spanned;
use toml::de::DeString;
use toml::de::DeTable;
use toml::de::DeValue;
use unicode_normalization::UnicodeNormalization as _;

#[allow(dead_code, reason = "the program uses the rest")]
#[path = "src/base64_text.rs"]
mod base64_text;
#[path = "src/encoded_keywords.rs"]
mod encoded_keywords;
#[path = "src/obfuscation_keywords.rs"]
mod obfuscation_keywords;
#[path = "src/placeholders.rs"]
mod placeholders;
#[path = "src/prefilter_tables.rs"]
mod prefilter_tables;
#[path = "src/prefilter_windows.rs"]
mod prefilter_windows;
#[path = "src/unreserved.rs"]
mod unreserved;

/// The families of rules. Where two leaks share a place, the earlier rule decides the kind.
const FAMILIES: [&str; 15] = [
    "tokens",
    "keys",
    "generic_secrets",
    "commands",
    "obfuscated_tokens",
    "links",
    "address",
    "hosts",
    "nodes",
    "cluster",
    "tables",
    "hardware",
    "cloud",
    "paths",
    "people",
];

/// Keywords of one byte, in the order of the program.
const SINGLE: [&str; 5] = ["-", ":", "@", "~", "\\"];

/// Stand for the decoding of a line and of a run, where a keyword triggers no rule.
const DEOBFUSCATION: u16 = u16::MAX;
const DECODING: u16 = u16::MAX - 1;

type Key<'a> = Spanned<DeString<'a>>;
type Value<'a> = Spanned<DeValue<'a>>;
type Result<T> = std::result::Result<T, String>;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=rules");
    println!("cargo::rerun-if-changed=src");
    if let Err(error) = generate() {
        println!("cargo::error={error}");
        std::process::exit(1);
    }
}

fn generate() -> Result<()> {
    let out = std::env::var("OUT_DIR").map_err(|e| format!("OUT_DIR: {e}"))?;
    let write = |name: &str, code: String| {
        let target = Path::new(&out).join(format!("{name}.rs"));
        std::fs::write(&target, code).map_err(|e| format!("{}: {e}", target.display()))
    };
    write("kinds", read("kinds", kinds)?)?;
    let entries = std::fs::read_dir("rules").map_err(|e| format!("rules: {e}"))?;
    if entries.count() != FAMILIES.len() + 1 {
        return Err("rules: a file is not in the list of families in build.rs".to_owned());
    }
    let mut keywords = Keywords::default();
    for family in FAMILIES {
        write(family, read(family, |document| rules(document, &mut keywords))?)?;
    }
    write("engine_tables", engine_tables(keywords))?;
    write("unicode_tables", unicode_tables()?)?;
    write("placeholder_marks", placeholder_marks())
}

/// Reads a file of rules.
fn read(name: &str, convert: impl FnOnce(&DeTable<'_>) -> Result<String>) -> Result<String> {
    let path = format!("rules/{name}.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    let document = DeTable::parse(&text).map_err(|e| format!("{path}: {e}"))?;
    convert(document.get_ref()).map_err(|e| format!("{path}: {e}"))
}

/// The keywords of all rules, in the order of the families.
#[derive(Default)]
struct Keywords {
    rules: u16,
    /// Each keyword and what it triggers.
    literals: Vec<(Vec<u8>, Vec<u16>)>,
    known: HashMap<Vec<u8>, usize>,
    single: [Vec<u16>; SINGLE.len()],
}

impl Keywords {
    fn add_rule(&mut self, keywords: &[&str]) {
        for keyword in keywords {
            match SINGLE.iter().position(|single| single == keyword) {
                Some(which) => self.single[which].push(self.rules),
                None => self.add(keyword.as_bytes().to_vec(), self.rules),
            }
        }
        self.rules += 1;
    }

    fn add(&mut self, literal: Vec<u8>, trigger: u16) {
        let index = *self.known.entry(literal.clone()).or_insert_with(|| {
            self.literals.push((literal, Vec::new()));
            self.literals.len() - 1
        });
        self.literals[index].1.push(trigger);
    }
}

/// The set of all keywords and what they trigger.
fn engine_tables(mut keywords: Keywords) -> String {
    for literal in obfuscation_keywords::keywords() {
        keywords.add(literal, DEOBFUSCATION);
    }
    for literal in encoded_keywords::keywords() {
        keywords.add(literal.into_bytes(), DECODING);
    }
    let (literals, triggers): (Vec<Vec<u8>>, Vec<Vec<u16>>) = keywords.literals.into_iter().unzip();
    let mut starts = vec![0];
    for triggers in &triggers {
        starts.push(starts[starts.len() - 1] + triggers.len());
    }
    let families = FAMILIES.map(|family| format!("crate::{family}::RULES"));
    let single = keywords.single.map(|rules| format!("&{rules:?}"));
    format!(
        "/// The rules of each family.\npub static FAMILIES: &[&[Rule]] = &[{}];\n\
         /// The keywords of all rules.\npub static KEYWORDS: Keywords = Keywords {{ literals: {}, triggers: &{:?}, starts: &{starts:?}, \
         single: [{}] }};\n",
        families.join(", "),
        literals_code(&literals),
        triggers.concat(),
        single.join(", "),
    )
}

/// The characters beyond ASCII that a reader does not see, or reads as ASCII: whole classes of Unicode, in order.
fn unicode_tables() -> Result<String> {
    let class = |name: &str| -> Result<Vec<(u32, u32)>> {
        let parsed = regex_syntax::parse(name).map_err(|e| format!("{name}: {e}"))?;
        match parsed.kind() {
            regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => Ok(class
                .ranges()
                .iter()
                .map(|range| (u32::from(range.start()), u32::from(range.end())))
                .collect()),
            _ => Err(format!("{name} is not a class")),
        }
    };
    // Controls, formats, separators of lines, and a blank that is no space.
    let invisible =
        class(r"[[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}\u{2800}]&&[^\x00-\x7f]]")?;
    let marks = class(r"[\p{Mn}\p{Me}]")?;
    let is_mark = |c: &char| {
        marks
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&u32::from(*c)))
    };
    let accented: Vec<(u32, char)> = ('\u{80}'..=char::MAX)
        .filter_map(|c| {
            let mut parts = std::iter::once(c).nfkd();
            let letter = parts.next().filter(char::is_ascii_alphanumeric)?;
            (parts.next().is_some_and(|mark| is_mark(&mark)) && parts.all(|c| is_mark(&c)))
                .then_some((u32::from(c), letter))
        })
        .collect();
    // The digits of each script are in a row.
    let mut plain: BTreeMap<u32, String> = BTreeMap::new();
    for (from, to) in class(r"[\p{Nd}&&[^\x00-\x7f]]")? {
        plain.extend((from..=to).map(|c| (c, ((c - from) % 10).to_string())));
    }
    plain.extend(('\u{80}'..=char::MAX).filter_map(|c| {
        let text: String = std::iter::once(c).nfkc().collect();
        let fits = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then_some((u32::from(c), text))
    }));
    let plain = plain.into_iter().map(|(c, text)| {
        let mut bytes = [0; 4];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        (c, bytes)
    });
    // The characters that Unicode (UTS 39) lists as look-alikes of one ASCII character.
    let look_alikes: Vec<(u32, char)> = ('\u{80}'..=char::MAX)
        .filter_map(|c| {
            let mut buffer = [0; 4];
            let mut signs = unicode_security::skeleton(c.encode_utf8(&mut buffer));
            let sign = signs.next().filter(char::is_ascii_graphic)?;
            signs.next().is_none().then_some((u32::from(c), sign))
        })
        .collect();
    Ok(format!(
        "/// First and last character of each range that a reader does not see.\npub static INVISIBLE: &[(u32, u32)] = &{invisible:?};\n\
         /// First and last character of each range of marks that join the letter before.\npub static MARKS: &[(u32, u32)] = &{marks:?};\n\
         /// Letters with marks, and the letter.\npub static ACCENTED: &[(u32, char)] = &{accented:?};\n\
         /// Characters that look like one ASCII character, and that character.\npub static LOOK_ALIKES: &[(u32, char)] = &{look_alikes:?};\n\
         /// The characters with an ASCII form, which zeros fill up.\npub static PLAIN: &[(u32, [u8; 4])] = &{:?};\n",
        plain.collect::<Vec<_>>()
    ))
}

/// The set of the words that mark an example.
fn placeholder_marks() -> String {
    let marks: Vec<Vec<u8>> = placeholders::PLACEHOLDERS
        .split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect();
    format!(
        "/// The words that mark an example.\npub static MARKS: Literals = {};\n",
        literals_code(&marks)
    )
}

fn literals_code(literals: &[Vec<u8>]) -> String {
    let tables = Tables::new(literals);
    format!(
        "Literals {{ text: &{:?}, starts: &{:?}, near: {}, far: {}, pairs: &{:?} }}",
        tables.text,
        tables.starts,
        windows_code(&tables.near),
        windows_code(&tables.far),
        tables.pairs
    )
}

fn windows_code(tables: &WindowTables) -> String {
    let windows = tables.windows.iter().map(|window| {
        format!(
            "Window {{ bytes: {}, literal: {}, offset: {} }}",
            window.bytes, window.literal, window.offset
        )
    });
    format!(
        "Windows {{ bitmap: &{:?}, windows: &[{}], starts: &{:?} }}",
        tables.bitmap,
        windows.collect::<Vec<_>>().join(", "),
        tables.starts
    )
}

/// The kinds, in the order of the file.
fn kinds(document: &DeTable<'_>) -> Result<String> {
    let mut code = String::new();
    let mut table = String::from("/// Every kind of leak.\npub static TABLE: &[&Kind] = &[\n");
    for (id, kind) in in_order(document) {
        let fields = Fields::of(id, kind)?;
        fields.allow(&[
            "severity",
            "lowered_in",
            "title",
            "explain",
            "bad",
            "good",
            "placeholder",
            "credential",
            "binary",
        ])?;
        let constant = constant(id);
        let title = fields.text("title")?;
        let _ = writeln!(
            code,
            "/// {title}\npub static {constant}: Kind = Kind {{ id: {id:?}, severity: {severity}, lowered_in: {lowered}, title: {title:?}, \
             explain: {explain:?}, bad: {bad:?}, good: {good:?}, placeholder: {placeholder:?}, \
             is_credential: {credential}, is_certain: {certain} }};",
            severity = severity(fields.text("severity")?)?,
            lowered = lowered_in(fields.text("lowered_in").unwrap_or("nowhere"))?,
            explain = fields.text("explain")?,
            bad = fields.text("bad")?,
            good = fields.text("good")?,
            placeholder = fields.text("placeholder")?,
            credential = fields.flag("credential"),
            certain = fields.flag("binary"),
        );
        let _ = writeln!(table, "    &{constant},");
    }
    Ok(format!("{code}{table}];\n"))
}

/// The rules of a family, in the order of the file.
fn rules(document: &DeTable<'_>, keywords: &mut Keywords) -> Result<String> {
    let mut found = Vec::new();
    for (kind, names) in document {
        let names = names
            .get_ref()
            .as_table()
            .ok_or(format!("{}: not a table", kind.get_ref()))?;
        found.extend(names.iter().map(|(name, rule)| (kind, name, rule)));
    }
    // The rules of two kinds may alternate.
    found.sort_by_key(|(_, name, _)| name.span().start);
    let mut code = String::from(
        "/// The rules of this family.\n#[allow(unused_qualifications, reason = \"generated code does not know the imports\")]\npub static RULES: &[Rule] = &[\n",
    );
    for (kind, name, rule) in found {
        code.push_str(&self::rule(kind.get_ref(), name.get_ref(), rule, keywords)?);
    }
    code.push_str("];\n");
    Ok(code)
}

fn rule(kind: &str, name: &str, rule: &Value<'_>, all: &mut Keywords) -> Result<String> {
    let fields = Fields::of(name, rule)?;
    fields.allow(&[
        "severity",
        "lowered_in",
        "keywords",
        "at_keyword",
        "in_line",
        "code",
        "accept",
        "prefilter",
        "examples",
        "non_examples",
    ])?;
    let (find, accept) = match (
        fields.text("at_keyword"),
        fields.text("in_line"),
        fields.text("code"),
    ) {
        (Ok(pattern), Err(_), Err(_)) => (format!("AtKeyword({pattern:?})"), "is_plausible_secret"),
        (Err(_), Ok(pattern), Err(_)) => (format!("InLine({pattern:?})"), "is_plausible_secret"),
        (Err(_), Err(_), Ok(function)) => (format!("Code({function})"), "always"),
        _ => return Err(format!("{name}: needs one of at_keyword, in_line and code")),
    };
    let function = |key: &str, default: &str| match fields.text(key) {
        Ok(function) => function.to_owned(),
        Err(_) => format!("crate::false_positives::{default}"),
    };
    let severity = match fields.text("severity") {
        Ok(word) => format!("Some(crate::kinds::{})", severity(word)?),
        Err(_) => "None".to_owned(),
    };
    let lowered = match fields.text("lowered_in") {
        Ok(word) => format!("Some(crate::kinds::{})", lowered_in(word)?),
        Err(_) => "None".to_owned(),
    };
    let keywords = fields.texts("keywords")?;
    if let Some(keyword) = keywords
        .iter()
        .find(|keyword| **keyword != keyword.to_ascii_lowercase())
    {
        return Err(format!("{name}: the keyword {keyword:?} is not in lower case"));
    }
    all.add_rule(&keywords);
    Ok(format!(
        "    Rule {{ kind: &crate::kinds::{kind}, severity: {severity}, lowered_in: {lowered}, \
         prefilter: {prefilter}, find: crate::rule::Find::{find}, accept: {accept}, \
         #[cfg(test)] keywords: &{keywords:?}, #[cfg(test)] name: {name:?}, #[cfg(test)] examples: &{examples:?}, \
         #[cfg(test)] non_examples: &{non_examples:?} }},\n",
        kind = constant(kind),
        prefilter = function("prefilter", "everywhere"),
        accept = function("accept", accept),
        examples = fields.texts("examples")?,
        non_examples = fields.texts("non_examples")?,
    ))
}

/// The name of the constant of a kind.
fn constant(id: &str) -> String {
    id.replace('-', "_").to_ascii_uppercase()
}

fn severity(word: &str) -> Result<&'static str> {
    match word {
        "error" => Ok("Severity::Error"),
        "warning" => Ok("Severity::Warning"),
        other => Err(format!("the severity `{other}` is neither `error` nor `warning`")),
    }
}

fn lowered_in(word: &str) -> Result<&'static str> {
    match word {
        "nowhere" => Ok("LoweredIn::Nowhere"),
        "tests" => Ok("LoweredIn::Tests"),
        "images" => Ok("LoweredIn::Images"),
        "documentation" => Ok("LoweredIn::Documentation"),
        other => Err(format!(
            "`lowered_in` is `{other}`, not `nowhere`, `tests`, `images` or `documentation`"
        )),
    }
}

/// The entries of a table in the order of the file.
fn in_order<'t, 'a>(table: &'t DeTable<'a>) -> Vec<(&'t str, &'t Value<'a>)> {
    let mut entries: Vec<(&Key<'_>, &Value<'_>)> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let named = |(key, value): (&'t Key<'a>, &'t Value<'a>)| (key.get_ref().as_ref(), value);
    entries.into_iter().map(named).collect()
}

/// The fields of a kind or a rule.
struct Fields<'t, 'a> {
    name: &'t str,
    table: &'t DeTable<'a>,
}

impl<'t, 'a> Fields<'t, 'a> {
    fn of(name: &'t str, value: &'t Value<'a>) -> Result<Self> {
        let table = value.get_ref().as_table().ok_or(format!("{name}: not a table"))?;
        Ok(Fields { name, table })
    }

    fn allow(&self, known: &[&str]) -> Result<()> {
        match in_order(self.table).iter().find(|(key, _)| !known.contains(key)) {
            Some((key, _)) => Err(format!("{}: the key `{key}` is not known", self.name)),
            None => Ok(()),
        }
    }

    fn text(&self, key: &str) -> Result<&'t str> {
        let value = self.table.get(key).and_then(|value| value.get_ref().as_str());
        value.ok_or(format!("{}: needs a text `{key}`", self.name))
    }

    fn texts(&self, key: &str) -> Result<Vec<&'t str>> {
        let values = self.table.get(key).and_then(|value| value.get_ref().as_array());
        let texts: Option<Vec<&str>> =
            values.and_then(|values| values.iter().map(|value| value.get_ref().as_str()).collect());
        texts
            .filter(|texts| !texts.is_empty())
            .ok_or(format!("{}: needs a list of texts `{key}`", self.name))
    }

    fn flag(&self, key: &str) -> bool {
        self.table
            .get(key)
            .and_then(|value| value.get_ref().as_bool())
            .unwrap_or(false)
    }
}
