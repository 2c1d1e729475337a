//! nmoe-gates: an issue is a contract, a pull request is an attestation, and this is what makes both true.
//!
//! The rooms, from the top; each uses only those below it (a test reads the `use` lines and holds this):
//! `cli` → `cmd` → `perf`, `pull`, `workspace` → `gate`, `lint` → `leaks`, `kernel`, `plan`, `policy`, `report` → `github`, `git` → `domain` → `document`, `system`, `terminal`.

#![allow(
    missing_docs,
    reason = "only the binary and its tests use this library; a comment that repeats a name does not help"
)]

pub mod cli;
pub mod cmd;
pub mod document;
pub mod domain;
pub mod gate;
pub mod git;
pub mod github;
pub mod kernel;
pub mod leaks;
pub mod lint;
pub mod perf;
pub mod plan;
pub mod policy;
pub mod pull;
pub mod report;
pub mod system;
pub mod terminal;
pub mod workspace;
