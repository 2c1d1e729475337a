//! Manages the local work on a contract: its branch, its worktree and the stored contract. A service for commands: no arguments,
//! no output, no environment variables.

pub mod stored_contract;
