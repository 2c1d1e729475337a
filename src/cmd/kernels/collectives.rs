//! `kernels collectives`: no NCCL all-to-all where rows go between experts, in sources, in a diff, in libraries.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ignore::WalkBuilder;

use crate::cmd::context::Context;
use crate::cmd::present;
use crate::document::Source;
use crate::git::Git;
use crate::kernel::codes::MOE_ALL_TO_ALL;
use crate::kernel::collectives::{imported, is_source, moe_path, scan};
use crate::kernel::inspect::{Arch, inspect};
use crate::kernel::snapshot::Snapshot;
use crate::model::exit::Exit;
use crate::model::finding::{Finding, Severity};

/// Largest source that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// Arguments of `kernels collectives`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Libraries whose imports are looked at too.
    #[arg(value_name = "LIB")]
    libraries: Vec<PathBuf>,
    /// Look at added lines of every source of this diff too; outside the MoE path they are warnings.
    #[arg(long, value_name = "BASE..HEAD")]
    diff: Option<String>,
}

/// Runs `kernels collectives`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let (mut documents, mut found) = (Vec::new(), Vec::new());
    let path = moe_path();
    for source in sources(&context.subject)? {
        found.extend(scan(&source, Severity::Error, None));
        documents.push(source);
    }
    if let Some(range) = &args.diff {
        for (source, lines) in changed(&context.subject, range)? {
            let name = source.name().unwrap_or_default();
            if !path.is_match(name) {
                found.extend(scan(&source, Severity::Warning, Some(&lines)));
                documents.push(source);
            }
        }
    }
    for library in &args.libraries {
        let snapshot =
            Snapshot::take(library).map_err(|error| anyhow::anyhow!("{}: {error}", library.display()))?;
        let inspection = inspect(snapshot.bytes(), Arch::SM_100A, &[]);
        for name in imported(&inspection.imports) {
            let message = format!("it imports `{}`", name.escape_debug());
            found.push(Finding::new(&MOE_ALL_TO_ALL, message).in_path(library.display().to_string()));
        }
    }
    present::findings(context, &documents, &found)
}

/// The sources of the MoE path, in order; links are not followed.
fn sources(subject: &Path) -> anyhow::Result<Vec<Source>> {
    let path = moe_path();
    let mut found = Vec::new();
    for folder in ["nmoe", "nmoe-csrc"].map(|name| subject.join(name)) {
        if !folder.is_dir() {
            continue;
        }
        for entry in WalkBuilder::new(&folder)
            .follow_links(false)
            .standard_filters(false)
            .sort_by_file_path(Ord::cmp)
            .build()
        {
            let entry = entry?;
            let relative = entry.path().strip_prefix(subject).unwrap_or(entry.path());
            let name = relative.display().to_string();
            let small = entry.metadata().is_ok_and(|m| m.is_file() && m.len() <= LARGEST);
            if small && path.is_match(relative) && is_source(&name) {
                let bytes = std::fs::read(entry.path()).with_context(|| format!("cannot read {name}"))?;
                found.push(Source::new(Some(name), String::from_utf8_lossy(&bytes)));
            }
        }
    }
    Ok(found)
}

/// The sources that a diff adds lines to, as they are at its head, and those lines.
fn changed(subject: &Path, range: &str) -> anyhow::Result<Vec<(Source, Vec<Range<u32>>)>> {
    let git = Git::at(subject);
    let (base, head) = range.split_once("..").context("write --diff as BASE..HEAD")?;
    let commit = |name: &str| -> anyhow::Result<String> {
        git.commit(name)?
            .with_context(|| format!("`{name}` names no commit"))
    };
    let (base, head) = (commit(base)?, commit(head)?);
    let plain = ["--no-ext-diff", "--no-renames", "--no-color"];
    let listed = git.bytes(
        ["diff", "--name-only", "-z", "--diff-filter=AM"]
            .into_iter()
            .chain(plain)
            .chain([base.as_str(), head.as_str()]),
    )?;
    let mut found = Vec::new();
    for name in listed
        .split(|b| *b == 0)
        .filter_map(|name| std::str::from_utf8(name).ok())
        .filter(|n| is_source(n))
    {
        let text = git.bytes(["show", &format!("{head}:{name}")])?;
        let hunks = git.bytes(["diff", "--unified=0"].into_iter().chain(plain).chain([
            base.as_str(),
            head.as_str(),
            "--",
            name,
        ]))?;
        let source = Source::new(Some(name.to_owned()), String::from_utf8_lossy(&text));
        found.push((source, added(&String::from_utf8_lossy(&hunks))));
    }
    Ok(found)
}

/// The added lines of a diff without context: `@@ -a,b +start,count @@`.
fn added(diff: &str) -> Vec<Range<u32>> {
    diff.lines()
        .filter_map(|line| {
            let plus = line
                .strip_prefix("@@ ")?
                .split(' ')
                .find_map(|word| word.strip_prefix('+'))?;
            let (start, count) = plus.split_once(',').unwrap_or((plus, "1"));
            let (start, count): (u32, u32) = (start.parse().ok()?, count.parse().ok()?);
            Some(start..start.saturating_add(count))
        })
        .collect()
}
