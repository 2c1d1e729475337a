//! Lists the kernel libraries of a checkout, deletes old ones before a build, and verifies new ones.
//!
//! A library with an nmoe stamp is inspected, compared with its sources, loaded and self-checked. A library without a
//! stamp, such as a Python extension of the subject, is inspected but never loaded; the caller deletes it before the build,
//! so it is new. Must not depend on gates.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use cuda_inspect::arch::Arch;
use cuda_inspect::cubin::Usage;
use cuda_inspect::inspect::{Inspection, inspect};
use ignore::WalkBuilder;

use crate::domain::path_pattern::PathPattern;
use crate::domain::registry::{CheckLibrary, Freshness, Target};
use crate::domain::results::KernelCheck;
use crate::domain::verdict::{Reason, Verdict};
use crate::git::{Git, GitError};
use crate::kernel::collectives::used_by;
use crate::kernel::driver::Driver;
use crate::kernel::host::{Limits, Unavailable};
use crate::kernel::load::{CheckRow, Loading, load};
use crate::kernel::pins;
use crate::kernel::snapshot::{Snapshot, SnapshotError};
use crate::kernel::stamp::{Expected, Stamp};

/// Why the libraries of a checkout cannot be listed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// A pattern of the registry leaves the checkout through a link.
    #[error("`{0}` leads out of the checkout; kernel libraries must be inside the checkout")]
    Outside(String),
    /// A library is tracked by git, so it may not come from a build.
    #[error("{0} is tracked by git: a library must come from a build, not from a commit")]
    Tracked(String),
    /// A file operation failed.
    #[error("{0}: {1}")]
    Io(String, io::Error),
    /// A git command failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Lists the files that match the patterns, sorted and relative to the checkout.
pub fn outputs(subject: &Path, patterns: &[PathPattern]) -> Result<Vec<PathBuf>, SubjectError> {
    files_below(subject, patterns, |pattern, path| {
        pattern.selects_library(path.as_os_str().as_encoded_bytes())
    })
}

/// Lists the files that `selects` a pattern for, below the folders where the patterns begin.
fn files_below(
    subject: &Path,
    patterns: &[PathPattern],
    selects: impl Fn(&PathPattern, &Path) -> bool,
) -> Result<Vec<PathBuf>, SubjectError> {
    let mut found = Vec::new();
    for pattern in patterns {
        let text = pattern.written();
        let bad = || SubjectError::Outside(text.to_owned());
        let start = subject.join(pattern.folder());
        let Ok(real) = start.canonicalize() else {
            continue;
        };
        let home = subject
            .canonicalize()
            .map_err(|e| SubjectError::Io(text.to_owned(), e))?;
        if !real.starts_with(home) {
            return Err(bad());
        }
        for entry in WalkBuilder::new(&start)
            .standard_filters(false)
            .follow_links(false)
            .build()
        {
            let entry = entry.map_err(|e| SubjectError::Io(text.to_owned(), io::Error::other(e)))?;
            let relative = entry.path().strip_prefix(subject).map_err(|_| bad())?;
            if entry.file_type().is_some_and(|t| !t.is_dir()) && selects(pattern, relative) {
                found.push(relative.to_owned());
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether a file is an intermediate result of a compiler, which a build may use again.
fn is_object(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    extension.is_some_and(|ending| matches!(ending, "o" | "obj" | "a" | "cubin" | "fatbin" | "ptx" | "ltoir"))
}

/// The files that were deleted before a build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Old libraries.
    pub libraries: Vec<PathBuf>,
    /// Old intermediate results below the folders of the libraries.
    pub objects: Vec<PathBuf>,
}

/// Deletes old libraries and objects before a build, so that every library afterwards comes from this build and from the current
/// sources, also if the build command does not know their dependencies.
///
/// Deletes a link itself, not its target. Keeps objects that git tracks.
pub fn clear(subject: &Path, patterns: &[PathPattern]) -> Result<Cleared, SubjectError> {
    let libraries = outputs(subject, patterns)?;
    let objects = files_below(subject, patterns, |_, path| is_object(path))?;
    let tracked = tracked(subject, patterns)?;
    let is_tracked = |path: &PathBuf| tracked.contains(path.as_os_str().as_encoded_bytes());
    if let Some(path) = libraries.iter().find(|path| is_tracked(path)) {
        return Err(SubjectError::Tracked(path.display().to_string()));
    }
    let is_old = |path: &PathBuf| !is_tracked(path) && !libraries.contains(path);
    let objects: Vec<PathBuf> = objects.into_iter().filter(is_old).collect();
    for path in libraries.iter().chain(&objects) {
        std::fs::remove_file(subject.join(path))
            .map_err(|e| SubjectError::Io(path.display().to_string(), e))?;
    }
    Ok(Cleared { libraries, objects })
}

/// Returns the paths that git tracks below the folders where the patterns begin.
fn tracked(subject: &Path, patterns: &[PathPattern]) -> Result<HashSet<Vec<u8>>, SubjectError> {
    let mut arguments: Vec<&OsStr> = ["--literal-pathspecs", "ls-files", "-z", "--"]
        .map(OsStr::new)
        .into();
    arguments.extend(patterns.iter().map(|pattern| match pattern.folder() {
        "" => OsStr::new("."),
        folder => OsStr::new(folder),
    }));
    let listed = Git::at(subject).output(arguments)?.stdout;
    Ok(listed.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect())
}

/// The results of all checks of one library.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Path of the library, as the caller passed it.
    pub path: PathBuf,
    /// Contents of the library; `None` if it could not be read.
    pub inspection: Option<Inspection>,
    /// The stamp, if the library has one.
    pub stamp: Option<Stamp>,
    /// Result of loading the library, if it was loaded.
    pub loading: Option<Loading>,
    /// Every check, in the order of execution.
    pub rows: Vec<CheckRow>,
}

impl Proof {
    /// Returns the worst check with its reason, or pass without checks.
    ///
    /// A gate gets `kernel_failed` for all failures but an all-to-all; the checks contain the exact reasons.
    pub fn verdict(&self) -> (Verdict, Option<Reason>) {
        match worst(self.rows.iter().map(|row| (row.check.status, row.check.reason))) {
            (Verdict::Fail, Some(reason)) if reason != Reason::KernelAllToAll => {
                (Verdict::Fail, Some(Reason::KernelFailed))
            }
            other => other,
        }
    }

    fn row(&mut self, what: &str, status: Verdict, reason: Option<Reason>, detail: String) {
        let check = KernelCheck {
            name: KernelCheck::of_library(&self.path, what),
            library: Some(self.path.display().to_string()),
            status,
            reason,
            duration_s: None,
            deltas: Vec::new(),
        };
        self.rows.push(CheckRow { check, detail });
    }
}

/// Inputs for the checks of a library.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Target that the library must be built for.
    pub target: &'a Target,
    /// Checkout that contains the library.
    pub subject: &'a Path,
    /// Nonce of the run that built the library after it had deleted the old one, if any.
    pub nonce: Option<&'a str>,
    /// The driver, if it is known. The self-checks run on each of its GPUs.
    pub driver: Option<&'a Driver>,
    /// Whether to load and self-check fresh libraries. This needs a suitable machine.
    pub load: bool,
    /// Time and output limits of the kernel host.
    pub limits: Limits,
}

/// Runs all checks of a library.
pub fn prove(path: &Path, rules: &Rules<'_>) -> Proof {
    let mut proof = Proof {
        path: path.to_owned(),
        inspection: None,
        stamp: None,
        loading: None,
        rows: Vec::new(),
    };
    let library = match Snapshot::take(&rules.subject.join(path)) {
        Ok(library) => library,
        Err(SnapshotError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            proof.row(
                "inspect",
                Verdict::Invalid,
                Some(Reason::KernelMissing),
                "the file does not exist".to_owned(),
            );
            return proof;
        }
        Err(error) => {
            proof.row(
                "inspect",
                Verdict::Invalid,
                Some(Reason::KernelOffTarget),
                error.to_string(),
            );
            return proof;
        }
    };
    let stamp = Stamp::read(library.bytes());
    let expected = stamp
        .as_ref()
        .ok()
        .and_then(Option::as_ref)
        .map(|s| s.kernels.clone())
        .unwrap_or_default();
    let arch = Arch::from_str(&rules.target.arch).unwrap_or(Arch::SM_100A);
    let mut inspection = inspect(library.bytes(), arch, &expected);
    let allowed = rules.target.foreign.iter();
    let allowed = allowed.filter(|one| one.library.matches(path.as_os_str().as_encoded_bytes()));
    inspection.allow_foreign(allowed.map(|one| one.sha256.as_str()));
    let good = inspection.is_clean() || inspection.is_host_only();
    let detail = if inspection.is_host_only() {
        "it contains no device code".to_owned()
    } else {
        inspection.verdict()
    };
    let (status, reason) = if good {
        (Verdict::Pass, None)
    } else {
        (Verdict::Invalid, Some(Reason::KernelOffTarget))
    };
    let toolkit = inspection.toolkit();
    let exchanges: Vec<String> = used_by(&inspection).into_iter().map(str::to_owned).collect();
    proof.inspection = Some(inspection);
    proof.row("inspect", status, reason, detail);
    // A driver runs the code of every toolkit with its own or an earlier major version.
    let too_new = toolkit
        .zip(rules.driver.map(|driver| driver.cuda))
        .is_some_and(|(toolkit, driver)| toolkit.0 > driver.0);
    if let (true, Some(toolkit), Some(driver)) = (too_new, toolkit, rules.driver.map(|driver| driver.cuda)) {
        let detail = format!(
            "it was built with CUDA {}.{}; the driver is for CUDA {}.{}",
            toolkit.0, toolkit.1, driver.0, driver.1
        );
        proof.row("driver", Verdict::Invalid, Some(Reason::Driver), detail);
    }
    if !exchanges.is_empty() {
        let detail = format!("it uses {}", exchanges.join(", "));
        proof.row("collectives", Verdict::Fail, Some(Reason::KernelAllToAll), detail);
    }
    let bytes = path.as_os_str().as_encoded_bytes();
    let mut checks = rules.target.checks.iter();
    let declared = checks.rfind(|one| one.library.matches(bytes));
    match stamp {
        Ok(None) => match declared.map(|one| one.fresh) {
            Some(Freshness::Build) if rules.nonce.is_some() => {
                let detail = "this run built it from scratch".to_owned();
                proof.row("fresh", Verdict::Pass, None, detail);
                if good && !too_new && rules.load {
                    run(&mut proof, &library, rules);
                }
            }
            Some(Freshness::Stamp) => {
                let detail = "the registry requires a stamp, and it has none".to_owned();
                proof.row("fresh", Verdict::Invalid, Some(Reason::KernelStale), detail);
            }
            _ => {}
        },
        Err(error) => proof.row("fresh", Verdict::Invalid, Some(Reason::KernelStale), error),
        Ok(Some(stamp)) => {
            let ours = PathPattern::new("**").ok().map(CheckLibrary::of_nmoe_gates);
            let rule = declared.or(ours.as_ref());
            let package = rules.subject.join(rule.map_or("", |rule| &rule.package));
            let fresh = stamp.verify(&Expected {
                arch,
                package: &package,
                sources: rule.map_or(&[][..], |rule| &rule.sources),
                nonce: rules.nonce,
            });
            match &fresh {
                Ok(()) => proof.row(
                    "fresh",
                    Verdict::Pass,
                    None,
                    "it was built from these sources".to_owned(),
                ),
                Err(stale) => {
                    proof.row(
                        "fresh",
                        Verdict::Invalid,
                        Some(Reason::KernelStale),
                        stale.to_string(),
                    );
                }
            }
            proof.stamp = Some(stamp);
            if good && !too_new && fresh.is_ok() && rules.load {
                run(&mut proof, &library, rules);
            }
        }
    }
    proof
}

/// Loads a library on one GPU after the other, until a check does not pass. Returns the last loading.
fn load_on_each(library: &Snapshot, rules: &Rules<'_>) -> Result<Loading, Unavailable> {
    let gpus = rules.driver.map_or(&[][..], |driver| &driver.gpus);
    for (index, gpu) in gpus.iter().enumerate() {
        let mut loading = load(library, &rules.limits, Some(&gpu.name_for_cuda(index)))?;
        let passed = loading.verdict() == Verdict::Pass;
        if passed && index + 1 < gpus.len() {
            continue;
        }
        let place = if passed {
            format!(", on each of {} GPUs", gpus.len())
        } else {
            format!(", on GPU {index}")
        };
        loading
            .rows
            .iter_mut()
            .for_each(|row| row.detail.push_str(&place));
        return Ok(loading);
    }
    load(library, &rules.limits, None)
}

/// Loads a library and adds the results of its self-checks.
fn run(proof: &mut Proof, library: &Snapshot, rules: &Rules<'_>) {
    match load_on_each(library, rules) {
        Err(error) => {
            proof.row(
                "load",
                Verdict::Invalid,
                Some(Reason::KernelUnchecked),
                error.to_string(),
            );
        }
        Ok(loading) => {
            match &loading.failure {
                None => proof.row(
                    "load",
                    Verdict::Pass,
                    None,
                    "it loads, and its self-checks ran".to_owned(),
                ),
                Some(failure) => {
                    let message = format!("{}: {}", failure.cause.code(), failure.message);
                    proof.row("load", Verdict::Fail, Some(failure.cause.reason()), message);
                }
            }
            proof.rows.extend(loading.rows.iter().cloned());
            proof.loading = Some(loading);
        }
    }
}

/// Returns what the kernels of all libraries use.
pub fn used(proofs: &[Proof]) -> Vec<&Usage> {
    let inspections = proofs.iter().filter_map(|proof| proof.inspection.as_ref());
    inspections.flat_map(Inspection::usage).collect()
}

/// Compares the kernels of all libraries with the pins of the target. Returns `None` without pins.
pub fn check_pins(proofs: &[Proof], target: &Target) -> Option<CheckRow> {
    if target.pins.is_empty() {
        return None;
    }
    let used = used(proofs);
    let deltas = pins::deltas(&target.pins, used.iter().copied());
    let exceeded = pins::exceeded(&target.pins, used.iter().copied());
    let (status, reason, detail) = if exceeded.is_empty() {
        let detail = match deltas.len() {
            0 => format!("{} kernels keep to their pins", target.pins.len()),
            less => format!(
                "{} kernels keep to their pins, {less} numbers are smaller",
                target.pins.len()
            ),
        };
        (Verdict::Pass, None, detail)
    } else {
        (Verdict::Fail, Some(Reason::KernelPin), exceeded.join("; "))
    };
    let check = KernelCheck {
        name: "pins".to_owned(),
        library: None,
        status,
        reason,
        duration_s: None,
        deltas,
    };
    Some(CheckRow { check, detail })
}

/// Returns the worst verdict of all libraries and of the pins. Without any device code it is at least `kernel_missing`.
pub fn verdict(proofs: &[Proof], pins: Option<&CheckRow>) -> (Verdict, Option<Reason>) {
    let device_code = proofs
        .iter()
        .any(|p| p.inspection.as_ref().is_some_and(|i| !i.is_host_only()));
    let missing = (!device_code).then_some((Verdict::Invalid, Some(Reason::KernelMissing)));
    let pins = pins.map(|row| (row.check.status, row.check.reason));
    worst(proofs.iter().map(Proof::verdict).chain(missing).chain(pins))
}

fn worst(verdicts: impl Iterator<Item = (Verdict, Option<Reason>)>) -> (Verdict, Option<Reason>) {
    let rank = |verdict: Verdict| match verdict {
        Verdict::Fail => 2,
        Verdict::Pass => 0,
        _ => 1,
    };
    // Of equally bad verdicts, report the first, because it must be fixed first.
    verdicts.fold((Verdict::Pass, None), |worst, next| {
        if rank(next.0) > rank(worst.0) { next } else { worst }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_means_its_shared_objects() {
        let is = |pattern: &str, path: &str| PathPattern::new(pattern).unwrap().selects_library(path);
        assert!(is("csrc", "csrc/a.so") && is("csrc", "csrc/deep/a.so.1") && !is("csrc", "csrc/a.cu"));
        assert!(is("csrc/*.bin", "csrc/a.bin") && !is("csrc/*.so", "csrc/deep/a.so"));
    }

    #[test]
    fn worst_prefers_fail_and_then_the_first() {
        let rows = [
            (Verdict::Pass, None),
            (Verdict::Invalid, Some(Reason::KernelStale)),
            (Verdict::Invalid, Some(Reason::KernelOffTarget)),
        ];
        assert_eq!(worst(rows.into_iter()).1, Some(Reason::KernelStale));
        let rows = rows
            .into_iter()
            .chain([(Verdict::Fail, Some(Reason::KernelFailed))]);
        assert_eq!(worst(rows), (Verdict::Fail, Some(Reason::KernelFailed)));
        assert_eq!(
            verdict(&[], None),
            (Verdict::Invalid, Some(Reason::KernelMissing))
        );
    }
}
