//! Defines the arguments of `run`.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::cmd::contract_input::ContractInput;
use crate::cmd::gates::Which;
use crate::domain::numeric::Numerics;
use crate::gate::container::client::Kind;

/// A container engine on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum EngineName {
    Docker,
    Podman,
    Apptainer,
}

impl From<EngineName> for Kind {
    fn from(name: EngineName) -> Kind {
        match name {
            EngineName::Docker => Kind::Docker,
            EngineName::Podman => Kind::Podman,
            EngineName::Apptainer => Kind::Apptainer,
        }
    }
}

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(super) which: Which,
    /// Write the results to this file, and the journal next to it. The file must be outside of every checkout (default: a
    /// private folder of this checkout).
    #[arg(long, value_name = "FILE")]
    pub(super) results: Option<PathBuf>,
    #[command(flatten)]
    pub(super) contract: ContractInput,
    /// Run exactly what `resolve` decided: its commits, contract, registry and gates.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["contract", "issue"])]
    pub(super) resolution: Option<PathBuf>,
    /// Print which gates would run and what is missing, and run nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Rehearse without a B200: a gate that needs one runs its `rehearse` command of the registry, or is skipped. The results are
    /// marked and prove nothing.
    #[arg(long, conflicts_with_all = ["resume", "container"])]
    pub(super) rehearse: bool,
    /// Keep the gates that passed in an earlier run with the same results file and the same evidence.
    #[arg(long)]
    pub(super) resume: bool,
    /// Continue after a gate has failed (default: stop).
    #[arg(long)]
    pub(super) keep_going: bool,
    /// Use recorded results for an external gate. Can be given more than once.
    #[arg(long, value_name = "ID=RESULTS")]
    pub(super) external: Vec<String>,
    /// Run each gate in a container, from the image that the registry names.
    #[arg(long)]
    pub(super) container: bool,
    /// Container engine (default: the first installed of docker, podman, apptainer).
    #[arg(long, value_name = "ENGINE", requires = "container")]
    pub(super) engine: Option<EngineName>,
    /// Name the person who supplies the external results (default: the value of GITHUB_ACTOR).
    #[arg(long, value_name = "LOGIN")]
    pub(super) supplied_by: Option<String>,
    /// Compare throughput with this ref (default: the base parent of the merge).
    #[arg(long, value_name = "REF", allow_hyphen_values = true)]
    pub(super) baseline_ref: Option<String>,
    /// Allow this throughput change of a perf gate, in percent, such as -10 (default: the contract's). It can only be
    /// stricter than the contract's.
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true)]
    pub(super) perf_budget_pct: Option<String>,
    /// Allow this difference of the numbers that a numeric gate compares: identical, within or changes (default: the
    /// contract's, else identical). It can only be stricter than the contract's.
    #[arg(long, value_name = "WHAT", value_parser = numerics)]
    pub(super) numerics: Option<Numerics>,
    /// Print a heartbeat when a gate has produced no output for this many seconds (0 disables). A terminal shows the running
    /// time every second.
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
    /// Panic at the first output of a gate, to test what a defect of this program leaves behind.
    #[arg(long, hide = true)]
    pub(super) panic_in_gate: bool,
    /// Write the Markdown summary to this file and to the summary of the workflow step. The action passes this, so that no shell
    /// stays above the program.
    #[arg(long, hide = true, value_name = "FILE")]
    pub(super) step_summary: Option<PathBuf>,
    /// Run as a rank of the job with this folder.
    #[arg(long, hide = true, value_name = "DIR")]
    pub(super) rank_of: Option<PathBuf>,
    /// Folder with templates for the summary of the workflow step.
    #[arg(long, hide = true, value_name = "DIR")]
    pub(super) templates: Option<PathBuf>,
}

/// Parses what a change declares about its numbers.
fn numerics(text: &str) -> Result<Numerics, String> {
    [Numerics::Identical, Numerics::Within, Numerics::Changes]
        .into_iter()
        .find(|numerics| numerics.as_str() == text)
        .ok_or_else(|| "write identical, within or changes".to_owned())
}
