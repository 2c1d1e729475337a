//! Starts the program: prepares the C library and the environment, runs the command line, returns the exit code.
//!
//! The release binary is static, so one file runs on every Linux host, even in an empty root directory. A name lookup in
//! static glibc can load NSS modules of the host, which need another glibc; [`disable_nss_modules`] prevents this.
//! Must not contain program logic.

use std::process::ExitCode;

#[cfg(all(not(debug_assertions), target_os = "linux"))]
const _: () = assert!(
    cfg!(target_feature = "crt-static"),
    "a release must be a static binary: build inside the repository, so that `.cargo/config.toml` applies, and leave RUSTFLAGS unset"
);

fn main() -> ExitCode {
    ignore_runtime_settings();
    accept_child_signal();
    disable_nss_modules();
    nmoe_gates::cli::main(std::env::args_os()).into()
}

/// Makes the standard library read its environment variables while they are unset, so that they cannot change this program.
///
/// The standard library reads each variable once and caches the value. A backtrace would abort a release build, which has
/// no unwind tables (`build.rs`). A huge stack size would make every thread start fail. The variables are set again
/// afterwards, because a gate may need them.
#[expect(unsafe_code, reason = "only unsafe calls can change the environment")]
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
    // Starting a thread makes the standard library cache the default stack size. A failed start is not an error here.
    let _ = std::thread::Builder::new()
        .spawn(|| {})
        .map(|thread| thread.join());
    for (name, value) in set {
        // SAFETY: the only other thread has ended.
        unsafe { std::env::set_var(name, value) };
    }
}

/// Makes the exit status of every child available, also if the caller ignores `SIGCHLD`.
///
/// A program inherits an ignored `SIGCHLD`. The kernel then reaps each child at once, and `run` would wait forever for the
/// exit status of a gate.
#[expect(
    unsafe_code,
    reason = "the C library offers this setting only as a C function"
)]
fn accept_child_signal() {
    use std::ffi::c_int;

    unsafe extern "C" {
        fn signal(number: c_int, handler: usize) -> usize;
    }
    const SIG_DFL: usize = 0;
    let number = rustix::process::Signal::CHILD.as_raw();
    // SAFETY: the default action needs no handler, and no other thread exists yet.
    unsafe { signal(number, SIG_DFL) };
}

/// Limits name lookups of glibc to files and DNS, which need no NSS module.
#[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
#[expect(unsafe_code, reason = "glibc offers this setting only as a C function")]
fn disable_nss_modules() {
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
        // SAFETY: both strings are static and NUL-terminated, and no other thread exists yet.
        let failed = unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) };
        // The call fails only if memory is short; glibc then keeps its default.
        debug_assert_eq!(failed, 0, "{database:?}");
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static")))]
fn disable_nss_modules() {}
