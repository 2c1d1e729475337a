//! A kernel library behind its C ABI: load it, ask what it is, run its self-checks.

use std::ffi::{CStr, c_char};
use std::time::Instant;

use kernel_host::{ABI, Reply};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};

use crate::link::Link;

/// Most self-checks that a library may have.
const MOST_CHECKS: u32 = 256;

/// `nmoe_check_report` of `nmoe_kernels.h`.
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

/// Loads the library on the link, or at this path if it is not empty, and runs all of its checks.
#[expect(
    unsafe_code,
    reason = "loading and calling foreign code is what this program is for"
)]
pub fn run(link: &mut Link, path: String) {
    link.stage("load");
    let path = if path.is_empty() {
        format!("/proc/self/fd/{}", link.library())
    } else {
        path
    };
    // SAFETY: none can be promised: the library's constructors may do anything. That is why this is its own process.
    let library = match unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) } {
        Ok(library) => library,
        Err(error) => link.refuse_loader("load", &error),
    };
    link.stage("abi");
    let version: Symbol<unsafe extern "C" fn() -> u32> = symbol(link, &library, c"nmoe_abi_version");
    // SAFETY: the symbol's type is the ABI's; a library that exports another under this name can only harm this process.
    let version = unsafe { version() };
    link.say(&Reply::Abi { version });
    if version != ABI {
        link.refuse(
            "abi_version",
            0,
            &format!("the library has ABI {version}, and {ABI} is needed"),
        );
    }
    let stamp: Symbol<unsafe extern "C" fn() -> *const c_char> = symbol(link, &library, c"nmoe_stamp");
    // SAFETY: as above; the ABI says that it returns text that lives as long as the library, or null.
    let stamp = unsafe { text(stamp()) };
    link.say(&Reply::Stamp { text: stamp });
    let count: Symbol<unsafe extern "C" fn() -> u32> = symbol(link, &library, c"nmoe_check_count");
    let name: Symbol<unsafe extern "C" fn(u32) -> *const c_char> = symbol(link, &library, c"nmoe_check_name");
    let check: Symbol<unsafe extern "C" fn(u32, *mut Report) -> i32> =
        symbol(link, &library, c"nmoe_check_run");
    // SAFETY: as above.
    let count = unsafe { count() };
    if count > MOST_CHECKS {
        link.refuse(
            "checks",
            0,
            &format!("the library claims {count} self-checks; {MOST_CHECKS} are allowed"),
        );
    }
    link.stage("check");
    for index in 0..count {
        // SAFETY: as for the stamp.
        let name = unsafe { text(name(index)) };
        link.say(&Reply::CheckStarted { name: name.clone() });
        let mut report = Report {
            size: size_of::<Report>() as u32,
            ..Report::default()
        };
        let began = Instant::now();
        // SAFETY: the report is as large as its `size` says and outlives the call.
        let outcome = unsafe { check(index, &raw mut report) };
        link.say(&Reply::CheckEnded {
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
    // Its destructors are as foreign as its constructors.
    std::mem::forget(library);
}

#[expect(
    unsafe_code,
    reason = "a symbol's type is a promise that only its caller can give"
)]
fn symbol<T>(link: &mut Link, library: &Library, name: &CStr) -> Symbol<T> {
    // SAFETY: `T` is the type that the ABI gives this name.
    match unsafe { library.get(name.to_bytes_with_nul()) } {
        Ok(symbol) => symbol,
        Err(error) => link.refuse_loader("symbol", &error),
    }
}

/// Copies a C string; null is empty.
///
/// # Safety
/// The pointer is null or points to a NUL-terminated string.
#[expect(unsafe_code, reason = "C strings come as bare pointers")]
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_string_lossy().chars().take(8000).collect()
}
