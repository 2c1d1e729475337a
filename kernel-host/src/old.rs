//! Functions that glibc exports only since 2.30 or 2.33, written out, so that the kernel host starts on older ones too.
//!
//! The standard library refers to them by name; defined here, they are bound to nothing of the host's libc.

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

/// Relative to the current directory, as `stat` is.
const AT_FDCWD: c_int = -100;

#[expect(unsafe_code, reason = "the way to the kernel that every glibc has")]
unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

/// On 64-bit machines `struct stat64` is what the kernel itself writes.
#[expect(unsafe_code, reason = "it stands for a function of libc, under its name")]
#[unsafe(no_mangle)]
extern "C" fn fstat64(fd: c_int, into: *mut c_void) -> c_int {
    // SAFETY: the kernel checks the descriptor; the caller gives a place for a `struct stat64`.
    unsafe { syscall(number::FSTAT, fd, into) as c_int }
}

#[expect(unsafe_code, reason = "it stands for a function of libc, under its name")]
#[unsafe(no_mangle)]
extern "C" fn stat64(path: *const c_char, into: *mut c_void) -> c_int {
    // SAFETY: the caller gives a C string and a place for a `struct stat64`.
    unsafe { syscall(number::FSTATAT, AT_FDCWD, path, into, 0 as c_int) as c_int }
}

#[expect(unsafe_code, reason = "it stands for a function of libc, under its name")]
#[unsafe(no_mangle)]
extern "C" fn gettid() -> c_int {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { syscall(number::GETTID) as c_int }
}
