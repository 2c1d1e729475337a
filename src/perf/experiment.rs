//! Runs one comparison: builds both sides, discards one measurement of each, then measures pairs until they decide.
//!
//! The order is AB BA AB …; the discarded pair is BA, so that a penalty of the second measurement shows as a disagreement
//! with the first pair. Replaces disturbed measurements and keeps to the cap. Does not know where commands run (`site`).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::perf_summary;
use crate::domain::results::{Interference, KernelCheck, PairOrder, PerfResult};
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::engine::PerfCase;
use crate::gate::metrics::Forms;
use crate::gate::process::{CommandOutcome, Supervisor, Termination};
use crate::kernel::pins::{self, Change};
use crate::perf::arm_runner::{Arm, Site, stopped};
use crate::perf::arms::Arms;
use crate::perf::decision::percent;
use crate::perf::measurement::{Screening, Series, UnusableSamples};
use crate::perf::metric_set::{MetricSet, UnfitPair};
use crate::perf::numbers::{self, Runs};
use crate::perf::refusal::Refusal;
use crate::perf::samples;
use crate::perf::wall_time::{Pace, WallTimes};
use crate::perf::watch::Watch;

/// The most numbers of kernels in the results of one comparison.
const MOST_DELTAS: usize = 50;

/// One comparison under way.
pub struct Experiment<'a, 'b> {
    case: &'a PerfCase<'b>,
    site: Site<'a, 'b>,
    watch: Watch,
    cap: f64,
    gpu_minutes: f64,
    spoiled: BTreeMap<Interference, u32>,
    screening: Screening,
    forms: BTreeMap<String, Vec<Forms>>,
    restarted: u32,
    /// The metrics that numeric gates compare, and what the measurements printed of them.
    numbers: (Vec<String>, Runs),
    /// The pace of the last measurement of each side, and the pairs.
    paces: [Option<Pace>; 2],
    wall_times: WallTimes,
}

impl<'a, 'b> Experiment<'a, 'b> {
    /// Creates an experiment. The baseline must be checked out. A limit of 0 GPU-minutes means no limit.
    ///
    /// # Errors
    /// The two sides cannot be set up.
    pub fn new(
        case: &'a PerfCase<'b>,
        arms: &'a Arms,
        supervisor: &'a mut Supervisor,
        cap: f64,
    ) -> Result<Self, Refusal> {
        let watch = Watch::over(case.compare.gpus, supervisor);
        Ok(Experiment {
            case,
            site: Site::new(case, arms, supervisor)?,
            watch,
            cap,
            gpu_minutes: 0.0,
            spoiled: BTreeMap::new(),
            screening: Screening::default(),
            forms: BTreeMap::new(),
            restarted: 0,
            numbers: (numbers::wanted(case), Runs::default()),
            paces: [None, None],
            wall_times: WallTimes::default(),
        })
    }

    /// Builds both sides, before the first measurement.
    ///
    /// # Errors
    /// A side cannot be built.
    pub fn build(&mut self) -> Result<(), Refusal> {
        self.site.build()?;
        let changes = self.site.changes().unwrap_or_default();
        let said: Vec<String> = changes.iter().take(MOST_DELTAS).map(Change::message).collect();
        let more = changes.len() - said.len();
        for line in said {
            self.say(&format!("kernel {line}"));
        }
        if more > 0 {
            self.say(&format!("{more} more kernels differ from the baseline"));
        }
        Ok(())
    }

    /// Returns the comparison of the kernels of the change with those of the baseline; `None` if the gate needs no kernels.
    pub fn kernel_check(&self) -> Option<KernelCheck> {
        let mut deltas = pins::deltas_of_base(self.site.changes()?);
        deltas.truncate(MOST_DELTAS);
        Some(KernelCheck {
            name: KernelCheck::OF_BASE.to_owned(),
            library: None,
            status: Verdict::Pass,
            reason: None,
            duration_s: None,
            deltas,
        })
    }

    /// Checks that the files of both sides did not change since the build.
    ///
    /// # Errors
    /// A file changed.
    pub fn untouched(&self) -> Result<(), Refusal> {
        self.site.untouched()
    }

    /// Returns what the measurements printed for numeric gates.
    pub fn take_numbers(&mut self) -> Runs {
        std::mem::take(&mut self.numbers.1)
    }

    /// Returns the GPU-minutes so far.
    pub fn gpu_minutes(&self) -> f64 {
        self.gpu_minutes
    }

    /// Prints a line of progress.
    pub fn say(&mut self, text: &str) {
        self.site.say(text);
    }

    /// Records the cost and the discarded measurements.
    pub fn account(&self, perf: &mut PerfResult) {
        perf.spoiled = self.spoiled.values().sum();
        perf.spoiled_by = self.spoiled.clone();
        perf.unsteady = self.screening.unsteady;
        perf.restarted = self.restarted;
        perf.unwatched = self.watch.blind();
        if self.case.compare.gpus > 0 {
            perf.gpu_minutes = Some(self.gpu_minutes);
        }
    }

    /// Measures pairs until they decide, or no more are allowed.
    ///
    /// # Errors
    /// A measurement failed, was disturbed twice, or cannot be used.
    pub fn pairs(
        &mut self,
        metrics: &mut MetricSet,
        max_pairs: u32,
        perf: &mut PerfResult,
    ) -> Result<(Verdict, Option<Reason>), Refusal> {
        if metrics.metrics().iter().all(|m| !m.how.threshold) {
            self.warm_up(metrics)?;
        }
        for pair in 1..=max_pairs {
            match self.pair(metrics, pair) {
                Ok(()) => {}
                Err(refusal) if refusal.reason == Reason::GpuMinutes && pair > 1 => {
                    metrics.record(perf, Reason::GpuMinutes);
                    return Ok(metrics.verdict(Reason::GpuMinutes));
                }
                Err(refusal) => return Err(refusal),
            }
            let decided = metrics.evaluate();
            metrics.record(perf, Reason::Noisy);
            if let Some(decided) = decided {
                if decided.0 == Verdict::Pass {
                    self.wall_times.check()?;
                }
                return Ok(decided);
            }
            let progress = perf_summary::interim(perf);
            self.say(&format!("pair {pair} of at most {max_pairs}: {progress}"));
        }
        Ok(metrics.verdict(Reason::Noisy))
    }

    /// Measures so many pairs of identical code.
    ///
    /// # Errors
    /// A measurement failed, was disturbed twice, or cannot be used.
    pub fn calibrate(&mut self, metrics: &mut MetricSet, count: u32) -> Result<(), Refusal> {
        self.warm_up(metrics)?;
        for n in 1..=count {
            self.pair(metrics, n)?;
            let ratio = metrics
                .metrics()
                .first()
                .and_then(|main| Some(main.perf().pairs.last()?.log_ratio));
            let change = perf_summary::change(percent(ratio.unwrap_or(0.0)));
            self.say(&format!("pair {n} of {count}: {change}"));
        }
        Ok(())
    }

    /// Runs the discarded measurement of each side: it fills caches and warms the machine.
    fn warm_up(&mut self, metrics: &mut MetricSet) -> Result<(), Refusal> {
        let change = self.run(Arm::Head)?;
        let base = self.run(Arm::Base)?;
        let base = self.samples(Arm::Base, &base, metrics)?;
        let change = self.samples(Arm::Head, &change, metrics)?;
        metrics.warm_up(&base, &change);
        Ok(())
    }

    /// Measures the pair of this number, from 1: the baseline first if it is odd.
    fn pair(&mut self, metrics: &mut MetricSet, number: u32) -> Result<(), Refusal> {
        let base_first = !number.is_multiple_of(2);
        let (base, change) = if base_first {
            let base = self.measure(Arm::Base, metrics)?;
            (base, self.measure(Arm::Head, metrics)?)
        } else {
            let change = self.measure(Arm::Head, metrics)?;
            (self.measure(Arm::Base, metrics)?, change)
        };
        let order = if base_first {
            PairOrder::BaseFirst
        } else {
            PairOrder::ChangeFirst
        };
        metrics.push(order, &base, &change).map_err(|unfit| {
            let UnfitPair {
                metric,
                unfit,
                steps: [base, change],
            } = unfit;
            let why = format!(
                "a pair cannot be compared for `{metric}`: {unfit}; {base} steps of the baseline and {change} of the change"
            );
            Refusal::invalid(Reason::NoSamples, why)
        })?;
        let main = metrics.metrics().first();
        if let Some(pair) = main.and_then(|main| main.perf().pairs.last()) {
            let [base, change] = self.paces;
            self.wall_times.push(base, change, pair.log_ratio);
        }
        Ok(())
    }

    /// Takes a measurement that counts. A measurement that is disturbed or too short is discarded and repeated once. If the GPUs
    /// disturb the repetition too, the comparison is invalid.
    fn measure(&mut self, arm: Arm, metrics: &MetricSet) -> Result<Vec<Series>, Refusal> {
        let mut replaced = false;
        loop {
            self.watch.before();
            let ended = self.run(arm);
            let troubles = self.watch.after();
            if let Some((interference, says)) = troubles.first().filter(|_| says_something(&ended)) {
                self.set_aside(arm, *interference, says, replaced);
                if replaced {
                    let why = format!("a measurement of the {} was disturbed twice: {says}", arm.name());
                    return Err(Refusal::invalid(Reason::Spoiled, why));
                }
                replaced = true;
                continue;
            }
            let series = self.samples(arm, &ended?, metrics)?;
            let Some(interference) = self.screen(arm, &series, metrics, replaced)? else {
                return Ok(series);
            };
            let says = match interference {
                Interference::Short => "its log is too short",
                _ => "its samples drift",
            };
            self.set_aside(arm, interference, says, false);
            replaced = true;
        }
    }

    /// Returns why a measurement must be repeated, if it must. Only the main metric shows drift: a loss is supposed to fall.
    fn screen(
        &mut self,
        arm: Arm,
        series: &[Series],
        metrics: &MetricSet,
        replaced: bool,
    ) -> Result<Option<Interference>, Refusal> {
        for (nth, (metric, series)) in metrics.metrics().iter().zip(series).enumerate() {
            let checked = match (nth, series.reduce(metric.how)) {
                (0, _) => self.screening.check(series, metric.how, replaced),
                (_, Err(UnusableSamples::TooFew { .. })) if !replaced => Ok(Some(Interference::Short)),
                (_, reduced) => reduced.map(|_| None),
            };
            let checked = checked.map_err(|unfit| {
                let (which, metric) = (arm.name(), &metric.name);
                let why = format!("a measurement of the {which} cannot be used for `{metric}`: {unfit}");
                Refusal::invalid(Reason::NoSamples, why)
            })?;
            if checked.is_some() {
                return Ok(checked);
            }
        }
        Ok(None)
    }

    /// The samples of each metric of a measurement that ended, written like those before it.
    fn samples(
        &mut self,
        arm: Arm,
        ended: &CommandOutcome,
        metrics: &MetricSet,
    ) -> Result<Vec<Series>, Refusal> {
        let refused = |why| Refusal::invalid(Reason::UnreadableNumber, why);
        let main = metrics.metrics().first();
        self.paces[usize::from(arm == Arm::Head)] = main.and_then(|main| Pace::of(ended, &main.name));
        let mut series = Vec::new();
        let mut restarted = false;
        for metric in metrics.metrics() {
            let printed = samples::of(ended, &metric.name).map_err(refused)?;
            let forms = self.forms.entry(metric.name.clone()).or_default();
            if let Some(why) = forms.iter().find_map(|other| other.clash(&printed.forms)) {
                return Err(refused(why.to_owned()));
            }
            forms.push(printed.forms.clone());
            restarted |= printed.restarted;
            for note in &printed.notes {
                self.say(&format!("a measurement of the {}: {note}", arm.name()));
            }
            series.push(Series::of(&printed.samples).written_to(printed.forms.resolution()));
        }
        self.restarted += u32::from(restarted);
        Ok(series)
    }

    fn set_aside(&mut self, arm: Arm, interference: Interference, says: &str, again: bool) {
        *self.spoiled.entry(interference).or_default() += 1;
        let then = if again {
            "was to replace another"
        } else {
            "is replaced"
        };
        self.say(&format!(
            "a measurement of the {} is discarded and {then} ({}): {says}",
            arm.name(),
            interference.as_str()
        ));
    }

    /// Runs the compared command on one side, with a separate run root.
    ///
    /// # Errors
    /// The command did not exit with 0, or the limit of GPU-minutes is reached.
    pub fn run(&mut self, arm: Arm) -> Result<CommandOutcome, Refusal> {
        let Some(command) = self.case.compare.cmd.as_deref() else {
            return Err(Refusal::invalid(
                Reason::BadRegistry,
                "the compared gate has no `cmd`",
            ));
        };
        let mut text = command.trim_end().to_owned();
        if let Some(args) = self.case.gate.perf_args.as_deref() {
            text = format!("{text} {args}");
        }
        let ended = self.run_command(arm, &text, "measurement")?;
        let (wanted, runs) = &mut self.numbers;
        if !wanted.is_empty() {
            let side = match arm {
                Arm::Base => &mut runs.base,
                Arm::Head => &mut runs.change,
            };
            side.push(numbers::printed(&ended, wanted));
        }
        Ok(ended)
    }

    /// Runs a command on one side, within the limits of the compared gate and with a separate run root.
    ///
    /// # Errors
    /// As [`Experiment::run`].
    pub fn run_command(&mut self, arm: Arm, text: &str, what: &str) -> Result<CommandOutcome, Refusal> {
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
        let limit = (compare.timeout_s > 0).then(|| Duration::from_secs(compare.timeout_s));
        let ended = self.site.shell(arm, text, what, limit)?;
        self.gpu_minutes += ended.duration.as_secs_f64() / 60.0 * f64::from(compare.gpus);
        stopped(&ended)?;
        if ended.termination != Termination::Exited(0) {
            self.site.has_room()?;
        }
        let (verdict, reason) = match (ended.termination, arm) {
            (Termination::Exited(0), _) => return Ok(ended),
            (_, Arm::Base) => (Verdict::Invalid, Reason::BaselineFailed),
            (Termination::Exited(_), Arm::Head) => (Verdict::Fail, Reason::ExitCode),
            (Termination::TimedOut, Arm::Head) => (Verdict::Fail, Reason::Timeout),
            (Termination::Silent, Arm::Head) => (Verdict::Fail, Reason::Silence),
            (Termination::Signalled(_) | Termination::Stopped(_), Arm::Head) => {
                (Verdict::Fail, Reason::Signal)
            }
        };
        let why = format!("a {what} of the {} did not end well", arm.name());
        Err(Refusal::new(verdict, reason, why))
    }
}

/// Returns whether a disturbed machine can explain this end of a measurement.
fn says_something(ended: &Result<CommandOutcome, Refusal>) -> bool {
    match ended {
        Ok(_) => true,
        Err(refusal) => matches!(
            refusal.reason,
            Reason::ExitCode | Reason::Signal | Reason::Timeout | Reason::Silence | Reason::BaselineFailed
        ),
    }
}
