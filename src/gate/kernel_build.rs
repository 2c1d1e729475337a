//! Builds and verifies the kernel libraries of a run: deletes the old files, builds the subject, verifies the new files, and
//! compares them with the libraries that the gates map.
//!
//! Must not depend on the gates that use the libraries.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cuda_inspect::cubin::Usage;

use crate::domain::ids::Sha256;
use crate::domain::registry::{GateKind, Target};
use crate::domain::results::{GateResult, KernelCheck};
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::mapped::MappedLibraries;
use crate::gate::metrics::Meter;
use crate::gate::process::{Supervisor, Termination};
use crate::gate::running::CommandSpec;
use crate::kernel::driver::Driver;
use crate::kernel::host::Limits;
use crate::kernel::load::CheckRow;
use crate::kernel::snapshot::Snapshot;
use crate::kernel::verify::{self, Rules, SubjectError, clear, outputs, prove};
use crate::system::random;

/// The longest time of a build.
pub const BUILD_TIMEOUT: Duration = Duration::from_secs(3600);

/// The variable that passes the nonce of the run to the build, for the stamp.
const NONCE: &str = "NMOE_RUN_NONCE";

/// The verified kernel libraries of a run.
#[derive(Clone, Debug)]
pub struct KernelLibraries {
    pub verdict: Verdict,
    /// The reason of the verdict; `None` if the libraries passed.
    pub reason: Option<Reason>,
    /// All checks, for the results.
    pub checks: Vec<KernelCheck>,
    /// The SHA-256 of each library, by its path in the subject.
    pub digests: BTreeMap<String, Sha256>,
    /// What the kernels of the libraries use.
    pub used: Vec<Usage>,
    /// Whether self-checks ran; only libraries with the nmoe-gates interface have them.
    self_checked: bool,
}

impl KernelLibraries {
    pub(super) fn without(verdict: Verdict, reason: Reason) -> Self {
        KernelLibraries {
            verdict,
            reason: Some(reason),
            checks: Vec::new(),
            digests: BTreeMap::new(),
            used: Vec::new(),
            self_checked: false,
        }
    }

    /// Returns the first library that was replaced, removed or added after the verification.
    pub fn changed(&self, subject: &Path, target: &Target) -> Option<String> {
        let now: BTreeMap<String, Option<Sha256>> = outputs(subject, &target.kernels)
            .unwrap_or_default()
            .iter()
            .map(|path| {
                let digest = Snapshot::take(&subject.join(path)).map(|library| Sha256::of(library.bytes()));
                (path.display().to_string(), digest.ok())
            })
            .collect();
        let same = |path: &&String| {
            let digest = self.digests.get(*path);
            digest.is_some() && digest == now.get(*path).and_then(Option::as_ref)
        };
        let mut all = now.keys().chain(self.digests.keys());
        all.find(|path| !same(path)).cloned()
    }

    /// Starts the record of the libraries that the processes of a gate map. `start` is the start of the run.
    pub fn record(
        &self,
        subject: &Path,
        target: &Target,
        caches: Option<&Path>,
        start: SystemTime,
    ) -> MappedLibraries {
        MappedLibraries::new(subject, &target.kernels, self.digests.keys(), caches, start)
    }

    /// Compares the libraries that a gate mapped with the proven ones. Prints and returns one check per library.
    ///
    /// The path of a file outside the subject is printed only, because it describes the machine.
    pub fn compare(&self, mapped: MappedLibraries, supervisor: &mut Supervisor) -> Vec<KernelCheck> {
        let mut checks = Vec::new();
        for (path, digest) in mapped.finish() {
            let name = path.display().to_string();
            let proven = self.digests.get(&name);
            let good = digest.is_some() && digest.as_ref() == proven;
            let detail = match &digest {
                Some(digest) => format!("{name} with SHA-256 {digest}"),
                None => format!("{name}, which was deleted or cannot be read"),
            };
            let (status, reason) = if good {
                (Verdict::Pass, None)
            } else {
                (Verdict::Invalid, Some(Reason::KernelStale))
            };
            let check = KernelCheck {
                name: KernelCheck::of_library(&path, "mapped"),
                library: proven.is_some().then_some(name),
                status,
                reason,
                duration_s: None,
                deltas: Vec::new(),
            };
            supervisor.output.line(format_args!(
                "kernels: {} {}: a process mapped {detail}",
                status.as_str(),
                check.name
            ));
            checks.push(check);
        }
        checks
    }

    /// Returns the result of a gate that the libraries alone decide; `None` if the command of the gate may start.
    pub fn early_result(&self, kind: GateKind) -> Option<GateResult> {
        let (verdict, reason) = match (self.verdict, kind) {
            (Verdict::Pass, GateKind::Kernel) if self.self_checked => (Verdict::Pass, None),
            (Verdict::Pass, GateKind::Kernel) => (Verdict::Invalid, Some(Reason::KernelMissing)),
            (Verdict::Pass, _) => return None,
            (verdict, _) => (verdict, self.reason),
        };
        let mut result = GateResult::new(verdict, reason);
        result.kernel_checks.clone_from(&self.checks);
        Some(result)
    }
}

/// The checkout whose libraries are built and verified.
#[derive(Clone, Copy, Debug)]
pub struct KernelBuild<'a> {
    /// The checkout.
    pub subject: &'a Path,
    pub target: &'a Target,
    /// The nonce of the run; `None` to create one for the build.
    pub nonce: Option<&'a str>,
    /// The driver, if it is known.
    pub driver: Option<&'a Driver>,
}

impl KernelBuild<'_> {
    /// Deletes old libraries, builds new ones and verifies them.
    pub fn prepare(
        &self,
        environment: &BTreeMap<OsString, OsString>,
        supervisor: &mut Supervisor,
    ) -> KernelLibraries {
        let Some(nonce) = self.nonce.map(str::to_owned).or_else(|| random::token().ok()) else {
            return KernelLibraries::without(Verdict::Invalid, Reason::Prerequisite);
        };
        let cleared = match clear(self.subject, &self.target.kernels) {
            Ok(cleared) => cleared,
            Err(error) => return refused(&error, supervisor),
        };
        let mut environment = environment.clone();
        environment.insert(NONCE.into(), nonce.clone().into());
        let spec = CommandSpec {
            label: "kernels",
            command: &self.target.build,
            dir: self.subject,
            environment: &environment,
            timeout: Some(BUILD_TIMEOUT),
            silence: None,
            container: None,
        };
        let Ok(meter) = Meter::new(&[]) else {
            return KernelLibraries::without(Verdict::Invalid, Reason::Internal);
        };
        let duration = match supervisor.run(&spec, meter) {
            Ok(outcome) => match outcome.termination {
                Termination::Exited(0) => outcome.duration,
                Termination::Stopped(_) => {
                    return KernelLibraries::without(Verdict::Cancelled, Reason::CancelledRun);
                }
                _ => return KernelLibraries::without(Verdict::Invalid, Reason::BuildFailed),
            },
            Err(_) => return KernelLibraries::without(Verdict::Invalid, Reason::Prerequisite),
        };
        let mut built = self.verify(Some(&nonce), supervisor);
        supervisor.output.line(format_args!(
            "kernels: built from scratch, after {} old libraries and {} old objects were deleted",
            cleared.libraries.len(),
            cleared.objects.len(),
        ));
        built.checks.push(KernelCheck {
            name: KernelCheck::BUILT_FROM_SCRATCH.to_owned(),
            library: None,
            status: Verdict::Pass,
            reason: None,
            duration_s: Some(duration.as_secs_f64()),
            deltas: Vec::new(),
        });
        built
    }

    /// Verifies libraries that another rank of the job built with the same nonce.
    pub fn check_built(&self, supervisor: &mut Supervisor) -> KernelLibraries {
        self.verify(self.nonce, supervisor)
    }

    /// Verifies libraries that are already built, without a check of the nonce.
    pub fn examine(&self, supervisor: &mut Supervisor) -> KernelLibraries {
        self.verify(None, supervisor)
    }

    fn verify(&self, nonce: Option<&str>, supervisor: &mut Supervisor) -> KernelLibraries {
        let libraries = match outputs(self.subject, &self.target.kernels) {
            Ok(libraries) => libraries,
            Err(error) => return refused(&error, supervisor),
        };
        let rules = Rules {
            target: self.target,
            subject: self.subject,
            nonce,
            driver: self.driver,
            load: true,
            limits: Limits::default(),
        };
        let proofs: Vec<_> = libraries.iter().map(|path| prove(path, &rules)).collect();
        let pins = verify::check_pins(&proofs, self.target);
        let (verdict, reason) = verify::verdict(&proofs, pins.as_ref());
        let mut built = KernelLibraries {
            verdict,
            reason,
            checks: Vec::new(),
            digests: BTreeMap::new(),
            used: verify::used(&proofs).into_iter().cloned().collect(),
            self_checked: proofs.iter().any(|p| p.loading.is_some()),
        };
        for CheckRow { check, detail } in proofs.iter().flat_map(|proof| &proof.rows).chain(&pins) {
            let status = check.status.as_str();
            supervisor
                .output
                .line(format_args!("kernels: {status} {}: {detail}", check.name));
            built.checks.push(check.clone());
        }
        for proof in &proofs {
            if let Some(digest) = proof.inspection.as_ref().and_then(|i| i.sha256.parse().ok()) {
                built.digests.insert(proof.path.display().to_string(), digest);
            }
        }
        built
    }
}

fn refused(error: &SubjectError, supervisor: &mut Supervisor) -> KernelLibraries {
    supervisor.output.line(format_args!("kernels: {error}"));
    let reason = match error {
        SubjectError::Outside(_) => Reason::BadRegistry,
        SubjectError::Tracked(_) => Reason::KernelStale,
        SubjectError::Io(..) | SubjectError::Git(_) => Reason::Prerequisite,
    };
    KernelLibraries::without(Verdict::Invalid, reason)
}
