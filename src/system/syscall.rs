//! Declares the system call of the C library for the few calls that no library of this program offers.
//!
//! Only modules of `system` may use it, each with its own safety comment.

use std::ffi::c_long;

#[expect(unsafe_code, reason = "no library of this program offers these system calls")]
unsafe extern "C" {
    pub fn syscall(number: c_long, ...) -> c_long;
}
