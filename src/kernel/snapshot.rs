//! A library file read once, so that the bytes that are inspected are the bytes that are loaded.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{MemfdFlags, SealFlags};

use crate::system::files::{self, FileError};

/// Largest library that is read, in bytes.
pub const LARGEST: u64 = 2 << 30;

/// The bytes of a library, as they were at one moment.
#[derive(Debug)]
pub struct Snapshot {
    bytes: Vec<u8>,
}

/// Why a file could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum Untaken {
    /// It cannot be opened or read.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
    /// A directory, a FIFO, a device, a socket.
    #[error("it is not a regular file")]
    NotAFile,
    /// More than [`LARGEST`].
    #[error("it is larger than {} MiB", LARGEST >> 20)]
    TooLarge,
}

impl Snapshot {
    /// Reads a regular file. A FIFO is refused rather than waited for.
    pub fn take(path: &Path) -> Result<Self, Untaken> {
        let bytes = files::read_following_links(path, LARGEST).map_err(|error| match error {
            FileError::Io { error, .. } => Untaken::Io(error),
            FileError::WrongKind { .. } => Untaken::NotAFile,
            FileError::TooLarge { .. } => Untaken::TooLarge,
        })?;
        Ok(Snapshot { bytes })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same bytes as an anonymous file that nobody can change any more.
    pub fn sealed(&self) -> io::Result<OwnedFd> {
        sealed(&self.bytes, false)
    }
}

/// Puts bytes into an anonymous file and seals it. `executable` asks for one that may be run, where the kernel tells the two apart.
pub fn sealed(bytes: &[u8], executable: bool) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let wish = if executable {
        MemfdFlags::EXEC
    } else {
        MemfdFlags::NOEXEC_SEAL
    };
    let fd = match rustix::fs::memfd_create("nmoe-gates", flags | wish) {
        // Kernels before 6.3 know neither flag.
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create("nmoe-gates", flags)?,
        made => made?,
    };
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    let fd = OwnedFd::from(file);
    rustix::fs::fcntl_add_seals(
        &fd,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(fd)
}
