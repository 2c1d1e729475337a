//! Not a listed subcommand: runs the gate of a job on one node. The script of the job starts it on each node.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, anyhow};

use crate::executor::folder::JobFolder;

/// The name of the subcommand.
pub const SUBCOMMAND: &str = "run-rank";

/// Returns the command line of `run` for this node: a rank is an ordinary run of one gate.
///
/// # Errors
/// The folder is not that of a job, or the job has started before.
pub fn command_line(program: &OsString, words: &[OsString]) -> anyhow::Result<Vec<OsString>> {
    let [folder] = words else {
        return Err(anyhow!("cannot run a rank: run-rank takes the folder of a job"));
    };
    let rank = number()?;
    let (folder, _, spec) = JobFolder::open(Path::new(folder)).context("cannot run a rank")?;
    let mut line = vec![program.clone()];
    for (option, value) in [("--repo", &spec.policy), ("--subject", &spec.subject)] {
        line.push(option.into());
        line.push(value.into());
    }
    line.extend(["run", "--gate", spec.gate.as_str(), "--rank-of"].map(OsString::from));
    line.push(folder.path().into());
    line.push("--results".into());
    line.push(folder.results(rank).into());
    Ok(line)
}

/// Returns the number of this rank, which the scheduler sets.
///
/// # Errors
/// No scheduler started this process, or the job was restarted.
pub fn number() -> anyhow::Result<u32> {
    if std::env::var("SLURM_RESTART_COUNT").is_ok_and(|count| count != "0") {
        return Err(anyhow!("cannot run a rank: the job was started again"));
    }
    ["SLURM_PROCID", "JOB_COMPLETION_INDEX"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok()?.parse().ok())
        .ok_or_else(|| anyhow!("cannot run a rank: neither SLURM_PROCID nor JOB_COMPLETION_INDEX is set\nhelp: a scheduler starts run-rank, with srun or in the pods of an Indexed Job"))
}
