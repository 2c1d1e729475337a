//! The codes of findings about leaks: a code for each kind of leak, and the codes about suppressions.

use leakscan::kinds;
use leakscan::kinds::Kind;

use crate::domain::finding::Code;
use crate::domain::finding::Severity;

const KINDS: usize = kinds::TABLE.len();

/// The codes of the kinds of leak, in the order of [`kinds::TABLE`].
static LEAKS: [Code; KINDS] = {
    let mut codes = [const { code(kinds::TABLE[0]) }; KINDS];
    let mut at = 0;
    while at < KINDS {
        codes[at] = code(kinds::TABLE[at]);
        at += 1;
    }
    codes
};

/// Every code about leaks and suppressions.
pub static TABLE: &[&Code] = &{
    let mut table = [&UNUSED_ALLOWANCE; KINDS + 3];
    let mut at = 0;
    while at < KINDS + 3 {
        table[at] = if at < KINDS {
            &LEAKS[at]
        } else {
            suppressions::TABLE[at - KINDS]
        };
        at += 1;
    }
    table
};

const fn code(kind: &Kind) -> Code {
    Code {
        id: kind.id,
        severity: severity(kind.severity),
        title: kind.title,
        explain: kind.explain,
        bad: kind.bad,
        good: kind.good,
    }
}

/// Whether a finding with this code is about a leak, so that its text must not be shown. Findings about suppressions show only the
/// settings.
pub fn is_leak(code: &Code) -> bool {
    LEAKS.iter().any(|leak| leak.id == code.id)
}

/// The severity of a finding about a leak.
pub const fn severity(severity: kinds::Severity) -> Severity {
    match severity {
        kinds::Severity::Error => Severity::Error,
        kinds::Severity::Warning => Severity::Warning,
    }
}

/// The code of a kind of leak.
pub fn of_kind(kind: &Kind) -> &'static Code {
    let at = kinds::TABLE.iter().position(|known| known.id == kind.id);
    &LEAKS[at.unwrap_or(0)]
}

pub use suppressions::{BAD_ALLOWANCE, EXPIRED_ALLOWANCE, UNUSED_ALLOWANCE};

mod suppressions {
    use crate::domain::finding::codes;

    codes! {
        UNUSED_ALLOWANCE = "unused-allowance", Warning,
            "a suppression that matches nothing",
            "This suppression, or entry of the baseline, matches nothing. Remove it, so that it cannot hide a new leak.",
            "[[safety.allow]]\npath = \"docs/old.md\"  # the file is gone\ncode = \"private-address\"\nreason = \"an example\"",
            "# no entry";
        EXPIRED_ALLOWANCE = "expired-allowance", Error,
            "an expired suppression",
            "The `expires` date of the suppression has passed, so the finding is reported again. Fix the cause, or set a new date and a valid reason.",
            "[[safety.allow]]\npath = \"docs/net.md\"\ncode = \"private-address\"\nreason = \"until the rewrite\"\nexpires = \"2020-01-31\"",
            "# fixed, no entry";
        BAD_ALLOWANCE = "bad-allowance", Error,
            "a suppression without a known code or a reason",
            "An inline suppression has the form `nmoe-gates: allow CODE reason`. CODE is a code of this table, and the reason says why the text is harmless. It applies to its own line or, on a line alone, to the next line.",
            "# nmoe-gates: allow <code>",
            "# nmoe-gates: allow <code> the address of a local test bridge";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_about_suppressions_are_no_leaks() {
        let (leaks, others): (Vec<&Code>, Vec<&Code>) = TABLE.iter().copied().partition(|code| is_leak(code));
        assert_eq!((leaks.len(), others.len()), (KINDS, suppressions::TABLE.len()));
    }
}
