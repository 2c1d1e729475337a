//! Keeps the series that runs print, so that a numeric gate can compare the runs of a perf gate.
//!
//! Must not run or compare anything.

use std::collections::{BTreeMap, HashMap};

use crate::gate::engine::PerfCase;
use crate::gate::process::CommandOutcome;
use crate::perf::numeric::Track;
use crate::perf::samples;

/// The series of one run, by metric. A series with a number that cannot be read has the explanation instead.
pub type Printed = BTreeMap<String, Result<Track, String>>;

/// The runs of both sides of one command.
#[derive(Clone, Default)]
pub struct Runs {
    /// Of the baseline, or straight.
    pub base: Vec<Printed>,
    /// Of the change, or resumed.
    pub change: Vec<Printed>,
}

/// The runs of the perf gates so far, by the compared gate and the appended arguments.
pub type Shared = HashMap<(String, Option<String>), Runs>;

/// The metrics that numeric gates compare in the runs of this case.
pub fn wanted(case: &PerfCase<'_>) -> Vec<String> {
    let same = case.registry.gates.values().filter(|gate| {
        gate.compare_gate.as_deref() == Some(case.compare_id) && gate.perf_args == case.gate.perf_args
    });
    same.flat_map(|gate| gate.series.iter().cloned()).collect()
}

/// The series of a run that ended.
pub fn printed(ended: &CommandOutcome, metrics: &[String]) -> Printed {
    let of = |metric: &String| {
        let track = samples::numbers(ended.metrics.get(metric))
            .map(|(samples, resolution)| Track::of(&samples, resolution));
        (metric.clone(), track)
    };
    metrics.iter().map(of).collect()
}
