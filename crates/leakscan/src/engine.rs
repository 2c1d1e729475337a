//! Finds the keywords of all rules in one pass, and runs the rules around their keywords.
//!
//! A pattern is compiled when it is first needed.

use std::ops::Range;
use std::sync::LazyLock;

use crate::deobfuscate;
use crate::engine_tables;
use crate::keywords::Keywords;
use crate::pattern::Pattern;
use crate::rule::Find;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::RawMatch;
use crate::rule::Rule;
use crate::window::REACH;
use crate::window::is_word;

/// The rules of all families, ready to run.
pub struct Engine {
    keywords: &'static Keywords,
    rules: Vec<(&'static Rule, Pattern)>,
}

/// Triggers the decoding of the line.
const DEOBFUSCATION: u16 = u16::MAX;

/// Triggers the decoding of the run of base 64 or hexadecimal that contains the keyword.
const DECODING: u16 = u16::MAX - 1;

/// The result of one run over a text.
#[derive(Default)]
pub struct Sweep {
    /// Matches, in no order.
    pub raw: Vec<RawMatch>,
    /// Offsets whose lines may be obfuscated.
    pub obfuscated: Vec<usize>,
    /// Places of base 64 or hexadecimal that may contain a leak.
    pub encoded: Vec<Range<usize>>,
    /// Offsets of tokens that continue after a line end or a quote.
    pub split: Vec<usize>,
    /// How many bytes the rules examined.
    pub work: u64,
}

/// What a rule sees of the text around a keyword.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The whole text, so that leaks over several lines are found.
    Text,
    /// The line of the keyword, so that the result for a line does not depend on other lines.
    Line,
}

/// Whether a run also collects places to decode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Runs the rules and collects places.
    Full,
    /// Runs the rules only: the text is decoded already.
    Rules,
}

/// A run in progress.
struct Run<'t> {
    text: &'t [u8],
    /// For each rule: the offset from which it may run.
    cursors: Vec<usize>,
    /// The part of the text that rules see.
    visible: Range<usize>,
    sweep: Sweep,
}

impl Run<'_> {
    /// Moves to the line of this offset, unless the offset is visible.
    fn show(&mut self, at: usize) {
        if at >= self.visible.end {
            let start = memchr::memrchr2(b'\n', b'\r', &self.text[self.visible.end..at])
                .map_or(self.visible.end, |n| self.visible.end + n + 1);
            let end = memchr::memchr2(b'\n', b'\r', &self.text[at..]).map_or(self.text.len(), |n| at + n);
            self.visible = start..end;
        }
    }
}

/// All rules.
fn all_rules() -> impl Iterator<Item = &'static Rule> + Clone {
    engine_tables::FAMILIES.iter().copied().flatten()
}

/// The engine, built when the first text is scanned.
pub static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(&engine_tables::KEYWORDS, all_rules()));

impl Keywords {
    fn triggers_of(&self, keyword: u16) -> &'static [u16] {
        let keyword = usize::from(keyword);
        &self.triggers[usize::from(self.starts[keyword])..usize::from(self.starts[keyword + 1])]
    }
}

impl Engine {
    fn new(keywords: &'static Keywords, rules: impl Iterator<Item = &'static Rule>) -> Self {
        Engine {
            keywords,
            rules: rules.map(|rule| (rule, Pattern::default())).collect(),
        }
    }

    /// Runs all rules over a text.
    pub fn run(&self, text: &[u8], depth: Depth, scope: Scope) -> Sweep {
        let mut run = Run {
            text,
            cursors: vec![0; self.rules.len()],
            visible: match scope {
                Scope::Text => 0..text.len(),
                Scope::Line => 0..0,
            },
            sweep: Sweep::default(),
        };
        for hit in self.keywords.literals.find(text) {
            for &trigger in self.keywords.triggers_of(hit.literal) {
                match trigger {
                    DEOBFUSCATION if depth == Depth::Full => {
                        if deobfuscate::may_be_obfuscated(text, hit.range()) {
                            run.sweep.obfuscated.push(hit.start);
                        }
                    }
                    DECODING if depth == Depth::Full => run.sweep.encoded.push(hit.range()),
                    DEOBFUSCATION | DECODING => {}
                    index => self.trigger(index, hit.range(), &mut run),
                }
            }
        }
        let rewind = |run: &mut Run<'_>| {
            if scope == Scope::Line {
                run.visible = 0..0;
            }
        };
        rewind(&mut run);
        for at in memchr::memchr3_iter(b'-', b':', b'@', text) {
            let which = usize::from(text[at] == b':') + 2 * usize::from(text[at] == b'@');
            self.trigger_all(which, at, &mut run);
        }
        rewind(&mut run);
        for at in memchr::memchr2_iter(b'~', b'\\', text) {
            self.trigger_all(3 + usize::from(text[at] == b'\\'), at, &mut run);
        }
        run.sweep
    }

    fn trigger_all(&self, single: usize, at: usize, run: &mut Run<'_>) {
        for &index in self.keywords.single[single] {
            self.trigger(index, at..at + 1, run);
        }
    }

    fn trigger(&self, index: u16, span: Range<usize>, run: &mut Run<'_>) {
        let index = usize::from(index);
        if span.start < run.cursors[index] || !(self.rules[index].0.prefilter)(run.text, span.start) {
            return;
        }
        run.show(span.start);
        let base = run.visible.start;
        let text = &run.text[run.visible.clone()];
        let span = span.start - base..span.end - base;
        let known = run.sweep.raw.len();
        let mut cursor = run.cursors[index].saturating_sub(base);
        let mut found = MatchSink {
            text,
            raw: &mut run.sweep.raw,
            severity: self.rules[index].0.severity,
            lowered_in: self.rules[index].0.lowered_in,
            cursor: &mut cursor,
            work: &mut run.sweep.work,
        };
        let is_split = self.run_rule(index, text, span.clone(), &mut found);
        run.cursors[index] = cursor + base;
        if is_split {
            run.sweep.split.push(span.start + base);
        }
        for raw in &mut run.sweep.raw[known..] {
            raw.span = raw.span.start + base..raw.span.end + base;
        }
    }

    /// Runs one rule at a keyword. Returns whether a token begins here and continues after a line end or a quote.
    fn run_rule(&self, index: usize, text: &[u8], span: Range<usize>, found: &mut MatchSink<'_>) -> bool {
        let (rule, compiled) = &self.rules[index];
        let hit = Hit { text, span };
        match rule.find {
            Find::Code(function) => function(&hit, found),
            Find::AtKeyword(pattern) => {
                let start = hit.span.start;
                if is_word(hit.before()) && is_word(text[start]) {
                    return false;
                }
                let window = start..text.len().min(hit.span.end + REACH);
                found.count_work(hit.span.len() + 64);
                let matched = self.match_pattern(rule, compiled, pattern, text, window, found);
                return !matched && deobfuscate::continues_elsewhere(text, &hit.span);
            }
            Find::InLine(pattern) => {
                let line = hit.line();
                let from = line.start.max(*found.cursor);
                found.count_work(line.end - from);
                self.match_pattern(rule, compiled, pattern, text, from..line.end, found);
                found.skip_to(line.end);
            }
        }
        false
    }

    /// Reports the matches of a pattern in a window. Returns whether there is a match, accepted or not.
    fn match_pattern(
        &self,
        rule: &'static Rule,
        compiled: &Pattern,
        pattern: &str,
        text: &[u8],
        window: Range<usize>,
        found: &mut MatchSink<'_>,
    ) -> bool {
        let is_anchored = matches!(rule.find, Find::AtKeyword(_));
        let part = &text[window.clone()];
        let Some(regex) = compiled
            .regex(pattern, is_anchored)
            .filter(|regex| regex.is_match(part))
        else {
            return false;
        };
        for groups in regex.captures_iter(part) {
            // Use the capture group of the alternative that matched.
            let group = groups.iter().skip(1).flatten().next();
            if let Some(secret) = group.or_else(|| groups.get_match().map(|all| all.span())) {
                let mut span = window.start + secret.start..window.start + secret.end;
                if span.end == window.end {
                    // The window ends inside the token, so add the rest of the token.
                    span.end += text[span.end..].iter().take_while(|&&b| is_token(b)).count();
                    found.count_work(span.end - window.end);
                }
                found.skip_to(span.end);
                if (rule.accept)(&part[secret.range()]) {
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

/// The keywords of all rules.
#[cfg(test)]
pub fn keywords() -> impl Iterator<Item = &'static str> {
    all_rules().flat_map(|rule| rule.keywords.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples;
    use crate::pattern;
    use crate::prefilter::Literals;

    /// An engine with one rule.
    fn only(rule: &'static Rule) -> Engine {
        let signs = ["-", ":", "@", "~", "\\"];
        let (single, words): (Vec<&str>, Vec<&str>) = rule
            .keywords
            .iter()
            .copied()
            .partition(|keyword| signs.contains(keyword));
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let keywords = Keywords {
            literals: Literals::prepared(&words),
            triggers: vec![0; words.len()].leak(),
            starts: (0..=u16::try_from(words.len()).unwrap())
                .collect::<Vec<_>>()
                .leak(),
            single: signs.map(|sign| if single.contains(&sign) { &[0][..] } else { &[] }),
        };
        Engine::new(Box::leak(Box::new(keywords)), std::iter::once(rule))
    }

    /// Whether a rule, without the others, finds a leak in a template.
    fn finds(engine: &Engine, template: &str) -> bool {
        let text = examples::fill(template, &mut examples::Noise::new(1));
        !engine
            .run(text.as_bytes(), Depth::Rules, Scope::Text)
            .raw
            .is_empty()
    }

    #[test]
    fn rules_match_their_examples_only() {
        let mut wrong = Vec::new();
        for rule in all_rules() {
            let engine = only(rule);
            let examples = rule.examples.iter().filter(|text| !finds(&engine, text));
            wrong.extend(examples.map(|text| format!("{}.{} misses {text}", rule.kind.id, rule.name)));
            let others = rule.non_examples.iter().filter(|text| finds(&engine, text));
            wrong.extend(others.map(|text| format!("{}.{} matches {text}", rule.kind.id, rule.name)));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn patterns_compile() {
        for rule in all_rules() {
            if let Find::AtKeyword(pattern) | Find::InLine(pattern) = rule.find {
                assert!(pattern::compile(pattern, true).is_some(), "{pattern}");
            }
        }
    }

    /// The page of all rules. `LEAKSCAN_BLESS=1` writes it.
    #[test]
    fn docs_list_every_rule() {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/leak-rules.md");
        let page = examples::page(all_rules());
        if std::env::var_os("LEAKSCAN_BLESS").is_some() {
            std::fs::write(path, page).unwrap();
        } else {
            let written = std::fs::read_to_string(path).unwrap();
            assert!(
                written == page,
                "docs/reference/leak-rules.md is stale: run this test with LEAKSCAN_BLESS=1"
            );
        }
    }
}
