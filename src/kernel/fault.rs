//! Why a library is not what it must be: a closed list, each with a stable word for machines and a sentence for people.

use crate::kernel::inspect::Arch;

/// One reason why a library is not for one architecture and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file is neither ELF nor a container.
    #[error("this is neither an ELF file nor a CUDA container ({0})")]
    NotALibrary(&'static str),
    /// A section or the file cannot be parsed whole.
    #[error("{place} cannot be parsed {why}")]
    Malformed {
        /// The section, or `the file`.
        place: String,
        /// Where and why.
        why: String,
    },
    /// There is no device code at all.
    #[error("there is no device code in it")]
    NoDeviceCode,
    /// There is device code and no kernel in it.
    #[error("its device code names no kernel")]
    NoKernels,
    /// An entry that the driver would compile for any GPU.
    #[error("{place} is PTX for {arch}: the driver would compile it for other GPUs too")]
    Ptx {
        /// Section and offset.
        place: String,
        /// What it claims.
        arch: Arch,
    },
    /// Code that is not machine code yet.
    #[error("{place} is intermediate code for link-time optimisation")]
    Lto {
        /// Section and offset.
        place: String,
    },
    /// Machine code for something else.
    #[error("{place} is machine code for {found}, not {wanted}")]
    OtherArch {
        /// Section and offset.
        place: String,
        /// What it is for.
        found: Arch,
        /// What it should be for.
        wanted: Arch,
    },
    /// The container's header and the code in it disagree.
    #[error("{place} is labelled {label} and holds {found}")]
    Mislabelled {
        /// Section and offset.
        place: String,
        /// What the container says.
        label: Arch,
        /// What the code says.
        found: Arch,
    },
    /// An entry that cannot be read.
    #[error("{place} cannot be read: {why}")]
    Unreadable {
        /// Section and offset.
        place: String,
        /// Why.
        why: String,
    },
    /// Device code outside the sections where the linker puts it.
    #[error("{what} lies at {offset:#x} of the file, outside the sections for device code")]
    Stray {
        /// What was found.
        what: &'static str,
        /// Offset in the file.
        offset: usize,
    },
    /// A kernel that should be there is not.
    #[error("it does not hold the kernel `{0}`")]
    MissingKernel(String),
}

impl Fault {
    /// The stable word.
    pub fn word(&self) -> &'static str {
        match self {
            Fault::NotALibrary(_) => "not_a_library",
            Fault::Malformed { .. } => "malformed",
            Fault::NoDeviceCode => "no_device_code",
            Fault::NoKernels => "no_kernels",
            Fault::Ptx { .. } => "ptx",
            Fault::Lto { .. } => "lto",
            Fault::OtherArch { .. } => "other_arch",
            Fault::Mislabelled { .. } => "mislabelled",
            Fault::Unreadable { .. } => "unreadable",
            Fault::Stray { .. } => "stray",
            Fault::MissingKernel(_) => "missing_kernel",
        }
    }
}
