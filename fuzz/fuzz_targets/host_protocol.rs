//! Lines of the protocol with the kernel host: what is understood is written back the same; another nonce is never understood.
#![no_main]

use kernel_host::{Reply, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    let line = line.trim_end_matches('\n');
    if let Some(reply) = Reply::decode(line, "n") {
        let again = reply.encode("n");
        assert_eq!(Reply::decode(again.trim_end_matches('\n'), "n"), Some(reply));
    }
    if let Some(request) = Request::decode(line, "n") {
        let again = request.encode("n");
        assert_eq!(Request::decode(again.trim_end_matches('\n'), "n"), Some(request));
    }
    assert!(Reply::decode(line, "").is_none());
});
