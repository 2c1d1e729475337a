//! Files that others may have tampered with: made privately, replaced whole, read with a limit, never through a link.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// Why a path was refused.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system said no.
    #[error("{path}: {error}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// Something else than a regular file or a plain folder stands there.
    #[error("{path} is {found}, not {wanted}; remove it or name another path")]
    WrongKind {
        /// Where.
        path: PathBuf,
        /// What stands there.
        found: &'static str,
        /// What should.
        wanted: &'static str,
    },
    /// It is larger than anything that may stand there.
    #[error("{path} is larger than {cap} bytes")]
    TooLarge {
        /// Where.
        path: PathBuf,
        /// The limit, bytes.
        cap: u64,
    },
}

impl FileError {
    /// Whether the disk is full or cannot be written.
    pub fn is_full(&self) -> bool {
        matches!(self, FileError::Io { error, .. } if is_full(error))
    }

    /// Whether the machine is at fault, and not what stands there: its disk, its memory, its table of files.
    pub fn is_of_machine(&self) -> bool {
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

    fn io(path: &Path) -> impl FnOnce(io::Error) -> FileError {
        let path = path.to_owned();
        move |error| FileError::Io { path, error }
    }
}

/// Whether an error says that the disk is full or cannot be written.
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

/// Makes a folder and what leads to it, for this user alone; one that is there must be a folder and no link.
///
/// # Errors
/// It cannot be made, or something else stands there.
pub fn private_dir(path: &Path) -> Result<(), FileError> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => return Ok(()),
        // A folder that the user linked elsewhere is the user's choice; only a dangling link is refused.
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

/// Refuses a path where something else than a regular file stands; nothing at all is fine.
///
/// # Errors
/// A link, folder, pipe, socket or device stands there.
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

/// Makes a new file for this user alone; whatever stands there already, a link included, is an error.
///
/// # Errors
/// It cannot be made.
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

/// Replaces a file whole: a reader sees the old bytes or the new, never a part, and a link is not followed.
/// With `lasting` the bytes are on the disk when this returns.
///
/// # Errors
/// The new file cannot be written beside the old one, or not be moved over it.
pub fn replace(path: &Path, bytes: &[u8], lasting: bool) -> Result<(), FileError> {
    vacant_or_regular(path)?;
    let beside = beside(path)?;
    let written = create_private(&beside).and_then(|mut file| {
        let all = file
            .write_all(bytes)
            .and_then(|()| if lasting { file.sync_all() } else { Ok(()) });
        all.and_then(|()| std::fs::rename(&beside, path))
            .map_err(FileError::io(path))
    });
    if written.is_err() {
        // It may never have been made.
        let _ = std::fs::remove_file(&beside);
    } else if lasting {
        sync_dir(folder(path));
    }
    written
}

/// Removes a file; one that is not there is fine.
///
/// # Errors
/// It cannot be removed.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::io(path)(error)),
        _ => Ok(()),
    }
}

/// Digits of what tells the files apart that are to replace one.
const TOKEN: usize = 12;

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// What the names of all files begin with that are to replace this one.
fn prefix(path: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");
    prefix
}

/// A new name beside a file, for what is to replace it.
///
/// # Errors
/// There is no randomness to be had.
pub fn beside(path: &Path) -> Result<PathBuf, FileError> {
    let token = crate::system::random::token().map_err(FileError::io(path))?;
    let mut name = prefix(path);
    name.push(&token[..TOKEN]);
    Ok(folder(path).join(name))
}

/// Removes what was to replace a file and never did, because its writer was killed. Only the process that alone replaces that file
/// may call this.
pub fn remove_strays(path: &Path) {
    let prefix = prefix(path);
    // A folder that cannot be read keeps them; they are in nobody's way.
    for entry in std::fs::read_dir(folder(path)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let token = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
        if token.is_some_and(|t| t.len() == TOKEN && t.iter().all(u8::is_ascii_hexdigit)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Puts a folder's entries on the disk, where its file system can.
pub fn sync_dir(dir: &Path) {
    // Some file systems cannot sync a folder; the entry is as safe as they make it.
    let _ = File::open(dir).and_then(|d| d.sync_all());
}

/// Opens a regular file for reading. A link, a pipe or a device is refused without waiting for it.
///
/// # Errors
/// It is absent, unreadable, or something else.
pub fn open_regular(path: &Path) -> Result<File, FileError> {
    regular(path, OpenOptions::new().read(true), OFlags::NOFOLLOW)
}

/// Opens a regular file for reading and writing, and makes an empty one for this user alone where there is none.
///
/// # Errors
/// It cannot be opened or made, or something else stands there.
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

/// Reads a regular file of at most `cap` bytes; a link is refused.
///
/// # Errors
/// As [`open_regular`], or it is larger.
pub fn read_regular(path: &Path, cap: u64) -> Result<Vec<u8>, FileError> {
    read(path, open_regular(path)?, cap)
}

/// Reads a regular file of at most `cap` bytes, through a link where there is one.
///
/// # Errors
/// As [`open_regular`], or it is larger.
pub fn read_linked(path: &Path, cap: u64) -> Result<Vec<u8>, FileError> {
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

/// Whether a folder holds this relative path without leaving the folder, by `..`, by a link or as an absolute path.
pub fn holds(dir: &Path, relative: &str) -> bool {
    let Ok(root) = File::open(dir) else { return false };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match rustix::fs::openat2(&root, relative, flags, Mode::empty(), ResolveFlags::BENEATH) {
        Ok(_) => true,
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => held_by_name(dir, relative),
        Err(_) => false,
    }
}

/// The same where the kernel cannot resolve beneath a folder.
fn held_by_name(dir: &Path, relative: &str) -> bool {
    let inside = Path::new(relative)
        .components()
        .all(|c| matches!(c, std::path::Component::Normal(_) | std::path::Component::CurDir));
    inside
        && match (dir.canonicalize(), dir.join(relative).canonicalize()) {
            (Ok(dir), Ok(path)) => path.starts_with(dir),
            _ => false,
        }
}

/// Bytes that may still be written where this path is or would be; none where that cannot be told.
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

/// Who a file is: device and inode.
pub fn identity(meta: &std::fs::Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

/// Whether a program that may be run stands on a search path.
pub fn on_path(path: &OsStr, program: &str) -> bool {
    std::env::split_paths(path)
        .filter_map(|dir| std::fs::metadata(dir.join(program)).ok())
        .any(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_must_not_escape() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("subject");
        std::fs::create_dir_all(dir.join("configs")).unwrap();
        std::fs::write(dir.join("configs/a.toml"), "").unwrap();
        std::fs::write(place.path().join("outside"), "").unwrap();
        std::os::unix::fs::symlink("../outside", dir.join("out")).unwrap();
        std::os::unix::fs::symlink("configs/a.toml", dir.join("in")).unwrap();
        for holder in [holds, held_by_name] {
            assert!(holder(&dir, "configs/a.toml"));
            assert!(holder(&dir, "configs"));
            assert!(holder(&dir, "in"));
            for escape in [
                "../outside",
                "out",
                "configs/../../outside",
                "/etc/passwd",
                "none",
            ] {
                assert!(!holder(&dir, escape), "{escape}");
            }
        }
    }

    #[test]
    fn hostile_kinds_are_refused_at_once() {
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
    fn strays_go_and_nothing_else_does() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let ours = at("r");
        let stray = beside(&ours).unwrap();
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
        remove_strays(&ours);
        assert!(!stray.exists());
        assert!(others.iter().all(|file| file.exists()));
    }
}
