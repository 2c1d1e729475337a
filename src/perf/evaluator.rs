//! Evaluates the perf and numeric gates of a run: combines budgets, baseline and stored noise, runs the experiment, returns the verdict.
//!
//! Starts no process and computes nothing itself: `experiment` and `decision` do.

use std::time::Instant;

use crate::domain::evidence::Evidence;
use crate::domain::noise::{Estimator, NoiseTable, metric_name};
use crate::domain::perf_summary;
use crate::domain::registry::{Direction, Gate, GateKind};
use crate::domain::results::{GateResult, KernelCheck, PerfResult};
use crate::domain::settings;
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::engine::{PerfCase, PerfJudge};
use crate::gate::process::Supervisor;
use crate::gate::verdict::seconds;
use crate::perf::arms::{ArmError, Arms};
use crate::perf::decision::Rule;
use crate::perf::experiment::Experiment;
use crate::perf::metric_set::{self, ComparedMetric, MetricSet};
use crate::perf::numbers::Shared;
use crate::perf::numeric_gate;
use crate::perf::refusal::Refusal;
use crate::perf::stats::History;
use crate::system::clock;

/// Evaluates perf gates against a baseline that was copied before any code of the change ran.
pub struct Evaluator {
    baseline: Result<Arms, Refusal>,
    noise: NoiseTable,
    settings: settings::Perf,
    checked_out: bool,
    shared: Shared,
}

impl Evaluator {
    /// Creates a judge for this baseline. A baseline that is not available is reported when a gate needs it.
    pub fn new(baseline: Result<Arms, ArmError>, noise: NoiseTable, settings: settings::Perf) -> Self {
        Evaluator {
            baseline: baseline.map_err(Refusal::from),
            noise,
            settings,
            checked_out: false,
            shared: Shared::default(),
        }
    }
}

impl PerfJudge for Evaluator {
    fn evaluate(&mut self, case: &PerfCase<'_>, supervisor: &mut Supervisor) -> GateResult {
        if case.gate.kind == GateKind::Numeric {
            let cap = self.settings.gpu_minutes;
            let ready = self.check_out();
            let arms = ready.and_then(|()| self.baseline.as_ref().map_err(Clone::clone));
            return numeric_gate::evaluate(case, arms, supervisor, cap, &mut self.shared);
        }
        let began = Instant::now();
        let metric = case.gate.perf_metric();
        let mut perf = PerfResult {
            compare_gate: case.compare_id.to_owned(),
            metric: metric.to_owned(),
            direction: metric_set::reduction(case.compare, metric_name(metric), None, false).direction,
            ..PerfResult::default()
        };
        let mut kernels = None;
        let (verdict, reason) = match self.compare(case, supervisor, &mut perf, &mut kernels) {
            Ok(decided) => decided,
            Err(refusal) => {
                supervisor.output.line(format_args!("perf: {}", refusal.why));
                (refusal.verdict, Some(refusal.reason))
            }
        };
        for line in perf_summary::lines(&perf, verdict, reason) {
            supervisor.output.line(format_args!("perf: {line}"));
        }
        let mut result = GateResult::new(verdict, reason);
        result.duration_s = Some(seconds(began.elapsed()));
        result.perf = Some(perf);
        result.kernel_checks.extend(kernels);
        result
    }
}

impl Evaluator {
    /// Checks the baseline out, once.
    fn check_out(&mut self) -> Result<(), Refusal> {
        if !self.checked_out {
            self.baseline.as_ref().map_err(Clone::clone)?.check_out()?;
            self.checked_out = true;
        }
        Ok(())
    }

    fn compare(
        &mut self,
        case: &PerfCase<'_>,
        supervisor: &mut Supervisor,
        perf: &mut PerfResult,
        kernels: &mut Option<KernelCheck>,
    ) -> Result<(Verdict, Option<Reason>), Refusal> {
        let budget = case.terms.budget_pct.unwrap_or(self.settings.budget_pct);
        let main_rule = rule(case, budget, perf.direction)?;
        perf.budget_pct = Some(budget);
        perf.method = main_rule.method();
        self.check_out()?;
        let arms = self.baseline.as_ref().map_err(Clone::clone)?;
        perf.baseline_sha = Some(arms.baseline_sha.clone());
        let machine = machine_class(case.compare, case.evidence);
        let now = clock::now();
        let stored = |metric: &str| {
            let noise = self.noise.of(case.compare_id, metric, machine);
            noise
                .filter(|n| n.counts_at(&now) && n.counts_for(case.evidence.driver.as_deref()))
                .map(History::from)
        };
        let mut metrics = metrics(case, budget, stored)?;
        let mut experiment = Experiment::new(case, arms, supervisor, self.settings.gpu_minutes)?;
        let built = experiment.build();
        *kernels = experiment.kernel_check();
        let outcome = built.and_then(|()| experiment.pairs(&mut metrics, main_rule.max_pairs, perf));
        experiment.account(perf);
        let decided = outcome?;
        experiment.untouched()?;
        let key = (case.compare_id.to_owned(), case.gate.perf_args.clone());
        self.shared.insert(key, experiment.take_numbers());
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

/// The rule of a metric.
fn rule(case: &PerfCase<'_>, budget_pct: f64, direction: Direction) -> Result<Rule, Refusal> {
    Rule::new(budget_pct, direction, case.gate.pairs, case.gate.max_pairs)
        .map_err(|e| Refusal::new(Verdict::Invalid, Reason::BadBudget, e.to_string()))
}

/// The metrics that a perf gate compares, the main one first.
fn metrics(
    case: &PerfCase<'_>,
    budget_pct: f64,
    stored: impl Fn(&str) -> Option<History>,
) -> Result<MetricSet, Refusal> {
    let main = (case.gate.perf_metric(), budget_pct);
    let further = case.gate.also.iter().map(|f| (f.metric.as_str(), f.budget_pct));
    let compared = std::iter::once(main).chain(further).map(|(metric, budget)| {
        let threshold = case.gate.pairs == Some(1);
        let warmup = case.gate.warmup_steps;
        let how = metric_set::reduction(case.compare, metric_name(metric), warmup, threshold);
        let rule = rule(case, budget, how.direction)?;
        Ok(ComparedMetric::new(metric, rule, how, stored(metric)))
    });
    Ok(MetricSet::new(compared.collect::<Result<_, Refusal>>()?))
}

/// What a calibration measured of one metric.
pub struct Calibrated {
    /// The name, without `_p50`.
    pub metric: String,
    /// Log ratios of the pairs of identical code.
    pub log_ratios: Vec<f64>,
    /// The estimator that was chosen for them.
    pub estimator: Estimator,
}

/// Measures so many pairs of identical code as a comparison would. Returns the metrics of the gate, the main one first.
///
/// # Errors
/// A measurement did not end well, or its log cannot be used.
pub fn calibrate(
    case: &PerfCase<'_>,
    arms: &Arms,
    supervisor: &mut Supervisor,
    pairs: u32,
) -> Result<Vec<Calibrated>, Refusal> {
    arms.check_out()?;
    let mut metrics = calibrated_metrics(case, pairs)?;
    let mut experiment = Experiment::new(case, arms, supervisor, 0.0)?;
    experiment.build()?;
    experiment.calibrate(&mut metrics, pairs)?;
    experiment.untouched()?;
    let of = |metric: &ComparedMetric| {
        let (log_ratios, estimator) = metric.log_ratios();
        Calibrated {
            metric: metric.name.clone(),
            log_ratios,
            estimator,
        }
    };
    Ok(metrics.metrics().iter().map(of).collect())
}

/// The metrics of a calibration: it decides nothing, so no budget and no threshold matter.
fn calibrated_metrics(case: &PerfCase<'_>, pairs: u32) -> Result<MetricSet, Refusal> {
    let main = case.gate.perf_metric();
    let further = case.gate.also.iter().map(|f| f.metric.as_str());
    let compared = std::iter::once(main).chain(further).map(|metric| {
        let how = metric_set::reduction(case.compare, metric_name(metric), case.gate.warmup_steps, false);
        let rule = Rule::new(0.0, how.direction, None, Some(pairs))
            .map_err(|e| Refusal::new(Verdict::Invalid, Reason::BadBudget, e.to_string()))?;
        Ok(ComparedMetric::new(metric, rule, how, None))
    });
    Ok(MetricSet::new(compared.collect::<Result<_, Refusal>>()?))
}
