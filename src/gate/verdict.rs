//! Computes the verdict of a command, and the results of a run from its events.
//!
//! Pure: the same events give the same results, during a run and when they are read from a journal.

use std::collections::HashSet;

use indexmap::IndexMap;

use crate::domain::event::Event;
use crate::domain::ids::GateId;
use crate::domain::registry::{Gate, Leaks};
use crate::domain::results::{GateResult, Results, SCHEMA};
use crate::domain::verdict::{Overall, Reason, Verdict};
use crate::gate::process::{CommandOutcome, Termination};

/// Returns the result of a gate from the outcome of its command.
pub fn of_command(gate: &Gate, outcome: &CommandOutcome) -> GateResult {
    let (status, reason) = match outcome.termination {
        Termination::Exited(0) if outcome.leaks > 0 && gate.leaks == Some(Leaks::Fail) => {
            (Verdict::Fail, Some(Reason::LeakedProcesses))
        }
        Termination::Exited(0) => (Verdict::Pass, None),
        Termination::Exited(_) => (Verdict::Fail, Some(Reason::ExitCode)),
        Termination::Signalled(_) => (Verdict::Fail, Some(Reason::Signal)),
        Termination::TimedOut => (Verdict::Fail, Some(Reason::Timeout)),
        Termination::Silent => (Verdict::Fail, Some(Reason::Silence)),
        Termination::Stopped(_) => (Verdict::Cancelled, Some(Reason::CancelledRun)),
    };
    let mut result = GateResult::new(status, reason);
    match outcome.termination {
        Termination::Exited(code) => result.rc = Some(code),
        Termination::Signalled(signal) => result.signal = Some(signal),
        Termination::TimedOut | Termination::Silent | Termination::Stopped(_) => {}
    }
    result.duration_s = Some(seconds(outcome.duration));
    result.leaks = outcome.leaks;
    let measured = outcome.metrics.iter();
    result.set_metrics(
        measured
            .map(|(name, measured)| (name.clone(), measured.series()))
            .collect(),
    );
    result
}

/// Returns seconds, rounded to milliseconds.
pub fn seconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Builds the results of the last run from its events.
///
/// A gate that started but did not end is `cancelled`; a gate that did not start is `not_run`.
#[derive(Clone, Debug, Default)]
pub struct ResultsBuilder {
    results: Option<Results>,
    started: HashSet<GateId>,
}

impl ResultsBuilder {
    /// Adds the next event.
    pub fn push(&mut self, event: &Event) {
        match event {
            Event::RunStarted {
                at,
                bundle,
                gate_ids,
                uncovered,
                evidence,
                ..
            } => {
                self.started.clear();
                let waiting = GateResult::new(Verdict::NotRun, Some(Reason::CancelledRun));
                self.results = Some(Results {
                    schema: SCHEMA,
                    bundle: bundle.clone(),
                    gate_ids: gate_ids.clone(),
                    overall: Overall::Inconclusive,
                    refused: None,
                    uncovered: uncovered.clone(),
                    evidence: (**evidence).clone(),
                    started_at: Some(at.clone()),
                    duration_s: None,
                    results: gate_ids
                        .iter()
                        .map(|id| (id.clone(), waiting.clone()))
                        .collect::<IndexMap<_, _>>(),
                });
            }
            Event::RunRefused { reason } => self.change(|r| r.refused = Some(*reason)),
            Event::EvidenceUpdated { evidence } => self.change(|r| r.evidence = (**evidence).clone()),
            Event::GateStarted { gate, .. } => {
                self.started.insert(gate.clone());
            }
            Event::JobStarted { .. } | Event::JobSubmitted { .. } => {}
            Event::GateEnded { gate, result } => {
                self.started.remove(gate);
                self.change(|r| {
                    // Ignore a gate that was not selected.
                    if let Some(entry) = r.results.get_mut(gate) {
                        *entry = (**result).clone();
                    }
                });
            }
            Event::RunEnded { duration_s, .. } => self.change(|r| r.duration_s = Some(*duration_s)),
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Results)) {
        if let Some(results) = &mut self.results {
            change(results);
        }
    }

    /// Returns the current results; `None` if no run has started.
    pub fn results(&self) -> Option<Results> {
        let mut results = self.results.clone()?;
        for gate in &self.started {
            if let Some(entry) = results.results.get_mut(gate) {
                *entry = GateResult::new(Verdict::Cancelled, Some(Reason::CancelledRun));
            }
        }
        results.overall = results.evaluate();
        Some(results)
    }
}
