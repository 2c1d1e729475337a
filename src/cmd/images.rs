//! `images`: whether a change calls for new base, train or runner images, in which order they are built, and why.

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::cmd::context::{Context, Format, print, print_json};
use crate::domain::exit::Exit;
use crate::domain::ids::CommitId;
use crate::domain::next_step::{NextStep, Who};
use crate::git::Git;
use crate::git::diff;
use crate::git::revisions;
use crate::plan::images::{self, Decision};
use crate::terminal::Text;

/// Arguments of `images`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Commit before the change; with --head, else both come from the push event of the running workflow.
    #[arg(long, value_name = "REV", requires = "head")]
    base: Option<String>,
    /// Commit after the change.
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
    next: Vec<NextStep>,
}

/// The part of a push event that tells what was pushed.
#[derive(Deserialize)]
struct Push {
    before: String,
    after: String,
}

/// Runs `images`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Human, Format::Json])?;
    let git = Git::at(&context.subject);
    let (base, head) = match (&args.base, &args.head) {
        (Some(base), Some(head)) => (Some(revisions::known(&git, base)?), revisions::known(&git, head)?),
        _ => pushed(&git)?,
    };
    let chain = context.settings()?.images.0;
    let images = match &base {
        // Both ends of a push count, whatever lies between: two dots and no merge base.
        Some(base) => images::decide(&chain, &diff::between(&git, base, &head, false)?),
        None => images::all(&chain, "there is no earlier commit to compare with"),
    };
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
        next,
    };
    if format == Format::Json {
        print_json(&report)?;
    } else {
        let mut out = Text::new();
        for image in &report.images {
            let word = if image.rebuild { "rebuild" } else { "keep" };
            out.line(format_args!(
                "{word:<7} {:<8} {}",
                image.name,
                image.why.join("; ")
            ));
        }
        print(&out)?;
    }
    Ok(Exit::Passed)
}

/// The commits of the push that the running workflow is about; none before it where the branch is new.
fn pushed(git: &Git) -> anyhow::Result<(Option<CommitId>, CommitId)> {
    let Some(path) = std::env::var_os("GITHUB_EVENT_PATH") else {
        bail!("which change? Name it with `--base REV --head REV`, or run in the workflow of a push");
    };
    let text = std::fs::read_to_string(path).context("cannot read the event of the workflow")?;
    let push: Push = serde_json::from_str(&text)
        .context("the event of the workflow is no push; name the change with `--base REV --head REV`")?;
    let head = revisions::known(git, &push.after)?;
    // A new branch has zeros for its past, and a forced push may have one that is not here.
    Ok((git.commit(&push.before)?, head))
}
