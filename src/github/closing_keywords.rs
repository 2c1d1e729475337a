//! Finds the issues that a pull request closes, as GitHub reads its description: `Fixes #5`, `Fixes: owner/repo#5`, full URLs.
//!
//! Must not send requests: only the text of the description counts. Code and HTML comments contain examples and are ignored;
//! the text of other HTML counts.
//! The words and forms: <https://docs.github.com/issues/tracking-your-work-with-issues/using-issues/linking-a-pull-request-to-an-issue>.

use std::ops::Range;
use std::sync::LazyLock;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use regex::Regex;

use crate::github::config::Repository;

/// A closing keyword with its issue: a number, or `owner/name` and a number, or the URL of an issue.
static REFERENCE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?xi) (?:^|\W) (?:close[sd]?|fix(?:e[sd])?|resolve[sd]?) :? [\ \t]+
          ( (?: ([\w.-]+/[\w.-]+)?\# | https?://([\w.:-]+)/([\w.-]+/[\w.-]+)/issues/ ) (\d+) ) (?:$|\W)",
    )
    .ok()
});

/// What is no text in a block of HTML: comments, elements whose text is code, and tags.
static MARKUP: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let code = ["pre", "code", "script", "style", "textarea", "kbd", "samp"];
    let code = code
        .map(|name| format!(r"<{name}\b.*?(?:</{name}\s*>|\z)"))
        .join("|");
    Regex::new(&format!(r"(?is)<!--.*?(?:-->|\z)|{code}|(?<tag></?[a-z][^>]*>)")).ok()
});

/// Where a description is read: the repository, and the host of its pages.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    pub repository: &'a Repository,
    /// `github.com`, or the host of an Enterprise server.
    pub host: &'a str,
}

/// A reference to an issue of this repository that the pull request closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosingReference {
    pub number: u64,
    /// The place of the reference in the description, without the keyword.
    pub span: Range<usize>,
}

/// Returns the references to issues of this repository, in order; the first of each number.
pub fn references(description: &str, site: Site<'_>) -> Vec<ClosingReference> {
    let Some(pattern) = REFERENCE.as_ref() else {
        return Vec::new();
    };
    let prose = Prose::of(description);
    let mut found: Vec<ClosingReference> = Vec::new();
    let mut start = 0;
    while let Some(groups) = pattern.captures_at(&prose.text, start) {
        let (Some(whole), Some(number)) = (groups.get(1), groups.get(5)) else {
            break;
        };
        // The character behind a reference may begin the next keyword's word boundary.
        start = whole.end();
        let named = groups.get(2).or_else(|| groups.get(4)).map(|name| name.as_str());
        let here = named.is_none_or(|name| name.eq_ignore_ascii_case(&site.repository.to_string()))
            && groups
                .get(3)
                .is_none_or(|host| host.as_str().eq_ignore_ascii_case(site.host));
        if let Ok(number) = number.as_str().parse()
            && here
            && !found.iter().any(|known| known.number == number)
        {
            let span = prose.source(whole.start())..prose.source(whole.end() - 1) + 1;
            found.push(ClosingReference { number, span });
        }
    }
    found
}

/// Returns the numbers of the issues of this repository that a description closes, in order and without duplicates.
pub fn closes(description: &str, site: Site<'_>) -> Vec<u64> {
    let found = references(description, site);
    found.into_iter().map(|reference| reference.number).collect()
}

/// The line of a template that waits for the number of an issue: `- Fixes: #`.
static PLACEHOLDER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?m)^([ \t]*(?:[-*][ \t]+)?(?:Closes|Fixes|Resolves):?[ \t]+#)(?:N|NN|<[^>\r\n]*>)?[ \t]*(\r?)$",
    )
    .ok()
});

/// Returns the description with a reference that closes an issue: in the line of the template, otherwise at the end. A description
/// that closes an issue of this repository already is not changed.
pub fn close(description: &str, number: u64, site: Site<'_>) -> String {
    if !references(description, site).is_empty() {
        return description.to_owned();
    }
    let pattern = PLACEHOLDER.as_ref();
    if let Some(pattern) = pattern.filter(|pattern| pattern.is_match(description)) {
        let filled = pattern.replacen(description, 1, format!("${{1}}{number}${{2}}"));
        if !references(&filled, site).is_empty() {
            return filled.into_owned();
        }
    }
    let line_end = match description.contains("\r\n") {
        true => "\r\n",
        false => "\n",
    };
    let text = description.trim_end();
    format!("{text}{line_end}{line_end}Fixes: #{number}{line_end}")
}

/// The text of a description without code and HTML, with the place of each piece in the description.
struct Prose {
    text: String,
    /// Start of a piece in the text, and of the same piece in the description.
    pieces: Vec<(usize, usize)>,
}

impl Prose {
    fn of(description: &str) -> Self {
        let mut prose = Prose {
            text: String::new(),
            pieces: Vec::new(),
        };
        let mut in_code = false;
        for (event, range) in Parser::new(description).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(_)) => in_code = true,
                Event::End(TagEnd::CodeBlock) => in_code = false,
                Event::Text(text) if !in_code => prose.push(&text, range.start),
                Event::Start(Tag::HtmlBlock) => {
                    prose.text.push('\n');
                    prose.push_html(&description[range.clone()], range.start);
                }
                // A code span separates words, so that `Fixes ``x`` #5` is not a reference.
                Event::Code(_) => prose.text.push('`'),
                // Emphasis and links stand inside of a line: `**Fixes:** #5` is a reference.
                Event::Start(Tag::Emphasis | Tag::Strong | Tag::Link { .. })
                | Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Link)
                | Event::Text(_)
                | Event::InlineHtml(_) => {}
                _ => prose.text.push('\n'),
            }
        }
        prose
    }

    fn push(&mut self, text: &str, source: usize) {
        self.pieces.push((self.text.len(), source));
        self.text.push_str(text);
    }

    fn push_html(&mut self, html: &str, source: usize) {
        let Some(markup) = MARKUP.as_ref() else {
            return;
        };
        let mut at = 0;
        for found in markup.captures_iter(html) {
            let whole = found.get_match();
            self.push(&html[at..whole.start()], source + at);
            // Code separates words, as a code span does.
            if found.name("tag").is_none() {
                self.text.push('`');
            }
            at = whole.end();
        }
        self.push(&html[at..], source + at);
    }

    /// Returns the place in the description of a place in the text.
    fn source(&self, at: usize) -> usize {
        let behind = self.pieces.partition_point(|(start, _)| *start <= at);
        let (start, source) = self
            .pieces
            .get(behind.saturating_sub(1))
            .copied()
            .unwrap_or((0, 0));
        source + (at - start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closes(description: &str) -> Vec<u64> {
        let repository = Repository::parse("octo-org/trainer").unwrap();
        let site = Site {
            repository: &repository,
            host: "github.com",
        };
        let found = references(description, site);
        for reference in &found {
            let text = &description[reference.span.clone()];
            assert!(text.ends_with(&reference.number.to_string()), "{text:?}");
        }
        found.into_iter().map(|reference| reference.number).collect()
    }

    #[test]
    fn every_closing_keyword_is_reference() {
        for word in [
            "close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "RESOLVED",
        ] {
            assert_eq!(closes(&format!("{word} #7")), [7], "{word}");
        }
        assert_eq!(
            closes("## Links\n- Fixes: #12\n- closes #3, resolves: #12."),
            [12, 3]
        );
        assert_eq!(closes("**Fixes:** #7 and *closes* #8"), [7, 8]);
        assert_eq!(closes("Fixes Octo-Org/trainer#4"), [4]);
        assert_eq!(
            closes("Fixes: https://github.com/octo-org/trainer/issues/5."),
            [5]
        );
        assert_eq!(
            closes("Fixes <https://github.com/octo-org/trainer/issues/6>"),
            [6]
        );
        assert_eq!(
            closes("<details><summary>Links</summary>\nFixes #7\n<b>closes</b> #8</details>"),
            [7, 8]
        );
        assert_eq!(closes("ümläut: fixes #1 fixes #2,fixes #3"), [1, 2, 3]);
    }

    #[test]
    fn other_repositories_and_bare_mentions_are_not() {
        assert_eq!(closes("Fixes other/trainer#4"), [0u64; 0]);
        assert_eq!(
            closes("Fixes https://ghe.example/octo-org/trainer/issues/5"),
            [0u64; 0]
        );
        assert_eq!(
            closes("Fixes https://github.com/octo-org/trainer/pull/5"),
            [0u64; 0]
        );
        assert_eq!(
            closes("refs #2, prefixes #3, Fixes: #N, fixes 4, fixes #5x, fixes\n#6"),
            [0u64; 0]
        );
        // A keyword counts for one issue.
        assert_eq!(closes("fixes #1, #2"), [1]);
    }

    #[test]
    fn examples_in_code_and_comments_are_not() {
        for example in [
            "```\nFixes: #1\n```",
            "````\n```\nFixes: #1\n```\nFixes: #2\n````",
            "~~~md\n```\nFixes #1\n~~~",
            "- item\n\n      Fixes #1",
            "    Fixes #1",
            "<!-- Fixes: #1 -->",
            "<!--\n\nFixes: #2\n\n-->",
            "text <!-- Fixes #1 --> text",
            "`Fixes #1` and ``Fixes #2``",
            "Fixes `x` #1",
        ] {
            assert_eq!(closes(example), [0u64; 0], "{example}");
        }
        assert_eq!(closes("<!-- Fixes: #1 -->\n\nfixed #3"), [3]);
        for block in [
            "<pre>\nFixes #1\n\nFixes #2\n</pre>",
            "<details>\n<code>Fixes #1</code>\nFixes <code>x</code> #2 <!-- closes #3 -->\n</details>",
            "<div title='Fixes #1'>\n</div>",
        ] {
            assert_eq!(closes(block), [0u64; 0], "{block}");
        }
        // A fence that never closes runs to the end.
        assert_eq!(closes("Fixes #1\n\n```\nFixes #2"), [1]);
    }

    #[test]
    fn template_line_is_filled_and_references_kept() {
        let repository = Repository::parse("octo-org/trainer").unwrap();
        let site = Site {
            repository: &repository,
            host: "github.com",
        };
        assert_eq!(
            close("a\r\n- Fixes: #\r\nb\r\n", 7, site),
            "a\r\n- Fixes: #7\r\nb\r\n"
        );
        assert_eq!(close("- Fixes: #<number>\n", 7, site), "- Fixes: #7\n");
        assert_eq!(close("Closes #3\n", 7, site), "Closes #3\n");
        assert_eq!(
            close("```\nFixes: #N\n```\n", 7, site),
            "```\nFixes: #N\n```\n\nFixes: #7\n"
        );
    }
}
