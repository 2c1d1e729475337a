//! `doctor`: checks tools, settings, the requirements of the registry, the GPU driver, the workflows, and the repository
//! settings on GitHub that the workflows need. Prints a fix for each problem.
//!
//! Changes nothing, except that it tries to create one temporary file in folders that must be read-only.

mod check;
mod engine;
mod kernel_build;
mod machine;
mod needs;
mod repository;
mod required_check;

use check::{Check, State};

use crate::cmd::context::{self, Context, Format, print, print_json_line};
use crate::cmd::help::{self, Help};
use crate::cmd::next_steps;
use crate::domain::exit::Exit;
use crate::domain::finding::Severity;
use crate::domain::messages::counted;
use crate::domain::next_step::{NextStep, Who};
use crate::domain::paths;
use crate::domain::registry::Registry;
use crate::domain::settings::Settings;
use crate::leaks::private_terms;
use crate::lint;
use crate::lint::registry::RegistryContext;
use crate::system::files;
use crate::terminal::Text;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::CHECKS,
    variables: help::OF_RUN,
    examples: &["doctor", "doctor --runner"],
};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Check this machine as the B200 runner: report what only Tier B needs as missing instead of as a hint.
    #[arg(long)]
    runner: bool,
}

/// Runs `doctor`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(HELP.formats)?;
    let tier_b = if args.runner { State::Missing } else { State::Hint };
    let mut checks = machine::checks(context, args.runner);
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
    let (check, known) = look_at_registry(context);
    checks.push(check);
    let registry = known
        .as_ref()
        .map_or(Registry::default(), |(registry, _)| registry.clone());
    checks.push(engine::checks());
    checks.extend(needs::checks(&registry, &context.subject, tier_b));
    checks.extend(kernel_build::checks(&registry, &context.subject, tier_b));
    checks.extend(repository::checks(context, &settings, &registry, known));

    let next = next(&checks);
    let worst = checks.iter().any(|c| c.state == State::Missing);
    match format {
        Format::Json => {
            let value = serde_json::json!({ "schema": 1, "checks": checks, "ready": !worst, "next": next });
            print_json_line(&value)?;
        }
        // The remedies are next to what is missing.
        _ if worst => print(&human(&checks))?,
        _ => print(human(&checks).append(&next_steps(&next)))?,
    }
    Ok(if worst { Exit::Failed } else { Exit::Passed })
}

/// Names what is missing; or, if nothing is, the command that begins the work.
fn next(checks: &[Check]) -> Vec<NextStep> {
    let missing = checks.iter().filter(|check| check.state == State::Missing);
    let mut next: Vec<NextStep> = Vec::new();
    for check in missing {
        let remedy = check.remedy.as_deref().unwrap_or_default();
        let step = match &check.command {
            Some(arguments) => {
                let argv = std::iter::once("nmoe-gates").chain(arguments.iter().map(String::as_str));
                NextStep::run(Who::Maintainer, remedy, argv)
            }
            None => NextStep::manual(Who::Maintainer, remedy),
        };
        let is_same = |known: &NextStep| match step.command() {
            Some(command) => known.command() == Some(command),
            None => *known == step,
        };
        if !next.iter().any(is_same) {
            next.push(step);
        }
    }
    if next.is_empty() {
        let what = "see what can be worked on now";
        next.push(NextStep::run(Who::Author, what, ["nmoe-gates", "plan"]));
    }
    next
}

/// Checks the registry with the rules of `lint registry`. Returns it and its text, unless it cannot be used.
fn look_at_registry(context: &Context) -> (Check, Option<(Registry, String)>) {
    let missing = |found: String, remedy: &str| Check::not(State::Missing, "registry", found, remedy);
    let file = match context.policy().registry_file() {
        Ok(Some(file)) => file,
        Ok(None) => {
            let found = format!("{} is absent", paths::REGISTRY);
            return (
                missing(found, "`nmoe-gates init` writes one").with_command(&["init"]),
                None,
            );
        }
        Err(error) => {
            return (missing(format!("{error:#}"), "make it readable"), None);
        }
    };
    let has_file = |file: &str| files::contains(&context.subject, file);
    let around = RegistryContext {
        has_file: Some(&has_file),
        base: None,
        leaks: private_terms::options(context::variable).unwrap_or_default(),
    };
    let errors = lint::registry::lint(&file.document, &around)
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count();
    let text = file.document.source.text().to_owned();
    let registry = file.registry().ok().map(|loaded| (loaded.value, text));
    let (gates, bundles) = registry.as_ref().map_or((0, 0), |(registry, _)| {
        (registry.gates.len(), registry.bundles.len())
    });
    let found = format!("{}, {}", counted(gates, "gate"), counted(bundles, "bundle"));
    let check = match errors {
        0 => Check::ok("registry", found),
        errors => missing(
            format!("{found}, {}", counted(errors, "error")),
            "`nmoe-gates lint registry` shows what is wrong",
        )
        .with_command(&["lint", "registry"]),
    };
    (check, registry)
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
        let indent = mark.len() + 2 + width + 2;
        text.wrapped(
            format_args!("{mark}  {:<width$}  {}", check.name, check.found),
            indent,
        );
        if let Some(remedy) = &check.remedy {
            text.wrapped(format_args!("{:>indent$}→ {remedy}", ""), indent + 2);
        }
    }
    text
}
