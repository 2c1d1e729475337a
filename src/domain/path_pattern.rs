//! Evaluates path patterns: pathspecs of git with `:(glob)` magic, without starting git.
//!
//! A pattern starts at the top of the repository. `*` and `?` do not match `/`, `**` does. A name matches itself and everything
//! below it. Matching compares bytes, not characters. A pattern becomes a small automaton, so no pattern needs exponential
//! time, and two patterns can be checked for a common path. Must not depend on the use of the patterns.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

/// Why a pattern is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    #[error("it is empty")]
    Empty,
    #[error("it begins with `/`; patterns already start at the top of the repository")]
    Absolute,
    /// The pattern leads out of the repository.
    #[error("it leaves the repository through `..`")]
    Outside,
    /// A bracket that is not closed, an unknown class, or a `\` at the end.
    #[error("a `[` is not closed, names an unknown class, or the pattern ends in `\\`; it can match nothing")]
    Broken,
}

/// A parsed pattern.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct PathPattern {
    /// The text as written.
    written: String,
    /// The text with `./`, `//` and `..` resolved.
    text: String,
    literal: usize,
    wild: Option<Vec<Node>>,
}

/// A state of the automaton. The position after the last state accepts.
#[derive(Clone, Debug)]
enum Node {
    Byte(u8),
    One(Box<Set>),
    /// Any number of bytes, with or without `/`.
    Many {
        slash: bool,
    },
    /// Either nothing, or everything up to this position.
    Skip(usize),
}

/// A set of bytes, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Set([u64; 4]);

impl Set {
    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }
    fn of(wanted: impl Fn(u8) -> bool) -> Self {
        let mut set = Set::default();
        (0..=255).filter(|b| wanted(*b)).for_each(|b| set.add(b));
        set
    }
    fn meets(&self, other: &Set) -> bool {
        self.0.iter().zip(other.0).any(|(a, b)| a & b != 0)
    }
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[' | b'\\')
}

impl PathPattern {
    /// Parses a pattern as git reads `:(glob)pattern`.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        let text = normalise(pattern)?;
        let bytes = text.as_bytes();
        let literal = bytes.iter().position(|b| is_special(*b)).unwrap_or(bytes.len());
        let wild = if literal < bytes.len() {
            let mut nodes: Vec<Node> = bytes[..literal].iter().map(|b| Node::Byte(*b)).collect();
            compile(&bytes[literal..], &mut nodes).ok_or(BadPattern::Broken)?;
            Some(nodes)
        } else {
            None
        };
        Ok(PathPattern {
            written: pattern.to_owned(),
            text,
            literal,
            wild,
        })
    }

    /// Returns the pattern with `./`, `//` and `..` resolved.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern has a wildcard or an escape. Without one it is a name, which matches itself and everything below it.
    pub fn is_wild(&self) -> bool {
        self.wild.is_some()
    }

    /// Returns the pattern up to its first wildcard, with which every match begins.
    pub fn prefix(&self) -> &str {
        &self.text[..self.literal]
    }

    /// Whether every path with the prefix matches, as for `dir/**` and `**`.
    pub fn covers_prefix(&self) -> bool {
        let rest = &self.text[self.literal..];
        rest == "**" && (self.literal == 0 || self.prefix().ends_with('/'))
    }

    /// Returns the pattern as written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Returns the folder above the first wildcard, where a search for matches begins; empty for the top of the repository.
    pub fn folder(&self) -> &str {
        self.prefix().rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Whether the pattern contains `{a,b}`. Other pattern languages read two alternatives, but here braces are literal.
    pub fn has_literal_braces(&self) -> bool {
        let open = self.text.find('{');
        open.is_some_and(|at| {
            self.text[at..]
                .split_once('}')
                .is_some_and(|(inside, _)| inside.contains(','))
        })
    }

    /// Whether a path matches. The path is relative, with `/`.
    pub fn matches(&self, path: impl AsRef<[u8]>) -> bool {
        let path = path.as_ref();
        self.matches_as_name(path) || self.wild.as_deref().is_some_and(|nodes| accepts(nodes, path))
    }

    /// Whether the pattern matches this path and not only a folder above it.
    pub fn names(&self, path: impl AsRef<[u8]>) -> bool {
        let path = path.as_ref();
        path == self.text.as_bytes() || self.wild.as_deref().is_some_and(|nodes| accepts(nodes, path))
    }

    /// Whether the pattern is the literal name of the path or of a folder above it. This also holds for a name with wildcards.
    fn matches_as_name(&self, path: &[u8]) -> bool {
        path.strip_prefix(self.text.as_bytes())
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || self.text.ends_with('/'))
    }

    /// Whether a pattern for kernel libraries selects a file: the pattern names the file, or it names a folder above the file, and
    /// the file is a shared object.
    pub fn selects_library(&self, path: impl AsRef<[u8]>) -> bool {
        let path = path.as_ref();
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        self.names(path)
            || self.matches(path) && (name.ends_with(b".so") || name.windows(4).any(|part| part == b".so."))
    }

    /// Whether a path exists that matches both. The answer is exact, except for file names that contain wildcards.
    pub fn overlaps(&self, other: &PathPattern) -> bool {
        let (a, b) = (self.prefix(), other.prefix());
        if !a.starts_with(b.trim_end_matches('/')) && !b.starts_with(a.trim_end_matches('/')) {
            return false;
        }
        match (&self.wild, &other.wild) {
            (None, None) => {
                self.matches_as_name(other.text.trim_end_matches('/').as_bytes())
                    || other.matches_as_name(self.text.trim_end_matches('/').as_bytes())
                    || self.text == other.text
            }
            (Some(a), Some(b)) => meet(a, b),
            (Some(a), None) => other.name_nodes().iter().any(|b| meet(a, b)),
            (None, Some(b)) => self.name_nodes().iter().any(|a| meet(a, b)),
        }
    }

    /// Returns the automata of a name: the name itself, and everything below it.
    fn name_nodes(&self) -> Vec<Vec<Node>> {
        let exact: Vec<Node> = self.text.bytes().map(Node::Byte).collect();
        let mut below = exact.clone();
        if self.text.ends_with('/') {
            below.push(Node::Many { slash: true });
            return vec![below];
        }
        below.extend([Node::Byte(b'/'), Node::Many { slash: true }]);
        vec![exact, below]
    }
}

impl TryFrom<String> for PathPattern {
    type Error = BadPattern;

    fn try_from(text: String) -> Result<Self, BadPattern> {
        PathPattern::new(&text)
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for PathPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

impl JsonSchema for PathPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PathPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "description": "Pattern over paths of the repository, a git pathspec with `:(glob)` magic."
        })
    }
}

/// One pattern or several, as a text or a list of texts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "OneOrMany")]
pub struct PathPatterns(Vec<PathPattern>);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<OneOrMany> for PathPatterns {
    type Error = BadPattern;

    fn try_from(texts: OneOrMany) -> Result<Self, BadPattern> {
        let texts = match texts {
            // Settings of earlier versions contain several patterns as `{a,b}`.
            OneOrMany::One(text) => alternatives(&text),
            OneOrMany::Many(texts) => texts,
        };
        texts
            .into_iter()
            .map(PathPattern::try_from)
            .collect::<Result<_, _>>()
            .map(PathPatterns)
    }
}

impl PathPatterns {
    /// Whether one of the patterns matches a path.
    pub fn matches(&self, path: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(path))
    }
}

impl std::fmt::Display for PathPatterns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<&str> = self.0.iter().map(PathPattern::written).collect();
        f.write_str(&texts.join(", "))
    }
}

impl Serialize for PathPatterns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonSchema for PathPatterns {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PathPatterns".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        OneOrMany::json_schema(generator)
    }
}

/// Expands `{a,b}` in a text.
fn alternatives(text: &str) -> Vec<String> {
    let found = text.split_once('{').and_then(|(before, rest)| {
        rest.split_once('}')
            .map(|(inside, after)| (before, inside, after))
    });
    match found {
        Some((before, inside, after)) if inside.contains(',') => inside
            .split(',')
            .flat_map(|one| alternatives(&format!("{before}{one}{after}")))
            .collect(),
        _ => vec![text.to_owned()],
    }
}

/// Resolves `./`, `//` and `..`, as git does before it reads wildcards.
fn normalise(pattern: &str) -> Result<String, BadPattern> {
    if pattern.is_empty() {
        return Err(BadPattern::Empty);
    }
    if pattern.starts_with('/') {
        return Err(BadPattern::Absolute);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(BadPattern::Outside)?;
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err(BadPattern::Empty);
    }
    let mut text = parts.join("/");
    if matches!(pattern.rsplit('/').next(), Some("" | "." | "..")) {
        text.push('/');
    }
    Ok(text)
}

/// Appends the automaton of the part with wildcards; `None` if that part is invalid.
fn compile(p: &[u8], nodes: &mut Vec<Node>) -> Option<()> {
    let mut i = 0;
    while i < p.len() {
        match p[i] {
            b'\\' => {
                nodes.push(Node::Byte(*p.get(i + 1)?));
                i += 2;
            }
            b'?' => {
                nodes.push(Node::One(Box::new(Set::of(|b| b != b'/'))));
                i += 1;
            }
            b'*' => {
                let start = i;
                while p.get(i) == Some(&b'*') {
                    i += 1;
                }
                let opens = start == 0 || p[start - 1] == b'/';
                let ends = i == p.len() || p[i] == b'/' || p[i..].starts_with(b"\\/");
                let slash = i - start > 1 && opens && ends;
                if slash && p.get(i) == Some(&b'/') {
                    // `**/` also matches nothing: skip the star and the slash that the loop appends next.
                    nodes.push(Node::Skip(nodes.len() + 3));
                }
                nodes.push(Node::Many { slash });
            }
            b'[' => {
                let (set, after) = class(p, i)?;
                nodes.push(Node::One(Box::new(set)));
                i = after;
            }
            byte => {
                nodes.push(Node::Byte(byte));
                i += 1;
            }
        }
    }
    Some(())
}

/// Parses a bracket expression at `p[at]`. Returns its bytes, never `/`, and the position after it.
fn class(p: &[u8], at: usize) -> Option<(Set, usize)> {
    let mut i = at + 1;
    let negated = matches!(p.get(i)?, b'!' | b'^');
    i += usize::from(negated);
    let mut set = Set::default();
    let mut previous: Option<u8> = None;
    let mut first = true;
    loop {
        let c = *p.get(i)?;
        if c == b']' && !first {
            break;
        }
        first = false;
        let next = p.get(i + 1).copied();
        match (c, previous, next) {
            (b'\\', ..) => {
                i += 1;
                set.add(*p.get(i)?);
                previous = Some(p[i]);
            }
            (b'-', Some(low), Some(n)) if n != b']' => {
                i += 1;
                if p[i] == b'\\' {
                    i += 1;
                }
                let high = *p.get(i)?;
                (low..=high).for_each(|b| set.add(b));
                previous = None;
            }
            (b'[', _, Some(b':')) => {
                let end = i + 2 + p[i + 2..].iter().position(|b| *b == b']')?;
                if end > i + 2 && p[end - 1] == b':' {
                    let named = named_class(&p[i + 2..end - 1])?;
                    (0..4).for_each(|n| set.0[n] |= named.0[n]);
                    previous = None;
                    i = end;
                } else {
                    set.add(b'[');
                    previous = Some(b'[');
                }
            }
            (c, ..) => {
                set.add(c);
                previous = Some(c);
            }
        }
        i += 1;
    }
    Some((Set::of(|b| b != b'/' && set.has(b) != negated), i + 1))
}

fn named_class(name: &[u8]) -> Option<Set> {
    let print = |b: u8| (0x20..=0x7e).contains(&b);
    let space = |b: u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
    Some(match name {
        b"alnum" => Set::of(|b| b.is_ascii_alphanumeric()),
        b"alpha" => Set::of(|b| b.is_ascii_alphabetic()),
        b"blank" => Set::of(|b| matches!(b, b' ' | b'\t')),
        b"cntrl" => Set::of(|b| b.is_ascii_control()),
        b"digit" => Set::of(|b| b.is_ascii_digit()),
        b"graph" => Set::of(|b| print(b) && !space(b)),
        b"lower" => Set::of(|b| b.is_ascii_lowercase()),
        b"print" => Set::of(print),
        b"punct" => Set::of(|b| b.is_ascii_punctuation()),
        b"space" => Set::of(space),
        b"upper" => Set::of(|b| b.is_ascii_uppercase()),
        b"xdigit" => Set::of(|b| b.is_ascii_hexdigit()),
        _ => return None,
    })
}

/// Adds a position and all positions that are reachable without reading a byte.
fn enter(nodes: &[Node], at: usize, states: &mut [bool]) {
    if states[at] {
        return;
    }
    states[at] = true;
    match nodes.get(at) {
        Some(Node::Many { .. }) => enter(nodes, at + 1, states),
        Some(Node::Skip(to)) => {
            enter(nodes, at + 1, states);
            enter(nodes, *to, states);
        }
        _ => {}
    }
}

/// Returns the positions that follow a byte at a position.
fn reads(node: &Node, byte: u8) -> bool {
    match node {
        Node::Byte(b) => *b == byte,
        Node::One(set) => set.has(byte),
        Node::Many { slash } => *slash || byte != b'/',
        Node::Skip(_) => false,
    }
}

fn accepts(nodes: &[Node], text: &[u8]) -> bool {
    let mut now = vec![false; nodes.len() + 1];
    let mut then = now.clone();
    enter(nodes, 0, &mut now);
    for byte in text {
        then.fill(false);
        for (at, node) in nodes.iter().enumerate() {
            if now[at] && reads(node, *byte) {
                let stays = matches!(node, Node::Many { .. });
                enter(nodes, if stays { at } else { at + 1 }, &mut then);
            }
        }
        std::mem::swap(&mut now, &mut then);
    }
    now[nodes.len()]
}

/// Whether a byte exists that both positions accept.
fn common(x: &Node, y: &Node) -> bool {
    match (x, y) {
        (Node::Byte(byte), node) | (node, Node::Byte(byte)) => reads(node, *byte),
        (Node::One(a), Node::One(b)) => a.meets(b),
        // A set never contains `/`, so every star accepts its bytes.
        (Node::One(set), Node::Many { .. }) | (Node::Many { .. }, Node::One(set)) => set.0 != [0; 4],
        (Node::Many { .. }, Node::Many { .. }) => true,
        (Node::Skip(_), _) | (_, Node::Skip(_)) => false,
    }
}

/// Whether two automata accept a common text. Searches over pairs of positions.
fn meet(a: &[Node], b: &[Node]) -> bool {
    let mut seen = vec![false; (a.len() + 1) * (b.len() + 1)];
    let mut open = vec![(0, 0)];
    while let Some((i, j)) = open.pop() {
        if std::mem::replace(&mut seen[i * (b.len() + 1) + j], true) {
            continue;
        }
        if i == a.len() && j == b.len() {
            return true;
        }
        for (nodes, at, left) in [(a, i, true), (b, j, false)] {
            let mut jump = |to| open.push(if left { (to, j) } else { (i, to) });
            match nodes.get(at) {
                Some(Node::Many { .. }) => jump(at + 1),
                Some(Node::Skip(to)) => {
                    jump(at + 1);
                    jump(*to);
                }
                _ => {}
            }
        }
        if let (Some(x), Some(y)) = (a.get(i), b.get(j))
            && common(x, y)
        {
            let step = |node: &Node, at: usize| {
                if matches!(node, Node::Many { .. }) {
                    at
                } else {
                    at + 1
                }
            };
            open.push((step(x, i), step(y, j)));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::new(pattern).unwrap().matches(path)
    }

    #[test]
    fn name_matches_itself_and_everything_below() {
        assert!(matches("nmoe", "nmoe") && matches("nmoe", "nmoe/a/b") && !matches("nmoe", "nmoe2"));
        assert!(matches("nmoe/", "nmoe/a") && !matches("nmoe/", "nmoe"));
    }

    #[test]
    fn one_star_stops_at_slash() {
        assert!(
            matches("a/*.py", "a/x.py") && !matches("a/*.py", "a/b/x.py") && !matches("*.md", "docs/x.md")
        );
        assert!(
            matches("**/x", "x")
                && matches("**/x", "a/b/x")
                && matches("a/**", "a/b/c")
                && !matches("a/**", "a")
        );
    }

    #[test]
    fn braces_are_literal_and_folders_match_no_file() {
        assert!(!matches("{a,b}.so", "a.so") && matches("{a,b}.so", "{a,b}.so"));
        let pattern = |text| PathPattern::new(text).unwrap();
        assert!(pattern("{a,b}.so").has_literal_braces() && !pattern("{a}.so").has_literal_braces());
        assert!(!pattern("csrc").names("csrc/a.so") && pattern("csrc/*.so").names("csrc/a.so"));
        assert_eq!(
            (pattern("a/b/*.so").folder(), pattern("**/x").folder()),
            ("a/b", "")
        );
    }

    #[test]
    fn several_patterns_are_list_or_braces() {
        for text in ["[\"a/**\", \"b\"]", "\"{a/**,b}\""] {
            let patterns: PathPatterns = serde_json::from_str(text).unwrap();
            assert!(patterns.matches("a/x") && patterns.matches("b") && !patterns.matches("c"));
            assert_eq!(patterns.to_string(), "a/**, b");
        }
    }

    #[test]
    fn many_stars_need_no_exponential_time() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(5000)));
    }

    #[test]
    fn overlap_is_a_common_path() {
        let overlap = |a: &str, b: &str| {
            PathPattern::new(a)
                .unwrap()
                .overlaps(&PathPattern::new(b).unwrap())
        };
        assert!(overlap("nmoe/**", "nmoe/train.py") && overlap("nmoe", "nmoe/train.py"));
        assert!(overlap("**/*.py", "nmoe/t*") && !overlap("*.py", "nmoe/train.py"));
        assert!(!overlap("a/*.py", "a/*.md") && overlap("a/b*", "a/*c") && !overlap("a", "ab"));
    }

    #[test]
    fn pattern_without_match_is_refused() {
        for (pattern, why) in [
            ("", BadPattern::Empty),
            ("/a", BadPattern::Absolute),
            ("a/../../b", BadPattern::Outside),
            ("a[b", BadPattern::Broken),
            ("a[[:nope:]]", BadPattern::Broken),
            ("a\\", BadPattern::Broken),
        ] {
            assert_eq!(PathPattern::new(pattern).unwrap_err(), why, "{pattern}");
        }
    }
}
