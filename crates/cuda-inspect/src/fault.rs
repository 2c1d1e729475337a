//! The reasons why a library is not for one architecture only, each with a stable code and a message.

use crate::arch::Arch;

/// A reason why a library is not for one architecture only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file is neither ELF nor a container.
    #[error("this is neither an ELF file nor a CUDA container ({0})")]
    NotALibrary(&'static str),
    /// A section or the file cannot be parsed completely.
    #[error("{place} cannot be parsed {why}")]
    Malformed {
        /// The section, or `the file`.
        place: String,
        /// The offset and the reason.
        why: String,
    },
    /// The file contains no device code.
    #[error("there is no device code in it")]
    NoDeviceCode,
    /// The device code contains no kernel.
    #[error("its device code names no kernel")]
    NoKernels,
    /// An entry that the driver would compile for any GPU.
    #[error("{place} is PTX for {arch}: the driver would compile it for other GPUs too")]
    Ptx {
        /// Section and offset.
        place: String,
        /// The architecture in the header.
        arch: Arch,
    },
    /// Intermediate code, which a linker must compile.
    #[error("{place} is intermediate code for link-time optimisation")]
    Lto {
        /// Section and offset.
        place: String,
    },
    /// Intermediate code of CUDA Tile.
    #[error("{place} is Tile IR: the driver would compile it for other GPUs too")]
    TileIr {
        /// Section and offset.
        place: String,
    },
    /// Input of the device linker for other targets, next to a linked image.
    #[error(
        "{count} entries of relocatable code are not for the wanted target ({targets}), although the linked image is; \
         a registry can allow exactly this code by its digest {digest}"
    )]
    ForeignRelocatable {
        /// Number of entries.
        count: usize,
        /// What they are.
        targets: String,
        /// Digest over the entries.
        digest: String,
    },
    /// Machine code for another architecture.
    #[error("{place} is machine code for {found}, not {wanted}")]
    OtherArch {
        /// Section and offset.
        place: String,
        /// The architecture of the code.
        found: Arch,
        /// The wanted architecture.
        wanted: Arch,
    },
    /// The architecture in the container differs from the one in the code.
    #[error("{place} is labelled {label} and holds {found}")]
    Mislabelled {
        /// Section and offset.
        place: String,
        /// The architecture in the container.
        label: Arch,
        /// The architecture in the code.
        found: Arch,
    },
    /// An entry that cannot be read.
    #[error("{place} cannot be read: {why}")]
    Unreadable {
        /// Section and offset.
        place: String,
        /// The reason.
        why: String,
    },
    /// Device code outside the sections for device code.
    #[error("{what} lies at {offset:#x} of the file, outside the sections for device code")]
    Stray {
        /// The form of the code.
        what: &'static str,
        /// Offset in the file.
        offset: usize,
    },
    /// Relocatable device code that no device linker has linked.
    #[error("it imports `{0}`: its relocatable device code was never device-linked (`nvcc -dlink`)")]
    Unlinked(String),
    /// An expected kernel is missing.
    #[error("it does not hold the kernel `{0}`")]
    MissingKernel(String),
}

impl Fault {
    /// The stable code.
    pub fn as_str(&self) -> &'static str {
        match self {
            Fault::NotALibrary(_) => "not_a_library",
            Fault::Malformed { .. } => "malformed",
            Fault::NoDeviceCode => "no_device_code",
            Fault::NoKernels => "no_kernels",
            Fault::Ptx { .. } => "ptx",
            Fault::Lto { .. } => "lto",
            Fault::TileIr { .. } => "tile_ir",
            Fault::ForeignRelocatable { .. } => "foreign_relocatable",
            Fault::OtherArch { .. } => "other_arch",
            Fault::Mislabelled { .. } => "mislabelled",
            Fault::Unreadable { .. } => "unreadable",
            Fault::Stray { .. } => "stray",
            Fault::Unlinked(_) => "unlinked",
            Fault::MissingKernel(_) => "missing_kernel",
        }
    }
}
