//! The result of an inspection.

use serde::Serialize;

use crate::arch::{Arch, Variant};
use crate::cubin::Usage;
use crate::fatbin::{Compression, EntryKind};
use crate::fault::Fault;

/// The section for the code of linked programs.
pub(crate) const LINKED: &str = ".nv_fatbin";

/// The section for relocatable code, the input of the device linker.
pub(crate) const RELOCATABLE: &str = "__nv_relfatbin";

/// A section of large read-only data, where compilers of Python kernels put their containers.
pub(crate) const LARGE_DATA: &str = ".lrodata";

/// The format of a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A shared object, for example a Python extension.
    SharedObject,
    /// An object file.
    Object,
    /// A cubin without a container.
    Cubin,
    /// A fat binary without a host library.
    Fatbin,
    /// An archive of object files (`.a`).
    Archive,
    /// Another format.
    Other,
}

/// An inspected entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryReport {
    /// The section; null in a cubin or a fat binary.
    pub section: Option<&'static str>,
    /// Offset in the section, or in the file.
    pub offset: usize,
    /// What the entry contains.
    pub kind: EntryKind,
    /// SM number.
    pub sm: u32,
    /// The letter after the number.
    pub variant: Option<Variant>,
    /// Unpacked size in bytes.
    pub size: u64,
    /// Stored size in bytes.
    pub stored: u64,
    /// The compression.
    pub compression: Compression,
    /// CUDA version of the toolkit that wrote the code: major, minor; null if the code does not record it.
    pub toolkit: Option<(u32, u32)>,
    /// The names of the kernels.
    pub kernels: Vec<String>,
    /// What each kernel uses, in the same order; empty for code that is not machine code.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<Usage>,
}

/// Input of the device linker that is not for the wanted architecture, next to a linked image that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Foreign {
    /// Number of entries.
    pub entries: usize,
    /// What they are, such as `PTX for sm_120` and `sm_90`.
    pub targets: Vec<String>,
    /// SHA-256 over the stored entries. It depends on the foreign code only, so it is the same after each build.
    pub digest: String,
}

/// An inspected library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The format of the file.
    pub kind: FileKind,
    /// SHA-256 of the file, 64 hex digits.
    pub sha256: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// The architecture that all code should be for.
    pub wanted: Arch,
    /// All entries.
    pub entries: Vec<EntryReport>,
    /// The shared objects that the library needs.
    pub needs: Vec<String>,
    /// The undefined symbols.
    pub imports: Vec<String>,
    /// Names of NCCL's functions that are complete strings in its read-only data, as `dlsym` needs them.
    pub nccl_strings: Vec<String>,
    /// Input of the device linker for other targets, if there is any.
    pub foreign: Option<Foreign>,
    /// The reasons why the library is not for the wanted architecture only.
    pub faults: Vec<Fault>,
}

impl Inspection {
    /// Whether the library is for the wanted architecture only.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// Whether this is a valid library without device code, such as a telemetry extension.
    pub fn is_host_only(&self) -> bool {
        self.faults == [Fault::NoDeviceCode]
    }

    /// The newest toolkit that any code was built with.
    pub fn toolkit(&self) -> Option<(u32, u32)> {
        self.entries.iter().filter_map(|entry| entry.toolkit).max()
    }

    /// Accepts foreign input of the device linker with one of these digests.
    pub fn allow_foreign<'a>(&mut self, mut digests: impl Iterator<Item = &'a str>) {
        let found = self.foreign.as_ref().map(|foreign| foreign.digest.as_str());
        if let Some(found) = found
            && digests.any(|digest| digest == found)
        {
            self.faults
                .retain(|fault| !matches!(fault, Fault::ForeignRelocatable { .. }));
        }
    }

    /// Returns what the kernels use that the library can run. If a device linker made an image, its input does not count.
    pub fn usage(&self) -> impl Iterator<Item = &Usage> {
        self.runnable().flat_map(|entry| &entry.usage)
    }

    /// Returns the entries with code that the library can run.
    pub(crate) fn runnable(&self) -> impl Iterator<Item = &EntryReport> {
        let linked = self.is_device_linked();
        self.entries
            .iter()
            .filter(move |entry| !linked || entry.section != Some(RELOCATABLE))
    }

    /// Whether a device linker made an image. It keeps only the kernels that something uses; its input remains in
    /// another section.
    pub(crate) fn is_device_linked(&self) -> bool {
        self.kind == FileKind::SharedObject && self.entries.iter().any(|entry| entry.section == Some(LINKED))
    }

    /// The verdict in one sentence.
    pub fn verdict(&self) -> String {
        match self.faults.as_slice() {
            [] => format!("{} and nothing else", self.wanted),
            [only] => format!("not {} alone: {only}", self.wanted),
            [first, rest @ ..] => format!("not {} alone: {first}; and {} more", self.wanted, rest.len()),
        }
    }
}
