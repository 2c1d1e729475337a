//! The gates: which ones, whether they can run here, running them under full supervision, and what came of it.
//!
//! Knows nothing of how a result is shown or published.

pub mod engine;
pub mod evidence;
pub mod external;
pub mod guard;
pub mod journal;
pub mod kernels;
pub mod launch;
pub mod library;
pub mod lock;
pub mod metrics;
pub mod output;
pub mod preflight;
pub mod record;
pub mod select;
pub mod verdict;
