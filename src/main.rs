//! Arguments in, exit code out.
//!
//! The release binary is static, so that one file runs on every Linux host and even in an empty root. Static glibc has one
//! trap: a name look-up may load the host's NSS modules, built against another glibc. [`keep_lookups_inside`] closes it.

use std::process::ExitCode;

#[cfg(all(not(debug_assertions), target_os = "linux"))]
const _: () = assert!(
    cfg!(target_feature = "crt-static"),
    "a release is a static binary: build in the repository, where `.cargo/config.toml` asks for it, and leave RUSTFLAGS unset"
);

fn main() -> ExitCode {
    ignore_runtime_settings();
    keep_lookups_inside();
    nmoe_gates::cli::main(std::env::args_os()).into()
}

/// Makes the standard library read its own settings while they are unset, so that they never change what this program does.
///
/// The standard library reads each of these variables once and keeps what it found. A backtrace would abort a release, which has
/// no tables for unwinding (`build.rs`). A huge stack size would fail every start of a thread. The variables themselves stay
/// as the caller set them: a gate may need them.
#[expect(unsafe_code, reason = "the environment can be changed in an unsafe call only")]
fn ignore_runtime_settings() {
    let set: Vec<_> = ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "RUST_MIN_STACK"]
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
        .collect();
    if set.is_empty() {
        return;
    }
    for (name, _) in &set {
        // SAFETY: no other thread exists yet.
        unsafe { std::env::remove_var(name) };
    }
    let backtrace = std::backtrace::Backtrace::capture();
    debug_assert_eq!(backtrace.status(), std::backtrace::BacktraceStatus::Disabled);
    // Where no thread can be started, the default size is not to blame.
    let _ = std::thread::Builder::new()
        .spawn(|| {})
        .map(|thread| thread.join());
    for (name, value) in set {
        // SAFETY: the only other thread has ended.
        unsafe { std::env::set_var(name, value) };
    }
}

/// Has glibc look names up in files and DNS alone, which it can do without loading anything.
#[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
#[expect(unsafe_code, reason = "glibc offers this setting as a C function only")]
fn keep_lookups_inside() {
    use std::ffi::{CStr, c_char, c_int};

    unsafe extern "C" {
        fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
    }
    const DATABASES: [(&CStr, &CStr); 6] = [
        (c"hosts", c"files dns"),
        (c"networks", c"files"),
        (c"services", c"files"),
        (c"protocols", c"files"),
        (c"passwd", c"files"),
        (c"group", c"files"),
    ];
    for (database, services) in DATABASES {
        // SAFETY: both are NUL-terminated and live for ever, and no thread but this one exists yet.
        let failed = unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) };
        // It can fail only for want of memory; the default then stays in force.
        debug_assert_eq!(failed, 0, "{database:?}");
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static")))]
fn keep_lookups_inside() {}
