//! Parses TOML into a position tree. Reports all syntax errors of a file, and still returns the tree of the valid parts.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::document::defect::ParseError;
use crate::document::node::{Entry, Kind, Node, Scalar, Value};
use crate::document::parse_log;

/// Parses a TOML text. There is always a tree, also with defects.
pub fn parse(text: &str) -> (Node, Vec<ParseError>) {
    parse_log::record(text);
    let (table, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|e| e.span().map_or(0, |s| s.start));
    let mut defects: Vec<ParseError> = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().trim().replace('\n', "; ");
        let kind = if message.contains("duplicate key") {
            "duplicate-key"
        } else {
            "invalid-toml"
        };
        // One mistake often causes several errors on its line, and a repeated table causes one for each key in it. Only the
        // first error helps.
        let echo = defects.last().is_some_and(|last| {
            let between = text.get(last.span.start..span.start).unwrap_or_default();
            let line = text[..last.span.start].rsplit('\n').next().unwrap_or_default();
            let twice =
                last.kind == "duplicate-key" && kind == last.kind && line.trim_start().starts_with('[');
            !between.contains('\n') || twice && !between.contains("\n[")
        });
        if !echo {
            defects.push(ParseError {
                kind,
                span,
                message,
                help: None,
            });
        }
    }
    let span = table.span();
    (map(table.into_inner(), span), defects)
}

fn map(table: DeTable<'_>, span: std::ops::Range<usize>) -> Node {
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        entries.push(Entry {
            key_span: key.span(),
            key: key.into_inner().into_owned(),
            node: node(value),
        });
    }
    Node {
        span,
        value: Value::Map(entries),
    }
}

fn node(value: Spanned<DeValue<'_>>) -> Node {
    let span = value.span();
    let (text, kind) = match value.into_inner() {
        DeValue::String(text) => (text.into_owned(), Kind::Text),
        DeValue::Integer(i) => {
            let number = i64::from_str_radix(i.as_str(), i.radix());
            // A float is not exact above 2^53, and no key needs such a value.
            #[expect(clippy::cast_precision_loss, reason = "only compared with small bounds")]
            let number = number.map_or(f64::INFINITY, |n| n as f64);
            let text = match i.radix() {
                10 => i.as_str().to_owned(),
                _ => i.to_string(),
            };
            (text, Kind::Number(number))
        }
        DeValue::Float(f) => (
            f.as_str().to_owned(),
            Kind::Number(f.as_str().parse().unwrap_or(f64::NAN)),
        ),
        DeValue::Boolean(b) => (b.to_string(), Kind::Bool(b)),
        DeValue::Datetime(date) => (date.to_string(), Kind::Text),
        DeValue::Array(items) => {
            let value = Value::List(items.into_iter().map(node).collect());
            return Node { span, value };
        }
        DeValue::Table(table) => return map(table, span),
    };
    let value = Value::Scalar(Scalar { text, kind });
    Node { span, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_keys_and_values_have_spans() {
        let text = "[gates.\"cpu:import\"]\ntier = \"a\"\nn = 30\n[bundles]\nx = [\"a\", \"b\"]\n";
        let (root, defects) = parse(text);
        assert!(defects.is_empty());
        let gate = root.entry_at(&["gates", "cpu:import"]).unwrap();
        assert_eq!(&text[gate.key_span.clone()], "\"cpu:import\"");
        let tier = root.at(&["gates", "cpu:import", "tier"]).unwrap();
        assert_eq!((&text[tier.span.clone()], tier.text()), ("\"a\"", Some("a")));
        assert_eq!(
            root.at(&["gates", "cpu:import", "n"]).unwrap().number(),
            Some(30.0)
        );
        let x = root.at(&["bundles", "x"]).unwrap();
        assert_eq!(&text[x.items()[1].span.clone()], "\"b\"");
    }

    #[test]
    fn all_syntax_errors_are_reported() {
        let text = "a = 1\nb = = 2\nc = 3\na = 4\nd = [1, \n";
        let (root, defects) = parse(text);
        let kinds: Vec<_> = defects.iter().map(|d| (d.kind, d.span.start)).collect();
        assert!(kinds.len() >= 3, "{defects:?}");
        assert!(kinds.iter().any(|k| k.0 == "duplicate-key"), "{defects:?}");
        assert_eq!(root.get("c").unwrap().number(), Some(3.0));
    }
}
