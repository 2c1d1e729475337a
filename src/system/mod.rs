//! The machine we run on: environment, clock, files, processes, signals. Knows nothing of gates.

pub mod cgroup;
pub mod clock;
pub mod digest;
pub mod files;
pub mod keeper;
pub mod panics;
pub mod process;
pub mod random;
pub mod signals;
pub mod supervise;
