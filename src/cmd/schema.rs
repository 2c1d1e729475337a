//! `schema`: the JSON Schema of each document, made from the types that read it.

use clap::ValueEnum;
use schemars::{JsonSchema, schema_for};
use serde_json::{Value, json};

use crate::cmd::context::{Context, print};
use crate::model::attestation::Attestation;
use crate::model::contract::Contract;
use crate::model::exit::Exit;
use crate::model::registry::Registry;
use crate::model::results::Results;
use crate::model::settings::Settings;
use crate::report::findings::Report;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which document.
    #[arg(value_enum)]
    name: Name,
}

/// The documents that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// The YAML block of an issue.
    Contract,
    /// The YAML block of a pull request.
    Attestation,
    /// `configs/gates/gates.toml`.
    Registry,
    /// `results.json`.
    Results,
    /// `configs/nmoe-gates.toml`.
    Settings,
    /// What every lint prints with `--format json`.
    Findings,
}

/// Runs `schema`.
pub fn run(_context: &Context, args: &Args) -> anyhow::Result<Exit> {
    print(&(serde_json::to_string_pretty(&schema(args.name))? + "\n"))?;
    Ok(Exit::Passed)
}

/// The schema of a document.
fn schema(name: Name) -> Value {
    match name {
        Name::Contract => as_written(of::<Contract>("Contract of an nmoe work item")),
        Name::Attestation => as_written(of::<Attestation>("Attestation of an nmoe pull request")),
        Name::Registry => of::<Registry>("Registry of gates and bundles"),
        Name::Results => of::<Results>("Results of a run"),
        Name::Settings => of::<Settings>("Settings of nmoe-gates"),
        Name::Findings => of::<Report>("Findings of a lint"),
    }
}

fn of<T: JsonSchema>(title: &str) -> Value {
    let mut schema = schema_for!(T).to_value();
    schema["title"] = json!(title);
    schema
}

/// Ids and commits are text whatever they look like, but an editor that reads YAML takes `01` or `1188731` for a number:
/// what is text to us may be a number to the schema.
fn as_written(mut schema: Value) -> Value {
    fn relax(value: &mut Value) {
        match value {
            Value::Object(map) => {
                let is_word = map.get("enum").is_none() && map.get("const").is_none();
                if let Some(kind) = map.get_mut("type").filter(|_| is_word) {
                    if *kind == "string" {
                        *kind = json!(["string", "number"]);
                    } else if *kind == json!(["string", "null"]) {
                        *kind = json!(["string", "number", "null"]);
                    }
                }
                map.values_mut().for_each(relax);
            }
            Value::Array(items) => items.iter_mut().for_each(relax),
            _ => {}
        }
    }
    relax(&mut schema);
    schema
}
