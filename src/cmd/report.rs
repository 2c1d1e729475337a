//! `report`: renders recorded results. Does not check them: the report of a failed run is a success of this command.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};

use crate::cmd::context::{Context, Format, print, print_data, print_json, say};
use crate::cmd::gates::Which;
use crate::cmd::github;
use crate::cmd::help::{self, Help};
use crate::cmd::input_files;
use crate::cmd::run;
use crate::domain::exit::Exit;
use crate::domain::next_step::own_line;
use crate::domain::results::Results;
use crate::domain::verdict::Verdict;
use crate::gate::select::{self, Request};
use crate::report::merge_results::{self, Whole};
use crate::report::render::{self, Page, Tail};
use crate::report::verify::Refusal;
use crate::report::view::View;
use crate::report::{intoto, junit, sarif};
use crate::terminal::Text;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &[
        Format::Human,
        Format::Terminal,
        Format::Summary,
        Format::Comment,
        Format::Json,
        Format::Junit,
        Format::Html,
        Format::InToto,
        Format::Sarif,
        Format::Github,
    ],
    codes: help::PRINTS,
    variables: help::OF_RESULTS,
    examples: &["report", "report results.json --format html"],
};

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Render these results; `-` is standard input (default: the last run here). Several files, or a folder, become one table.
    results: Vec<PathBuf>,
    #[command(flatten)]
    which: Which,
    /// Replace the embedded templates by the files of the same name in this folder.
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
}

/// Runs `report`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(HELP.formats)?;
    let (results, tails) = joined(context, args)?;
    match format {
        Format::Json => print_json(&results)?,
        Format::Junit => print_data(&junit::xml(&results)?)?,
        Format::InToto => print_json(&intoto::statement(&results)?)?,
        Format::Github => print_data(&outputs(&results))?,
        Format::Sarif => print_json(&sarif::of_results(&results))?,
        Format::Summary => rendered(context, args, &results, &tails, Page::Summary)?,
        Format::Comment => rendered(context, args, &results, &tails, Page::Comment)?,
        Format::Html => rendered(context, args, &results, &tails, Page::Html)?,
        _ => rendered(context, args, &results, &tails, Page::Terminal)?,
    }
    Ok(Exit::Passed)
}

/// Loads the results, and merges those of several runs. With a selection, gates without results are `not_run`. Also returns the
/// last output of the gates that did not pass, from the logs next to the files.
fn joined(context: &Context, args: &Args) -> anyhow::Result<(Results, Vec<Tail>)> {
    // A report needs no registry, but results of this one must fit it.
    let registry = context.registry();
    let budget = context.budget_pct();
    let mut parts = Vec::new();
    let mut tails = Vec::new();
    let mut paths = args.results.clone();
    if paths.is_empty() {
        let last = run::default_results(&context.subject)?;
        if !last.is_file() {
            bail!(
                "cannot report: no run is recorded for this checkout\nhelp: `{}`",
                own_line(&["run", "--tier", "a"])
            );
        }
        paths.push(last);
    }
    for path in &paths {
        let files = merge_results::files(path).with_context(|| path.display().to_string())?;
        for file in files {
            let part = input_files::for_report(&file, registry.as_ref().ok(), budget)?;
            tails.extend(run::tails(&file, &part));
            parts.push(part);
        }
    }
    let request = args.which.request();
    if request == Request::default() {
        if parts.len() == 1 {
            let results = parts.pop().context("cannot report: no results are named")?;
            return Ok((results, tails));
        }
        let results = merge_results::merge(parts, None).map_err(unusable)?;
        return Ok((results, tails));
    }
    let selection = select::resolve(&registry?.value, &request)?;
    let whole = Whole {
        bundle: selection.bundle.as_deref(),
        gate_ids: &selection.gate_ids,
    };
    let results = merge_results::merge(parts, Some(whole)).map_err(unusable)?;
    Ok((results, tails))
}

fn unusable(refusal: Refusal) -> anyhow::Error {
    anyhow!("cannot merge the results: {}", refusal.detail)
}

/// Formats the outputs of a workflow step, one `name=value` per line. The values are fixed words and numbers.
fn outputs(results: &Results) -> String {
    let passed = results
        .results
        .values()
        .filter(|r| r.status == Verdict::Pass)
        .count();
    format!(
        "overall={}\npassed={passed}\ntotal={}\n",
        results.overall_word(),
        results.gate_ids.len()
    )
}

/// Renders a page for people. If the templates of the user cannot be used, reports the error and uses the embedded ones.
fn rendered(
    context: &Context,
    args: &Args,
    results: &Results,
    tails: &[Tail],
    page: Page,
) -> anyhow::Result<()> {
    let color = context.color(&std::io::stdout());
    let options = render::Options {
        templates: args.templates.as_deref(),
        color,
        tails,
        room: None,
    };
    let done = render::page(
        &View::new(
            results,
            &context.settings()?.report.metric,
            &github::links(context),
        ),
        page,
        &options,
    )?;
    if let Some(complaint) = done.complaint {
        say(format_args!(
            "error: cannot use the templates of --templates, so the embedded ones are used: {complaint}"
        ));
    }
    let mut text = Text::new();
    print(match page {
        Page::Terminal => text.rendered(&done.text, color),
        Page::Summary | Page::Comment | Page::Html => text.document(&done.text),
    })?;
    Ok(())
}
