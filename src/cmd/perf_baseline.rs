//! What a perf gate needs before the first gate runs: which commit is the baseline, a snapshot of it, the stored noise.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cmd::context::Context;
use crate::cmd::state_dir::state_dir;
use crate::domain::ids::CommitId;
use crate::domain::noise::NoiseTable;
use crate::domain::paths;
use crate::gate::engine::PerfTerms;
use crate::git::Git;
use crate::perf::arms::{self, ArmError, Arms};
use crate::perf::judge::Judge;

/// The commit to compare with.
///
/// # Errors
/// There is none, or the ref names one that may not be compared with.
pub fn resolve(context: &Context, revision: Option<&str>) -> anyhow::Result<Result<CommitId, ArmError>> {
    let naming = context.settings()?.naming;
    let base = std::env::var("GITHUB_BASE_REF").ok().filter(|b| !b.is_empty());
    let branches: Vec<String> = std::iter::once(naming.base)
        .chain(base)
        .flat_map(|branch| {
            let remote = &naming.remote;
            [
                branch.clone(),
                format!("{remote}/{branch}"),
                format!("refs/heads/{branch}"),
                format!("refs/remotes/{remote}/{branch}"),
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

/// A judge for this run, with the baseline set apart. To be called before any code of the change runs.
///
/// # Errors
/// Settings or stored noise cannot be used.
pub fn judge(context: &Context, terms: &PerfTerms) -> anyhow::Result<Judge> {
    let baseline = resolve(context, terms.baseline_ref.as_deref())?.and_then(|id| set_apart(context, id));
    Ok(Judge::new(baseline, noise(context)?, context.settings()?.perf))
}

/// A snapshot of a commit, from the policy checkout where that has it, else from the subject: an id is the same content
/// wherever it comes from.
///
/// # Errors
/// Neither has it, or there is no place outside the checkouts.
pub fn set_apart(context: &Context, id: CommitId) -> Result<Arms, ArmError> {
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
    let parent = folder()?;
    for checkout in [&context.repo, &context.subject] {
        if checkout.canonicalize().is_ok_and(|c| parent.starts_with(c)) {
            return Err(ArmError::Bad(
                "the baseline would lie inside a checkout; set XDG_STATE_HOME to a folder outside".to_owned(),
            ));
        }
    }
    Arms::prepare(&parent, source, id)
}

/// The private folder of all comparisons.
fn folder() -> std::io::Result<PathBuf> {
    let state = state_dir().unwrap_or_else(|| std::env::temp_dir().join("nmoe-gates"));
    let folder = state.join("perf");
    crate::system::files::private_dir(&folder).map_err(std::io::Error::other)?;
    folder.canonicalize()
}

/// The stored noise of the policy checkout; empty where there is none.
///
/// # Errors
/// The file cannot be read, or is no such table.
pub fn noise(context: &Context) -> anyhow::Result<NoiseTable> {
    let path = context.repo.join(paths::NOISE);
    match std::fs::read_to_string(&path) {
        Ok(text) => NoiseTable::read(&text).with_context(|| format!("cannot use {}", path.display())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(NoiseTable::default()),
        Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
}
