//! Loads the templates: embedded, or replaced one by one from a folder. Undefined names are errors, and output is escaped
//! automatically.
//!
//! A template gets the view and a [`Detail`](crate::report::render::Detail). Strings are escaped for the sink, which depends on the extension of the
//! template. `code` quotes a name, `prose` renders a sentence, and `cell` makes either of them a table cell.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use serde::Deserialize as _;
use unicode_width::UnicodeWidthStr as _;

use crate::report::escape::{self, Sink};
use crate::report::rich_text::{RichText, TextSpan};
use crate::terminal::wrap;

/// The embedded templates by name.
pub const EMBEDDED: [(&str, &str); 6] = [
    ("terminal.txt", include_str!("../../templates/terminal.txt")),
    ("gates.md", include_str!("../../templates/gates.md")),
    ("summary.md", include_str!("../../templates/summary.md")),
    ("comment.md", include_str!("../../templates/comment.md")),
    ("report.html", include_str!("../../templates/report.html")),
    ("history.html", include_str!("../../templates/history.html")),
];

/// Maximum size of a template file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Returns an environment with the embedded templates. Templates in the folder `replaced` take precedence.
pub fn environment(replaced: Option<&Path>) -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()?,
    );
    env.set_auto_escape_callback(|name| AutoEscape::Custom(sink_name(Sink::of(name)).into()));
    env.set_formatter(print);
    env.add_filter("code", code);
    env.add_filter("link", link);
    env.add_filter("wrap", wrapped);
    env.add_filter("prose", rich_text);
    env.add_filter("cell", cell);
    env.add_filter("pad", pad);
    env.add_filter("width", width);
    env.add_filter("paint", paint);
    // An embedded template is compiled when it is rendered or included; a replaced one at once, so that its errors show.
    env.set_loader(|name| {
        let embedded = EMBEDDED.iter().find(|(embedded, _)| *embedded == name);
        Ok(embedded.map(|(_, source)| (*source).to_owned()))
    });
    for (name, _) in EMBEDDED {
        if let Some(path) = replaced.map(|dir| dir.join(name)).filter(|path| path.exists()) {
            env.add_template_owned(name, read(&path)?)?;
        }
    }
    Ok(env)
}

fn read(path: &Path) -> Result<String, Error> {
    let fail = |why: String| Error::new(ErrorKind::InvalidOperation, format!("{}: {why}", path.display()));
    let meta = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?;
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return Err(fail(format!("not a file of at most {MAX_BYTES} bytes")));
    }
    std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))
}

fn sink_name(sink: Sink) -> &'static str {
    match sink {
        Sink::Markdown => "markdown",
        Sink::Html => "html",
        Sink::Terminal => "terminal",
    }
}

fn sink(state: &State) -> Sink {
    match state.auto_escape() {
        AutoEscape::Custom(name) if name == "markdown" => Sink::Markdown,
        AutoEscape::Custom(name) if name == "html" => Sink::Html,
        _ => Sink::Terminal,
    }
}

fn print(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let shown = match value.kind() {
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        _ if value.is_safe() => value.to_string(),
        _ => escape::text(sink(state), &value.to_string()),
    };
    out.write_str(&shown).map_err(Error::from)
}

fn code(state: &State, name: String) -> Value {
    Value::from_safe_string(escape::code(sink(state), &name))
}

/// Makes a page reachable from a value or from fixed words. Without an address, or on a terminal, returns the value unchanged.
fn link(state: &State, value: Value, url: Option<String>) -> Value {
    let sink = sink(state);
    let shown = match value.is_safe() {
        true => value.to_string(),
        false => escape::text(sink, &value.to_string()),
    };
    Value::from_safe_string(match (url, sink) {
        (Some(url), Sink::Markdown) => format!("[{shown}]({url})"),
        (Some(url), Sink::Html) => format!("<a href=\"{}\">{shown}</a>", escape::text(sink, &url)),
        (_, Sink::Terminal) | (None, _) => shown,
    })
}

/// Wraps a line for a terminal. Continuation lines begin with this many spaces.
fn wrapped(state: &State, line: Value, indent: usize) -> Value {
    let line = match line.is_safe() {
        true => line.to_string(),
        false => escape::text(sink(state), &line.to_string()),
    };
    Value::from_safe_string(wrap(&line, indent))
}

fn rich_text(state: &State, pieces: Value) -> Result<Value, Error> {
    let sink = sink(state);
    let pieces = RichText::deserialize(pieces)?.into_iter();
    let out = match sink {
        // Only the complete sentence shows where a line begins, and a terminal quotes nothing.
        Sink::Terminal => {
            let words = pieces.map(|piece| match piece {
                TextSpan::Code(words) | TextSpan::Text(words) => words,
            });
            escape::text(sink, &words.collect::<String>())
        }
        Sink::Markdown | Sink::Html => pieces
            .map(|piece| match piece {
                TextSpan::Code(name) => escape::code(sink, &name),
                // Fixed text of this program contains no Markdown.
                TextSpan::Text(words) if sink == Sink::Markdown => words,
                TextSpan::Text(words) => escape::text(sink, &words),
            })
            .collect(),
    };
    Ok(Value::from_safe_string(out))
}

fn cell(state: &State, value: Value) -> Value {
    let text = if value.is_safe() {
        value.to_string()
    } else {
        escape::text(sink(state), &value.to_string())
    };
    Value::from_safe_string(match sink(state) {
        Sink::Markdown => escape::cell(&text),
        Sink::Html | Sink::Terminal => text,
    })
}

/// Returns the number of terminal columns of a text.
fn width(text: String) -> usize {
    escape::text(Sink::Terminal, &text).width()
}

/// Pads a text with spaces to this width; on the left if `right` is set.
fn pad(text: String, to: usize, right: Option<bool>) -> Value {
    let shown = escape::text(Sink::Terminal, &text);
    let fill = " ".repeat(to.saturating_sub(shown.width()));
    Value::from_safe_string(if right == Some(true) {
        format!("{fill}{shown}")
    } else {
        format!("{shown}{fill}")
    })
}

/// Colours a text by its verdict, if the page has colour.
fn paint(state: &State, text: Value, verdict: String) -> Value {
    let shown = escape::text(sink(state), &text.to_string());
    let coloured = state.lookup("color").is_some_and(|c| c.is_true());
    let ink = match verdict.as_str() {
        "pass" => "32",
        "fail" => "31",
        _ => "33",
    };
    Value::from_safe_string(if coloured {
        format!("\u{1b}[1;{ink}m{shown}\u{1b}[0m")
    } else {
        shown
    })
}

#[cfg(test)]
mod tests {
    use minijinja::context;
    use minijinja::value::Serde;

    use super::*;
    use crate::report::rich_text::text;

    #[test]
    fn terminal_disarms_sentence_and_not_its_spans() {
        let shown = |name: &str, sentence: &RichText| {
            let environment = environment(None).unwrap();
            let values = context! { sentence => Value::from(Serde(sentence)) };
            environment
                .render_named_str(name, "{{ sentence | prose }}", values)
                .unwrap()
        };
        let sentence = vec![TextSpan::Code("loss".to_owned()), text(": equal")];
        assert_eq!(shown("a.txt", &sentence), "loss: equal");
        assert_eq!(shown("a.md", &sentence), "`loss`: equal");
        assert_eq!(shown("a.html", &sentence), "<code>loss</code>: equal");
        let command = vec![text(":"), TextSpan::Code(":error::x #".to_owned()), text("#[y]")];
        assert_eq!(shown("a.txt", &command), "\\::error::x ##\\[y]");
    }
}
