//! GitHub: what it says about issues and pull requests, and the little that is written back.
//!
//! Knows nothing of gates, contracts or tables: numbers and text in, plain types out. Every failure is a [`error::GitHubError`]
//! that names its cause and its remedy and never holds a token, a host name or an address.

pub mod api;
pub mod client;
pub mod closing_keywords;
pub mod comments;
pub mod config;
pub mod error;
pub mod event;
pub mod retry;
pub mod types;
pub mod workflow_command;
