//! `explain`: prints what a code or a reason means and how to fix it. Reads the tables of the program, and the
//! invariants of the settings.

mod words;

use std::fmt::Write as _;

use anyhow::bail;
use serde_json::{Value, json};

use crate::cmd::context::{Context, Format, print, print_json};
use crate::cmd::help::{self, Help};
use crate::cmd::variables;
use crate::domain::exit::Exit;
use crate::domain::finding::Code;
use crate::domain::page;
use crate::domain::settings::Contracts;
use crate::domain::suggest::{did_you_mean, nearest};
use crate::domain::verdict::Reason;
use crate::git;
use crate::kernel;
use crate::leaks;
use crate::lint;
use crate::plan;
use crate::pull;
use crate::terminal::Text;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::PRINTS,
    variables: help::OF_TERMINAL,
    examples: &[
        "explain",
        "explain unknown-gate",
        "explain timeout",
        "explain exit-codes",
    ],
};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Explain this code such as `unknown-gate`, this reason such as `timeout`, this word such as `inconclusive`, `exit-codes`, or `environment` (default: list everything).
    code: Option<String>,
}

// Arguments of `explain` that help, completions and manual pages do not show.
#[derive(Debug, Default, clap::Args)]
#[expect(
    missing_docs,
    reason = "a doc comment here would replace the help of the subcommand"
)]
pub struct Unlisted {
    /// Print every page as one Markdown document: docs/reference/codes.md.
    #[arg(long, hide = true, conflicts_with = "code")]
    pages: bool,
}

/// Names of codes in the release before, with their present names.
const RENAMED: [(&str, &str); 1] = [("stale-evidence", "evidence-stale")];

/// Returns every table of codes with its heading in the documentation.
fn tables() -> Vec<(&'static str, &'static [&'static Code])> {
    let mut tables = lint::codes::TABLES.to_vec();
    tables.push(("Scope", lint::scope::codes::TABLE));
    tables.push(("Workflows", lint::workflows::TABLE));
    tables.push(("Public safety", leaks::codes::TABLE));
    tables.push(("Commits", git::codes::TABLE));
    tables.push(("Plans", plan::codes::TABLE));
    tables.push(("What blocks a merge", pull::blocker::TABLE));
    tables.push(("Kernels", kernel::codes::TABLE));
    tables
}

/// Runs `explain`.
pub fn run(context: &Context, args: &Args, unlisted: &Unlisted) -> anyhow::Result<Exit> {
    let as_json = context.format(HELP.formats)? == Format::Json;
    let tables = tables();
    let text = match args.code.as_deref() {
        None if unlisted.pages => pages(&tables),
        None if as_json => return print_value(&everything(&tables)),
        None => {
            print(&list(&tables))?;
            return Ok(Exit::Passed);
        }
        Some("exit-codes") if as_json => return print_value(&exit_codes_object()),
        Some("exit-codes") => exit_codes(),
        Some("environment") if as_json => return print_value(&variables_object()),
        Some("environment") => environment(),
        Some(name) => {
            let renamed = RENAMED.iter().find(|(old, _)| *old == name);
            let name = renamed.map_or(name, |(_, new)| new);
            if let Some((old, new)) = renamed {
                context.note(format_args!(
                    "`{old}` is now `{new}`; the next release does not know the old name"
                ));
            }
            let code = tables.iter().flat_map(|(_, t)| t.iter()).find(|c| c.id == name);
            let reason = Reason::ALL.iter().find(|r| r.as_str() == name);
            let spelled = name.replace([' ', '-'], "_");
            let word = words::WORDS
                .iter()
                .find(|(word, _)| word.replace('-', "_") == spelled);
            match (code, reason, word) {
                (Some(code), ..) if as_json => return print_value(&object(code)),
                (Some(code), ..) => page(code),
                (None, Some(reason), _) if as_json => return print_value(&reason_object(reason)),
                (None, Some(reason), _) => format!(
                    "{name}\n\n{}\n{}\n\n{}\n",
                    reason.message(),
                    reason.remedy(),
                    page::of_code(name)
                ),
                (None, None, Some((word, says))) if as_json => {
                    return print_value(&json!({ "word": word, "says": says }));
                }
                (None, None, Some((word, says))) => format!("{word}\n\n{says}\n"),
                (None, None, None) => {
                    if let Some(says) = invariant(context, name) {
                        if as_json {
                            return print_value(&json!({ "invariant": name, "says": says }));
                        }
                        print(Text::new().line(name).line("").wrapped(says, 0))?;
                        return Ok(Exit::Passed);
                    }
                    let known = names();
                    let meant = nearest(name, known.iter().map(String::as_str));
                    let hint = meant.map_or_else(String::new, |m| format!("; {}", did_you_mean(m)));
                    bail!(
                        "cannot explain `{name}`: no code or word has this name{hint}\nhelp: `nmoe-gates explain` lists all"
                    )
                }
            }
        }
    };
    let mut shown = Text::new();
    if unlisted.pages {
        shown.rendered(&text, false);
    }
    for line in text.lines().filter(|_| !unlisted.pages) {
        match line {
            // An example keeps its lines.
            example if example.starts_with("    ") => shown.line(example),
            row if row.starts_with(' ') => shown.wrapped(row, 5),
            sentence => shown.wrapped(sentence, 0),
        };
    }
    print(&shown)?;
    Ok(Exit::Passed)
}

/// Returns what an invariant of the settings means. Settings that cannot be read have the default ones.
fn invariant(context: &Context, id: &str) -> Option<String> {
    let required = context.settings().unwrap_or_default().contracts.invariants;
    let found = required.into_iter().find(|invariant| invariant.id == id)?;
    Some(format!(
        "An invariant: {}. Every contract lists this id under `contract.invariants`, or states the invariant in a sentence; \
         a contract without it has the finding `missing-invariant`.",
        found.text
    ))
}

/// Returns every code by family, and the reasons of verdicts as the last family.
pub fn families() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut families: Vec<_> = tables()
        .into_iter()
        .map(|(heading, table)| (heading, table.iter().map(|code| code.id).collect()))
        .collect();
    families.push((
        "Reasons of verdicts",
        Reason::ALL.iter().map(|reason| reason.as_str()).collect(),
    ));
    families
}

/// Returns every word that `explain` explains.
pub fn names() -> Vec<String> {
    let codes = families().into_iter().flat_map(|(_, ids)| ids);
    let words = words::WORDS.iter().map(|(word, _)| *word);
    let invariants = Contracts::default().invariants;
    codes
        .chain(words)
        .chain(["exit-codes", "environment"])
        .map(str::to_owned)
        .chain(invariants.into_iter().map(|invariant| invariant.id))
        .collect()
}

fn print_value(value: &Value) -> anyhow::Result<Exit> {
    print_json(value)?;
    Ok(Exit::Passed)
}

fn exit_codes() -> String {
    Exit::TABLE
        .iter()
        .map(|(exit, says)| format!("{:>3}  {says}\n", exit.code()))
        .collect()
}

/// Returns the page of one code, for a terminal.
fn page(code: &Code) -> String {
    let mut page = format!(
        "{} ({})\n{}\n\n{}\n",
        code.id,
        code.severity.as_str(),
        code.title,
        code.explain
    );
    for (heading, example) in [("Wrong:", code.bad), ("Right:", code.good)] {
        if !example.is_empty() {
            let lines: String = example.lines().map(|l| format!("    {l}\n")).collect();
            let _ = write!(page, "\n{heading}\n\n{lines}");
        }
    }
    let _ = writeln!(page, "\n{}", page::of_code(code.id));
    page
}

/// Lists every code and every reason, one per line.
fn list(tables: &[(&str, &[&Code])]) -> Text {
    let mut out = Text::new();
    for (heading, table) in tables {
        out.line(heading);
        for code in *table {
            out.wrapped(
                format_args!("  {:<24} {:<8} {}", code.id, code.severity.as_str(), code.title),
                36,
            );
        }
        out.line("");
    }
    out.line("Reasons of verdicts");
    for reason in Reason::ALL {
        out.wrapped(format_args!("  {:<24} {}", reason.as_str(), reason.message()), 27);
    }
    out.line("").line("Words of reports");
    for (word, says) in words::WORDS {
        out.wrapped(format_args!("  {word:<24} {says}"), 27);
    }
    out.line("")
        .line("Invariants of contracts, unless the settings name others");
    for invariant in Contracts::default().invariants {
        out.wrapped(format_args!("  {:<24} {}", invariant.id, invariant.text), 27);
    }
    out.line("")
        .line("Exit codes: `nmoe-gates explain exit-codes`")
        .line("Environment variables: `nmoe-gates explain environment`");
    out
}

fn object(code: &Code) -> Value {
    json!({
        "code": code.id,
        "severity": code.severity.as_str(),
        "title": code.title,
        "explain": code.explain,
        "bad": code.bad,
        "good": code.good,
        "page": page::of_code(code.id),
    })
}

fn reason_object(reason: &Reason) -> Value {
    json!({
        "reason": reason.as_str(),
        "says": reason.message(),
        "remedy": reason.remedy(),
        "page": page::of_code(reason.as_str()),
    })
}

fn exit_codes_object() -> Value {
    let rows = Exit::TABLE.iter();
    let codes: Vec<Value> = rows
        .map(|(exit, says)| json!({ "code": exit.code(), "says": says }))
        .collect();
    json!({ "schema": 1, "exit_codes": codes })
}

/// Returns the environment variables with their meaning, for a terminal.
fn environment() -> String {
    let mut out = String::new();
    for group in variables::ALL {
        let _ = writeln!(out, "{}{}", if out.is_empty() { "" } else { "\n" }, group.heading);
        for (names, says) in group.variables {
            let _ = write!(out, "\n  {}\n     {}\n", names.join(", "), variables::plain(says));
        }
    }
    out
}

fn variables_object() -> Value {
    let groups = variables::ALL.map(|group| {
        let rows = group.variables.iter();
        let rows: Vec<Value> = rows
            .map(|(names, says)| json!({ "names": names, "says": says }))
            .collect();
        json!({ "heading": group.heading, "variables": rows })
    });
    json!({ "schema": 1, "groups": groups })
}

fn everything(tables: &[(&str, &[&Code])]) -> Value {
    let codes: Vec<Value> = tables
        .iter()
        .flat_map(|(_, t)| t.iter())
        .map(|c| object(c))
        .collect();
    let reasons: Vec<Value> = Reason::ALL.iter().map(reason_object).collect();
    json!({ "schema": 1, "codes": codes, "reasons": reasons })
}

/// Returns docs/reference/codes.md.
fn pages(tables: &[(&str, &[&Code])]) -> String {
    let mut out = String::from(
        "# Codes\n\nEvery finding has a code, and every verdict that is not a pass has a reason. `nmoe-gates explain CODE` prints \
         the entry of a code or a reason.\nThis page is generated from the program by `scripts/ci/generate-reference`.\n",
    );
    for (heading, table) in tables {
        let _ = write!(out, "\n## {heading}\n");
        for code in *table {
            let _ = write!(
                out,
                "\n### `{}`\n\n**{}.** ({})\n\n{}\n",
                code.id,
                code.title,
                code.severity.as_str(),
                code.explain
            );
            for (name, example) in [("Wrong", code.bad), ("Right", code.good)] {
                if !example.is_empty() {
                    let _ = write!(out, "\n{name}:\n\n~~~~text\n{example}\n~~~~\n");
                }
            }
        }
    }
    out.push_str("\n## Reasons of verdicts\n\n| reason | meaning | fix |\n|---|---|---|\n");
    for reason in Reason::ALL {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} |",
            reason.as_str(),
            reason.message(),
            reason.remedy()
        );
    }
    out.push_str("\n## Words of reports\n\n| word | meaning |\n|---|---|\n");
    for (word, says) in words::WORDS {
        let _ = writeln!(out, "| {word} | {says} |");
    }
    out.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (exit, says) in Exit::TABLE {
        let _ = writeln!(out, "| {} | {says} |", exit.code());
    }
    out
}
