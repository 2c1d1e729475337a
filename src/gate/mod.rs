//! Selects gates, checks whether they can run here, runs them under supervision, and records the results.
//!
//! Must not depend on how a result is displayed or published.

pub mod command_file_guard;
pub mod container;
pub mod engine;
pub mod evidence;
pub mod external;
pub mod filter;
pub mod gpu_probe;
pub mod gpu_use;
pub mod isolation;
pub mod jit_caches;
pub mod journal;
pub mod kernel_build;
pub mod lock;
pub mod log;
pub mod mapped;
pub mod metrics;
pub mod output;
pub mod preflight;
pub mod preload;
pub mod printing;
pub mod process;
pub mod recorder;
pub mod rehearsal;
pub mod running;
pub mod select;
pub mod verdict;
