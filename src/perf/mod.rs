//! The perf gate: whether a change is slower than its base by more than a budget allows.
//!
//! `launch` makes one number of one launch's samples, `stats` says what several of them can bear, `decision` turns that
//! into a verdict. None of the three starts a process or reads a file.

pub mod decision;
pub mod launch;
pub mod stats;
