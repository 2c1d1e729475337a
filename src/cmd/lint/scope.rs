//! `lint scope`: what a diff changes, held against a contract's scope and knobs. Gathers the diff; the lint judges it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::cmd::context::Context;
use crate::cmd::policy;
use crate::cmd::print_findings;
use crate::domain::contract::Contract;
use crate::domain::exit::Exit;
use crate::domain::finding::Finding;
use crate::domain::ids::CommitId;
use crate::domain::settings::Naming;
use crate::git::Git;
use crate::git::diff::{self, Change, Kind};
use crate::lint::scope::Judge;
use crate::lint::scope::knobs::{self, Config, Keys};

/// Arguments of `lint scope`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Contract: an issue body or a bare YAML file, `-` for standard input; in a worktree made by `start`, that contract.
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// Commit that the change is compared with; the settings' base branch where absent.
    #[arg(long, value_name = "REV", conflicts_with = "cached")]
    base: Option<String>,
    /// Commit that holds the change; HEAD where absent.
    #[arg(long, value_name = "REV", conflicts_with = "cached")]
    head: Option<String>,
    /// Judge what is staged against HEAD: what a commit hook needs.
    #[arg(long)]
    cached: bool,
}

/// Where `start` keeps the contract of a worktree: inside its git directory, where no commit picks it up.
pub const KEPT_CONTRACT: &str = "nmoe-gates/contract.md";

/// The contract that `start` kept for this worktree, if it did.
pub fn kept_contract(git: &Git) -> Option<PathBuf> {
    let path = git
        .text(["rev-parse", "--path-format=absolute", "--git-path", KEPT_CONTRACT])
        .ok()?;
    Some(PathBuf::from(path)).filter(|path| path.is_file())
}

/// Runs `lint scope`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    context.format(&print_findings::FORMATS)?;
    let findings = findings(context, args)?;
    print_findings::print_all(context, &[], &findings)
}

fn findings(context: &Context, args: &Args) -> anyhow::Result<Vec<Finding>> {
    let git = Git::at(&context.subject);
    let contract = match args.contract.clone().or_else(|| kept_contract(&git)) {
        Some(path) => policy::contract(&path)?.value,
        None => bail!("which contract? Name its file with `--contract FILE`"),
    };
    if args.cached {
        let head = git.commit("HEAD")?;
        // Before the first commit everything staged is new.
        let against = head.as_deref().unwrap_or(EMPTY_TREE);
        let changes = diff::staged(&git, against)?;
        return judge(&git, &contract, &changes, against);
    }
    let head = known(&git, args.head.as_deref().unwrap_or("HEAD"))?;
    let base = match &args.base {
        Some(base) => known(&git, base)?,
        None => base_of(&git, &context.settings()?.naming)?,
    };
    between(&git, &contract, &base, &head)
}

/// Judges what a change did since it left its base.
pub fn between(git: &Git, contract: &Contract, base: &str, head: &str) -> anyhow::Result<Vec<Finding>> {
    let fork = fork(git, base, head)?;
    let changes = diff::between(git, &fork, head, false)?;
    judge(git, contract, &changes, &fork)
}

const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// The commit of a revision that the user named.
pub fn known(git: &Git, revision: &str) -> anyhow::Result<CommitId> {
    match git.commit(revision)? {
        Some(id) => Ok(id),
        None => bail!("there is no commit `{revision}` here; fetch it, or correct the name"),
    }
}

/// The branch that work starts from: the remote's, else the local one.
pub fn base_of(git: &Git, naming: &Naming) -> anyhow::Result<CommitId> {
    let remote = format!("refs/remotes/{}/{}", naming.remote, naming.base);
    for name in [&remote, &format!("refs/heads/{}", naming.base)] {
        if let Some(id) = git.commit(name)? {
            return Ok(id);
        }
    }
    bail!(
        "there is no base branch `{}` here; name it with `--base REV`, or set `naming.base` in the settings",
        naming.base
    )
}

/// Where two commits parted.
pub fn fork(git: &Git, base: &str, head: &str) -> anyhow::Result<CommitId> {
    git.id(["merge-base", base, head])
        .with_context(|| format!("{base} and {head} have no common history; fetch more of it"))
}

/// Judges changes since a commit.
pub fn judge(
    git: &Git,
    contract: &Contract,
    changes: &[Change],
    since: &str,
) -> anyhow::Result<Vec<Finding>> {
    let judge = Judge::new(&contract.scope);
    let mut findings = Vec::new();
    let mut elsewhere = None;
    for change in changes {
        let target = match change.new.kind {
            Kind::Link if !change.same_content() || change.renamed() => {
                Some(diff::blob(git, &change.new.id)?)
            }
            _ => None,
        };
        findings.extend(judge.check(change, target.as_deref()));
        let path = change.new.shown();
        match knobs::is_config(&path) {
            Config::Foreign if change.new.kind != Kind::Absent && !change.same_content() => {
                findings.push(knobs::foreign(&path));
            }
            Config::Toml if !change.same_content() => {
                let old = text(git, change.old.kind, &change.old.id)?.filter(|_| !change.copied);
                let new = text(git, change.new.kind, &change.new.id)?;
                if old.is_none() && elsewhere.is_none() {
                    elsewhere = Some(all_keys(git, since)?);
                }
                let nowhere = BTreeSet::new();
                let file = knobs::File {
                    path: &path,
                    old: old.as_deref(),
                    new: new.as_deref(),
                    elsewhere: elsewhere.as_ref().unwrap_or(&nowhere),
                };
                findings.extend(knobs::check(&contract.contract.knobs, &file));
            }
            _ => {}
        }
    }
    Ok(findings)
}

fn text(git: &Git, kind: Kind, id: &str) -> anyhow::Result<Option<String>> {
    Ok(match kind {
        Kind::File | Kind::Executable => Some(String::from_utf8_lossy(&diff::blob(git, id)?).into_owned()),
        _ => None,
    })
}

/// The keys of every configuration file of a commit.
fn all_keys(git: &Git, commit: &str) -> anyhow::Result<BTreeSet<String>> {
    let listed = git.bytes(["ls-tree", "-r", "-z", commit])?;
    let mut keys = BTreeSet::new();
    for line in String::from_utf8_lossy(&listed).split_terminator('\0') {
        let Some((head, path)) = line.split_once('\t') else {
            continue;
        };
        let mut words = head.split(' ');
        let (Some(mode), Some("blob"), Some(id)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if mode != "120000" && knobs::is_config(path) == Config::Toml {
            let text = String::from_utf8_lossy(&diff::blob(git, id)?).into_owned();
            // A file of the base that cannot be read has no keys to offer.
            let read = Keys::read(&text).unwrap_or_default();
            keys.extend(read.names().map(str::to_owned));
        }
    }
    Ok(keys)
}
