//! Formats results: one view model, templates for people, and the formats that machines read.
//!
//! Must not depend on how a gate runs, or on the API of GitHub. Reads untrusted input, and writes only fixed words, numbers
//! and quoted names.

pub mod charts;
pub mod comment_sections;
pub mod comparison;
pub mod embedded_results;
pub mod escape;
pub mod findings;
pub mod history;
pub mod intoto;
pub mod junit;
pub mod kernels;
pub mod links;
pub mod merge_results;
pub mod number;
pub mod numeric;
pub mod plot;
pub mod read;
pub mod render;
pub mod rich_text;
pub mod sarif;
pub mod templates;
pub mod verify;
pub mod view;
