//! GitHub: what it says about issues and pull requests, and the little that is written back.
//!
//! Knows nothing of gates, contracts or tables: numbers and text in, plain types out. Every failure is a [`fault::Fault`]
//! that names its cause and its remedy and never holds a token, a host name or an address.

pub mod access;
pub mod api;
pub mod client;
pub mod closing;
pub mod command;
pub mod comments;
pub mod event;
pub mod fault;
pub mod retry;
pub mod types;
