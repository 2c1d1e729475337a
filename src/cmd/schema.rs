//! `schema`: prints the JSON Schema of a document. A test generates the schemas from the Rust types, so the program embeds them.

use clap::ValueEnum;

use crate::cmd::context::{Context, print_data};
use crate::cmd::help::{self, Help};
use crate::domain::exit::Exit;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &[],
    codes: help::PRINTS,
    variables: help::OF_TERMINAL,
    examples: &["schema registry"],
};

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the schema of this document.
    #[arg(value_enum)]
    name: Name,
}

/// The documents that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// The YAML block of an issue
    Contract,
    /// The YAML block of a pull request
    Attestation,
    /// The registry, `configs/gates/gates.toml`
    Registry,
    /// The results of a run, `results.json`
    Results,
    /// The settings, `configs/nmoe-gates.toml`
    Settings,
    /// The output of every lint with `--format json`
    Findings,
}

/// Runs `schema`.
pub fn run(_context: &Context, args: &Args) -> anyhow::Result<Exit> {
    print_data(schema(args.name))?;
    Ok(Exit::Passed)
}

/// Returns the schema of a document, a file of `schemas/`.
fn schema(name: Name) -> &'static str {
    match name {
        Name::Contract => include_str!("../../schemas/contract.schema.json"),
        Name::Attestation => include_str!("../../schemas/attestation.schema.json"),
        Name::Registry => include_str!("../../schemas/registry.schema.json"),
        Name::Results => include_str!("../../schemas/results.schema.json"),
        Name::Settings => include_str!("../../schemas/settings.schema.json"),
        Name::Findings => include_str!("../../schemas/findings.schema.json"),
    }
}

#[cfg(test)]
mod tests {
    use schemars::{JsonSchema, schema_for};
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::attestation::Attestation;
    use crate::domain::contract::Contract;
    use crate::domain::registry::Registry;
    use crate::domain::results::Results;
    use crate::domain::settings::Settings;
    use crate::report::findings::Report;

    /// Generates the schema of a document from its type.
    fn made(name: Name) -> Value {
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

    /// Lets a number stand for a text. Ids and commits are texts, but an editor that reads YAML takes `01` or `1188731` for a
    /// number.
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

    /// `INSTA_UPDATE=always cargo test --lib schema` rewrites the files.
    #[test]
    fn schema_files_match_the_types() {
        for name in Name::value_variants() {
            let file = format!("{}.schema.json", name.to_possible_value().unwrap().get_name());
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("schemas")
                .join(&file);
            let made = serde_json::to_string_pretty(&made(*name)).unwrap() + "\n";
            if std::env::var_os("INSTA_UPDATE").is_some_and(|v| v == "always") {
                std::fs::write(&path, &made).unwrap();
                continue;
            }
            assert!(
                schema(*name) == made,
                "{file} does not match the types; run with INSTA_UPDATE=always to rewrite it"
            );
        }
    }
}
