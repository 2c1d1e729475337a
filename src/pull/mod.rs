//! Reads a pull request as it is now. Services for commands: no arguments, no output, no environment variables.
//!
//! Must not judge what it reads: the lints and the report do.

pub mod contract;
pub mod scope;
