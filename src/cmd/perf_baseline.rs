//! Prepares the baseline of perf gates: the commit, a snapshot of it, and the stored noise. Not a subcommand.

use std::path::Path;

use anyhow::Context as _;

use crate::cmd::context::Context;
use crate::cmd::state_dir::state_dir;
use crate::domain::ids::{BranchName, CommitId, Revision};
use crate::domain::noise::NoiseTable;
use crate::domain::paths;
use crate::gate::engine::PerfTerms;
use crate::git::Git;
use crate::perf::arms::{self, ArmError, Arms};
use crate::perf::evaluator::Evaluator;
use crate::perf::history;
use crate::perf::renewal;

/// Returns the commit to compare with.
///
/// # Errors
/// The commit does not exist, or must not be a baseline.
pub fn resolve(context: &Context, revision: Option<&Revision>) -> anyhow::Result<Result<CommitId, ArmError>> {
    let naming = context.settings()?.naming;
    let base = std::env::var("GITHUB_BASE_REF").ok().filter(|b| !b.is_empty());
    let branches: Vec<String> = std::iter::once(naming.base.into())
        .chain(base)
        .flat_map(|branch| {
            let remote = &naming.remote;
            [
                branch.clone(),
                format!("{remote}/{branch}"),
                BranchName::local_ref(&branch),
                BranchName::remote_ref(remote, &branch),
            ]
        })
        .collect();
    let repo = Git::at(&context.repo);
    Ok(arms::resolve(
        &repo,
        &Git::at(&context.subject),
        revision,
        &branches,
    ))
}

/// Creates the [`Evaluator`] of perf gates, with a snapshot of the baseline. Call this before any code of the change runs.
///
/// # Errors
/// Settings or stored noise cannot be used.
pub fn evaluate(context: &Context, terms: &PerfTerms) -> anyhow::Result<Evaluator> {
    let baseline = resolve(context, terms.baseline_ref.as_ref())?.and_then(|id| isolate(context, id));
    Ok(Evaluator::new(
        baseline,
        current_noise(context)?,
        context.settings()?.perf,
    ))
}

/// Creates a snapshot of a commit, from the policy checkout if it has the commit, else from the subject. The commit id
/// guarantees that the content is the same.
///
/// # Errors
/// Neither checkout has the commit, or no folder outside of the checkouts is available.
pub fn isolate(context: &Context, id: CommitId) -> Result<Arms, ArmError> {
    let has = |dir: &Path| {
        Git::at(dir)
            .output(["cat-file", "-e", &format!("{id}^{{tree}}")])
            .is_ok_and(|o| o.status.success())
    };
    let source = [&context.repo, &context.subject]
        .into_iter()
        .find(|dir| has(dir))
        .ok_or_else(|| {
            ArmError::Bad(format!(
                "neither checkout holds commit {id}; fetch it into the policy checkout"
            ))
        })?;
    let parent = state_dir().map_err(std::io::Error::other)?.join("perf");
    Arms::prepare(&parent, source, [&context.repo, &context.subject], id)
}

/// Returns the stored noise, renewed by the newer comparisons of the history.
///
/// # Errors
/// The file or the history cannot be read.
pub fn current_noise(context: &Context) -> anyhow::Result<NoiseTable> {
    let comparisons = history::read(&Git::at(&context.repo))
        .with_context(|| format!("cannot renew the noise from {}", history::REF))?;
    Ok(renewal::renewed_table(noise(context)?, &comparisons))
}

/// Returns the stored noise of the policy checkout, or an empty table if the file does not exist.
///
/// # Errors
/// The file cannot be read, or is not a noise table.
pub fn noise(context: &Context) -> anyhow::Result<NoiseTable> {
    let path = context.repo.join(paths::NOISE);
    match std::fs::read_to_string(&path) {
        Ok(text) => NoiseTable::read(&text).with_context(|| format!("cannot use {}", path.display())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(NoiseTable::default()),
        Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
}
