//! `perf history`: records comparisons by commit, lists them, finds the commits that changed a metric, and draws them.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;

use crate::cmd::context::{Context, Format, print, print_json_line};
use crate::cmd::help::{self, Help};
use crate::cmd::input_files;
use crate::domain::exit::{Exit, NoVerdict};
use crate::domain::ids::{CommitId, short};
use crate::domain::perf_summary;
use crate::domain::registry::Registry;
use crate::git::Git;
use crate::perf::comparisons::{self, Branch, Comparison};
use crate::perf::history;
use crate::perf::trend::{self, Series, Step, Trend};
use crate::report::history::{self as picture, HistoryPoint, HistorySeries, HistoryStep};
use crate::terminal::Text;
use crate::terminal::escape::visible;

/// The examples, formats, exit codes and variables of `record`.
pub const RECORD_HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::ASKS,
    variables: help::OF_TERMINAL,
    examples: &[
        "perf history record results.json",
        "perf history record results.json --push origin",
    ],
};

/// The examples, formats, exit codes and variables of `show`.
pub const SHOW_HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::PRINTS,
    variables: help::OF_TERMINAL,
    examples: &["perf history show"],
};

/// The examples, formats, exit codes and variables of `check`.
pub const CHECK_HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::VERDICTS,
    variables: help::OF_TERMINAL,
    examples: &["perf history check"],
};

/// The examples, formats, exit codes and variables of `steps`.
pub const STEPS_HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::VERDICTS,
    variables: help::OF_TERMINAL,
    examples: &["perf history steps --branch master"],
};

/// The examples, formats, exit codes and variables of `plot`.
pub const PLOT_HELP: Help = Help {
    formats: &[],
    codes: help::PRINTS,
    variables: help::OF_TERMINAL,
    examples: &["perf history plot --output history.html"],
};

/// Arguments of `perf history`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Command,
    /// Branch whose commits are followed (default: HEAD of the policy checkout)
    #[arg(
        long,
        value_name = "REV",
        default_value = "HEAD",
        hide_default_value = true,
        global = true
    )]
    branch: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Append the comparisons of recorded results to the ref of the policy checkout, or of a remote.
    ///
    /// Each comparison is kept at the commit of the branch that landed what was tested, with any verdict.
    Record {
        /// Results of a run.
        #[arg(required = true, value_name = "RESULTS")]
        results: Vec<PathBuf>,
        /// Commit that landed (default: the commit of the branch with the tested tree, or the merge of the tested head)
        #[arg(long, value_name = "REV")]
        commit: Option<String>,
        /// Remote whose history is appended to as well.
        #[arg(long, value_name = "REMOTE")]
        push: Option<String>,
    },
    /// List all comparisons in the order of the branch.
    Show,
    /// Compare the newest commits with the epoch of the settings.
    Check,
    /// Name the commits that changed a metric. Exits with 1 if one of them made it worse.
    Steps,
    /// Draw the history as one HTML page.
    Plot {
        /// File to write (default: standard output)
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Runs `perf history`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(help::TEXT_OR_JSON)?;
    let git = Git::at(&context.repo);
    if args.branch.starts_with('-') {
        bail!(
            "cannot follow the branch `{}`: it is not a git revision",
            visible(&args.branch)
        );
    }
    let branch = Branch::read(&git, &args.branch)
        .with_context(|| format!("cannot read the branch `{}`", visible(&args.branch)))?;
    match &args.what {
        Command::Record {
            results,
            commit,
            push,
        } => {
            if push.as_deref().is_some_and(|r| r.starts_with('-')) {
                bail!("cannot push: the value of --push is not the name of a remote");
            }
            if commit.is_some() && results.len() > 1 {
                bail!("cannot record several results at one commit\nhelp: give --commit with one file");
            }
            let named = commit.as_deref().map(|rev| named(&git, rev)).transpose()?;
            let found = landed(context, results, named.as_ref(), &branch)?;
            let new = history::append(&git, &found, push.as_deref())?;
            context.note(format_args!("{new} new entries in {}", history::REF));
            if format == Format::Json {
                print_json_line(&json!({"schema": 1, "new": new}))?;
            }
            Ok(Exit::Passed)
        }
        Command::Show => {
            let known = history::read(&git)?;
            if known.is_empty() {
                context.note(format_args!("no comparison is recorded"));
            }
            show(&known, &branch, format)
        }
        Command::Check => check(
            context,
            format,
            &measured(&git, "check the history", format)?,
            &branch,
        ),
        Command::Steps => steps(&measured(&git, "find steps", format)?, &branch, format),
        Command::Plot { output } => {
            let known = history::read(&git)?;
            if known.is_empty() {
                bail!(
                    "cannot draw the history: no comparison is recorded\nhelp: nmoe-gates perf history record FILE"
                );
            }
            let epoch = context.settings()?.perf;
            let series = trend::series(&known, &branch);
            let at = epoch_place(&branch, &epoch.epoch).ok();
            let trends = |s: &Series<'_>| {
                at.and_then(|at| s.trend(&branch, at, epoch.cumulative_budget_pct))
                    .map(|t| format!("{}.", sentence(&t, &epoch.epoch, epoch.cumulative_budget_pct)))
            };
            let drawn: Vec<HistorySeries> = series.iter().map(|s| drawn(s, &branch, trends(s))).collect();
            let page = picture::page(&drawn)?;
            match output {
                Some(path) => {
                    std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
                    context.note(format_args!("written to {}", path.display()));
                }
                None => {
                    let mut text = Text::new();
                    text.document(&page);
                    print(&text)?;
                }
            }
            Ok(Exit::Passed)
        }
    }
}

/// Returns the recorded comparisons. A person gets an error if there are none, because empty output looks like a good answer.
fn measured(git: &Git, what: &str, format: Format) -> anyhow::Result<Vec<Comparison>> {
    let known = history::read(git)?;
    if known.is_empty() && format != Format::Json {
        return Err(NoVerdict(format!(
            "cannot {what}: no comparison is recorded\nhelp: nmoe-gates perf history record FILE"
        ))
        .into());
    }
    Ok(known)
}

/// Returns the commit that the command line names.
fn named(git: &Git, revision: &str) -> anyhow::Result<CommitId> {
    let found = if revision.starts_with('-') {
        None
    } else {
        git.commit(revision)?
    };
    found.with_context(|| format!("--commit `{}` is not a commit", visible(revision)))
}

/// Returns the comparisons of these results at the commits that landed them. Without any, this is an error if something was
/// compared.
fn landed(
    context: &Context,
    paths: &[PathBuf],
    named: Option<&CommitId>,
    branch: &Branch,
) -> anyhow::Result<Vec<Comparison>> {
    let registry = if context.registry_path().exists() {
        context.registry()?.value
    } else {
        Registry::default()
    };
    let mut found = Vec::new();
    let mut lost = 0;
    for path in paths {
        let results = input_files::recorded(path, None, None)?;
        if results.results.values().all(|gate| gate.perf.is_none()) {
            continue;
        }
        match named.or_else(|| branch.landed(&results)) {
            Some(commit) => found.extend(comparisons::of_results(&results, commit, &registry)),
            None => {
                lost += 1;
                context.note(format_args!(
                    "{}: no commit of the branch has what was tested; name it with --commit",
                    path.display()
                ));
            }
        }
    }
    if found.is_empty() && lost > 0 {
        return Err(NoVerdict("nothing was recorded: no tested commit has landed".to_owned()).into());
    }
    Ok(found)
}

fn show(known: &[Comparison], branch: &Branch, format: Format) -> anyhow::Result<Exit> {
    let mut sorted: Vec<&Comparison> = known.iter().collect();
    sorted.sort_by_key(|c| (branch.place(&c.commit).unwrap_or(usize::MAX), &c.at));
    if format == Format::Json {
        print_json_line(&json!({"schema": 1, "entries": sorted}))?;
        return Ok(Exit::Passed);
    }
    let mut text = Text::new();
    for c in sorted {
        let place = if branch.place(&c.commit).is_some() {
            ""
        } else {
            "  (not on the branch)"
        };
        text.line(format_args!(
            "{:.12}  {}  {}  {}  {:.1}  {}  {}{place}",
            c.commit,
            c.machine,
            c.gate,
            c.metric,
            c.result,
            perf_summary::change(c.log_ratio.exp_m1() * 100.0),
            c.status.as_str(),
        ));
    }
    print(&text)?;
    Ok(Exit::Passed)
}

/// Returns the place of the epoch on the branch.
fn epoch_place(branch: &Branch, epoch: &str) -> anyhow::Result<usize> {
    match branch.matching(epoch).as_slice() {
        [one] => Ok(branch.place(one).unwrap_or_default()),
        [] => bail!(
            "cannot use the epoch `{}`: it is not a commit of the branch",
            visible(epoch)
        ),
        several => bail!(
            "cannot use the epoch `{}`: it is the beginning of {} commits",
            visible(epoch),
            several.len()
        ),
    }
}

fn check(context: &Context, format: Format, known: &[Comparison], branch: &Branch) -> anyhow::Result<Exit> {
    let perf = context.settings()?.perf;
    if perf.epoch.is_empty() {
        return Err(NoVerdict(
            "no epoch is pinned: set `perf.epoch` in the settings to a commit that was measured".to_owned(),
        )
        .into());
    }
    let epoch = epoch_place(branch, &perf.epoch)?;
    let trends: Vec<Trend> = trend::series(known, branch)
        .iter()
        .filter_map(|series| series.trend(branch, epoch, perf.cumulative_budget_pct))
        .collect();
    if format == Format::Json {
        print_json_line(
            &json!({"schema": 1, "epoch": perf.epoch, "budget_pct": perf.cumulative_budget_pct, "trends": trends}),
        )?;
    } else {
        let mut text = Text::new();
        for t in &trends {
            text.line(format_args!(
                "{} {} on {} at {:.12}: {}",
                t.gate,
                t.metric,
                t.machine,
                t.newest,
                sentence(t, &perf.epoch, perf.cumulative_budget_pct)
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

/// Formats the change since the epoch.
fn sentence(trend: &Trend, epoch: &str, budget_pct: f64) -> String {
    let Some(delta) = trend.delta_pct else {
        return format!("the epoch {epoch:.12} was not measured");
    };
    let error = trend
        .error_pct
        .map_or(String::new(), |error| format!(" ± {error:.1}"));
    let says = match trend.within {
        Some(true) => "within",
        _ => "over",
    };
    format!(
        "{}{error} since {epoch:.12}, by {}: {says} the cumulative budget of {} %",
        perf_summary::change(delta),
        trend.by,
        format!("{budget_pct}").replace('-', "−")
    )
}

/// Subcommand a step is, in words.
fn kind(step: &Step) -> String {
    match &step.recovered_at {
        Some(commit) => format!("spike, made up for at {}", short(commit)),
        None if step.loss => "loss".to_owned(),
        None => "gain".to_owned(),
    }
}

fn steps(known: &[Comparison], branch: &Branch, format: Format) -> anyhow::Result<Exit> {
    let series = trend::series(known, branch);
    let found: Vec<(&Series<'_>, Vec<Step>)> = series.iter().map(|s| (s, s.steps())).collect();
    if format == Format::Json {
        let all: Vec<_> = found
            .iter()
            .map(|(s, steps)| {
                let places = s.change_points(branch);
                let level_changes: Vec<_> = places.iter().filter_map(|at| branch.commit(*at)).collect();
                json!({"gate": s.gate, "metric": s.metric, "machine": s.machine, "commits": s.points.len(),
                    "steps": steps, "level_changes": level_changes})
            })
            .collect();
        print_json_line(&json!({"schema": 1, "series": all}))?;
    } else {
        let mut text = Text::new();
        for (s, steps) in &found {
            text.line(format_args!(
                "{} {} on {}: {} of {} commits changed it",
                s.gate,
                s.metric,
                s.machine,
                steps.len(),
                s.points.len()
            ));
            for step in steps {
                text.line(format_args!(
                    "  {:.12}  {}  {}  {}",
                    step.commit,
                    perf_summary::change(step.delta_pct),
                    kind(step),
                    visible(branch.subject(&step.commit).unwrap_or_default())
                ));
            }
        }
        print(&text)?;
    }
    let worse = |step: &Step| step.loss && step.recovered_at.is_none();
    Ok(if series.is_empty() {
        Exit::NoVerdict
    } else if found.iter().any(|(_, steps)| steps.iter().any(worse)) {
        Exit::Failed
    } else {
        Exit::Passed
    })
}

/// Maps a series to what is drawn.
fn drawn(series: &Series<'_>, branch: &Branch, trend: Option<String>) -> HistorySeries {
    let points = series.points.iter().map(|point| HistoryPoint {
        place: point.place,
        commit: point.comparison.commit.clone(),
        level: point.comparison.result,
        delta_pct: point.comparison.log_ratio.exp_m1() * 100.0,
        interval_pct: point.comparison.interval_pct,
        status: point.comparison.status.as_str(),
    });
    let status = |commit: &str| {
        let point = series.points.iter().find(|p| p.comparison.commit == commit);
        point.map_or("", |p| p.comparison.status.as_str())
    };
    let steps = series.steps().into_iter().map(|step| HistoryStep {
        place: branch.place(&step.commit).unwrap_or_default(),
        change: perf_summary::change(step.delta_pct),
        what: kind(&step),
        status: status(&step.commit),
        subject: branch.subject(&step.commit).unwrap_or_default().to_owned(),
        commit: step.commit,
    });
    HistorySeries {
        gate: series.gate.to_owned(),
        metric: series.metric.to_owned(),
        machine: series.machine.to_owned(),
        points: points.collect(),
        steps: steps.collect(),
        change_points: series.change_points(branch),
        trend,
    }
}
