//! Reads issues and pull requests from GitHub, and writes comments and commit statuses.
//!
//! Must not depend on gates, contracts or tables. Every failure is a [`error::GitHubError`] with its cause and a fix; it never
//! contains a token, a host name or an address.

pub mod api;
pub mod batch;
pub mod client;
pub mod closing_keywords;
pub mod comments;
pub mod conditional;
pub mod config;
pub mod error;
pub mod event;
pub mod graphql;
pub mod retry;
pub mod statuses;
pub mod types;
pub mod workflow_command;
pub mod workflow_run;
