//! `gates`: lists the gates of the registry, shows one gate, and resolves a request to gates.

use anyhow::bail;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::cmd::context::{Context, Format, print, print_json_line, say};
use crate::cmd::contract_input::ContractInput;
use crate::cmd::help::{self, Help};
use crate::cmd::next_steps;
use crate::domain::exit::Exit;
use crate::domain::ids::GateId;
use crate::domain::metric::{Decimal, Direction, Metric};
use crate::domain::next_step::{NextStep, Who};
use crate::domain::registry::{Gate, Registry, SINGLE, TIER_A, TIER_B, Tier};
use crate::domain::suggest::nearest;
use crate::gate::select::{self, Request, Selection, kind_name, tier_name};
use crate::terminal::Text;

/// The examples, formats, exit codes and variables of `list`.
pub const LIST_HELP: Help = Help {
    formats: &[Format::Human, Format::Json, Format::Matrix],
    codes: help::PRINTS,
    variables: help::OF_TERMINAL,
    examples: &["gates list", "gates list --tier a"],
};

/// The examples, formats, exit codes and variables of `show`.
pub const SHOW_HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::PRINTS,
    variables: help::OF_TERMINAL,
    examples: &["gates show cpu:import"],
};

/// The examples, formats, exit codes and variables of `resolve`.
pub const RESOLVE_HELP: Help = Help {
    formats: &[Format::Human, Format::Json, Format::Matrix],
    codes: help::ASKS,
    variables: help::OF_GITHUB,
    examples: &[
        "gates resolve --bundle full --contract issue.md",
        "gates resolve --tier a --format matrix",
    ],
};

/// Arguments of `gates`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List every gate and bundle.
    List(ListArgs),
    /// Show all keys of one gate.
    Show {
        /// Id of the gate.
        id: String,
    },
    /// Resolve a bundle, a list, a tier or a contract to its gates.
    Resolve(ResolveArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Show only the gates of this tier (default: all).
    #[arg(long, value_name = "TIER")]
    tier: Option<TierName>,
}

#[derive(Debug, clap::Args)]
struct ResolveArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    contract: ContractInput,
}

/// The options that select gates, shared by every command that takes them.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Which {
    /// Select a bundle of the registry, or `single` together with one --gate.
    #[arg(long, value_name = "NAME")]
    bundle: Option<String>,
    /// Select a gate. Can be given more than once.
    #[arg(long = "gate", value_name = "ID", num_args = 1..)]
    gates: Vec<String>,
    /// Select every gate of a tier.
    #[arg(long, value_name = "TIER")]
    tier: Option<TierName>,
}

impl Which {
    /// Converts the options to a request.
    pub fn request(&self) -> Request {
        Request {
            bundle: self.bundle.clone().filter(|b| !b.is_empty()),
            gates: self.gates.iter().filter(|g| !g.is_empty()).cloned().collect(),
            tier: self.tier.map(Into::into),
        }
    }
}

/// A tier on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TierName {
    /// The author of the change runs these gates, on a CPU.
    A,
    /// A maintainer runs these gates, on a B200.
    B,
}

impl From<TierName> for Tier {
    fn from(name: TierName) -> Tier {
        match name {
            TierName::A => Tier::A,
            TierName::B => Tier::B,
        }
    }
}

/// Runs `gates`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let registry = context.registry()?.value;
    match &args.action {
        Action::List(args) => list(context, &registry, args.tier.map(Into::into)),
        Action::Show { id } => show(context, &registry, id),
        Action::Resolve(args) => resolve(context, &registry, args),
    }
}

fn list(context: &Context, registry: &Registry, tier: Option<Tier>) -> anyhow::Result<Exit> {
    let format = context.format(LIST_HELP.formats)?;
    let gates: Vec<(&GateId, &Gate)> = registry
        .gates
        .iter()
        .filter(|(_, g)| tier.is_none_or(|t| t == g.tier))
        .collect();
    match format {
        Format::Json => {
            let gates: Vec<Value> = gates.iter().map(|(id, gate)| row(id, gate)).collect();
            print_json_line(&json!({"schema": 1, "gates": gates, "bundles": registry.bundles}))?;
        }
        Format::Matrix => print_json_line(&matrix(gates.iter().map(|(id, g)| (id.as_str(), *g))))?,
        _ => {
            let mut text = table(gates.into_iter().map(|(id, gate)| (id.as_str(), gate)));
            if tier.is_none() && !registry.bundles.is_empty() {
                text.line("").line("Bundles");
                for (name, ids) in &registry.bundles {
                    text.wrapped(format_args!("  {name}: {}", ids.join(", ")), 4);
                }
            }
            print(&text)?;
        }
    }
    Ok(Exit::Passed)
}

fn show(context: &Context, registry: &Registry, id: &str) -> anyhow::Result<Exit> {
    let format = context.format(SHOW_HELP.formats)?;
    let Some((id, gate)) = registry.gates.get_key_value(id) else {
        bail!(select::SelectError::UnknownGate {
            id: id.to_owned(),
            nearest: nearest(id, registry.gates.keys().map(GateId::as_str)).map(str::to_owned),
        });
    };
    let bundles: Vec<&str> = registry
        .bundles
        .iter()
        .filter(|(_, ids)| ids.iter().any(|g| g == id))
        .map(|(name, _)| name.as_str())
        .collect();
    let selection = Selection {
        bundle: Some(SINGLE.to_owned()),
        gate_ids: vec![id.clone()],
    };
    let next = next(&selection, &ContractInput::default());
    if format == Format::Json {
        let mut value = serde_json::to_value(gate)?;
        if let Value::Object(map) = &mut value {
            map.shift_insert(0, "id".to_owned(), json!(id));
            map.insert("bundles".to_owned(), json!(bundles));
            let reads = gate.reads();
            if !reads.is_empty() {
                map.insert("reads".to_owned(), json!(reads));
            }
            map.insert("next".to_owned(), json!(next));
        }
        print_json_line(&value)?;
        return Ok(Exit::Passed);
    }
    let mut text = Text::new();
    text.line(id).line(format_args!(
        "  tier {}, {}",
        tier_name(gate.tier),
        kind_name(gate.kind)
    ));
    let mut line = |label: &str, value: String| {
        if !value.is_empty() {
            text.line(format_args!("  {label}: {value}"));
        }
    };
    let seconds = |n: u64| if n == 0 { String::new() } else { format!("{n} s") };
    line("note", gate.note.clone().unwrap_or_default());
    line(
        "GPUs",
        if gate.gpus == 0 {
            String::new()
        } else {
            gate.gpus.to_string()
        },
    );
    line(
        "nodes",
        if gate.nodes == 1 {
            String::new()
        } else {
            gate.nodes.to_string()
        },
    );
    line("executor", gate.executor.clone().unwrap_or_default());
    line("timeout", seconds(gate.timeout_s));
    line("silence timeout", seconds(gate.silence_timeout_s));
    line("requires", gate.requires.join(", "));
    line("requires files", gate.requires_files.join(", "));
    line(
        "compares",
        gate.compare_gate.as_deref().unwrap_or_default().to_owned(),
    );
    line("metric", gate.metric.clone().unwrap_or_default());
    for also in &gate.also {
        line("also", format!("{}, budget {} %", also.metric, also.budget_pct));
    }
    line("in bundles", bundles.join(", "));
    line(
        "preset",
        gate.preset.map(|p| p.as_str().to_owned()).unwrap_or_default(),
    );
    for metric in gate.reads() {
        line("reads", reads(&metric));
    }
    if let Some(cmd) = &gate.cmd {
        text.line("  command:");
        for l in cmd.trim().lines() {
            text.line(format_args!("    {l}"));
        }
    }
    text.append(&next_steps(&next));
    print(&text)?;
    Ok(Exit::Passed)
}

/// Describes how a metric is read from the output.
fn reads(metric: &Metric) -> String {
    let mut text = format!("{}, ", metric.name);
    text.push_str(&match (&metric.pattern, &metric.label) {
        (Some(pattern), _) => format!("by the pattern {pattern}"),
        (None, label) => format!("after `{}`", label.as_deref().unwrap_or(&metric.name)),
    });
    let mut say = |word: String| {
        text.push_str(", ");
        text.push_str(&word);
    };
    if let Some(unit) = &metric.unit {
        say(format!("in {unit}"));
    }
    if let Some(scale) = metric.scale {
        say(format!("times {scale}"));
    }
    if metric.decimal == Some(Decimal::Comma) {
        say("with a decimal comma".to_owned());
    }
    if let Some(rate) = &metric.rate {
        say(format!("its growth per {rate}"));
    }
    let word = |value: Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(reduce) = metric.reduce {
        say(format!("the {} of all ranks", word(json!(reduce))));
    }
    if let Some(take) = metric.take {
        say(format!("the {} of a measurement", word(json!(take))));
    }
    say(match metric.direction {
        Direction::Higher => "higher is better".to_owned(),
        Direction::Lower => "lower is better".to_owned(),
    });
    text
}

/// Returns the options of `run` that select these gates again.
pub fn selecting<'s>(bundle: Option<&'s str>, gate_ids: &'s [GateId]) -> Vec<&'s str> {
    match bundle {
        Some(TIER_A) => vec!["--tier", "a"],
        Some(TIER_B) => vec!["--tier", "b"],
        Some(bundle) if bundle != SINGLE => vec!["--bundle", bundle],
        _ => gate_ids.iter().flat_map(|id| ["--gate", id.as_str()]).collect(),
    }
}

/// Names the command that shows what a run of these gates would do on this machine. `contract` is where the contract was read.
fn next(selection: &Selection, contract: &ContractInput) -> Vec<NextStep> {
    if selection.gate_ids.is_empty() {
        return Vec::new();
    }
    let mut command = vec!["nmoe-gates", "run"];
    command.extend(selecting(selection.bundle.as_deref(), &selection.gate_ids));
    let options = contract.options();
    command.extend(options.iter().map(String::as_str));
    command.push("--dry-run");
    let what = "see what a run would do on this machine";
    vec![NextStep::run(Who::Author, what, command)]
}

fn resolve(context: &Context, registry: &Registry, args: &ResolveArgs) -> anyhow::Result<Exit> {
    let format = context.format(RESOLVE_HELP.formats)?;
    let contract = args.contract.loaded(context)?;
    let covering = contract
        .as_ref()
        .and_then(|c| select::smallest_bundle(registry, &c.value));
    // With a contract and no selection, take the smallest bundle that covers the contract, or else exactly its gates.
    let request = match (&contract, args.which.request()) {
        (Some(contract), request) if request == Request::default() => {
            let needed = select::tier_b(registry, &contract.value);
            match covering.filter(|_| !needed.is_empty()) {
                Some(bundle) => Request {
                    bundle: Some(bundle.to_owned()),
                    ..Request::default()
                },
                None => Request {
                    gates: needed.into_iter().map(String::from).collect(),
                    ..Request::default()
                },
            }
        }
        (_, request) => request,
    };
    let selection = if contract.is_some() && request == Request::default() {
        Selection::default()
    } else {
        select::resolve(registry, &request)?
    };
    let missing: Vec<GateId> = contract
        .as_ref()
        .map(|c| {
            select::tier_b(registry, &c.value)
                .into_iter()
                .filter(|id| !selection.gate_ids.contains(id))
                .collect()
        })
        .unwrap_or_default();
    if !missing.is_empty() {
        say(format_args!(
            "warning: the selection does not cover the contract: {}{}",
            missing.join(", "),
            covering
                .map(|b| format!("; the smallest bundle that does is `{b}`"))
                .unwrap_or_default()
        ));
    }
    if contract.is_some() && covering.is_none() {
        say("warning: no bundle covers the contract; name its gates with --gate");
    }
    let gates = selection
        .gate_ids
        .iter()
        .filter_map(|id| registry.gates.get(id).map(|g| (id.as_str(), g)));
    // A selection that leaves out gates of the contract leads to the one that includes them.
    let next = match covering.filter(|_| !missing.is_empty()) {
        Some(bundle) => vec![NextStep::run(
            Who::Author,
            "resolve the smallest bundle that covers the contract",
            [
                &["nmoe-gates", "gates", "resolve", "--bundle", bundle].map(str::to_owned)[..],
                &args.contract.options(),
            ]
            .concat(),
        )],
        None => next(&selection, &args.contract),
    };
    match format {
        Format::Matrix => print_json_line(&matrix(gates))?,
        Format::Json => {
            let mut value = json!({
                "schema": 1,
                "bundle": selection.bundle,
                "gate_ids": selection.gate_ids,
                "gates": gates.map(|(id, gate)| row(id, gate)).collect::<Vec<_>>(),
            });
            if let Some(contract) = &contract {
                value["contract"] = json!({
                    "issue": contract.value.nmoe.issue,
                    "smallest_bundle": covering,
                    "uncovered": missing,
                });
            }
            value["next"] = json!(next);
            print_json_line(&value)?;
        }
        _ => {
            let mut text = Text::new();
            if contract.is_some() {
                text.line(format_args!(
                    "Smallest bundle that covers the contract: {}",
                    covering.unwrap_or("none")
                ))
                .line("");
            }
            text.append(&table(gates));
            text.append(&next_steps(&next));
            print(&text)?;
        }
    }
    Ok(Exit::Passed)
}

fn row(id: &str, gate: &Gate) -> Value {
    json!({
        "id": id,
        "tier": tier_name(gate.tier),
        "kind": kind_name(gate.kind),
        "gpus": gate.gpus,
        "timeout_s": gate.timeout_s,
        "requires": gate.requires,
        "requires_files": gate.requires_files,
    })
}

/// Returns a strategy matrix for GitHub Actions: one line that `fromJSON` accepts. A perf or numeric gate and the gate that it
/// compares are one entry, because the comparison needs the result of the other gate from the same runner.
fn matrix<'a>(gates: impl Iterator<Item = (&'a str, &'a Gate)>) -> Value {
    let gates: Vec<(&str, &Gate)> = gates.collect();
    let compares = |gate: &Gate, id: &str| gate.kind.compares() && gate.compare_gate.as_deref() == Some(id);
    let include: Vec<Value> = gates
        .iter()
        .filter(|(_, gate)| !gates.iter().any(|(id, _)| compares(gate, id)))
        .enumerate()
        .map(|(index, entry)| {
            let (id, gate) = entry;
            let follow = gates.iter().filter(|(_, other)| compares(other, id));
            let part: Vec<&(&str, &Gate)> = std::iter::once(entry).chain(follow).collect();
            let ids: Vec<&str> = part.iter().map(|(id, _)| *id).collect();
            json!({
                "index": index,
                "gate": id,
                "gates": ids.join(" "),
                "tier": tier_name(gate.tier),
                "kind": kind_name(gate.kind),
                "gpus": gate.gpus,
                // 0 means no limit, so the sum has no limit either.
                "timeout_s": if part.iter().any(|(_, gate)| gate.timeout_s == 0) { 0 } else {
                    part.iter().map(|(_, gate)| gate.timeout_s).sum::<u64>()
                },
            })
        })
        .collect();
    json!({ "include": include })
}

fn table<'a>(gates: impl Iterator<Item = (&'a str, &'a Gate)>) -> Text {
    let rows: Vec<(&str, &Gate)> = gates.collect();
    let width = rows.iter().map(|(id, _)| id.len()).max().unwrap_or(0).max(4);
    let mut text = Text::new();
    text.line(format_args!("{:width$}  tier  kind      gpus  timeout", "gate"));
    for (id, gate) in rows {
        let timeout = match gate.timeout_s {
            0 => "-".to_owned(),
            n => format!("{n} s"),
        };
        text.line(format_args!(
            "{id:width$}  {:4}  {:8}  {:4}  {timeout}",
            tier_name(gate.tier),
            kind_name(gate.kind),
            gate.gpus
        ));
    }
    text
}
