//! Prints what would run, and the results of a run: for people, for programs, and for later steps of a workflow.

use std::path::Path;

use anyhow::{Context as _, bail};
use indexmap::IndexMap;

use crate::cmd::context::{self, Context, Format, print, print_data, print_json_line, say, say_text};
use crate::cmd::github;
use crate::cmd::run::args::Unlisted;
use crate::cmd::run::input::RunInput;
use crate::cmd::{next_steps, runner_files};
use crate::domain::exit::Exit;
use crate::domain::ids::{BranchName, GateId};
use crate::domain::next_step::{NextStep, Who};
use crate::domain::registry::{GateKind, TIER_A};
use crate::domain::results::{GateResult, Results};
use crate::domain::verdict::{Overall, Reason, Verdict};
use crate::gate::log;
use crate::gate::recorder::text;
use crate::git::Git;
use crate::github::workflow_run;
use crate::report::links::Links;
use crate::report::render::{self, Page, Tail};
use crate::report::view::View;
use crate::terminal::{Text, escape};
use crate::workspace::stored_contract;

/// The most gates whose last output a report shows.
const TAILS: usize = 5;

pub(super) fn dry_run(
    context: &Context,
    format: Format,
    input: &RunInput,
    proven: &IndexMap<GateId, GateResult>,
    refused: &IndexMap<GateId, GateResult>,
) -> anyhow::Result<Exit> {
    let would = |id: &GateId| match (
        proven.get(id),
        refused.get(id),
        input.registry.gates.get(id).map(|g| g.kind),
    ) {
        (Some(earlier), ..) if earlier.status == Verdict::Pass => "proven",
        (Some(_), ..) => "skipped",
        (_, Some(_), _) => "refused",
        // A run that is refused for one gate starts none.
        _ if !refused.is_empty() => "not_run",
        (.., Some(GateKind::External)) if !input.external.contains_key(id) => "pending",
        _ => "run",
    };
    if format == Format::Json {
        let gates: Vec<serde_json::Value> = input
            .selection
            .gate_ids
            .iter()
            .map(|id| {
                let lacks = refused.get(id);
                serde_json::json!({
                    "id": id,
                    "would": would(id),
                    "reason": lacks.and_then(|r| r.reason),
                    "missing_env": lacks.map(|r| r.missing_env.clone()).unwrap_or_default(),
                    "missing_files": lacks.map(|r| r.missing_files.clone()).unwrap_or_default(),
                })
            })
            .collect();
        let all = serde_json::json!({
            "schema": 1, "dry_run": true, "bundle": input.selection.bundle, "gate_ids": input.selection.gate_ids,
            "evidence": input.evidence, "gates": gates,
        });
        print_json_line(&all)?;
    } else {
        let mut lines = Text::new();
        for id in &input.selection.gate_ids {
            let why = refused.get(id).map(explain).unwrap_or_default();
            lines.line(format_args!("{:8} {id}{why}", would(id)));
        }
        print(&lines)?;
        context.note("no gate was run");
    }
    Ok(if refused.is_empty() {
        Exit::Passed
    } else {
        Exit::NoVerdict
    })
}

/// Returns the reason of a result, in a few words that follow the name of the gate.
pub(super) fn explain(result: &GateResult) -> String {
    let mut text = result
        .reason
        .map(|r| format!("  {}", r.as_str()))
        .unwrap_or_default();
    for missing in result.missing() {
        text.push_str(&format!("  {missing}"));
    }
    if result.leaks > 0 {
        text.push_str(&format!("  {} processes left behind", result.leaks));
    }
    text
}

pub(super) fn present(
    context: &Context,
    format: Format,
    path: &Path,
    results: &Results,
    fault: Option<Reason>,
    step: &Unlisted,
    links: &Links,
) -> anyhow::Result<()> {
    outputs(context, path, results, step, links)?;
    if let Some(fault) = fault {
        say(format_args!(
            "error: cannot write {} ({})",
            path.display(),
            fault.as_str()
        ));
    }
    if format == Format::Json {
        print_data(&escape::json(&text(results)))?;
        return Ok(());
    }
    if context.verbosity < -1 {
        print(&verdict(results))?;
        return Ok(());
    }
    let color = context.color(&std::io::stderr());
    let tails = tails(path, results);
    let options = render::Options {
        color,
        tails: &tails,
        ..render::Options::default()
    };
    let page = render::page(
        &View::new(
            results,
            &context.settings().unwrap_or_default().report.metric,
            links,
        ),
        Page::Terminal,
        &options,
    )?;
    say_text(Text::new().rendered(&page.text, color).line(""));
    context.note(format_args!("results: {}", path.display()));
    if context.verbosity >= 0 && !workflow_run::in_actions(context::variable) {
        say_text(&next_steps(&next(context, path, results)));
    }
    Ok(())
}

/// Names the step after a run of Tier A in a worktree of `start`.
fn next(context: &Context, path: &Path, results: &Results) -> Vec<NextStep> {
    let git = Git::at(&context.subject);
    let step = |what: &str, command: &[&str]| vec![NextStep::run(Who::Author, what, command.iter().copied())];
    if results.bundle.as_deref() != Some(TIER_A) || stored_contract::find(&git).is_none() {
        return Vec::new();
    }
    match results.overall {
        Overall::Pass if results.evidence.dirty => {
            let what = "commit the changes, then run Tier A again: these results are about no commit";
            return vec![NextStep::manual(Who::Author, what)];
        }
        Overall::Pass => {}
        Overall::Fail => {
            let path = path.display().to_string();
            return step("read what failed", &["nmoe-gates", "report", &path]);
        }
        _ => return Vec::new(),
    }
    let pushed = || {
        let branch = git.text(["symbolic-ref", "--quiet", "--short", "HEAD"]).ok()?;
        let remote = context.settings().ok()?.naming.remote;
        let tip = git.commit(&BranchName::remote_ref(&remote, &branch)).ok()?;
        tip.map(|_| branch)
    };
    let Ok(top) = git.top() else {
        return Vec::new();
    };
    // `start` names the same file.
    let file = format!("{}.md", top.display());
    if Path::new(&file).exists()
        && let Some(branch) = pushed()
    {
        let attest = ["nmoe-gates", "attest", "--pr"];
        return vec![github::with_number(
            context,
            &branch,
            "update the attestation",
            &attest,
        )];
    }
    step(
        "write the attestation",
        &["nmoe-gates", "attest", "--write", &file],
    )
}

/// Returns the last output of the gates that ran and did not pass, from the logs next to the results.
pub fn tails(results_path: &Path, results: &Results) -> Vec<Tail> {
    let mut tails = Vec::new();
    for (id, result) in &results.results {
        // A gate that did not run in this run may have a log of an earlier one.
        if result.status == Verdict::Pass || result.duration_s.is_none() {
            continue;
        }
        // The result of a comparison names its numbers; the output of the last measurement explains nothing.
        if result.reason == Some(Reason::NumericDifference) {
            continue;
        }
        let lines = log::tail(results_path, id);
        if !lines.is_empty() && tails.len() < TAILS {
            tails.push(Tail {
                gate: id.clone(),
                lines,
                path: log::path(results_path, id).display().to_string(),
            });
        }
    }
    tails
}

/// Formats the verdict of the run in one line, and each gate that did not pass in another.
fn verdict(results: &Results) -> Text {
    let (passed, others): (Vec<_>, Vec<_>) = results
        .gate_ids
        .iter()
        .filter_map(|id| results.results.get_key_value(id))
        .partition(|(_, result)| result.status == Verdict::Pass);
    let mut text = Text::new();
    text.line(format_args!(
        "{:8} {}: {} of {} gates passed",
        results.overall_word(),
        results.bundle.as_deref().unwrap_or("gates"),
        passed.len(),
        results.gate_ids.len()
    ));
    for (id, result) in others {
        text.line(format_args!(
            "{:8} {id}{}",
            result.status.as_str(),
            explain(result)
        ));
    }
    text
}

/// Writes the result of the run to the outputs of the workflow step, and the summary if the step wants one.
pub(super) fn outputs(
    context: &Context,
    path: &Path,
    results: &Results,
    step: &Unlisted,
    links: &Links,
) -> anyhow::Result<()> {
    let path = path.display().to_string();
    if path.contains(['\n', '\r']) {
        bail!("cannot write the outputs of the step: the path of the results contains a line break");
    }
    let overall = results.overall_word();
    let mut lines = format!("overall={overall}\nresults={path}\n");
    if let Some(file) = &step.step_summary {
        let options = render::Options {
            templates: step.templates.as_deref(),
            ..render::Options::default()
        };
        let page = render::page(
            &View::new(
                results,
                &context.settings().unwrap_or_default().report.metric,
                links,
            ),
            Page::Summary,
            &options,
        )?;
        let mut text = Text::new();
        text.document(&page.text);
        std::fs::write(file, text.as_str()).with_context(|| format!("cannot write {}", file.display()))?;
        runner_files::append(runner_files::SUMMARY, text.as_str())?;
        lines += &format!("summary={}\n", file.display());
    }
    runner_files::append(runner_files::OUTPUT, &lines)
}
