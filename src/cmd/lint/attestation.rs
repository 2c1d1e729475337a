//! `lint attestation`: compares pull-request bodies with the contract, commits, branch and recorded results that are given.
//! Reads the inputs, and calls the rules.

use std::path::PathBuf;

use crate::cmd::context::Context;
use crate::cmd::contract_input::ContractInput;
use crate::cmd::help::{self, Help};
use crate::cmd::input_files;
use crate::cmd::lint::fix::{Fixing, Offer};
use crate::cmd::lint::gather::{self, Documents};
use crate::cmd::print_findings;
use crate::document::Document;
use crate::domain::exit::Exit;
use crate::git::Git;
use crate::git::revisions;
use crate::lint;
use crate::lint::attestation_evidence::AttestationEvidence;
use crate::lint::context::RegistryIndex;
use crate::lint::diagnostics::Diagnostics;
use crate::pull::scope;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &print_findings::FORMATS,
    codes: help::VERDICTS,
    variables: help::OF_SCAN_AND_GITHUB,
    examples: &[
        "lint attestation pr.md --contract issue.md",
        "lint attestation pr.md --results results.json",
    ],
};

/// Arguments of `lint attestation`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Check these pull-request bodies; `-` is standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    contract: ContractInput,
    /// Use this commit as the base of the change.
    #[arg(long, value_name = "REV", requires = "head")]
    base: Option<String>,
    /// Use this commit as the head of the change. `pr_sha` must name it.
    #[arg(long, value_name = "REV")]
    head: Option<String>,
    /// Check that this branch of the change is named after the contract.
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Check that these recorded results contain every claim. Can be given more than once.
    #[arg(long, value_name = "FILE")]
    results: Vec<PathBuf>,
    #[command(flatten)]
    fix: Fixing,
}

/// Runs `lint attestation`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    check(context, args, args.fix)
}

fn check(context: &Context, args: &Args, fix: Fixing) -> anyhow::Result<Exit> {
    context.format(HELP.formats)?;
    let mut documents = Documents::read(&args.files, "nmoe_pr");
    if documents.is_unusable() {
        return Ok(Exit::Unusable);
    }
    let mut findings = Vec::new();
    let contract = args.contract.document(context)?;
    if let Some(contract) = &contract {
        findings.extend(Diagnostics::of(contract).finish());
    }
    // Only results are compared with the whole registry.
    let mut registry = match args.results.as_slice() {
        [] => None,
        _ => context.policy().registry_with_tree().ok(),
    };
    let facts = match registry.as_mut().and_then(|loaded| loaded.root.take()) {
        Some(root) => gather::facts_with(context, Some(RegistryIndex::new(root)))?,
        None => gather::facts(context)?,
    };
    let git = Git::at(&context.subject);
    let has_commit = |sha: &str| git.has_commit(sha);
    let evidence = AttestationEvidence {
        branch: args.branch.clone(),
        head: args
            .head
            .as_deref()
            .map(|rev| revisions::known(&git, rev))
            .transpose()?,
        has_commit: args.head.is_some().then_some(&has_commit),
        results: args
            .results
            .iter()
            .map(|path| input_files::recorded(path, registry.as_ref(), context.budget_pct()))
            .collect::<anyhow::Result<_>>()?,
    };
    for source in &documents.sources {
        findings.extend(lint::attestation::lint(
            &Document::parse(source.clone()),
            &facts,
            contract.as_ref(),
            &evidence,
        ));
    }
    if let (Some(contract), Some(base), Some(head)) = (&contract, &args.base, &evidence.head) {
        let base = revisions::known(&git, base)?;
        let outside = scope::of_document(&git, contract, &base, head)?;
        findings.extend(
            outside
                .into_iter()
                .filter(|f| !findings.contains(f))
                .collect::<Vec<_>>(),
        );
    }
    // The contract is only read: it was agreed in the issue, so no fix may change it here.
    let exit = match fix.offer(&documents.sources, &findings)? {
        Offer::None => {
            documents.sources.extend(contract.map(|contract| contract.source));
            print_findings::print_all(context, &documents.sources, &findings)?
        }
        Offer::Shown => print_findings::exit(&findings),
        Offer::Written => check(context, args, Fixing::default())?,
    };
    Ok(documents.exit(exit))
}
