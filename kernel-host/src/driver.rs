//! The driver: what GPUs CUDA sees. It must be there; what NVML adds, in `nvml`, need not.

use std::ffi::{CStr, c_char, c_int, c_uint};

use kernel_host::Reply;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};

use crate::link::Link;

const COMPUTE_CAPABILITY_MAJOR: c_int = 75;
const COMPUTE_CAPABILITY_MINOR: c_int = 76;
/// More than any machine has; a driver that claims more is broken.
pub const MOST_DEVICES: c_int = 1024;

/// A function of a library, where it has it.
#[expect(
    unsafe_code,
    reason = "a symbol's type is a promise that only its caller can give"
)]
pub fn find<T>(library: &Library, name: &CStr) -> Option<Symbol<T>> {
    // SAFETY: `T` is the type that NVIDIA documents for this name.
    unsafe { library.get(name.to_bytes_with_nul()) }.ok()
}

/// Loads a library by the first of its names that is there.
#[expect(unsafe_code, reason = "loading foreign code is what this program is for")]
pub fn load(names: [&str; 2]) -> Result<Library, libloading::Error> {
    // SAFETY: none can be promised; this process is there to be lost.
    unsafe {
        Library::open(Some(names[0]), RTLD_NOW | RTLD_LOCAL)
            .or_else(|first| Library::open(Some(names[1]), RTLD_NOW | RTLD_LOCAL).map_err(|_| first))
    }
}

/// What CUDA and NVML return; 0 is success.
pub type Status = c_int;

/// Asks CUDA and reports what it says.
#[expect(unsafe_code, reason = "calling foreign code is what this program is for")]
pub fn run(link: &mut Link) {
    link.stage("cuda");
    let library = match load(["libcuda.so.1", "libcuda.so"]) {
        Ok(library) => library,
        Err(error) => link.refuse_loader("no_driver", &error),
    };
    macro_rules! function {
        ($name:literal, $type:ty) => {
            match find::<$type>(&library, $name) {
                Some(function) => function,
                None => link.refuse("driver_symbol", 0, &$name.to_string_lossy()),
            }
        };
    }
    let init = function!(c"cuInit", unsafe extern "C" fn(c_uint) -> Status);
    let version = function!(c"cuDriverGetVersion", unsafe extern "C" fn(*mut c_int) -> Status);
    let count = function!(c"cuDeviceGetCount", unsafe extern "C" fn(*mut c_int) -> Status);
    let get = function!(c"cuDeviceGet", unsafe extern "C" fn(*mut c_int, c_int) -> Status);
    let name = function!(
        c"cuDeviceGetName",
        unsafe extern "C" fn(*mut c_char, c_int, c_int) -> Status
    );
    let memory = function!(
        c"cuDeviceTotalMem_v2",
        unsafe extern "C" fn(*mut usize, c_int) -> Status
    );
    let attribute = function!(
        c"cuDeviceGetAttribute",
        unsafe extern "C" fn(*mut c_int, c_int, c_int) -> Status
    );
    let mut attempt = |what: &str, status: Status| {
        if status != 0 {
            link.refuse("driver_error", status, what);
        }
    };
    let (mut version_number, mut devices) = (0, 0);
    // SAFETY: the functions have the types that NVIDIA documents, and every pointer is to a local of the right size.
    unsafe {
        attempt("cuInit", init(0));
        attempt("cuDriverGetVersion", version(&raw mut version_number));
        attempt("cuDeviceGetCount", count(&raw mut devices));
    }
    let mut found = Vec::new();
    for index in 0..devices.clamp(0, MOST_DEVICES) {
        let (mut device, mut major, mut minor, mut bytes) = (0, 0, 0, 0);
        let mut label = [0 as c_char; 256];
        // SAFETY: as above; the label's length is passed, less one for the NUL that is already there.
        unsafe {
            attempt("cuDeviceGet", get(&raw mut device, index));
            attempt("cuDeviceGetName", name(label.as_mut_ptr(), 255, device));
            attempt("cuDeviceTotalMem", memory(&raw mut bytes, device));
            attempt(
                "cuDeviceGetAttribute",
                attribute(&raw mut major, COMPUTE_CAPABILITY_MAJOR, device),
            );
            attempt(
                "cuDeviceGetAttribute",
                attribute(&raw mut minor, COMPUTE_CAPABILITY_MINOR, device),
            );
        }
        found.push(Reply::Device {
            name: text(&label),
            major: u32::try_from(major).unwrap_or(0),
            minor: u32::try_from(minor).unwrap_or(0),
            memory: bytes as u64,
        });
    }
    link.say(&Reply::Cuda {
        version: u32::try_from(version_number).unwrap_or(0),
    });
    for device in &found {
        link.say(device);
    }
    std::mem::forget(library);
}

/// The text in a buffer, up to its NUL.
pub fn text(buffer: &[c_char]) -> String {
    let bytes: Vec<u8> = buffer
        .iter()
        .map(|c| c.to_ne_bytes()[0])
        .take_while(|b| *b != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
