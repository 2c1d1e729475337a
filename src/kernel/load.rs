//! Loads a library in the kernel host and collects the results of its self-checks. Every failure has a stable code.
//!
//! Must not load a library into this process.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cuda_inspect::host_elf::HostElf;
use kernel_host::{Reply, Request, VERSION};
use tempfile::TempDir;

use crate::domain::results::KernelCheck;
use crate::domain::verdict::{Reason, Verdict};
use crate::kernel::cuda_error;
use crate::kernel::host::{HostExit, HostLibrary, HostRun, Limits, Unavailable, run_host};
use crate::kernel::snapshot::Snapshot;

/// What went wrong with a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The kernel host did not complete the request.
    Host(HostExit),
    /// The library does not follow the ABI; the stable code says where.
    Abi(&'static str),
    /// The loader cannot load the library; the stable code says why.
    Loader(&'static str),
    /// The kernel host could not use its request.
    Request,
}

impl Cause {
    /// Returns the stable code, such as `undefined_symbol` or `signal`.
    pub fn code(&self) -> &'static str {
        match self {
            Cause::Host(exit) => exit.as_str(),
            Cause::Abi(code) | Cause::Loader(code) => code,
            Cause::Request => "request",
        }
    }

    /// Returns the reason for the failed check.
    pub fn reason(&self) -> Reason {
        match self {
            Cause::Host(exit) => match exit {
                HostExit::Signal(_) => Reason::KernelCrashed,
                HostExit::Exited(_) => Reason::KernelExited,
                HostExit::Silent | HostExit::TooLong => Reason::KernelHung,
                HostExit::Stopped => Reason::KernelStopped,
                HostExit::Flooded => Reason::KernelFlooded,
                HostExit::TooMuchMemory => Reason::KernelMemory,
                HostExit::Forged => Reason::KernelForged,
                HostExit::CutOff => Reason::KernelCutOff,
                HostExit::Done => Reason::KernelUnchecked,
            },
            Cause::Abi(_) => Reason::KernelAbi,
            Cause::Loader(_) => Reason::KernelUnloadable,
            Cause::Request => Reason::KernelUnchecked,
        }
    }
}

/// Why a library could not be loaded or checked completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub cause: Cause,
    /// Stage of the failure: `load`, `abi` or `check`; empty before the first stage.
    pub stage: String,
    /// Description of the failure.
    pub message: String,
}

/// A check with the description of its result.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckRow {
    pub check: KernelCheck,
    pub detail: String,
}

/// The result of loading a library.
#[derive(Clone, Debug, Default)]
pub struct Loading {
    /// The stamp that the library returned; empty if the host exited before.
    pub stamp: String,
    /// One entry per self-check that was started.
    pub rows: Vec<CheckRow>,
    /// Why the host could not complete the request, if it could not.
    pub failure: Option<Failure>,
    /// Number of processes that the library left running.
    pub leftovers: u32,
    /// Total duration in seconds.
    pub seconds: f64,
}

impl Loading {
    /// Returns the result for a library that was not loaded.
    fn without(failure: Failure) -> Self {
        Loading {
            failure: Some(failure),
            ..Loading::default()
        }
    }

    /// Returns pass if the library loaded, has self-checks, and passed all of them, and invalid if only the machine
    /// prevented that.
    pub fn verdict(&self) -> Verdict {
        let is = |status| move |row: &CheckRow| row.check.status == status;
        if self.failure.is_some() || self.rows.is_empty() || self.rows.iter().any(is(Verdict::Fail)) {
            Verdict::Fail
        } else if self.rows.iter().all(is(Verdict::Pass)) {
            Verdict::Pass
        } else {
            Verdict::Invalid
        }
    }
}

/// Loads this library in a kernel host and runs its self-checks. The host sees only `gpu`, or all GPUs if it is `None`.
pub fn load(library: &Snapshot, limits: &Limits, gpu: Option<&str>) -> Result<Loading, Unavailable> {
    let elf = HostElf::parse(library.bytes()).unwrap_or_default();
    if let Some((code, message)) = unloadable(&elf) {
        return Ok(Loading::without(Failure {
            cause: Cause::Loader(code),
            stage: "load".to_owned(),
            message,
        }));
    }
    let sealed = library.sealed().map_err(Unavailable::because)?;
    // Without /proc, a descriptor has no path to load from, so write the bytes into a private folder.
    let folder = match Path::new("/proc/self/fd").exists() {
        true => None,
        false => Some(write_to_folder(library).map_err(Unavailable::because)?),
    };
    let path = folder.as_ref().map_or_else(String::new, |folder| {
        folder.path().join(FILE_NAME).display().to_string()
    });
    let request = Request::Load {
        version: VERSION,
        path,
    };
    let library = HostLibrary {
        file: sealed,
        search: search(&elf, library.folder()),
        gpu: gpu.map(str::to_owned),
    };
    let host_run = run_host(&request, Some(library), limits)?;
    Ok(read(&host_run))
}

/// Returns why the loader of this machine cannot load a library, where the loader itself would give a misleading message or crash.
fn unloadable(elf: &HostElf) -> Option<(&'static str, String)> {
    let machine = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    if elf.machine != 0 && elf.machine != machine {
        let (found, here) = (HostElf::machine_name(elf.machine), HostElf::machine_name(machine));
        return Some((
            "wrong_machine",
            format!("it is for {found}, and this machine is {here}"),
        ));
    }
    if elf.truncated {
        return Some((
            "truncated",
            "the file ends before the parts that its headers name".to_owned(),
        ));
    }
    let of_musl = |name: &&String| name.as_str() == "libc.so" || name.starts_with("libc.musl-");
    let musl = elf.needs.iter().find(of_musl)?;
    Some((
        "missing_library",
        format!("it needs {musl}, the C library of musl; this machine has glibc"),
    ))
}

/// Returns the folders that the library names relative to itself (`$ORIGIN`). The host loads it from memory, so the loader does
/// not know its folder.
fn search(elf: &HostElf, folder: &Path) -> Vec<PathBuf> {
    let folder = folder.display().to_string();
    let relative = elf.search.iter().filter(|text| text.contains("ORIGIN"));
    relative
        .map(|text| PathBuf::from(text.replace("${ORIGIN}", &folder).replace("$ORIGIN", &folder)))
        .collect()
}

/// Name of a library in its temporary folder.
const FILE_NAME: &str = "library.so";

fn write_to_folder(library: &Snapshot) -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join(FILE_NAME), library.bytes())?;
    Ok(folder)
}

fn read(host_run: &HostRun) -> Loading {
    let mut loading = Loading {
        leftovers: host_run.leftovers,
        seconds: host_run.took.as_secs_f64(),
        ..Loading::default()
    };
    let mut began: Option<String> = None;
    let mut failure = None;
    for reply in &host_run.replies {
        match reply {
            Reply::Stamp { text } => loading.stamp.clone_from(text),
            Reply::CheckStarted { name } => began = Some(name.clone()),
            Reply::CheckEnded { .. } => {
                began = None;
                match row(reply) {
                    Some(row)
                        if loading
                            .rows
                            .iter()
                            .any(|known| known.check.name == row.check.name) =>
                    {
                        let message = format!("two self-checks are named `{}`", row.check.name);
                        failure = Some((Cause::Abi("check_name"), message));
                    }
                    Some(row) => loading.rows.push(row),
                    None => {
                        let message = "a self-check has an invalid name".to_owned();
                        failure = Some((Cause::Abi("check_name"), message));
                    }
                }
            }
            Reply::Refused { what, detail, .. } => failure = Some((refusal(what, detail), detail.clone())),
            _ => {}
        }
    }
    let unfinished = began.filter(|name| is_name(name));
    if host_run.exit != HostExit::Done {
        failure = Some((Cause::Host(host_run.exit.clone()), host_run.exit.message()));
    } else if failure.is_none() && loading.rows.is_empty() && unfinished.is_none() {
        failure = Some((
            Cause::Abi("no_checks"),
            "it has no self-checks, so it remains unchecked".to_owned(),
        ));
    }
    loading.failure = failure.map(|(cause, message)| Failure {
        cause,
        stage: host_run.stage.clone(),
        message,
    });
    if let Some(name) = unfinished {
        let mut check = check_of(&name, Verdict::Fail);
        let failure = loading.failure.as_ref();
        check.reason = failure.map(|failure| failure.cause.reason()).or(check.reason);
        let detail = host_run.exit.message();
        loading.rows.push(CheckRow { check, detail });
    }
    loading
}

/// Converts the reply of a finished self-check into a check and a description.
fn row(reply: &Reply) -> Option<CheckRow> {
    let Reply::CheckEnded {
        name,
        outcome,
        cases,
        mismatches,
        index,
        expected,
        got,
        error,
        micros,
    } = reply
    else {
        return None;
    };
    if !is_name(name) {
        return None;
    }
    let failed = (Verdict::Fail, Some(Reason::KernelFailed));
    let ((status, reason), detail) = match outcome {
        0 if *cases > 0 && *mismatches == 0 => ((Verdict::Pass, None), format!("{cases} cases, all equal")),
        0 => (failed, "it reports a pass but compared nothing".to_owned()),
        1 => (
            failed,
            format!(
                "{mismatches} of {cases} cases differ; the first is {index}: {expected:#x} expected, {got:#x} found"
            ),
        ),
        2 if cuda_error::is_of_machine(*error) => (
            (Verdict::Invalid, Some(Reason::Driver)),
            format!("CUDA {}", cuda_error::message(*error)),
        ),
        2 => (failed, format!("CUDA {}", cuda_error::message(*error))),
        3 => (
            (Verdict::Invalid, Some(Reason::KernelUnchecked)),
            "it cannot run here".to_owned(),
        ),
        other => (
            failed,
            format!("it returned {other}, which is not a valid outcome"),
        ),
    };
    let mut check = check_of(name, status);
    check.reason = reason;
    check.duration_s = Some(Duration::from_micros(*micros).as_secs_f64());
    Some(CheckRow { check, detail })
}

fn check_of(name: &str, status: Verdict) -> KernelCheck {
    KernelCheck {
        name: name.to_owned(),
        library: None,
        status,
        reason: (status != Verdict::Pass).then_some(Reason::KernelFailed),
        duration_s: None,
        deltas: Vec::new(),
    }
}

/// Whether a name has only lower-case letters, digits and `_`, at most 64. Names are published, so they must be safe.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Returns why the host could not execute a step. The message of the loader distinguishes its causes.
fn refusal(what: &str, detail: &str) -> Cause {
    let loader = [
        ("undefined symbol", "undefined_symbol"),
        ("static TLS", "static_tls"),
        ("cannot open shared object file", "missing_library"),
        ("not found (required by", "missing_version"),
        ("file too short", "truncated"),
        ("invalid ELF header", "not_elf"),
        ("wrong ELF class", "wrong_machine"),
        ("ELF file", "not_loadable"),
        ("object file", "not_loadable"),
    ];
    match what {
        "abi_version" => Cause::Abi("abi_version"),
        "symbol" => Cause::Abi("missing_symbol"),
        "checks" => Cause::Abi("too_many_checks"),
        "load" => {
            let known = loader.iter().find(|(text, _)| detail.contains(text));
            Cause::Loader(known.map_or("not_loadable", |(_, code)| code))
        }
        _ => Cause::Request,
    }
}
