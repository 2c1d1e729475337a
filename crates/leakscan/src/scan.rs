//! Finds leaks in a text.
//!
//! A leak states its kind, its place, and a fingerprint for baselines. A leak never carries the text that was found.

use std::ops::Range;

use sha2::Digest as _;
use sha2::Sha256;

use crate::decoded_text::DecodedText;
use crate::deobfuscate;
use crate::encoded;
use crate::engine::Depth;
use crate::engine::ENGINE;
use crate::engine::Scope;
use crate::hidden;
use crate::hosts::is_internal_in_url;
use crate::kinds;
use crate::kinds::Kind;
use crate::kinds::LoweredIn;
use crate::kinds::Severity;
use crate::private_terms::Terms;
use crate::rule::RawMatch;
use crate::window::line;

/// What to search for in addition to the built-in rules, and how a text can suppress a leak.
#[derive(Clone, Debug, Default)]
pub struct Options {
    terms: Terms,
    marker: String,
}

impl Options {
    /// The built-in rules and these private terms.
    pub fn with_terms(terms: Terms) -> Self {
        Options {
            terms,
            marker: String::new(),
        }
    }

    /// Accepts suppressions in the text itself: this marker, a kind and a reason.
    pub fn with_suppressions(mut self, marker: &str) -> Self {
        marker.clone_into(&mut self.marker);
        self
    }

    /// The marker that begins a suppression; empty if texts cannot suppress leaks.
    pub(crate) fn marker(&self) -> &str {
        &self.marker
    }
}

/// A leak: its kind and its place, but never its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The kind.
    pub kind: &'static Kind,
    /// The severity.
    pub severity: Severity,
    /// In which files the leak is only a warning.
    pub lowered_in: LoweredIn,
    /// The place, in bytes of the text.
    pub span: Range<usize>,
    /// Identifies the leak across edits elsewhere in its file. Hashes the secret itself only if the secret cannot be
    /// guessed; otherwise hashes the text around the leak.
    pub fingerprint: String,
}

impl Leak {
    /// The span to show: the whole line for a private term, whose length must stay private.
    pub fn shown_span(&self, text: &[u8]) -> Range<usize> {
        shown_span(self.kind, &self.span, text)
    }
}

/// The span to show for a leak: the whole line for a private term.
pub(crate) fn shown_span(kind: &Kind, span: &Range<usize>, text: &[u8]) -> Range<usize> {
    if kind == &kinds::PRIVATE_TERM {
        line(text, span.clone())
    } else {
        span.clone()
    }
}

/// Finds all leaks of a text, in the order of the text and without overlap.
pub fn scan(text: impl AsRef<[u8]>, options: &Options) -> Vec<Leak> {
    let text = text.as_ref();
    scan_raw(text, options)
        .into_iter()
        .map(|raw| Leak {
            fingerprint: fingerprint(text, raw.kind, &raw.span),
            kind: raw.kind,
            severity: raw.severity,
            lowered_in: raw.lowered_in,
            span: raw.span,
        })
        .collect()
}

/// Checks who wrote a commit, in the form `NAME <ADDRESS>`: for private terms, and for a machine in place of the domain of the
/// address. An ordinary address is not a leak here, because git publishes it on purpose.
pub fn scan_identity(identity: &[u8], options: &Options) -> Option<&'static Kind> {
    if !options.terms.find(identity).is_empty() {
        return Some(&kinds::PRIVATE_TERM);
    }
    let at = memchr::memrchr(b'@', identity)?;
    let domain = identity[at + 1..]
        .strip_suffix(b">")
        .unwrap_or(&identity[at + 1..]);
    // git writes this where a machine has no domain.
    let domain = domain.strip_suffix(b".(none)").unwrap_or(domain);
    if let Some(leak) = scan_raw(domain, options).first() {
        return Some(leak.kind);
    }
    is_internal_in_url(domain, true).then_some(&kinds::PRIVATE_HOST)
}

/// Finds all leaks of a text like [`scan`], without their fingerprints.
pub(crate) fn scan_raw(text: &[u8], options: &Options) -> Vec<RawMatch> {
    let (raw, _) = find_all(text, options, Scope::Text);
    merge_overlaps(raw)
}

/// Finds the leaks of each line on its own, in order and without overlap. Also returns how many bytes the rules examined.
pub(crate) fn scan_lines(text: &[u8], options: &Options) -> (Vec<RawMatch>, u64) {
    let (raw, work) = find_all(text, options, Scope::Line);
    (merge_overlaps(raw), work + text.len() as u64)
}

/// Finds all matches, in no order, and counts the bytes that the rules examined.
fn find_all(text: &[u8], options: &Options, scope: Scope) -> (Vec<RawMatch>, u64) {
    let sweep = ENGINE.run(text, Depth::Full, scope);
    let mut raw = sweep.raw;
    let private = |text: &[u8]| {
        options.terms.find(text).into_iter().map(|span| RawMatch {
            kind: &kinds::PRIVATE_TERM,
            severity: kinds::PRIVATE_TERM.severity,
            lowered_in: LoweredIn::Nowhere,
            span,
        })
    };
    let mut work = sweep.work;
    if !options.terms.is_empty() {
        raw.extend(private(text));
        for run in encoded::runs(text) {
            let plain = encoded::decode_run(&text[run.clone()]).unwrap_or_default();
            work += run.len() as u64;
            raw.extend(private(&plain).take(1).map(|found| RawMatch {
                span: run.clone(),
                ..found
            }));
        }
    }
    let mut scan_decoded = |decoded: &DecodedText, raw: &mut Vec<RawMatch>| {
        let mut inner = ENGINE.run(&decoded.text, Depth::Rules, Scope::Text);
        if !options.terms.is_empty() {
            inner.raw.extend(private(&decoded.text));
        }
        work += inner.work + decoded.text.len() as u64;
        raw.extend(
            inner
                .raw
                .into_iter()
                .filter(|leak| decoded.differs_with_context(&leak.span, text))
                .map(|leak| {
                    let span = decoded.original_span(&leak.span);
                    // The word for a version is not English there.
                    let is_weak =
                        leak.kind == &kinds::PRIVATE_ADDRESS && is_of_other_script(&text[span.clone()]);
                    RawMatch {
                        kind: leak.kind,
                        severity: if is_weak { Severity::Warning } else { leak.severity },
                        lowered_in: leak.lowered_in,
                        span,
                    }
                }),
        );
    };
    let mut seen = 0;
    let mut obfuscated = sweep.obfuscated;
    let keywords = obfuscated.len();
    obfuscated.extend(hidden::hidden_in_words(text));
    obfuscated.extend(hidden::markup_in_words(text));
    if obfuscated.len() > keywords {
        obfuscated.sort_unstable();
    }
    for at in obfuscated {
        if at >= seen {
            // A scan by line ends a line at a carriage return too.
            let row = match scope {
                Scope::Text => hidden::line_of_hidden(text, at),
                Scope::Line => line(text, at..at),
            };
            seen = row.end.max(at + 1);
            if let Some(decoded) = deobfuscate::smuggled(text, row.clone()) {
                scan_decoded(&decoded, &mut raw);
            }
            if let Some(decoded) = deobfuscate::decode_line(text, row) {
                scan_decoded(&decoded, &mut raw);
            }
        }
    }
    seen = 0;
    for hit in sweep.encoded {
        if hit.start >= seen {
            let (end, decoded) = encoded::decode(text, hit);
            seen = end;
            if let Some(decoded) = decoded {
                scan_decoded(&decoded, &mut raw);
            }
        }
    }
    seen = 0;
    // A scan by line cannot join lines.
    for at in sweep.split.into_iter().filter(|_| scope == Scope::Text) {
        if at >= seen {
            let stretch = at..text.len().min(at + 1024);
            seen = stretch.end;
            if let Some(decoded) = deobfuscate::join_pieces(text, stretch) {
                scan_decoded(&decoded, &mut raw);
            }
        }
    }
    (raw, work)
}

/// Whether a number consists of digits that people write, and that are not ASCII or styled ASCII.
fn is_of_other_script(number: &[u8]) -> bool {
    let is_styled = |c: char| matches!(c, '\u{b2}'..='\u{b9}' | '\u{2070}'..='\u{24ff}' | '\u{ff00}'..='\u{ffef}' | '\u{1d000}'..='\u{1ffff}');
    let digit = |c: char| c == '.' || !c.is_ascii() && c.is_numeric() && !is_styled(c);
    std::str::from_utf8(number).is_ok_and(|number| number.chars().all(digit))
}

/// Sorts the matches and merges overlaps. The first match decides the kind.
fn merge_overlaps(mut raw: Vec<RawMatch>) -> Vec<RawMatch> {
    raw.sort_by(|a, b| {
        (a.span.start, std::cmp::Reverse(a.span.end)).cmp(&(b.span.start, std::cmp::Reverse(b.span.end)))
    });
    let mut kept: Vec<RawMatch> = Vec::with_capacity(raw.len());
    for next in raw {
        match kept.last_mut() {
            Some(last) if next.span.start < last.span.end => {
                last.span.end = last.span.end.max(next.span.end);
                last.severity = last.severity.max(next.severity);
                last.lowered_in = last.lowered_in.min(next.lowered_in);
            }
            _ => kept.push(next),
        }
    }
    kept
}

/// Identifies a leak across edits elsewhere in its file.
pub(crate) fn fingerprint(text: &[u8], kind: &Kind, span: &Range<usize>) -> String {
    let mut hash = Sha256::new();
    hash.update(kind.id);
    let around = line(text, span.clone());
    hash.update(text[around.start..span.start].trim_ascii_start());
    hash.update([0]);
    hash.update(text[span.end..around.end].trim_ascii_end());
    let secret = &text[span.clone()];
    if kind.is_credential && secret.len() >= 24 && crate::false_positives::entropy(secret) > 3.5 {
        hash.update([1]);
        hash.update(secret);
    }
    hash.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::located::Place;
    use crate::located::Region;
    use crate::scan_text::scan_text;
    use crate::worst_case_inputs;

    fn codes(text: &str) -> Vec<&'static str> {
        scan(text, &Options::default())
            .iter()
            .map(|leak| leak.kind.id)
            .collect()
    }

    /// A text in the format of a token, in parts, so that no scanner finds a token in this file.
    fn token(prefix: &str, length: usize) -> String {
        let noise = "k6A7i3VrORqhnKaJQhDojJYh3IVY1W2uyglYq8ZtB5xNc4Lm9Fd2Gs0Ew";
        format!("{prefix}{}", &noise[..length])
    }

    #[test]
    fn leaks_have_places_but_not_the_text() {
        let secret = token("ghp_", 36);
        let text = format!("one\n| `gate` | {secret} |\n");
        let leaks = scan(&text, &Options::default());
        assert_eq!(leaks.len(), 1);
        assert_eq!(&text[leaks[0].span.clone()], secret);
        let report = scan_text("", text.as_bytes(), &Options::default());
        let region = Region {
            line: 2,
            column: 12,
            end_line: 2,
            end_column: 52,
        };
        assert_eq!(report.leaks[0].place, Place::Lines(region));
        assert!(!format!("{report:?}{leaks:?}").contains(&secret[4..12]));
    }

    /// A rule that needs a name finds a plain value after a disguised name.
    #[test]
    fn disguised_names_are_decoded() {
        let value = token("", 20);
        for name in [
            "pass\u{34f}word",
            "pass&zwnj;word",
            "password\u{fe0f}",
            "pa\u{3164}ssword",
            "p\\u{61}ssword",
            "pass\u{200b}word",
            "p\u{430}ssword",
        ] {
            assert_eq!(
                codes(&format!("{name}: {value}")),
                ["hard-coded-secret"],
                "{name}"
            );
            assert_eq!(codes(&format!("{name}: ${{{value}}}")), [""; 0], "{name}");
        }
    }

    /// A control character inside a token, also in a binary file.
    #[test]
    fn control_characters_hide_no_token() {
        let secret = token("ghp_", 36);
        for hidden in ["\0", "\0\0", "\u{1}", "\u{8}", "\u{7f}"] {
            let split = format!("{}{hidden}{}", &secret[..10], &secret[10..]);
            assert_eq!(codes(&split), ["github-token"], "{hidden:?}");
            let binary = [
                b"\x7fELF\0\0\xff\xfe\xfd\0\0\0".as_slice(),
                split.as_bytes(),
                b"\0\0\x01\xff",
            ]
            .concat();
            let report = scan_text("a.bin", &binary, &Options::default());
            assert_eq!(report.leaks.len(), 1, "{hidden:?}");
        }
        let wide: Vec<u8> = secret.bytes().flat_map(|byte| [byte, 0]).collect();
        let binary = [
            b"\x7fELF\0\0\xff\xfe\xfd\0\0\0\xff\xff".as_slice(),
            &wide,
            &[0xff; 4000],
        ]
        .concat();
        assert_eq!(scan_text("a.bin", &binary, &Options::default()).leaks.len(), 1);
    }

    #[test]
    fn weak_signs_are_warnings() {
        let severity = |text: &str| {
            scan(text.as_bytes(), &Options::default())
                .iter()
                .map(|leak| leak.severity)
                .max()
        };
        let project = "tarn-moe-prod";
        for (sure, weak) in [
            (
                "Signed-off-by: A <ann@gpu7.corp.tarn.net>".to_owned(),
                "Signed-off-by: A <ann@corp.tarn.net>".to_owned(),
            ),
            (
                format!("gcloud auth list --project {project}"),
                format!("python train.py --project {project}"),
            ),
        ] {
            assert_eq!(severity(&sure), Some(Severity::Error), "{sure}");
            assert_eq!(severity(&weak), Some(Severity::Warning), "{weak}");
        }
        let arabic: String = "10.4.2.1"
            .chars()
            .map(|c| {
                c.to_digit(10)
                    .and_then(|digit| char::from_u32(0x660 + digit))
                    .unwrap_or(c)
            })
            .collect();
        assert_eq!(severity(&format!("x {arabic} y")), Some(Severity::Warning));
        let host = "corp.tarn.net";
        for remote in [format!("git@{host}:infra/ops.git"), format!("ssh root@{host}")] {
            assert_eq!(severity(&remote), Some(Severity::Error), "{remote}");
        }
    }

    #[test]
    fn versions_are_not_addresses() {
        for private in [
            "ssh root@192.168.17.44",
            "eth0:10.244.3.17<0>",
            "[fd12:3456:789a:1::17]:29500",
            "addr 0x0a010203:29500",
        ] {
            assert_eq!(codes(private), ["private-address"], "{private}");
        }
        for public in [
            "192.0.2.17",
            "nvidia-curand==10.3.5.119",
            "libnpp10 10.2.1.243 (amd64)",
            "v10.1.2.3-rc1",
            "10.0.0.0/8 and fe80::/10",
            "std::fd:: x",
        ] {
            assert_eq!(codes(public), [""; 0], "{public}");
        }
    }

    #[test]
    fn scan_takes_linear_work() {
        for unit in worst_case_inputs::units().step_by(4) {
            let work = |bytes| {
                find_all(
                    worst_case_inputs::text(&unit, bytes).as_bytes(),
                    &Options::default(),
                    Scope::Text,
                )
                .1
            };
            worst_case_inputs::assert_linear(&unit, [2, 4, 8].map(|n| work(n << 10)));
        }
    }
}
