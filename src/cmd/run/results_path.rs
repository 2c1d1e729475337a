//! Finds the path of the results and the journal: where the user says, or in a private folder per checkout. Never inside a
//! checkout.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::cmd::context::Context;
use crate::cmd::state_dir::state_dir;
use crate::system::digest::sha256;

/// Resolves `..` in a path to an existing folder, so that printed paths are short.
fn without_dots(path: PathBuf) -> PathBuf {
    let has_dots = path.components().any(|part| part == Component::ParentDir);
    let Some((folder, file)) = path.parent().zip(path.file_name()).filter(|_| has_dots) else {
        return path;
    };
    folder
        .canonicalize()
        .map(|folder| folder.join(file))
        .unwrap_or(path)
}

/// Returns the path that the user named, or the default path of this checkout.
pub fn results_path(context: &Context, named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = match named.filter(|p| !p.as_os_str().is_empty()) {
        Some(path) => without_dots(std::path::absolute(path)?),
        None => default_results(&context.subject)?,
    };
    if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        bail!(
            "cannot write --results {}: it is not the path of a file",
            path.display()
        );
    }
    let dir = path.parent().unwrap_or(Path::new("/"));
    let there = dir
        .ancestors()
        .find_map(|d| d.canonicalize().ok())
        .unwrap_or_default();
    for checkout in [&context.repo, &context.subject] {
        if work_tree(checkout).is_some_and(|root| there.starts_with(root)) {
            bail!(
                "the results must be outside of every checkout, because the code under test could replace them there: {} is inside {}; \
                 name another path, or omit --results to use a private folder",
                path.display(),
                checkout.display()
            );
        }
    }
    Ok(path)
}

/// Returns the default path of the results: one private folder per checkout.
pub fn default_results(subject: &Path) -> anyhow::Result<PathBuf> {
    let state = state_dir().context("cannot choose a results file")?;
    let subject = subject
        .canonicalize()
        .with_context(|| format!("cannot find the checkout {}", subject.display()))?;
    let digest = sha256(subject.as_os_str().as_encoded_bytes());
    Ok(state.join(&digest[..16]).join("results.json"))
}

/// Returns the root of the git work tree that contains a folder.
fn work_tree(dir: &Path) -> Option<PathBuf> {
    let dir = dir.canonicalize().ok()?;
    dir.ancestors()
        .find(|d| d.join(".git").exists())
        .map(Path::to_owned)
}
