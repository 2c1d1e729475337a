//! `run`: selects gates, checks whether they can run, runs them under supervision, and records the results.
//!
//! The first process claims the results and becomes the supervisor of a worker process ([`worker`]), which does the rest.
//! However the worker ends, the results are those of this run, or they do not exist.

mod args;
mod container;
mod input;
mod output;
mod progress;
mod rank;
mod results_path;

pub use args::{Args, Unlisted};
pub use output::tails;
pub use results_path::{default_results, results_path};

use input::{Refused, compares, gather, proven};
use rank::Rank;

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context as _, anyhow};
use indexmap::IndexMap;

use crate::cmd::context::{self, Context, Format, say};
use crate::cmd::github;
use crate::cmd::help::{self, Help};
use crate::cmd::perf_baseline;
use crate::cmd::worker::{self, Role, Work};
use crate::domain::event::Event;
use crate::domain::evidence::{Evidence, Isolation};
use crate::domain::exit::{Exit, NoVerdict};
use crate::domain::ids::Login;
use crate::domain::results::{GateResult, Results, SCHEMA};
use crate::domain::verdict::{Overall, Reason, Verdict};
use crate::executor::jobs::{self, Jobs, Left};
use crate::executor::slurm;
use crate::gate;
use crate::gate::engine::{self, Others, PerfCase, PerfJudge, Ranks, RunPlan};
use crate::gate::filter::{Filter, Learning};
use crate::gate::gpu_probe::GpuProbe;
use crate::gate::journal::{self, JournalError, Seal};
use crate::gate::lock::Lock;
use crate::gate::log::Log;
use crate::gate::output::Output;
use crate::gate::preflight::{self, Machine, Submits};
use crate::gate::process::Supervisor;
use crate::gate::recorder::{self, Recorder};
use crate::gate::rehearsal;
use crate::gate::select::{self};
use crate::gate::verdict::ResultsBuilder;
use crate::github::workflow_run;
use crate::system::clock;
use crate::system::random;
use crate::system::signals::Stop;
use crate::system::supervisor::{Records, WorkerExit};

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::RUNS_GATES,
    variables: help::OF_RUN,
    examples: &[
        "run --tier a",
        "run --bundle full --contract issue.md --dry-run",
        "run --gate cpu:import",
    ],
};

/// Runs `run`.
pub fn run(context: &Context, args: &Args, unlisted: &Unlisted) -> anyhow::Result<Exit> {
    let path = results_path(context, args.results.as_deref())?;
    // A worker shares the lock that its supervisor holds.
    let claims = !args.dry_run && context.supervisor_pid.is_none();
    let lock = match claims.then(|| recorder::claim(&path, args.resume)).transpose() {
        // On a full disk the run continues, and its report says that nothing can be recorded.
        Err(error) if error.is_full() => None,
        claimed => claimed?,
    };
    let (lock, earlier) = lock.unzip();
    if let Some(earlier) = earlier {
        end_jobs(&earlier);
        if !args.resume {
            jobs::remove_folders(&path);
        }
    }
    // A contract that is typed at a terminal can only be read by a process in the foreground of that terminal.
    let typed = args.contract.contract.as_deref() == Some(Path::new("-")) && std::io::stdin().is_terminal();
    let before = recorder::mark(&path);
    let mut seals = Records::new().context("cannot supervise processes")?;
    let shared = lock.as_ref().map(Lock::as_fd);
    let worked = match worker::role(context, !args.dry_run && !typed, shared, Some(&mut seals))? {
        Role::Worker(worker) => {
            return work(context, args, unlisted, &path, worker).map_err(|refused| {
                if !args.dry_run && recorder::mark(&path) == before {
                    refuse(context, &path, refused.reason, unlisted)
                        .unwrap_or_else(|error| say(format_args!("error: {error:#}")));
                }
                refused.error
            });
        }
        Role::Orphaned => return Ok(Exit::Terminated),
        Role::Supervisor(worked) => worked,
    };
    let (how, reason) = match worked {
        WorkerExit::Exited(code) => return Ok(worker::exit(code)),
        WorkerExit::Panicked => ("stopped at a defect of this program".to_owned(), Reason::Internal),
        WorkerExit::Killed(signal) => (format!("was killed (signal {signal})"), Reason::CancelledRun),
        WorkerExit::Stopped => (
            "was stopped by another process".to_owned(),
            Reason::SupervisorStopped,
        ),
    };
    let has_begun = recorder::mark(&path) != before;
    if has_begun {
        // A refusal replaces the journal, and with it the names of the jobs.
        end_jobs(&journal::read(&journal::journal_path(&path)).unwrap_or_default());
    }
    let left = match (has_begun, worked) {
        (false, _) => refuse(context, &path, reason, unlisted).map(|()| "nothing was recorded".to_owned()),
        (true, WorkerExit::Stopped) => {
            refuse(context, &path, reason, unlisted).map(|()| "what was recorded does not count".to_owned())
        }
        (true, _) => recover(context, &path, seals.last().map(Seal::of_record), unlisted),
    };
    let left = left.unwrap_or_else(|error| format!("cannot complete the record: {error:#}"));
    let error = NoVerdict(format!("the run {how}; no process of it is left, and {left}"));
    if worked == WorkerExit::Panicked {
        say(format_args!("error: {error}"));
        return Ok(Exit::ParseError);
    }
    Err(error.into())
}

/// Cancels the jobs of a run that was killed or stopped.
fn end_jobs(events: &[Event]) {
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    for Left { name, command } in jobs::cancel_unfinished(events, &environment) {
        say(format_args!(
            "warning: the job {name} of a run that was interrupted may still be there\nhelp: {command}"
        ));
    }
}

/// Completes the results of an interrupted run from its journal.
///
/// # Errors
/// The record cannot be written. A journal that another process changed becomes results with the reason `tampered`.
fn recover(context: &Context, path: &Path, seal: Option<Seal>, step: &Unlisted) -> anyhow::Result<String> {
    let results = match recorder::recover(path, seal) {
        Err(error @ JournalError::Changed(_)) => {
            refuse(context, path, Reason::Tampered, step)?;
            return Ok(format!("nothing of it counts: {error}"));
        }
        recovered => recovered?,
    };
    output::outputs(context, path, &results, step, &github::links(context))?;
    Ok(format!(
        "{} contains the results that were recorded before",
        path.display()
    ))
}

/// Runs the selected gates. With `--dry-run`, prints what would run.
fn work(
    context: &Context,
    args: &Args,
    unlisted: &Unlisted,
    path: &Path,
    worker: Work,
) -> Result<Exit, Refused> {
    let Work { mut signals, records } = worker;
    let refused = Refused::because(Reason::Refused);
    if unlisted.panic_in_gate && workflow_run::in_actions(context::variable) {
        let error =
            anyhow!("cannot use --panic-in-gate: it tests this program itself, and this is a workflow");
        return Err(refused(error));
    }
    let format = context.format(HELP.formats).map_err(refused)?;
    let rank = unlisted.rank_of.as_deref().map(Rank::open).transpose();
    let rank = rank.map_err(Refused::because(Reason::Refused))?;
    let mut input = match &rank {
        Some(rank) => rank.input(&context.subject)?,
        None => gather(context, args)?,
    };
    let mut environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let containers = container::prepare(context, args, &mut input, &environment, &mut signals)?;
    let proven = if args.rehearse {
        input.evidence.rehearsal = true;
        rehearsal::prepare(&mut input.registry, &input.selection.gate_ids)
    } else if args.resume {
        proven(path, &input, containers.as_ref())?
    } else {
        IndexMap::new()
    };
    let target = GpuProbe::default();
    let cluster = jobs::cluster(&input.registry, &input.selection.gate_ids, &environment);
    if let Some(Err(error)) = &cluster {
        say(format_args!(
            "warning: cannot submit jobs of Kubernetes: {error}\nhelp: set KUBECONFIG to a kubeconfig with a token or a client certificate"
        ));
    }
    let machine = Machine {
        target: &target,
        variable: &|name| std::env::var_os(name),
        subject: &context.subject,
        results: path,
        submits: Some(Submits {
            clients: &slurm::CLIENTS,
            has_cluster: matches!(cluster, Some(Ok(_))),
        }),
    };
    let runs = |id: &str| !proven.contains_key(id);
    let mut refused = preflight::check(
        &input.registry,
        &input.selection.gate_ids,
        |id, _| runs(id),
        &machine,
    );
    if args.container {
        refused.extend(gate::container::refused(
            &input.registry,
            &input.selection.gate_ids,
        ));
    }
    if let Some(lacks) = target.refusal_message() {
        say(lacks);
    }
    if args.dry_run {
        return Ok(output::dry_run(context, format, &input, &proven, &refused)?);
    }
    let mut judge: Box<dyn PerfJudge> =
        if refused.is_empty() && !args.rehearse && compares(&input.registry, &input.selection.gate_ids) {
            Box::new(perf_baseline::evaluate(context, &input.perf)?)
        } else {
            Box::new(NoJudge)
        };
    let evidence = Evidence {
        target: target.found(),
        driver: target.driver().and_then(|driver| driver.version.clone()),
        ..input.evidence
    };
    if let Some(rank) = rank.as_ref().filter(|_| refused.is_empty()) {
        let met = rank.meet(&evidence, &mut input.identity, &mut signals);
        environment.extend(met.map_err(Refused::because(Reason::CancelledRun))?);
    }
    let mut plan = RunPlan {
        uncovered: input
            .contract
            .as_ref()
            .map(|c| select::uncovered(&input.registry, c, &input.selection.gate_ids))
            .unwrap_or_default(),
        registry: &input.registry,
        selection: &input.selection,
        evidence,
        subject: &context.subject,
        driver: target.driver(),
        ranks: rank.as_ref().map(|rank| rank as &dyn Ranks),
        containers: containers.as_ref(),
        environment: &environment,
        refused,
        proven,
        external: input.external,
        supplied_by: args
            .supplied_by
            .clone()
            .or_else(|| std::env::var("GITHUB_ACTOR").ok())
            .filter(|login| Login::is_valid(login)),
        perf: input.perf,
        keep_going: args.keep_going,
        groups: workflow_run::in_actions(context::variable),
    };
    let links = input.links;
    let stream = match format {
        Format::Json => std::io::stderr().as_fd().try_clone_to_owned(),
        // The runner reads commands from standard output, so a workflow keeps the stream.
        _ if context.verbosity < -1 && !workflow_run::in_actions(context::variable) => {
            std::fs::File::create("/dev/null").map(OwnedFd::from)
        }
        _ => std::io::stdout().as_fd().try_clone_to_owned(),
    };
    let stream = stream.context("cannot start the output")?;
    let learning = Learning::new(input.identity);
    let redactor = Box::new(learning.clone()) as Box<dyn Filter>;
    let (filter, log_filter) = match input.redacts_output {
        true => (Some(redactor), None),
        false => (None, Some(redactor)),
    };
    let mut output = Output::to(stream, filter).context("cannot start the output")?;
    output.keep(Log::new(log_filter));
    let talk = Rc::new(RefCell::new(progress::Progress::new(
        context,
        args.heartbeat,
        unlisted.panic_in_gate,
    )));
    let mut supervisor =
        Supervisor::new(signals, output, Box::new(Rc::clone(&talk))).context("cannot supervise processes")?;
    plan.evidence.isolation = Some(match plan.containers {
        Some(_) => Isolation::Container,
        None => supervisor.isolation(),
    });
    let initial_events = engine::initial_events(&plan);
    let mut record = match Recorder::begin(path, &initial_events, Box::new(talk)) {
        Err(error) if error.is_full() => {
            // Nothing can be recorded, so no gate runs. The report is still printed.
            let results = unrecorded(&initial_events)?;
            drop(supervisor);
            let fault = Some(Reason::DiskFull);
            output::present(context, format, path, &results, fault, unlisted, &links)?;
            return Ok(exit(&results, None, Some(Reason::DiskFull)));
        }
        begun => begun.map_err(anyhow::Error::from)?,
    };
    record.send_seals(records);
    let mut jobs = Jobs {
        results: path,
        policy: &context.repo,
        templates: jobs::templates(&input.registry, &context.repo),
        cluster,
        redactor: learning,
        nonce: random::token().ok(),
    };
    let others = Others {
        perf: judge.as_mut(),
        jobs: &mut jobs,
    };
    let stop = engine::run(&plan, &mut supervisor, &mut record, others);
    drop(supervisor);
    let results = record
        .results()
        .ok_or_else(|| anyhow!("cannot read the results: the journal of the run has none"))?;
    match &rank {
        Some(rank) => rank.report(&results)?,
        None => output::present(context, format, path, &results, record.fault(), unlisted, &links)?,
    }
    Ok(exit(&results, stop, record.fault()))
}

/// Returns the results of a run that could not start because the disk is full.
fn unrecorded(initial_events: &[Event]) -> anyhow::Result<Results> {
    let mut fold = ResultsBuilder::default();
    for event in initial_events {
        fold.push(event);
    }
    fold.push(&Event::RunRefused {
        reason: Reason::DiskFull,
    });
    fold.results()
        .ok_or_else(|| anyhow!("cannot read the results: the journal of the run has none"))
}

fn exit(results: &Results, stop: Option<Stop>, fault: Option<Reason>) -> Exit {
    match (stop, results.overall) {
        (Some(Stop::Interrupt), _) => Exit::Interrupted,
        (Some(Stop::Terminate), _) => Exit::Terminated,
        // A pass that could not be recorded does not count.
        (None, Overall::Pass) if fault.is_some() => Exit::NoVerdict,
        (None, Overall::Pass) => Exit::Passed,
        (None, Overall::Fail) => Exit::Failed,
        (None, Overall::Inconclusive | Overall::Invalid | Overall::Cancelled) => Exit::NoVerdict,
    }
}

/// Writes results that contain only the reason why the run was refused.
fn refuse(context: &Context, path: &Path, reason: Reason, step: &Unlisted) -> anyhow::Result<()> {
    let started = Event::RunStarted {
        schema: SCHEMA,
        at: clock::now(),
        bundle: None,
        gate_ids: Vec::new(),
        uncovered: Vec::new(),
        evidence: Box::new(Evidence {
            tool: Some(env!("CARGO_PKG_VERSION").to_owned()),
            ..Evidence::default()
        }),
    };
    let mut record = Recorder::begin(path, &[started, Event::RunRefused { reason }], Box::new(()))?;
    record.push(&Event::RunEnded {
        at: clock::now(),
        duration_s: 0.0,
    });
    if let Some(results) = record.results() {
        output::outputs(context, path, &results, step, &github::links(context))?;
    }
    Ok(())
}

/// The [`PerfJudge`] of a run without a perf gate. The engine never calls it.
struct NoJudge;

impl PerfJudge for NoJudge {
    fn evaluate(&mut self, _case: &PerfCase<'_>, _supervisor: &mut Supervisor) -> GateResult {
        GateResult::new(Verdict::NotRun, Some(Reason::Prerequisite))
    }
}
