//! Reads a library file once, so that the inspected bytes are also the loaded bytes. Must not interpret the bytes.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags};

use crate::system::files::{self, FileError};

/// Maximum size of a library in bytes.
pub const MAX_SIZE: u64 = 2 << 30;

/// The bytes of a library at one moment.
#[derive(Debug)]
pub struct Snapshot {
    bytes: Vec<u8>,
    folder: PathBuf,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file cannot be opened or read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The path is a directory, a FIFO, a device or a socket.
    #[error("it is not a regular file")]
    NotAFile,
    /// The file is larger than [`MAX_SIZE`].
    #[error("it is larger than {} MiB", MAX_SIZE >> 20)]
    TooLarge,
}

impl Snapshot {
    /// Reads a regular file. Rejects a FIFO and does not wait for its writer.
    pub fn take(path: &Path) -> Result<Self, SnapshotError> {
        let bytes = files::read_following_links(path, MAX_SIZE).map_err(|error| match error {
            FileError::Io { error, .. } => SnapshotError::Io(error),
            FileError::WrongKind { .. } => SnapshotError::NotAFile,
            FileError::TooLarge { .. } => SnapshotError::TooLarge,
        })?;
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let folder = real.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Snapshot { bytes, folder })
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the folder of the file, without links.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Copies the bytes into an anonymous file that no process can change.
    pub fn sealed(&self) -> io::Result<OwnedFd> {
        sealed(&self.bytes, false)
    }
}

/// Writes bytes into an anonymous file and seals it.
///
/// `executable` sets whether the file may be executed, on kernels that support the distinction.
pub fn sealed(bytes: &[u8], executable: bool) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let execution = if executable {
        MemfdFlags::EXEC
    } else {
        MemfdFlags::NOEXEC_SEAL
    };
    let fd = match rustix::fs::memfd_create("nmoe-gates", flags | execution) {
        // Kernels before 6.3 support neither flag.
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create("nmoe-gates", flags)?,
        result => result?,
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
