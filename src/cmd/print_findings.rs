//! Prints findings in the selected format, and computes the exit code of a lint. Not a subcommand.

use crate::cmd::context::{Context, Format, print, print_data, print_json};
use crate::document::Source;
use crate::domain::exit::Exit;
use crate::domain::finding::{self, Finding, Severity};
use crate::github::workflow_command::{Annotation, Level};
use crate::leaks::codes::is_leak;
use crate::report::{findings, sarif};
use crate::terminal::escape::visible;

/// The formats of every lint.
pub const FORMATS: [Format; 4] = [Format::Human, Format::Json, Format::Github, Format::Sarif];

/// Prints the findings of these documents. The command fails if one of them is an error.
pub fn print_all(context: &Context, documents: &[Source], found: &[Finding]) -> anyhow::Result<Exit> {
    print_count(context, documents, documents.len(), found)
}

/// Like [`print_all`], for `count` scanned documents of which only these are in memory.
pub fn print_count(
    context: &Context,
    documents: &[Source],
    count: usize,
    found: &[Finding],
) -> anyhow::Result<Exit> {
    let format = context.format(&FORMATS)?;
    let listed = finding::listed(found);
    match format {
        Format::Json => print_json(&findings::report(found, count))?,
        Format::Sarif => print_json(&sarif::of_findings(&listed))?,
        Format::Github => print_data(&listed.iter().map(annotation).collect::<String>())?,
        _ if documents.is_empty() => print(&findings::lines(&listed))?,
        _ => {
            let color = context.color(&std::io::stdout());
            print(&findings::human(&listed, documents, &is_leak, color, width()))?;
        }
    }
    if matches!(format, Format::Human | Format::Github) {
        context.note(findings::Summary::of(found, count).words());
    }
    Ok(exit(found))
}

/// Like [`print_count`], for a check of no change: the human format names the reason instead of the count.
pub fn print_unchanged(
    context: &Context,
    count: usize,
    found: &[Finding],
    why: &str,
) -> anyhow::Result<Exit> {
    if found.is_empty() && context.format(&FORMATS)? == Format::Human {
        context.note(format_args!("nothing was changed: {why}"));
        return Ok(Exit::Passed);
    }
    print_count(context, &[], count, found)
}

/// Returns the exit code for these findings.
pub fn exit(found: &[Finding]) -> Exit {
    if found.iter().any(|f| f.severity == Severity::Error) {
        Exit::Failed
    } else {
        Exit::Passed
    }
}

fn annotation(finding: &Finding) -> String {
    // The description of an issue is not a file of the repository, so its location goes into the title.
    let file = finding.path.as_deref().filter(|p| !p.contains('#'));
    let shown = file.map(visible);
    let place = finding
        .region
        .filter(|_| file.is_some() || finding.path.is_none());
    let title = match (&finding.path, finding.region) {
        (Some(path), Some(region)) if file.is_none() => {
            format!("{} ({}, line {})", finding.code.id, visible(path), region.line)
        }
        _ => finding.code.id.to_owned(),
    };
    let mut message = visible(&finding.message).into_owned();
    if let Some(help) = &finding.help {
        message = format!("{message}\n{}", visible(help));
    }
    Annotation {
        level: match finding.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
            Severity::Note => Level::Notice,
        },
        message: &message,
        title: Some(&title),
        file: shown.as_deref(),
        line: place.map(|r| r.line),
        end_line: place.map(|r| r.end_line),
        column: place.map(|r| r.column),
        end_column: place.map(|r| r.end_column),
    }
    .command()
}

/// Returns the width of the terminal, or a width that fits the log of a job.
fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns >= 40)
        .unwrap_or(140)
}
