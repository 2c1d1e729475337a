//! `ready`: prints everything that blocks a merge, who can remove each blocker, and the command. With `--all`, also the merge order.

mod report;

use std::path::PathBuf;

use crate::cmd::context::{Context, Format};
use crate::cmd::github;
use crate::cmd::input_files;
use crate::cmd::lint::gather;
use crate::domain::exit::Exit;
use crate::domain::results::Results;
use crate::git::{Git, revisions};
use crate::lint::context::RegistryIndex;
use crate::policy::Revision;
use crate::pull::known_results::KnownResults;
use crate::pull::local_clone::LocalClone;
use crate::pull::published::{self, Trust};
use crate::pull::queue::Queue;
use crate::pull::readiness::Inputs;
use crate::pull::signature::{self, Signers};
use crate::pull::snapshot::Snapshot;
use crate::pull::standing::Writers;
use crate::pull::trial_order;
use crate::workspace::clean;

use report::Report;

/// Arguments of `ready`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Numbers of pull requests.
    #[arg(value_name = "PR", required_unless_present = "all")]
    pulls: Vec<u64>,
    /// Check all open pull requests, and print the merge order that keeps the most evidence valid.
    #[arg(long, conflicts_with = "pulls")]
    all: bool,
    /// Recorded results of Tier-B runs, in addition to the published ones. Can be given several times.
    #[arg(long, value_name = "FILE")]
    results: Vec<PathBuf>,
    /// Count only results files that the report job signed; `gh` verifies the signatures.
    #[arg(long, requires = "results")]
    attested: bool,
}

/// Runs `ready`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    context.format(&[Format::Human, Format::Json])?;
    let settings = context.settings()?;
    let github = github::connect(context)?;
    let here = Git::at(&context.subject);
    let clone = LocalClone::fetch(&here, &settings.naming.remote)?;
    let mut registry = context.policy().registry_with_tree()?;
    let facts = gather::facts_with(context, registry.root.take().map(RegistryIndex::new))?;
    let queue = Queue::load(&github, &here, settings.hotspots.clone())?;
    // The settings of this checkout may be those of a change.
    let trusted = match args.attested {
        true => Revision::Commit(&clone.git, &clone.base(&settings.naming.base)?).settings()?,
        false => settings.clone(),
    };
    let signers = Signers {
        repository: github.repository(),
        workflows: &trusted.publish.workflows,
        branch: &settings.naming.base,
    };
    let recorded = recorded(context, args, &signers)?;
    let snapshots: Vec<Snapshot> = if args.all {
        queue
            .pulls
            .iter()
            .map(|open| Snapshot::new(open.pull.clone()))
            .collect()
    } else {
        let fetch = |number: &u64| Snapshot::fetch(&github, *number);
        args.pulls.iter().map(fetch).collect::<Result<_, _>>()?
    };
    clone.fetch_heads(snapshots.iter().map(|snapshot| &snapshot.pull))?;
    let mut results = KnownResults {
        recorded,
        ..KnownResults::default()
    };
    // Results in a comment have no signature of their own.
    for pull in snapshots.iter().map(|s| &s.pull).filter(|_| !args.attested) {
        let base = clone.base(&pull.base.branch)?;
        let trust = Trust {
            registry: &registry,
            // The settings of this checkout may be those of a change.
            publish: &Revision::Commit(&clone.git, &base).settings()?.publish,
            is_on_base: &|commit| revisions::contains(&clone.git, &base, commit),
        };
        let published = published::read(&github, pull, &trust)?;
        for refused in &published.refused {
            let why = refused.why.says();
            context.note(format_args!("#{}: ignored published results: {why}", pull.number));
        }
        results.published.insert(pull.number, published.results);
        results.refused.insert(pull.number, published.refused);
    }
    let inputs = Inputs {
        github: &github,
        clone,
        queue,
        registry,
        facts,
        images: settings.images.0,
        tier_a: settings.tier_a,
        results,
        worktrees: clean::other_worktrees(&here)?,
        writers: Writers::new(&github),
    };
    let evaluate = |snapshot: &Snapshot| inputs.evaluate(snapshot);
    let evaluated = snapshots
        .iter()
        .map(evaluate)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let order = match args.all {
        true => trial_order::order(&inputs.clone, &evaluated),
        false => Vec::new(),
    };
    Report::new(evaluated, order).print(context)
}

/// Reads the results files; with `--attested`, only those with a valid signature.
fn recorded(context: &Context, args: &Args, signers: &Signers<'_>) -> anyhow::Result<Vec<Results>> {
    let mut recorded = Vec::new();
    for path in &args.results {
        let results = input_files::recorded(path)?;
        let signed = match args.attested {
            true => signature::verify(path, &results, signers),
            false => Ok(()),
        };
        match signed {
            Ok(()) => recorded.push(results),
            Err(why) => context.note(format_args!("{} does not count: {why}", path.display())),
        }
    }
    Ok(recorded)
}
