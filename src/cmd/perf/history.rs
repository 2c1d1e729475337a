//! `perf history`: appends results, lists measurements, and checks the cumulative budget.

use std::path::PathBuf;

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;

use crate::cmd::context::{Context, Format, print, print_json_line};
use crate::cmd::input_files;
use crate::domain::exit::{Exit, NoVerdict};
use crate::git::Git;
use crate::perf::history;
use crate::terminal::Text;

/// Arguments of `perf history`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Append the passing comparisons of recorded results to the ref of the policy checkout, or of a remote.
    Record {
        /// Results of a run.
        #[arg(required = true, value_name = "RESULTS")]
        results: Vec<PathBuf>,
        /// Remote whose history is appended to as well.
        #[arg(long, value_name = "REMOTE")]
        push: Option<String>,
    },
    /// List all entries, oldest first.
    Show,
    /// Compare the newest commits with the epoch of the settings.
    Check,
}

/// Runs `perf history`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Human, Format::Json])?;
    let git = Git::at(&context.repo);
    match &args.what {
        What::Record { results, push } => {
            if push.as_deref().is_some_and(|r| r.starts_with('-')) {
                bail!("cannot push: the value of --push is not the name of a remote");
            }
            let mut entries = Vec::new();
            for path in results {
                entries.extend(history::of_results(&input_files::recorded(path)?));
            }
            let new = history::append(&git, &entries, push.as_deref())?;
            context.note(format_args!("{new} new entries in {}", history::REF));
            if format == Format::Json {
                print_json_line(&json!({"schema": 1, "new": new}))?;
            }
            Ok(Exit::Passed)
        }
        What::Show => {
            let entries = history::read(&git)?;
            if format == Format::Json {
                print_json_line(&json!({"schema": 1, "entries": entries}))?;
                return Ok(Exit::Passed);
            }
            let mut text = Text::new();
            for e in entries {
                text.line(format_args!(
                    "{}  {:.12}  {}  {}  {}  {:.1}",
                    e.at, e.commit, e.machine, e.gate, e.metric, e.median
                ));
            }
            print(&text)?;
            Ok(Exit::Passed)
        }
        What::Check => check(context, format, &git),
    }
}

fn check(context: &Context, format: Format, git: &Git) -> anyhow::Result<Exit> {
    let perf = context.settings()?.perf;
    if perf.epoch.is_empty() {
        return Err(NoVerdict(
            "no epoch is pinned: set `perf.epoch` in the settings to a commit that was measured".to_owned(),
        )
        .into());
    }
    let entries = history::read(git)?;
    let commits = history::matching(&entries, &perf.epoch).len();
    if commits > 1 {
        bail!(
            "cannot use the epoch `{}`: it is the beginning of {commits} measured commits",
            perf.epoch
        );
    }
    let trends = history::trends(&entries, &perf.epoch, perf.cumulative_budget_pct);
    if format == Format::Json {
        print_json_line(
            &json!({"schema": 1, "epoch": perf.epoch, "budget_pct": perf.cumulative_budget_pct, "trends": trends}),
        )?;
    } else {
        let mut text = Text::new();
        for t in &trends {
            let (delta, says) = match (t.delta_pct, t.within) {
                (Some(delta), Some(true)) => (format!("{delta:+.1} %"), "within"),
                (Some(delta), _) => (format!("{delta:+.1} %"), "over"),
                (None, _) => ("unknown".to_owned(), "the epoch was not measured for"),
            };
            text.line(format_args!(
                "{} {} on {} at {:.12}: {} since {:.12}, {says} the cumulative budget of {} %",
                t.gate, t.metric, t.machine, t.newest, delta, perf.epoch, perf.cumulative_budget_pct
            ));
        }
        print(&text)?;
    }
    Ok(if trends.iter().any(|t| t.within == Some(false)) {
        Exit::Failed
    } else if trends.is_empty() || trends.iter().any(|t| t.within.is_none()) {
        Exit::NoVerdict
    } else {
        Exit::Passed
    })
}
