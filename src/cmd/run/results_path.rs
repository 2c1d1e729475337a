//! Where results and journal are: where the user says, or in a private folder of the checkout's own; never inside a checkout.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};

use crate::cmd::context::Context;
use crate::cmd::state_dir::state_dir;
use crate::system::digest::sha256;

/// Where results go: where the user says, or where this checkout's results always are.
pub fn results_path(context: &Context, named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = match named.filter(|p| !p.as_os_str().is_empty()) {
        Some(path) => std::path::absolute(path)?,
        None => default_results(&context.subject)?,
    };
    if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        bail!("--results {} names no file", path.display());
    }
    let dir = path.parent().unwrap_or(Path::new("/"));
    let there = dir
        .ancestors()
        .find_map(|d| d.canonicalize().ok())
        .unwrap_or_default();
    for checkout in [&context.repo, &context.subject] {
        if work_tree(checkout).is_some_and(|root| there.starts_with(root)) {
            bail!(
                "results and journal never lie inside a checkout, where the code under test can put its own: {} is inside {}; \
                 name a path elsewhere, or leave --results away for a private one",
                path.display(),
                checkout.display()
            );
        }
    }
    Ok(path)
}

/// Where the results of a checkout are when nobody says otherwise: one private folder for each checkout.
pub fn default_results(subject: &Path) -> anyhow::Result<PathBuf> {
    let state = state_dir().ok_or_else(|| {
        anyhow!("neither XDG_STATE_HOME nor HOME is set; name the results file with --results FILE")
    })?;
    let subject = subject
        .canonicalize()
        .with_context(|| format!("cannot find the checkout {}", subject.display()))?;
    let digest = sha256(subject.as_os_str().as_encoded_bytes());
    Ok(state.join(&digest[..16]).join("results.json"))
}

/// The top of the git work tree that a folder is in.
fn work_tree(dir: &Path) -> Option<PathBuf> {
    let dir = dir.canonicalize().ok()?;
    dir.ancestors()
        .find(|d| d.join(".git").exists())
        .map(Path::to_owned)
}
