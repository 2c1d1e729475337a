//! Compares scope patterns with globset where both have the same meaning: plain bytes, `*`, `?` and `**` between slashes.
#![no_main]

use globset::GlobBuilder;
use libfuzzer_sys::fuzz_target;
use nmoe_gates::domain::path_pattern::PathPattern;

fuzz_target!(|input: (&str, &str)| {
    let (pattern, path) = input;
    let Ok(ours) = PathPattern::new(pattern) else {
        return;
    };
    let matched = ours.matches(path);
    // `[/]` never matches, and neither does a pattern that contains it.
    assert!(!matched || ours.overlaps(&ours));
    let plain = |text: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'.');
        let parts = |text: &str| {
            text.split('/')
                .all(|part| !part.is_empty() && part != "." && part != "..")
        };
        text.bytes().all(known) && parts(text)
    };
    let simple = pattern
        .split('/')
        .all(|part| part == "**" || !part.contains("**"));
    if simple && plain(&pattern.replace(['*', '?'], "x")) && plain(path) {
        let glob = GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .expect("a glob")
            .compile_matcher();
        // As in git, a plain folder name covers everything below it. A pattern with wildcards must match the whole path.
        let below = || {
            path.strip_prefix(pattern)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let theirs = glob.is_match(path) || (!ours.is_wild() && below());
        assert_eq!(matched, theirs, "{pattern:?} {path:?}");
    }
});
