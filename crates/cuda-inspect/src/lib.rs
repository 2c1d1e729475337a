//! Reads the device code of CUDA libraries: shared objects, object files, cubins and fat binaries.
//!
//! [`inspect`](inspect::inspect) decides whether a library is for one architecture only. Libraries are read as bytes, which
//! may be hostile; nothing is loaded or run. This crate depends on no other crate of the workspace.

pub mod arch;
mod archive;
pub mod cubin;
pub mod fatbin;
pub mod fault;
pub mod host_elf;
pub mod inspect;
mod inspection;
pub mod note;
pub mod ptx;
pub mod unpack;
