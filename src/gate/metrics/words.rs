//! Decides what the words after a number and a blank are: the name of the next value, prose, or unknown words.
//!
//! Must not read numbers or units. `number` reads the unit first and asks about the rest.

use crate::gate::metrics::text::{character, digit, skip_blanks, text};

/// Most words of the name of a value.
const NAME_WORDS: usize = 6;

/// Words that begin a clause. These words are neither units nor factors.
const CLAUSE: &[&str] = &[
    "after", "against", "as", "at", "because", "before", "but", "by", "compared", "during", "for", "from",
    "if", "is", "on", "over", "since", "so", "than", "then", "this", "until", "using", "via", "was", "when",
    "where", "which", "while", "with",
];

/// First words of the names that trainers and servers give to values, where a name has several words.
const NAMES: &[&str] = &[
    "actual",
    "approx",
    "average",
    "avg",
    "batch",
    "best",
    "consumed",
    "current",
    "data",
    "dev",
    "elapsed",
    "end",
    "epoch",
    "est",
    "estimated",
    "eval",
    "final",
    "free",
    "generation",
    "global",
    "gpu",
    "grad",
    "gradient",
    "iter",
    "iteration",
    "kv",
    "last",
    "learning",
    "lm",
    "loss",
    "max",
    "mean",
    "median",
    "mem",
    "memory",
    "min",
    "model",
    "moe",
    "mtp",
    "num",
    "number",
    "optimizer",
    "params",
    "peak",
    "ppl",
    "prompt",
    "queue",
    "rank",
    "remaining",
    "reserved",
    "running",
    "skipped",
    "step",
    "test",
    "throughput",
    "time",
    "token",
    "tokens",
    "total",
    "train",
    "training",
    "val",
    "valid",
    "validation",
    "wall",
    "weight",
    "world",
];

/// What the words are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// There are none.
    None,
    /// The name of the next value, such as `loss:` or `grad norm =`.
    Name,
    /// The beginning of a clause, such as `at step 5`.
    Clause,
    /// The next column, because the gap is wide; or a designation with a digit, such as `T4`.
    Column,
    /// Anything else: perhaps a unit or a factor.
    Unknown,
}

/// Returns what the words at `at` are, after the blanks from `gap` on.
pub fn after(line: &[u8], gap: usize, at: usize) -> Words {
    if !letter(line, at) {
        return Words::None;
    }
    let end = token(line, at);
    let first = first(line, at).to_ascii_lowercase();
    if is_name(line, at, end, &first) {
        return Words::Name;
    }
    if CLAUSE.contains(&first.as_str()) {
        return Words::Clause;
    }
    if at - gap > 1 || line.get(gap) == Some(&b'\t') || first.bytes().any(|b| b.is_ascii_digit()) {
        return Words::Column;
    }
    Words::Unknown
}

/// Returns the first word.
pub fn first(line: &[u8], at: usize) -> &str {
    text(&line[at..token(line, at)])
}

/// Returns a fingerprint of the first word, or 0 if there is none. Does not depend on digits or case.
pub fn fingerprint(line: &[u8], at: usize) -> u32 {
    let word = line[at..token(line, at)]
        .iter()
        .take_while(|b| !b.is_ascii_digit());
    let hash = word.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    });
    hash.max(1)
}

/// Whether a word after a unit changes what the unit means: `tok/s each`, `tok/s per GPU`.
pub fn divides(line: &[u8], unit_end: usize) -> bool {
    let at = skip_blanks(line, unit_end);
    at > unit_end && is_divisor(first(line, at))
}

/// Whether a word divides the unit before it.
pub fn is_divisor(word: &str) -> bool {
    ["each", "per", "apiece", "every"]
        .iter()
        .any(|w| w.eq_ignore_ascii_case(word))
}

/// Whether `/` at this place stands before a word that is not the name of a value: `14843 / GPU`.
pub fn divides_by_word(line: &[u8], at: usize) -> bool {
    let next = skip_blanks(line, at + 1);
    line.get(at) == Some(&b'/') && after(line, next, next) == Words::Unknown
}

/// Whether a letter stands here, also one outside ASCII.
fn letter(line: &[u8], at: usize) -> bool {
    character(line, at).is_some_and(|(c, _)| c.is_alphabetic())
}

/// The end of a word with the characters that names contain.
fn token(line: &[u8], at: usize) -> usize {
    let mut end = at;
    while let Some((c, len)) = character(line, end) {
        let inner = matches!(c, '_' | '-' | '/' | '@' | '#' | '.') && letter_or_digit(line, end + len);
        if !c.is_alphanumeric() && !inner {
            break;
        }
        end += len;
    }
    end
}

fn letter_or_digit(line: &[u8], at: usize) -> bool {
    letter(line, at) || digit(line, at)
}

/// Whether these words end in `:` or `=`, perhaps with a unit in brackets or a quote before it. A name of several words begins with a known one.
fn is_name(line: &[u8], at: usize, first_end: usize, first: &str) -> bool {
    let (mut at, mut end) = (at, first_end);
    for nth in 0..NAME_WORDS {
        let mut sign = end;
        while matches!(line.get(sign), Some(b'"' | b'\'' | b'\\')) {
            sign += 1;
        }
        sign = skip_blanks(line, sign);
        let close = match line.get(sign) {
            Some(b'(') => b')',
            Some(b'[') => b']',
            _ => 0,
        };
        if close != 0
            && let Some(len) = line[sign..].iter().take(24).position(|b| *b == close)
        {
            sign = skip_blanks(line, sign + len + 1);
        }
        if matches!(line.get(sign), Some(b':' | b'=')) {
            return nth == 0 || NAMES.contains(&first);
        }
        at = skip_blanks(line, end.max(at));
        if at == end || !letter(line, at) {
            return false;
        }
        end = token(line, at);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_after_number_are_told_apart() {
        for (line, expected) in [
            ("", Words::None),
            (", loss: 2", Words::None),
            ("loss: 2", Words::Name),
            ("grad_norm=2", Words::Name),
            ("train/loss : 2", Words::Name),
            ("mem (GiB): 2", Words::Name),
            ("grad norm: 2", Words::Name),
            ("number of nan iterations: 0", Words::Name),
            ("mln loss: 2", Words::Unknown),
            ("mln | loss: 2", Words::Unknown),
            ("kilo-tokens/s", Words::Unknown),
            ("тыс", Words::Unknown),
            ("at rank 3", Words::Clause),
            ("T4", Words::Column),
        ] {
            assert_eq!(after(line.as_bytes(), 0, 0), expected, "{line}");
        }
        assert_eq!(after(b"  next", 0, 2), Words::Column);
        assert_eq!(after(b" next", 0, 1), Words::Unknown);
    }

    #[test]
    fn fingerprint_ignores_case_and_digits() {
        assert_eq!(fingerprint(b"Mega", 0), fingerprint(b"mega", 0));
        assert_eq!(fingerprint(b"step5", 0), fingerprint(b"step6 x", 0));
        assert_ne!(fingerprint("млн".as_bytes(), 0), fingerprint("тыс".as_bytes(), 0));
    }
}
