//! Generates Rust tables from the rules in `rules/*.toml`, so that the program parses no TOML when it starts.
//!
//! A rule names its functions; the generated code calls the function of that name in the module of the rule's family.
//! Cargo reports an unknown key, kind or function when it builds the crate.

use std::fmt::Write as _;
use std::path::Path;

use toml::Spanned;
use toml::de::DeString;
use toml::de::DeTable;
use toml::de::DeValue;

type Key<'a> = Spanned<DeString<'a>>;
type Value<'a> = Spanned<DeValue<'a>>;
type Result<T> = std::result::Result<T, String>;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=rules");
    if let Err(error) = generate() {
        println!("cargo::error={error}");
        std::process::exit(1);
    }
}

fn generate() -> Result<()> {
    let out = std::env::var("OUT_DIR").map_err(|e| format!("OUT_DIR: {e}"))?;
    let entries = std::fs::read_dir("rules").map_err(|e| format!("rules: {e}"))?;
    for entry in entries {
        let path = entry.map_err(|e| format!("rules: {e}"))?.path();
        let shown = path.display();
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{shown}: {e}"))?;
        let document = DeTable::parse(&text).map_err(|e| format!("{shown}: {e}"))?;
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let code = match name {
            "kinds" => kinds(document.get_ref()),
            _ => rules(document.get_ref()),
        }
        .map_err(|e| format!("{shown}: {e}"))?;
        let target = Path::new(&out).join(format!("{name}.rs"));
        std::fs::write(&target, code).map_err(|e| format!("{}: {e}", target.display()))?;
    }
    Ok(())
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
fn rules(document: &DeTable<'_>) -> Result<String> {
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
        code.push_str(&self::rule(kind.get_ref(), name.get_ref(), rule)?);
    }
    code.push_str("];\n");
    Ok(code)
}

fn rule(kind: &str, name: &str, rule: &Value<'_>) -> Result<String> {
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
    Ok(format!(
        "    Rule {{ kind: &crate::kinds::{kind}, severity: {severity}, lowered_in: {lowered}, keywords: &{keywords:?}, \
         prefilter: {prefilter}, find: crate::rule::Find::{find}, accept: {accept}, \
         #[cfg(test)] name: {name:?}, #[cfg(test)] examples: &{examples:?}, \
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
        "documentation" => Ok("LoweredIn::Documentation"),
        other => Err(format!(
            "`lowered_in` is `{other}`, not `nowhere`, `tests` or `documentation`"
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
