//! Kernel libraries, objects and cubins, read without loading; and their stamp.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nmoe_gates::kernel::{container, cubin, inspect, stamp::Stamp};

fuzz_target!(|bytes: &[u8]| {
    let wanted = "sm_100a".parse().expect("an architecture");
    let found = inspect::inspect(bytes, wanted, &["nmoe_gather".to_owned()]);
    found.verdict();
    let _ = Stamp::read(bytes);
    let _ = container::entries(bytes);
    let _ = cubin::parse(bytes);
    cubin::ptx_kernels(bytes);
});
