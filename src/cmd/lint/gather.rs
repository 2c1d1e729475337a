//! Reads the inputs of every lint: the documents that the user named, and the facts that the rules need. Not a subcommand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::cmd::context::{self, Context};
use crate::cmd::perf_baseline;
use crate::document::{Source, yaml_block};
use crate::domain::exit::Exit;
use crate::domain::registry::Registry;
use crate::git::Git;
use crate::leaks::private_terms;
use crate::lint::context::{Files, LintContext, RegistryIndex};
use crate::plan::contracts;

/// The documents, and whether one of them could not be read.
pub struct Documents {
    /// The documents that could be read.
    pub sources: Vec<Source>,
    /// Whether a document could not be read.
    unusable: bool,
}

impl Documents {
    /// Reads the files that the user named; `-` is standard input. Of a folder, reads the Markdown and YAML files below it that
    /// have a block with this key. Reports each file that cannot be read, and continues.
    pub fn read(paths: &[PathBuf], key: &str) -> Self {
        let mut sources = Vec::with_capacity(paths.len());
        let mut unusable = false;
        for path in paths {
            if path.is_dir() {
                match folder(path, key) {
                    Ok(found) => sources.extend(found),
                    Err(error) => {
                        context::say(format_args!("error: {error:#}"));
                        unusable = true;
                    }
                }
                continue;
            }
            match source(path) {
                Ok(source) => sources.push(source),
                Err(error) => {
                    context::say(format_args!("error: {error:#}"));
                    unusable = true;
                }
            }
        }
        Documents { sources, unusable }
    }

    /// Whether no document could be read, so that there is nothing to report.
    pub fn is_unusable(&self) -> bool {
        self.unusable && self.sources.is_empty()
    }

    /// Returns the exit code of the command, given the exit code for the documents that could be read.
    pub fn exit(&self, judged: Exit) -> Exit {
        if self.unusable { Exit::Unusable } else { judged }
    }
}

/// Reads the documents below a folder that have a block with this key.
fn folder(path: &Path, key: &str) -> anyhow::Result<Vec<Source>> {
    let documents = contracts::files(&[path.to_owned()], context::read_input)?;
    let sources = documents
        .into_iter()
        .map(|document| Source::new(Some(shown(Path::new(&document.name))), document.text));
    let found: Vec<Source> = sources
        .filter(|source| yaml_block::find(source, key).block.is_some())
        .collect();
    if found.is_empty() {
        bail!(
            "cannot lint {}: no file below it has a block with the key `{key}`",
            path.display()
        );
    }
    Ok(found)
}

/// Reads one document.
pub fn source(path: &Path) -> anyhow::Result<Source> {
    let text = context::read_input(path)?;
    let name = (path.as_os_str() != "-").then(|| shown(path));
    Ok(Source::new(name, text))
}

/// Returns a path as findings show it.
pub fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.strip_prefix("./").unwrap_or(&text).to_owned()
}

/// Reads the ids of the registry, the files of the checkout, the naming and the stored noise.
pub fn facts(context: &Context) -> anyhow::Result<LintContext> {
    Ok(facts_and_registry(context)?.0)
}

/// As [`facts`], and the registry; an empty one if it cannot be used.
///
/// # Errors
/// As for [`facts`].
pub fn facts_and_registry(context: &Context) -> anyhow::Result<(LintContext, Registry)> {
    let path = context.registry_path();
    let mut value = Registry::default();
    let registry = match context.policy().registry_file() {
        Ok(Some(file)) => {
            let document = file.document;
            if !document.defects.is_empty() {
                context.note(format_args!(
                    "note: {} has errors; see `nmoe-gates lint registry`",
                    path.display()
                ));
            }
            value = document.value.unwrap_or_default();
            document.root.map(RegistryIndex::new)
        }
        _ => {
            context.note(format_args!(
                "note: there is no registry {}, so gate ids are not checked",
                path.display()
            ));
            None
        }
    };
    Ok((facts_with(context, registry)?, value))
}

/// Gathers what the lints compare a document with, apart from the registry.
pub fn facts_with(context: &Context, registry: Option<RegistryIndex>) -> anyhow::Result<LintContext> {
    let (subject, is_checkout) = (context.subject.clone(), registry.is_some());
    let root = subject.clone();
    let settings = context.settings()?;
    Ok(LintContext {
        noise: perf_baseline::noise(context)?,
        registry,
        files: Files::listed_by(move || files(&subject, is_checkout), move || folders(&root)),
        naming: settings.naming,
        contracts: settings.contracts,
        leaks: private_terms::options(context::variable)?,
    })
}

/// Lists the folders at the top of a checkout; none if it cannot be read.
fn folders(subject: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(subject).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Lists the files of a checkout with git. Without git, walks the folder if it has a registry.
fn files(subject: &Path, is_checkout: bool) -> Option<Vec<String>> {
    let listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    if let Ok(names) = Git::at(subject).name_texts(listed) {
        return Some(names);
    }
    is_checkout.then(|| {
        ignore::WalkBuilder::new(subject)
            .hidden(false)
            .build()
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_some_and(|t| t.is_file()))
            .filter_map(|entry| {
                Some(
                    entry
                        .path()
                        .strip_prefix(subject)
                        .ok()?
                        .to_string_lossy()
                        .into_owned(),
                )
            })
            .collect()
    })
}
