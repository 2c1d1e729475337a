//! Decides whether output is coloured. Must not read the environment; the caller passes a lookup function.

use std::ffi::OsString;

/// Whether to use colour. `--color` decides; without it, a terminal gets colour.
///
/// A non-empty `NO_COLOR` or `TERM=dumb` disables colour on a terminal.
pub fn enabled(choice: Option<bool>, is_terminal: bool, env: impl Fn(&str) -> Option<OsString>) -> bool {
    choice.unwrap_or_else(|| {
        is_terminal
            && env("NO_COLOR").is_none_or(|value| value.is_empty())
            && env("TERM").is_none_or(|term| term != "dumb")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_overrides_the_environment() {
        let with = |name: &'static str, value: &'static str| {
            move |asked: &str| (asked == name).then(|| OsString::from(value))
        };
        assert!(enabled(None, true, |_| None));
        assert!(!enabled(None, false, |_| None));
        assert!(enabled(None, true, with("NO_COLOR", "")));
        assert!(!enabled(None, true, with("NO_COLOR", "1")));
        assert!(!enabled(None, true, with("TERM", "dumb")));
        assert!(enabled(Some(true), false, with("NO_COLOR", "1")));
        assert!(!enabled(Some(false), true, |_| None));
    }
}
