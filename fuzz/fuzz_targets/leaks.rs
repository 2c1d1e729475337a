//! Scans for leaks. The spans must be inside the text, in order, and must not overlap.
#![no_main]

use leakscan::private_terms::Terms;
use leakscan::scan::{Options, scan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let options = Options::with_terms(Terms::parse("blue heron\nre:crane-[0-9]+").expect("a list of terms"));
    let mut last = 0;
    for leak in scan(text, &options) {
        assert!(last <= leak.span.start && leak.span.start <= leak.span.end && leak.span.end <= text.len());
        last = leak.span.end;
    }
    if let Ok(list) = std::str::from_utf8(text) {
        let _ = Terms::parse(list);
    }
});
