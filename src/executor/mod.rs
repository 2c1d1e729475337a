//! Submits gates as jobs to the scheduler of a site, and joins what the nodes report.
//!
//! Must not depend on commands or on the comparison of throughput.

pub mod folder;
pub mod jobs;
pub mod join;
pub mod kubernetes;
pub mod log;
pub mod scheduler;
pub mod series;
pub mod slurm;
pub mod wait;
