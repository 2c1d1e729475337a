//! What time it is. Deadlines use `std::time::Instant`; this is for records.

/// Now, RFC 3339 in UTC, milliseconds.
pub fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
