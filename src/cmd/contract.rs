//! `contract new`: prints a filled contract from flags, and lints it.

use clap::Subcommand;
use clap::builder::PossibleValuesParser;

use crate::cmd::context::{Context, print_data, say};
use crate::cmd::help::{self, Help};
use crate::cmd::init::ISSUE_FORM;
use crate::cmd::lint::gather;
use crate::cmd::print_findings;
use crate::document::edit::{self, scalar};
use crate::document::typed::variants;
use crate::document::{Document, Source};
use crate::domain::contract::{Complexity, Kind, Risk};
use crate::domain::exit::Exit;
use crate::domain::registry::{GateKind, Registry, Tier};
use crate::domain::settings::Settings;
use crate::lint;

/// The examples, formats, exit codes and variables of `new`.
pub const NEW_HELP: Help = Help {
    formats: &[],
    codes: help::CHECKS,
    variables: help::OF_SCAN,
    examples: &[
        "contract new 07 --slug loader --allow trainer/data/**",
        "contract new 07 --slug loader --allow trainer/data/** --summary Faster",
    ],
};

/// Arguments of `contract`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a filled contract. The invariants come from the settings, the gates from the registry.
    New(New),
}

#[derive(Debug, clap::Args)]
struct New {
    /// Contract id, such as `03a`.
    #[arg(value_name = "ID")]
    issue: String,
    /// Part of the branch name: lower-case letters, digits and `-`.
    #[arg(long, value_name = "SLUG")]
    slug: String,
    /// Path pattern that may change. Can be given more than once.
    #[arg(long, value_name = "PATTERN", required = true)]
    allow: Vec<String>,
    /// Path pattern that must not change. Can be given more than once.
    #[arg(long, value_name = "PATTERN")]
    deny: Vec<String>,
    /// Kind of work.
    #[arg(long, value_parser = PossibleValuesParser::new(variants::<Kind>()), default_value = "feature")]
    kind: String,
    /// How close the change is to the hot path.
    #[arg(long, value_parser = PossibleValuesParser::new(variants::<Risk>()), default_value = "cold")]
    risk: String,
    /// Size of the work.
    #[arg(long, value_parser = PossibleValuesParser::new(variants::<Complexity>()), default_value = "S")]
    complexity: String,
    /// Contract that must be merged first. Can be given more than once.
    #[arg(long, value_name = "ID")]
    depends_on: Vec<String>,
    /// Path that other contracts are likely to touch too. Can be given more than once.
    #[arg(long, value_name = "PATTERN")]
    hotspot: Vec<String>,
    /// Require this gate (default: every command gate of Tier A). Can be given more than once.
    #[arg(long, value_name = "ID")]
    gate: Vec<String>,
    /// Allow this change of throughput in percent, such as -10, with the first perf gate of the registry.
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true)]
    budget_pct: Option<f64>,
    /// Print the complete body of the issue, with this summary. The author ticks the box after a check.
    #[arg(long, value_name = "TEXT")]
    summary: Option<String>,
}

/// Runs `contract`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let Command::New(new) = &args.what;
    let (facts, registry) = gather::facts_and_registry(context)?;
    let block = new.block(&registry, &context.settings()?);
    let source = Source::new(Some("the new contract".to_owned()), block.as_str());
    let findings = lint::contract::lint(&Document::parse(source), &facts);
    match &new.summary {
        None => print_data(&block)?,
        Some(summary) => print_data(&body(summary, &block))?,
    }
    for finding in &findings {
        let help = finding.help.as_ref().map(|help| format!("\nhelp: {help}"));
        say(format_args!(
            "{}[{}]: {}{}",
            finding.severity.as_str(),
            finding.code.id,
            finding.message,
            help.unwrap_or_default()
        ));
    }
    Ok(print_findings::exit(&findings))
}

impl New {
    /// Returns the YAML of the contract.
    fn block(&self, registry: &Registry, settings: &Settings) -> String {
        let list = |texts: &[String]| {
            let texts: Vec<String> = texts.iter().map(|text| scalar(text)).collect();
            format!("[{}]", texts.join(", "))
        };
        let perf = registry.gates.iter().find_map(|(id, gate)| {
            let compared = gate.compare_gate.as_ref()?;
            (gate.kind == GateKind::Perf).then_some((id, compared, gate.perf_metric()))
        });
        let perf = self.budget_pct.and_then(|budget| Some((perf?, budget)));
        let mut required = self.gate.clone();
        if required.is_empty() {
            let tier_a = registry.gates.iter();
            let tier_a = tier_a.filter(|(_, gate)| gate.tier == Tier::A && gate.kind == GateKind::Command);
            required.extend(tier_a.map(|(id, _)| id.to_string()));
        }
        if let Some(((_, compared, _), _)) = &perf {
            let compared = compared.to_string();
            if !required.contains(&compared) {
                required.push(compared);
            }
        }
        let invariants: Vec<String> = settings
            .contracts
            .invariants
            .iter()
            .map(|i| i.id.clone())
            .collect();
        let mut block = format!(
            "nmoe:\n  issue: {}\n  slug: {}\n  kind: {}\n  risk: {}\n  complexity: {}\n  depends_on: {}\n  merge_hotspots: {}\n\n\
             scope:\n  allow: {}\n  deny: {}\n\n\
             contract:\n  invariants: {}\n  knobs:\n    add: []\n    change: []\n\n\
             gates:\n  required: {}\n",
            scalar(&self.issue),
            scalar(&self.slug),
            self.kind,
            self.risk,
            self.complexity,
            list(&self.depends_on),
            list(&self.hotspot),
            list(&self.allow),
            list(&self.deny),
            list(&invariants),
            list(&required),
        );
        if let Some(((gate, compared, metric), budget)) = perf {
            block.push_str(&format!(
                "  perf:\n    gate: {}\n    compare: {}\n    metric: {}\n    budget_pct: {}\n",
                scalar(gate),
                scalar(compared),
                scalar(metric),
                edit::number(budget)
            ));
        }
        block
    }
}

/// Returns the body of an issue, with the sections of the form.
fn body(summary: &str, block: &str) -> String {
    format!(
        "### Summary (what + why)\n\n{summary}\n\n### Agent Contract (YAML, required)\n\n```yaml\n{block}```\n\n\
         ### Notes (optional)\n\n_No response_\n\n### Public-safety confirmation (required)\n\n- [ ] {}\n",
        confirmation().unwrap_or_default()
    )
}

/// Returns the statement of the form that the author confirms.
fn confirmation() -> Option<&'static str> {
    ISSUE_FORM
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("- label: "))
}
