//! Reads a journal after a crash of the machine. A broken tail must not change the events before it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nmoe_gates::gate::journal;

fuzz_target!(|bytes: &[u8]| {
    let events = journal::parse(bytes);
    if let Some(end) = bytes.iter().rposition(|b| *b == b'\n') {
        let whole = journal::parse(&bytes[..=end]);
        assert!(events.len() >= whole.len());
        assert!(journal::parse(&bytes[..end / 2]).len() <= events.len());
    }
});
