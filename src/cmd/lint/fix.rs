//! `--fix`: prints the safe fixes of findings as a unified diff, and writes them with `--write`. Must not depend on rules:
//! the rule that created the finding decided that the fix is safe. Not a subcommand.

use std::path::{Component, Path};

use anyhow::{Context as _, bail};

use crate::cmd::context::print_data;
use crate::document::Source;
use crate::document::diff;
use crate::document::source::Span;
use crate::domain::finding::{Finding, Region};
use crate::leaks::codes::is_leak;
use crate::system::files;

/// The options of a lint with fixes.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Fixing {
    /// Print the safe fixes as a diff instead of the findings.
    #[arg(long)]
    fix: bool,
    /// Write the fixes to the files, and lint the files again.
    #[arg(long, requires = "fix")]
    write: bool,
}

/// The outcome of [`Fixing::offer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// No fix was requested, or there is none. Print the findings.
    None,
    /// The diff was printed, and no file was changed.
    Shown,
    /// Files were changed. Lint them again.
    Written,
}

impl Fixing {
    /// Prints the fixes of these documents, and writes them if the user asked for that.
    pub fn offer(self, documents: &[Source], found: &[Finding]) -> anyhow::Result<Offer> {
        let mut offer = Offer::None;
        if !self.fix {
            return Ok(offer);
        }
        for source in documents {
            let edits = edits(source, found);
            let Some(name) = source.name().filter(|_| !edits.is_empty()) else {
                continue;
            };
            print_data(&patch(source, name, &edits))?;
            offer = Offer::Shown;
            if self.write {
                write(source, name, &edits)?;
            }
        }
        Ok(if self.write && offer == Offer::Shown {
            Offer::Written
        } else {
            offer
        })
    }
}

/// A byte range and its replacement.
type Edit<'a> = (Span, &'a str);

/// Returns the fixes of a document in order. When two fixes overlap, the first is applied; the next run reports the second. A
/// fix at or near a line with private text is left out, because the context of the diff would show the line.
fn edits<'a>(source: &Source, found: &'a [Finding]) -> Vec<Edit<'a>> {
    let own = || found.iter().filter(|f| f.path.as_deref() == source.name());
    let hidden: Vec<Region> = own()
        .filter(|f| is_leak(f.code))
        .filter_map(|f| f.region)
        .collect();
    let near = diff::CONTEXT as u32;
    let clear = |r: &Region| {
        let is_apart = |h: &Region| r.end_line + near < h.line || h.end_line + near < r.line;
        hidden.iter().all(is_apart)
    };
    let mut all: Vec<Edit<'a>> = own()
        .filter_map(|f| f.fix.as_ref())
        .filter(|fix| clear(&fix.region))
        .map(|fix| (fix.region.span(source), fix.replacement.as_str()))
        .collect();
    all.sort_by_key(|(span, _)| (span.start, span.end));
    let mut end = 0;
    all.retain(|(span, _)| {
        let apart = span.start >= end;
        if apart {
            end = span.end;
        }
        apart
    });
    all
}

/// Returns a part of the text with its edits applied.
fn applied(text: &str, within: &Span, edits: &[Edit<'_>]) -> String {
    let mut out = String::new();
    let mut at = within.start;
    for (span, new) in edits {
        out.push_str(&text[at..span.start]);
        out.push_str(new);
        at = span.end;
    }
    out.push_str(&text[at..within.end]);
    out
}

/// Returns the path in the header of a diff. `git apply` and `patch` refuse a path that leaves their folder, so a file outside
/// of the current directory appears by its name, for a call in its own folder.
fn patch_path(name: &str) -> &str {
    let path = Path::new(name);
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    let file = path.file_name().and_then(|file| file.to_str());
    if inside { name } else { file.unwrap_or(name) }
}

/// Formats the edits as a unified diff for `git apply` in the current directory.
fn patch(source: &Source, name: &str, edits: &[Edit<'_>]) -> String {
    let text = source.text();
    // The lines of each edit as bytes. Edits in the same line are one change.
    let mut changes: Vec<(Span, Vec<Edit<'_>>)> = Vec::new();
    for edit in edits {
        let start = text[..edit.0.start].rfind('\n').map_or(0, |n| n + 1);
        let rest = text[edit.0.end..].find('\n');
        let end = rest.map_or(text.len(), |n| edit.0.end + n + 1);
        match changes.last_mut().filter(|(lines, _)| start < lines.end) {
            Some((lines, own)) => {
                lines.end = end;
                own.push(edit.clone());
            }
            None => changes.push((start..end, vec![edit.clone()])),
        }
    }
    // The file begins with the mark that the document was read without.
    let mark = |at: usize| if at == 0 { bom(source) } else { "" };
    let replaced: Vec<(Span, String)> = changes
        .iter()
        .map(|(lines, own)| {
            let first = source.place(lines.start).line as usize - 1;
            let count = text[lines.clone()].split_inclusive('\n').count();
            let new = format!("{}{}", mark(lines.start), applied(text, lines, own));
            (first..first + count, new)
        })
        .collect();
    let changes: Vec<diff::Change<'_>> = replaced
        .iter()
        .map(|(lines, new)| (lines.clone(), new.as_str()))
        .collect();
    let shown = patch_path(name);
    let file = format!("{}{text}", bom(source));
    format!(
        "--- {}\n+++ {}\n{}",
        header("a", shown),
        header("b", shown),
        diff::hunks(&file, &changes)
    )
}

/// Formats a path of a header as git does: a name with a blank ends in a tab, and unusual characters are escaped.
fn header(side: &str, path: &str) -> String {
    if path.contains(|c: char| c.is_control() || "\"\\".contains(c)) {
        let escape = |c: char| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => {
                let bytes = c.to_string().into_bytes();
                bytes.iter().map(|byte| format!("\\{byte:03o}")).collect()
            }
            c => c.to_string(),
        };
        let escaped: String = path.chars().map(escape).collect();
        return format!("\"{side}/{escaped}\"");
    }
    let end = if path.contains(' ') { "\t" } else { "" };
    format!("{side}/{path}{end}")
}

/// Returns the byte-order mark of a file, which is not a part of its document.
fn bom(source: &Source) -> &'static str {
    if source.had_bom() { "\u{feff}" } else { "" }
}

/// Replaces a document with the edited text. Refuses a file that has changed since it was read.
fn write(source: &Source, name: &str, edits: &[Edit<'_>]) -> anyhow::Result<()> {
    let mark = bom(source);
    let text = source.text();
    let now = std::fs::read(name).with_context(|| format!("cannot read {name} again"))?;
    if now != format!("{mark}{text}").as_bytes() {
        bail!("cannot fix {name}: the file changed during the lint, or is not UTF-8");
    }
    let fixed = applied(text, &(0..text.len()), edits);
    files::rewrite(Path::new(name), format!("{mark}{fixed}").as_bytes())
        .with_context(|| format!("cannot write {name}"))
}
