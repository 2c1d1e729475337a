//! Redacts a stream.
//!
//! The result for a line depends only on the line, and on whether a private key is being printed. It does not depend on how
//! the stream is split into chunks. The redactor first replaces the names of an [`Identity`], then what the rules find in
//! the result. The rules ignore placeholders, so that a second pass changes nothing.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use aho_corasick::MatchKind;

use crate::identity::Identity;
use crate::rule::RawMatch;
use crate::scan;

/// The redactor splits longer lines.
const LONGEST: usize = 64 * 1024;

/// How many bytes at the end of a part may move to the next part, so that no match is cut in two.
const MARGIN: usize = 8 * 1024;

/// Redacts a stream of bytes.
#[derive(Clone)]
pub struct Redactor {
    names: Arc<Names>,
    pending: Vec<u8>,
    in_key: bool,
    scratch: Vec<u8>,
    /// How many bytes were examined. Tests compare the sum with the length of the stream.
    work: u64,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(…)")
    }
}

struct Names {
    automaton: Option<AhoCorasick>,
    placeholders: Vec<String>,
    lengths: Vec<usize>,
    options: scan::Options,
}

impl Redactor {
    /// Creates a redactor that replaces these names.
    pub fn new(identity: Identity) -> Self {
        let mut names = identity.names;
        names.sort_by_key(|name| std::cmp::Reverse(name.text.len()));
        let automaton = if names.is_empty() {
            None
        } else {
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(names.iter().map(|name| &name.text))
                .ok()
        };
        Redactor {
            names: Arc::new(Names {
                automaton,
                lengths: names.iter().map(|name| name.text.len()).collect(),
                placeholders: names.into_iter().map(|name| name.placeholder).collect(),
                options: scan::Options::with_terms(identity.terms),
            }),
            pending: Vec::new(),
            in_key: false,
            scratch: Vec::new(),
            work: 0,
        }
    }

    /// Replaces these names from now on. An incomplete line is kept.
    pub fn learn(&mut self, identity: Identity) {
        self.names = Redactor::new(identity).names;
    }

    /// Redacts more of the stream and appends the result to `out`. Keeps an incomplete line for later.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        if self.pending.is_empty() {
            // Complete lines need no copy.
            let done = self.drain(input, out);
            self.pending.extend_from_slice(&input[done..]);
        } else {
            self.pending.extend_from_slice(input);
            // Scan a line once, when it is complete, even if the chunks are small.
            if self.pending.len() <= LONGEST && memchr::memchr2(b'\n', b'\r', input).is_none() {
                return;
            }
            let mut pending = std::mem::take(&mut self.pending);
            let done = self.drain(&pending, out);
            pending.drain(..done);
            self.pending = pending;
        }
    }

    /// Redacts the rest of the stream and appends the result to `out`.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let rest = std::mem::take(&mut self.pending);
        self.lines(&rest, out);
        self.in_key = false;
    }

    /// Redacts a whole text.
    pub fn clean(&self, text: &str) -> String {
        let mut fresh = Redactor {
            pending: Vec::new(),
            scratch: Vec::new(),
            in_key: false,
            names: Arc::clone(&self.names),
            work: 0,
        };
        let mut out = Vec::with_capacity(text.len());
        fresh.push(text.as_bytes(), &mut out);
        fresh.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Redacts all complete lines of a text, and the first parts of a line that is too long. Returns how many bytes that
    /// were. The positions of the cuts depend only on the line.
    fn drain(&mut self, text: &[u8], out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        loop {
            let rest = &text[at..];
            let window = &rest[..rest.len().min(LONGEST + 1)];
            let done = match memchr::memrchr2(b'\n', b'\r', window) {
                Some(end) => end + 1,
                None if rest.len() > LONGEST => self.cut(&rest[..LONGEST]),
                None => return at,
            };
            self.lines(&rest[..done], out);
            at += done;
        }
    }

    /// Where to cut a long line: outside of all matches, and after a blank if possible.
    fn cut(&mut self, part: &[u8]) -> usize {
        let room = &part[..LONGEST - MARGIN];
        let blank =
            memchr::memrchr2(b' ', b',', &room[room.len() - MARGIN..]).map(|at| room.len() - MARGIN + at + 1);
        let mut at = blank.unwrap_or(room.len());
        let mut spans: Vec<Range<usize>> = self.names.matches(part).map(|(span, _)| span).collect();
        let (finds, work) = scan::scan_lines(part, &self.names.options);
        self.work += work;
        spans.extend(finds.into_iter().map(|raw| raw.span));
        spans.sort_by_key(|span| std::cmp::Reverse(span.start));
        for span in spans {
            if span.start < at && at < span.end {
                at = span.start;
            }
        }
        // The match fills the whole part, so any place is as good.
        if at == 0 { room.len() } else { at }
    }

    /// Redacts complete lines.
    fn lines(&mut self, text: &[u8], out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        if self.in_key || memchr::memmem::find(text, b"PRIVATE KEY").is_some() {
            let mut at = 0;
            while at < text.len() {
                let end = memchr::memchr2(b'\n', b'\r', &text[at..]).map_or(text.len(), |n| at + n + 1);
                self.key_line(&text[at..end], out);
                at = end;
            }
            return;
        }
        self.plain(text, out);
    }

    /// Redacts a line while a private key may be printed: removes base 64.
    fn key_line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let marker = memchr::memmem::find(line, b"PRIVATE KEY").is_some();
        let opens = marker && memchr::memmem::find(line, b"BEGIN ").is_some();
        if !self.in_key && !opens {
            self.plain(line, out);
            return;
        }
        let trimmed = line.trim_ascii();
        let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
        let whole = !trimmed.is_empty() && trimmed.iter().all(|&b| is_base64(b));
        let mut clean = Vec::with_capacity(line.len());
        for word in line.chunk_by(|&a, &b| is_base64(a) == is_base64(b)) {
            if is_base64(word[0]) && (word.len() >= 16 || whole) {
                clean.extend_from_slice(b"[secret]");
            } else {
                clean.extend_from_slice(word);
            }
        }
        let header = memchr::memmem::find(line, b": ").is_some() || trimmed.is_empty();
        self.in_key = if marker { opens } else { header || clean != line };
        self.plain(&clean, out);
    }

    /// Replaces names, then what the rules find, until they find nothing.
    fn plain(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let mut at = 0;
        for (span, placeholder) in self.names.matches(text) {
            scratch.extend_from_slice(&text[at..span.start]);
            scratch.extend_from_slice(placeholder.as_bytes());
            at = span.end;
        }
        if at == 0 {
            self.ruled(text, out);
        } else {
            scratch.extend_from_slice(&text[at..]);
            self.ruled(&scratch, out);
        }
        self.scratch = scratch;
    }

    fn ruled(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let mut clean: Option<Vec<u8>> = None;
        // Replacing a match can expose a new match next to it, so scan again.
        for _ in 0..4 {
            let text = clean.as_deref().unwrap_or(text);
            let (finds, work) = scan::scan_lines(text, &self.names.options);
            self.work += work;
            if finds.is_empty() {
                break;
            }
            let mut next = Vec::with_capacity(text.len());
            let mut at = 0;
            for RawMatch { kind, span, .. } in finds {
                next.extend_from_slice(&text[at..span.start]);
                next.extend_from_slice(kind.placeholder.as_bytes());
                at = span.end;
            }
            next.extend_from_slice(&text[at..]);
            clean = Some(next);
        }
        out.extend_from_slice(clean.as_deref().unwrap_or(text));
    }
}

impl Names {
    /// Finds names and their replacements. A short name must be a whole word.
    fn matches<'t>(&'t self, text: &'t [u8]) -> impl Iterator<Item = (Range<usize>, &'t str)> {
        self.automaton
            .iter()
            .flat_map(move |automaton| automaton.find_iter(text))
            .filter(move |hit| {
                let border = |at: Option<&u8>| !at.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
                let alone = border(hit.start().checked_sub(1).and_then(|at| text.get(at)))
                    && border(text.get(hit.end()));
                alone || self.lengths[hit.pattern().as_usize()] >= 12
            })
            .map(|hit| (hit.range(), self.placeholders[hit.pattern().as_usize()].as_str()))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use proptest::prelude::*;

    use super::*;
    use crate::private_terms::Terms;
    use crate::worst_case_inputs;

    fn redactor() -> Redactor {
        let mut identity = Identity::none();
        identity.variable("NMOE_DATA_PATH", "/mnt/weka/blue/datasets/");
        identity.name("blue-b200-07", "[host]");
        identity.terms(Terms::parse("heron seven").unwrap());
        Redactor::new(identity)
    }

    fn pieces(redactor: &Redactor, text: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut redactor = redactor.clone();
        let mut out = Vec::new();
        let mut at = 0;
        for &cut in cuts {
            let cut = cut.clamp(at, text.len());
            redactor.push(&text[at..cut], &mut out);
            at = cut;
        }
        redactor.push(&text[at..], &mut out);
        redactor.finish(&mut out);
        out
    }

    fn token() -> String {
        format!("gh{}_{}", "p", "k6A7i3VrORqhnKaJQhDojJYh3IVY1W2uyglY")
    }

    #[test]
    fn names_values_secrets_and_terms_are_replaced() {
        let text = format!(
            "open /mnt/weka/blue/datasets/dclm on blue-b200-07 (10.1.2.3)\rtoken {} by Heron_Seven\n",
            token()
        );
        assert_eq!(
            redactor().clean(&text),
            "open ${NMOE_DATA_PATH}/dclm on [host] ([address])\rtoken [secret] by [private]\n"
        );
    }

    #[test]
    fn private_key_is_replaced_line_by_line() {
        let row = "MIIEpAIBAAKCAQEAq7BFUpkGp3+LQmlQ".repeat(2);
        let text = format!(
            "a\n-----BEGIN RSA {}\n{row}\n{row}\nab==\n-----END RSA {0}\nb\n",
            "PRIVATE KEY-----"
        );
        let clean = redactor().clean(&text);
        assert!(!clean.contains("MIIE") && clean.ends_with("b\n"), "{clean}");
        assert_eq!(clean.matches("[secret]").count(), 3, "{clean}");
    }

    #[test]
    fn encoded_secret_is_replaced() {
        let plain = format!("user and {} and more", token());
        for encoded in [
            base64::engine::general_purpose::STANDARD_NO_PAD.encode(&plain),
            plain.bytes().map(|b| format!("{b:02x}")).collect(),
        ] {
            let clean = redactor().clean(&format!("auth {encoded} end"));
            assert_eq!(clean, "auth [secret] end");
        }
        // A required value and a private term inside a longer text.
        let path = base64::engine::general_purpose::STANDARD.encode("x: /mnt/weka/blue/datasets/a");
        assert!(redactor().clean(&path).contains("${NMOE_DATA_PATH}"));
        let term = base64::engine::general_purpose::STANDARD.encode("ask heron-seven");
        assert_eq!(
            redactor().clean(&format!("note {term} end")),
            "note [private] end"
        );
        let clean = redactor().clean(&plain.replace("ghp", "%67%68%70"));
        assert_eq!(clean, "user and [secret] and more");
    }

    #[test]
    fn endless_line_is_redacted() {
        let secret = token();
        for filler in ["a, ", "x"] {
            let text = format!("{}{secret} {secret}", filler.repeat(LONGEST));
            let text = if filler == "x" {
                text.replace("xgh", "x gh")
            } else {
                text
            };
            let clean = redactor().clean(&text);
            assert_eq!(clean, text.replace(&secret, "[secret]"));
        }
    }

    #[test]
    fn debug_output_has_no_names() {
        let mut identity = Identity::none();
        for (text, placeholder) in [("blue-b200-07", "[host]"), ("root", "[user]"), ("heron", "[pod]")] {
            identity.name(text, placeholder);
        }
        assert_eq!(format!("{identity:?}"), "Identity(…)");
        assert!(!format!("{:?}", Redactor::new(identity)).contains("b200"));
    }

    /// How many bytes are examined for a text of this length, in chunks that do not match its lines.
    fn work(unit: &str, bytes: usize) -> u64 {
        let mut redactor = redactor();
        let mut out = Vec::new();
        for piece in worst_case_inputs::text(unit, bytes).as_bytes().chunks(997) {
            redactor.push(piece, &mut out);
        }
        redactor.finish(&mut out);
        redactor.work
    }

    #[test]
    fn redaction_takes_linear_work() {
        for unit in worst_case_inputs::units().step_by(10) {
            worst_case_inputs::assert_linear(&unit, [2, 4, 8].map(|n| work(&unit, n << 10)));
        }
    }

    #[test]
    fn slow_endless_lines_take_linear_work() {
        // Overlapping names and matches move a cut back as far as possible.
        let chains = ["blue-b200-07.corp", "10.1.2.3blue-b200-07", "heron-seven:29500 "].map(str::to_owned);
        let endless = worst_case_inputs::seeds()
            .filter(|unit| !unit.contains('\n'))
            .step_by(37);
        for unit in endless.chain(chains) {
            let per_byte = [1, 2, 4].map(|n| work(&unit, n * LONGEST) / (n * LONGEST) as u64);
            assert!(per_byte[2] <= per_byte[0] * 5 / 4 + 64, "{unit:?}: {per_byte:?}");
        }
    }

    fn text_of(bytes: &[u8]) -> String {
        bytes.escape_ascii().to_string()
    }

    /// Words that are leaks, or become leaks next to each other.
    fn words() -> impl Strategy<Value = Vec<u8>> {
        let words = vec![
            token(),
            "/mnt/weka/blue/datasets/x".to_owned(),
            "blue-b200-07".to_owned(),
            "heron-seven".to_owned(),
            "Heron".to_owned(),
            "10.1.2.3".to_owned(),
            "password=".to_owned(),
            "mVBDdOjz#jEot6S".to_owned(),
            "kubectl -n ".to_owned(),
            "ml-blue-prod".to_owned(),
            "http://".to_owned(),
            "prometheus:9090".to_owned(),
            format!("-----BEGIN {}-----", "PRIVATE KEY"),
            format!("-----END {}-----", "PRIVATE KEY"),
            "MIIEpAIBAAKCAQEAq7BFUpkGp3LQmlQ".to_owned(),
            "\u{200b}".to_owned(),
            "%41".to_owned(),
            "[host]".to_owned(),
            "${NMOE_DATA_PATH}".to_owned(),
            " ".to_owned(),
            "\n".to_owned(),
            "\r".to_owned(),
            "\r\n".to_owned(),
            ":".to_owned(),
            "x".to_owned(),
        ];
        proptest::collection::vec(
            prop_oneof![
                8 => proptest::sample::select(words).prop_map(String::into_bytes),
                1 => proptest::collection::vec(any::<u8>(), 0..6),
            ],
            0..40,
        )
        .prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn result_does_not_depend_on_chunks(text in words(), mut cuts in proptest::collection::vec(0usize..800, 0..12)) {
            cuts.sort_unstable();
            let redactor = redactor();
            let whole = pieces(&redactor, &text, &[]);
            prop_assert_eq!(text_of(&pieces(&redactor, &text, &cuts)), text_of(&whole));
            let bytes: Vec<usize> = (0..text.len()).collect();
            prop_assert_eq!(text_of(&pieces(&redactor, &text, &bytes)), text_of(&whole));
        }

        #[test]
        fn a_second_pass_changes_nothing(text in words()) {
            let redactor = redactor();
            let once = pieces(&redactor, &text, &[]);
            let twice = pieces(&redactor, &once, &[]);
            prop_assert_eq!(text_of(&twice), text_of(&once), "{}", text_of(&text));
        }
    }
}
