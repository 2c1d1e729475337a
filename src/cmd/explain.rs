//! `explain`: what a code or a reason means and how to mend it, from the tables alone.

use anyhow::bail;

use crate::cmd::context::{Context, Format, print};
use crate::model::exit::Exit;
use crate::model::verdict::Reason;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A code such as `unknown-gate`, a reason such as `timeout`, or `exit-codes`.
    code: String,
}

/// Runs `explain`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    context.format(&[Format::Human])?;
    if args.code == "exit-codes" {
        let rows: String = Exit::TABLE
            .iter()
            .map(|(_, code, says)| format!("{code:>3}  {says}\n"))
            .collect();
        print(&rows)?;
        return Ok(Exit::Passed);
    }
    if let Some(reason) = Reason::ALL.iter().find(|r| r.as_str() == args.code) {
        print(&format!(
            "{}\n\n{}\n{}\n",
            reason.as_str(),
            reason.says(),
            reason.remedy()
        ))?;
        return Ok(Exit::Passed);
    }
    bail!("there is no code or reason `{}`", args.code)
}
