//! The driver: what GPUs CUDA sees, and what NVML knows of their health. NVML may be absent; CUDA may not.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;

use kernel_host::Reply;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};

use crate::link::Link;

const COMPUTE_CAPABILITY_MAJOR: c_int = 75;
const COMPUTE_CAPABILITY_MINOR: c_int = 76;
/// More than any machine has; a driver that claims more is broken.
const MOST_DEVICES: c_int = 1024;

const NVML_SUCCESS: c_int = 0;
const NVML_NOT_SUPPORTED: c_int = 3;
const NVML_INSUFFICIENT_SIZE: c_int = 7;
const NVML_UNCORRECTED: c_int = 1;
const NVML_VOLATILE: c_int = 0;

/// Asks both libraries and reports what they say.
pub fn run(link: &mut Link) {
    cuda(link);
    nvml(link);
}

#[expect(
    unsafe_code,
    reason = "a symbol's type is a promise that only its caller can give"
)]
fn find<T>(library: &Library, name: &CStr) -> Option<Symbol<T>> {
    // SAFETY: `T` is the type that NVIDIA documents for this name.
    unsafe { library.get(name.to_bytes_with_nul()) }.ok()
}

#[expect(unsafe_code, reason = "loading foreign code is what this program is for")]
fn load(names: [&str; 2]) -> Result<Library, libloading::Error> {
    // SAFETY: none can be promised; this process is there to be lost.
    unsafe {
        Library::open(Some(names[0]), RTLD_NOW | RTLD_LOCAL)
            .or_else(|first| Library::open(Some(names[1]), RTLD_NOW | RTLD_LOCAL).map_err(|_| first))
    }
}

type Status = c_int;

#[expect(unsafe_code, reason = "calling foreign code is what this program is for")]
fn cuda(link: &mut Link) {
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

#[expect(unsafe_code, reason = "calling foreign code is what this program is for")]
fn nvml(link: &mut Link) {
    link.stage("nvml");
    type Device = *mut c_void;
    let Ok(library) = load(["libnvidia-ml.so.1", "libnvidia-ml.so"]) else {
        return;
    };
    let library = std::mem::ManuallyDrop::new(library);
    let (Some(init), Some(driver), Some(count), Some(handle)) = (
        find::<unsafe extern "C" fn() -> Status>(&library, c"nvmlInit_v2"),
        find::<unsafe extern "C" fn(*mut c_char, c_uint) -> Status>(&library, c"nvmlSystemGetDriverVersion"),
        find::<unsafe extern "C" fn(*mut c_uint) -> Status>(&library, c"nvmlDeviceGetCount_v2"),
        find::<unsafe extern "C" fn(c_uint, *mut Device) -> Status>(
            &library,
            c"nvmlDeviceGetHandleByIndex_v2",
        ),
    ) else {
        return;
    };
    let processes = find::<unsafe extern "C" fn(Device, *mut c_uint, *mut c_void) -> Status>(
        &library,
        c"nvmlDeviceGetComputeRunningProcesses_v3",
    );
    let throttle = find::<unsafe extern "C" fn(Device, *mut u64) -> Status>(
        &library,
        c"nvmlDeviceGetCurrentClocksThrottleReasons",
    );
    let ecc = find::<unsafe extern "C" fn(Device, c_int, c_int, *mut u64) -> Status>(
        &library,
        c"nvmlDeviceGetTotalEccErrors",
    );
    let rows = find::<
        unsafe extern "C" fn(Device, *mut c_uint, *mut c_uint, *mut c_uint, *mut c_uint) -> Status,
    >(&library, c"nvmlDeviceGetRemappedRows");
    let split = find::<unsafe extern "C" fn(Device, *mut c_uint, *mut c_uint) -> Status>(
        &library,
        c"nvmlDeviceGetMigMode",
    );

    let mut label = [0 as c_char; 96];
    let mut devices = 0;
    // SAFETY: the functions have the types that NVIDIA documents, and every pointer is to a local of the right size.
    unsafe {
        if init() != NVML_SUCCESS || driver(label.as_mut_ptr(), 95) != NVML_SUCCESS {
            return;
        }
        if count(&raw mut devices) != NVML_SUCCESS {
            devices = 0;
        }
    }
    link.say(&Reply::Nvml { driver: text(&label) });
    for index in 0..devices.min(MOST_DEVICES.unsigned_abs()) {
        let mut device: Device = null_mut();
        let (mut worst, mut running, mut clocks, mut errors) = (NVML_SUCCESS, 0, 0, 0);
        let (mut corrected, mut uncorrected, mut pending, mut failed) = (0, 0, 0, 0);
        let (mut mig, mut mig_pending) = (0, 0);
        let mut keep = |status: Status| {
            if worst == NVML_SUCCESS
                && !matches!(status, NVML_SUCCESS | NVML_NOT_SUPPORTED | NVML_INSUFFICIENT_SIZE)
            {
                worst = status;
            }
        };
        // SAFETY: as above. The process list has room for none, so that only its length is told.
        unsafe {
            keep(handle(index, &raw mut device));
            if !device.is_null() {
                if let Some(f) = &processes {
                    keep(f(device, &raw mut running, null_mut()));
                }
                if let Some(f) = &throttle {
                    keep(f(device, &raw mut clocks));
                }
                if let Some(f) = &ecc {
                    keep(f(device, NVML_UNCORRECTED, NVML_VOLATILE, &raw mut errors));
                }
                if let Some(f) = &rows {
                    keep(f(
                        device,
                        &raw mut corrected,
                        &raw mut uncorrected,
                        &raw mut pending,
                        &raw mut failed,
                    ));
                }
                if let Some(f) = &split {
                    keep(f(device, &raw mut mig, &raw mut mig_pending));
                }
            }
        }
        link.say(&Reply::Health {
            index,
            error: worst,
            processes: running,
            throttle: clocks,
            ecc: errors,
            rows: u32::from(pending != 0 || failed != 0),
            split: mig,
        });
    }
}

/// The text in a buffer, up to its NUL.
fn text(buffer: &[c_char]) -> String {
    let bytes: Vec<u8> = buffer
        .iter()
        .map(|c| c.to_ne_bytes()[0])
        .take_while(|b| *b != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
