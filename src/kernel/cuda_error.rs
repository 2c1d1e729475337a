//! Names the CUDA errors that a machine causes: a driver that is missing, old, busy or broken, or a faulty GPU.
//!
//! CUDA's driver and runtime share these numbers. Must not depend on who received the error.

/// Code, name in the CUDA runtime, and meaning.
const OF_MACHINE: [(i32, &str, &str); 21] = [
    (
        34,
        "cudaErrorStubLibrary",
        "the toolkit's stub library, not a driver",
    ),
    (
        35,
        "cudaErrorInsufficientDriver",
        "the driver is older than the CUDA runtime",
    ),
    (
        36,
        "cudaErrorCallRequiresNewerDriver",
        "the call needs a newer driver",
    ),
    (
        46,
        "cudaErrorDevicesUnavailable",
        "every GPU is busy or unavailable",
    ),
    (100, "cudaErrorNoDevice", "no device"),
    (102, "cudaErrorDeviceNotLicensed", "the device has no licence"),
    (127, "cudaErrorStartupFailure", "the CUDA runtime could not start"),
    (
        214,
        "cudaErrorECCUncorrectable",
        "the memory of the GPU has an uncorrectable error",
    ),
    (
        216,
        "cudaErrorDeviceAlreadyInUse",
        "another process uses the GPU exclusively",
    ),
    (
        220,
        "cudaErrorNvlinkUncorrectable",
        "NVLink has an uncorrectable error",
    ),
    (
        222,
        "cudaErrorUnsupportedPtxVersion",
        "the driver is older than the toolkit",
    ),
    (227, "cudaErrorContained", "the GPU contained a hardware error"),
    (
        304,
        "cudaErrorOperatingSystem",
        "a call of the operating system failed",
    ),
    (
        802,
        "cudaErrorSystemNotReady",
        "the system is not ready: is the fabric manager running?",
    ),
    (
        803,
        "cudaErrorSystemDriverMismatch",
        "driver and library versions differ",
    ),
    (
        804,
        "cudaErrorCompatNotSupportedOnDevice",
        "the compatibility libraries do not support this GPU",
    ),
    (
        805,
        "cudaErrorMpsConnectionFailed",
        "the MPS server does not answer",
    ),
    (806, "cudaErrorMpsRpcFailure", "the MPS server does not answer"),
    (807, "cudaErrorMpsServerNotReady", "the MPS server is not ready"),
    (
        808,
        "cudaErrorMpsMaxClientsReached",
        "the MPS server has too many clients",
    ),
    (
        809,
        "cudaErrorMpsMaxConnectionsReached",
        "the MPS server has too many connections",
    ),
];

fn of_machine(code: i32) -> Option<&'static (i32, &'static str, &'static str)> {
    OF_MACHINE.iter().find(|(known, ..)| *known == code)
}

/// Whether the machine causes this error for every code.
pub fn is_of_machine(code: i32) -> bool {
    of_machine(code).is_some()
}

/// Describes an error: its number, and for an error of the machine its name and meaning.
pub fn message(code: i32) -> String {
    match of_machine(code) {
        Some((_, name, meaning)) => format!("error {code} ({name}: {meaning})"),
        None => format!("error {code}"),
    }
}
