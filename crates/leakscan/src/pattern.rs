//! Compiles the pattern of a rule when it is first needed.
//!
//! Most runs of the program use few patterns, and each only a few times. So a pattern is first compiled without the automata
//! that make long searches fast, which takes a fifth of the time. A pattern that is used often is compiled again, with them.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use regex_automata::meta;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

/// After so many uses, the faster form is worth its compilation.
const OFTEN: u32 = 48;

/// A pattern in up to two compiled forms.
#[derive(Default)]
pub struct Pattern {
    uses: AtomicU32,
    small: OnceLock<Option<Regex>>,
    fast: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// The compiled pattern; `is_anchored` lets it match only at the start of a text.
    pub fn regex(&self, pattern: &str, is_anchored: bool) -> Option<&Regex> {
        let is_often = self.uses.load(Ordering::Relaxed) >= OFTEN;
        if !is_often {
            self.uses.fetch_add(1, Ordering::Relaxed);
        }
        let form = if is_often { &self.fast } else { &self.small };
        form.get_or_init(|| {
            if is_anchored {
                compile(&format!("^(?:{pattern})"), is_often)
            } else {
                compile(pattern, is_often)
            }
        })
        .as_ref()
    }
}

/// Compiles a pattern over bytes. Returns `None` if it is not valid, which a test excludes.
pub fn compile(pattern: &str, is_fast: bool) -> Option<Regex> {
    let config = meta::Config::new()
        .utf8_empty(false)
        .hybrid(is_fast)
        .dfa(false)
        .onepass(is_fast)
        .auto_prefilter(is_fast);
    Regex::builder()
        .configure(config)
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build(pattern)
        .ok()
}
