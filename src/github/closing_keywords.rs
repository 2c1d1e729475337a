//! Finds the issues that a pull request closes, by the closing keywords of GitHub (`Fixes #5`, `Closes: #5`, …).
//!
//! Must not send requests: only the text of the description counts.

/// The closing keywords, in lower case.
const WORDS: [&str; 9] = [
    "close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved",
];

/// Returns the numbers of the issues that a description closes, in order and without duplicates. Ignores code blocks and
/// HTML comments, because they contain examples.
pub fn closes(description: &str) -> Vec<u64> {
    let mut numbers = Vec::new();
    for line in prose(description) {
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2) {
            let keyword = pair[0]
                .trim_start_matches(['-', '*', '(', '_'])
                .trim_end_matches([':', '*', '_'])
                .to_ascii_lowercase();
            let number = pair[1]
                .strip_prefix('#')
                .map(|rest| rest.trim_end_matches(|c: char| !c.is_ascii_digit()))
                .and_then(|digits| digits.parse::<u64>().ok());
            if let Some(number) = number.filter(|_| WORDS.contains(&keyword.as_str()))
                && !numbers.contains(&number)
            {
                numbers.push(number);
            }
        }
    }
    numbers
}

/// Returns the range of the first mention of an issue; the start of the description if there is none.
pub fn mention(description: &str, number: u64) -> std::ops::Range<usize> {
    let name = format!("#{number}");
    let whole = |at: &usize| !description[at + name.len()..].starts_with(|c: char| c.is_ascii_digit());
    let mut places = description.match_indices(&name).map(|(at, _)| at);
    places.find(whole).map_or(0..0, |at| at..at + name.len())
}

/// Returns the lines outside of code blocks and comments.
fn prose(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut fence: Option<&str> = None;
    let mut comment = false;
    for line in text.lines() {
        let start = line.trim_start();
        match fence {
            Some(mark) => {
                if start.starts_with(mark) {
                    fence = None;
                }
                continue;
            }
            None if !comment => fence = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark)),
            None => {}
        }
        if fence.is_some() {
            continue;
        }
        let (mut rest, mut kept) = (line, String::new());
        loop {
            let mark = if comment { "-->" } else { "<!--" };
            let found = rest.find(mark);
            if !comment {
                kept.push_str(&rest[..found.unwrap_or(rest.len())]);
                kept.push(' ');
            }
            match found {
                None => break,
                Some(at) => {
                    rest = &rest[at + mark.len()..];
                    comment = !comment;
                }
            }
        }
        lines.push(kept);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn github_s_words_are_known_and_examples_are_not() {
        assert_eq!(
            closes("## Links\n- Fixes: #12\n- closes #3, resolves: #12."),
            [12, 3]
        );
        assert_eq!(closes("**Fixes:** #7"), [7]);
        assert_eq!(closes("<!-- Fixes: #1 -->\n<!--\nFixes: #2\n--> fixed #3"), [3]);
        assert_eq!(
            closes("```\nFixes: #1\n```\nrefs #2, prefixes #3, Fixes: #N, fixes 4"),
            [0u64; 0]
        );
    }
}
