//! Shared by all modules of the suite and by the library tests: the program under test, digests, sample documents and results.

pub mod contract;
pub mod digest;
pub mod program;
pub mod registry;
pub mod results;
