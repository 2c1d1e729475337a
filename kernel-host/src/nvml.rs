//! Reads the health of the GPUs with NVML. If NVML is absent, the host reports nothing.
//!
//! Must not decide whether a GPU is healthy.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem::ManuallyDrop;
use std::ptr::null_mut;
use std::time::Duration;

use kernel_host::{Reply, Request};
use libloading::os::unix::{Library, Symbol};

use crate::channel::Channel;
use crate::driver::{MAX_DEVICES, Status, find, load, text};

const SUCCESS: Status = 0;
const NOT_SUPPORTED: Status = 3;
const INSUFFICIENT_SIZE: Status = 7;
const UNCORRECTED: c_int = 1;
const VOLATILE: c_int = 0;
/// Policies that reduce clocks below the requested speed: heat, board limit, reliability.
const POLICIES: [c_int; 3] = [1, 3, 5];
/// The NVML field with the recovery action that a GPU requires.
const RECOVERY_ACTION: c_uint = 230;

/// The NVML event type of an Xid.
const XID: u64 = 8;
/// Maximum number of recorded Xids; more would add no information.
const MAX_XIDS: usize = 64;
/// How often the host collects events while it waits for a request.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

type Device = *mut c_void;

/// The C type `nvmlEventData_t`.
#[repr(C)]
struct EventData {
    device: Device,
    kind: u64,
    code: u64,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

impl Default for EventData {
    fn default() -> Self {
        EventData {
            device: null_mut(),
            kind: 0,
            code: 0,
            gpu_instance: 0,
            compute_instance: 0,
        }
    }
}

/// The C type `nvmlViolationTime_t`.
#[repr(C)]
#[derive(Default)]
struct Violation {
    at_us: u64,
    lasted_ns: u64,
}

/// The C type `nvmlFieldValue_t`; the value is a union of eight bytes.
#[repr(C)]
#[derive(Default)]
struct FieldValue {
    field: c_uint,
    scope: c_uint,
    timestamp: i64,
    latency_us: i64,
    kind: c_uint,
    status: Status,
    value: [u8; 8],
}

/// The functions that every version of NVML has.
struct Nvml {
    library: ManuallyDrop<Library>,
    init: Symbol<unsafe extern "C" fn() -> Status>,
    driver: Symbol<unsafe extern "C" fn(*mut c_char, c_uint) -> Status>,
    count: Symbol<unsafe extern "C" fn(*mut c_uint) -> Status>,
    handle: Symbol<unsafe extern "C" fn(c_uint, *mut Device) -> Status>,
}

impl Nvml {
    fn open() -> Option<Self> {
        // The destructors of the library are foreign code, so never unload it.
        let library = ManuallyDrop::new(load(["libnvidia-ml.so.1", "libnvidia-ml.so"]).ok()?);
        Some(Nvml {
            init: find(&library, c"nvmlInit_v2")?,
            driver: find(&library, c"nvmlSystemGetDriverVersion")?,
            count: find(&library, c"nvmlDeviceGetCount_v2")?,
            handle: find(&library, c"nvmlDeviceGetHandleByIndex_v2")?,
            library,
        })
    }
}

/// Reports the health of every GPU once.
pub fn run(channel: &mut Channel) {
    if let Some((nvml, devices)) = begin(channel) {
        nvml.report(channel, devices);
    }
}

/// Records Xids and answers each read request with the health of every GPU, until the socket closes.
pub fn watch(channel: &mut Channel) {
    let Some((nvml, devices)) = begin(channel) else {
        return;
    };
    let mut events = Events::register(&nvml, devices);
    channel.send(&Reply::Complete {});
    loop {
        let request = channel.next(POLL_INTERVAL);
        events.iter_mut().for_each(Events::gather);
        if request == Some(Request::Read {}) {
            nvml.report(channel, devices);
            for (index, code) in events.iter().flat_map(|events| &events.seen) {
                channel.send(&Reply::Xid {
                    index: *index,
                    code: *code,
                });
            }
            channel.send(&Reply::Complete {});
        }
    }
}

/// Opens NVML and reports the driver version. Returns the number of GPUs.
#[expect(unsafe_code, reason = "this program exists to call foreign code")]
fn begin(channel: &mut Channel) -> Option<(Nvml, u32)> {
    channel.stage("nvml");
    let nvml = Nvml::open()?;
    let mut label = [0 as c_char; 96];
    let mut devices = 0;
    // SAFETY: the functions have the types that NVIDIA documents, and every pointer points to a local of the right size.
    unsafe {
        if (nvml.init)() != SUCCESS || (nvml.driver)(label.as_mut_ptr(), 95) != SUCCESS {
            return None;
        }
        if (nvml.count)(&raw mut devices) != SUCCESS {
            devices = 0;
        }
    }
    channel.send(&Reply::Nvml { driver: text(&label) });
    Some((nvml, devices.min(MAX_DEVICES.unsigned_abs())))
}

impl Nvml {
    /// Returns the handle of a GPU, or null, and the status.
    #[expect(unsafe_code, reason = "this program exists to call foreign code")]
    fn device(&self, index: u32) -> (Device, Status) {
        let mut device: Device = null_mut();
        // SAFETY: the pointer points to a local of the right size.
        let status = unsafe { (self.handle)(index, &raw mut device) };
        (device, status)
    }

    fn report(&self, channel: &mut Channel, devices: u32) {
        for index in 0..devices {
            let (device, status) = self.device(index);
            let mut query = Query {
                library: &self.library,
                device,
                first_error: SUCCESS,
            };
            query.keep(status);
            channel.send(&query.health(index));
        }
    }
}

/// Collects the Xids of all GPUs since the registration.
struct Events {
    set: *mut c_void,
    wait: Symbol<unsafe extern "C" fn(*mut c_void, *mut EventData, c_uint) -> Status>,
    devices: Vec<Device>,
    seen: Vec<(u32, u64)>,
}

impl Events {
    /// Registers for Xid events. Returns `None` if this NVML has no events; then the host reports no Xid.
    #[expect(unsafe_code, reason = "this program exists to call foreign code")]
    fn register(nvml: &Nvml, devices: u32) -> Option<Self> {
        let create =
            find::<unsafe extern "C" fn(*mut *mut c_void) -> Status>(&nvml.library, c"nvmlEventSetCreate")?;
        let register = find::<unsafe extern "C" fn(Device, u64, *mut c_void) -> Status>(
            &nvml.library,
            c"nvmlDeviceRegisterEvents",
        )?;
        let mut events = Events {
            set: null_mut(),
            wait: find(&nvml.library, c"nvmlEventSetWait_v2")?,
            devices: (0..devices).map(|index| nvml.device(index).0).collect(),
            seen: Vec::new(),
        };
        // SAFETY: the functions have the types that NVIDIA documents. NVML owns the set, which is never freed.
        unsafe {
            if create(&raw mut events.set) != SUCCESS {
                return None;
            }
            for device in events.devices.iter().filter(|device| !device.is_null()) {
                // A GPU without Xid events is left out.
                register(*device, XID, events.set);
            }
        }
        Some(events)
    }

    /// Takes the events that have arrived since the last call.
    #[expect(unsafe_code, reason = "this program exists to call foreign code")]
    fn gather(&mut self) {
        while self.seen.len() < MAX_XIDS {
            let mut data = EventData::default();
            // SAFETY: as above; the pointer points to a local of the right size.
            if unsafe { (self.wait)(self.set, &raw mut data, 0) } != SUCCESS {
                return;
            }
            let index = self.devices.iter().position(|device| *device == data.device);
            if let (Some(index), true) = (index, data.kind & XID != 0) {
                self.seen
                    .push((u32::try_from(index).unwrap_or(u32::MAX), data.code));
            }
        }
    }
}

/// Queries one GPU and keeps the first error.
struct Query<'a> {
    library: &'a Library,
    device: Device,
    first_error: Status,
}

impl Query<'_> {
    fn keep(&mut self, status: Status) {
        if self.first_error == SUCCESS && !matches!(status, SUCCESS | NOT_SUPPORTED | INSUFFICIENT_SIZE) {
            self.first_error = status;
        }
    }

    /// Calls a function for this GPU, if NVML has the function and the handle is valid.
    fn ask<T>(&mut self, name: &CStr, call: impl FnOnce(&Symbol<T>, Device) -> Status) {
        if self.device.is_null() {
            return;
        }
        if let Some(function) = find::<T>(self.library, name) {
            let status = call(&function, self.device);
            self.keep(status);
        }
    }

    #[expect(unsafe_code, reason = "this program exists to call foreign code")]
    fn health(mut self, index: u32) -> Reply {
        let (mut processes, mut throttle, mut ecc, mut throttled_ns) = (0, 0, 0, 0);
        let (mut corrected, mut uncorrected, mut pending, mut failed) = (0, 0, 0, 0);
        let (mut mig, mut mig_pending) = (0, 0);
        let mut recovery = FieldValue {
            field: RECOVERY_ACTION,
            ..FieldValue::default()
        };
        // SAFETY, for all calls: the functions have the types that NVIDIA documents, and every pointer points to a local of
        // the right size. The process list has size 0, so that NVML returns only its length.
        self.ask::<unsafe extern "C" fn(Device, *mut c_uint, *mut c_void) -> Status>(
            c"nvmlDeviceGetComputeRunningProcesses_v3",
            |f, device| unsafe { f(device, &raw mut processes, null_mut()) },
        );
        self.ask::<unsafe extern "C" fn(Device, *mut u64) -> Status>(
            c"nvmlDeviceGetCurrentClocksThrottleReasons",
            |f, device| unsafe { f(device, &raw mut throttle) },
        );
        self.ask::<unsafe extern "C" fn(Device, c_int, *mut Violation) -> Status>(
            c"nvmlDeviceGetViolationStatus",
            |f, device| {
                for policy in POLICIES {
                    let mut violation = Violation::default();
                    // Ignore an error: no GPU supports every policy, and a container may lack the permission. The other
                    // queries report a broken GPU.
                    if unsafe { f(device, policy, &raw mut violation) } == SUCCESS {
                        throttled_ns += violation.lasted_ns;
                    }
                }
                SUCCESS
            },
        );
        self.ask::<unsafe extern "C" fn(Device, c_int, c_int, *mut u64) -> Status>(
            c"nvmlDeviceGetTotalEccErrors",
            |f, device| unsafe { f(device, UNCORRECTED, VOLATILE, &raw mut ecc) },
        );
        self.ask::<unsafe extern "C" fn(Device, *mut c_uint, *mut c_uint, *mut c_uint, *mut c_uint) -> Status>(
            c"nvmlDeviceGetRemappedRows",
            |f, device| unsafe {
                f(
                    device,
                    &raw mut corrected,
                    &raw mut uncorrected,
                    &raw mut pending,
                    &raw mut failed,
                )
            },
        );
        self.ask::<unsafe extern "C" fn(Device, *mut c_uint, *mut c_uint) -> Status>(
            c"nvmlDeviceGetMigMode",
            |f, device| unsafe { f(device, &raw mut mig, &raw mut mig_pending) },
        );
        self.ask::<unsafe extern "C" fn(Device, c_int, *mut FieldValue) -> Status>(
            c"nvmlDeviceGetFieldValues",
            |f, device| {
                // Older drivers do not have this field.
                let status = unsafe { f(device, 1, &raw mut recovery) };
                recovery.status = if status == SUCCESS {
                    recovery.status
                } else {
                    status
                };
                SUCCESS
            },
        );
        let mut label = [0 as c_char; 96];
        self.ask::<unsafe extern "C" fn(Device, *mut c_char, c_uint) -> Status>(
            c"nvmlDeviceGetUUID",
            |f, device| unsafe { f(device, label.as_mut_ptr(), 95) },
        );
        let [a, b, c, d, ..] = recovery.value;
        Reply::Health {
            index,
            error: self.first_error,
            processes,
            throttle,
            throttled_ns,
            ecc,
            rows: u32::from(pending != 0 || failed != 0),
            remapped: u64::from(uncorrected),
            mig,
            // If the driver does not have the field, the value is undefined.
            recovery: if recovery.status == SUCCESS {
                u32::from_ne_bytes([a, b, c, d])
            } else {
                0
            },
            uuid: text(&label),
        }
    }
}
