//! `kernels collectives`: finds NCCL all-to-all calls on the MoE path, in sources, in a diff, and in libraries.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ignore::WalkBuilder;

use crate::cmd::context::Context;
use crate::cmd::help::{self, Help};
use crate::cmd::print_findings;
use crate::document::Source;
use crate::domain::exit::Exit;
use crate::domain::finding::{Finding, Severity};
use crate::domain::ids::CommitId;
use crate::domain::path_pattern::PathPattern;
use crate::git::Git;
use crate::git::codes::UNREAD_FILE;
use crate::kernel::codes::{MOE_ALL_TO_ALL, MOE_PATH_EMPTY};
use crate::kernel::collectives::{in_change, is_source, scan, used_by};
use crate::kernel::snapshot::Snapshot;
use cuda_inspect::arch::Arch;
use cuda_inspect::inspect::inspect;

/// Maximum size of a source file, in bytes.
const LARGEST: u64 = 4 << 20;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &print_findings::FORMATS,
    codes: help::CHECKS,
    variables: help::OF_TERMINAL,
    examples: &[
        "kernels collectives",
        "kernels collectives --diff origin/master..HEAD",
    ],
};

/// Arguments of `kernels collectives`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Check the imports of these libraries too.
    #[arg(value_name = "LIB")]
    libraries: Vec<PathBuf>,
    /// Check the lines that HEAD adds since it left BASE too, in every source. Findings outside of the MoE path are warnings.
    #[arg(long, value_name = "BASE..HEAD")]
    diff: Option<String>,
}

/// Runs `kernels collectives`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let (mut documents, mut found) = (Vec::new(), Vec::new());
    let path = context.settings()?.moe.path;
    for source in sources(&context.subject, &path)? {
        found.extend(scan(&source, Severity::Error, |_, _| true));
        documents.push(source);
    }
    if documents.is_empty() && !path.is_empty() {
        let written: Vec<&str> = path.iter().map(PathPattern::written).collect();
        let message = format!("no source matches the MoE path ({})", written.join(", "));
        let help = "set `moe.path` in configs/nmoe-gates.toml to the files in which experts exchange rows";
        found.push(Finding::new(&MOE_PATH_EMPTY, message).help(help));
    }
    if let Some(range) = &args.diff {
        let (base, head) = ends(&context.subject, range)?;
        for (source, findings) in in_change(&Git::at(&context.subject), &base, &head, &path)? {
            // The files of the MoE path were already scanned completely, unless git cannot read what was committed.
            let is_scanned = path.iter().any(|p| p.matches(source.name().unwrap_or_default()));
            let is_unread = findings.iter().any(|finding| finding.code == &UNREAD_FILE);
            if is_unread || !is_scanned {
                found.extend(findings);
                documents.push(source);
            }
        }
    }
    for library in &args.libraries {
        let snapshot = Snapshot::take(library)
            .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", library.display()))?;
        let inspection = inspect(snapshot.bytes(), Arch::SM_100A, &[]);
        for name in used_by(&inspection) {
            let message = format!("this library uses `{}`", name);
            found.push(Finding::new(&MOE_ALL_TO_ALL, message).in_path(library.display().to_string()));
        }
    }
    print_findings::print_all(context, &documents, &found)
}

/// Reads the sources of the MoE path in order. Does not follow links.
fn sources(subject: &Path, path: &[PathPattern]) -> anyhow::Result<Vec<Source>> {
    let start = |pattern: &PathPattern| match pattern.is_wild() {
        true => pattern.folder().to_owned(),
        false => pattern.as_str().to_owned(),
    };
    let starts: BTreeSet<String> = path.iter().map(start).collect();
    let mut found: Vec<Source> = Vec::new();
    for folder in starts.iter().map(|start| subject.join(start)) {
        if !folder.exists() {
            continue;
        }
        for entry in WalkBuilder::new(&folder)
            .follow_links(false)
            .standard_filters(false)
            .filter_entry(|entry| entry.file_name() != ".git")
            .sort_by_file_path(Ord::cmp)
            .build()
        {
            let entry = entry?;
            let relative = entry.path().strip_prefix(subject).unwrap_or(entry.path());
            let name = relative.display().to_string();
            let small = entry.metadata().is_ok_and(|m| m.is_file() && m.len() <= LARGEST);
            if small
                && path
                    .iter()
                    .any(|p| p.matches(relative.as_os_str().as_encoded_bytes()))
                && is_source(&name)
            {
                let bytes = std::fs::read(entry.path()).with_context(|| format!("cannot read {name}"))?;
                found.push(Source::new(Some(name), String::from_utf8_lossy(&bytes)));
            }
        }
    }
    found.sort_by(|a, b| a.name().cmp(&b.name()));
    found.dedup_by(|a, b| a.name() == b.name());
    Ok(found)
}

/// Returns the commits at both ends of a range.
fn ends(subject: &Path, range: &str) -> anyhow::Result<(CommitId, CommitId)> {
    let git = Git::at(subject);
    let (base, head) = range
        .split_once("...")
        .or_else(|| range.split_once(".."))
        .context("cannot read --diff: it is not a range\nhelp: write it as BASE..HEAD")?;
    let commit = |name: &str| -> anyhow::Result<CommitId> {
        git.commit(name)?
            .with_context(|| format!("cannot read --diff: `{name}` is not a commit of this repository"))
    };
    Ok((commit(base)?, commit(head)?))
}
