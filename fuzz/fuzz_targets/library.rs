//! Inspects kernel libraries, objects and cubins, and reads their stamps: no input may cause a panic.
#![no_main]

use cuda_inspect::{cubin, fatbin, inspect, ptx};
use libfuzzer_sys::fuzz_target;
use nmoe_gates::kernel::stamp::Stamp;

fuzz_target!(|bytes: &[u8]| {
    let wanted = "sm_100a".parse().expect("an architecture");
    let found = inspect::inspect(bytes, wanted, &["nmoe_gather".to_owned()]);
    let _ = found.verdict();
    let _ = Stamp::read(bytes);
    let _ = fatbin::entries(bytes);
    let _ = cubin::parse(bytes);
    ptx::kernels(bytes);
});
