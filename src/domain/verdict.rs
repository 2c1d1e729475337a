//! Defines the verdicts of gates and runs, and the closed list of reasons. Each reason has a help text that is safe to publish.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The verdict of one gate. Only `Pass` is green.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The gate ran and passed.
    Pass,
    /// The gate ran and failed.
    Fail,
    /// The gate ran, and the data does not decide.
    Inconclusive,
    /// No verdict is possible: something that the gate needs is missing or disturbed.
    Invalid,
    /// The gate did not start.
    NotRun,
    /// The gate runs elsewhere and has no recorded result yet.
    Pending,
    /// The run was cancelled during the gate or before it.
    Cancelled,
}

/// The verdict of a complete run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(
    missing_docs,
    reason = "each is the verdict of the same name, over the selection"
)]
pub enum Overall {
    Pass,
    Fail,
    Inconclusive,
    Invalid,
    Cancelled,
}

impl Verdict {
    /// Returns the name in results, tables and outputs.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Invalid => "invalid",
            Verdict::NotRun => "not_run",
            Verdict::Pending => "pending",
            Verdict::Cancelled => "cancelled",
        }
    }
}

impl Overall {
    /// Returns the name in results, tables and outputs.
    pub fn as_str(self) -> &'static str {
        match self {
            Overall::Pass => "pass",
            Overall::Fail => "fail",
            Overall::Inconclusive => "inconclusive",
            Overall::Invalid => "invalid",
            Overall::Cancelled => "cancelled",
        }
    }

    /// Combines verdicts: any fail → fail; else any cancelled → cancelled; else any invalid → invalid; else any other verdict
    /// than pass, or no verdict → inconclusive; else pass.
    pub fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Overall {
        let (mut any, mut fail, mut cancelled, mut invalid, mut open) = (false, false, false, false, false);
        for verdict in verdicts {
            any = true;
            match verdict {
                Verdict::Pass => {}
                Verdict::Fail => fail = true,
                Verdict::Cancelled => cancelled = true,
                Verdict::Invalid => invalid = true,
                Verdict::Inconclusive | Verdict::NotRun | Verdict::Pending => open = true,
            }
        }
        match (fail, cancelled, invalid, open || !any) {
            (true, ..) => Overall::Fail,
            (_, true, ..) => Overall::Cancelled,
            (_, _, true, _) => Overall::Invalid,
            (_, _, _, true) => Overall::Inconclusive,
            _ => Overall::Pass,
        }
    }
}

macro_rules! reasons {
    ($($name:ident = $word:literal, $says:literal, $remedy:literal;)*) => {
        /// The reason for a verdict: a closed list, never free text of a gate.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Reason {
            $(#[doc = $says] #[serde(rename = $word)] $name,)*
        }

        impl Reason {
            /// All reasons.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// Returns the name in results, tables and outputs.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => $word,)* }
            }

            /// Returns a description in one sentence.
            pub fn message(self) -> &'static str {
                match self { $(Reason::$name => $says,)* }
            }

            /// Returns how to fix it; safe to publish, empty if there is nothing to do.
            pub fn remedy(self) -> &'static str {
                match self { $(Reason::$name => $remedy,)* }
            }
        }
    };
}

reasons! {
    ExitCode = "exit_code", "The command ended with a non-zero exit code.",
        "Read the part of the gate in the job's log, or run the gate locally with `nmoe-gates run --gate ID`.";
    Signal = "signal", "The command was ended by a signal that this tool did not send.",
        "Look in the job's log for an out-of-memory kill or a crash.";
    Timeout = "timeout", "The command ran longer than `timeout_s`.",
        "Find what hangs, or raise `timeout_s` in the registry.";
    Silence = "silence", "The command printed nothing for `silence_timeout_s`.",
        "Find what hangs, or raise `silence_timeout_s` in the registry.";
    LeakedProcesses = "leaked_processes", "The command ended and left processes behind, and the registry forbids that.",
        "Make the command wait for what it starts.";
    MissingEnv = "missing_env", "The runner lacks an environment variable that the registry's `requires` names.",
        "Fix the configuration of the runner. Do not paste details of the cluster here.";
    MissingFile = "missing_file", "The gate names a file that the merge result does not have.",
        "Add the file to the change, or correct `requires_files` in the registry.";
    NoGpu = "no_gpu", "The gate needs a GPU and none was found.",
        "Run it on the B200 runner.";
    OffTarget = "off_target", "The machine's GPUs are not what the gate needs.",
        "Run it on the B200 runner (`sm_100a`, compute capability 10.0, as many GPUs as the gate's `gpus`); there is no fallback.";
    Driver = "driver", "The driver or a GPU of this machine is too old, busy or broken for the kernel library.",
        "Run `nmoe-gates kernels check` there: it names the CUDA error. Fix the machine; the change is not at fault.";
    Prerequisite = "prerequisite", "The machine lacks something that this tool itself needs.",
        "Run `nmoe-gates doctor` there.";
    BadRegistry = "bad_registry", "The gate's definition in the registry cannot be used.",
        "Run `nmoe-gates lint registry`.";
    BuildFailed = "build_failed", "The kernel build in the subject failed.",
        "Read the build's part of the job's log; run the registry's build command in the change.";
    KernelMissing = "kernel_missing", "No kernel library was found where the registry says.",
        "Check the registry's `[target]` and that the build writes there.";
    KernelStale = "kernel_stale", "The kernel library was not built from this checkout in this run.",
        "Build it from the checkout under test.";
    KernelOffTarget = "kernel_off_target", "The kernel library contains code for another target than `sm_100a`.",
        "Build with `-gencode arch=compute_100a,code=sm_100a` alone; see `kernels inspect`.";
    KernelFailed = "kernel_failed", "A self-check of the kernel library failed, or loading it did.",
        "Run `nmoe-gates kernels check` on the target.";
    KernelPin = "kernel_pin", "A kernel uses more registers, stack, shared memory or spills than its pin in the registry allows.",
        "Run `nmoe-gates kernels inspect LIB` on both builds; change the kernel, or raise the pin in a change of its own.";
    KernelCrashed = "kernel_crashed", "A signal ended the kernel host while it loaded or checked the library.",
        "Run `nmoe-gates kernels check` on the target under a debugger, or with the library's checks one by one.";
    KernelExited = "kernel_exited", "The kernel library ended the kernel host before the checks were complete.",
        "Find the `exit` in its constructors or self-checks.";
    KernelHung = "kernel_hung", "The kernel library took longer than its limit to load or to be checked.",
        "Run `nmoe-gates kernels check --timeout SECONDS` on the target to see where it hangs.";
    KernelStopped = "kernel_stopped", "The kernel library stopped the kernel host (SIGSTOP).",
        "Find what raises the signal in its constructors or self-checks.";
    KernelFlooded = "kernel_flooded", "The kernel library printed or answered without end.",
        "Remove the output from its constructors and self-checks.";
    KernelMemory = "kernel_memory", "The kernel library used more memory than its limit.",
        "Run `nmoe-gates kernels check` on the target with a larger `--memory`, or make its self-checks smaller.";
    KernelForged = "kernel_forged", "The kernel host sent data that is not a reply.",
        "Find what in the library writes to descriptors that it did not open.";
    KernelCutOff = "kernel_cut_off", "The kernel library closed the descriptors of the kernel host.",
        "Find what in the library closes descriptors that it did not open.";
    KernelUnloadable = "kernel_unloadable", "The loader refused the kernel library: it is damaged, built for another machine, or needs a library that is missing.",
        "Run `nmoe-gates kernels check` there: it gives the loader's reason.";
    KernelAbi = "kernel_abi", "The kernel library does not follow the ABI of `nmoe_kernels.h`.",
        "Build it from an unchanged `nmoe-csrc/`; `nmoe-gates kernels check` says what it lacks.";
    KernelAllToAll = "kernel_all_to_all", "The kernel library takes an NCCL all-to-all from elsewhere.",
        "Exchange rows by direct writes instead; see `nmoe-gates kernels collectives`.";
    KernelUnchecked = "kernel_unchecked", "The kernel library could not be checked: the kernel host cannot run here.",
        "Run `nmoe-gates doctor` there.";
    NoExecutor = "no_executor", "The executor of the gate cannot run it: the registry does not define the executor, or the gate cannot be submitted to it.",
        "Run `nmoe-gates lint registry`. A gate with several nodes needs `[executor.NAME]` with `kind = \"slurm\"` or `\"kubernetes\"`; only commands are submitted.";
    JobRefused = "job_refused", "The scheduler refused the job of the gate, or the job ended before a node could start.",
        "Read the job's log and what the scheduler said in the run's log; check `[executor.NAME]` in the registry.";
    JobLost = "job_lost", "The job of the gate ended early: a node failed, or the job was preempted, restarted or cancelled.",
        "Run again. If it happens again, ask the operators of the cluster.";
    QueueTimeout = "queue_timeout", "The job of the gate waited in the queue for too long.",
        "Run again when the cluster has free nodes, or raise `queue_s` of the executor.";
    RankMissing = "rank_missing", "Fewer nodes reported a result than the gate needs.",
        "Check that every node sees the checkouts, this program and the folder of the results at the same paths.";
    RankMismatch = "rank_mismatch", "The nodes of the gate reported different commits, kernels, images or machines, or share a node.",
        "Run again, and do not change the checkout while a job runs; check that all nodes of the partition are equal.";
    GpuIdle = "gpu_idle", "A node of the gate left its GPUs idle, or its GPUs could not be watched.",
        "Check that the command of the gate starts processes on every node; run `nmoe-gates doctor` there.";
    NoContainer = "no_container", "The gate cannot run in a container: the registry names no image for it, or it needs the kernel host, a comparison or an executor.",
        "Add `image` to `[container]` in the registry. For kernel and perf gates, run the complete job in the runner image, without `--container`.";
    ContainerFailed = "container_failed", "The container of the gate could not be started, or was stopped from outside of the run.",
        "Read what the engine said in the job's log; run `nmoe-gates doctor` there.";
    Tampered = "tampered", "A file that the gate must not change was changed while the gate ran.",
        "Find the code that writes to the runner's files or to the records of the run.";
    SupervisorStopped = "supervisor_stopped", "A process stopped the supervisor of the run (SIGSTOP) while the gate ran.",
        "Find what sends SIGSTOP: a gate, another job of the same user, or a scheduler that suspends jobs. Run again.";
    WallTime = "wall_time", "What the change prints disagrees with the wall times that the supervisor measured.",
        "Check that both sides print their true throughput, and do the same work in each step.";
    NoSamples = "no_samples", "The output has too few samples of the metric.",
        "Raise the gate's steps, or give the perf gate `perf_args = \"--log_every=1\"`.";
    UnreadableNumber = "unreadable_number", "A number of the metric in the output is ambiguous, cut, or written in another form than the others.",
        "Run `nmoe-gates metrics try LOG --gate ID` to see which; declare `unit`, `decimal` or a `pattern` in the registry, or make the program print plain digits.";
    CompareMissing = "compare_missing", "The gate that should be compared was not run, or did not pass.",
        "Run a bundle that also contains the compared gate; check that the budget matches the contract.";
    BaselineFailed = "baseline_failed", "The baseline could not be built or run.",
        "Check that the base itself is sound; see the baseline's part of the job's log.";
    BadBaseline = "bad_baseline", "The baseline that was asked for is not a commit that may be compared with.",
        "Leave `baseline_ref` empty for the base parent of the merge.";
    OverBudget = "over_budget", "The change is slower than the budget allows.",
        "Check that the intended gate was compared and that the budget matches the contract; else make the change faster.";
    TotalTime = "total_time", "Most steps are within the budget, but total work over total time is not.",
        "Look for stalls: single steps that take many times as long, such as checkpoints, garbage collection or data loading.";
    NumericDifference = "numeric_difference", "The two sides compute different numbers.",
        "Look at the first differing step. If the difference is intended, declare `numerics: within` or `numerics: changes` in the contract.";
    BadBudget = "bad_budget", "The budget is not a valid percentage.",
        "Use a number above -100 and below 100; -10 allows a loss of 10 %.";
    GpuMinutes = "gpu_minutes", "The cap on GPU-minutes was reached before the measurements could decide.",
        "Raise `perf.gpu_minutes` in the settings, or lower the gate's steps.";
    Noisy = "noisy", "The measurements vary too much to decide.",
        "Run again on a quiet machine, or raise `max_pairs`.";
    Spoiled = "spoiled", "The measurements were disturbed: throttling, a hardware error, or a foreign process.",
        "Run again on a quiet machine.";
    StoppedAfterFailure = "stopped_after_failure", "An earlier gate failed and the run stopped there.",
        "Fix the earlier failure, or run with `--keep-going`.";
    Refused = "refused", "Preflight refused the run, so nothing was started.",
        "See the gates marked `invalid`.";
    Rehearsal = "rehearsal", "The run was a rehearsal, and the gate has no command for it.",
        "Add `rehearse` to the gate in the registry, or run the gate on a B200.";
    NoResults = "no_results", "The runner of the gate left no results.",
        "Look at that runner's job; run the gate again.";
    External = "external", "The gate is run elsewhere; its verdict comes from a recorded result.",
        "Give the recorded result with `--external ID=RESULTS`.";
    StaleEvidence = "stale_evidence", "The recorded result is about another commit, registry or contract.",
        "Run the gate again for these commits.";
    DiskFull = "disk_full", "The disk was full, or could not be written.",
        "Free space on the runner.";
    Internal = "internal", "The tool has an internal error.",
        "Report it, with the job's log.";
    CancelledRun = "cancelled", "The run was cancelled.",
        "Start it again.";
}
