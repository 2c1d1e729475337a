//! `lint safety`: scans files, folders, standard input or a range of commits for what must not be public.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context as _;
use anyhow::anyhow;
use anyhow::bail;
use leakscan::scan::Options;
use leakscan::scan_files;
use leakscan::scan_files::Progress;
use leakscan::scan_files::scan_files;

use crate::cmd::context::say;
use crate::cmd::context::{self, Context};
use crate::cmd::help::{self, Help};
use crate::cmd::lint::scope;
use crate::cmd::print_findings;
use crate::domain::exit::Exit;
use crate::domain::ids::CommitId;
use crate::domain::messages::counted;
use crate::git::Git;
use crate::git::diff;
use crate::git::snapshot;
use crate::leaks::baseline::Baseline;
use crate::leaks::finding;
use crate::leaks::finding::LeakFinding;
use crate::leaks::private_terms;
use crate::leaks::scan_diff::{Range, RangeLeaks, Rules, scan_diff};
use crate::leaks::suppression::Suppressions;
use crate::policy::Revision;
use crate::system::{files, links};

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &print_findings::FORMATS,
    codes: help::CHECKS,
    variables: help::OF_SCAN,
    examples: &[
        "lint safety",
        "lint safety --cached",
        "lint safety --diff origin/master..HEAD",
    ],
};

/// Arguments of `lint safety`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scan these files and folders; `-` is standard input (default: the checkout under test).
    #[arg(value_name = "PATH", conflicts_with = "diff")]
    paths: Vec<PathBuf>,
    /// Scan only what these commits add: the lines of each commit, file names, messages, identities and the branch name.
    #[arg(long, value_name = "BASE..HEAD")]
    diff: Option<String>,
    /// Scan only what the staged changes add, for a commit hook.
    #[arg(long, conflicts_with_all = ["paths", "diff"])]
    cached: bool,
    /// Accept the known leaks of this file. Entries that are gone are findings.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write the current leaks to this baseline, instead of failing on them.
    #[arg(long, value_name = "FILE", conflicts_with = "baseline")]
    write_baseline: Option<PathBuf>,
}

/// The result of a scan.
struct Scanned {
    placed: Vec<LeakFinding>,
    documents: usize,
    unreadable: usize,
    /// Why nothing was changed, if so.
    unchanged: Option<&'static str>,
}

/// Runs `lint safety`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    context.format(HELP.formats)?;
    let options = private_terms::options(context::variable)?;
    let range = args.diff.as_deref().map(|range| Named::read(context, range));
    let range = range.transpose()?;
    // The change itself cannot accept its leaks, so settings and baseline come from the commit before it.
    let policy = Git::at(&context.repo);
    let settings = match &range {
        Some(range) if top(&policy) == top(&range.git) => {
            Revision::Commit(&policy, &range.base).settings()?.safety
        }
        _ => context.settings()?.safety,
    };
    let suppressions = Suppressions::today(&settings.allow)?;
    let baseline_path = args
        .baseline
        .clone()
        .or_else(|| settings.baseline.map(|path| context.repo.join(path)));
    let read = baseline_path.as_ref().filter(|_| args.write_baseline.is_none());
    let mut baseline = match read {
        Some(path) => {
            let text = match &range {
                Some(range) => range.baseline(path),
                None => std::fs::read_to_string(path).map_err(Into::into),
            };
            let text = text.with_context(|| format!("cannot read the baseline {}", path.display()))?;
            Baseline::parse(&text).map_err(|e| anyhow!("cannot read the baseline {}: {e}", path.display()))?
        }
        None => Baseline::default(),
    };

    let scanned = match &range {
        _ if args.cached => in_index(context, &options)?,
        Some(range) => in_range(range, &options)?,
        None => in_files(context, &args.paths, &options)?,
    };
    let nothing = scanned.documents == 0 && scanned.unreadable == 0;
    if nothing && args.paths.iter().all(|path| path.is_dir()) {
        let subject = std::slice::from_ref(&context.subject);
        let named = if args.paths.is_empty() {
            subject
        } else {
            &args.paths
        };
        let folders: Vec<_> = named.iter().map(|path| path.display().to_string()).collect();
        bail!(
            "cannot lint {}: no file below it can be scanned",
            folders.join(", ")
        );
    }
    let kept: Vec<LeakFinding> = scanned
        .placed
        .into_iter()
        .filter(|placed| !suppressions.matches(placed))
        .collect();
    if let Some(path) = &args.write_baseline {
        let unlisted: usize = kept.iter().map(|placed| placed.stands_for).sum();
        if unlisted > 0 {
            bail!(
                "cannot write {}: a scan does not list all leaks of so large a text or folder, and {unlisted} would be missing\nhelp: scan less at once, and join the baselines",
                path.display()
            );
        }
        files::rewrite(path, Baseline::write(&kept).as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
        let known = kept.iter().filter(|placed| placed.fingerprint.is_some());
        context.note(format_args!(
            "wrote {} known leaks to {}",
            known.count(),
            path.display()
        ));
        return Ok(Exit::Passed);
    }
    let everything = args.diff.is_none() && args.paths.is_empty() && !args.cached;
    let mut findings: Vec<_> = kept
        .into_iter()
        .filter(|placed| !baseline.contains(placed))
        .map(|placed| placed.finding)
        .collect();
    findings.extend(suppressions.findings(everything));
    if let Some(path) = baseline_path.filter(|_| everything) {
        findings.extend(baseline.findings(&path.to_string_lossy()));
    }
    if let Some(why) = scanned.unchanged {
        return print_findings::print_unchanged(context, scanned.documents, &findings, why);
    }
    let exit = print_findings::print_count(context, &[], scanned.documents, &findings)?;
    if scanned.unreadable > 0 {
        bail!("cannot read {}", counted(scanned.unreadable, "file"));
    }
    Ok(exit)
}

/// The range of `--diff`.
struct Named {
    git: Git,
    base: CommitId,
    head: CommitId,
    branch: String,
}

impl Named {
    fn read(context: &Context, range: &str) -> anyhow::Result<Self> {
        let git = Git::at(&context.subject);
        let (base, head) = range
            .split_once("...")
            .or_else(|| range.split_once(".."))
            .unwrap_or((range, "HEAD"));
        let commit = |revision: &str| -> anyhow::Result<CommitId> {
            let revision = if revision.is_empty() { "HEAD" } else { revision };
            git.commit(revision)?.ok_or_else(|| {
                anyhow!(
                    "cannot read --diff: `{revision}` is not a commit of {}",
                    context.subject.display()
                )
            })
        };
        let (base, last) = (commit(base)?, commit(head)?);
        // A branch is named in the range, or is the current one.
        let branch = match head {
            "" | "HEAD" => git.text(["branch", "--show-current"])?,
            named => named.to_owned(),
        };
        Ok(Named {
            git,
            base,
            head: last,
            branch,
        })
    }

    /// Returns the text of a baseline. The change can write to a file of its checkout, so such a file is read from the base.
    fn baseline(&self, path: &Path) -> anyhow::Result<String> {
        let top = top(&self.git);
        let path = links::resolve_outside(&top, path)?;
        let Ok(name) = path.strip_prefix(&top) else {
            return Ok(std::fs::read_to_string(path)?);
        };
        let mut blob = OsString::from(format!("{}:./", self.base));
        blob.push(name);
        // A baseline that the change adds accepts nothing.
        let stored = Git::at(&top).output([OsStr::new("cat-file"), OsStr::new("blob"), &blob])?;
        Ok(String::from_utf8_lossy(&stored.stdout).into_owned())
    }
}

/// Returns the top folder of the checkout, which a change can fill with files; the folder itself without a checkout.
fn top(git: &Git) -> PathBuf {
    let named = git.top().unwrap_or_else(|_| git.dir().to_owned());
    std::fs::canonicalize(&named).unwrap_or(named)
}

/// Scans what a range of commits adds. A suppression of the range itself is a proposal.
fn in_range(named: &Named, options: &Options) -> anyhow::Result<Scanned> {
    let strict = private_terms::strict_options(context::variable)?;
    let range = Range {
        git: &named.git,
        base: &named.base,
        head: &named.head,
        branch: Some(&named.branch),
    };
    let rules = Rules {
        open: options,
        strict: &strict,
    };
    let RangeLeaks { found, proposed } = scan_diff(range, rules)?;
    let commits = format!("{}..{}", named.base, named.head);
    let is_empty = named.git.text(["rev-list", "--count", &commits])? == "0";
    Ok(Scanned {
        placed: found.into_iter().chain(proposed).collect(),
        documents: 1,
        unreadable: 0,
        unchanged: is_empty.then_some("the range of --diff has no commits"),
    })
}

/// Scans what the staged changes add: the content of the index, not of the working tree.
fn in_index(context: &Context, options: &Options) -> anyhow::Result<Scanned> {
    let staged = snapshot::of_index(&scope::staged_in(Git::at(&context.subject)))?;
    let range = Range {
        git: &staged.git,
        base: &staged.parent,
        head: &staged.commit,
        branch: None,
    };
    let rules = Rules {
        open: options,
        strict: options,
    };
    let is_empty = diff::between(&staged.git, &staged.parent, &staged.commit, false)?.is_empty();
    Ok(Scanned {
        placed: scan_diff(range, rules)?.found,
        documents: 1,
        unreadable: 0,
        unchanged: is_empty.then_some(scope::NOTHING_STAGED),
    })
}

/// Scans files, folders and standard input.
fn in_files(context: &Context, paths: &[PathBuf], options: &Options) -> anyhow::Result<Scanned> {
    let mut paths = if paths.is_empty() {
        let subject = &context.subject;
        // Only a directory without `.git` can be a bare repository.
        if !subject.join(".git").exists() && Git::at(subject).is_without_work_tree() {
            bail!(
                "cannot scan {}: it is a bare repository or git's own folder\nhelp: name files, or a checkout with --subject DIR",
                subject.display()
            );
        }
        vec![subject.clone()]
    } else {
        paths.to_vec()
    };
    let before = paths.len();
    paths.retain(|path| path.as_os_str() != "-");
    let mut placed = Vec::new();
    let progress = Progress::default();
    let stdin = usize::from(paths.len() < before);
    if stdin > 0 {
        let read = watched(context, &progress, || {
            scan_files::scan_reader(std::io::stdin().lock(), options, &progress)
        });
        for mut found in finding::of_file("", read.context("cannot read standard input")?) {
            found.finding.path = None;
            placed.push(found);
        }
    }
    for path in &paths {
        std::fs::symlink_metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    let tracked = paths
        .iter()
        .filter(|path| path.is_dir())
        .flat_map(tracked_but_ignored)
        .collect();
    let outcome = watched(context, &progress, || {
        scan_files(&context.subject, &paths, tracked, options, &progress)
    });
    for (path, error) in &outcome.unreadable {
        say(format_args!("cannot read {}: {error}", path.display()));
    }
    for (path, report) in outcome.reports {
        placed.extend(finding::of_file(&path, report));
    }
    placed.extend(finding::of_rest(&outcome.rest));
    let files = progress.files.load(Ordering::Relaxed);
    Ok(Scanned {
        placed,
        documents: usize::try_from(files).unwrap_or(usize::MAX) + stdin,
        unreadable: outcome.unreadable.len(),
        unchanged: None,
    })
}

/// Lists the files that git tracks and also ignores. The list is empty without git or outside of a checkout.
fn tracked_but_ignored(dir: &PathBuf) -> Vec<PathBuf> {
    let listed = Git::at(dir)
        .name_texts(["ls-files", "-z", "--cached", "--ignored", "--exclude-standard"])
        .unwrap_or_default();
    listed
        .into_iter()
        .map(|name| dir.join(name))
        .filter(|path| path.is_file())
        .collect()
}

/// Runs long work, and prints the progress every few seconds.
fn watched<T>(context: &Context, progress: &Progress, work: impl FnOnce() -> T) -> T {
    let quiet = context.verbosity < 0;
    std::thread::scope(|scope| {
        let (done, waiting) = mpsc::channel::<()>();
        scope.spawn(move || {
            let terminal = std::io::stderr().is_terminal();
            let pause = Duration::from_secs(if terminal { 1 } else { 10 });
            while !quiet && waiting.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                let files = progress.files.load(Ordering::Relaxed);
                let megabytes = progress.bytes.load(Ordering::Relaxed) / 1_000_000;
                say(format_args!("… {files} files, {megabytes} MB so far"));
            }
        });
        let outcome = work();
        drop(done);
        outcome
    })
}
