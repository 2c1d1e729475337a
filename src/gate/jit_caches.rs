//! Gives a gate private caches for kernels that are compiled at run time, and inspects the cubins that the gate leaves there.
//!
//! Without a private cache, a gate would run cubins that another run or another commit compiled. Must not depend on the command
//! of the gate.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use cuda_inspect::arch::Arch;
use cuda_inspect::cubin;
use cuda_inspect::inspect::{Inspection, inspect};
use ignore::WalkBuilder;
use memchr::memmem;
use tempfile::TempDir;

use crate::domain::evidence::{Evidence, JitCache};
use crate::domain::ids::Sha256;
use crate::domain::registry::Target;
use crate::domain::results::{GateResult, KernelCheck};
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::output::Output;
use crate::kernel::snapshot::Snapshot;

/// The most files that are inspected.
const MAX_FILES: usize = 20_000;

/// The variables that name a cache or a folder for compiled code, with their folder and their cache.
const VARIABLES: [(&str, &str, JitCache); 8] = [
    ("TRITON_CACHE_DIR", "triton", JitCache::Triton),
    ("TORCHINDUCTOR_CACHE_DIR", "inductor", JitCache::Triton),
    ("CUTE_DSL_CACHE_DIR", "cute", JitCache::CuteDsl),
    ("CUTE_DSL_DUMP_DIR", "cute-dump", JitCache::CuteDsl),
    ("PYTORCH_KERNEL_CACHE_PATH", "torch", JitCache::Nvrtc),
    ("CUPY_CACHE_DIR", "cupy", JitCache::Nvrtc),
    ("CUDA_CACHE_PATH", "cuda", JitCache::Driver),
    ("TORCH_EXTENSIONS_DIR", "extensions", JitCache::Extension),
];

/// Returns the variables that name a cache, each with the name of its folder.
pub fn variables() -> impl Iterator<Item = (&'static str, &'static str)> {
    VARIABLES.iter().map(|(name, folder, _)| (*name, *folder))
}

/// The private caches of one gate. Dropping the value deletes them.
#[derive(Debug)]
pub struct JitCaches {
    folder: TempDir,
}

/// What a gate compiled at run time.
#[derive(Debug, Default)]
struct JitReport {
    /// The digest of each cubin, by cache.
    digests: BTreeMap<JitCache, BTreeSet<Sha256>>,
    /// What is not for the target, one sentence each.
    faults: Vec<String>,
}

impl JitCaches {
    /// Creates the folders.
    ///
    /// # Errors
    /// A folder cannot be created.
    pub fn new() -> io::Result<Self> {
        let folder = TempDir::with_prefix("nmoe-gates-jit-")?;
        for (_, name, _) in VARIABLES {
            std::fs::create_dir(folder.path().join(name))?;
        }
        Ok(JitCaches { folder })
    }

    /// Returns the folder of all caches.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the variables that make compilers use the caches, and keep their cubins there.
    pub fn environment(&self) -> impl Iterator<Item = (OsString, OsString)> {
        Self::environment_in(self.folder()).map(|(name, value)| (name.into(), value.into()))
    }

    /// Returns the same variables for a process that sees the folder of the caches at another place.
    pub fn environment_in(folder: &Path) -> impl Iterator<Item = (&'static str, PathBuf)> {
        let folders = VARIABLES
            .into_iter()
            .map(|(variable, name, _)| (variable, folder.join(name)));
        folders.chain([("CUTE_DSL_KEEP_CUBIN", PathBuf::from("1"))])
    }

    /// Inspects every cubin in the caches, and adds them to the result of the gate and to the evidence. Returns whether there were
    /// any.
    pub fn conclude(
        &self,
        target: &Target,
        result: &mut GateResult,
        evidence: &mut Evidence,
        output: &mut Output,
    ) -> bool {
        let report = self.inspect(target);
        if report.digests.is_empty() && report.faults.is_empty() {
            return false;
        }
        let good = report.faults.is_empty();
        let (status, reason) = if good {
            (Verdict::Pass, None)
        } else {
            (Verdict::Invalid, Some(Reason::KernelOffTarget))
        };
        for (cache, digests) in report.digests {
            output.line(format_args!(
                "kernels: {} jit_inspect: {} files with machine code in the cache of {}",
                status.as_str(),
                digests.len(),
                cache.as_str()
            ));
            evidence.add_jit(cache, digests);
        }
        for fault in report.faults.iter().take(10) {
            output.line(format_args!("kernels: invalid jit_inspect: {fault}"));
        }
        result.kernel_checks.push(KernelCheck {
            name: "jit_inspect".to_owned(),
            library: None,
            status,
            reason,
            duration_s: None,
            deltas: Vec::new(),
        });
        if !good && result.status == Verdict::Pass {
            result.status = Verdict::Invalid;
            result.reason = reason;
        }
        true
    }

    /// Inspects every cubin in the caches.
    fn inspect(&self, target: &Target) -> JitReport {
        let arch = Arch::from_str(&target.arch).unwrap_or(Arch::SM_100A);
        let mut report = JitReport::default();
        let mut files = 0;
        for (_, name, cache) in VARIABLES {
            let mut digests = BTreeSet::new();
            let entries = WalkBuilder::new(self.folder.path().join(name))
                .standard_filters(false)
                .follow_links(false)
                .build();
            for entry in entries {
                let Ok(entry) = entry else {
                    report
                        .faults
                        .push("a folder of a cache cannot be read".to_owned());
                    continue;
                };
                if entry.file_type().is_none_or(|kind| kind.is_dir()) {
                    continue;
                }
                files += 1;
                if files > MAX_FILES {
                    report
                        .faults
                        .push(format!("the caches have more than {MAX_FILES} files"));
                    return report;
                }
                look(entry.path(), arch, &mut digests, &mut report.faults);
            }
            if !digests.is_empty() {
                report.digests.entry(cache).or_default().extend(digests);
            }
        }
        report
    }
}

/// Inspects one file: a library or a container, or any other file for the cubins inside.
fn look(path: &Path, arch: Arch, digests: &mut BTreeSet<Sha256>, faults: &mut Vec<String>) {
    let Ok(file) = Snapshot::take(path) else {
        faults.push("a file of a cache cannot be read".to_owned());
        return;
    };
    let mut add = |inspection: &Inspection| {
        digests.extend(inspection.sha256.parse::<Sha256>());
        if !inspection.is_clean() {
            faults.push(inspection.verdict());
        }
    };
    let whole = inspect(file.bytes(), arch, &[]);
    if !whole.entries.is_empty() {
        add(&whole);
        return;
    }
    // The caches of CuTe DSL and of the driver keep cubins inside files of their own.
    let heads = cubin::HEADS
        .iter()
        .flat_map(|head| memmem::find_iter(file.bytes(), head));
    for at in heads {
        add(&inspect(file.bytes().get(at..).unwrap_or_default(), arch, &[]));
    }
}
