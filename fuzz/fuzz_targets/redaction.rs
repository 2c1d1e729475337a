//! Redacts a stream. The output must not depend on where the input is cut, and a second pass must change nothing.
#![no_main]

use leakscan::identity::Identity;
use leakscan::redact::Redactor;
use libfuzzer_sys::fuzz_target;

fn clean(parts: &[&[u8]]) -> Vec<u8> {
    let mut redactor = Redactor::new(Identity::none());
    let mut out = Vec::new();
    for part in parts {
        redactor.push(part, &mut out);
    }
    redactor.finish(&mut out);
    out
}

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, text) = input;
    let at = usize::from(cut) * text.len() / 256;
    let whole = clean(&[text]);
    assert_eq!(whole, clean(&[&text[..at], &text[at..]]));
    assert_eq!(whole, clean(&[&whole]));
});
