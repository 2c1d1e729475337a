//! Formats the current time for records. Deadlines use `std::time::Instant`.

/// Returns the current time in RFC 3339, in UTC, with milliseconds.
pub fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
