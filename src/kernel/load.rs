//! A library in the kernel host: was it loaded, is its ABI ours, what did its self-checks find. Every failure has a word.

use std::io;
use std::path::Path;
use std::time::Duration;

use kernel_host::{Reply, Request, VERSION};
use tempfile::TempDir;

use crate::domain::results::KernelCheck;
use crate::domain::verdict::{Reason, Verdict};
use crate::kernel::host::{Conversation, Ending, Limits, Unavailable, converse};
use crate::kernel::snapshot::Snapshot;

/// Why a library could not be loaded or checked through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A stable word, such as `undefined_symbol` or `signal`.
    pub word: &'static str,
    /// What was going on: `load`, `abi`, `check`; empty before the first.
    pub stage: String,
    /// One sentence.
    pub says: String,
}

impl Failure {
    /// The reason of the row that it fails.
    pub fn reason(&self) -> Reason {
        match self.word {
            "signal" => Reason::KernelCrashed,
            "exited" => Reason::KernelExited,
            "silent" | "too_long" => Reason::KernelHung,
            "stopped" => Reason::KernelStopped,
            "flooded" => Reason::KernelFlooded,
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

/// What came of loading a library.
#[derive(Clone, Debug)]
pub struct Loading {
    /// Its stamp, as it returns it; empty where it did not come so far.
    pub stamp: String,
    /// One row per self-check that was started.
    pub checks: Vec<KernelCheck>,
    /// What every row found, in words, beside its name.
    pub details: Vec<String>,
    /// Why it ended early, where it did.
    pub failure: Option<Failure>,
    /// Processes that it left behind.
    pub leftovers: u32,
    /// Seconds it all took.
    pub seconds: f64,
}

impl Loading {
    /// Pass where the library loaded in good order and has self-checks that all passed.
    pub fn verdict(&self) -> Verdict {
        let good = self.failure.is_none() && !self.checks.is_empty();
        if good && self.checks.iter().all(|check| check.status == Verdict::Pass) {
            Verdict::Pass
        } else {
            Verdict::Fail
        }
    }
}

/// Loads these bytes in a kernel host and runs their self-checks.
pub fn load(library: &Snapshot, limits: &Limits) -> Result<Loading, Unavailable> {
    let sealed = library.sealed().map_err(Unavailable::because)?;
    // Without /proc a descriptor has no path to load from, so the bytes are laid into a folder that is ours alone.
    let folder = match Path::new("/proc/self/fd").exists() {
        true => None,
        false => Some(laid_out(library).map_err(Unavailable::because)?),
    };
    let path = folder.as_ref().map_or_else(String::new, |folder| {
        folder.path().join(LAID_OUT).display().to_string()
    });
    let request = Request::Load {
        version: VERSION,
        path,
    };
    let conversation = converse(&request, Some(sealed), limits)?;
    Ok(read(&conversation))
}

/// Name of a library in its temporary folder.
const LAID_OUT: &str = "library.so";

fn laid_out(library: &Snapshot) -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join(LAID_OUT), library.bytes())?;
    Ok(folder)
}

fn read(conversation: &Conversation) -> Loading {
    let mut loading = Loading {
        stamp: String::new(),
        checks: Vec::new(),
        details: Vec::new(),
        failure: None,
        leftovers: conversation.leftovers,
        seconds: conversation.took.as_secs_f64(),
    };
    let mut began: Option<String> = None;
    let mut failure = None;
    for reply in &conversation.replies {
        match reply {
            Reply::Stamp { text } => loading.stamp.clone_from(text),
            Reply::CheckStarted { name } => began = Some(name.clone()),
            Reply::CheckEnded { .. } => {
                began = None;
                match row(reply) {
                    Some((check, detail)) => {
                        loading.checks.push(check);
                        loading.details.push(detail);
                    }
                    None => failure = Some(("check_name", "a self-check has a name that is none".to_owned())),
                }
            }
            Reply::Refused { what, detail, .. } => failure = Some((refusal(what, detail), detail.clone())),
            _ => {}
        }
    }
    let unfinished = began.filter(|name| is_name(name));
    if conversation.ending != Ending::Done {
        failure = Some((conversation.ending.word(), conversation.ending.says()));
    } else if failure.is_none() && loading.checks.is_empty() && unfinished.is_none() {
        failure = Some((
            "no_checks",
            "it has no self-checks, so nothing is proven".to_owned(),
        ));
    }
    loading.failure = failure.map(|(word, says)| Failure {
        word,
        stage: conversation.stage.clone(),
        says,
    });
    if let Some(name) = unfinished {
        let mut row = check_row(&name, Verdict::Fail);
        row.reason = loading.failure.as_ref().map(Failure::reason).or(row.reason);
        loading.checks.push(row);
        loading.details.push(conversation.ending.says());
    }
    loading
}

/// The row of a self-check that ended, and what it found in words.
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
    let (status, detail) = match outcome {
        0 if *cases > 0 && *mismatches == 0 => (Verdict::Pass, format!("{cases} cases, all equal")),
        0 => (
            Verdict::Fail,
            "it claims to pass without having compared anything".to_owned(),
        ),
        1 => (
            Verdict::Fail,
            format!(
                "{mismatches} of {cases} cases differ; the first is {index}: {expected:#x} expected, {got:#x} found"
            ),
        ),
        2 => (Verdict::Fail, format!("CUDA error {error}")),
        3 => (Verdict::Invalid, "it cannot run here".to_owned()),
        other => (Verdict::Fail, format!("it returned {other}, which is no outcome")),
    };
    let mut check = check_row(name, status);
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
    }
}

/// Lower-case letters, digits and `_`, at most 64 of them: a name is published, so it cannot be anything.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// The word for what the host could not do; the loader's own text tells the cases apart.
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
            .map_or("not_loadable", |(_, word)| word),
        _ => "request",
    }
}
