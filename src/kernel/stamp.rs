//! The stamp of a library of ours: which sources, flags and compiler it was built from, at which commit, in which run.
//!
//! It stands in a note of the file, so it is read without loading. The subject's own extensions carry none.

use std::path::{Path, PathBuf};

use cuda_inspect::arch::Arch;
use cuda_inspect::note;
use serde::{Deserialize, Serialize};

use crate::system::digest::sha256;

/// Owner of the note.
const OWNER: &[u8] = b"NMOE";

/// Type of the note.
const TYPE: u32 = 1;

/// Longest stamp in bytes.
const LONGEST: usize = 64 * 1024;

/// Folders and files of the kernel package that its libraries are made from.
const SOURCES: [&str; 4] = ["build.rs", "Cargo.toml", "include", "src"];

/// What a library says of its making.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Version of the stamp; 1.
    pub schema: u32,
    /// Version of the C ABI.
    pub abi: u32,
    /// Architecture it was built for; `host` for a host build.
    pub arch: String,
    /// Digest over sources, flags and compiler; see [`digest`].
    pub sources: String,
    /// Flags of the compiler.
    pub flags: String,
    /// The compiler and its version.
    pub compiler: String,
    /// Commit that was checked out; null outside git.
    pub commit: Option<String>,
    /// Whether the checkout held changes that no commit has.
    pub dirty: bool,
    /// Nonce of the run that built it; null at a prompt.
    pub nonce: Option<String>,
    /// Kernels that must be in it.
    pub kernels: Vec<String>,
}

/// What a library's stamp must agree with.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// Architecture.
    pub arch: Arch,
    /// The kernel package in the checkout under test.
    pub package: &'a Path,
    /// Nonce of this run, where there is one.
    pub nonce: Option<&'a str>,
}

/// Why a stamp does not stand for this checkout and this run.
#[derive(Debug, thiserror::Error)]
pub enum Stale {
    /// Another stamp or ABI version.
    #[error("its stamp is of version {0} and its ABI of version {1}; both must be 1")]
    Version(u32, u32),
    /// Built for something else.
    #[error("it was built for {0}, not {1}")]
    Arch(String, Arch),
    /// Built from other sources, with other flags, or by another compiler than it says.
    #[error("it was not built from the sources in {0}")]
    Sources(String),
    /// Built in another run.
    #[error("it was not built in this run")]
    Nonce,
    /// The sources cannot be read.
    #[error("the sources in {0} cannot be read: {1}")]
    Unreadable(String, std::io::Error),
}

impl Stamp {
    /// The stamp of a library; `None` where it has none, an error where it has a broken one.
    pub fn read(library: &[u8]) -> Result<Option<Stamp>, String> {
        let Some(text) = note::find(library, OWNER, TYPE) else {
            return Ok(None);
        };
        if text.len() > LONGEST {
            return Err(format!("its stamp is longer than {LONGEST} bytes"));
        }
        serde_json::from_slice(text)
            .map(Some)
            .map_err(|e| format!("its stamp cannot be read: {e}"))
    }

    /// Holds the stamp against the checkout and the run.
    pub fn verify(&self, expected: &Expected<'_>) -> Result<(), Stale> {
        let package = || expected.package.display().to_string();
        if (self.schema, self.abi) != (1, kernel_host::ABI) {
            return Err(Stale::Version(self.schema, self.abi));
        }
        if self.arch != expected.arch.to_string() {
            return Err(Stale::Arch(self.arch.clone(), expected.arch));
        }
        let sources = digest(expected.package, &self.flags, &self.compiler)
            .map_err(|error| Stale::Unreadable(package(), error))?;
        if sources != self.sources {
            return Err(Stale::Sources(package()));
        }
        if expected.nonce.is_some() && expected.nonce != self.nonce.as_deref() {
            return Err(Stale::Nonce);
        }
        Ok(())
    }
}

/// Digest over a kernel package: SHA-256 of a listing like `sha256sum`'s, of every source in the order of its path, and
/// two lines `flags …` and `compiler …`. The package's build script makes the same.
pub fn digest(package: &Path, flags: &str, compiler: &str) -> std::io::Result<String> {
    let mut files = Vec::new();
    for name in SOURCES {
        gather(package, Path::new(name), &mut files)?;
    }
    files.sort();
    let mut listing = String::new();
    for file in &files {
        let bytes = std::fs::read(package.join(file))?;
        listing.push_str(&format!("{}  {}\n", sha256(&bytes), file.display()));
    }
    listing.push_str(&format!("flags {flags}\ncompiler {compiler}\n"));
    Ok(sha256(listing.as_bytes()))
}

fn gather(package: &Path, relative: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let path = package.join(relative);
    // A link is what it points to only for whoever made it.
    let about = std::fs::symlink_metadata(&path)?;
    if about.is_dir() {
        for entry in std::fs::read_dir(&path)? {
            gather(package, &relative.join(entry?.file_name()), files)?;
        }
    } else if about.is_file() {
        files.push(relative.to_owned());
    } else {
        return Err(std::io::Error::other(format!(
            "{} is neither file nor folder",
            relative.display()
        )));
    }
    Ok(())
}
