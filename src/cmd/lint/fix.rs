//! `--fix`: prints the safe fixes of findings as a unified diff, and writes them with `--write`. Must not depend on rules:
//! the rule that created the finding decided that the fix is safe. Not a subcommand.

use std::fmt::Write as _;
use std::path::{Component, Path};

use anyhow::{Context as _, bail};

use crate::cmd::context::print_data;
use crate::document::Source;
use crate::document::diff::push_lines;
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
            print_data(&diff(source, name, &edits))?;
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
/// line with private text gets no fix, because the diff would show the line.
fn edits<'a>(source: &Source, found: &'a [Finding]) -> Vec<Edit<'a>> {
    let own = || found.iter().filter(|f| f.path.as_deref() == source.name());
    let hidden: Vec<Region> = own()
        .filter(|f| is_leak(f.code))
        .filter_map(|f| f.region)
        .collect();
    let clear = |r: &Region| hidden.iter().all(|h| r.end_line < h.line || h.end_line < r.line);
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

/// Formats a unified diff without context lines, for `git apply --unidiff-zero`.
fn diff(source: &Source, name: &str, edits: &[Edit<'_>]) -> String {
    let text = source.text();
    let lines = |span: &Span| {
        let start = text[..span.start].rfind('\n').map_or(0, |n| n + 1);
        let end = text[span.end..]
            .find('\n')
            .map_or(text.len(), |n| span.end + n + 1);
        start..end
    };
    let shown = patch_path(name);
    let mut out = format!("--- a/{shown}\n+++ b/{shown}\n");
    let mut shift = 0_isize;
    let mut rest = edits;
    while let Some((first, _)) = rest.first() {
        let mut hunk = lines(first);
        let mut count = 1;
        while let Some((next, _)) = rest.get(count).filter(|(next, _)| next.start < hunk.end) {
            hunk.end = lines(next).end;
            count += 1;
        }
        let (here, later) = rest.split_at(count);
        let (old, new) = (&text[hunk.clone()], applied(text, &hunk, here));
        let (was, is) = (old.lines().count(), new.lines().count());
        let line = source.place(hunk.start).line as usize;
        let moved = line.saturating_add_signed(shift);
        // Writing to a String cannot fail.
        let _ = writeln!(out, "@@ -{line},{was} +{moved},{is} @@");
        for (mark, part) in [('-', old), ('+', new.as_str())] {
            push_lines(&mut out, mark, part.split_inclusive('\n'));
        }
        shift += is as isize - was as isize;
        rest = later;
    }
    out
}

/// Replaces a document with the edited text. Refuses a file that has changed since it was read.
fn write(source: &Source, name: &str, edits: &[Edit<'_>]) -> anyhow::Result<()> {
    let mark = if source.had_bom() { "\u{feff}" } else { "" };
    let text = source.text();
    let now = std::fs::read(name).with_context(|| format!("cannot read {name} again"))?;
    if now != format!("{mark}{text}").as_bytes() {
        bail!("cannot fix {name}: the file changed during the lint, or is not UTF-8");
    }
    let fixed = applied(text, &(0..text.len()), edits);
    files::rewrite(Path::new(name), format!("{mark}{fixed}").as_bytes())
        .with_context(|| format!("cannot write {name}"))
}
