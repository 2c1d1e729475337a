//! `doctor`: checks tools, settings, the requirements of the registry, the GPU driver, the workflows, and the repository
//! settings on GitHub that the workflows need. Prints a fix for each problem.
//!
//! Changes nothing, except that it tries to create one temporary file in folders that must be read-only.

mod check;
mod engine;
mod machine;
mod needs;
mod repository;

use check::{Check, State};

use crate::cmd::context::{Context, Format, print, print_json_line};
use crate::domain::exit::Exit;
use crate::domain::registry::Registry;
use crate::domain::settings::Settings;
use crate::terminal::Text;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Check this machine as the B200 runner: report what only Tier B needs as missing instead of as a hint.
    #[arg(long)]
    runner: bool,
}

/// Runs `doctor`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Human, Format::Json])?;
    let tier_b = if args.runner { State::Missing } else { State::Hint };
    let mut checks = machine::look(context, args.runner);
    let settings = match context.settings() {
        Ok(settings) => {
            checks.push(Check::ok("settings", "configs/nmoe-gates.toml, or its defaults"));
            settings
        }
        Err(error) => {
            checks.push(Check::not(
                State::Missing,
                "settings",
                format!("{error:#}"),
                "fix configs/nmoe-gates.toml",
            ));
            Settings::default()
        }
    };
    let registry = match context.registry() {
        Ok(read) => {
            let (gates, bundles) = (read.value.gates.len(), read.value.bundles.len());
            checks.push(Check::ok("registry", format!("{gates} gates, {bundles} bundles")));
            read.value
        }
        Err(_) => {
            checks.push(Check::not(
                State::Missing,
                "registry",
                "configs/gates/gates.toml is absent or cannot be used",
                "`nmoe-gates init` writes one; `nmoe-gates lint registry` shows what is wrong",
            ));
            Registry::default()
        }
    };
    checks.push(engine::look());
    checks.extend(needs::look(&registry, &context.subject, tier_b));
    checks.extend(repository::look(context, &settings, &registry));

    let worst = checks.iter().any(|c| c.state == State::Missing);
    match format {
        Format::Json => {
            let value = serde_json::json!({ "schema": 1, "checks": checks, "ready": !worst });
            print_json_line(&value)?;
        }
        _ => print(&human(&checks))?,
    }
    Ok(if worst { Exit::Failed } else { Exit::Passed })
}

fn human(checks: &[Check]) -> Text {
    let width = checks.iter().map(|c| c.name.len()).max().unwrap_or_default();
    let mut text = Text::new();
    for check in checks {
        let mark = match check.state {
            State::Ok => "ok     ",
            State::Hint => "hint   ",
            State::Missing => "MISSING",
        };
        text.line(format_args!("{mark}  {:<width$}  {}", check.name, check.found));
        if let Some(remedy) = &check.remedy {
            text.line(format_args!("{:>9}{:<width$}  → {remedy}", "", ""));
        }
    }
    text
}
