//! `images`: prints which images a change must rebuild (base, train, runner), in which order, and why.

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::cmd::context::{Context, Format, print, print_json};
use crate::cmd::help::{self, Help};
use crate::cmd::print_findings;
use crate::document::Source;
use crate::domain::exit::Exit;
use crate::domain::finding::{Finding, FindingJson};
use crate::domain::ids::CommitId;
use crate::domain::next_step::{NextStep, Who};
use crate::domain::settings::Image;
use crate::git::Git;
use crate::git::diff;
use crate::git::revisions;
use crate::plan::dockerfile;
use crate::plan::images::{self, Decision};
use crate::report;
use crate::terminal::Text;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::CHECKS,
    variables: help::OF_EVENT_FILE,
    examples: &["images", "images --base origin/master --head HEAD"],
};

/// Arguments of `images`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Compare with this commit. Needs --head (default: both commits of the push event of the running workflow).
    #[arg(long, value_name = "REV", requires = "head")]
    base: Option<String>,
    /// Use this commit as the end of the change. Needs --base.
    #[arg(long, value_name = "REV", requires = "base")]
    head: Option<String>,
}

/// What `images` prints with `--format json`.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    base: Option<CommitId>,
    head: CommitId,
    /// Names of the images to build, in order.
    rebuild: Vec<String>,
    images: Vec<Decision>,
    /// Files that a Dockerfile copies and that do not rebuild its image.
    findings: Vec<FindingJson>,
    next: Vec<NextStep>,
}

/// The part of a push event that names the commits.
#[derive(Deserialize)]
struct Push {
    before: String,
    after: String,
}

/// Runs `images`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(HELP.formats)?;
    let git = Git::at(&context.subject);
    let (base, head) = match (&args.base, &args.head) {
        (Some(base), Some(head)) => (Some(revisions::known(&git, base)?), revisions::known(&git, head)?),
        _ => pushed(&git)?,
    };
    let chain = context.settings()?.images.0;
    let images = match &base {
        // Compare both ends of the push directly. A merge base would hide changes after a forced push.
        Some(base) => images::decide(&chain, &diff::between(&git, base, &head, false)?),
        None => images::all(&chain, "there is no earlier commit to compare with"),
    };
    let (dockerfiles, findings) = unlisted(&git, &head, &chain)?;
    let rebuild: Vec<String> = images
        .iter()
        .filter(|i| i.rebuild)
        .map(|i| i.name.clone())
        .collect();
    let next = if rebuild.is_empty() {
        Vec::new()
    } else {
        let what = format!("build {}, in this order", rebuild.join(", "));
        vec![NextStep::run(
            Who::Maintainer,
            what,
            ["gh", "workflow", "run", "build-runner.yml"],
        )]
    };
    let report = Report {
        schema: 1,
        base,
        head,
        rebuild,
        images,
        findings: report::findings::report(&findings, dockerfiles.len()).findings,
        next,
    };
    if format == Format::Json {
        print_json(&report)?;
    } else {
        let mut out = Text::new();
        for image in &report.images {
            let word = if image.rebuild { "rebuild" } else { "keep" };
            out.wrapped(
                format_args!("{word:<7} {:<8} {}", image.name, image.why.join("; ")),
                17,
            );
        }
        print(&out)?;
        if !findings.is_empty() {
            print_findings::print_all(context, &dockerfiles, &findings)?;
        }
    }
    Ok(print_findings::exit(&findings))
}

/// Checks what the Dockerfiles of the images copy. Returns the Dockerfiles and the findings.
fn unlisted(git: &Git, head: &CommitId, chain: &[Image]) -> anyhow::Result<(Vec<Source>, Vec<Finding>)> {
    let files = git.name_texts(["ls-tree", "-r", "-z", "--name-only", "--full-tree", &**head])?;
    let (mut dockerfiles, mut findings) = (Vec::new(), Vec::new());
    for image in chain {
        let is_dockerfile = |path: &&String| {
            let name = path.rsplit('/').next().unwrap_or_default();
            name.contains("Dockerfile") && image.files.iter().any(|pattern| pattern.matches(path))
        };
        for path in files.iter().filter(is_dockerfile) {
            let text = git.bytes(["cat-file", "blob", &format!("{head}:{path}")])?;
            let source = Source::new(Some(path.clone()), String::from_utf8_lossy(&text));
            findings.extend(dockerfile::unlisted(image, &source, &files));
            dockerfiles.push(source);
        }
    }
    Ok((dockerfiles, findings))
}

/// Returns the commits of the push that started the workflow. The first is absent if the branch is new.
fn pushed(git: &Git) -> anyhow::Result<(Option<CommitId>, CommitId)> {
    let Some(path) = std::env::var_os("GITHUB_EVENT_PATH") else {
        bail!("cannot find the change: GITHUB_EVENT_PATH is not set\nhelp: pass `--base REV --head REV`");
    };
    let text = std::fs::read_to_string(path).context("cannot read the event of the workflow")?;
    let push: Push = serde_json::from_str(&text).context(
        "cannot find the change: the event of the workflow is not a push\nhelp: pass `--base REV --head REV`",
    )?;
    let head = revisions::known(git, &push.after)?;
    // The old commit of a new branch is all zeros. After a forced push the old commit may be absent here.
    Ok((git.commit(&push.before)?, head))
}
