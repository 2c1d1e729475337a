//! Reads and verifies the stamp of a kernel library: sources, flags, compiler, commit and run of its build.
//!
//! The stamp is an ELF note, so reading it does not load the library. Extensions of the subject have no stamp.
//! Must not depend on gates.

use std::path::{Path, PathBuf};

use cuda_inspect::arch::Arch;
use cuda_inspect::note;
use serde::{Deserialize, Serialize};

use crate::system::digest::sha256;

/// Owner of the ELF note.
const OWNER: &[u8] = b"NMOE";

/// Type of the ELF note.
const TYPE: u32 = 1;

/// Maximum size of a stamp in bytes.
const MAX_SIZE: usize = 64 * 1024;

/// The build data of a library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Version of the stamp format: 1.
    pub schema: u32,
    /// Version of the C ABI.
    pub abi: u32,
    /// Architecture of the build; `host` for a host build.
    pub arch: String,
    /// Digest over sources, flags and compiler; see [`digest`].
    pub sources: String,
    /// Compiler flags.
    pub flags: String,
    /// Name and version of the compiler.
    pub compiler: String,
    /// Checked-out commit; null outside git.
    pub commit: Option<String>,
    /// Whether the checkout had uncommitted changes.
    pub dirty: bool,
    /// Nonce of the run that built the library; null for a manual build.
    pub nonce: Option<String>,
    /// Kernels that the library must contain.
    pub kernels: Vec<String>,
}

/// The values that a stamp must match.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// Required architecture.
    pub arch: Arch,
    /// The kernel package in the checkout under test.
    pub package: &'a Path,
    /// Files and folders of the package that the digest covers.
    pub sources: &'a [String],
    /// Nonce of this run, if any.
    pub nonce: Option<&'a str>,
}

/// Why a stamp does not match this checkout and this run.
#[derive(Debug, thiserror::Error)]
pub enum Stale {
    /// The stamp or the ABI has another version.
    #[error("its stamp has version {0} and its ABI has version {1}; both must be 1")]
    Version(u32, u32),
    /// The library was built for another architecture.
    #[error("it was built for {0}, not {1}")]
    Arch(String, Arch),
    /// The sources in the checkout, or the recorded flags or compiler, do not match the digest.
    #[error("it was not built from the sources in {0}")]
    Sources(String),
    /// The library was built in another run.
    #[error("it was not built in this run")]
    Nonce,
    /// The sources cannot be read.
    #[error("the sources in {0} cannot be read: {1}")]
    Unreadable(String, std::io::Error),
}

impl Stamp {
    /// Reads the stamp of a library. Returns `None` without a stamp, and an error for an invalid stamp.
    pub fn read(library: &[u8]) -> Result<Option<Stamp>, String> {
        let Some(text) = note::find(library, OWNER, TYPE) else {
            return Ok(None);
        };
        if text.len() > MAX_SIZE {
            return Err(format!("its stamp is longer than {MAX_SIZE} bytes"));
        }
        serde_json::from_slice(text)
            .map(Some)
            .map_err(|e| format!("its stamp cannot be parsed: {e}"))
    }

    /// Compares the stamp with the checkout and the run.
    pub fn verify(&self, expected: &Expected<'_>) -> Result<(), Stale> {
        let package = || expected.package.display().to_string();
        if (self.schema, self.abi) != (1, kernel_host::ABI) {
            return Err(Stale::Version(self.schema, self.abi));
        }
        if self.arch != expected.arch.to_string() {
            return Err(Stale::Arch(self.arch.clone(), expected.arch));
        }
        let sources = digest(expected.package, expected.sources, &self.flags, &self.compiler)
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

/// Computes the digest of a kernel package. The build script of the package computes the same digest.
///
/// This is the SHA-256 of a listing: one line per source in the format of `sha256sum`, sorted by path, and the two lines
/// `flags …` and `compiler …`.
pub fn digest(package: &Path, sources: &[String], flags: &str, compiler: &str) -> std::io::Result<String> {
    let mut files = Vec::new();
    for name in sources {
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
    // Links are rejected, because the target may differ between checkouts.
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
