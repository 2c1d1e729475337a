//! The leak scanner as this program uses it: findings, settings, private terms and the names of this machine.
//!
//! The engine and the rules are the crate `leakscan`, which knows nothing of this program. This module must not depend on
//! contracts, gates or GitHub.

pub mod baseline;
pub mod codes;
pub mod finding;
pub mod machine;
pub mod private_terms;
pub mod scan_diff;
pub mod suppression;
