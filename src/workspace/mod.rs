//! Manages the local work on contracts: claims, branches, worktrees and stored contracts. A service for commands: no command line,
//! no output, no environment variables.

pub mod clean;
pub mod main_worktree;
pub mod start;
pub mod stored_contract;
