//! Lists the GPUs that the CUDA driver reports. A missing driver is an error; NVML in `nvml` is optional.
//!
//! Must not decide whether a GPU is suitable.

use std::ffi::{CStr, c_char, c_int, c_uint};

use kernel_host::Reply;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};

use crate::channel::Channel;

const COMPUTE_CAPABILITY_MAJOR: c_int = 75;
const COMPUTE_CAPABILITY_MINOR: c_int = 76;
/// Upper limit for the number of GPUs; a driver that reports more is broken.
pub const MAX_DEVICES: c_int = 1024;

/// Returns a function of a library, if it exports that name.
#[expect(unsafe_code, reason = "only the caller can guarantee the type of a symbol")]
pub fn find<T>(library: &Library, name: &CStr) -> Option<Symbol<T>> {
    // SAFETY: `T` is the type that NVIDIA documents for this name.
    unsafe { library.get(name.to_bytes_with_nul()) }.ok()
}

/// Loads a library by the first of these names that exists.
#[expect(unsafe_code, reason = "this program exists to load foreign code")]
pub fn load(names: [&str; 2]) -> Result<Library, libloading::Error> {
    // SAFETY: not guaranteed. A crash in the library can only end this process.
    unsafe {
        Library::open(Some(names[0]), RTLD_NOW | RTLD_LOCAL)
            .or_else(|first| Library::open(Some(names[1]), RTLD_NOW | RTLD_LOCAL).map_err(|_| first))
    }
}

/// A return code of CUDA or NVML; 0 is success.
pub type Status = c_int;

/// Reports the driver version and all GPUs.
#[expect(unsafe_code, reason = "this program exists to call foreign code")]
pub fn run(channel: &mut Channel) {
    channel.stage("cuda");
    let library = match load(["libcuda.so.1", "libcuda.so"]) {
        Ok(library) => library,
        Err(error) => channel.refuse_loader("no_driver", &error),
    };
    macro_rules! function {
        ($name:literal, $type:ty) => {
            match find::<$type>(&library, $name) {
                Some(function) => function,
                None => channel.refuse("driver_symbol", 0, &$name.to_string_lossy()),
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
    // Absent in very old drivers.
    type Uuid = unsafe extern "C" fn(*mut [u8; 16], c_int) -> Status;
    let uuid = find::<Uuid>(&library, c"cuDeviceGetUuid_v2").or_else(|| find(&library, c"cuDeviceGetUuid"));
    let mut attempt = |what: &str, status: Status| {
        if status != 0 {
            channel.refuse("driver_error", status, what);
        }
    };
    let (mut version_number, mut devices) = (0, 0);
    // SAFETY: the functions have the types that NVIDIA documents, and every pointer points to a local of the right size.
    unsafe {
        attempt("cuInit", init(0));
        attempt("cuDriverGetVersion", version(&raw mut version_number));
        attempt("cuDeviceGetCount", count(&raw mut devices));
    }
    let mut found = Vec::new();
    for index in 0..devices.clamp(0, MAX_DEVICES) {
        let (mut device, mut major, mut minor, mut bytes) = (0, 0, 0, 0);
        let mut label = [0 as c_char; 256];
        // SAFETY: as above. The passed length leaves room for the NUL at the end of the label.
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
        let mut id = [0; 16];
        // SAFETY: as above.
        let known = uuid
            .as_ref()
            .is_some_and(|uuid| unsafe { uuid(&raw mut id, device) } == 0);
        found.push(Reply::Device {
            name: text(&label),
            major: u32::try_from(major).unwrap_or(0),
            minor: u32::try_from(minor).unwrap_or(0),
            memory: bytes as u64,
            uuid: if known { uuid_text(&id) } else { String::new() },
        });
    }
    channel.send(&Reply::Cuda {
        version: u32::try_from(version_number).unwrap_or(0),
    });
    for device in &found {
        channel.send(device);
    }
    std::mem::forget(library);
}

/// Formats a UUID as NVML does.
fn uuid_text(id: &[u8; 16]) -> String {
    let mut text = "GPU".to_owned();
    for (at, byte) in id.iter().enumerate() {
        if matches!(at, 0 | 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Returns the text in a buffer, up to the NUL.
pub fn text(buffer: &[c_char]) -> String {
    let bytes: Vec<u8> = buffer
        .iter()
        .map(|c| c.to_ne_bytes()[0])
        .take_while(|b| *b != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
