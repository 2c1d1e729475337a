//! The perf gate: whether a change is slower than its base by more than a budget allows.
//!
//! `launch` makes one number of one launch's samples, `stats` says what several of them can bear, `decision` turns that
//! into a verdict, `record` writes it down; none of the four starts a process or reads a file. `arms` and `isolate` set the
//! two checkouts apart, `site` builds and runs commands in them, `watch` looks at the GPUs meanwhile, `trial` is the
//! experiment, and `judge` answers for it to the run.

pub mod arms;
pub mod decision;
pub mod history;
pub mod isolate;
pub mod judge;
pub mod launch;
pub mod record;
pub mod recorded;
pub mod refusal;
pub mod samples;
pub mod site;
pub mod stats;
pub mod trial;
pub mod watch;
