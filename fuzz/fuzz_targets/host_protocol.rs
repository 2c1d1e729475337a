//! Decodes protocol lines of the kernel host. A decoded message must survive a round trip, and a wrong nonce must be rejected.
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
