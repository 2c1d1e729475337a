//! Judges the perf gates of a run: puts budget, baseline and stored noise together, has them tried, and says what came of it.
//!
//! Launches nothing and computes nothing itself: `experiment` does the one, `decision` the other.

use std::time::Instant;

use crate::domain::evidence::Evidence;
use crate::domain::noise::{Estimator, NoiseTable, metric_name};
use crate::domain::perf_summary;
use crate::domain::registry::{Direction, Gate};
use crate::domain::results::{GateResult, PerfResult};
use crate::domain::settings;
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::engine::{PerfCase, PerfJudge};
use crate::gate::process::Supervisor;
use crate::gate::verdict::seconds;
use crate::perf::arms::{ArmError, Arms};
use crate::perf::decision::Rule;
use crate::perf::experiment::Experiment;
use crate::perf::refusal::Refusal;
use crate::perf::stats::History;
use crate::system::clock;

/// Judges perf gates against a baseline that was set apart before any code of the change ran.
pub struct Judge {
    baseline: Result<Arms, Refusal>,
    noise: NoiseTable,
    settings: settings::Perf,
    checked_out: bool,
}

impl Judge {
    /// A judge for runs against this baseline; a baseline that could not be had is reported when a gate needs it.
    pub fn new(baseline: Result<Arms, ArmError>, noise: NoiseTable, settings: settings::Perf) -> Self {
        Judge {
            baseline: baseline.map_err(Refusal::from),
            noise,
            settings,
            checked_out: false,
        }
    }
}

impl PerfJudge for Judge {
    fn judge(&mut self, case: &PerfCase<'_>, supervisor: &mut Supervisor) -> GateResult {
        let began = Instant::now();
        let metric = case.gate.metric.as_deref().unwrap_or("node_tps_p50");
        let mut perf = PerfResult {
            compare_gate: case.compare_id.to_owned(),
            metric: metric.to_owned(),
            direction: direction(case.compare, metric_name(metric)),
            ..PerfResult::default()
        };
        let (verdict, reason) = match self.compare(case, supervisor, &mut perf) {
            Ok(decided) => decided,
            Err(refusal) => {
                supervisor.output.line(format_args!("perf: {}", refusal.why));
                (refusal.verdict, Some(refusal.reason))
            }
        };
        supervisor.output.line(format_args!(
            "perf: {}",
            perf_summary::sentence(&perf, verdict, reason)
        ));
        let mut result = GateResult::new(verdict, reason);
        result.duration_s = Some(seconds(began.elapsed()));
        result.perf = Some(perf);
        result
    }
}

/// A metric's better direction, as the compared gate declares it.
fn direction(gate: &Gate, metric: &str) -> Direction {
    gate.reads()
        .iter()
        .find(|m| m.name == metric)
        .map(|m| m.direction)
        .unwrap_or_default()
}

impl Judge {
    fn compare(
        &mut self,
        case: &PerfCase<'_>,
        supervisor: &mut Supervisor,
        perf: &mut PerfResult,
    ) -> Result<(Verdict, Option<Reason>), Refusal> {
        let budget = case.terms.budget_pct.unwrap_or(self.settings.budget_pct);
        let rule = Rule::new(budget, perf.direction, case.gate.pairs, case.gate.max_pairs)
            .map_err(|e| Refusal::new(Verdict::Invalid, Reason::BadBudget, e.to_string()))?;
        perf.budget_pct = Some(budget);
        perf.method = rule.method();
        let arms = self.baseline.as_ref().map_err(Clone::clone)?;
        perf.baseline_sha = Some(arms.baseline_sha.clone());
        if !self.checked_out {
            arms.check_out()?;
            self.checked_out = true;
        }
        let machine = machine_class(case.compare, case.evidence);
        let history = self
            .noise
            .of(case.compare_id, &perf.metric, machine)
            .filter(|n| n.counts_at(&clock::now()))
            .map(History::from);
        let mut experiment = Experiment::new(case, arms, supervisor, self.settings.gpu_minutes)?;
        let outcome = experiment
            .build()
            .and_then(|()| experiment.pairs(&rule, history, perf));
        experiment.account(perf);
        let decided = outcome?;
        experiment.untouched()?;
        Ok(decided)
    }
}

/// The class of machine that a gate's noise belongs to: the target it needs, or `cpu`.
pub fn machine_class<'a>(gate: &Gate, evidence: &'a Evidence) -> &'a str {
    match &evidence.target {
        Some(target) if gate.gpus > 0 => target,
        _ => "cpu",
    }
}

/// Log ratios of so many pairs of identical code, measured as a comparison would, and the estimator that was chosen.
///
/// # Errors
/// A measurement did not end well, or its log cannot be used.
pub fn calibrate(
    case: &PerfCase<'_>,
    arms: &Arms,
    supervisor: &mut Supervisor,
    pairs: u32,
) -> Result<(Vec<f64>, Estimator), Refusal> {
    arms.check_out()?;
    let metric = metric_name(case.gate.metric.as_deref().unwrap_or("node_tps_p50"));
    let mut experiment = Experiment::new(case, arms, supervisor, 0.0)?;
    experiment.build()?;
    let measured = experiment.calibrate(pairs, direction(case.compare, metric))?;
    experiment.untouched()?;
    Ok(measured)
}
