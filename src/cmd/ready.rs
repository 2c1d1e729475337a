//! `ready`: prints everything that blocks a merge, who can remove each blocker, and the command. With `--all`, also the merge order.

mod report;

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::PathBuf;
use std::rc::Rc;

use crate::cmd::context::Context;
use crate::cmd::counter::Counter;
use crate::cmd::github;
use crate::cmd::help::{self, Help};
use crate::cmd::input_files;
use crate::cmd::lint::gather;
use crate::domain::exit::Exit;
use crate::domain::registry::Registry;
use crate::domain::results::Results;
use crate::git::Git;
use crate::github::api::GitHub;
use crate::github::batch::{Batch, Wanted};
use crate::github::error::ErrorKind;
use crate::lint::context::RegistryIndex;
use crate::policy::Loaded;
use crate::pull::known_results::KnownResults;
use crate::pull::local_clone::LocalClone;
use crate::pull::provenance::EVENT;
use crate::pull::published::{self, Trust};
use crate::pull::queue::Queue;
use crate::pull::readiness::Inputs;
use crate::pull::signature::{self, Signers};
use crate::pull::snapshot::Snapshot;
use crate::pull::standing::Writers;
use crate::pull::trial_order;
use crate::workspace::clean;

use report::Report;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::VERDICTS,
    variables: help::OF_RESULTS,
    examples: &["ready 12", "ready --all"],
};

/// The number of requests from which the user is told.
const MANY: usize = 100;

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
    context.format(HELP.formats)?;
    let settings = context.settings()?;
    let github = github::connect(context)?;
    let here = Git::at(&context.subject);
    let clone = LocalClone::fetch(&here, &settings.naming.remote)?;
    let mut registry = context.policy().registry_with_tree()?;
    let facts = gather::facts_with(context, registry.root.take().map(RegistryIndex::new))?;
    let queue = Queue::load(&github, &here, settings.hotspots.clone())?;
    // The settings of this checkout may be those of a change.
    let trusted = match args.attested {
        true => clone.settings(&clone.base(&settings.naming.base)?)?,
        false => Rc::new(settings.clone()),
    };
    let signers = Signers {
        repository: github.repository(),
        workflows: &trusted.publish.workflows,
        branch: &settings.naming.base,
    };
    let recorded = recorded(context, args, &registry, &signers)?;
    let snapshots: Vec<Snapshot> = if args.all {
        queue
            .pulls
            .iter()
            .map(|open| Snapshot::new(open.pull.clone()))
            .collect()
    } else {
        let mut seen = HashSet::new();
        let wanted = args.pulls.iter().filter(|number| seen.insert(**number));
        let fetched = wanted.map(|number| Snapshot::fetch(&github, *number));
        fetched.collect::<Result<_, _>>()?
    };
    let counter = Counter::new(context);
    counter.show("fetching the heads of the pull requests");
    clone.fetch_heads(snapshots.iter().map(|snapshot| &snapshot.pull))?;
    let mut batch = batch(context, &github, &queue, &snapshots, &counter)?;
    let mut results = KnownResults {
        recorded,
        ..KnownResults::default()
    };
    // Results in a comment have no signature of their own.
    if !args.attested {
        let mut comments = Vec::new();
        for snapshot in &snapshots {
            comments.push(batch.comments(&github, snapshot.pull.number)?);
        }
        let mut wanted = Wanted::default();
        for (snapshot, comments) in snapshots.iter().zip(&comments) {
            let base = clone.base(&snapshot.pull.base.branch)?;
            let login = &clone.settings(&base)?.publish.login;
            published::want(comments, login, &mut wanted);
        }
        counter.show("reading the runs of published results");
        batch.load_evidence(&github, EVENT, &wanted);
        let requests = batch.unknown_evidence(&wanted);
        announce(context, "the published results need", requests);
        for (n, (snapshot, comments)) in snapshots.iter().zip(&comments).enumerate() {
            counter.show(format_args!(
                "reading published results: {} of {}",
                n,
                snapshots.len()
            ));
            let pull = &snapshot.pull;
            let base = clone.base(&pull.base.branch)?;
            let trust = Trust {
                registry: &registry,
                publish: &clone.settings(&base)?.publish,
                is_on_base: &|commit| clone.contains(&base, commit),
                batch: &batch,
            };
            let published = published::read(&github, pull, comments, &trust)?;
            for refused in &published.refused {
                let why = refused.why.message();
                counter.show("");
                context.note(format_args!("#{}: ignored published results: {why}", pull.number));
            }
            results.published.insert(pull.number, published.results);
            results.refused.insert(pull.number, published.refused);
        }
    }
    let inputs = Inputs {
        github: &github,
        clone,
        queue,
        registry,
        facts,
        settings,
        results,
        worktrees: clean::other_worktrees(&here)?,
        writers: Writers::new(&github, &batch),
        counting: RefCell::default(),
    };
    let evaluate = |(n, snapshot): (usize, &Snapshot)| {
        counter.show(format_args!("checking pull requests: {n} of {}", snapshots.len()));
        inputs.evaluate(snapshot)
    };
    let evaluated = snapshots
        .iter()
        .enumerate()
        .map(evaluate)
        .collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(finding) = inputs.queue.limit() {
        counter.show("");
        context.note(format_args!("{}: {}", finding.code.id, finding.message));
    }
    counter.show("finding the order of merging");
    let order = match args.all {
        true => trial_order::order(&inputs.clone, &evaluated),
        false => Vec::new(),
    };
    drop(counter);
    Report::new(evaluated, order).print(context)
}

/// Asks about reviews, comments and authors in few requests. If that is not possible, the other requests ask one by one.
fn batch(
    context: &Context,
    github: &GitHub,
    queue: &Queue,
    snapshots: &[Snapshot],
    counter: &Counter,
) -> anyhow::Result<Batch> {
    let pulls: Vec<u64> = snapshots.iter().map(|snapshot| snapshot.pull.number).collect();
    let issues = queue.closed_by(github, snapshots.iter().map(|snapshot| &snapshot.pull));
    let every = |known| {
        counter.show(format_args!(
            "reading reviews and comments: {known} of {}",
            pulls.len()
        ));
    };
    let batch = match Batch::load(github, &pulls, &issues, every) {
        Ok(batch) => batch,
        // GraphQL needs a token.
        Err(error) if matches!(error.kind, ErrorKind::NoToken) => Batch::default(),
        Err(error) => {
            counter.show("");
            context.note(format_args!(
                "cannot ask about many pull requests at once, so asking one by one: {error}"
            ));
            Batch::default()
        }
    };
    // Reviews, comments and the author of the contract.
    announce(
        context,
        "reviews, comments and authors need",
        3 * batch.unknown(&pulls),
    );
    Ok(batch)
}

/// Says how many requests come, if they are many.
fn announce(context: &Context, what: &str, requests: usize) {
    if requests >= MANY {
        context.note(format_args!(
            "{what} about {requests} requests; a token of GitHub Actions has 1,000 in an hour for a repository"
        ));
    }
}

/// Reads the results files; with `--attested`, only those with a valid signature.
fn recorded(
    context: &Context,
    args: &Args,
    registry: &Loaded<Registry>,
    signers: &Signers<'_>,
) -> anyhow::Result<Vec<Results>> {
    if args.results.is_empty() {
        return Ok(Vec::new());
    }
    let mut recorded = Vec::new();
    for path in &args.results {
        let results = input_files::recorded(path, Some(registry), context.budget_pct())?;
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
