//! Results made readable: one view model, templates for people, and the formats that machines read.
//!
//! Knows nothing of how a gate is run or of GitHub's API. What it reads is untrusted; what it writes is built from
//! closed words, numbers and quoted names.

pub mod charts;
pub mod comment_sections;
pub mod comparison;
pub mod embedded_results;
pub mod escape;
pub mod findings;
pub mod intoto;
pub mod junit;
pub mod kernels;
pub mod merge_results;
pub mod number;
pub mod plot;
pub mod read;
pub mod render;
pub mod rich_text;
pub mod sarif;
pub mod templates;
pub mod verify;
pub mod view;
