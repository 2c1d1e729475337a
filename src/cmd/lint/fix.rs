//! `--fix`: shows the safe changes that findings carry as a unified diff, and makes them where `--write` says so.
//! Every other byte stays. It knows nothing of rules: what is safe was decided by whoever made the finding.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};

use crate::cmd::context::print_data;
use crate::cmd::print_findings;
use crate::document::Source;
use crate::document::source::{Place, Span};
use crate::domain::finding::{Finding, Fix, Region};

/// The options of a lint whose findings may carry fixes.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Fixing {
    /// Show the safe fixes as a diff instead of the findings.
    #[arg(long)]
    fix: bool,
    /// Make them, and judge what is left.
    #[arg(long, requires = "fix")]
    write: bool,
}

/// What became of the offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// No fix was asked for, or there is none: the findings speak.
    None,
    /// The diff was shown, and nothing was changed.
    Shown,
    /// Files were changed: judge them again.
    Written,
}

impl Fixing {
    /// Shows the fixes of these documents, and makes them where that was asked for.
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

/// A stretch of bytes and what to put there.
type Edit<'a> = (Span, &'a str);

/// The fixes of a document in its order. Of two that overlap the first stays, and the next look finds the other; a line that holds
/// what must not be shown is left alone, for the diff would show it.
fn edits<'a>(source: &Source, found: &'a [Finding]) -> Vec<Edit<'a>> {
    let own = || found.iter().filter(|f| f.path.as_deref() == source.name());
    let hidden: Vec<Region> = own()
        .filter(|f| print_findings::is_private(f.code))
        .filter_map(|f| f.region)
        .collect();
    let clear = |r: &Region| hidden.iter().all(|h| r.end_line < h.line || h.end_line < r.line);
    let mut all: Vec<Edit<'a>> = own()
        .filter_map(|f| f.fix.as_ref())
        .filter(|fix| clear(&fix.region))
        .map(|fix| (span(source, fix), fix.replacement.as_str()))
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

fn span(source: &Source, fix: &Fix) -> Span {
    let at = |line, column| source.offset(Place { line, column });
    at(fix.region.line, fix.region.column)..at(fix.region.end_line, fix.region.end_column)
}

/// A stretch of text with its edits.
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

/// A unified diff without context lines: `git apply --unidiff-zero` takes it.
fn diff(source: &Source, name: &str, edits: &[Edit<'_>]) -> String {
    let text = source.text();
    let lines = |span: &Span| {
        let start = text[..span.start].rfind('\n').map_or(0, |n| n + 1);
        let end = text[span.end..]
            .find('\n')
            .map_or(text.len(), |n| span.end + n + 1);
        start..end
    };
    let mut out = format!("--- a/{name}\n+++ b/{name}\n");
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
            for line in part.split_inclusive('\n') {
                let _ = write!(out, "{mark}{line}");
                if !line.ends_with('\n') {
                    out.push_str("\n\\ No newline at end of file\n");
                }
            }
        }
        shift += is as isize - was as isize;
        rest = later;
    }
    out
}

/// Puts the edited text where the document was; refuses a file that is no longer what was read.
fn write(source: &Source, name: &str, edits: &[Edit<'_>]) -> anyhow::Result<()> {
    let mark = if source.had_bom() { "\u{feff}" } else { "" };
    let text = source.text();
    let now = std::fs::read(name).with_context(|| format!("{name}: cannot be read again"))?;
    if now != format!("{mark}{text}").as_bytes() {
        bail!("{name}: changed while it was judged, or is not UTF-8; nothing was written to it");
    }
    let fixed = applied(text, &(0..text.len()), edits);
    std::fs::write(name, format!("{mark}{fixed}")).with_context(|| format!("{name}: cannot be written"))
}
