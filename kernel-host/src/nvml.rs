//! NVML: what it knows of the GPUs' health. It may be absent; then nothing is said.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem::ManuallyDrop;
use std::ptr::null_mut;
use std::time::Duration;

use kernel_host::{Reply, Request};
use libloading::os::unix::{Library, Symbol};

use crate::driver::{MOST_DEVICES, Status, find, load, text};
use crate::link::Link;

const SUCCESS: Status = 0;
const NOT_SUPPORTED: Status = 3;
const INSUFFICIENT_SIZE: Status = 7;
const UNCORRECTED: c_int = 1;
const VOLATILE: c_int = 0;
/// Policies that hold clocks down against what the load asks for: heat, the board's limit, reliability.
const POLICIES: [c_int; 3] = [1, 3, 5];
/// The field that says what must be done to a GPU before it can be trusted again.
const RECOVERY_ACTION: c_uint = 230;

/// The event of an Xid.
const XID: u64 = 8;
/// Most Xids that are remembered; after so many nobody needs more.
const MOST_XIDS: usize = 64;
/// How often events are gathered while nobody asks.
const PATIENCE: Duration = Duration::from_secs(1);

type Device = *mut c_void;

/// `nvmlEventData_t`.
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

/// `nvmlViolationTime_t`.
#[repr(C)]
#[derive(Default)]
struct Violation {
    at_us: u64,
    lasted_ns: u64,
}

/// `nvmlFieldValue_t`; the value is a union of eight bytes.
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

/// The functions that every NVML has.
struct Nvml {
    library: ManuallyDrop<Library>,
    init: Symbol<unsafe extern "C" fn() -> Status>,
    driver: Symbol<unsafe extern "C" fn(*mut c_char, c_uint) -> Status>,
    count: Symbol<unsafe extern "C" fn(*mut c_uint) -> Status>,
    handle: Symbol<unsafe extern "C" fn(c_uint, *mut Device) -> Status>,
}

impl Nvml {
    fn open() -> Option<Self> {
        // Its destructor is foreign code too, and is never run.
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

/// Reports the health of every GPU of the machine, once.
pub fn run(link: &mut Link) {
    if let Some((nvml, devices)) = begin(link) {
        nvml.report(link, devices);
    }
}

/// Takes note of Xids, and reports the health of every GPU as often as it is asked, until nobody listens.
pub fn watch(link: &mut Link) {
    let Some((nvml, devices)) = begin(link) else {
        return;
    };
    let mut events = Events::register(&nvml, devices);
    link.say(&Reply::Told {});
    loop {
        let asked = link.next(PATIENCE);
        events.iter_mut().for_each(Events::gather);
        if asked == Some(Request::Read {}) {
            nvml.report(link, devices);
            for (index, code) in events.iter().flat_map(|events| &events.seen) {
                link.say(&Reply::Xid {
                    index: *index,
                    code: *code,
                });
            }
            link.say(&Reply::Told {});
        }
    }
}

/// Opens NVML and says its version; how many GPUs there are.
#[expect(unsafe_code, reason = "calling foreign code is what this program is for")]
fn begin(link: &mut Link) -> Option<(Nvml, u32)> {
    link.stage("nvml");
    let nvml = Nvml::open()?;
    let mut label = [0 as c_char; 96];
    let mut devices = 0;
    // SAFETY: the functions have the types that NVIDIA documents, and every pointer is to a local of the right size.
    unsafe {
        if (nvml.init)() != SUCCESS || (nvml.driver)(label.as_mut_ptr(), 95) != SUCCESS {
            return None;
        }
        if (nvml.count)(&raw mut devices) != SUCCESS {
            devices = 0;
        }
    }
    link.say(&Reply::Nvml { driver: text(&label) });
    Some((nvml, devices.min(MOST_DEVICES.unsigned_abs())))
}

impl Nvml {
    /// The handle of a GPU, null where there is none, and what NVML said.
    #[expect(unsafe_code, reason = "calling foreign code is what this program is for")]
    fn device(&self, index: u32) -> (Device, Status) {
        let mut device: Device = null_mut();
        // SAFETY: the pointer is to a local of the right size.
        let status = unsafe { (self.handle)(index, &raw mut device) };
        (device, status)
    }

    fn report(&self, link: &mut Link, devices: u32) {
        for index in 0..devices {
            let (device, status) = self.device(index);
            let mut asked = Asked {
                library: &self.library,
                device,
                worst: SUCCESS,
            };
            asked.keep(status);
            link.say(&asked.health(index));
        }
    }
}

/// The Xids of all GPUs since they were registered.
struct Events {
    set: *mut c_void,
    wait: Symbol<unsafe extern "C" fn(*mut c_void, *mut EventData, c_uint) -> Status>,
    devices: Vec<Device>,
    seen: Vec<(u32, u64)>,
}

impl Events {
    /// None where this NVML has no events, and then no Xid is ever told.
    #[expect(unsafe_code, reason = "calling foreign code is what this program is for")]
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
        // SAFETY: the functions have the types that NVIDIA documents; the set is theirs and is never freed.
        unsafe {
            if create(&raw mut events.set) != SUCCESS {
                return None;
            }
            for device in events.devices.iter().filter(|device| !device.is_null()) {
                // One that cannot tell is left out.
                register(*device, XID, events.set);
            }
        }
        Some(events)
    }

    /// Takes what has come in meanwhile.
    #[expect(unsafe_code, reason = "calling foreign code is what this program is for")]
    fn gather(&mut self) {
        while self.seen.len() < MOST_XIDS {
            let mut data = EventData::default();
            // SAFETY: as above; the pointer is to a local of the right size.
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

/// One GPU while it is asked, and the first error that it gave.
struct Asked<'a> {
    library: &'a Library,
    device: Device,
    worst: Status,
}

impl Asked<'_> {
    fn keep(&mut self, status: Status) {
        if self.worst == SUCCESS && !matches!(status, SUCCESS | NOT_SUPPORTED | INSUFFICIENT_SIZE) {
            self.worst = status;
        }
    }

    /// Calls a function, where NVML has it and there is a GPU to ask.
    fn ask<T>(&mut self, name: &CStr, call: impl FnOnce(&Symbol<T>, Device) -> Status) {
        if self.device.is_null() {
            return;
        }
        if let Some(function) = find::<T>(self.library, name) {
            let status = call(&function, self.device);
            self.keep(status);
        }
    }

    #[expect(unsafe_code, reason = "calling foreign code is what this program is for")]
    fn health(mut self, index: u32) -> Reply {
        let (mut processes, mut throttle, mut ecc, mut held) = (0, 0, 0, 0);
        let (mut corrected, mut uncorrected, mut pending, mut failed) = (0, 0, 0, 0);
        let (mut split, mut split_next) = (0, 0);
        let mut recovery = FieldValue {
            field: RECOVERY_ACTION,
            ..FieldValue::default()
        };
        // SAFETY, for all: the functions have the types that NVIDIA documents, and every pointer is to a local of the right
        // size. The process list has room for none, so that only its length is told.
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
                    // No GPU knows every policy, and a container may not ask; what is lost or broken shows elsewhere too.
                    if unsafe { f(device, policy, &raw mut violation) } == SUCCESS {
                        held += violation.lasted_ns;
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
            |f, device| unsafe { f(device, &raw mut split, &raw mut split_next) },
        );
        self.ask::<unsafe extern "C" fn(Device, c_int, *mut FieldValue) -> Status>(
            c"nvmlDeviceGetFieldValues",
            |f, device| {
                // Older drivers do not know the field.
                let status = unsafe { f(device, 1, &raw mut recovery) };
                recovery.status = if status == SUCCESS {
                    recovery.status
                } else {
                    status
                };
                SUCCESS
            },
        );
        let [a, b, c, d, ..] = recovery.value;
        Reply::Health {
            index,
            error: self.worst,
            processes,
            throttle,
            held,
            ecc,
            rows: u32::from(pending != 0 || failed != 0),
            remapped: u64::from(uncorrected),
            split,
            // Where the field is not known its status says so, and the value means nothing.
            recovery: if recovery.status == SUCCESS {
                u32::from_ne_bytes([a, b, c, d])
            } else {
                0
            },
        }
    }
}
