//! The kinds of leak, each with the text that explains it.
//!
//! The kinds are data: `rules/kinds.toml`.

/// How much a leak weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// May be harmless.
    Warning,
    /// Must not be published.
    Error,
}

/// In which files leaks are often invented, so that they are only warnings there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoweredIn {
    /// The leak identifies something real wherever it is.
    Nowhere,
    /// Tests, fixtures and copied sources of third parties.
    Tests,
    /// Tests, and the recipes of images.
    Images,
    /// Tests and documentation.
    Documentation,
}

/// A kind of leak with a stable kebab-case name.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Stable name, such as `private-address`.
    pub id: &'static str,
    /// The severity of a leak of this kind, unless its rule has another.
    pub severity: Severity,
    /// In which files a leak of this kind is only a warning, unless its rule names others.
    pub lowered_in: LoweredIn,
    /// What was found, in a few words.
    pub title: &'static str,
    /// Why it matters and how to fix it, in a few sentences of Markdown.
    pub explain: &'static str,
    /// A short example with the leak described in angle brackets; may be empty.
    pub bad: &'static str,
    /// The same example, fixed.
    pub good: &'static str,
    /// What a redacted text contains instead of a leak of this kind.
    pub placeholder: &'static str,
    /// Whether a leak of this kind must be revoked, not only removed.
    pub is_credential: bool,
    /// Whether random bytes do not have this format by chance, so that a leak of this kind counts in a binary file.
    pub is_certain: bool,
}

include!(concat!(env!("OUT_DIR"), "/kinds.rs"));
