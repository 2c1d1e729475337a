//! Renders a plan as a table, as a Mermaid graph for GitHub, and as a DOT graph.

use std::fmt::Write as _;

use crate::plan::Plan;
use crate::terminal::Text;
use crate::terminal::escape::is_hidden;

/// The most hotspots in the table. JSON contains all hotspots.
const MOST_SHOWN: usize = 20;

/// Renders tables.
pub fn human(plan: &Plan) -> Text {
    let mut out = Text::new();
    let mut placed: Vec<_> = plan.contracts.iter().filter(|row| row.wave.is_some()).collect();
    placed.sort_by_key(|row| row.wave);
    let rows: Vec<[String; 4]> = placed
        .into_iter()
        .map(|row| {
            [
                row.wave.map(|n| n.to_string()).unwrap_or_default(),
                format!("{}-{}", row.issue, row.slug)
                    .trim_end_matches('-')
                    .to_owned(),
                row.waits_for.join(", "),
                row.exclusive.join(", "),
            ]
        })
        .collect();
    table(&mut out, ["wave", "contract", "after", "exclusive"], &rows);
    let taken: Vec<_> = plan
        .contracts
        .iter()
        .filter_map(|row| Some((&row.issue, row.taken.as_ref()?)))
        .collect();
    if !taken.is_empty() {
        out.line("").line("in work:");
    }
    for (issue, taken) in taken {
        let by = taken.claimed_by.iter().map(|who| format!("claimed by {who}"));
        let pull = taken.pull.iter().map(|number| format!("in review: #{number}"));
        let how: Vec<String> = by.chain(pull).collect();
        out.line(format_args!("  {issue}: {}", how.join(", ")));
    }
    if plan.critical_path.len() > 1 {
        out.line("")
            .line(format_args!("critical path: {}", plan.critical_path.join(" → ")));
    }
    if !plan.hotspots.is_empty() {
        let rows: Vec<[String; 4]> = plan
            .hotspots
            .iter()
            .take(MOST_SHOWN)
            .map(|spot| {
                let mut who = spot.contracts.join(", ");
                if spot.more {
                    who.push_str(", …");
                }
                let weight = if spot.exclusive { "exclusive" } else { "hint" };
                [
                    spot.path.clone(),
                    spot.kind.as_str().to_owned(),
                    weight.to_owned(),
                    who,
                ]
            })
            .collect();
        out.line("");
        table(&mut out, ["hotspot", "kind", "means", "contracts"], &rows);
        let rest = plan.hotspots.len().saturating_sub(MOST_SHOWN);
        if rest > 0 {
            out.line(format_args!("and {rest} more; `--format json` prints all"));
        }
    }
    if !plan.blocked.is_empty() {
        out.line("").line("in no wave:");
        for blocked in &plan.blocked {
            out.line(format_args!(
                "  {} ({})",
                blocked.way.join(" → "),
                blocked.because
            ));
        }
    }
    for finding in &plan.findings {
        let word = finding.severity.as_str();
        let place = finding.path.as_deref().unwrap_or("-");
        let line = finding.line.map(|n| format!(":{n}")).unwrap_or_default();
        out.line("")
            .line(format_args!("{word}[{}]: {}", finding.code, finding.message))
            .line(format_args!("  in {place}{line}"));
        if let Some(help) = &finding.help {
            out.line(format_args!("  help: {help}"));
        }
    }
    if let Some(next) = plan.next.first().and_then(|n| n.command()) {
        out.line("").line(format_args!("next: {next}"));
    }
    out
}

fn table<const N: usize>(out: &mut Text, head: [&str; N], rows: &[[String; N]]) {
    let head = head.map(str::to_owned);
    let wide: [usize; N] = std::array::from_fn(|n| {
        let cells = rows.iter().chain([&head]).map(|row| row[n].chars().count());
        cells.max().unwrap_or(0)
    });
    for row in [&head].into_iter().chain(rows) {
        let cells: Vec<String> = row
            .iter()
            .zip(wide)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let last = wide[..N - 1].iter().map(|width| width + 2).sum();
        out.wrapped(cells.join("  ").trim_end(), last);
    }
}

/// Escapes a text for a quoted label: no character ends the quotes or starts markup.
fn label(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '"' | '<' | '>' | '&' | '`' | '\\' | '|' | '[' | ']' | '{' | '}' => '·',
            c if is_hidden(c) => '·',
            c => c,
        })
        .collect()
}

struct Drawn<'a> {
    plan: &'a Plan,
    number: std::collections::HashMap<&'a str, usize>,
}

impl<'a> Drawn<'a> {
    fn new(plan: &'a Plan) -> Self {
        let rows = plan.contracts.iter().enumerate();
        Drawn {
            plan,
            number: rows.map(|(n, row)| (row.issue.as_str(), n)).collect(),
        }
    }

    fn title(&self, n: usize) -> String {
        let row = &self.plan.contracts[n];
        label(format!("{} {}", row.issue, row.slug).trim_end())
    }

    /// Returns the dependencies as edges, the dependency first.
    fn edges(&self) -> impl Iterator<Item = (usize, usize)> {
        let rows = self.plan.contracts.iter().enumerate();
        rows.flat_map(move |(n, row)| {
            row.waits_for
                .iter()
                .filter_map(move |id| Some((*self.number.get(id.as_str())?, n)))
        })
    }

    /// Returns the neighbours in each exclusive hotspot with its name. A chain is enough; not every pair is drawn.
    fn rivals(&self) -> impl Iterator<Item = (usize, usize, String)> {
        let spots = self.plan.hotspots.iter().filter(|spot| spot.exclusive);
        spots.flat_map(|spot| {
            spot.contracts.windows(2).filter_map(|pair| {
                let at = |id: &String| self.number.get(id.as_str()).copied();
                Some((at(&pair[0])?, at(&pair[1])?, label(&spot.path)))
            })
        })
    }
}

/// Renders a Mermaid flowchart: waves as boxes, dependencies as arrows, exclusive hotspots as dotted lines.
pub fn mermaid(plan: &Plan) -> String {
    let drawn = Drawn::new(plan);
    let mut out = String::from("flowchart LR\n");
    for (n, wave) in plan.waves.iter().enumerate() {
        let _ = writeln!(out, "  subgraph wave{0}[\"wave {0}\"]", n + 1);
        for id in wave.iter().filter_map(|id| drawn.number.get(id.as_str())) {
            let _ = writeln!(out, "    c{id}[\"{}\"]", drawn.title(*id));
        }
        out.push_str("  end\n");
    }
    for blocked in &plan.blocked {
        if let Some(n) = drawn.number.get(blocked.issue.as_str()) {
            let _ = writeln!(out, "  c{n}{{{{\"{}: {}\"}}}}", drawn.title(*n), blocked.because);
        }
    }
    for (from, to) in drawn.edges() {
        let _ = writeln!(out, "  c{from} --> c{to}");
    }
    for (a, b, spot) in drawn.rivals() {
        let _ = writeln!(out, "  c{a} -. \"{spot}\" .- c{b}");
    }
    out
}

/// Renders a DOT graph with the same content.
pub fn dot(plan: &Plan) -> String {
    let drawn = Drawn::new(plan);
    let mut out = String::from("digraph plan {\n  rankdir=LR;\n  node [shape=box];\n");
    for (n, wave) in plan.waves.iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{0} {{\n    label=\"wave {0}\";", n + 1);
        for id in wave.iter().filter_map(|id| drawn.number.get(id.as_str())) {
            let _ = writeln!(out, "    c{id} [label=\"{}\"];", drawn.title(*id));
        }
        out.push_str("  }\n");
    }
    for blocked in &plan.blocked {
        if let Some(n) = drawn.number.get(blocked.issue.as_str()) {
            let title = drawn.title(*n);
            let _ = writeln!(
                out,
                "  c{n} [label=\"{title}: {}\", style=dashed];",
                blocked.because
            );
        }
    }
    for (from, to) in drawn.edges() {
        let _ = writeln!(out, "  c{from} -> c{to};");
    }
    for (a, b, spot) in drawn.rivals() {
        let _ = writeln!(out, "  c{a} -> c{b} [dir=none, style=dotted, label=\"{spot}\"];");
    }
    out.push_str("}\n");
    out
}
