//! One automaton over the anchors of all rules, and the rules' patterns, each compiled when it is first needed.

use std::ops::Range;
use std::sync::LazyLock;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use aho_corasick::AhoCorasickKind;
use regex::bytes::Regex;
use regex::bytes::RegexBuilder;

use super::rule::Find;
use super::rule::Found;
use super::rule::Hit;
use super::rule::Rule;
use super::rule::is_word;

/// The rules of all families, ready to run.
pub struct Engine {
    automaton: Option<AhoCorasick>,
    /// For each pattern of the automaton: the rules it wakes.
    wakes: Vec<Vec<u16>>,
    rules: Vec<(&'static Rule, OnceLock<Option<Regex>>)>,
}

/// The families.
static FAMILIES: &[&[Rule]] = &[super::tokens::RULES, super::keys::RULES, super::address::RULES];

/// The engine, built at the first look.
pub static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(FAMILIES));

impl Engine {
    fn new(families: &'static [&'static [Rule]]) -> Self {
        let mut anchors: indexmap::IndexMap<&'static str, Vec<u16>> = indexmap::IndexMap::new();
        let mut rules = Vec::new();
        for rule in families.iter().copied().flatten() {
            let index = u16::try_from(rules.len()).unwrap_or(u16::MAX);
            for anchor in rule.anchors {
                anchors.entry(anchor).or_default().push(index);
            }
            rules.push((rule, OnceLock::new()));
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(anchors.keys())
            .ok();
        Engine {
            automaton,
            wakes: anchors.into_values().collect(),
            rules,
        }
    }

    /// Runs all rules over a text.
    pub fn run(&self, text: &[u8]) -> (Vec<super::rule::Raw>, u64) {
        let mut raw = Vec::new();
        let mut work = 0;
        let mut cursors = vec![0usize; self.rules.len()];
        let Some(automaton) = &self.automaton else {
            return (raw, work);
        };
        for hit in automaton.find_overlapping_iter(text) {
            for &index in &self.wakes[hit.pattern().as_usize()] {
                let index = usize::from(index);
                if hit.start() < cursors[index] {
                    continue;
                }
                let mut found = Found {
                    raw: &mut raw,
                    cursor: &mut cursors[index],
                    work: &mut work,
                };
                self.look(index, text, hit.range(), &mut found);
            }
        }
        (raw, work)
    }

    fn look(&self, index: usize, text: &[u8], span: Range<usize>, found: &mut Found<'_>) {
        let (rule, compiled) = &self.rules[index];
        let hit = Hit { text, span };
        match rule.find {
            Find::Look(look) => look(&hit, found),
            Find::At(pattern) => {
                if is_word(hit.before()) && is_word(text[hit.span.start]) {
                    return;
                }
                let end = text.len().min(hit.span.end + super::rule::REACH);
                found.looked(end - hit.span.start);
                self.matches(rule, compiled, pattern, text, hit.span.start..end, true, found);
            }
            Find::Line(pattern) => {
                let line = hit.line();
                let from = line.start.max(*found.cursor);
                found.looked(line.end - from);
                self.matches(rule, compiled, pattern, text, from..line.end, false, found);
                found.seen(line.end);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call of one rule")]
    fn matches(
        &self,
        rule: &'static Rule,
        compiled: &OnceLock<Option<Regex>>,
        pattern: &str,
        text: &[u8],
        window: Range<usize>,
        anchored: bool,
        found: &mut Found<'_>,
    ) {
        let regex = compiled.get_or_init(|| {
            let pattern = if anchored {
                format!("^(?:{pattern})")
            } else {
                pattern.to_owned()
            };
            RegexBuilder::new(&pattern).unicode(false).build().ok()
        });
        let Some(regex) = regex else { return };
        let part = &text[window.clone()];
        if !regex.is_match(part) {
            return;
        }
        for groups in regex.captures_iter(part) {
            if let Some(secret) = groups.get(1).or_else(|| groups.get(0))
                && (rule.judge)(secret.as_bytes())
            {
                found.leak(
                    rule.code,
                    window.start + secret.start()..window.start + secret.end(),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_anchor_is_lower_case_and_every_pattern_compiles() {
        for rule in FAMILIES.iter().copied().flatten() {
            for anchor in rule.anchors {
                assert_eq!(*anchor, anchor.to_ascii_lowercase());
            }
            if let Find::At(pattern) | Find::Line(pattern) = rule.find {
                let built = RegexBuilder::new(pattern).unicode(false).build();
                assert!(built.is_ok(), "{pattern}: {built:?}");
            }
        }
    }
}
