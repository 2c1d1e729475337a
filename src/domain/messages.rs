//! Defines how a service tells a person something while it works. Services print nothing; commands print these messages.

/// Receives the messages of a service.
pub trait Messages {
    /// Receives a note. `--quiet` suppresses it.
    fn note(&self, message: &str);
    /// Receives a warning or an error, which is always shown.
    fn warn(&self, message: &str);
}
