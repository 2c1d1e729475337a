//! Results made readable: one view model, templates for people, and the formats that machines read.
//!
//! Knows nothing of how a gate is run or of GitHub's API. What it reads is untrusted; what it writes is built from
//! closed words, numbers and quoted names.

pub mod carried;
pub mod charts;
pub mod comparison;
pub mod escape;
pub mod findings;
pub mod frame;
pub mod intoto;
pub mod join;
pub mod junit;
pub mod kernels;
pub mod number;
pub mod page;
pub mod plot;
pub mod read;
pub mod rich_text;
pub mod sarif;
pub mod templates;
pub mod verify;
pub mod view;
