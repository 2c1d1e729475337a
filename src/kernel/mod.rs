//! Kernel libraries: what they hold, whether they were built from the checkout under test, whether they work, and what they would run on.
//!
//! Nothing here loads a library into this process. Files are read as bytes; what must be loaded is loaded by the kernel
//! host, a helper process that may die. This room knows nothing of gates or of how its findings are shown.

pub mod codes;
pub mod collectives;
pub mod driver;
pub mod health;
pub mod host;
pub mod load;
pub mod snapshot;
pub mod stamp;
pub mod subject;
