//! Disarms workflow commands in gate output. The result must not depend on where the input is cut, and no line may be a
//! command for a parser that splits and compares like the Actions runner.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nmoe_gates::terminal::workflow_commands::Neutraliser;

fn live(line: &[u8]) -> bool {
    let visible: Vec<u8> = line
        .iter()
        .copied()
        .filter(|b| (0x21..=0x7e).contains(b))
        .collect();
    let trimmed = line.trim_ascii_start();
    trimmed.starts_with(b"::") || visible.starts_with(b"::") || line.windows(3).any(|w| w == b"##[")
}

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, output) = input;
    let at = usize::from(cut) * output.len() / 256;
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    Neutraliser::default().push(output, &mut whole);
    let mut neutraliser = Neutraliser::default();
    neutraliser.push(&output[..at], &mut parts);
    neutraliser.push(&output[at..], &mut parts);
    assert_eq!(whole, parts);
    for line in whole.split(|b| matches!(b, b'\n' | b'\r')) {
        assert!(!live(line), "{:?}", String::from_utf8_lossy(line));
    }
});
