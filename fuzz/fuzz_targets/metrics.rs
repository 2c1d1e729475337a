//! Extracts metrics from gate output. The samples must not depend on where the input is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nmoe_gates::gate::metrics::Meter;

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, output) = input;
    let at = usize::from(cut) * output.len() / 256;
    let mut whole = Meter::new(&[]).expect("the default metric");
    let mut parts = whole.clone();
    whole.push(output);
    parts.push(&output[..at]);
    parts.push(&output[at..]);
    let shown = |meter: Meter| format!("{:?}", meter.finish());
    assert_eq!(shown(whole), shown(parts));
});
