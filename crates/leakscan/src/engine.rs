//! One pass over the anchors of all rules, and the rules' patterns, each compiled when it is first needed.

use std::ops::Range;
use std::sync::LazyLock;
use std::sync::OnceLock;

use regex::bytes::Regex;
use regex::bytes::RegexBuilder;

use crate::deobfuscate;
use crate::encoded;
use crate::prefilter::Literals;
use crate::rule::Find;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::RawMatch;
use crate::rule::Rule;
use crate::window::REACH;
use crate::window::is_word;

/// The rules of all families, ready to run.
pub struct Engine {
    anchors: Literals,
    /// For each anchor: what it triggers.
    triggers: Vec<Vec<Trigger>>,
    /// Rules that wait for a single byte, which [`memchr`] finds faster: the ones of [`SINGLE`].
    bytes: [Vec<u16>; SINGLE.len()],
    rules: Vec<(&'static Rule, OnceLock<Option<Regex>>)>,
}

/// What an anchor triggers.
#[derive(Clone, Copy)]
enum Trigger {
    Rule(u16),
    /// Its line may hide something.
    Inline,
    /// It stands in a run of base 64 or hexadecimal that may be worth decoding.
    Encoded,
}

/// What one run over a text has found.
#[derive(Default)]
pub struct Sweep {
    /// Leaks, in no order.
    pub raw: Vec<RawMatch>,
    /// Offsets whose lines may hide something.
    pub disguised: Vec<usize>,
    /// Places of telling base 64 or hexadecimal.
    pub encoded: Vec<Range<usize>>,
    /// Offsets where a token begins that goes on after a line end or a quote.
    pub broken: Vec<usize>,
    /// Bytes that rules have looked at.
    pub work: u64,
}

/// What a rule sees of the text around an anchor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it: what spans lines is found too.
    Text,
    /// Its line and nothing else, so that each line can be judged by itself.
    Line,
}

/// Whether a run also gathers the places where a disguise may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Rules and places.
    Full,
    /// Rules only: the text is an decode_line disguise itself.
    Rules,
}

/// A run in progress.
struct Run<'t> {
    text: &'t [u8],
    /// For each rule: where it may look next.
    cursors: Vec<usize>,
    /// The stretch that rules see now.
    seen: Range<usize>,
    sweep: Sweep,
}

impl Run<'_> {
    /// Moves on to the line of this offset, where only lines are seen.
    fn see(&mut self, at: usize) {
        if at >= self.seen.end {
            let start = memchr::memrchr2(b'\n', b'\r', &self.text[self.seen.end..at])
                .map_or(self.seen.end, |n| self.seen.end + n + 1);
            let end = memchr::memchr2(b'\n', b'\r', &self.text[at..]).map_or(self.text.len(), |n| at + n);
            self.seen = start..end;
        }
    }
}

const SINGLE: [&str; 5] = ["-", ":", "@", "~", "\\"];

/// The families.
static FAMILIES: &[&[Rule]] = &[
    crate::tokens::RULES,
    crate::keys::RULES,
    crate::generic_secrets::RULES,
    crate::commands::RULES,
    crate::obfuscated_tokens::RULES,
    crate::links::RULES,
    crate::address::RULES,
    crate::hosts::RULES,
    crate::nodes::RULES,
    crate::cluster::RULES,
    crate::tables::RULES,
    crate::hardware::RULES,
    crate::cloud::RULES,
    crate::paths::RULES,
    crate::people::RULES,
];

/// The engine, built at the first look.
pub static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(FAMILIES));

impl Engine {
    fn new(families: &'static [&'static [Rule]]) -> Self {
        let mut anchors: indexmap::IndexMap<String, Vec<Trigger>> = indexmap::IndexMap::new();
        let mut bytes: [Vec<u16>; SINGLE.len()] = Default::default();
        let mut rules = Vec::new();
        for rule in families.iter().copied().flatten() {
            let index = u16::try_from(rules.len()).unwrap_or(u16::MAX);
            for anchor in rule.keywords {
                match SINGLE.iter().position(|single| single == anchor) {
                    Some(which) => bytes[which].push(index),
                    None => anchors
                        .entry((*anchor).to_owned())
                        .or_default()
                        .push(Trigger::Rule(index)),
                }
            }
            rules.push((rule, OnceLock::new()));
        }
        for literal in deobfuscate::inline_keywords() {
            anchors.entry(literal).or_default().push(Trigger::Inline);
        }
        for literal in encoded::anchors() {
            anchors.entry(literal).or_default().push(Trigger::Encoded);
        }
        let (anchors, triggers) = anchors.into_iter().unzip();
        Engine {
            anchors: Literals::new(anchors),
            triggers,
            bytes,
            rules,
        }
    }

    /// Runs all rules over a text.
    pub fn run(&self, text: &[u8], depth: Depth, scope: Scope) -> Sweep {
        let mut run = Run {
            text,
            cursors: vec![0; self.rules.len()],
            seen: match scope {
                Scope::Text => 0..text.len(),
                Scope::Line => 0..0,
            },
            sweep: Sweep::default(),
        };
        for hit in self.anchors.find(text) {
            for &trigger in &self.triggers[usize::from(hit.literal)] {
                match trigger {
                    Trigger::Rule(index) => self.trigger(index, hit.range(), &mut run),
                    Trigger::Inline if depth == Depth::Full => {
                        if deobfuscate::may_be_obfuscated(text, hit.range()) {
                            run.sweep.disguised.push(hit.start);
                        }
                    }
                    Trigger::Encoded if depth == Depth::Full => run.sweep.encoded.push(hit.range()),
                    Trigger::Inline | Trigger::Encoded => {}
                }
            }
        }
        let again = |run: &mut Run<'_>| {
            if scope == Scope::Line {
                run.seen = 0..0;
            }
        };
        again(&mut run);
        for at in memchr::memchr3_iter(b'-', b':', b'@', text) {
            let which = usize::from(text[at] == b':') + 2 * usize::from(text[at] == b'@');
            self.trigger_all(which, at, &mut run);
        }
        again(&mut run);
        for at in memchr::memchr2_iter(b'~', b'\\', text) {
            self.trigger_all(3 + usize::from(text[at] == b'\\'), at, &mut run);
        }
        run.sweep
    }

    fn trigger_all(&self, single: usize, at: usize, run: &mut Run<'_>) {
        for &index in &self.bytes[single] {
            self.trigger(index, at..at + 1, run);
        }
    }

    fn trigger(&self, index: u16, span: Range<usize>, run: &mut Run<'_>) {
        let index = usize::from(index);
        if span.start < run.cursors[index] || !(self.rules[index].0.prefilter)(run.text, span.start) {
            return;
        }
        run.see(span.start);
        let base = run.seen.start;
        let text = &run.text[run.seen.clone()];
        let span = span.start - base..span.end - base;
        let known = run.sweep.raw.len();
        let mut cursor = run.cursors[index].saturating_sub(base);
        let mut found = MatchSink {
            raw: &mut run.sweep.raw,
            cursor: &mut cursor,
            work: &mut run.sweep.work,
        };
        let broken = self.look(index, text, span.clone(), &mut found);
        run.cursors[index] = cursor + base;
        if broken {
            run.sweep.broken.push(span.start + base);
        }
        for raw in &mut run.sweep.raw[known..] {
            raw.span = raw.span.start + base..raw.span.end + base;
        }
    }

    /// Lets one rule look; says whether a token begins here and goes on elsewhere.
    fn look(&self, index: usize, text: &[u8], span: Range<usize>, found: &mut MatchSink<'_>) -> bool {
        let (rule, compiled) = &self.rules[index];
        let hit = Hit { text, span };
        match rule.find {
            Find::Code(look) => look(&hit, found),
            Find::At(pattern) => {
                let start = hit.span.start;
                if is_word(hit.before()) && is_word(text[start]) {
                    return false;
                }
                let window = start..text.len().min(hit.span.end + REACH);
                found.count_work(hit.span.len() + 64);
                let matched = self.matches(rule, compiled, pattern, text, window, found);
                return !matched && deobfuscate::continues_elsewhere(text, &hit.span);
            }
            Find::Line(pattern) => {
                let line = hit.line();
                let from = line.start.max(*found.cursor);
                found.count_work(line.end - from);
                self.matches(rule, compiled, pattern, text, from..line.end, found);
                found.skip_to(line.end);
            }
        }
        false
    }

    /// Runs a pattern over a window; says whether it matched always at all.
    fn matches(
        &self,
        rule: &'static Rule,
        compiled: &OnceLock<Option<Regex>>,
        pattern: &str,
        text: &[u8],
        window: Range<usize>,
        found: &mut MatchSink<'_>,
    ) -> bool {
        let regex = compiled.get_or_init(|| {
            let anchored = matches!(rule.find, Find::At(_));
            let pattern = if anchored {
                format!("^(?:{pattern})")
            } else {
                pattern.to_owned()
            };
            RegexBuilder::new(&pattern).unicode(false).build().ok()
        });
        let part = &text[window.clone()];
        let Some(regex) = regex.as_ref().filter(|regex| regex.is_match(part)) else {
            return false;
        };
        for groups in regex.captures_iter(part) {
            // Of alternatives, the group of the one that matched.
            let group = groups.iter().skip(1).flatten().next();
            if let Some(secret) = group.or_else(|| groups.get(0)) {
                let mut span = window.start + secret.start()..window.start + secret.end();
                if span.end == window.end {
                    // The window cut it off: the rest of a token belongs to it.
                    span.end += text[span.end..].iter().take_while(|&&b| is_token(b)).count();
                    found.count_work(span.end - window.end);
                }
                found.skip_to(span.end);
                if (rule.accept)(secret.as_bytes()) {
                    found.report(rule.kind, span);
                }
            }
        }
        true
    }
}

fn is_token(b: u8) -> bool {
    is_word(b) || b"+/=.~%-".contains(&b)
}

/// The anchors of all rules.
#[cfg(test)]
pub fn keywords() -> impl Iterator<Item = &'static str> {
    FAMILIES
        .iter()
        .copied()
        .flatten()
        .flat_map(|rule| rule.keywords.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_anchor_is_lower_case_and_every_pattern_compiles() {
        for rule in FAMILIES.iter().copied().flatten() {
            for anchor in rule.keywords {
                assert_eq!(*anchor, anchor.to_ascii_lowercase());
            }
            if let Find::At(pattern) | Find::Line(pattern) = rule.find {
                let built = RegexBuilder::new(pattern).unicode(false).build();
                assert!(built.is_ok(), "{pattern}: {built:?}");
            }
        }
    }
}
