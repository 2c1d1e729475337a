//! `lint`: one subcommand per kind of document. Each reads its inputs, calls the rules, and prints the findings.

pub mod attestation;
pub mod contract;
mod fix;
pub mod gather;
pub mod pr;
pub mod registry;
pub mod safety;
pub mod scope;
pub mod workflows;

use clap::Subcommand;

use crate::cmd::context::Context;
use crate::cmd::deferred::Deferred;
use crate::domain::exit::Exit;

/// Arguments of `lint`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Validate issue bodies or bare YAML files against the form, the registry and the checkout.
    Contract(Deferred<contract::Args>),
    /// Validate pull-request bodies, and compare them with the contract, branch, commits and recorded results.
    Attestation(Deferred<attestation::Args>),
    /// Validate the registry, and compare it with the checkout and the ids of an earlier revision.
    Registry(Deferred<registry::Args>),
    /// Find what must not be public: credentials, cluster identity, private addresses, hosts, paths and people.
    Safety(Deferred<safety::Args>),
    /// Find insecure patterns in workflows: tokens in the same job as the code of a change, moving refs, policy from the change.
    Workflows(Deferred<workflows::Args>),
    /// Check the changes of a diff against the scope and the knobs of a contract.
    Scope(Deferred<scope::Args>),
    /// Validate the pull request of the current event: body, contract, scope, proposed registry, public safety.
    Pr(Deferred<pr::Args>),
}

/// Runs `lint`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    match &args.what {
        Command::Contract(args) => contract::run(context, args),
        Command::Attestation(args) => attestation::run(context, args),
        Command::Registry(args) => registry::run(context, args),
        Command::Safety(args) => safety::run(context, args),
        Command::Workflows(args) => workflows::run(context, args),
        Command::Scope(args) => scope::run(context, args),
        Command::Pr(args) => pr::run(context, args),
    }
}
