//! The experiment: both arms built, one launch of each thrown away, then pairs in the order AB BA AB … until they decide.
//!
//! Sets aside what is spoiled and keeps to the cap; where launches run and what they may see is the site's affair.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::noise::metric_name;
use crate::domain::perf_summary;
use crate::domain::results::{PerfResult, Spoiler};
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::engine::PerfCase;
use crate::gate::metrics::Forms;
use crate::gate::process::{CommandOutcome, Supervisor, Termination};
use crate::perf::arms::Arms;
use crate::perf::decision::{Rule, Step};
use crate::perf::launch::{self, Launch, Sample, Warmup};
use crate::perf::record::Pairs;
use crate::perf::recorded::TWO_FORMS;
use crate::perf::refusal::Refusal;
use crate::perf::samples;
use crate::perf::site::{Arm, Site, stopped};
use crate::perf::stats::History;
use crate::perf::watch::Watch;

/// One comparison under way.
pub struct Trial<'a, 'b> {
    case: &'a PerfCase<'b>,
    site: Site<'a, 'b>,
    watch: Watch,
    metric: String,
    cap: f64,
    gpu_minutes: f64,
    spoiled: BTreeMap<Spoiler, u32>,
    unsteady: u32,
    forms: Option<Forms>,
    restarted: u32,
}

impl<'a, 'b> Trial<'a, 'b> {
    /// A trial of a case whose baseline is checked out, within a cap of GPU-minutes; 0 is none.
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
        Ok(Trial {
            metric: metric_name(case.gate.metric.as_deref().unwrap_or("node_tps_p50")).to_owned(),
            case,
            site: Site::new(case, arms, supervisor)?,
            watch,
            cap,
            gpu_minutes: 0.0,
            spoiled: BTreeMap::new(),
            unsteady: 0,
            forms: None,
            restarted: 0,
        })
    }

    /// Builds both arms, before the first launch.
    ///
    /// # Errors
    /// An arm cannot be built.
    pub fn build(&mut self) -> Result<(), Refusal> {
        self.site.build()
    }

    /// Whether both arms still are what was built.
    ///
    /// # Errors
    /// They are not.
    pub fn untouched(&self) -> Result<(), Refusal> {
        self.site.untouched()
    }

    /// Tells those who watch.
    pub fn say(&mut self, text: &str) {
        self.site.say(text);
    }

    /// What it cost and what was set aside, whatever came of it.
    pub fn account(&self, perf: &mut PerfResult) {
        perf.spoiled = self.spoiled.values().sum();
        perf.spoiled_by = self.spoiled.clone();
        perf.unsteady = self.unsteady;
        perf.restarted = self.restarted;
        perf.unwatched = self.watch.blind();
        if self.case.compare.gpus > 0 {
            perf.gpu_minutes = Some(self.gpu_minutes);
        }
    }

    /// Pairs until they decide, or no more are allowed.
    ///
    /// # Errors
    /// A launch failed, was spoiled twice, or cannot be judged.
    pub fn pairs(
        &mut self,
        rule: &Rule,
        history: Option<History>,
        perf: &mut PerfResult,
    ) -> Result<(Verdict, Option<Reason>), Refusal> {
        if !rule.threshold {
            self.settle_in()?;
        }
        let mut pairs = Pairs::of_at_most(rule.max_pairs);
        loop {
            let have = pairs.log_ratios().len();
            let base_first = have.is_multiple_of(2);
            let [base, head] = match self.pair(base_first, rule.threshold) {
                Ok(pair) => pair,
                Err(refusal) if refusal.reason == Reason::GpuMinutes && have > 0 => {
                    return Ok((Verdict::Inconclusive, Some(Reason::GpuMinutes)));
                }
                Err(refusal) => return Err(refusal),
            };
            pairs.push(perf, base_first, &base, &head);
            let judged = rule.judge(pairs.log_ratios(), history);
            pairs.record(perf, &judged);
            if let Step::Done(verdict, reason) = judged.step {
                return Ok((verdict, reason));
            }
            self.say(&format!(
                "pair {} of at most {}: {}",
                have + 1,
                rule.max_pairs,
                perf_summary::sentence(perf, Verdict::Inconclusive, None)
            ));
        }
    }

    /// One launch of each arm that does not count: it fills caches and warms the machine.
    ///
    /// # Errors
    /// A launch failed.
    pub fn settle_in(&mut self) -> Result<(), Refusal> {
        for arm in [Arm::Base, Arm::Head] {
            self.launch(arm)?;
        }
        Ok(())
    }

    /// One launch of each arm that counts.
    ///
    /// # Errors
    /// A launch failed, was spoiled twice, or the two measured different amounts.
    pub fn pair(&mut self, base_first: bool, threshold: bool) -> Result<[Launch; 2], Refusal> {
        let (base, head) = if base_first {
            let base = self.measure(Arm::Base, threshold)?;
            (base, self.measure(Arm::Head, threshold)?)
        } else {
            let head = self.measure(Arm::Head, threshold)?;
            (self.measure(Arm::Base, threshold)?, head)
        };
        if !launch::alike(&base, &head) && !threshold {
            return Err(Refusal::invalid(
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

    /// A launch that counts. One that is spoiled is set aside and replaced once; samples that drift again are how this trainer
    /// is, in both arms alike, but what the GPUs suffer twice makes the comparison invalid.
    fn measure(&mut self, arm: Arm, threshold: bool) -> Result<Launch, Refusal> {
        let mut replaced = false;
        loop {
            self.watch.before();
            let ended = self.launch(arm);
            let troubles = self.watch.after();
            if let Some((spoiler, says)) = troubles.first().filter(|_| says_something(&ended)) {
                self.set_aside(arm, *spoiler, says, replaced);
                if replaced {
                    let why = format!("a launch of the {} was spoiled twice: {says}", arm.name());
                    return Err(Refusal::invalid(Reason::Spoiled, why));
                }
                replaced = true;
                continue;
            }
            let warmup = Warmup {
                steps: self.case.gate.warmup_steps,
                threshold,
            };
            let samples = self.samples(arm, &ended?)?;
            let launch = launch::launch(&samples, warmup).map_err(|unfit| {
                let (which, metric) = (arm.name(), &self.metric);
                let why = format!("a launch of the {which} cannot be judged by `{metric}`: {unfit}");
                Refusal::invalid(Reason::NoSamples, why)
            })?;
            if launch.steady || threshold || replaced {
                self.unsteady += u32::from(!launch.steady);
                return Ok(launch);
            }
            self.set_aside(arm, Spoiler::Drift, "its samples drift", false);
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
            "is run again"
        };
        self.say(&format!(
            "a launch of the {} is set aside and {then} ({}): {says}",
            arm.name(),
            spoiler.word()
        ));
    }

    /// Launches the compared command in one arm, with a run root of its own.
    fn launch(&mut self, arm: Arm) -> Result<CommandOutcome, Refusal> {
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
        let why = format!("a launch of the {} did not end well", arm.name());
        Err(Refusal::new(verdict, reason, why))
    }
}

/// Whether a launch came to an end that its machine may be to blame for.
fn says_something(ended: &Result<CommandOutcome, Refusal>) -> bool {
    match ended {
        Ok(_) => true,
        Err(refusal) => matches!(
            refusal.reason,
            Reason::ExitCode | Reason::Signal | Reason::Timeout | Reason::Silence | Reason::BaselineFailed
        ),
    }
}
