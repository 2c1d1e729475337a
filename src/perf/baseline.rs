//! Seals the built baseline: keeps the digests of its files in memory, and makes a throw-away copy for each measurement.
//!
//! The change can know the path of every folder here. What counts is that no code of the change can alter a digest, and that no
//! measurement runs in a folder that existed while other code ran. Must not start a process.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, FileTimes, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// A file of a sealed folder.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Folder,
    File {
        mode: u32,
        sha256: [u8; 32],
    },
    Link(PathBuf),
    /// A pipe, a socket or a device.
    Other,
}

/// The files of a folder, by relative path.
#[derive(Debug, PartialEq, Eq)]
pub struct Manifest(BTreeMap<PathBuf, Entry>);

impl Manifest {
    /// Reads a folder. Links are not followed.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut left = vec![PathBuf::new()];
        while let Some(below) = left.pop() {
            for entry in std::fs::read_dir(folder.join(&below))? {
                let entry = entry?;
                let (path, meta) = (below.join(entry.file_name()), entry.metadata()?);
                let found = if meta.is_dir() {
                    left.push(path.clone());
                    Entry::Folder
                } else if meta.is_symlink() {
                    Entry::Link(std::fs::read_link(entry.path())?)
                } else if meta.is_file() {
                    Entry::File {
                        mode: meta.mode(),
                        sha256: transfer(&mut File::open(entry.path())?, &mut io::sink())?,
                    }
                } else {
                    Entry::Other
                };
                files.insert(path, found);
            }
        }
        Ok(Manifest(files))
    }
}

/// Copies a file and returns the digest of what was copied.
fn transfer(from: &mut File, to: &mut impl io::Write) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(digest.finalize().into());
        }
        digest.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
    }
}

/// The baseline after its build.
#[derive(Debug)]
pub struct Sealed {
    original: PathBuf,
    manifest: Manifest,
    /// Where the baseline was built, and where each copy is.
    place: PathBuf,
}

impl Sealed {
    /// Moves a checkout away from `place` to `original`, and reads its digests.
    ///
    /// # Errors
    /// The folder cannot be moved or read.
    pub fn new(place: &Path, original: PathBuf) -> io::Result<Self> {
        std::fs::rename(place, &original)?;
        Ok(Sealed {
            manifest: Manifest::of(&original)?,
            original,
            place: place.to_owned(),
        })
    }

    /// The sealed folder.
    pub fn original(&self) -> &Path {
        &self.original
    }

    /// Whether no file of the sealed folder changed, and nothing is at the place of the copies.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn intact(&self) -> io::Result<bool> {
        Ok(self.place.symlink_metadata().is_err() && Manifest::of(&self.original)? == self.manifest)
    }

    /// Makes a copy for one measurement; `None` if a file changed since the seal. The copy is removed with the returned value.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn copy(&self) -> io::Result<Option<Copy>> {
        if DirBuilder::new().mode(0o700).create(&self.place).is_err() {
            // Code that ran since the last measurement made it.
            return Ok(None);
        }
        let copy = Copy(self.place.clone());
        for (path, entry) in &self.manifest.0 {
            let (from, to) = (self.original.join(path), self.place.join(path));
            let same = match entry {
                Entry::Folder => std::fs::create_dir(&to).map(|()| true)?,
                Entry::Link(target) => {
                    symlink(target, &to)?;
                    true
                }
                Entry::File { mode, sha256 } => {
                    let Ok(mut source) = crate::system::files::open_regular(&from) else {
                        return Ok(None);
                    };
                    let mut target = File::create_new(&to)?;
                    let digest = transfer(&mut source, &mut target)?;
                    target.flush()?;
                    target.set_permissions(Permissions::from_mode(*mode & 0o7777))?;
                    // A build tool compares the times of files.
                    target.set_times(FileTimes::new().set_modified(source.metadata()?.modified()?))?;
                    digest == *sha256
                }
                Entry::Other => true,
            };
            if !same {
                return Ok(None);
            }
        }
        Ok(Some(copy))
    }
}

/// A copy of the baseline.
#[derive(Debug)]
pub struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes a folder, also if a build removed the permissions of its files.
pub fn remove(path: &Path) {
    if std::fs::remove_dir_all(path).is_ok() {
        return;
    }
    loosen(path);
    // The next run tries again to remove the rest.
    let _ = std::fs::remove_dir_all(path);
}

fn loosen(dir: &Path) {
    if !std::fs::symlink_metadata(dir).is_ok_and(|m| m.is_dir()) {
        return;
    }
    let _ = std::fs::set_permissions(dir, Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        loosen(&entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_equals_sealed_folder_until_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("baseline");
        std::fs::create_dir_all(place.join("a/b")).unwrap();
        std::fs::write(place.join("a/b/run"), "1").unwrap();
        std::fs::set_permissions(place.join("a/b/run"), Permissions::from_mode(0o755)).unwrap();
        symlink("a/b", place.join("link")).unwrap();
        let sealed = Sealed::new(&place, dir.path().join("sealed")).unwrap();
        for _ in 0..2 {
            let copy = sealed.copy().unwrap().unwrap();
            assert_eq!(Manifest::of(&place).unwrap(), sealed.manifest);
            std::fs::write(place.join("a/b/run"), "2").unwrap();
            drop(copy);
            assert!(sealed.intact().unwrap());
        }
        std::fs::write(&place, "planted").unwrap();
        assert!(sealed.copy().unwrap().is_none() && !sealed.intact().unwrap());
        std::fs::remove_file(&place).unwrap();
        std::fs::write(sealed.original().join("random.py"), "planted").unwrap();
        assert!(!sealed.intact().unwrap());
        std::fs::write(sealed.original().join("a/b/run"), "3").unwrap();
        assert!(sealed.copy().unwrap().is_none());
    }
}
