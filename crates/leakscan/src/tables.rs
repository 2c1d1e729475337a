//! Tables that tools print: the header names the columns, the rows contain the names.

use crate::window::starts_with_capital;
use std::ops::Range;

use crate::cluster;
use crate::kinds::CLUSTER_NAMESPACE;
use crate::kinds::KUBE_CONTEXT;
use crate::kinds::Kind;
use crate::kinds::NODE_NAME;
use crate::kinds::VOLUME_CLAIM;
use crate::nodes;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::before;

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

fn queue_table(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    table(hit, found, |_| QUEUE);
}

fn kubectl_table(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    table(hit, found, kubectl);
}

/// The heading of a column, the kind of its cells, and whether a cell is a leak.
type Column = (&'static str, &'static Kind, fn(&[u8]) -> bool);

static QUEUE: &[Column] = &[("NODELIST", &NODE_NAME, nodes::is_numbered_machine)];
static NAMESPACES: &[Column] = &[("NAME", &CLUSTER_NAMESPACE, cluster::is_namespace)];
static OBJECTS: &[Column] = &[
    ("NAMESPACE", &CLUSTER_NAMESPACE, cluster::is_namespace),
    ("CLUSTER", &KUBE_CONTEXT, cluster::is_context),
    ("CLAIM", &VOLUME_CLAIM, cluster::is_claim),
];

fn kubectl(header: &[u8]) -> &'static [Column] {
    let names = header
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    if names.eq([&b"NAME"[..], b"STATUS", b"AGE"]) {
        NAMESPACES
    } else {
        OBJECTS
    }
}

/// The maximum number of rows to examine.
const ROWS: usize = 64;

fn table(hit: &Hit<'_>, found: &mut MatchSink<'_>, columns: fn(&[u8]) -> &'static [Column]) {
    let header = hit.line();
    let head = &hit.text[header.clone()];
    if head.iter().any(u8::is_ascii_lowercase) {
        return;
    }
    let mut end = header.end;
    for _ in 0..ROWS {
        let start = hit.text.len().min(end + 1);
        let stop = memchr::memchr(b'\n', &hit.text[start..]).map_or(hit.text.len(), |n| start + n);
        if hit.text[start..stop].trim_ascii().is_empty() || stop - start > 512 {
            break;
        }
        end = stop;
        for &(name, code, accept) in columns(head) {
            if let Some(cell) = cell(hit.text, &header, start..stop, name)
                && accept(&hit.text[cell.clone()])
            {
                found.report(code, cell);
            }
        }
    }
    found.count_work(end - header.start);
    found.skip_to(end);
}

/// The cell under a heading: below the first letter of the heading, or at the end of the row for the last column.
fn cell(text: &[u8], header: &Range<usize>, row: Range<usize>, name: &str) -> Option<Range<usize>> {
    let head = &text[header.clone()];
    let column = memchr::memmem::find_iter(head, name).find(|&at| {
        before(head, at).is_ascii_whitespace()
            && !head.get(at + name.len()).is_some_and(u8::is_ascii_uppercase)
    })?;
    let last = !head[column..].trim_ascii_end().contains(&b' ');
    let bytes = &text[row.clone()];
    let from = if last {
        let bytes = bytes.trim_ascii_end();
        bytes
            .iter()
            .rposition(u8::is_ascii_whitespace)
            .map_or(0, |at| at + 1)
    } else {
        (before(bytes.get(..column)?, column).is_ascii_whitespace() || column == 0).then_some(column)?
    };
    let length = bytes[from..]
        .iter()
        .take_while(|b| !b.is_ascii_whitespace())
        .count();
    (length > 0).then(|| row.start + from..row.start + from + length)
}
