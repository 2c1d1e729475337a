//! Runs the gates of a plan one after the other, and records each event before the next one starts.
//!
//! Must not depend on presentation or on the comparison of throughput: the caller passes a [`PerfJudge`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use indexmap::IndexMap;

use crate::domain::event::Event;
use crate::domain::evidence::Evidence;
use crate::domain::executor::Executor;
use crate::domain::gate_environment;
use crate::domain::ids::{GateId, Revision};
use crate::domain::numeric::Numerics;
use crate::domain::registry::{Gate, GateKind, Registry};
use crate::domain::results::{GateResult, SCHEMA};
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::command_file_guard::CommandFileGuard;
use crate::gate::container::Containers;
use crate::gate::container::left_behind::Snapshot;
use crate::gate::external::Recorded;
use crate::gate::gpu_use::GpuUse;
use crate::gate::jit_caches::JitCaches;
use crate::gate::kernel_build::{KernelBuild, KernelLibraries};
use crate::gate::metrics::Meter;
use crate::gate::preload;
use crate::gate::process::{Supervisor, Termination};
use crate::gate::recorder::Recorder;
use crate::gate::running::CommandSpec;
use crate::gate::select::Selection;
use crate::gate::verdict;
use crate::github::workflow_command;
use crate::kernel::driver::Driver;
use crate::system::clock;
use crate::system::random;
use crate::system::signals::Stop;
use crate::terminal::escape::visible;

/// The inputs of a run.
pub struct RunPlan<'a> {
    pub registry: &'a Registry,
    pub selection: &'a Selection,
    /// Gates that the contract requires and the selection does not include.
    pub uncovered: Vec<GateId>,
    /// The commits and digests that the verdicts are bound to.
    pub evidence: Evidence,
    /// The checkout under test.
    pub subject: &'a Path,
    /// The driver, if a gate needs GPUs.
    pub driver: Option<&'a Driver>,
    /// The other ranks, if this run is one rank of a job.
    pub ranks: Option<&'a dyn Ranks>,
    /// Where the gates run; `None` means without a container.
    pub containers: Option<&'a Containers>,
    /// The environment of this process; each gate receives only the allowed variables.
    pub environment: &'a [(OsString, OsString)],
    /// Gates that the preflight refused.
    pub refused: IndexMap<GateId, GateResult>,
    /// Passed results of an earlier run with the same evidence.
    pub proven: IndexMap<GateId, GateResult>,
    /// Recorded results of external gates.
    pub external: IndexMap<GateId, Recorded>,
    /// Who supplied the external results.
    pub supplied_by: Option<String>,
    /// The terms that perf gates are checked against.
    pub perf: PerfTerms,
    /// Continue after a failed gate.
    pub keep_going: bool,
    /// Put the output of each gate into a group of the Actions log.
    pub groups: bool,
}

/// The terms that a perf gate is checked against.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PerfTerms {
    /// The git ref of the baseline; `None` means the base parent of the merge.
    pub baseline_ref: Option<Revision>,
    /// Allowed change in percent; −10 means at most 10 % slower.
    pub budget_pct: Option<f64>,
    /// What the change may do to the numbers that a numeric gate compares; `None` means nothing.
    pub numerics: Option<Numerics>,
}

/// The inputs of one perf or numeric gate.
pub struct PerfCase<'a> {
    pub id: &'a str,
    pub gate: &'a Gate,
    /// The id of the gate whose command is compared.
    pub compare_id: &'a str,
    /// The gate whose command is compared.
    pub compare: &'a Gate,
    /// The result of the compared gate in this run.
    pub compared: &'a GateResult,
    pub terms: &'a PerfTerms,
    pub registry: &'a Registry,
    /// The commits and digests that the verdict is bound to.
    pub evidence: &'a Evidence,
    /// The checkout under test.
    pub subject: &'a Path,
    /// The driver, if the compared gate needs GPUs.
    pub driver: Option<&'a Driver>,
    /// The environment of the compared command.
    pub environment: &'a BTreeMap<OsString, OsString>,
}

/// Evaluates perf and numeric gates. The module that compares throughput implements this trait, because `gate` must not depend on it.
pub trait PerfJudge {
    /// Runs the measurements under the supervisor and returns the verdict.
    fn evaluate(&mut self, case: &PerfCase<'_>, supervisor: &mut Supervisor) -> GateResult;
}

/// The inputs of one gate that runs in a job.
pub struct JobCase<'a> {
    pub id: &'a GateId,
    pub gate: &'a Gate,
    /// Where the gate is submitted.
    pub executor: &'a Executor,
    pub registry: &'a Registry,
    /// The commits and digests that every node must report.
    pub evidence: &'a Evidence,
    /// The checkout under test.
    pub subject: &'a Path,
    /// The environment of the gate.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// The environment of this process.
    pub ours: &'a [(OsString, OsString)],
}

/// The other ranks of a job. They share the checkout with this one, so rank 0 builds for all.
pub trait Ranks {
    /// Whether this rank builds the kernel libraries.
    fn builds(&self) -> bool;
    /// Returns the nonce of the build, which is the same for all ranks.
    fn nonce(&self) -> Option<String>;
    /// Tells the other ranks that the build has ended.
    fn built(&self);
    /// Waits for the build. Returns false if `stop` asked to stop.
    fn wait_for_build(&self, stop: &mut dyn FnMut() -> bool) -> bool;
}

/// The outcome of a job.
pub struct JobOutcome {
    pub result: GateResult,
    /// What all ranks proved; `None` if a rank is missing.
    pub evidence: Option<Evidence>,
}

/// Submits gates. The module that knows schedulers implements this trait, because `gate` must not depend on it.
pub trait JobRunner {
    /// Runs the job to its end and returns the verdict.
    fn run(&mut self, case: &JobCase<'_>, supervisor: &mut Supervisor, recorder: &mut Recorder)
    -> JobOutcome;
}

/// What evaluates the gates that are not one command on this machine.
pub struct Others<'a> {
    pub perf: &'a mut dyn PerfJudge,
    pub jobs: &'a mut dyn JobRunner,
}

/// Returns the first events of a run: its start, and the results that an earlier run already proved.
pub fn initial_events(plan: &RunPlan<'_>) -> Vec<Event> {
    let started = Event::RunStarted {
        schema: SCHEMA,
        at: clock::now(),
        bundle: plan.selection.bundle.clone(),
        gate_ids: plan.selection.gate_ids.clone(),
        uncovered: plan.uncovered.clone(),
        evidence: Box::new(plan.evidence.clone()),
    };
    let proven = plan.proven.iter().map(|(gate, result)| Event::GateEnded {
        gate: gate.clone(),
        result: Box::new(result.clone()),
    });
    std::iter::once(started).chain(proven).collect()
}

/// Runs a plan to its end. Returns the stop request, if there was one.
pub fn run(
    plan: &RunPlan<'_>,
    supervisor: &mut Supervisor,
    recorder: &mut Recorder,
    mut others: Others<'_>,
) -> Option<Stop> {
    let began = Instant::now();
    // A stop before the first gate changes no result.
    supervisor.signals.was_stopped();
    let mut run = Run {
        plan,
        start: SystemTime::now(),
        supervisor,
        recorder,
        done: plan.proven.clone(),
        libraries: None,
        evidence: plan.evidence.clone(),
        caches: None,
        failed: false,
    };
    if plan.refused.is_empty() {
        run.gates(&mut others);
    } else {
        run.refuse();
    }
    run.recorder.push(&Event::RunEnded {
        at: clock::now(),
        duration_s: verdict::seconds(began.elapsed()),
    });
    // All events are recorded, so wait for a slow log reader until a stop is requested.
    while run.supervisor.stop().is_none() && !run.supervisor.output.flush(Some(Duration::from_millis(200))) {}
    run.supervisor.stop()
}

struct Run<'a, 'o> {
    plan: &'a RunPlan<'o>,
    start: SystemTime,
    supervisor: &'a mut Supervisor,
    recorder: &'a mut Recorder,
    done: IndexMap<GateId, GateResult>,
    /// The kernel libraries; set when the first gate needs them.
    libraries: Option<KernelLibraries>,
    evidence: Evidence,
    /// The private caches of the current gate, if it needs a GPU or kernels.
    caches: Option<JitCaches>,
    failed: bool,
}

impl Run<'_, '_> {
    fn refuse(&mut self) {
        let plan = self.plan;
        for id in plan
            .selection
            .gate_ids
            .iter()
            .filter(|id| !plan.proven.contains_key(*id))
        {
            let result = plan
                .refused
                .get(id)
                .cloned()
                .unwrap_or_else(|| GateResult::new(Verdict::NotRun, Some(Reason::Refused)));
            self.end(id, result);
        }
    }

    fn gates(&mut self, others: &mut Others<'_>) {
        let plan = self.plan;
        // A comparison needs the result of the gate that it compares, and a numeric gate the measurements of a perf gate.
        let order = |id: &&GateId| match plan.registry.gates.get(*id).map(|gate| gate.kind) {
            Some(GateKind::Numeric) => 2,
            Some(GateKind::Perf) => 1,
            _ => 0,
        };
        let mut ids: Vec<&GateId> = plan.selection.gate_ids.iter().collect();
        ids.sort_by_key(order);
        for id in ids {
            if self.done.contains_key(id) {
                continue;
            }
            let result = match plan.registry.gates.get(id) {
                None => GateResult::new(Verdict::Invalid, Some(Reason::BadRegistry)),
                Some(gate) => self.gate(id, gate, others),
            };
            self.end(id, result);
        }
    }

    /// Returns the verdict of one gate, and runs the gate if nothing prevents it.
    fn gate(&mut self, id: &GateId, gate: &Gate, others: &mut Others<'_>) -> GateResult {
        if self.supervisor.stop().is_some() {
            return GateResult::new(Verdict::Cancelled, Some(Reason::CancelledRun));
        }
        if let Some(fault) = self.recorder.fault() {
            return GateResult::new(Verdict::Invalid, Some(fault));
        }
        if gate.kind == GateKind::External {
            return match self.plan.external.get(id) {
                Some(recorded) => recorded.evaluate(&self.plan.evidence, self.plan.supplied_by.as_deref()),
                None => GateResult::new(Verdict::Pending, Some(Reason::External)),
            };
        }
        if self.failed && !self.plan.keep_going {
            return GateResult::new(Verdict::NotRun, Some(Reason::StoppedAfterFailure));
        }
        self.recorder.push(&Event::GateStarted {
            gate: id.clone(),
            at: clock::now(),
        });
        if let Some(fault) = self.recorder.fault() {
            // A gate whose start cannot be recorded must not run.
            return GateResult::new(Verdict::Invalid, Some(fault));
        }
        let executor = self.plan.registry.submits(gate).ok().flatten();
        if let Some(executor) = executor {
            return self.submit(id, gate, executor, others.jobs);
        }
        if !self.preloads_are_unchanged(gate) {
            return GateResult::new(Verdict::Invalid, Some(Reason::Prerequisite));
        }
        if gate.needs_target() {
            match JitCaches::new() {
                Ok(caches) => self.caches = Some(caches),
                Err(_) => return GateResult::new(Verdict::Invalid, Some(Reason::Prerequisite)),
            }
        }
        let guard = CommandFileGuard::new(|name| self.variable(name));
        let stop_token = self.open_group(id);
        let libraries = needs_kernel_build(gate).then(|| self.libraries(gate));
        let mut result = match libraries
            .as_ref()
            .and_then(|libraries| libraries.early_result(gate.kind))
        {
            Some(decided) => decided,
            None if self.recorder.fault().is_some() => {
                GateResult::new(Verdict::Invalid, self.recorder.fault())
            }
            None if libraries
                .as_ref()
                .is_some_and(|libraries| self.is_stale(libraries)) =>
            {
                GateResult::new(Verdict::Invalid, Some(Reason::KernelStale))
            }
            // The kernel build is code of the change.
            None if libraries.is_some() && !self.preloads_are_unchanged(gate) => {
                GateResult::new(Verdict::Invalid, Some(Reason::Prerequisite))
            }
            None if gate.kind.compares() => self.compare(id, gate, others.perf),
            None => {
                let (subject, target) = (self.plan.subject, self.plan.registry.target());
                let caches = self.caches.as_ref().map(JitCaches::folder);
                let record = |l: &KernelLibraries| l.record(subject, &target, caches, self.start);
                self.supervisor.mapped = libraries.as_ref().map(record);
                self.command(id, gate)
            }
        };
        if let Some(libraries) = libraries {
            let mapped = match self.supervisor.mapped.take() {
                Some(mapped) => libraries.compare(mapped, self.supervisor),
                None => Vec::new(),
            };
            let foreign = mapped.iter().any(|check| check.status != Verdict::Pass);
            if result.status == Verdict::Pass && (foreign || self.is_stale(&libraries)) {
                result.status = Verdict::Invalid;
                result.reason = Some(Reason::KernelStale);
            }
            result.kernel_checks = libraries.checks;
            result.kernel_checks.extend(mapped);
        }
        let target = self.plan.registry.target();
        if let Some(caches) = self.caches.take()
            && caches.conclude(
                &target,
                &mut result,
                &mut self.evidence,
                &mut self.supervisor.output,
            )
        {
            self.recorder.push(&Event::EvidenceUpdated {
                evidence: Box::new(self.evidence.clone()),
            });
        }
        if result.status == Verdict::Pass && !self.preloads_are_unchanged(gate) {
            result.status = Verdict::Invalid;
            result.reason = Some(Reason::Prerequisite);
        }
        self.close(id, stop_token, guard.intact(), &mut result);
        result
    }

    /// Keeps the log of a gate and closes its group. A gate that changed a file of the run fails, wherever it ran.
    fn close(&mut self, id: &GateId, stop_token: Option<String>, is_intact: bool, result: &mut GateResult) {
        if self.supervisor.signals.was_stopped() && result.status != Verdict::Cancelled {
            // Its deadlines and its times are not those of the command.
            result.status = Verdict::Invalid;
            result.reason = Some(Reason::SupervisorStopped);
        }
        self.recorder.keep_log(id, &mut self.supervisor.output);
        self.close_group(stop_token);
        match (is_intact, self.recorder.intact()) {
            (false, _) | (_, Some(false)) if result.status != Verdict::Cancelled => {
                result.status = Verdict::Fail;
                result.reason = Some(Reason::Tampered);
            }
            // A pass that could not be recorded does not count.
            (_, None) if result.status == Verdict::Pass => {
                result.status = Verdict::Invalid;
                result.reason = self.recorder.fault();
            }
            _ => {}
        }
    }

    /// Runs a gate in a job. The ranks of the job supervise the command.
    fn submit(
        &mut self,
        id: &GateId,
        gate: &Gate,
        executor: &Executor,
        jobs: &mut dyn JobRunner,
    ) -> GateResult {
        let environment = self.environment(gate);
        let stop_token = self.open_group(id);
        let case = JobCase {
            id,
            gate,
            executor,
            registry: self.plan.registry,
            evidence: &self.plan.evidence,
            subject: self.plan.subject,
            environment: &environment,
            ours: self.plan.environment,
        };
        let JobOutcome { mut result, evidence } = jobs.run(&case, self.supervisor, self.recorder);
        if let Some(found) = evidence
            && !self.adopt(found)
            && result.status == Verdict::Pass
        {
            result.status = Verdict::Invalid;
            result.reason = Some(Reason::KernelStale);
        }
        // The job gets no command files of the runner.
        self.close(id, stop_token, true, &mut result);
        result
    }

    /// Adds what the ranks of a job proved to the evidence of the run. Returns false if an earlier gate had other kernels.
    fn adopt(&mut self, found: Evidence) -> bool {
        let before = self.evidence.clone();
        let own = &mut self.evidence;
        let fits = own.kernels.is_empty() || found.kernels.is_empty() || own.kernels == found.kernels;
        if own.kernels.is_empty() {
            own.kernels = found.kernels;
        }
        for (cache, digests) in found.jit {
            own.add_jit(cache, digests);
        }
        own.target = own.target.take().or(found.target);
        own.driver = own.driver.take().or(found.driver);
        if own.image != found.image {
            // No image is that of all gates.
            own.image = None;
        }
        // The weakest one counts.
        own.isolation = own.isolation.max(found.isolation);
        if *own != before {
            self.recorder.push(&Event::EvidenceUpdated {
                evidence: Box::new(self.evidence.clone()),
            });
        }
        fits
    }

    fn command(&mut self, id: &str, gate: &Gate) -> GateResult {
        let (Some(command), Ok(meter)) = (&gate.cmd, Meter::new(&gate.reads())) else {
            return GateResult::new(Verdict::Invalid, Some(Reason::BadRegistry));
        };
        let limit = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
        let environment = self.environment(gate);
        let containers = self.plan.containers;
        let start = containers.map(|c| c.start(id, gate, self.plan.environment, self.caches.as_ref()));
        let start = match start.transpose() {
            Ok(start) => start,
            Err(error) => {
                self.supervisor.output.line(format_args!("container: {error}"));
                return GateResult::new(Verdict::Invalid, Some(Reason::ContainerFailed));
            }
        };
        // A gate in a container reaches no engine.
        let before = start.is_none().then(|| {
            Snapshot::take(command, &environment, self.plan.subject, |name| {
                self.variable(name)
            })
        });
        let spec = CommandSpec {
            label: id,
            command,
            dir: self.plan.subject,
            environment: &environment,
            timeout: limit(gate.timeout_s),
            silence: limit(gate.silence_timeout_s),
            container: start.as_ref(),
        };
        let watched = self.plan.ranks.is_some() && gate.gpus > 0;
        let gpu_use = watched.then(|| GpuUse::start(self.supervisor)).flatten();
        let mut ended = self.supervisor.run(&spec, meter);
        let busy_gpus = gpu_use.and_then(GpuUse::finish);
        if let Some(before) = before {
            let left = before.end_new(&mut self.supervisor.output);
            if let Ok(outcome) = &mut ended
                && matches!(
                    outcome.termination,
                    Termination::Exited(_) | Termination::Signalled(_)
                )
            {
                outcome.leaks += left;
            }
        }
        let mut result = match ended {
            Ok(outcome) => verdict::of_command(gate, &outcome),
            Err(error) if start.is_some() => {
                self.supervisor.output.line(format_args!("container: {error}"));
                GateResult::new(Verdict::Invalid, Some(Reason::ContainerFailed))
            }
            Err(_) => GateResult::new(Verdict::Invalid, Some(Reason::Prerequisite)),
        };
        result.image = containers.and_then(|c| c.digest(id)).map(str::to_owned);
        result.busy_gpus = busy_gpus;
        result
    }

    fn compare(&mut self, id: &str, gate: &Gate, perf: &mut dyn PerfJudge) -> GateResult {
        let plan = self.plan;
        let compare = gate
            .compare_gate
            .as_deref()
            .and_then(|id| Some((id, plan.registry.gates.get(id)?)));
        let Some((compare_id, compare)) = compare else {
            return GateResult::new(Verdict::Invalid, Some(Reason::BadRegistry));
        };
        let Some(compared) = self
            .done
            .get(compare_id)
            .filter(|r| r.status == Verdict::Pass)
            .cloned()
        else {
            return GateResult::new(Verdict::Invalid, Some(Reason::CompareMissing));
        };
        let environment = self.environment(compare);
        let case = PerfCase {
            id,
            gate,
            compare_id,
            compare,
            compared: &compared,
            terms: &plan.perf,
            registry: plan.registry,
            evidence: &plan.evidence,
            subject: plan.subject,
            driver: plan.driver,
            environment: &environment,
        };
        perf.evaluate(&case, self.supervisor)
    }

    /// Returns the kernel libraries of this run; the first call builds and verifies them.
    fn libraries(&mut self, gate: &Gate) -> KernelLibraries {
        if let Some(libraries) = &self.libraries {
            return libraries.clone();
        }
        let plan = self.plan;
        let nonce = plan.ranks.and_then(Ranks::nonce);
        let build = KernelBuild {
            subject: plan.subject,
            target: &plan.registry.target(),
            nonce: nonce.as_deref().or(plan.evidence.run.as_deref()),
            driver: plan.driver,
        };
        let libraries = match plan.ranks {
            Some(ranks) if !ranks.builds() => {
                let signals = &mut self.supervisor.signals;
                match ranks.wait_for_build(&mut || signals.stop().is_some()) {
                    true => build.check_built(self.supervisor),
                    false => KernelLibraries::without(Verdict::Cancelled, Reason::CancelledRun),
                }
            }
            ranks => {
                let built = build.prepare(&self.environment(gate), self.supervisor);
                if let Some(ranks) = ranks {
                    ranks.built();
                }
                built
            }
        };
        self.evidence.kernels.clone_from(&libraries.digests);
        self.recorder.push(&Event::EvidenceUpdated {
            evidence: Box::new(self.evidence.clone()),
        });
        self.libraries = Some(libraries.clone());
        libraries
    }

    /// Checks whether a library changed after it was verified, and prints its path.
    fn is_stale(&mut self, libraries: &KernelLibraries) -> bool {
        let changed = libraries.changed(self.plan.subject, &self.plan.registry.target());
        if let Some(path) = &changed {
            let line = format_args!("kernels: {path} changed after it was verified");
            self.supervisor.output.line(line);
        }
        changed.is_some()
    }

    /// Checks the preloaded libraries that a gate uses, and prints why one is refused.
    fn preloads_are_unchanged(&mut self, gate: &Gate) -> bool {
        let checked = preload::check(self.plan.registry, gate);
        checked.map_err(|why| self.supervisor.output.line(why)).is_ok()
    }

    /// Returns the environment of a gate. The caller has checked the preloaded libraries.
    fn environment(&self, gate: &Gate) -> BTreeMap<OsString, OsString> {
        let mut environment = gate_environment::of(gate, self.plan.environment.iter().cloned());
        if gate.needs_target() {
            let preload = preload::value(&self.plan.registry.target());
            environment.extend(preload.map(|value| ("LD_PRELOAD".into(), value)));
        }
        environment.extend(self.caches.iter().flat_map(JitCaches::environment));
        environment
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        let found = self.plan.environment.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.clone())
    }

    /// Records the result of a gate, after its output is written.
    fn end(&mut self, id: &GateId, result: GateResult) {
        // Do not let a slow log reader delay the verdict.
        self.supervisor.output.flush(Some(Duration::from_secs(1)));
        self.failed |= result.status == Verdict::Fail;
        self.recorder.push(&Event::GateEnded {
            gate: id.clone(),
            result: Box::new(result.clone()),
        });
        self.done.insert(id.clone(), result);
    }

    /// Opens a group in the Actions log and makes the runner ignore workflow commands until [`Run::close_group`].
    ///
    /// This is a second defence: [`crate::gate::output`] also escapes workflow commands in the output of a gate.
    fn open_group(&mut self, id: &str) -> Option<String> {
        if !self.plan.groups {
            return None;
        }
        let name = workflow_command::data(&visible(id));
        self.supervisor.output.command(&format!("::group::{name}"));
        let token = random::token().ok()?;
        self.supervisor
            .output
            .command(&format!("::stop-commands::{token}"));
        Some(token)
    }

    fn close_group(&mut self, stop_token: Option<String>) {
        if let Some(token) = stop_token {
            self.supervisor.output.command(&format!("::{token}::"));
        }
        if self.plan.groups {
            self.supervisor.output.command("::endgroup::");
        }
    }
}

/// Whether the kernel libraries must be built and verified before this gate. A perf gate builds its own libraries.
fn needs_kernel_build(gate: &Gate) -> bool {
    match gate.kind {
        GateKind::Command => gate.needs_kernels(),
        GateKind::Kernel => true,
        GateKind::Perf | GateKind::Numeric | GateKind::External => false,
    }
}
