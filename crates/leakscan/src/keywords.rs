//! Defines the keywords of rules, as the build script prepares them.

use crate::prefilter::Literals;

/// The keywords of rules, prepared for the search at build time.
pub struct Keywords {
    /// The keywords of two bytes or more.
    pub literals: Literals,
    /// What the keywords trigger: the index of a rule, or a step of the engine.
    pub triggers: &'static [u16],
    /// Where the triggers of each keyword begin, and where those of the last one end.
    pub starts: &'static [u16],
    /// The rules whose keyword is `-`, `:`, `@`, `~` or a backslash, which [`memchr`] finds faster.
    pub single: [&'static [u16]; 5],
}
