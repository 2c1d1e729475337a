//! The perf gate: whether a change is slower than its base by more than a budget allows.
//!
//! `launch` makes one number of one launch's samples, `stats` says what several of them can bear, `decision` turns that
//! into a verdict; none of the three starts a process or reads a file. `arms` and `isolate` set the two checkouts apart,
//! and `trial` launches them.

pub mod arms;
pub mod decision;
pub mod history;
pub mod isolate;
pub mod launch;
pub mod recorded;
pub mod stats;
pub mod trial;
