//! What `nmoe-gates` and its kernel host say to each other: lines of tab-separated fields over a socket.
//!
//! The host asks nothing. It gets one [`Request`], does it, and reports each step as a [`Reply`] that begins with the
//! request's nonce; a line without it did not come from the host. It says [`Reply::Done`] last, and only then is an
//! ending an orderly one.

use std::fmt::Write as _;

/// Version of this protocol. Both sides are one build; a mismatch means a mix-up.
pub const VERSION: u32 = 2;

/// Version of the kernel library's C ABI (`NMOE_ABI_VERSION` in `nmoe-csrc/include/nmoe_kernels.h`).
pub const ABI: u32 = 1;

/// Exit code of a host whose socket was taken from it.
pub const EXIT_CUT_OFF: i32 = 74;

/// Longest line in bytes, either way.
pub const LONGEST: usize = 16 * 1024;

/// A value that fits into a field.
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
            /// The line, with its nonce and its end.
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

            /// The message of a line without its end; `None` where the nonce or the shape is not ours.
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
    /// What the host is to do.
    Request {
        /// Load the library on standard input, ask for its ABI and stamp, run its self-checks.
        Load = "load" {
            /// Version of the protocol.
            version: u32,
            /// Where the same library lies, for a machine where a descriptor has no path; empty elsewhere.
            path: String
        }
        /// Ask the driver what GPUs there are, and NVML how they are.
        Driver = "driver" {
            /// Version of the protocol.
            version: u32
        }
        /// Ask NVML alone, take note of every Xid from now on, and answer each [`Request::Read`] until the socket closes.
        Watch = "watch" {
            /// Version of the protocol.
            version: u32
        }
        /// How the GPUs are now, for a host that watches.
        Read = "read" {}
    }
}

messages! {
    /// What the host reports.
    Reply {
        /// It runs and has understood the request.
        Hello = "hello" {
            /// Version of the protocol.
            version: u32
        }
        /// It is about to do something that it may not survive.
        Stage = "stage" {
            /// `load`, `abi`, `check`, `cuda`, `nvml`.
            name: String
        }
        /// The library's ABI.
        Abi = "abi" {
            /// Its version.
            version: u32
        }
        /// The library's stamp, as its exported function returns it.
        Stamp = "stamp" {
            /// JSON.
            text: String
        }
        /// A self-check is about to run.
        CheckStarted = "check" {
            /// Its name.
            name: String
        }
        /// A self-check ended.
        CheckEnded = "outcome" {
            /// Its name.
            name: String,
            /// `NMOE_CHECK_…` of the ABI.
            outcome: i32,
            /// How many cases were compared.
            cases: u64,
            /// How many differed.
            mismatches: u64,
            /// The first that differed.
            index: u64,
            /// What the reference has there.
            expected: u64,
            /// What the kernel has there.
            got: u64,
            /// The CUDA error, or 0.
            error: i32,
            /// How long it took, in microseconds.
            micros: u64
        }
        /// The driver answers.
        Cuda = "cuda" {
            /// Its CUDA version, 1000 × major + 10 × minor.
            version: u32
        }
        /// A GPU, as CUDA sees it.
        Device = "device" {
            /// Its name.
            name: String,
            /// Compute capability.
            major: u32,
            /// Compute capability.
            minor: u32,
            /// Memory in bytes.
            memory: u64
        }
        /// NVML answers.
        Nvml = "nvml" {
            /// The driver's version.
            driver: String
        }
        /// What NVML knows of a GPU.
        Health = "health" {
            /// Its index.
            index: u32,
            /// The first error code that NVML gave for it, or 0.
            error: i32,
            /// Compute processes on it.
            processes: u32,
            /// Reasons for reduced clocks, NVML's bits.
            throttle: u64,
            /// Nanoseconds since the driver was loaded that heat, the board's limit or reliability held its clocks down.
            held: u64,
            /// Uncorrected ECC errors since the driver was loaded.
            ecc: u64,
            /// 1 where a row of memory could not be replaced or waits for a reset.
            rows: u32,
            /// Rows of memory that were replaced for uncorrected errors.
            remapped: u64,
            /// 1 where the GPU is split (MIG).
            split: u32,
            /// What must be done to it before it can be trusted again, NVML's number; 0 is nothing.
            recovery: u32
        }
        /// An Xid that a GPU reported since the host began to watch.
        Xid = "xid" {
            /// The GPU's index.
            index: u32,
            /// Its number.
            code: u64
        }
        /// The answer to a [`Request::Read`], or the beginning of a watch, is complete.
        Told = "told" {}
        /// It could not do the next step.
        Refused = "refused" {
            /// What: a word of a closed list.
            what: String,
            /// An error code, or 0.
            code: i32,
            /// What the loader said; for the terminal, not for publishing.
            detail: String
        }
        /// All was done.
        Done = "done" {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_wire_whatever_it_holds() {
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
    fn a_line_that_is_not_ours_is_no_message() {
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
