//! The names of one machine and one run, for the redactor to replace.

use std::fmt;

use crate::false_positives;
use crate::private_terms::Terms;

/// Names, and what to write instead of each.
#[derive(Clone, Default)]
pub struct Identity {
    pub(crate) names: Vec<Name>,
    pub(crate) terms: Terms,
}

/// A name and what to write instead.
#[derive(Clone)]
pub(crate) struct Name {
    pub(crate) text: Vec<u8>,
    pub(crate) placeholder: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Identity {
    /// Nothing but the built-in rules.
    pub fn none() -> Self {
        Identity::default()
    }

    /// A name that must not leave, and what to write instead. Short, empty and well-known names are left alone: taking
    /// `root` or `default` out of a log would spoil it and hide nothing.
    pub fn name(&mut self, text: &str, placeholder: &str) {
        let text = text.trim();
        let known = text.eq_ignore_ascii_case("localhost")
            || text.starts_with("127.")
            || text == "::1"
            || text == "00:00:00:00:00:00"
            || matches!(
                text,
                "/" | "/root"
                    | "/home/runner"
                    | "/home"
                    | "/github/home"
                    | "default"
                    | "local"
                    | "cluster.local"
                    | "svc.cluster.local"
                    | "."
                    | "runner"
                    | "root"
            );
        if text.len() < 3 || known || false_positives::is_common_name(text) {
            return;
        }
        self.insert(text, placeholder);
        let (lower, upper) = (text.to_lowercase(), text.to_uppercase());
        if placeholder != "[home]" && placeholder != "[user]" {
            self.insert(&lower, placeholder);
            self.insert(&upper, placeholder);
        }
    }

    /// The value of a variable that gates require: it becomes `${NAME}` wherever it stands. Values that say nothing, such as
    /// numbers and single words of three letters, stay.
    pub fn variable(&mut self, name: &str, value: &str) {
        for line in value.lines() {
            let line = line.trim();
            let bare = if line.len() > 1 {
                line.trim_end_matches('/')
            } else {
                line
            };
            if bare.len() < 4
                || bare.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b',')
                || matches!(
                    bare,
                    "true" | "false" | "none" | "/tmp" | "/usr" | "auto" | "default"
                )
            {
                continue;
            }
            let placeholder = format!("${{{name}}}");
            self.insert(bare, &placeholder);
            let escaped = serde_json::Value::from(bare).to_string();
            self.insert(escaped.trim_matches('"'), &placeholder);
            let percent: String = bare
                .bytes()
                .map(|b| match b {
                    b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
                    b => format!("%{b:02X}"),
                })
                .collect();
            self.insert(&percent, &placeholder);
        }
    }

    /// The private list.
    pub fn terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    fn insert(&mut self, text: &str, placeholder: &str) {
        if text.len() >= 3 && !self.names.iter().any(|name| name.text == text.as_bytes()) {
            self.names.push(Name {
                text: text.as_bytes().to_vec(),
                placeholder: placeholder.to_owned(),
            });
        }
    }

    /// The names that a runner can be asked to mask wherever they stand: those that are no word of everyday use, which
    /// would spoil the log and the outputs of steps. They may go to the runner and nowhere else.
    pub fn distinctive(&self) -> impl Iterator<Item = String> {
        let names = self.names.iter().filter(|name| {
            let letters = name.text.iter().all(u8::is_ascii_alphabetic);
            name.text.len() >= if letters { 12 } else { 8 }
        });
        names.map(|name| String::from_utf8_lossy(&name.text).into_owned())
    }
}
