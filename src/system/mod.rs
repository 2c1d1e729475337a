//! Wraps the operating system: clock, files, processes, signals. Must not depend on gates.

pub mod call;
pub mod cgroup;
pub mod clock;
pub mod digest;
pub mod files;
pub mod kernel_timers;
pub mod links;
pub mod packed;
pub mod panics;
pub mod pid_namespace;
pub mod process;
pub mod process_tree;
pub mod random;
pub mod signals;
pub mod supervisor;
mod syscall;
