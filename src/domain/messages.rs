//! Defines how a service tells a person something while it works. Services print nothing; commands print these messages.

/// Receives the messages of a service.
pub trait Messages {
    /// Receives a note. `--quiet` suppresses it.
    fn note(&self, message: &str);
    /// Receives a warning or an error, which is always shown.
    fn warn(&self, message: &str);
}

/// Counts things in a sentence, as in `1 file` and `2 files`.
pub fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
