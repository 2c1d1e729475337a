//! Checks kernel libraries and GPUs: contents, origin and self-checks of a library, and the state of the machine.
//!
//! This module never loads a library into this process. It reads files as bytes; only the kernel host, a helper process,
//! loads them. Must not depend on gates or on the output of findings.

pub mod codes;
pub mod collectives;
pub mod cuda_error;
pub mod driver;
pub mod health;
pub mod host;
pub mod load;
pub mod pins;
pub mod snapshot;
pub mod source_names;
pub mod stamp;
pub mod verify;
