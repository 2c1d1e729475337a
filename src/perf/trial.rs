//! The experiment: both arms built, one launch of each thrown away, then pairs in the order AB BA AB … until they decide.
//!
//! Judges the perf gates of a run. Launches nothing itself: every command goes through the engine's supervisor.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::gate::engine::{PerfCase, PerfJudge};
use crate::gate::launch::{End, Ended, Launch as Command, Supervisor};
use crate::gate::metrics::{Measured, Meter};
use crate::gate::verdict::seconds;
use crate::model::comparison;
use crate::model::evidence::Evidence;
use crate::model::noise::{NoiseTable, metric_name};
use crate::model::registry::{Direction, Gate, Metric};
use crate::model::results::{GateResult, PerfPair, PerfResult};
use crate::model::settings;
use crate::model::verdict::{Reason, Verdict};
use crate::perf::arms::{self, ArmError, Arms};
use crate::perf::decision::{Judgement, Rule, Step, percent};
use crate::perf::isolate;
use crate::perf::launch::{self, Launch, Sample, Warmup};
use crate::perf::stats::{self, History};

/// Most samples of one launch that a result keeps.
const RECORDED: usize = 64;

/// Longest build of one arm.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);

/// Which arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// The baseline.
    Base,
    /// The change.
    Head,
}

/// Judges perf gates against a baseline that was set apart before any code of the change ran.
pub struct Judge {
    baseline: Result<Arms, Refusal>,
    noise: NoiseTable,
    settings: settings::Perf,
    checked_out: bool,
}

/// Why a comparison has no measured verdict.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    verdict: Verdict,
    reason: Reason,
    why: String,
}

impl Refusal {
    fn new(verdict: Verdict, reason: Reason, why: impl Into<String>) -> Self {
        Refusal {
            verdict,
            reason,
            why: why.into(),
        }
    }
}

impl From<ArmError> for Refusal {
    fn from(error: ArmError) -> Self {
        let reason = match &error {
            ArmError::Bad(_) => Reason::BadBaseline,
            ArmError::Io(e) if crate::sys::files::is_full(e) => Reason::DiskFull,
            ArmError::Git(_) | ArmError::Io(_) => Reason::BaselineFailed,
        };
        Refusal::new(Verdict::Invalid, reason, error.to_string())
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        ArmError::Io(error).into()
    }
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
                supervisor
                    .output
                    .line(&format!("perf: {}", one_line(&refusal.why)));
                (refusal.verdict, Some(refusal.reason))
            }
        };
        supervisor
            .output
            .line(&format!("perf: {}", comparison::sentence(&perf, verdict, reason)));
        let mut result = GateResult::new(verdict, reason);
        result.duration_s = Some(seconds(began.elapsed()));
        result.perf = Some(perf);
        result
    }
}

/// A metric's better direction, as the compared gate declares it.
fn direction(gate: &Gate, metric: &str) -> Direction {
    gate.metrics
        .iter()
        .find(|m| m.name == metric)
        .map(|m| m.direction)
        .unwrap_or_default()
}

/// Text that may hold what others chose, as one printable line.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
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
        perf.method = rule.method().to_owned();
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
            .map(History::from);
        let mut trial = Trial::new(case, arms, supervisor, self.settings.gpu_minutes)?;
        let outcome = trial.build().and_then(|()| trial.pairs(&rule, history, perf));
        perf.spoiled = trial.spoiled;
        perf.unsteady = trial.unsteady;
        if case.compare.gpus > 0 {
            perf.gpu_minutes = Some(trial.gpu_minutes);
        }
        let decided = outcome?;
        trial.untouched()?;
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

/// Log ratios of so many pairs of identical code, launched as a comparison would.
///
/// # Errors
/// A launch did not end well, or its log cannot be judged.
pub fn calibrate(
    case: &PerfCase<'_>,
    arms: &Arms,
    supervisor: &mut Supervisor,
    pairs: u32,
) -> Result<Vec<f64>, Refusal> {
    arms.check_out()?;
    let mut trial = Trial::new(case, arms, supervisor, 0.0)?;
    trial.build()?;
    trial.settle_in()?;
    let mut log_ratios = Vec::new();
    for n in 0..pairs {
        let [base, head] = trial.pair(n % 2 == 0, false)?;
        log_ratios.push(head.log - base.log);
        trial.say(&format!(
            "pair {} of {pairs}: {:+.2} %",
            n + 1,
            percent(head.log - base.log)
        ));
    }
    trial.untouched()?;
    Ok(log_ratios)
}

/// One comparison under way.
pub struct Trial<'a, 'b> {
    case: &'a PerfCase<'b>,
    arms: &'a Arms,
    supervisor: &'a mut Supervisor,
    baseline: PathBuf,
    subject: PathBuf,
    hooks: [PathBuf; 2],
    run_root: PathBuf,
    kernels: [BTreeMap<String, String>; 2],
    metric: String,
    cap: f64,
    gpu_minutes: f64,
    launches: u32,
    spoiled: u32,
    unsteady: u32,
}

impl<'a, 'b> Trial<'a, 'b> {
    fn new(
        case: &'a PerfCase<'b>,
        arms: &'a Arms,
        supervisor: &'a mut Supervisor,
        cap: f64,
    ) -> Result<Self, Refusal> {
        let subject = std::fs::canonicalize(case.subject)?;
        let baseline = std::fs::canonicalize(arms.worktree())?;
        if baseline.starts_with(&subject) {
            return Err(Refusal::new(
                Verdict::Invalid,
                Reason::BaselineFailed,
                "the baseline would lie inside the checkout under test; set XDG_STATE_HOME to a folder outside it",
            ));
        }
        let own: BTreeSet<String> = isolate::top_level(&subject)?
            .into_iter()
            .chain(isolate::top_level(&baseline)?)
            .collect();
        let hooks = [
            isolate::hook(&arms.scratch("hook-base"), &baseline, &own)?,
            isolate::hook(&arms.scratch("hook-head"), &subject, &own)?,
        ];
        // Where checkpoints may be large the runner says so.
        let run_root = case
            .environment
            .get(std::ffi::OsStr::new("NMOE_RUN_ROOT"))
            .map(PathBuf::from)
            .filter(|p| p.is_absolute() && p.is_dir())
            .map_or_else(|| arms.scratch("runs"), |given| given.join("nmoe-gates-perf"));
        arms::recover(&run_root);
        Ok(Trial {
            metric: metric_name(case.gate.metric.as_deref().unwrap_or("node_tps_p50")).to_owned(),
            case,
            arms,
            supervisor,
            baseline,
            subject,
            hooks,
            run_root,
            kernels: [BTreeMap::new(), BTreeMap::new()],
            cap,
            gpu_minutes: 0.0,
            launches: 0,
            spoiled: 0,
            unsteady: 0,
        })
    }

    fn dir(&self, arm: Arm) -> &Path {
        match arm {
            Arm::Base => &self.baseline,
            Arm::Head => &self.subject,
        }
    }

    fn environment(&self, arm: Arm, run_root: &Path) -> BTreeMap<OsString, OsString> {
        let (hook, foreign) = match arm {
            Arm::Base => (&self.hooks[0], &self.subject),
            Arm::Head => (&self.hooks[1], &self.baseline),
        };
        isolate::environment(self.case.environment, self.dir(arm), hook, &[foreign], run_root)
    }

    /// Builds both arms before the first launch and remembers what their kernel libraries are.
    fn build(&mut self) -> Result<(), Refusal> {
        let target = self.case.registry.target();
        let needed = self.case.compare.needs_kernels();
        let named = !self.case.registry.target.is_empty();
        // The incumbent's own build is tried where it is there; a registry that names one means it.
        let there = |arm: &Path| arm.join("nmoe/csrc/Makefile").is_file();
        if needed || named || there(&self.baseline) || there(&self.subject) {
            for arm in [Arm::Base, Arm::Head] {
                if !(needed || named || there(self.dir(arm))) {
                    continue;
                }
                let built = self.shell(arm, &target.build, "build", Some(BUILD_LIMIT))?;
                if built.end == End::Exited(0) {
                    continue;
                }
                stopped(&built)?;
                if needed || named {
                    let (verdict, reason, which) = match arm {
                        Arm::Base => (Verdict::Invalid, Reason::BaselineFailed, "baseline"),
                        Arm::Head => (Verdict::Fail, Reason::BuildFailed, "change"),
                    };
                    return Err(Refusal::new(
                        verdict,
                        reason,
                        format!("the build of the {which} failed"),
                    ));
                }
            }
        }
        self.kernels = [
            arms::kernels(&self.baseline, &target.kernels)?,
            arms::kernels(&self.subject, &target.kernels)?,
        ];
        let [base, head] = &self.kernels;
        let linked = |found: &BTreeMap<String, String>| found.values().any(|d| d == arms::NOT_A_FILE);
        if linked(base) || linked(head) {
            return Err(Refusal::new(
                Verdict::Invalid,
                Reason::KernelStale,
                "a kernel library is a link, so it may be anybody's",
            ));
        }
        if base.is_empty() != head.is_empty() || (needed && base.is_empty()) {
            let which = if base.is_empty() { "baseline" } else { "change" };
            return Err(Refusal::new(
                Verdict::Invalid,
                Reason::KernelMissing,
                format!("the {which} has no kernel library of its own"),
            ));
        }
        Ok(())
    }

    /// Whether both arms still are what was built, and the baseline's sources what was checked out.
    fn untouched(&self) -> Result<(), Refusal> {
        let target = self.case.registry.target();
        let now = [
            arms::kernels(&self.baseline, &target.kernels)?,
            arms::kernels(&self.subject, &target.kernels)?,
        ];
        if now == self.kernels && self.arms.intact()? {
            return Ok(());
        }
        Err(Refusal::new(
            Verdict::Fail,
            Reason::Tampered,
            "an arm's sources or kernel libraries changed while they were measured",
        ))
    }

    fn pairs(
        &mut self,
        rule: &Rule,
        history: Option<History>,
        perf: &mut PerfResult,
    ) -> Result<(Verdict, Option<Reason>), Refusal> {
        if !rule.threshold {
            self.settle_in()?;
        }
        let mut log_ratios = Vec::new();
        let mut totals = Vec::new();
        loop {
            let base_first = log_ratios.len() % 2 == 0;
            let [base, head] = match self.pair(base_first, rule.threshold) {
                Ok(pair) => pair,
                Err(refusal) if refusal.reason == Reason::GpuMinutes && !log_ratios.is_empty() => {
                    return Ok((Verdict::Inconclusive, Some(Reason::GpuMinutes)));
                }
                Err(refusal) => return Err(refusal),
            };
            log_ratios.push(head.log - base.log);
            totals.push((head.total / base.total).ln());
            perf.pairs.push(PerfPair {
                order: if base_first { "ab" } else { "ba" }.to_owned(),
                baseline: base.median,
                result: head.median,
                log_ratio: head.log - base.log,
                baseline_samples: thinned(&base.kept),
                result_samples: thinned(&head.kept),
            });
            let judged = rule.judge(&log_ratios, history);
            record(perf, &judged, &totals);
            if let Step::Done(verdict, reason) = judged.step {
                return Ok((verdict, reason));
            }
            self.say(&format!(
                "pair {} of at most {}: {}",
                log_ratios.len(),
                rule.max_pairs,
                comparison::sentence(perf, Verdict::Inconclusive, None)
            ));
        }
    }

    /// One launch of each arm that does not count: it fills caches and warms the machine.
    fn settle_in(&mut self) -> Result<(), Refusal> {
        for arm in [Arm::Base, Arm::Head] {
            self.launch(arm)?;
        }
        Ok(())
    }

    /// One launch of each arm. A launch whose samples drift is replaced once, since one that drifts again is how this
    /// trainer is, in both arms alike.
    fn pair(&mut self, base_first: bool, threshold: bool) -> Result<[Launch; 2], Refusal> {
        let order = if base_first {
            [Arm::Base, Arm::Head]
        } else {
            [Arm::Head, Arm::Base]
        };
        let mut replaced = false;
        let mut measured = Vec::new();
        for arm in order {
            let mut launch = self.measure(arm, threshold)?;
            if !launch.steady && !replaced && !threshold {
                replaced = true;
                self.spoiled += 1;
                self.say("a launch drifted and is run again");
                launch = self.measure(arm, threshold)?;
            }
            self.unsteady += u32::from(!launch.steady);
            measured.push(launch);
        }
        if !base_first {
            measured.reverse();
        }
        let Ok([base, head]) = <[Launch; 2]>::try_from(measured) else {
            return Err(Refusal::new(
                Verdict::Invalid,
                Reason::Internal,
                "a pair has two launches",
            ));
        };
        if !launch::alike(&base, &head) && !threshold {
            return Err(Refusal::new(
                Verdict::Invalid,
                Reason::NoSamples,
                format!(
                    "the arms measured unequal amounts: {} samples of the baseline and {} of the change",
                    base.kept.len(),
                    head.kept.len()
                ),
            ));
        }
        Ok([base, head])
    }

    fn measure(&mut self, arm: Arm, threshold: bool) -> Result<Launch, Refusal> {
        let ended = self.launch(arm)?;
        let warmup = Warmup {
            steps: self.case.gate.warmup_steps,
            threshold,
        };
        let which = match arm {
            Arm::Base => "baseline",
            Arm::Head => "change",
        };
        launch::launch(&samples(&ended, &self.metric), warmup).map_err(|unfit| {
            Refusal::new(
                Verdict::Invalid,
                Reason::NoSamples,
                format!(
                    "a launch of the {which} cannot be judged by `{}`: {unfit}",
                    self.metric
                ),
            )
        })
    }

    /// Launches the compared command in one arm, with a run root of its own.
    fn launch(&mut self, arm: Arm) -> Result<Ended, Refusal> {
        if self.cap > 0.0 && self.gpu_minutes >= self.cap {
            return Err(Refusal::new(
                Verdict::Inconclusive,
                Reason::GpuMinutes,
                format!(
                    "{:.1} GPU-minutes were spent of {:.1}",
                    self.gpu_minutes, self.cap
                ),
            ));
        }
        let compare = self.case.compare;
        let Some(command) = compare.cmd.as_deref() else {
            return Err(Refusal::new(
                Verdict::Invalid,
                Reason::BadRegistry,
                "the compared gate has no `cmd`",
            ));
        };
        let mut text = command.trim_end().to_owned();
        if let Some(args) = self.case.gate.perf_args.as_deref() {
            text = format!("{text} {args}");
        }
        self.launches += 1;
        let limit = (compare.timeout_s > 0).then(|| Duration::from_secs(compare.timeout_s));
        let ended = self.shell(arm, &text, "launch", limit)?;
        self.gpu_minutes += ended.duration.as_secs_f64() / 60.0 * f64::from(compare.gpus);
        stopped(&ended)?;
        let (verdict, reason) = match (ended.end, arm) {
            (End::Exited(0), _) => return Ok(ended),
            (_, Arm::Base) => (Verdict::Invalid, Reason::BaselineFailed),
            (End::Exited(_), Arm::Head) => (Verdict::Fail, Reason::ExitCode),
            (End::TimedOut, Arm::Head) => (Verdict::Fail, Reason::Timeout),
            (End::Silent, Arm::Head) => (Verdict::Fail, Reason::Silence),
            (End::Signalled(_) | End::Stopped(_), Arm::Head) => (Verdict::Fail, Reason::Signal),
        };
        let which = if arm == Arm::Base { "baseline" } else { "change" };
        Err(Refusal::new(
            verdict,
            reason,
            format!("a launch of the {which} did not end well"),
        ))
    }

    fn shell(&mut self, arm: Arm, text: &str, what: &str, limit: Option<Duration>) -> Result<Ended, Refusal> {
        let which = if arm == Arm::Base { "baseline" } else { "change" };
        let label = format!("{} {what} of the {which}", self.case.id);
        self.say(&format!("{what} of the {which}"));
        let runs = RunRoot::new(&self.run_root)?;
        let environment = self.environment(arm, &runs.path);
        let dir = self.dir(arm).to_owned();
        let silence = self.case.compare.silence_timeout_s;
        let command = Command {
            label: &label,
            command: text,
            dir: &dir,
            environment: &environment,
            timeout: limit,
            silence: (silence > 0 && what == "launch").then(|| Duration::from_secs(silence)),
        };
        let meter = meter(self.case.compare)
            .map_err(|why| Refusal::new(Verdict::Invalid, Reason::BadRegistry, why))?;
        Ok(self.supervisor.run(&command, meter)?)
    }

    fn say(&mut self, text: &str) {
        self.supervisor.output.line(&format!("perf: {}", one_line(text)));
    }
}

/// An error where we were asked to stop.
fn stopped(ended: &Ended) -> Result<(), Refusal> {
    if matches!(ended.end, End::Stopped(_)) {
        return Err(Refusal::new(
            Verdict::Cancelled,
            Reason::CancelledRun,
            "the run was cancelled",
        ));
    }
    Ok(())
}

/// A gate's metrics, and the step each was printed at.
pub fn meter(gate: &Gate) -> Result<Meter, String> {
    let mut metrics = gate.metrics.clone();
    if !metrics.iter().any(|m| m.name == "step") {
        metrics.push(Metric {
            name: "step".to_owned(),
            pattern: None,
            unit: None,
            direction: Direction::Higher,
        });
    }
    Meter::new(&metrics)
}

/// The samples of one metric, with their steps where every sample has one.
fn samples(ended: &Ended, metric: &str) -> Vec<Sample> {
    pair_with_steps(ended.metrics.get(metric), ended.metrics.get("step"))
}

/// The same for measured series.
pub fn pair_with_steps(values: Option<&Measured>, steps: Option<&Measured>) -> Vec<Sample> {
    let values = values.map(|m| m.samples.values()).unwrap_or_default();
    let steps = steps
        .map(|m| m.samples.values())
        .filter(|s| s.len() == values.len() && s.iter().all(|v| *v >= 0.0 && v.fract() == 0.0 && *v < 1e15));
    values
        .iter()
        .enumerate()
        .map(|(i, value)| Sample {
            value: *value,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is a whole number of a step"
            )]
            step: steps.map(|s| s[i] as u64),
        })
        .collect()
}

/// Puts what the pairs say into the result.
pub fn record(perf: &mut PerfResult, judged: &Judgement, totals: &[f64]) {
    let of = |f: fn(&PerfPair) -> f64| stats::median(&perf.pairs.iter().map(f).collect::<Vec<_>>());
    perf.baseline = of(|p| p.baseline);
    perf.result = of(|p| p.result);
    perf.delta_pct = judged.delta_pct;
    perf.interval_pct = judged.interval_pct;
    perf.calibrated = judged.calibrated;
    perf.history_dropped = judged.history_dropped;
    perf.regression_inside_budget = judged.regression_inside_budget;
    perf.more_pairs = judged.more_pairs;
    perf.total_delta_pct = stats::mean(totals).map(percent).filter(|t| t.is_finite());
}

/// At most so many of them, evenly.
pub fn thinned(values: &[f64]) -> Vec<f64> {
    let step = values.len().div_ceil(RECORDED).max(1);
    values.iter().copied().step_by(step).collect()
}

/// A run root for one launch, removed with everything in it.
struct RunRoot {
    folder: PathBuf,
    path: PathBuf,
    _lock: std::fs::File,
}

impl RunRoot {
    fn new(parent: &Path) -> std::io::Result<Self> {
        let folder = parent.join(&crate::sys::random::token()?[..16]);
        let path = folder.join("run");
        std::fs::create_dir_all(&path)?;
        let lock = arms::lock(&folder)?;
        Ok(RunRoot {
            folder,
            path,
            _lock: lock,
        })
    }
}

impl Drop for RunRoot {
    fn drop(&mut self) {
        arms::remove(&self.folder);
        if let Some(parent) = self.folder.parent() {
            // Only where it is empty: another run may use it.
            let _ = std::fs::remove_dir(parent);
        }
    }
}
