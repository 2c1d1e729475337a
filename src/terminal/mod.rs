//! Composes output for people and escapes untrusted text in it, for terminals and job logs.
//!
//! Every command builds its output as a [`Text`], which escapes each line. [`escape`] contains the rules, and
//! [`workflow_commands`] disarms commands of the Actions runner. Must not write output or read the environment.

pub mod color;
pub mod escape;
mod text;
pub mod workflow_commands;
mod wrap;

pub use text::Text;
pub use wrap::{COLUMNS, wrap};
