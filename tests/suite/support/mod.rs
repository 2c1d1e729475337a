//! What every module of the suite may use, and the library tests too: the program under test, digests, sample results.

pub mod digest;
pub mod program;
pub mod results;
