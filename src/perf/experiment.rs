//! Runs one comparison: builds both sides, discards one measurement of each, then measures pairs until they decide.
//!
//! The order is AB BA AB …; the discarded pair is BA, so that a penalty of the second measurement shows as a disagreement
//! with the first pair. Replaces disturbed measurements and keeps to the cap. Does not know where commands run (`site`).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::noise::{Estimator, metric_name};
use crate::domain::perf_summary;
use crate::domain::registry::Direction;
use crate::domain::results::{PairOrder, PerfResult, Spoiler};
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::engine::PerfCase;
use crate::gate::metrics::Forms;
use crate::gate::process::{CommandOutcome, Supervisor, Termination};
use crate::perf::arms::Arms;
use crate::perf::decision::{Rule, Step, percent};
use crate::perf::measurement::{Reduction, Sample, Screening, Series};
use crate::perf::record::Pairs;
use crate::perf::recorded::TWO_FORMS;
use crate::perf::refusal::Refusal;
use crate::perf::samples;
use crate::perf::site::{Arm, Site, stopped};
use crate::perf::stats::History;
use crate::perf::watch::Watch;

/// One comparison under way.
pub struct Experiment<'a, 'b> {
    case: &'a PerfCase<'b>,
    site: Site<'a, 'b>,
    watch: Watch,
    metric: String,
    cap: f64,
    gpu_minutes: f64,
    spoiled: BTreeMap<Spoiler, u32>,
    screening: Screening,
    forms: Option<Forms>,
    restarted: u32,
}

impl<'a, 'b> Experiment<'a, 'b> {
    /// An experiment on a case whose baseline is checked out, within a cap of GPU-minutes; 0 is none.
    ///
    /// # Errors
    /// The arms cannot be set up.
    pub fn new(
        case: &'a PerfCase<'b>,
        arms: &'a Arms,
        supervisor: &'a mut Supervisor,
        cap: f64,
    ) -> Result<Self, Refusal> {
        let watch = Watch::over(case.compare.gpus, supervisor);
        Ok(Experiment {
            metric: metric_name(case.gate.metric.as_deref().unwrap_or("node_tps_p50")).to_owned(),
            case,
            site: Site::new(case, arms, supervisor)?,
            watch,
            cap,
            gpu_minutes: 0.0,
            spoiled: BTreeMap::new(),
            screening: Screening::default(),
            forms: None,
            restarted: 0,
        })
    }

    /// Builds both sides, before the first measurement.
    ///
    /// # Errors
    /// A side cannot be built.
    pub fn build(&mut self) -> Result<(), Refusal> {
        self.site.build()
    }

    /// Checks that both sides still are what was built.
    ///
    /// # Errors
    /// They are not.
    pub fn untouched(&self) -> Result<(), Refusal> {
        self.site.untouched()
    }

    /// Prints a line of progress.
    pub fn say(&mut self, text: &str) {
        self.site.say(text);
    }

    /// Writes down the cost and the discarded measurements, whatever the result.
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
        rule: &Rule,
        stored: Option<History>,
        perf: &mut PerfResult,
    ) -> Result<(Verdict, Option<Reason>), Refusal> {
        let how = self.reduction(rule.threshold, rule.direction);
        let mut pairs = Pairs::new(rule.max_pairs, how, stored.map(|s| s.estimator));
        if !rule.threshold {
            self.warm_up(&mut pairs)?;
        }
        loop {
            let have = pairs.len();
            match self.pair(&mut pairs, how, perf) {
                Ok(()) => {}
                Err(refusal) if refusal.reason == Reason::GpuMinutes && have > 0 => {
                    return Ok((Verdict::Inconclusive, Some(Reason::GpuMinutes)));
                }
                Err(refusal) => return Err(refusal),
            }
            let judged = rule.judge(&pairs.evidence(stored));
            pairs.record(perf, &judged);
            if let Step::Done(verdict, reason) = judged.step {
                return Ok((verdict, reason));
            }
            self.say(&format!(
                "pair {} of at most {}: {}",
                have + 1,
                rule.max_pairs,
                perf_summary::interim(perf)
            ));
        }
    }

    /// Measures so many pairs of identical code and returns their log ratios, with the estimator that was chosen for them.
    ///
    /// # Errors
    /// A measurement failed, was disturbed twice, or cannot be used.
    pub fn calibrate(&mut self, count: u32, direction: Direction) -> Result<(Vec<f64>, Estimator), Refusal> {
        let how = self.reduction(false, direction);
        let mut pairs = Pairs::new(count, how, None);
        let mut perf = PerfResult::default();
        self.warm_up(&mut pairs)?;
        for n in 1..=count {
            self.pair(&mut pairs, how, &mut perf)?;
            let ratio = perf.pairs.last().map_or(0.0, |p| p.log_ratio);
            self.say(&format!(
                "pair {n} of {count}: {}",
                perf_summary::change(percent(ratio))
            ));
        }
        let ratios = perf.pairs.iter().map(|p| p.log_ratio).collect();
        Ok((ratios, pairs.estimator().unwrap_or_default()))
    }

    fn reduction(&self, threshold: bool, direction: Direction) -> Reduction {
        Reduction {
            warmup_steps: self.case.gate.warmup_steps,
            threshold,
            direction,
        }
    }

    /// Runs the discarded measurement of each side: it fills caches and warms the machine.
    fn warm_up(&mut self, pairs: &mut Pairs) -> Result<(), Refusal> {
        let change = self.run(Arm::Head)?;
        let base = self.run(Arm::Base)?;
        let base = Series::of(&self.samples(Arm::Base, &base)?);
        let change = Series::of(&self.samples(Arm::Head, &change)?);
        pairs.warm_up(&base, &change);
        Ok(())
    }

    /// Measures one pair that counts.
    fn pair(&mut self, pairs: &mut Pairs, how: Reduction, perf: &mut PerfResult) -> Result<(), Refusal> {
        let base_first = pairs.len().is_multiple_of(2);
        let (base, change) = if base_first {
            let base = self.measure(Arm::Base, how)?;
            (base, self.measure(Arm::Head, how)?)
        } else {
            let change = self.measure(Arm::Head, how)?;
            (self.measure(Arm::Base, how)?, change)
        };
        let order = if base_first {
            PairOrder::BaseFirst
        } else {
            PairOrder::ChangeFirst
        };
        pairs.push(perf, order, &base, &change).map_err(|unfit| {
            let [base, change] = [base.len(), change.len()];
            let why = format!(
                "a pair cannot be compared: {unfit}; {base} steps of the baseline and {change} of the change"
            );
            Refusal::invalid(Reason::NoSamples, why)
        })
    }

    /// Takes a measurement that counts. One that is disturbed or too short is discarded and replaced once. If the GPUs disturb
    /// the replacement too, the comparison is invalid.
    fn measure(&mut self, arm: Arm, how: Reduction) -> Result<Series, Refusal> {
        let mut replaced = false;
        loop {
            self.watch.before();
            let ended = self.run(arm);
            let troubles = self.watch.after();
            if let Some((spoiler, says)) = troubles.first().filter(|_| says_something(&ended)) {
                self.set_aside(arm, *spoiler, says, replaced);
                if replaced {
                    let why = format!("a measurement of the {} was disturbed twice: {says}", arm.name());
                    return Err(Refusal::invalid(Reason::Spoiled, why));
                }
                replaced = true;
                continue;
            }
            let series = Series::of(&self.samples(arm, &ended?)?);
            let checked = self.screening.check(&series, how, replaced).map_err(|unfit| {
                let (which, metric) = (arm.name(), &self.metric);
                let why = format!("a measurement of the {which} cannot be used for `{metric}`: {unfit}");
                Refusal::invalid(Reason::NoSamples, why)
            })?;
            let Some(spoiler) = checked else {
                return Ok(series);
            };
            let says = match spoiler {
                Spoiler::Short => "its log is too short",
                _ => "its samples drift",
            };
            self.set_aside(arm, spoiler, says, false);
            replaced = true;
        }
    }

    /// The samples of a measurement that ended, written like those before it.
    fn samples(&mut self, arm: Arm, ended: &CommandOutcome) -> Result<Vec<Sample>, Refusal> {
        let refused = |why| Refusal::invalid(Reason::UnreadableNumber, why);
        let printed = samples::of(ended, &self.metric).map_err(refused)?;
        if self
            .forms
            .get_or_insert_with(|| printed.forms.clone())
            .clash(&printed.forms)
        {
            return Err(refused(TWO_FORMS.to_owned()));
        }
        self.restarted += u32::from(printed.restarted);
        for note in &printed.notes {
            self.say(&format!("a launch of the {}: {note}", arm.name()));
        }
        Ok(printed.samples)
    }

    fn set_aside(&mut self, arm: Arm, spoiler: Spoiler, says: &str, again: bool) {
        *self.spoiled.entry(spoiler).or_default() += 1;
        let then = if again {
            "was to replace another"
        } else {
            "is replaced"
        };
        self.say(&format!(
            "a measurement of the {} is discarded and {then} ({}): {says}",
            arm.name(),
            spoiler.word()
        ));
    }

    /// Runs the compared command on one side, with a run root of its own.
    fn run(&mut self, arm: Arm) -> Result<CommandOutcome, Refusal> {
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
            return Err(Refusal::invalid(
                Reason::BadRegistry,
                "the compared gate has no `cmd`",
            ));
        };
        let mut text = command.trim_end().to_owned();
        if let Some(args) = self.case.gate.perf_args.as_deref() {
            text = format!("{text} {args}");
        }
        let limit = (compare.timeout_s > 0).then(|| Duration::from_secs(compare.timeout_s));
        let ended = self.site.shell(arm, &text, "launch", limit)?;
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
        let why = format!("a measurement of the {} did not end well", arm.name());
        Err(Refusal::new(verdict, reason, why))
    }
}

/// Whether the machine may be the cause of how a measurement ended.
fn says_something(ended: &Result<CommandOutcome, Refusal>) -> bool {
    match ended {
        Ok(_) => true,
        Err(refusal) => matches!(
            refusal.reason,
            Reason::ExitCode | Reason::Signal | Reason::Timeout | Reason::Silence | Reason::BaselineFailed
        ),
    }
}
