//! Shared code of the attacks. An attack must succeed against an unprotected variant, otherwise it proves nothing.

use std::io::Write as _;

/// Names the file that lists the attacks that were tried, for `scripts/verify/attacks`.
const LIST: &str = "NMOE_GATES_ATTACKS";

/// Asserts that an attack succeeded against the naive variant and failed against the program. The test name begins with the threat.
#[track_caller]
pub fn attack(what: &str, naive: bool, ours: bool) {
    assert!(
        naive,
        "{what}: the attack fails even where nobody defends, so it proves nothing"
    );
    assert!(!ours, "{what}: the attack got through");
    if let Some(list) = std::env::var_os(LIST) {
        let thread = std::thread::current();
        let test = thread
            .name()
            .and_then(|name| name.rsplit("::").next())
            .unwrap_or_default();
        let mut list = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(list)
            .unwrap();
        // One write, so that lines of several tests do not mix.
        list.write_all(format!("{test}\t{what:?}\n").as_bytes()).unwrap();
    }
}

/// Prints that something was not tested.
#[expect(
    clippy::print_stderr,
    reason = "a test that did not run must not look like one that passed"
)]
pub fn skipped(why: &str) {
    eprintln!("SKIPPED, NOT PASSED: {why}");
}

/// Finds what GitHub would render from a text.
pub mod gfm {
    use pulldown_cmark::{Event, Options, Parser, Tag};

    /// Lists effects that a name must never have in a table or paragraph: a link, an image, HTML, a mention, a reference, a heading,
    /// text that is displayed differently, or an extra row.
    pub fn harm(markdown: &str) -> Vec<String> {
        let mut found = Vec::new();
        let (mut rows, mut cells, mut in_code) = (0, 0, false);
        for event in Parser::new_ext(
            markdown,
            Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS,
        ) {
            match event {
                Event::Start(Tag::Link { dest_url, .. }) => found.push(format!("link to {dest_url}")),
                Event::Start(Tag::Image { dest_url, .. }) => found.push(format!("image {dest_url}")),
                Event::Start(Tag::Emphasis | Tag::Strikethrough) => found.push("style".to_owned()),
                Event::Start(Tag::Heading { level, .. }) if level < pulldown_cmark::HeadingLevel::H3 => {
                    found.push("heading".to_owned());
                }
                Event::Start(Tag::TableRow) => rows += 1,
                Event::Start(Tag::TableCell) => cells += 1,
                Event::Start(Tag::CodeBlock(_)) => in_code = true,
                Event::End(pulldown_cmark::TagEnd::CodeBlock) => in_code = false,
                Event::InlineHtml(html) => found.push(format!("HTML {html}")),
                Event::Html(html) => {
                    let ours = [
                        "<details>",
                        "<details open>",
                        "</details>",
                        "<details><summary>",
                        "<summary>",
                        "</summary>",
                    ];
                    let rest = ours
                        .iter()
                        .fold(html.to_string(), |rest, tag| rest.replace(tag, ""));
                    if rest.contains('<') {
                        found.push(format!("HTML {html}"));
                    }
                }
                Event::Code(code) if code.chars().any(is_deceptive) => {
                    found.push(format!("deceptive {code:?}"))
                }
                Event::Text(text) if !in_code => {
                    if text.chars().any(is_deceptive) {
                        found.push(format!("deceptive {text:?}"));
                    }
                    for word in text.split_whitespace() {
                        let reference = word.contains('#') && word.chars().any(|c| c.is_ascii_digit());
                        if word.starts_with('@') || reference || word.starts_with("GH-") {
                            found.push(format!("reference {word}"));
                        }
                        if word.contains("://") || word.starts_with("www.") || word.contains("javascript:") {
                            found.push(format!("autolink {word}"));
                        }
                    }
                    if text.contains("[x]") || text.contains('$') || text.contains('\\') {
                        found.push(format!("markup {text}"));
                    }
                }
                _ => {}
            }
        }
        // One header and one gate; the evidence table is absent without identities.
        if !markdown.contains("<details>") && (rows, cells) != (1, 4) {
            found.push(format!("{rows} rows of {cells} cells"));
        }
        found
    }

    fn is_deceptive(c: char) -> bool {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    }
}

/// Reads a log as the Actions runner does.
pub mod runner {
    /// Returns the commands that take effect in this log, except folding and the fence of the program.
    ///
    /// As in the runner: lines end at `\n`, `\r` or both. `::name …::` counts at the start of a line after blanks, and `##[name …]`
    /// anywhere in a line. Between `::stop-commands::token` and `::token::` no command counts.
    pub fn commands(log: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut stopped: Option<String> = None;
        for line in log.split(['\n', '\r']) {
            let trimmed = line.trim_start();
            if let Some(token) = &stopped {
                if trimmed == format!("::{token}::") {
                    stopped = None;
                }
                continue;
            }
            if let Some(token) = trimmed.strip_prefix("::stop-commands::") {
                // A token that a gate can guess can be closed by the gate.
                if token.len() >= 32 {
                    stopped = Some(token.to_owned());
                } else {
                    found.push(line.to_owned());
                }
                continue;
            }
            let first = trimmed.strip_prefix("::").and_then(|rest| rest.split_once("::"));
            let second = line.find("##[").and_then(|at| line[at + 3..].split_once(']'));
            let name = |command: &str| command.split([' ', ',']).next().unwrap_or_default().to_owned();
            for command in [first, second].into_iter().flatten() {
                let name = name(command.0);
                if !name.is_empty() && !matches!(name.as_str(), "group" | "endgroup") {
                    found.push(line.to_owned());
                }
            }
        }
        found
    }
}
