//! Finding leaks in a text.
//!
//! A leak says what kind, where, and a fingerprint for baselines. It never carries what it found.

use sha2::Digest as _;
use sha2::Sha256;

use super::anchors::Depth;
use super::anchors::ENGINE;
use super::anchors::Scope;
use super::codes;
use super::disguise;
use super::disguise::View;
use super::encoded;
use super::rule::Raw;
use super::rule::line;
use super::terms::Terms;
use crate::document::source::Source;
use crate::document::source::Span;
use crate::domain::finding::Code;
use crate::domain::finding::Finding;
use crate::domain::finding::Region;
use crate::sys::digest::hex;

/// What to look for beyond the built-in rules.
#[derive(Clone, Debug, Default)]
pub struct Options {
    terms: Terms,
}

impl Options {
    /// The built-in rules, and these private terms.
    pub fn with_terms(terms: Terms) -> Self {
        Options { terms }
    }
}

/// Something that must not be public. What it is, and where; never the thing itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The kind.
    pub code: &'static Code,
    /// Where, in bytes of the text.
    pub span: Span,
    /// Tells leaks of one file apart across edits elsewhere in it. A token of high entropy goes into it; of anything that
    /// could be guessed, only the text around it does.
    pub fingerprint: String,
}

impl Leak {
    /// The leak as a finding in its document.
    pub fn finding(&self, source: &Source) -> Finding {
        // A private term's place must not tell its length: the whole line stands for it.
        let span = if self.code.id == codes::PRIVATE_TERM.id {
            line(source.text().as_bytes(), self.span.clone())
        } else {
            self.span.clone()
        };
        let mut finding = self.at(Region::of(source, &span));
        finding.path = source.name().map(str::to_owned);
        finding
    }

    /// The leak as a finding at a place.
    pub fn at(&self, region: Region) -> Finding {
        let help = if codes::is_credential(self.code) {
            codes::ROTATE
        } else {
            "Write a placeholder such as <host>, or a variable; `nmoe-gates explain` tells more."
        };
        Finding::new(
            self.code,
            format!("{} (fingerprint {})", self.code.title, self.fingerprint),
        )
        .at(region)
        .help(help)
    }
}

/// Looks for everything that must not be public. Leaks come in the order of the text and do not overlap.
pub fn scan(text: impl AsRef<[u8]>, options: &Options) -> Vec<Leak> {
    let text = text.as_ref();
    let (raw, _) = look(text, options, Scope::Text);
    settle(raw)
        .into_iter()
        .map(|Raw { code, span }| Leak {
            fingerprint: fingerprint(text, code, &span),
            code,
            span,
        })
        .collect()
}

/// What a look at each line alone finds, in the order of the text, without overlap; and how many bytes were looked at.
pub(super) fn by_line(text: &[u8], options: &Options) -> (Vec<Raw>, u64) {
    let (raw, work) = look(text, options, Scope::Line);
    (settle(raw), work + text.len() as u64)
}

/// All that is found, in no order, and how many bytes were looked at for it.
fn look(text: &[u8], options: &Options, scope: Scope) -> (Vec<Raw>, u64) {
    let sweep = ENGINE.run(text, Depth::Full, scope);
    let mut raw = sweep.raw;
    let private = |text: &[u8]| {
        options.terms.find(text).into_iter().map(|span| Raw {
            code: &codes::PRIVATE_TERM,
            span,
        })
    };
    if !options.terms.is_empty() {
        raw.extend(private(text));
    }
    let mut work = sweep.work;
    let mut through = |view: &View, raw: &mut Vec<Raw>| {
        let mut inner = ENGINE.run(&view.text, Depth::Rules, Scope::Text);
        if !options.terms.is_empty() {
            inner.raw.extend(private(&view.text));
        }
        work += inner.work + view.text.len() as u64;
        raw.extend(
            inner
                .raw
                .into_iter()
                .filter(|leak| view.differs(&leak.span, text))
                .map(|leak| Raw {
                    code: leak.code,
                    span: view.back(&leak.span),
                }),
        );
    };
    let mut seen = 0;
    for at in sweep.disguised {
        if at >= seen {
            let row = line(text, at..at);
            seen = row.end.max(at + 1);
            if let Some(view) = disguise::undone(text, row) {
                through(&view, &mut raw);
            }
        }
    }
    seen = 0;
    for hit in sweep.encoded {
        if hit.start >= seen {
            let (end, view) = encoded::decoded(text, hit);
            seen = end;
            if let Some(view) = view {
                through(&view, &mut raw);
            }
        }
    }
    seen = 0;
    // Only a look at the whole text gathers these.
    for at in sweep.broken.into_iter().filter(|_| scope == Scope::Text) {
        if at >= seen {
            let stretch = at..text.len().min(at + 1024);
            seen = stretch.end;
            if let Some(view) = disguise::joined(text, stretch) {
                through(&view, &mut raw);
            }
        }
    }
    (raw, work)
}

/// Orders what was found and drops what lies within or across something found already.
fn settle(mut raw: Vec<Raw>) -> Vec<Raw> {
    raw.sort_by(|a, b| {
        (a.span.start, std::cmp::Reverse(a.span.end)).cmp(&(b.span.start, std::cmp::Reverse(b.span.end)))
    });
    let mut kept: Vec<Raw> = Vec::with_capacity(raw.len());
    for next in raw {
        match kept.last_mut() {
            Some(last) if next.span.start < last.span.end => last.span.end = last.span.end.max(next.span.end),
            _ => kept.push(next),
        }
    }
    kept
}

fn fingerprint(text: &[u8], code: &Code, span: &Span) -> String {
    let mut hash = Sha256::new();
    hash.update(code.id);
    let around = line(text, span.clone());
    hash.update(text[around.start..span.start].trim_ascii_start());
    hash.update([0]);
    hash.update(text[span.end..around.end].trim_ascii_end());
    let secret = &text[span.clone()];
    if codes::is_credential(code) && secret.len() >= 24 && super::allow::entropy(secret) > 3.5 {
        hash.update([1]);
        hash.update(secret);
    }
    hex(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::super::adversaries;
    use super::*;

    fn codes(text: &str) -> Vec<&'static str> {
        scan(text, &Options::default())
            .iter()
            .map(|leak| leak.code.id)
            .collect()
    }

    /// A text of a token's form, put together here so that no scanner of this file finds one.
    fn token(prefix: &str, length: usize) -> String {
        let noise = "k6A7i3VrORqhnKaJQhDojJYh3IVY1W2uyglYq8ZtB5xNc4Lm9Fd2Gs0Ew";
        format!("{prefix}{}", &noise[..length])
    }

    #[test]
    fn leaks_are_found_and_said_without_the_thing_itself() {
        let secret = token("ghp_", 36);
        let text = format!("one\n| `gate` | {secret} |\n");
        let leaks = scan(&text, &Options::default());
        assert_eq!(leaks.len(), 1);
        assert_eq!(&text[leaks[0].span.clone()], secret);
        let finding = leaks[0].finding(&Source::new(Some("a.md".to_owned()), text));
        assert_eq!(
            finding.region.map(|r| (r.line, r.column, r.end_column)),
            Some((2, 12, 52))
        );
        assert!(!format!("{finding:?}{leaks:?}").contains(&secret[4..12]));
    }

    #[test]
    fn addresses_are_not_versions() {
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
    fn no_text_makes_the_look_more_than_linear() {
        for unit in adversaries::units().step_by(4) {
            let work = |bytes| {
                look(
                    adversaries::text(&unit, bytes).as_bytes(),
                    &Options::default(),
                    Scope::Text,
                )
                .1
            };
            adversaries::grows_no_faster(&unit, [2, 4, 8].map(|n| work(n << 10)));
        }
    }
}
