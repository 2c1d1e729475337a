//! Where launches run: both checkouts, what each may see, their builds, and a run root for every launch.
//!
//! Knows nothing of metrics or verdicts on them. Starts nothing itself: every command goes through the engine's supervisor.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::registry::Target;
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::engine::PerfCase;
use crate::gate::kernel_build;
use crate::gate::process::{CommandOutcome, CommandSpec, Supervisor, Termination};
use crate::perf::arms::{self, Arms};
use crate::perf::isolate;
use crate::perf::refusal::Refusal;
use crate::perf::samples;

/// Longest build of one arm.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);

/// Which arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// The baseline.
    Base,
    /// The change.
    Head,
}

impl Arm {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Arm::Base => "baseline",
            Arm::Head => "change",
        }
    }
}

/// Both arms of one comparison, ready to be built and launched in.
pub struct Site<'a, 'b> {
    case: &'a PerfCase<'b>,
    arms: &'a Arms,
    /// Whoever runs the commands.
    pub supervisor: &'a mut Supervisor,
    baseline: PathBuf,
    subject: PathBuf,
    hooks: [PathBuf; 2],
    run_root: PathBuf,
    kernels: [BTreeMap<String, String>; 2],
}

impl<'a, 'b> Site<'a, 'b> {
    /// The site of a case whose baseline is checked out.
    ///
    /// # Errors
    /// A folder cannot be made, or one arm lies inside the other.
    pub fn new(
        case: &'a PerfCase<'b>,
        arms: &'a Arms,
        supervisor: &'a mut Supervisor,
    ) -> Result<Self, Refusal> {
        let subject = std::fs::canonicalize(case.subject)?;
        let baseline = std::fs::canonicalize(arms.worktree())?;
        if baseline.starts_with(&subject) {
            return Err(Refusal::invalid(
                Reason::BaselineFailed,
                "the baseline would lie inside the checkout under test; set XDG_STATE_HOME to a folder outside it",
            ));
        }
        let own: BTreeSet<String> = isolate::top_level(&subject)?
            .into_iter()
            .chain(isolate::top_level(&baseline)?)
            .collect();
        let hooks = [
            isolate::hook(&arms.scratch("hook-base"), &baseline, &own)?,
            isolate::hook(&arms.scratch("hook-head"), &subject, &own)?,
        ];
        // Where checkpoints may be large the runner says so.
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

    /// Builds both arms before the first launch and remembers what their kernel libraries are.
    ///
    /// # Errors
    /// A build failed, or left an arm without libraries of its own.
    pub fn build(&mut self) -> Result<(), Refusal> {
        let target = self.case.registry.target();
        let needed = self.case.compare.needs_kernels();
        let named = !self.case.registry.target.is_empty();
        // The incumbent's own build is tried where it is there; a registry that names one means it.
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
                "a kernel library is a link, so it may be anybody's",
            ));
        }
        if base.is_empty() != head.is_empty() || (needed && base.is_empty()) {
            let which = if base.is_empty() { "baseline" } else { "change" };
            return Err(Refusal::invalid(
                Reason::KernelMissing,
                format!("the {which} has no kernel library of its own"),
            ));
        }
        Ok(())
    }

    /// Has the libraries that launches need proven to be the arm's own. The baseline's are built for that, from nothing; the
    /// change's were, by this run, and a rebuild could only make others of them.
    fn prove(&mut self, arm: Arm, target: &Target) -> Result<(), Refusal> {
        let library = match arm {
            Arm::Base => {
                let runs = RunRoot::new(&self.run_root)?;
                let environment = self.environment(arm, &runs.path);
                self.say("build of the baseline");
                let nonce = self.case.evidence.run.as_deref();
                kernel_build::prepare(&self.baseline, target, &environment, nonce, self.supervisor)
            }
            Arm::Head => kernel_build::examine(&self.subject, target, None, self.supervisor),
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

    /// Whether both arms still are what was built, and the baseline's sources what was checked out.
    ///
    /// # Errors
    /// They are not, or nobody can tell.
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
            "an arm's sources or kernel libraries changed while they were measured",
        ))
    }

    /// Runs a command in one arm, with a run root of its own.
    ///
    /// # Errors
    /// It cannot be started.
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
            silence: (silence > 0 && what == "launch").then(|| Duration::from_secs(silence)),
        };
        let meter =
            samples::meter(self.case.compare).map_err(|why| Refusal::invalid(Reason::BadRegistry, why))?;
        Ok(self.supervisor.run(&command, meter)?)
    }

    /// An error where the disk is full, which a build or a launch that failed is not to blame for.
    ///
    /// # Errors
    /// It is.
    pub fn has_room(&self) -> Result<(), Refusal> {
        if [self.arms.worktree().as_path(), &self.run_root, &self.subject]
            .into_iter()
            .any(arms::is_full)
        {
            return Err(Refusal::invalid(Reason::DiskFull, "the disk is full"));
        }
        Ok(())
    }

    /// Tells those who watch.
    pub fn say(&mut self, text: &str) {
        self.supervisor.output.line(format_args!("perf: {text}"));
    }
}

/// An error where we were asked to stop.
///
/// # Errors
/// We were.
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

/// A run root for one launch, removed with everything in it.
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
            // Only where it is empty: another run may use it.
            let _ = std::fs::remove_dir(parent);
        }
    }
}
