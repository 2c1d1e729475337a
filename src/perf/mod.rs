//! The perf gate: decides whether a change is slower than its base by more than a budget allows.
//!
//! `measurement` reduces the samples of one measurement, `stats` estimates what several prove, `decision` turns that into a
//! verdict, `record` collects the pairs and writes them down, `metric_set` does this for several metrics of the same
//! measurements; none of the five starts a process or reads a file. `arms` and
//! `isolate` set up the two checkouts, `baseline` seals the built baseline, `site` builds and
//! runs commands in them, `watch` monitors the GPUs, `wall_time` compares what is printed with the time it took,
//! `experiment` measures until the pairs decide, and `judge` returns the verdict to the run. `renewal` turns the
//! pairs of past comparisons into stored noise.
//!
//! `comparisons` says what the history keeps and at which commit, `history` stores it, and `trend` finds what changed.
//!
//! `numeric` compares what both sides compute, step by step, and `numeric_gate` runs them for it.

pub mod arm_runner;
pub mod arms;
pub mod baseline;
pub mod comparisons;
pub mod decision;
#[cfg(test)]
pub mod dice;
pub mod evaluator;
pub mod experiment;
pub mod from_logs;
pub mod history;
pub mod isolate;
pub mod measurement;
pub mod metric_set;
pub mod numbers;
pub mod numeric;
pub mod numeric_gate;
pub mod record;
pub mod refusal;
pub mod renewal;
pub mod samples;
pub mod stats;
pub mod trend;
pub mod wall_time;
pub mod watch;
