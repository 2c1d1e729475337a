//! Parses and converts units as logs write them: `tok/s`, `ms`, `TFLOP/s/GPU`, `s/it`, `GiB`, `%`.
//!
//! Knows no metric and no log.

/// A unit: what is counted, per what, and how many of the plain unit it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    over: Option<String>,
    under: Vec<String>,
    factor: f64,
    prefixed: bool,
}

/// Counted things, each spelling with the name it is known by.
const COUNTS: &[(&str, &str)] = &[
    ("tok", "token"),
    ("token", "token"),
    ("it", "iteration"),
    ("iter", "iteration"),
    ("iteration", "iteration"),
    ("step", "step"),
    ("sample", "sample"),
    ("seq", "sequence"),
    ("sequence", "sequence"),
    ("req", "request"),
    ("request", "request"),
    ("batch", "batch"),
    ("batche", "batch"),
    ("example", "example"),
    ("img", "image"),
    ("image", "image"),
    ("flop", "flop"),
    ("op", "op"),
    ("mac", "mac"),
    ("param", "parameter"),
    ("parameter", "parameter"),
    ("bit", "bit"),
    ("doc", "document"),
    ("word", "word"),
    ("byte", "byte"),
    ("gpu", "gpu"),
    ("device", "device"),
    ("chip", "chip"),
    ("node", "node"),
    ("rank", "rank"),
    ("worker", "worker"),
];

/// The name of time.
const SECOND: &str = "second";

/// Spellings of time, in seconds. Not `m`: a minute, a metre or a thousandth.
const TIMES: &[(&str, f64)] = &[
    ("s", 1.0),
    ("sec", 1.0),
    ("second", 1.0),
    ("ms", 1e-3),
    ("msec", 1e-3),
    ("millisecond", 1e-3),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("μs", 1e-6),
    ("usec", 1e-6),
    ("microsecond", 1e-6),
    ("ns", 1e-9),
    ("nanosecond", 1e-9),
    ("min", 60.0),
    ("minute", 60.0),
    ("h", 3600.0),
    ("hr", 3600.0),
    ("hour", 3600.0),
    ("day", 86_400.0),
    ("week", 604_800.0),
];

/// Abbreviations of something per second. With a prefix, such as `ktps`, they are units and no words of a sentence.
const PER_SECOND: &[&str] = &[
    "tps", "fps", "bps", "qps", "rps", "ips", "wps", "sps", "iops", "hz",
];

/// The seconds of a unit of time.
pub fn seconds(word: &str) -> Option<f64> {
    // `Seconds`, but not `Ms`, which could be mega.
    let capital =
        word.len() > 2 && word.starts_with(|c: char| c.is_ascii_uppercase()) && !word.starts_with("Ms");
    let lower = word.to_ascii_lowercase();
    let word = if capital && word[1..] == lower[1..] {
        lower.as_str()
    } else {
        word
    };
    let is = |known: &str| {
        known == word || known.len() > 1 && word.strip_suffix('s').is_some_and(|one| one == known)
    };
    TIMES
        .iter()
        .find(|(known, _)| is(known))
        .map(|(_, seconds)| *seconds)
}

/// What a suffix such as `k` multiplies by. Not `B`: a billion or a byte.
pub fn suffix(letter: u8) -> Option<f64> {
    match letter {
        b'k' | b'K' => Some(1e3),
        b'M' => Some(1e6),
        b'G' => Some(1e9),
        b'T' => Some(1e12),
        _ => None,
    }
}

impl Unit {
    /// A unit of the vocabulary; none where a part of it is unknown.
    pub fn known(text: &str) -> Option<Unit> {
        let text = text.trim();
        if matches!(text, "%" | "percent" | "pct") {
            return Some(Unit::plain("%"));
        }
        let words: Vec<&str> = text
            .split_whitespace()
            .map(|w| if w == "per" { "/" } else { w })
            .collect();
        let text = words.join(" ");
        let mut parts = text.split('/').map(str::trim);
        let first = parts.next()?;
        let (over, mut factor, prefixed) = match (first.as_bytes(), text.contains('/')) {
            ([], true) => (None, 1.0, false),
            // `T/s` are tokens per second, or 10^12.
            ([letter], true) if *letter != b'T' && suffix(*letter).is_some() => {
                (None, suffix(*letter)?, true)
            }
            _ => {
                let (name, factor, prefixed) = part(first)?;
                (Some(name), factor, prefixed)
            }
        };
        let mut under = Vec::new();
        for text in parts {
            let (name, each, _) = part(text)?;
            factor /= each;
            under.push(name);
        }
        if over.is_none() && under.is_empty() {
            return None;
        }
        // FLOPS is a rate already.
        if over.as_deref() == Some("flop")
            && first.to_ascii_lowercase().ends_with('s')
            && !under.contains(&"second".to_owned())
        {
            under.insert(0, "second".to_owned());
        }
        Some(Unit {
            over,
            under,
            factor,
            prefixed,
        })
    }

    /// Returns the unit that the registry declares: a known one, or any other word.
    pub fn declared(text: &str) -> Unit {
        Unit::known(text).unwrap_or_else(|| Unit::plain(&text.trim().to_lowercase()))
    }

    /// Whether a text is the declared unit. Its case counts where another case is another unit or none: `Ms` is not `ms`.
    pub fn is_spelling(text: &str, declared: &str) -> bool {
        let declared = declared.trim();
        text == declared
            || text.eq_ignore_ascii_case(declared)
                && Unit::known(declared).is_none_or(|unit| Unit::known(text) == Some(unit))
    }

    fn plain(name: &str) -> Unit {
        Unit {
            over: Some(name.to_owned()),
            under: Vec::new(),
            factor: 1.0,
            prefixed: false,
        }
    }

    /// Returns whether this is a time.
    pub fn is_time(&self) -> bool {
        self.under.is_empty() && self.over.as_deref() == Some(SECOND)
    }

    /// Returns whether a suffix of the number could be a second prefix, as in `1.2K` with the unit `ktok/s`.
    pub fn is_prefixed(&self) -> bool {
        self.prefixed
    }

    /// Whether both measure the same.
    pub fn is_like(&self, other: &Unit) -> bool {
        self.over == other.over && self.under == other.under
    }

    /// The value in another unit; none where the two measure different things.
    pub fn convert(&self, value: f64, to: &Unit) -> Option<f64> {
        let here = [self.over.as_deref().unwrap_or_default()];
        let there = [to.over.as_deref().unwrap_or_default()];
        if self.under == to.under && (self.over == to.over || self.over.is_none()) {
            let factor = self.factor / to.factor;
            return Some(if factor == 1.0 { value } else { value * factor });
        }
        // `s/it` where `it/s` is meant.
        (self.under == there && to.under == here).then(|| 1.0 / (value * self.factor) / to.factor)
    }
}

/// Returns one part of a unit: its name, its factor, and whether the factor comes from a prefix such as `k`.
fn part(text: &str) -> Option<(String, f64, bool)> {
    let lower = text.to_lowercase();
    let single = |word: &str| word.strip_suffix('s').filter(|w| w.len() > 1).map(str::to_owned);
    if let Some(seconds) = seconds(text) {
        return Some((SECOND.to_owned(), seconds, false));
    }
    let count = |word: &str| {
        let singular = single(word);
        COUNTS
            .iter()
            .find(|(known, _)| *known == word || singular.as_deref() == Some(known))
            .map(|(_, name)| (*name).to_owned())
    };
    if text == "B" {
        return Some(("byte".to_owned(), 1.0, false));
    }
    if let Some(name) = count(&lower) {
        return Some((name, 1.0, false));
    }
    let first = *text.as_bytes().first()?;
    // Not a suffix of numbers, but a prefix of FLOPS and bytes.
    let peta = (first == b'P').then_some(1e15);
    let prefix = suffix(first).or(peta)?;
    let rest = &text[1..];
    if rest == "iB" {
        let power = (prefix.log10() / 3.0).round() as i32;
        return Some(("byte".to_owned(), 1024f64.powi(power), true));
    }
    if rest == "B" {
        return Some(("byte".to_owned(), prefix, true));
    }
    count(&rest.to_lowercase())
        .filter(|name| peta.is_none() || name == "flop")
        .map(|name| (name, prefix, true))
}

/// Whether a word that stands apart from its number is its unit and not the next word of a sentence.
pub fn stands_apart(word: &str) -> bool {
    let rate = |(what, per): (&str, &str)| what.len() > 1 && part(per).is_some();
    matches!(word, "%" | "percent" | "pct" | "ms" | "us" | "µs" | "μs" | "ns" | "s" | "byte" | "bytes" | "Bytes")
        // Not `min`, which may be a minimum, nor `h`.
        || word.len() > 2 && !word.to_ascii_lowercase().starts_with("min") && seconds(word).is_some()
        || matches!(word, "mins" | "minute" | "minutes" | "Minutes")
        || word.contains(char::is_whitespace)
        // A rate, also of something unknown.
        || word.rsplit_once('/').is_some_and(rate)
        || word.contains('/') && Unit::known(word).is_some_and(|u| !u.under.is_empty() && u.over.is_some())
        || PER_SECOND.iter().any(|per| word.strip_prefix(['k', 'K', 'M', 'G', 'T']).is_some_and(|w| w.eq_ignore_ascii_case(per)))
        || word.len() > 1 && Unit::known(word).is_some_and(|u| u.prefixed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
mod tests {
    use super::*;

    fn convert(value: f64, from: &str, to: &str) -> Option<f64> {
        Unit::declared(from).convert(value, &Unit::declared(to))
    }

    #[test]
    fn known_units_convert_and_others_do_not() {
        for (value, from, to, expected) in [
            (2.0, "s", "ms", 2000.0),
            (561.94, "ms", "ms", 561.94),
            (3.0, "µs", "us", 3.0),
            (4.0, "s/it", "it/s", 0.25),
            (250.0, "ms/step", "steps/s", 4.0),
            (1.2, "ktok/s", "tokens/s", 1200.0),
            (1.0, "GiB", "MiB", 1024.0),
            (1.5, "TFLOPS", "TFLOP/s", 1.5),
            (1.5, "TFLOP/s/GPU", "GFLOPs/sec/gpu", 1500.0),
            (120.0, "/s", "tok/s", 120.0),
            (41.0, "%", "%", 41.0),
            (3.0, "tokens per second", "tok/s", 3.0),
            (7.0, "Points", "points", 7.0),
        ] {
            let got = convert(value, from, to).unwrap();
            assert!((got - expected).abs() < 1e-9 * expected, "{from} to {to}: {got}");
        }
        for (from, to) in [
            ("%", "tok/s"),
            ("tok/s", "tok/s/GPU"),
            ("it/s", "tok/s"),
            ("ms", "tok/s"),
            ("ms", "MB"),
            ("B", "tokens"),
            ("device", "GPU"),
        ] {
            assert_eq!(convert(1.0, from, to), None, "{from} to {to}");
        }
        for unknown in ["", "x", "m", "b", "avg", "of", "tps", "K", "tok/", "/"] {
            assert_eq!(Unit::known(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn next_word_of_sentence_is_no_unit() {
        for word in ["at", "it", "step", "tokens", "B", "min", "loss", "and/or"] {
            assert!(!stands_apart(word), "{word}");
        }
        for word in [
            "tok/s",
            "s/it",
            "ms",
            "s",
            "GiB",
            "%",
            "TFLOP/s/GPU",
            "TFLOPS",
            "ktok/s",
        ] {
            assert!(stands_apart(word), "{word}");
        }
    }
}
