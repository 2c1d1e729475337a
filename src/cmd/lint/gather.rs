//! What every lint gathers: the documents that the user named and the facts that they are held against.

use std::path::{Path, PathBuf};

use crate::cmd::context::{self, Context};
use crate::cmd::perf_baseline;
use crate::document::Source;
use crate::document::toml_tree;
use crate::domain::exit::Exit;
use crate::git::Git;
use crate::leaks::private_terms;
use crate::lint::facts::{Facts, Files, Known};

/// The documents that could be read, and how the command ends for those that could not.
pub struct Documents {
    /// Those that could.
    pub sources: Vec<Source>,
    /// `Unusable` where one could not.
    unusable: bool,
}

impl Documents {
    /// Reads the files that the user named, `-` being standard input; says which cannot be read and goes on.
    pub fn read(paths: &[PathBuf]) -> Self {
        let mut sources = Vec::with_capacity(paths.len());
        let mut unusable = false;
        for path in paths {
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

    /// How the command ends, given how the judgement of what could be read ended.
    pub fn exit(&self, judged: Exit) -> Exit {
        if self.unusable { Exit::Unusable } else { judged }
    }
}

/// One document.
pub fn source(path: &Path) -> anyhow::Result<Source> {
    let text = context::read_input(path)?;
    let name = (path.as_os_str() != "-").then(|| shown(path));
    Ok(Source::new(name, text))
}

/// A path as findings show it.
pub fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.strip_prefix("./").unwrap_or(&text).to_owned()
}

/// The registry's ids, the checkout's files and the naming.
pub fn facts(context: &Context) -> anyhow::Result<Facts> {
    let path = context.registry_path();
    let registry = match std::fs::read_to_string(&path) {
        Ok(text) => {
            let (root, defects) = toml_tree::parse(&text);
            if !defects.is_empty() {
                context.note(format_args!(
                    "note: {} has errors of its own; see `nmoe-gates lint registry`",
                    path.display()
                ));
            }
            Some(Known::read(&root))
        }
        Err(_) => {
            context.note(format_args!(
                "note: there is no registry {}, so gate ids are not judged",
                path.display()
            ));
            None
        }
    };
    let (subject, is_checkout) = (context.subject.clone(), registry.is_some());
    Ok(Facts {
        noise: perf_baseline::noise(context)?,
        registry,
        files: Files::listed_by(move || files(&subject, is_checkout)),
        naming: context.settings()?.naming,
        leaks: private_terms::options()?,
    })
}

/// The files of a checkout: as git lists them; without git, by walking a folder that has a registry.
fn files(subject: &Path, is_checkout: bool) -> Option<Vec<String>> {
    let listed = Git::at(subject).bytes(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    if let Ok(listed) = listed {
        let names = listed.split(|b| *b == 0).filter(|n| !n.is_empty());
        return Some(names.map(|n| String::from_utf8_lossy(n).into_owned()).collect());
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
