//! Not a subcommand: prints findings in the format that was asked for, and says how the command ends.

use std::io::IsTerminal as _;

use crate::cmd::context::{Context, Format, print};
use crate::document::Source;
use crate::domain::exit::Exit;
use crate::domain::finding::{Code, Finding, Severity};
use crate::github::command::{Annotation, Level};
use crate::leaks;
use crate::report::findings;

/// The formats that every lint has.
pub const FORMATS: [Format; 4] = [Format::Human, Format::Json, Format::Github, Format::Sarif];

/// Prints the findings of these documents; an error among them is a failure.
pub fn findings(context: &Context, documents: &[Source], found: &[Finding]) -> anyhow::Result<Exit> {
    counted(context, documents, documents.len(), found)
}

/// Like [`findings`], where `count` documents were looked through and only some, or none, are at hand to be shown.
pub fn counted(
    context: &Context,
    documents: &[Source],
    count: usize,
    found: &[Finding],
) -> anyhow::Result<Exit> {
    let format = context.format(&FORMATS)?;
    let text = match format {
        Format::Json => findings::json(found, count)?,
        Format::Sarif => serde_json::to_string_pretty(&findings::sarif(found))? + "\n",
        Format::Github => found.iter().map(annotation).collect(),
        _ if documents.is_empty() => findings::lines(found),
        _ => findings::human(found, documents, &is_private, colour(context), width()),
    };
    print(&text)?;
    if matches!(format, Format::Human | Format::Github) {
        context.note(&findings::Summary::of(found, count).words());
    }
    Ok(exit(found))
}

/// How a command ends that found this.
pub fn exit(found: &[Finding]) -> Exit {
    if found.iter().any(|f| f.severity == Severity::Error) {
        Exit::Failed
    } else {
        Exit::Passed
    }
}

/// Kinds of findings whose text must not be shown.
pub fn is_private(code: &Code) -> bool {
    leaks::codes::TABLE.contains(&code)
}

fn annotation(finding: &Finding) -> String {
    // A description on GitHub is no file of the repository: its place goes into the title.
    let file = finding.path.as_deref().filter(|p| !p.contains('#'));
    let place = finding
        .region
        .filter(|_| file.is_some() || finding.path.is_none());
    let title = match (&finding.path, finding.region) {
        (Some(path), Some(region)) if file.is_none() => {
            format!("{} ({path}, line {})", finding.code.id, region.line)
        }
        _ => finding.code.id.to_owned(),
    };
    let mut message = finding.message.clone();
    if let Some(help) = &finding.help {
        message = format!("{message}\n{help}");
    }
    Annotation {
        level: match finding.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
            Severity::Note => Level::Notice,
        },
        message: &message,
        title: Some(&title),
        file,
        line: place.map(|r| r.line),
        end_line: place.map(|r| r.end_line),
        column: place.map(|r| r.column),
        end_column: place.map(|r| r.end_column),
    }
    .command()
}

/// Whether to use colour on standard output: as asked for, else on a terminal unless `NO_COLOR` is set.
pub fn colour(context: &Context) -> bool {
    context.color.unwrap_or_else(|| {
        std::io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
    })
}

/// Columns of the terminal, or a width that fits a job's log.
fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns >= 40)
        .unwrap_or(140)
}
