//! Prepares the containers of `run --container`: finds the engine, and downloads or builds the images.
//!
//! Must not start gates.

use std::ffi::OsString;

use anyhow::Context as _;

use crate::cmd::context::Context;
use crate::cmd::run::args::Args;
use crate::cmd::run::input::{Refused, RunInput};
use crate::domain::exit::NoVerdict;
use crate::domain::verdict::Reason;
use crate::gate::container::client::EngineError;
use crate::gate::container::{Containers, Wanted};
use crate::system::signals::Signals;
use crate::terminal::escape::visible;
use leakscan::redact::Redactor;

/// Prepares the containers that the command line asks for, and adds the digest of their image to the evidence.
pub(super) fn prepare(
    context: &Context,
    args: &Args,
    input: &mut RunInput,
    environment: &[(OsString, OsString)],
    signals: &mut Signals,
) -> Result<Option<Containers>, Refused> {
    if !args.container || args.dry_run {
        return Ok(None);
    }
    let wanted = Wanted {
        registry: &input.registry,
        gate_ids: &input.selection.gate_ids,
        engine: args.engine.map(Into::into),
        environment,
        policy: &context.repo,
        subject: &context.subject,
        program: std::env::current_exe().context("cannot find this program")?,
    };
    let prepared = match Containers::prepare(wanted, &mut || signals.stop().is_some()) {
        // The stop request is still there, so no gate starts.
        Err(EngineError::Stopped) => return Ok(None),
        Err(error) => {
            // The message of a build may have a private name.
            let said = error.to_string();
            let lines: Vec<_> = said.lines().map(visible).collect();
            let said = lines.join("\n");
            let said = match input.redacts_output {
                true => Redactor::new(input.identity.clone()).clean(&said),
                false => said,
            };
            return Err(Refused::because(Reason::ContainerFailed)(NoVerdict(said).into()));
        }
        Ok(prepared) => prepared,
    };
    // With more than one image, each result names its own.
    input.evidence.image = prepared.common_digest().map(str::to_owned);
    Ok(Some(prepared))
}
