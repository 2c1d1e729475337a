//! A run from its first event to its last: preflight, then gate after gate, each recorded before the next begins.
//!
//! Decides nothing about presentation; what it needs from above (how throughput is compared) it is given.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use indexmap::IndexMap;

use crate::domain::event::Event;
use crate::domain::evidence::Evidence;
use crate::domain::gate_environment;
use crate::domain::registry::{Gate, GateKind, Registry};
use crate::domain::results::{GateResult, SCHEMA};
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::command_file_guard::CommandFileGuard;
use crate::gate::external::Recorded;
use crate::gate::kernel_build::{self, KernelLibraries};
use crate::gate::metrics::Meter;
use crate::gate::process::{CommandSpec, Supervisor};
use crate::gate::recorder::Recorder;
use crate::gate::select::Selection;
use crate::gate::verdict;
use crate::github::workflow_command;
use crate::system::clock;
use crate::system::random;
use crate::system::signals::Stop;
use crate::terminal::escape::visible;

/// All that a run is about.
pub struct RunPlan<'a> {
    /// The registry in force.
    pub registry: &'a Registry,
    /// The gates to run.
    pub selection: &'a Selection,
    /// Gates of the contract that the selection leaves out.
    pub uncovered: Vec<String>,
    /// What the verdicts will be bound to.
    pub evidence: Evidence,
    /// The checkout under test.
    pub subject: &'a Path,
    /// Our own environment; each gate sees what it may of it.
    pub environment: &'a [(OsString, OsString)],
    /// Gates that cannot run, from preflight.
    pub refused: IndexMap<String, GateResult>,
    /// Results that hold already, from an earlier run about the same evidence.
    pub proven: IndexMap<String, GateResult>,
    /// Recorded results of external gates.
    pub external: IndexMap<String, Recorded>,
    /// Who supplied those.
    pub supplied_by: Option<String>,
    /// What a perf gate is held to.
    pub perf: PerfTerms,
    /// Go on after a failure.
    pub keep_going: bool,
    /// Wrap each gate's output in a group of the Actions log.
    pub groups: bool,
}

/// What a perf gate is held to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PerfTerms {
    /// A git ref to compare with; none means the base parent of the merge.
    pub baseline_ref: Option<String>,
    /// Budget in percent; −10 means at most 10 % worse.
    pub budget_pct: Option<f64>,
}

/// One perf gate to judge.
pub struct PerfCase<'a> {
    /// Its id.
    pub id: &'a str,
    /// The perf gate.
    pub gate: &'a Gate,
    /// Id of the gate it compares.
    pub compare_id: &'a str,
    /// The gate it compares.
    pub compare: &'a Gate,
    /// What came of that gate in this run.
    pub compared: &'a GateResult,
    /// What it is held to.
    pub terms: &'a PerfTerms,
    /// The registry in force.
    pub registry: &'a Registry,
    /// What the verdict will be bound to.
    pub evidence: &'a Evidence,
    /// The checkout under test.
    pub subject: &'a Path,
    /// What the compared command sees of the environment.
    pub environment: &'a BTreeMap<OsString, OsString>,
}

/// Judges perf gates; the room that compares throughput is above this one and is passed in.
pub trait PerfJudge {
    /// Runs what it needs under the supervisor and judges.
    fn judge(&mut self, case: &PerfCase<'_>, supervisor: &mut Supervisor) -> GateResult;
}

/// The events a run begins with: what is asked for, and what holds already.
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

/// Runs a plan to its end; how we were asked to stop, if we were.
pub fn run(
    plan: &RunPlan<'_>,
    supervisor: &mut Supervisor,
    recorder: &mut Recorder,
    perf: &mut dyn PerfJudge,
) -> Option<Stop> {
    let began = Instant::now();
    let mut run = Run {
        plan,
        supervisor,
        recorder,
        done: plan.proven.clone(),
        libraries: None,
        failed: false,
    };
    if plan.refused.is_empty() {
        run.gates(perf);
    } else {
        run.refuse();
    }
    run.recorder.push(&Event::RunEnded {
        at: clock::now(),
        duration_s: verdict::seconds(began.elapsed()),
    });
    // All is recorded; a slow reader may take its time, until we are asked to stop.
    while run.supervisor.stop().is_none() && !run.supervisor.output.flush(Some(Duration::from_millis(200))) {}
    run.supervisor.stop()
}

struct Run<'a, 'o> {
    plan: &'a RunPlan<'o>,
    supervisor: &'a mut Supervisor,
    recorder: &'a mut Recorder,
    done: IndexMap<String, GateResult>,
    /// The kernel libraries, from the first gate on that stands on them.
    libraries: Option<KernelLibraries>,
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

    fn gates(&mut self, perf: &mut dyn PerfJudge) {
        let plan = self.plan;
        let waits = |id: &&String| {
            plan.registry
                .gates
                .get(*id)
                .is_some_and(|g| g.kind == GateKind::Perf)
        };
        let ids = &plan.selection.gate_ids;
        // What is compared comes before the comparison, wherever they stand.
        let commands = ids.iter().filter(|id| !waits(id));
        let comparisons = ids.iter().filter(waits);
        for id in commands.chain(comparisons) {
            if self.done.contains_key(id) {
                continue;
            }
            let result = match plan.registry.gates.get(id) {
                None => GateResult::new(Verdict::Invalid, Some(Reason::BadRegistry)),
                Some(gate) => self.gate(id, gate, perf),
            };
            self.end(id, result);
        }
    }

    /// One gate's verdict, whether it runs or not.
    fn gate(&mut self, id: &str, gate: &Gate, perf: &mut dyn PerfJudge) -> GateResult {
        if self.supervisor.stop().is_some() {
            return GateResult::new(Verdict::Cancelled, Some(Reason::CancelledRun));
        }
        if let Some(fault) = self.recorder.fault() {
            return GateResult::new(Verdict::Invalid, Some(fault));
        }
        if gate.kind == GateKind::External {
            return match self.plan.external.get(id) {
                Some(recorded) => recorded.judge(&self.plan.evidence, self.plan.supplied_by.as_deref()),
                None => GateResult::new(Verdict::Pending, Some(Reason::External)),
            };
        }
        if self.failed && !self.plan.keep_going {
            return GateResult::new(Verdict::NotRun, Some(Reason::StoppedAfterFailure));
        }
        self.recorder.push(&Event::GateStarted {
            gate: id.to_owned(),
            at: clock::now(),
        });
        if let Some(fault) = self.recorder.fault() {
            // What cannot be recorded does not happen.
            return GateResult::new(Verdict::Invalid, Some(fault));
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
            None if gate.kind == GateKind::Perf => self.compare(id, gate, perf),
            None => self.command(id, gate),
        };
        if let Some(libraries) = libraries {
            if gate.kind == GateKind::Perf {
                // It builds both arms by itself, so the next gate's libraries are built and proven anew.
                self.libraries = None;
            } else if result.status == Verdict::Pass && self.is_stale(&libraries) {
                result.status = Verdict::Invalid;
                result.reason = Some(Reason::KernelStale);
            }
            result.kernel_checks = libraries.checks;
        }
        self.close_group(stop_token);
        match (guard.intact(), self.recorder.intact()) {
            (false, _) | (_, Some(false)) if result.status != Verdict::Cancelled => {
                result.status = Verdict::Fail;
                result.reason = Some(Reason::Tampered);
            }
            // A pass that nobody can vouch for is none.
            (_, None) if result.status == Verdict::Pass => {
                result.status = Verdict::Invalid;
                result.reason = self.recorder.fault();
            }
            _ => {}
        }
        result
    }

    fn command(&mut self, id: &str, gate: &Gate) -> GateResult {
        let (Some(command), Ok(meter)) = (&gate.cmd, Meter::new(&gate.reads())) else {
            return GateResult::new(Verdict::Invalid, Some(Reason::BadRegistry));
        };
        let limit = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
        let environment = self.environment(gate);
        let spec = CommandSpec {
            label: id,
            command,
            dir: self.plan.subject,
            environment: &environment,
            timeout: limit(gate.timeout_s),
            silence: limit(gate.silence_timeout_s),
        };
        match self.supervisor.run(&spec, meter) {
            Ok(outcome) => verdict::of_command(gate, &outcome),
            Err(_) => GateResult::new(Verdict::Invalid, Some(Reason::Prerequisite)),
        }
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
            environment: &environment,
        };
        perf.judge(&case, self.supervisor)
    }

    /// The kernel libraries of this run, built and proven for the first gate that asks.
    fn libraries(&mut self, gate: &Gate) -> KernelLibraries {
        if let Some(libraries) = &self.libraries {
            return libraries.clone();
        }
        let plan = self.plan;
        let libraries = kernel_build::prepare(
            plan.subject,
            &plan.registry.target(),
            &self.environment(gate),
            plan.evidence.run.as_deref(),
            self.supervisor,
        );
        let evidence = Evidence {
            kernels: libraries.digests.clone(),
            ..plan.evidence.clone()
        };
        self.recorder.push(&Event::EvidenceUpdated {
            evidence: Box::new(evidence),
        });
        self.libraries = Some(libraries.clone());
        libraries
    }

    /// Whether a libraries is not the one that was proven any more; says which.
    fn is_stale(&mut self, libraries: &KernelLibraries) -> bool {
        let changed = libraries.changed(self.plan.subject, &self.plan.registry.target());
        if let Some(path) = &changed {
            let line = format_args!("kernels: {path} is not what was proven any more");
            self.supervisor.output.line(line);
        }
        changed.is_some()
    }

    fn environment(&self, gate: &Gate) -> BTreeMap<OsString, OsString> {
        gate_environment::of(gate, self.plan.environment.iter().cloned())
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        let found = self.plan.environment.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.clone())
    }

    /// Records a gate's end; what it printed is out before, where it can be.
    fn end(&mut self, id: &str, result: GateResult) {
        // A reader that dawdles keeps the verdict from nobody.
        self.supervisor.output.flush(Some(Duration::from_secs(1)));
        self.failed |= result.status == Verdict::Fail;
        self.recorder.push(&Event::GateEnded {
            gate: id.to_owned(),
            result: Box::new(result.clone()),
        });
        self.done.insert(id.to_owned(), result);
    }

    /// Opens a group in the Actions log and has the runner take no command from what follows; a second layer behind the
    /// neutralisation of the output itself.
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

/// Whether the kernel libraries are built and proven before this gate. A comparison's arms build their own.
fn needs_kernel_build(gate: &Gate) -> bool {
    match gate.kind {
        GateKind::Command => gate.needs_kernels(),
        GateKind::Kernel => true,
        GateKind::Perf | GateKind::External => false,
    }
}
