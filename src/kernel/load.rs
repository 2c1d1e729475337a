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

/// Why a library could not be loaded or checked completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable code, such as `undefined_symbol` or `signal`.
    pub code: &'static str,
    /// Stage of the failure: `load`, `abi` or `check`; empty before the first stage.
    pub stage: String,
    /// Description of the failure.
    pub message: String,
}

impl Failure {
    /// Returns the reason for the failed check.
    pub fn reason(&self) -> Reason {
        match self.code {
            "signal" => Reason::KernelCrashed,
            "exited" => Reason::KernelExited,
            "silent" | "too_long" => Reason::KernelHung,
            "stopped" => Reason::KernelStopped,
            "flooded" => Reason::KernelFlooded,
            "too_much_memory" => Reason::KernelMemory,
            "forged" => Reason::KernelForged,
            "cut_off" => Reason::KernelCutOff,
            "abi_version" | "missing_symbol" | "no_checks" | "too_many_checks" | "check_name" => {
                Reason::KernelAbi
            }
            "request" => Reason::KernelUnchecked,
            _ => Reason::KernelUnloadable,
        }
    }
}

/// The result of loading a library.
#[derive(Clone, Debug, Default)]
pub struct Loading {
    /// The stamp that the library returned; empty if the host exited before.
    pub stamp: String,
    /// One entry per self-check that was started.
    pub checks: Vec<KernelCheck>,
    /// Description of the result of each self-check, in the same order.
    pub details: Vec<String>,
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
        let is = |status| move |check: &KernelCheck| check.status == status;
        if self.failure.is_some() || self.checks.is_empty() || self.checks.iter().any(is(Verdict::Fail)) {
            Verdict::Fail
        } else if self.checks.iter().all(is(Verdict::Pass)) {
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
            code,
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
                    Some((check, _)) if loading.checks.iter().any(|known| known.name == check.name) => {
                        failure = Some((
                            "check_name",
                            format!("two self-checks are named `{}`", check.name),
                        ));
                    }
                    Some((check, detail)) => {
                        loading.checks.push(check);
                        loading.details.push(detail);
                    }
                    None => {
                        failure = Some(("check_name", "a self-check has an invalid name".to_owned()));
                    }
                }
            }
            Reply::Refused { what, detail, .. } => failure = Some((refusal(what, detail), detail.clone())),
            _ => {}
        }
    }
    let unfinished = began.filter(|name| is_name(name));
    if host_run.exit != HostExit::Done {
        failure = Some((host_run.exit.as_str(), host_run.exit.message()));
    } else if failure.is_none() && loading.checks.is_empty() && unfinished.is_none() {
        failure = Some((
            "no_checks",
            "it has no self-checks, so it remains unchecked".to_owned(),
        ));
    }
    loading.failure = failure.map(|(code, message)| Failure {
        code,
        stage: host_run.stage.clone(),
        message,
    });
    if let Some(name) = unfinished {
        let mut row = check_row(&name, Verdict::Fail);
        row.reason = loading.failure.as_ref().map(Failure::reason).or(row.reason);
        loading.checks.push(row);
        loading.details.push(host_run.exit.message());
    }
    loading
}

/// Converts the reply of a finished self-check into a check and a description.
fn row(reply: &Reply) -> Option<(KernelCheck, String)> {
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
    let mut check = check_row(name, status);
    check.reason = reason;
    check.duration_s = Some(Duration::from_micros(*micros).as_secs_f64());
    Some((check, detail))
}

fn check_row(name: &str, status: Verdict) -> KernelCheck {
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

/// Returns the code for a step that the host could not execute. The message of the loader distinguishes the causes.
fn refusal(what: &str, detail: &str) -> &'static str {
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
        "abi_version" => "abi_version",
        "symbol" => "missing_symbol",
        "checks" => "too_many_checks",
        "load" => loader
            .iter()
            .find(|(text, _)| detail.contains(text))
            .map_or("not_loadable", |(_, code)| code),
        _ => "request",
    }
}
