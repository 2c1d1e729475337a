//! Human output: what a terminal or a job log may show of text that others wrote.
//!
//! [`Text`] is the only way from a command to a person: it escapes each line. [`escape`] holds the rules and
//! [`workflow_commands`] disarms the commands of the Actions runner. Nothing here writes or reads the environment.

pub mod color;
pub mod escape;
mod text;
pub mod workflow_commands;

pub use text::Text;
