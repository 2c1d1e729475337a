//! Defines the arguments of `run`.

use std::path::PathBuf;

use crate::cmd::gates::Which;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(super) which: Which,
    /// Where the results go; the journal lies beside them. Outside every checkout.
    #[arg(long, value_name = "FILE")]
    pub(super) results: Option<PathBuf>,
    /// The contract that the change is held to: an issue body or a bare YAML file, `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(super) contract: Option<PathBuf>,
    /// What `resolve` decided: the run is held to its commits, contract, registry and gates.
    #[arg(long, value_name = "FILE", conflicts_with = "contract")]
    pub(super) resolution: Option<PathBuf>,
    /// Say what would run and what is missing, and run nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Keep what an earlier run into the same results has proven for the same evidence.
    #[arg(long)]
    pub(super) resume: bool,
    /// Go on after a gate has failed.
    #[arg(long)]
    pub(super) keep_going: bool,
    /// Recorded results of a gate that is run elsewhere; may be given several times.
    #[arg(long, value_name = "ID=RESULTS")]
    pub(super) external: Vec<String>,
    /// Login of the person who supplies those results (default: the value of GITHUB_ACTOR).
    #[arg(long, value_name = "LOGIN")]
    pub(super) supplied_by: Option<String>,
    /// What a perf gate compares with; empty means the base parent of the merge.
    #[arg(long, value_name = "REF", allow_hyphen_values = true)]
    pub(super) baseline_ref: Option<String>,
    /// Budget of a perf gate in percent, such as -10; may only tighten the contract's.
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true)]
    pub(super) perf_budget_pct: Option<String>,
    /// How long a gate may be mute before a log hears that it still runs; 0: never. A terminal shows it all the time.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub(super) heartbeat: u64,
}

// Arguments of `run` that help, completions and manual pages do not show.
#[derive(Debug, Default, clap::Args)]
#[expect(
    missing_docs,
    reason = "a doc comment here would replace the help of the subcommand"
)]
pub struct Unlisted {
    /// Panic as soon as a gate prints something, to test what a defect of this program leaves.
    #[arg(long, hide = true)]
    pub(super) panic_in_gate: bool,
}
