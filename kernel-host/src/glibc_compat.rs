//! Implements functions that glibc exports only since 2.30 or 2.33, so that the kernel host starts on older versions.
//!
//! The Rust standard library refers to these functions by name. Defined here, they do not need the glibc of the host.
//! Must not depend on anything but the system calls.

use std::ffi::{c_char, c_int, c_long, c_void};

#[cfg(target_arch = "x86_64")]
mod number {
    pub const FSTAT: super::c_long = 5;
    pub const FSTATAT: super::c_long = 262;
    pub const GETTID: super::c_long = 186;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub const FSTAT: super::c_long = 80;
    pub const FSTATAT: super::c_long = 79;
    pub const GETTID: super::c_long = 178;
}

/// Resolves a relative path from the current directory, like `stat`.
const AT_FDCWD: c_int = -100;

#[expect(unsafe_code, reason = "every glibc exports this function")]
unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

/// Replaces `fstat64`. On 64-bit machines, the kernel itself writes a `struct stat64`.
#[expect(unsafe_code, reason = "it replaces a function of libc with the same name")]
#[unsafe(no_mangle)]
extern "C" fn fstat64(fd: c_int, into: *mut c_void) -> c_int {
    // SAFETY: the kernel checks the descriptor, and the caller passes a buffer for a `struct stat64`.
    unsafe { syscall(number::FSTAT, fd, into) as c_int }
}

#[expect(unsafe_code, reason = "it replaces a function of libc with the same name")]
#[unsafe(no_mangle)]
extern "C" fn stat64(path: *const c_char, into: *mut c_void) -> c_int {
    // SAFETY: the caller passes a C string and a buffer for a `struct stat64`.
    unsafe { syscall(number::FSTATAT, AT_FDCWD, path, into, 0 as c_int) as c_int }
}

#[expect(unsafe_code, reason = "it replaces a function of libc with the same name")]
#[unsafe(no_mangle)]
extern "C" fn gettid() -> c_int {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { syscall(number::GETTID) as c_int }
}
