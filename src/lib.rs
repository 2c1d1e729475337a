//! nmoe-gates checks that pull requests do what their issues agreed: an issue is a contract, a pull request is an attestation.
//!
//! The modules, from the highest layer to the lowest. A module uses only modules of lower layers, which a test checks:
//! `cli` → `cmd` → `executor`, `perf`, `pull`, `workspace` → `gate`, `lint` → `leaks`, `kernel`, `plan`, `policy`, `report` → `github`, `git` → `domain` → `document`, `system`, `terminal`.

#![allow(
    missing_docs,
    reason = "only the binary and its tests use this library; a comment that repeats a name does not help"
)]

pub mod cli;
pub mod cmd;
pub mod document;
pub mod domain;
pub mod executor;
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
