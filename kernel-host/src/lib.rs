//! Defines the protocol between `nmoe-gates` and its kernel host: lines of tab-separated fields over a socket.
//!
//! The host receives one [`Request`], executes it, and reports each step as a [`Reply`]. Each reply starts with the nonce
//! of the request; a line without the nonce did not come from the host. [`Reply::Done`] is the last reply. An exit
//! without it is an error. Must not depend on CUDA.

use std::fmt::Write as _;

/// Version of this protocol. Both sides come from one build, so another version means a packaging error.
pub const VERSION: u32 = 3;

/// Version of the kernel library's C ABI (`NMOE_ABI_VERSION` in `nmoe-csrc/include/nmoe_kernels.h`).
pub const ABI: u32 = 1;

/// Exit code of a host that lost its socket.
pub const EXIT_CUT_OFF: i32 = 74;

/// Maximum length of a line in bytes, in both directions.
pub const MAX_LINE: usize = 16 * 1024;

/// A value that can be written into a field and parsed again.
trait Field: Sized {
    fn put(&self, line: &mut String);
    fn take(text: &str) -> Option<Self>;
}

macro_rules! number_field {
    ($($type:ty)*) => {$(
        impl Field for $type {
            fn put(&self, line: &mut String) {
                // Writing to a string cannot fail.
                let _ = write!(line, "{self}");
            }

            fn take(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}
number_field!(u32 u64 i32);

impl Field for String {
    fn put(&self, line: &mut String) {
        for byte in self.bytes() {
            match byte {
                b' '..=b'~' if byte != b'%' => line.push(char::from(byte)),
                // Writing to a string cannot fail.
                _ => drop(write!(line, "%{byte:02x}")),
            }
        }
    }

    fn take(text: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((byte, tail)) = rest.split_first() {
            rest = tail;
            if *byte == b'%' {
                let code = std::str::from_utf8(tail.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(code, 16).ok()?);
                rest = tail.get(2..)?;
            } else {
                bytes.push(*byte);
            }
        }
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

macro_rules! messages {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty),* })* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant { $($(#[$field_doc])* $field: $type,)* },)*
        }

        impl $name {
            /// Formats the line, with the nonce and the line ending.
            pub fn encode(&self, nonce: &str) -> String {
                let mut line = nonce.to_owned();
                match self {
                    $(Self::$variant { $($field),* } => {
                        line.push('\t');
                        line.push_str($word);
                        $(line.push('\t'); $field.put(&mut line);)*
                    })*
                }
                line.push('\n');
                line
            }

            /// Parses a line without its line ending. Returns `None` if the nonce or the fields do not match.
            pub fn decode(line: &str, nonce: &str) -> Option<Self> {
                let mut fields = line.split('\t');
                if nonce.is_empty() || fields.next() != Some(nonce) {
                    return None;
                }
                let message = match fields.next()? {
                    $($word => Self::$variant { $($field: <$type as Field>::take(fields.next()?)?,)* },)*
                    _ => return None,
                };
                fields.next().is_none().then_some(message)
            }
        }
    };
}

messages! {
    /// A task for the host.
    Request {
        /// Load the library on standard input, read its ABI version and stamp, run its self-checks.
        Load = "load" {
            /// Version of the protocol.
            version: u32,
            /// Path of the same library, for machines where a descriptor has no path; otherwise empty.
            path: String
        }
        /// List the GPUs with the driver, and read their health with NVML.
        Driver = "driver" {
            /// Version of the protocol.
            version: u32
        }
        /// Use only NVML: record every Xid from now on, and answer each [`Request::Read`] until the socket closes.
        Watch = "watch" {
            /// Version of the protocol.
            version: u32
        }
        /// Read the current health of the GPUs. Valid only after [`Request::Watch`].
        Read = "read" {}
    }
}

messages! {
    /// A report of the host.
    Reply {
        /// The host has started and parsed the request.
        Hello = "hello" {
            /// Version of the protocol.
            version: u32
        }
        /// The host starts a step in which foreign code may crash.
        Stage = "stage" {
            /// `load`, `abi`, `check`, `cuda` or `nvml`.
            name: String
        }
        /// The ABI of the library.
        Abi = "abi" {
            /// Version of the ABI.
            version: u32
        }
        /// The stamp that the library returns.
        Stamp = "stamp" {
            /// The stamp as JSON.
            text: String
        }
        /// A self-check starts.
        CheckStarted = "check" {
            /// Name of the check.
            name: String
        }
        /// A self-check ended.
        CheckEnded = "outcome" {
            /// Name of the check.
            name: String,
            /// Value of `nmoe_check_outcome` in the ABI.
            outcome: i32,
            /// Number of compared cases.
            cases: u64,
            /// Number of cases that differ.
            mismatches: u64,
            /// Index of the first case that differs.
            index: u64,
            /// Value of the reference in that case, as bits.
            expected: u64,
            /// Value of the kernel in that case, as bits.
            got: u64,
            /// CUDA error code, or 0.
            error: i32,
            /// Duration in microseconds.
            micros: u64
        }
        /// The CUDA driver works.
        Cuda = "cuda" {
            /// CUDA version of the driver: 1000 × major + 10 × minor.
            version: u32
        }
        /// A GPU that CUDA reports.
        Device = "device" {
            /// Name of the GPU.
            name: String,
            /// Major number of the compute capability.
            major: u32,
            /// Minor number of the compute capability.
            minor: u32,
            /// Memory in bytes.
            memory: u64,
            /// UUID as NVML writes it; empty if the driver does not report it.
            uuid: String
        }
        /// NVML works.
        Nvml = "nvml" {
            /// Version of the driver.
            driver: String
        }
        /// The health of a GPU, from NVML.
        Health = "health" {
            /// Index of the GPU.
            index: u32,
            /// First error code that NVML returned for this GPU, or 0.
            error: i32,
            /// Number of compute processes on this GPU.
            processes: u32,
            /// Bits of NVML for the current reasons of reduced clocks.
            throttle: u64,
            /// Nanoseconds of reduced clocks by heat, board limit or reliability, since the driver was loaded.
            throttled_ns: u64,
            /// Number of uncorrected ECC errors since the driver was loaded.
            ecc: u64,
            /// 1 if remapping a memory row failed or needs a reset; otherwise 0.
            rows: u32,
            /// Number of memory rows that were remapped after uncorrected errors.
            remapped: u64,
            /// 1 if MIG is enabled; otherwise 0.
            mig: u32,
            /// NVML's number for the required recovery action; 0 if none is required.
            recovery: u32,
            /// UUID of the GPU; empty if NVML does not report it.
            uuid: String
        }
        /// An Xid that a GPU reported since the watch began.
        Xid = "xid" {
            /// Index of the GPU.
            index: u32,
            /// Number of the Xid.
            code: u64
        }
        /// The watch has begun, or all replies to a [`Request::Read`] were sent.
        Complete = "complete" {}
        /// The host cannot execute the next step.
        Refused = "refused" {
            /// Name of the failed step, from a fixed list.
            what: String,
            /// Error code, or 0.
            code: i32,
            /// Message of the loader. Show it only on the terminal, never in published results.
            detail: String
        }
        /// The request is complete.
        Done = "done" {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_can_be_decoded_again() {
        let reply = Reply::Refused {
            what: "load".to_owned(),
            code: -1,
            detail: "tab\there, line\nthere, 100 %, é".to_owned(),
        };
        let line = reply.encode("n0");
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(Reply::decode(line.trim_end_matches('\n'), "n0"), Some(reply));
    }

    #[test]
    fn lines_of_other_programs_are_rejected() {
        for line in [
            "done",
            "n1\tdone",
            "n0\tdone\tmore",
            "n0\tabi",
            "n0\tabi\tx",
            "n0\tword",
            "",
            "n0",
        ] {
            assert_eq!(Reply::decode(line, "n0"), None, "{line:?}");
        }
        assert_eq!(Reply::decode("\tdone", ""), None);
    }
}
