//! `start --clean`: branches, worktrees and claims of merged contracts go; unmerged or uncommitted work stays, and why is said.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::Serialize;

use crate::cmd::context::{Context, Format, print, print_json};
use crate::cmd::start::site::Site;
use crate::domain::exit::Exit;
use crate::domain::ids::CommitId;
use crate::git::Git;
use crate::git::claims;
use crate::git::merge_status::{self, MergeStatus};
use crate::terminal::Text;

#[derive(Debug, Serialize)]
struct Row {
    issue: String,
    branch: String,
    worktree: Option<String>,
    removed: bool,
    why: String,
}

#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    dry_run: bool,
    branches: Vec<Row>,
    next: Vec<crate::domain::next_step::NextStep>,
}

/// A worktree as git lists it.
struct Worktree {
    path: PathBuf,
    locked: bool,
}

/// Runs `start --clean`.
pub fn run(context: &Context, site: &Site, dry_run: bool) -> anyhow::Result<Exit> {
    let _alone = site.lock()?;
    claims::fetch(&site.git, &site.naming.remote)?;
    let base = site.base()?;
    let worktrees = worktrees(&site.git)?;
    let here = std::env::current_dir().unwrap_or_default();
    let pattern = pattern(&site.naming.branch)?;
    let mut rows = Vec::new();
    let listed = site.git.text([
        "for-each-ref",
        "--format=%(objectname) %(refname:strip=2)",
        "refs/heads",
    ])?;
    for (tip, branch) in listed.lines().filter_map(|line| line.split_once(' ')) {
        let Ok(tip) = tip.parse::<CommitId>() else {
            continue;
        };
        let Some(found) = pattern.captures(branch) else {
            continue;
        };
        let issue = found["issue"].to_owned();
        let claim = claims::of(&site.git, &issue)?;
        let start = claim.as_ref().and_then(|c| c.start.as_ref());
        let worktree = worktrees.get(branch);
        let outcome = match merge_status::of_branch(&site.git, &base, &tip, start)? {
            MergeStatus::Untouched => Err("nothing was done yet".to_owned()),
            MergeStatus::Unmerged => Err("it has work that the base lacks".to_owned()),
            fate => match worktree.and_then(|tree| obstacle(tree, &here)) {
                Some(why) => Err(why),
                None => Ok(describe(&fate)),
            },
        };
        let (mut removed, mut why) = match outcome {
            Ok(why) => (true, why),
            Err(why) => (false, why),
        };
        if removed && !dry_run {
            if let Err(error) = remove(&site.git, branch, &tip, worktree) {
                (removed, why) = (false, error.to_string());
            } else if let Some(claim) = &claim {
                claims::finish(&site.git, &site.naming.remote, &issue, &claim.id)?;
            }
        }
        rows.push(Row {
            issue,
            branch: branch.to_owned(),
            worktree: worktree.map(|tree| tree.path.display().to_string()),
            removed,
            why,
        });
    }
    let report = Report {
        schema: 1,
        dry_run,
        branches: rows,
        next: Vec::new(),
    };
    if context.format == Some(Format::Json) {
        print_json(&report)?;
    } else {
        print(&human(&report))?;
    }
    Ok(Exit::Passed)
}

fn human(report: &Report) -> Text {
    let mut out = Text::new();
    for row in &report.branches {
        let word = match (row.removed, report.dry_run) {
            (true, false) => "removed",
            (true, true) => "would remove",
            (false, _) => "kept",
        };
        out.line(format_args!("{word} {}: {}", row.branch, row.why));
    }
    if report.branches.is_empty() {
        out.line("there is no branch of a contract");
    }
    out
}

fn describe(status: &MergeStatus) -> String {
    match status {
        MergeStatus::Merged => "merged".to_owned(),
        MergeStatus::Rebased => "merged by rebase".to_owned(),
        MergeStatus::Squashed(commit) => format!("squashed into {}", &commit[..commit.len().min(12)]),
        _ => "the base holds all that it changes".to_owned(),
    }
}

/// The branch pattern of the settings, read backwards.
fn pattern(branch: &str) -> anyhow::Result<Regex> {
    let text = regex::escape(branch)
        .replacen("\\{issue\\}", "(?<issue>[A-Za-z0-9.]+(?:-[A-Za-z0-9.]+)*?)", 1)
        .replacen("\\{slug\\}", "(?<slug>[A-Za-z0-9._-]+)", 1);
    Ok(Regex::new(&format!("^{text}$"))?)
}

/// Worktrees by the branch they have checked out.
fn worktrees(git: &Git) -> anyhow::Result<BTreeMap<String, Worktree>> {
    let listed = git.bytes(["worktree", "list", "--porcelain", "-z"])?;
    let text = String::from_utf8_lossy(&listed);
    Ok(text
        .split("\0\0")
        .filter_map(|entry| {
            let value = |key: &str| entry.split('\0').find_map(|line| line.strip_prefix(key));
            let branch = value("branch refs/heads/")?.to_owned();
            let path = PathBuf::from(value("worktree ")?);
            let locked = value("locked").is_some();
            Some((branch, Worktree { path, locked }))
        })
        .collect())
}

/// Why a worktree cannot go.
fn obstacle(tree: &Worktree, here: &Path) -> Option<String> {
    let shown = tree.path.display();
    if tree.locked {
        return Some(format!("its worktree {shown} is locked"));
    }
    if !tree.path.exists() {
        return None;
    }
    if here.starts_with(&tree.path) {
        return Some(format!("you are in its worktree {shown}"));
    }
    let status = Git::at(&tree.path).text([
        "status",
        "--porcelain",
        "--untracked-files=all",
        "--ignore-submodules=none",
    ]);
    match status {
        Ok(text) if text.is_empty() => None,
        Ok(_) => Some(format!("its worktree {shown} has uncommitted work")),
        Err(error) => Some(format!("its worktree {shown} cannot be looked at: {error}")),
    }
}

/// Worktree first: git itself refuses one with uncommitted work. The branch goes only while it is where it was judged.
fn remove(git: &Git, branch: &str, tip: &str, worktree: Option<&Worktree>) -> anyhow::Result<()> {
    if let Some(tree) = worktree {
        if tree.path.exists() {
            git.bytes(["worktree".as_ref(), "remove".as_ref(), tree.path.as_os_str()])?;
        } else {
            git.bytes(["worktree", "prune"])?;
        }
    }
    git.bytes(["update-ref", "-d", &format!("refs/heads/{branch}"), tip])?;
    // Its tracking settings may not exist.
    let _ = git.output(["config", "--remove-section", &format!("branch.{branch}")]);
    Ok(())
}
