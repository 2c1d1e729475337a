//! Builds both checkouts and runs commands in them, each with an isolated environment and a separate run root.
//!
//! Must not depend on metrics or verdicts. Every command runs under the supervisor of the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::registry::Target;
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::engine::PerfCase;
use crate::gate::kernel_build::KernelBuild;
use crate::gate::process::{CommandOutcome, CommandSpec, Supervisor, Termination};
use crate::perf::arms::{self, Arms};
use crate::perf::isolate;
use crate::perf::refusal::Refusal;
use crate::perf::samples;
use crate::system::files;

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
    run_root: PathBuf,
    kernels: [BTreeMap<String, String>; 2],
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
        let baseline = std::fs::canonicalize(arms.worktree())?;
        let own: BTreeSet<String> = isolate::top_level(&subject)?
            .into_iter()
            .chain(isolate::top_level(&baseline)?)
            .collect();
        let hooks = [
            isolate::hook(&arms.scratch("hook-base"), &baseline, &own)?,
            isolate::hook(&arms.scratch("hook-head"), &subject, &own)?,
        ];
        // The runner sets the run root to a place that has room for checkpoints.
        let run_root = case
            .environment
            .get(std::ffi::OsStr::new("NMOE_RUN_ROOT"))
            .map(PathBuf::from)
            .filter(|p| p.is_absolute() && p.is_dir())
            .map_or_else(|| arms.scratch("runs"), |given| given.join("nmoe-gates-perf"));
        arms::recover(&run_root);
        Ok(Site {
            case,
            arms,
            supervisor,
            baseline,
            subject,
            hooks,
            run_root,
            kernels: [BTreeMap::new(), BTreeMap::new()],
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
        // The default build runs only where its Makefile exists. A build that the registry declares always runs.
        let there = |arm: &Path| arm.join("nmoe/csrc/Makefile").is_file();
        if needed || named || there(&self.baseline) || there(&self.subject) {
            for arm in [Arm::Base, Arm::Head] {
                if !(needed || named || there(self.dir(arm))) {
                    continue;
                }
                if needed && arm == Arm::Base {
                    self.prove(arm, &target)?;
                    continue;
                }
                let built = self.shell(arm, &target.build, "build", Some(BUILD_LIMIT))?;
                if built.termination == Termination::Exited(0) {
                    if needed {
                        self.prove(arm, &target)?;
                    }
                    continue;
                }
                stopped(&built)?;
                self.has_room()?;
                if needed || named {
                    let (verdict, reason) = match arm {
                        Arm::Base => (Verdict::Invalid, Reason::BaselineFailed),
                        Arm::Head => (Verdict::Fail, Reason::BuildFailed),
                    };
                    let why = format!("the build of the {} failed", arm.name());
                    return Err(Refusal::new(verdict, reason, why));
                }
            }
        }
        self.kernels = [
            arms::kernels(&self.baseline, &target.kernels)?,
            arms::kernels(&self.subject, &target.kernels)?,
        ];
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

    /// Verifies that the kernel libraries were built from the sources of this side. The baseline's libraries are built from
    /// scratch for this. The change's libraries were built earlier in this run and are only inspected.
    fn prove(&mut self, arm: Arm, target: &Target) -> Result<(), Refusal> {
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
            return Ok(());
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

    /// Checks that the kernel libraries of both sides and the sources of the baseline did not change.
    ///
    /// # Errors
    /// A file changed, or the check is not possible.
    pub fn untouched(&self) -> Result<(), Refusal> {
        let target = self.case.registry.target();
        let now = [
            arms::kernels(&self.baseline, &target.kernels)?,
            arms::kernels(&self.subject, &target.kernels)?,
        ];
        if now == self.kernels && self.arms.intact()? {
            return Ok(());
        }
        Err(Refusal::new(
            Verdict::Fail,
            Reason::Tampered,
            "sources or kernel libraries changed during the measurements",
        ))
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
            silence: (silence > 0 && what != "build").then(|| Duration::from_secs(silence)),
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
        if [self.arms.worktree().as_path(), &self.run_root, &self.subject]
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
        std::fs::create_dir_all(&path)?;
        let lock = arms::lock(&folder)?;
        Ok(RunRoot {
            folder,
            path,
            _lock: lock,
        })
    }
}

impl Drop for RunRoot {
    fn drop(&mut self) {
        arms::remove(&self.folder);
        if let Some(parent) = self.folder.parent() {
            // This fails, as intended, if another run uses the folder.
            let _ = std::fs::remove_dir(parent);
        }
    }
}
