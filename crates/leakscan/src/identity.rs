//! The names of one machine and one run, for the redactor to replace.

use std::fmt;

use crate::base64_text::base64_of_part;
use crate::false_positives;
use crate::private_terms::Terms;

/// Names and their replacements.
#[derive(Clone, Default)]
pub struct Identity {
    pub(crate) names: Vec<Name>,
    pub(crate) terms: Terms,
}

/// A name and its replacement.
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
    /// No names: the redactor uses only the built-in rules.
    pub fn none() -> Self {
        Identity::default()
    }

    /// Adds a name and its replacement. Ignores short, empty and well-known names: to replace `root` or `default` would
    /// damage a log and hide nothing.
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

    /// Adds the value of a variable, which `${NAME}` replaces, plain and encoded: as JSON, in a URL, in hexadecimal and in
    /// base 64, also as a part of a longer text. Ignores numbers and other values that reveal nothing.
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
            let hexadecimal: String = bare.bytes().map(|b| format!("{b:02x}")).collect();
            self.insert(&hexadecimal, &placeholder);
            for core in base64_of_part(bare.as_bytes()).filter(|core| core.len() >= 6) {
                self.insert(&core, &placeholder);
                let url_safe = core.replace('+', "-").replace('/', "_");
                self.insert(&url_safe, &placeholder);
            }
        }
    }

    /// Sets the private terms.
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
}
