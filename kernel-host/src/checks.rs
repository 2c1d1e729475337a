//! Loads a kernel library through its C ABI, reads its stamp and runs its self-checks.
//!
//! Must not depend on what the library computes: the replies contain only what the library returns.

use std::ffi::{CStr, c_char};
use std::time::Instant;

use kernel_host::{ABI, Reply};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};

use crate::channel::Channel;
use crate::driver::find;

/// Maximum number of self-checks in a library.
const MAX_CHECKS: u32 = 256;

/// The C type `nmoe_check_report` in `nmoe_kernels.h`.
#[repr(C)]
#[derive(Default)]
struct Report {
    size: u32,
    outcome: i32,
    cases: u64,
    mismatches: u64,
    index: u64,
    expected: u64,
    got: u64,
    error: i32,
    reserved: i32,
}

/// Loads the library at `path`, or from the channel if `path` is empty, and runs all its checks.
#[expect(unsafe_code, reason = "this program exists to load and call foreign code")]
pub fn run(channel: &mut Channel, path: String) {
    channel.stage("load");
    let path = if path.is_empty() {
        format!("/proc/self/fd/{}", channel.library())
    } else {
        path
    };
    // SAFETY: not guaranteed. The constructors of the library may do anything, so this program is a separate process.
    let library = match unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) } {
        Ok(library) => library,
        Err(error) => channel.refuse_loader("load", &error),
    };
    channel.stage("abi");
    let version: Symbol<unsafe extern "C" fn() -> u32> = symbol(channel, &library, c"nmoe_abi_version");
    // SAFETY: the ABI defines this type. A library that exports another type can only damage this process.
    let version = unsafe { version() };
    channel.send(&Reply::Abi { version });
    if version != ABI {
        channel.refuse(
            "abi_version",
            0,
            &format!("the library has ABI version {version}; version {ABI} is required"),
        );
    }
    type Stamp = unsafe extern "C" fn() -> *const c_char;
    if let Some(stamp) = find::<Stamp>(&library, c"nmoe_stamp") {
        // SAFETY: as above. The function returns null or a string that lives as long as the library.
        let stamp = unsafe { text(stamp()) };
        channel.send(&Reply::Stamp { text: stamp });
    }
    let count: Symbol<unsafe extern "C" fn() -> u32> = symbol(channel, &library, c"nmoe_check_count");
    let name: Symbol<unsafe extern "C" fn(u32) -> *const c_char> =
        symbol(channel, &library, c"nmoe_check_name");
    let check: Symbol<unsafe extern "C" fn(u32, *mut Report) -> i32> =
        symbol(channel, &library, c"nmoe_check_run");
    // SAFETY: as above.
    let count = unsafe { count() };
    if count > MAX_CHECKS {
        channel.refuse(
            "checks",
            0,
            &format!("the library reports {count} self-checks; the limit is {MAX_CHECKS}"),
        );
    }
    channel.stage("check");
    for index in 0..count {
        // SAFETY: as for the stamp.
        let name = unsafe { text(name(index)) };
        channel.send(&Reply::CheckStarted { name: name.clone() });
        let mut report = Report {
            size: size_of::<Report>() as u32,
            ..Report::default()
        };
        let began = Instant::now();
        // SAFETY: the report is as large as its `size` says and outlives the call.
        let outcome = unsafe { check(index, &raw mut report) };
        channel.send(&Reply::CheckEnded {
            name,
            outcome,
            cases: report.cases,
            mismatches: report.mismatches,
            index: report.index,
            expected: report.expected,
            got: report.got,
            error: report.error,
            micros: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
        });
    }
    // Dropping the library would run its destructors, which are foreign code too.
    std::mem::forget(library);
}

#[expect(unsafe_code, reason = "only the caller can guarantee the type of a symbol")]
fn symbol<T>(channel: &mut Channel, library: &Library, name: &CStr) -> Symbol<T> {
    // SAFETY: `T` is the type that the ABI defines for this name.
    match unsafe { library.get(name.to_bytes_with_nul()) } {
        Ok(symbol) => symbol,
        Err(error) => channel.refuse_loader("symbol", &error),
    }
}

/// Copies a C string. Null becomes an empty string.
///
/// # Safety
/// The pointer is null or points to a NUL-terminated string.
#[expect(unsafe_code, reason = "C strings are raw pointers")]
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller guarantees this.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_string_lossy().chars().take(8000).collect()
}
