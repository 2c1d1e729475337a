//! Builds both checkouts and runs commands in them, each with an isolated environment and a separate run root.
//!
//! Must not depend on metrics or verdicts. Every command runs under the supervisor of the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cuda_inspect::cubin::Usage;

use crate::domain::registry::Target;
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::engine::PerfCase;
use crate::gate::kernel_build::KernelBuild;
use crate::gate::process::{CommandOutcome, Supervisor, Termination};
use crate::gate::running::CommandSpec;
use crate::kernel::pins::{self, Change};
use crate::perf::arms::{self, Arms};
use crate::perf::baseline::{self, Manifest, Sealed};
use crate::perf::isolate;
use crate::perf::refusal::Refusal;
use crate::perf::samples;
use crate::system::files;

/// The folder of the built baseline.
const SEALED: &str = "sealed";

/// What [`Site::shell`] calls a build.
const BUILD: &str = "build";

/// Time limit for the build of one side.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);

/// One side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// The baseline.
    Base,
    /// The change.
    Head,
}

impl Arm {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Arm::Base => "baseline",
            Arm::Head => "change",
        }
    }
}

/// The two checkouts of one comparison.
pub struct Site<'a, 'b> {
    case: &'a PerfCase<'b>,
    arms: &'a Arms,
    /// Runs the commands.
    pub supervisor: &'a mut Supervisor,
    baseline: PathBuf,
    subject: PathBuf,
    hooks: [PathBuf; 2],
    sealed_hooks: [Manifest; 2],
    run_root: PathBuf,
    kernels: [BTreeMap<String, String>; 2],
    changes: Option<Vec<Change>>,
}

impl<'a, 'b> Site<'a, 'b> {
    /// Prepares the two checkouts. The baseline must be checked out.
    ///
    /// # Errors
    /// A folder cannot be created.
    pub fn new(
        case: &'a PerfCase<'b>,
        arms: &'a Arms,
        supervisor: &'a mut Supervisor,
    ) -> Result<Self, Refusal> {
        let subject = std::fs::canonicalize(case.subject)?;
        // `Arms` resolved the links of this path.
        let baseline = arms.worktree();
        let files = match &*arms.sealed.borrow() {
            Some((sealed, _)) => sealed.original().to_owned(),
            None => baseline.clone(),
        };
        let own: BTreeSet<String> = isolate::top_level(&subject)?
            .into_iter()
            .chain(isolate::top_level(&files)?)
            .collect();
        let hooks = [
            isolate::hook(&arms.scratch("hook-base"), &baseline, &own)?,
            isolate::hook(&arms.scratch("hook-head"), &subject, &own)?,
        ];
        let sealed_hooks = [Manifest::of(&hooks[0])?, Manifest::of(&hooks[1])?];
        // The runner sets the run root to a place that has room for checkpoints.
        let run_root = case
            .environment
            .get(std::ffi::OsStr::new("NMOE_RUN_ROOT"))
            .map(PathBuf::from)
            .filter(|p| p.is_absolute() && p.is_dir())
            .map(|given| given.join("nmoe-gates-perf"))
            .filter(|ours| ours.symlink_metadata().is_err() || arms::is_own_folder(ours))
            .unwrap_or_else(|| arms.scratch("runs"));
        arms::recover(&run_root);
        Ok(Site {
            case,
            arms,
            supervisor,
            baseline,
            subject,
            hooks,
            sealed_hooks,
            run_root,
            kernels: [BTreeMap::new(), BTreeMap::new()],
            changes: None,
        })
    }

    fn dir(&self, arm: Arm) -> &Path {
        match arm {
            Arm::Base => &self.baseline,
            Arm::Head => &self.subject,
        }
    }

    fn environment(&self, arm: Arm, run_root: &Path) -> BTreeMap<OsString, OsString> {
        let (hook, foreign) = match arm {
            Arm::Base => (&self.hooks[0], &self.subject),
            Arm::Head => (&self.hooks[1], &self.baseline),
        };
        isolate::environment(self.case.environment, self.dir(arm), hook, &[foreign], run_root)
    }

    /// Builds both sides before the first measurement and stores the digests of their kernel libraries.
    ///
    /// # Errors
    /// A build failed, or one side has no kernel libraries although they are needed.
    pub fn build(&mut self) -> Result<(), Refusal> {
        let target = self.case.registry.target();
        let needed = self.case.compare.needs_kernels();
        let named = !self.case.registry.target.is_empty();
        let there = has_makefile;
        let is_sealed = |proven: bool| {
            let sealed = self.arms.sealed.borrow();
            sealed.as_ref().is_some_and(|(_, used)| used.is_some() || !proven)
        };
        if !is_sealed(needed) {
            if self.arms.sealed.take().is_some() {
                // Another gate compares without kernels; this one has to prove theirs.
                baseline::remove(&self.arms.scratch(SEALED));
                self.arms.check_out()?;
            }
            let mut used = None;
            if needed {
                used = Some(self.prove(Arm::Base, &target)?);
            } else if named || there(&self.baseline) || there(&self.subject) {
                self.build_one(Arm::Base, &target, named)?;
            }
            // No code of the change ran since the check-out.
            if !self.arms.intact()? {
                return Err(tampered());
            }
            let sealed = Sealed::new(&self.baseline, self.arms.scratch(SEALED))?;
            *self.arms.sealed.borrow_mut() = Some((sealed, used));
        }
        if needed || named || there(&self.subject) {
            self.build_one(Arm::Head, &target, needed || named)?;
            if needed {
                let after = self.prove(Arm::Head, &target)?;
                let sealed = self.arms.sealed.borrow();
                let before = sealed.iter().flat_map(|(_, used)| used).flatten();
                self.changes = Some(pins::changes(before, after.iter()));
            }
        }
        self.kernels = self.current_kernels(&target)?;
        let [base, head] = &self.kernels;
        let linked = |found: &BTreeMap<String, String>| found.values().any(|d| d == arms::NOT_A_FILE);
        if linked(base) || linked(head) {
            return Err(Refusal::invalid(
                Reason::KernelStale,
                "a kernel library is a link, so it can belong to another checkout",
            ));
        }
        if base.is_empty() != head.is_empty() || (needed && base.is_empty()) {
            let which = if base.is_empty() { "baseline" } else { "change" };
            return Err(Refusal::invalid(
                Reason::KernelMissing,
                format!("the {which} has no kernel library"),
            ));
        }
        Ok(())
    }

    /// Returns how the kernels of the change differ from those of the baseline; `None` if the gate needs no kernels.
    pub fn changes(&self) -> Option<&[Change]> {
        self.changes.as_deref()
    }

    /// Verifies that the kernel libraries were built from the sources of this side. The baseline's libraries are built from
    /// scratch for this. The change's libraries were built earlier in this run and are only inspected. Returns what the kernels use.
    fn prove(&mut self, arm: Arm, target: &Target) -> Result<Vec<Usage>, Refusal> {
        let subject = self.dir(arm).to_owned();
        let build = KernelBuild {
            subject: &subject,
            target,
            nonce: self.case.evidence.run.as_deref(),
            driver: self.case.driver,
        };
        let library = match arm {
            Arm::Base => {
                let runs = RunRoot::new(&self.run_root)?;
                let environment = self.environment(arm, &runs.path);
                self.say("build of the baseline");
                build.prepare(&environment, self.supervisor)
            }
            Arm::Head => build.examine(self.supervisor),
        };
        if library.verdict == Verdict::Pass {
            return Ok(library.used);
        }
        if library.verdict != Verdict::Cancelled {
            self.has_room()?;
        }
        let verdict = match arm {
            Arm::Base if library.verdict == Verdict::Fail => Verdict::Invalid,
            _ => library.verdict,
        };
        let reason = match library.reason {
            Some(Reason::BuildFailed) if arm == Arm::Base => Reason::BaselineFailed,
            reason => reason.unwrap_or(Reason::KernelMissing),
        };
        let why = format!("the kernel libraries of the {} cannot be used", arm.name());
        Err(Refusal::new(verdict, reason, why))
    }

    /// Builds one side with the command of the registry.
    fn build_one(&mut self, arm: Arm, target: &Target, must: bool) -> Result<(), Refusal> {
        if arm == Arm::Base && !must && !has_makefile(&self.baseline) {
            return Ok(());
        }
        let built = self.shell(arm, &target.build, BUILD, Some(BUILD_LIMIT))?;
        if built.termination == Termination::Exited(0) {
            return Ok(());
        }
        stopped(&built)?;
        self.has_room()?;
        if !must {
            return Ok(());
        }
        let (verdict, reason) = match arm {
            Arm::Base => (Verdict::Invalid, Reason::BaselineFailed),
            Arm::Head => (Verdict::Fail, Reason::BuildFailed),
        };
        let why = format!("the build of the {} failed", arm.name());
        Err(Refusal::new(verdict, reason, why))
    }

    /// Returns the digests of the kernel libraries of both sides.
    fn current_kernels(&self, target: &Target) -> Result<[BTreeMap<String, String>; 2], Refusal> {
        let sealed = self.arms.sealed.borrow();
        let baseline = sealed
            .as_ref()
            .map_or(self.baseline.as_path(), |(sealed, _)| sealed.original());
        Ok([
            arms::kernels(baseline, &target.kernels)?,
            arms::kernels(&self.subject, &target.kernels)?,
        ])
    }

    /// Checks that the sealed baseline, the hooks, and the kernel libraries of both sides did not change.
    ///
    /// # Errors
    /// A file changed, or the check is not possible.
    pub fn untouched(&self) -> Result<(), Refusal> {
        let target = self.case.registry.target();
        let is_intact = match &*self.arms.sealed.borrow() {
            Some((sealed, _)) => sealed.intact()?,
            None => false,
        };
        if is_intact && self.current_kernels(&target)? == self.kernels && self.has_own_hooks() {
            return Ok(());
        }
        Err(tampered())
    }

    /// Whether the import hooks are as this program wrote them.
    fn has_own_hooks(&self) -> bool {
        let both = self.hooks.iter().zip(&self.sealed_hooks);
        both.into_iter()
            .all(|(hook, sealed)| Manifest::of(hook).is_ok_and(|now| now == *sealed))
    }

    /// Runs a command in one checkout, with a separate run root.
    ///
    /// # Errors
    /// The command cannot be started.
    pub fn shell(
        &mut self,
        arm: Arm,
        text: &str,
        what: &str,
        limit: Option<Duration>,
    ) -> Result<CommandOutcome, Refusal> {
        let which = arm.name();
        let label = format!("{} {what} of the {which}", self.case.id);
        self.say(&format!("{what} of the {which}"));
        let is_build = what == BUILD;
        let arms = self.arms;
        let sealed = arms.sealed.borrow();
        let _copy = match &*sealed {
            Some((sealed, _)) if arm == Arm::Base && !is_build => Some(sealed.copy()?.ok_or_else(tampered)?),
            _ => None,
        };
        if !self.has_own_hooks() {
            return Err(tampered());
        }
        let runs = RunRoot::new(&self.run_root)?;
        let environment = self.environment(arm, &runs.path);
        let dir = self.dir(arm).to_owned();
        let silence = self.case.compare.silence_timeout_s;
        let command = CommandSpec {
            label: &label,
            command: text,
            dir: &dir,
            environment: &environment,
            timeout: limit,
            silence: (silence > 0 && !is_build).then(|| Duration::from_secs(silence)),
            container: None,
        };
        let meter =
            samples::meter(self.case.compare).map_err(|why| Refusal::invalid(Reason::BadRegistry, why))?;
        Ok(self.supervisor.run(&command, meter)?)
    }

    /// Checks that the disk is not full. A build or a measurement that fails on a full disk is not at fault.
    ///
    /// # Errors
    /// The disk is full.
    pub fn has_room(&self) -> Result<(), Refusal> {
        if [self.arms.root(), &self.run_root, &self.subject]
            .into_iter()
            .any(files::is_disk_full)
        {
            return Err(Refusal::invalid(Reason::DiskFull, "the disk is full"));
        }
        Ok(())
    }

    /// Prints a line of progress.
    pub fn say(&mut self, text: &str) {
        self.supervisor.output.line(format_args!("perf: {text}"));
    }
}

/// Whether a checkout has what the default build needs. A build that the registry declares always runs.
fn has_makefile(checkout: &Path) -> bool {
    checkout.join("nmoe/csrc/Makefile").is_file()
}

fn tampered() -> Refusal {
    Refusal::new(
        Verdict::Fail,
        Reason::Tampered,
        "the baseline, an import hook or a kernel library changed during the measurements",
    )
}

/// Checks that the run was not cancelled.
///
/// # Errors
/// The run was cancelled.
pub fn stopped(ended: &CommandOutcome) -> Result<(), Refusal> {
    if matches!(ended.termination, Termination::Stopped(_)) {
        return Err(Refusal::new(
            Verdict::Cancelled,
            Reason::CancelledRun,
            "the run was cancelled",
        ));
    }
    Ok(())
}

/// The run root of one measurement. It is removed with all its files.
struct RunRoot {
    folder: PathBuf,
    path: PathBuf,
    _lock: std::fs::File,
}

impl RunRoot {
    fn new(parent: &Path) -> std::io::Result<Self> {
        let folder = parent.join(&crate::system::random::token()?[..16]);
        let path = folder.join("run");
        std::fs::create_dir_all(&folder)?;
        let lock = arms::lock(&folder)?;
        std::fs::create_dir(&path)?;
        Ok(RunRoot {
            folder,
            path,
            _lock: lock,
        })
    }
}

impl Drop for RunRoot {
    fn drop(&mut self) {
        baseline::remove(&self.folder);
        if let Some(parent) = self.folder.parent() {
            // This fails, as intended, if another run uses the folder.
            let _ = std::fs::remove_dir(parent);
        }
    }
}
