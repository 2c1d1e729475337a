//! Reads and writes files in places where another user may have put links, pipes or devices.
//!
//! New files are private, a replacement is atomic, a read has a size limit, and symbolic links are rejected by default.
//! Must not depend on the contents of the files.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::system::digest::is_hex;

/// Why a path was rejected.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A system call failed.
    #[error("{path}: {error}")]
    Io {
        /// The path of the call.
        path: PathBuf,
        /// The error of the call.
        error: io::Error,
    },
    /// The path exists, but it is not a regular file or not a folder.
    #[error("{path} is {found}, not {wanted}; remove it or name another path")]
    WrongKind {
        /// The rejected path.
        path: PathBuf,
        /// The kind of file at the path, such as "a symbolic link".
        found: &'static str,
        /// The kind of file that the caller needs.
        wanted: &'static str,
    },
    /// The file is larger than the caller accepts.
    #[error("{path} is larger than {cap} bytes")]
    TooLarge {
        /// The rejected path.
        path: PathBuf,
        /// The limit in bytes.
        cap: u64,
    },
}

impl FileError {
    /// Whether the disk is full or read-only.
    pub fn is_full(&self) -> bool {
        matches!(self, FileError::Io { error, .. } if is_full(error))
    }

    /// Whether the machine caused the error (disk, memory, file table), and not the file at the path.
    pub fn is_machine_fault(&self) -> bool {
        use rustix::io::Errno;
        let FileError::Io { error, .. } = self else {
            return false;
        };
        let faults = [Errno::IO, Errno::NOSPC, Errno::NOMEM, Errno::MFILE, Errno::NFILE];
        is_full(error)
            || faults
                .iter()
                .any(|fault| error.raw_os_error() == Some(fault.raw_os_error()))
    }

    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> FileError {
        let path = path.to_owned();
        move |error| FileError::Io { path, error }
    }
}

/// Keeps the kind of the error, such as a full disk.
impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        let kind = match &error {
            FileError::Io { error, .. } => error.kind(),
            FileError::WrongKind { .. } | FileError::TooLarge { .. } => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// Whether an error means that the disk is full or read-only.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::FileTooLarge
    )
}

fn kind(meta: &std::fs::Metadata) -> &'static str {
    let t = meta.file_type();
    if t.is_symlink() {
        "a symbolic link"
    } else if t.is_dir() {
        "a folder"
    } else if t.is_fifo() {
        "a named pipe"
    } else if t.is_socket() {
        "a socket"
    } else if t.is_block_device() || t.is_char_device() {
        "a device"
    } else {
        "a regular file"
    }
}

/// Creates a folder and its parents with access for this user only. An existing folder stays as it is.
///
/// # Errors
/// The folder cannot be created, or the path is not a folder.
pub fn private_dir(path: &Path) -> Result<(), FileError> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => return Ok(()),
        // Users may link this folder to another place; only a dangling link is rejected.
        Ok(meta) if meta.is_symlink() && path.is_dir() => return Ok(()),
        Ok(meta) => {
            return Err(FileError::WrongKind {
                path: path.to_owned(),
                found: kind(&meta),
                wanted: "a folder",
            });
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(FileError::io(path)(e)),
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(FileError::io(path))
}

/// Checks that the path is absent or belongs to the user of this process.
///
/// # Errors
/// The path belongs to another user, or cannot be read.
pub fn own_or_absent(path: &Path) -> Result<(), FileError> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.uid() == rustix::process::geteuid().as_raw() => Ok(()),
        Ok(_) => Err(FileError::WrongKind {
            path: path.to_owned(),
            found: "owned by another user",
            wanted: "by you",
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(FileError::io(path)(e)),
    }
}

/// Checks that the path is absent or a regular file.
///
/// # Errors
/// The path is a link, folder, pipe, socket or device.
pub fn vacant_or_regular(path: &Path) -> Result<(), FileError> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => Ok(()),
        Ok(meta) => Err(FileError::WrongKind {
            path: path.to_owned(),
            found: kind(&meta),
            wanted: "a regular file",
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(FileError::io(path)(e)),
    }
}

/// Creates a new file with access for this user only.
///
/// # Errors
/// The file cannot be created, or the path exists, also as a link.
pub fn create_private(path: &Path) -> Result<File, FileError> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .map_err(FileError::io(path))
}

/// Replaces a file atomically: a reader sees either the old bytes or the new bytes. Links are not followed.
/// With `durable`, the bytes are synced to the disk before this returns.
///
/// # Errors
/// The temporary file cannot be written, or it cannot be renamed to `path`.
pub fn replace(path: &Path, bytes: &[u8], durable: bool) -> Result<(), FileError> {
    vacant_or_regular(path)?;
    swap(path, bytes, durable, create_private)
}

/// Replaces a file of the user atomically. Follows a link, and keeps the permissions of the file. A new file gets the default
/// permissions of the user.
///
/// # Errors
/// The path is not a file, the temporary file cannot be written, or it cannot be renamed.
pub fn rewrite(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    vacant_or_regular(path)?;
    let permissions = std::fs::metadata(path).map(|meta| meta.permissions());
    swap(path, bytes, false, |temporary| {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).open(temporary);
        file.and_then(|file| match permissions {
            Ok(permissions) => file.set_permissions(permissions).map(|()| file),
            Err(_) => Ok(file),
        })
        .map_err(FileError::io(temporary))
    })
}

fn swap(
    path: &Path,
    bytes: &[u8],
    durable: bool,
    create: impl FnOnce(&Path) -> Result<File, FileError>,
) -> Result<(), FileError> {
    let temporary = temporary_sibling(path)?;
    let written = create(&temporary).and_then(|mut file| {
        let all = file
            .write_all(bytes)
            .and_then(|()| if durable { file.sync_all() } else { Ok(()) });
        all.and_then(|()| std::fs::rename(&temporary, path))
            .map_err(FileError::io(path))
    });
    if written.is_err() {
        // The temporary file may not exist, so ignore an error.
        let _ = std::fs::remove_file(&temporary);
    } else if durable {
        sync_dir(folder(path));
    }
    written
}

/// Removes a file. An absent file is not an error.
///
/// # Errors
/// The file cannot be removed.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::io(path)(error)),
        _ => Ok(()),
    }
}

/// Number of random hex digits at the end of a temporary file name.
const TOKEN_DIGITS: usize = 12;

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Returns the prefix of the names of all temporary files for this path.
fn temporary_prefix(path: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");
    prefix
}

/// Returns a new name in the same folder, for a temporary file that will replace `path`.
///
/// # Errors
/// The kernel returns no random bytes.
pub fn temporary_sibling(path: &Path) -> Result<PathBuf, FileError> {
    let token = crate::system::random::token().map_err(FileError::io(path))?;
    let mut name = temporary_prefix(path);
    name.push(&token[..TOKEN_DIGITS]);
    Ok(folder(path).join(name))
}

/// Returns the absolute path of a file, which need not exist.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Removes temporary files of [`replace`] whose writer was killed before the rename.
///
/// Call this only if no other process can replace the same file now.
pub fn remove_stale_temporaries(path: &Path) {
    let prefix = temporary_prefix(path);
    // If the folder cannot be read, the files stay; they do no harm.
    for entry in std::fs::read_dir(folder(path)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let token = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
        if token.is_some_and(|token| is_hex(token, &[TOKEN_DIGITS])) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Syncs the entries of a folder to the disk, if the file system supports this.
pub fn sync_dir(dir: &Path) {
    // Some file systems cannot sync a folder, and the program can do nothing more there.
    let _ = File::open(dir).and_then(|d| d.sync_all());
}

/// Opens a regular file for reading. Never waits for the other end of a pipe.
///
/// # Errors
/// The file is absent or unreadable, or it is a link, a pipe or a device.
pub fn open_regular(path: &Path) -> Result<File, FileError> {
    regular(path, OpenOptions::new().read(true), OFlags::NOFOLLOW)
}

/// Opens a regular file for reading and writing. Creates an empty private file if the path is absent.
///
/// # Errors
/// The file cannot be opened or created, or the path is not a regular file.
pub fn open_or_create(path: &Path) -> Result<File, FileError> {
    regular(
        path,
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600),
        OFlags::NOFOLLOW,
    )
}

fn regular(path: &Path, options: &mut OpenOptions, flags: OFlags) -> Result<File, FileError> {
    let wrong = |found| FileError::WrongKind {
        path: path.to_owned(),
        found,
        wanted: "a regular file",
    };
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = options
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|e| match e.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => wrong("a symbolic link"),
            Some(code) if code == rustix::io::Errno::NXIO.raw_os_error() => wrong("a socket"),
            _ => FileError::io(path)(e),
        })?;
    let meta = file.metadata().map_err(FileError::io(path))?;
    if meta.is_file() {
        Ok(file)
    } else {
        Err(wrong(kind(&meta)))
    }
}

/// Reads a regular file of at most `cap` bytes. Rejects a link.
///
/// # Errors
/// The same as [`open_regular`], or the file is larger than `cap`.
pub fn read_regular(path: &Path, cap: u64) -> Result<Vec<u8>, FileError> {
    read(path, open_regular(path)?, cap)
}

/// Reads a regular file of at most `cap` bytes. Follows links.
///
/// # Errors
/// The same as [`open_regular`], except for links, or the file is larger than `cap`.
pub fn read_following_links(path: &Path, cap: u64) -> Result<Vec<u8>, FileError> {
    read(
        path,
        regular(path, OpenOptions::new().read(true), OFlags::empty())?,
        cap,
    )
}

fn read(path: &Path, file: File, cap: u64) -> Result<Vec<u8>, FileError> {
    let about = file.metadata().map_err(FileError::io(path))?;
    let mut bytes = Vec::with_capacity(usize::try_from(about.len().min(cap)).unwrap_or(0));
    file.take(cap + 1)
        .read_to_end(&mut bytes)
        .map_err(FileError::io(path))?;
    if bytes.len() as u64 > cap {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            cap,
        });
    }
    Ok(bytes)
}

/// Whether this relative path exists in the folder. Rejects paths that leave the folder by `..`, by a link or as an absolute path.
pub fn contains(dir: &Path, relative: &str) -> bool {
    let Ok(root) = File::open(dir) else { return false };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match rustix::fs::openat2(&root, relative, flags, Mode::empty(), ResolveFlags::BENEATH) {
        Ok(_) => true,
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => contains_by_name(dir, relative),
        Err(_) => false,
    }
}

/// The same check for kernels without `openat2`.
fn contains_by_name(dir: &Path, relative: &str) -> bool {
    let inside = Path::new(relative)
        .components()
        .all(|c| matches!(c, std::path::Component::Normal(_) | std::path::Component::CurDir));
    inside
        && match (dir.canonicalize(), dir.join(relative).canonicalize()) {
            (Ok(dir), Ok(path)) => path.starts_with(dir),
            _ => false,
        }
}

/// Returns the free bytes on the file system of this path, which may be absent. Returns `None` if unknown.
pub fn free_space(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|p| p.exists())?;
    let there = if there.as_os_str().is_empty() {
        Path::new(".")
    } else {
        there
    };
    let stat = rustix::fs::statvfs(there).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether the file system of this path has less than 64 KiB left.
pub fn is_disk_full(path: &Path) -> bool {
    free_space(path).is_some_and(|free| free < 64 << 10)
}

/// Returns device and inode, which identify a file.
pub fn identity(meta: &std::fs::Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

/// Returns the first executable file with this name on a search path.
pub fn find_on_path(path: &OsStr, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|dir| dir.join(program))
        .find(|file| {
            std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

/// Whether a search path contains an executable file with this name.
pub fn on_path(path: &OsStr, program: &str) -> bool {
    find_on_path(path, program).is_some()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
mod tests {
    use super::*;

    #[test]
    fn paths_outside_the_folder_are_rejected() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("subject");
        std::fs::create_dir_all(dir.join("configs")).unwrap();
        std::fs::write(dir.join("configs/a.toml"), "").unwrap();
        std::fs::write(place.path().join("outside"), "").unwrap();
        std::os::unix::fs::symlink("../outside", dir.join("out")).unwrap();
        std::os::unix::fs::symlink("configs/a.toml", dir.join("in")).unwrap();
        for contains in [contains, contains_by_name] {
            assert!(contains(&dir, "configs/a.toml"));
            assert!(contains(&dir, "configs"));
            assert!(contains(&dir, "in"));
            for escape in [
                "../outside",
                "out",
                "configs/../../outside",
                "/etc/passwd",
                "none",
            ] {
                assert!(!contains(&dir, escape), "{escape}");
            }
        }
    }

    #[test]
    fn rewritten_file_keeps_link_and_permissions() {
        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("file"), place.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        rewrite(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        rewrite(&place.path().join("fresh"), b"new").unwrap();
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 3);
        assert!(rewrite(Path::new("/dev/null"), b"new").is_err());
    }

    #[test]
    fn links_pipes_and_sockets_are_rejected() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::write(at("victim"), "kept").unwrap();
        std::os::unix::fs::symlink(at("victim"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("dangling")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for name in ["link", "dangling", "folder", "pipe", "socket"] {
            assert!(read_regular(&at(name), 10).is_err(), "{name} was read");
            assert!(replace(&at(name), b"new", true).is_err(), "{name} was replaced");
            assert!(create_private(&at(name)).is_err(), "{name} was made");
        }
        assert!(read_regular(Path::new("/dev/zero"), 10).is_err());
        assert_eq!(std::fs::read(at("victim")).unwrap(), b"kept");
        assert!(matches!(
            read_regular(&at("victim"), 3),
            Err(FileError::TooLarge { .. })
        ));
        replace(&at("victim"), b"new", true).unwrap();
        assert_eq!(read_regular(&at("victim"), 3).unwrap(), b"new");
    }

    #[test]
    fn only_stale_temporaries_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let ours = at("r");
        let stray = temporary_sibling(&ours).unwrap();
        let others = [
            "r",
            ".r.x",
            ".r.0123456789ag",
            ".q.0123456789ab",
            "r.0123456789ab",
        ]
        .map(at);
        for file in others.iter().chain([&stray]) {
            std::fs::write(file, "").unwrap();
        }
        remove_stale_temporaries(&ours);
        assert!(!stray.exists());
        assert!(others.iter().all(|file| file.exists()));
    }
}
