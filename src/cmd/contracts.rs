//! Not a subcommand: contracts from files, folders or GitHub's open issues, read in parallel and without lint.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::cmd::api;
use crate::cmd::context::{self, Context};
use crate::document::block;
use crate::document::source::{Source, Span};
use crate::domain::finding::{Finding, Region};
use crate::domain::next_step::shell_line;
use crate::domain::read::CONTRACT_KEY;
use crate::plan::Item;
use crate::plan::codes;

/// A document that may hold a contract.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its name, as the user gave it, or `issue #5`.
    pub name: String,
    /// Its text.
    pub text: String,
    /// GitHub's number, where it comes from there.
    pub number: Option<u64>,
    /// Whether the user named it, so that it must hold a contract.
    pub named: bool,
}

/// The part of a contract that many contracts are planned by. What it says beyond that is the lint's business.
#[derive(Deserialize)]
struct Light {
    nmoe: LightWork,
    #[serde(default)]
    scope: LightScope,
}

#[derive(Deserialize)]
struct LightWork {
    issue: String,
    #[serde(default)]
    slug: Option<String>,
    #[serde(default)]
    depends_on: Option<Vec<String>>,
    #[serde(default)]
    merge_hotspots: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
struct LightScope {
    #[serde(default)]
    allow: Option<Vec<String>>,
    #[serde(default)]
    deny: Option<Vec<String>>,
}

/// The documents that the user named: files, folders with all below them, or, with nothing named, GitHub's open issues.
pub fn gather(context: &Context, named: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    if named.is_empty() {
        let issues = api::hub(context)?.open_issues()?;
        return Ok(issues
            .into_iter()
            .map(|issue| Document {
                name: format!("issue #{}", issue.number),
                text: issue.body,
                number: Some(issue.number),
                named: false,
            })
            .collect());
    }
    let mut paths = Vec::new();
    for path in named {
        if path.is_dir() {
            folder(path, &mut paths)?;
        } else {
            paths.push((path.clone(), true));
        }
    }
    in_parallel(&paths, |(path, named)| {
        Ok(Document {
            name: path.display().to_string(),
            text: context::read_input(path)?,
            number: None,
            named: *named,
        })
    })
    .into_iter()
    .collect()
}

/// The ids of contracts whose issues are closed as completed. A folder holds open contracts alone, so it tells none.
pub fn merged(context: &Context, named: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    if !named.is_empty() {
        return Ok(Vec::new());
    }
    let closed = api::hub(context)?.closed_issues()?;
    let documents: Vec<Document> = closed
        .into_iter()
        .filter(|issue| issue.state_reason.as_deref() != Some("not_planned"))
        .map(|issue| Document {
            name: format!("issue #{}", issue.number),
            text: issue.body,
            number: Some(issue.number),
            named: false,
        })
        .collect();
    Ok(read(&documents)
        .0
        .into_iter()
        .map(|(item, _)| item.issue)
        .collect())
}

/// Every Markdown and YAML file of a folder, in the order of their names; hidden ones are left out.
fn folder(dir: &Path, found: &mut Vec<(PathBuf, bool)>) -> anyhow::Result<()> {
    let mut entries = std::fs::read_dir(dir)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .with_context(|| format!("cannot read {}", dir.display()))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry
            .file_type()
            .with_context(|| format!("cannot read {}", path.display()))?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if kind.is_dir() {
            folder(&path, found)?;
        } else if path.extension().is_some_and(|e| {
            ["md", "yml", "yaml"]
                .iter()
                .any(|known| e.eq_ignore_ascii_case(known))
        }) {
            found.push((path, false));
        }
    }
    Ok(())
}

/// The contracts among these documents, in their order, each with the position of its document; a document without a block is
/// passed over unless the user named it, one that cannot be read is a finding, and so is an id that stands twice.
pub fn read(documents: &[Document]) -> (Vec<(Item, usize)>, Vec<Finding>) {
    let mut items: Vec<(Item, usize)> = Vec::new();
    let mut findings = Vec::new();
    let mut seen = std::collections::HashMap::new();
    for (n, outcome) in in_parallel(documents, item).into_iter().enumerate() {
        match outcome {
            Ok(Some(item)) => match seen.insert(item.issue.clone(), n) {
                None => items.push((item, n)),
                Some(first) => {
                    seen.insert(item.issue.clone(), first);
                    let message = format!(
                        "contract `{}` stands in {} already",
                        item.issue, documents[first].name
                    );
                    findings.push(
                        Finding::new(&codes::DUPLICATE_CONTRACT, message)
                            .in_path(&item.path)
                            .help("give one of them another id, or close one"),
                    );
                }
            },
            Ok(None) => {}
            Err(finding) => findings.push(*finding),
        }
    }
    (items, findings)
}

impl Document {
    /// The command that lists everything wrong with it.
    pub fn lint_command(&self) -> Vec<String> {
        let last = match self.number {
            Some(number) => vec!["--issue".to_owned(), number.to_string()],
            None => vec![self.name.clone()],
        };
        let command = ["nmoe-gates", "lint", "contract"].map(str::to_owned);
        command.into_iter().chain(last).collect()
    }
}

/// Whether a contract id is inert wherever it is printed. An issue can be written by anybody.
fn is_plain(id: &str) -> bool {
    !id.is_empty()
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn item(document: &Document) -> Result<Option<Item>, Box<Finding>> {
    // A second copy of the text, for its places, is made only where there is a contract in it.
    if !document.named && memchr::memmem::find(document.text.as_bytes(), CONTRACT_KEY.as_bytes()).is_none() {
        return Ok(None);
    }
    let source = Source::new(Some(document.name.clone()), document.text.as_str());
    let unreadable = |span: &Span, says: &str| {
        let finding = Finding::new(&codes::UNREADABLE_CONTRACT, says)
            .in_path(&document.name)
            .at(Region::of(&source, span))
            .help(format!("`{}` says more", shell_line(&document.lint_command())));
        Box::new(finding)
    };
    let found = block::find(&source, CONTRACT_KEY);
    let Some(block) = found.block else {
        let defect = found.defects.first().filter(|_| document.named);
        return defect.map_or(Ok(None), |d| Err(unreadable(&d.span, &d.message)));
    };
    let text = block.content.text();
    let light: Light = serde_yaml::from_str(text).map_err(|error| {
        let at = text.floor_char_boundary(error.location().map_or(0, |l| l.index().min(text.len())));
        let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
        let says = error.to_string();
        let says = says.split(" at line ").next().unwrap_or_default();
        unreadable(
            &block.content.span(&(at..end)),
            &format!("the block cannot be read: {says}"),
        )
    })?;
    let mut ids = std::iter::once(&light.nmoe.issue).chain(light.nmoe.depends_on.iter().flatten());
    if let Some(id) = ids.find(|id| !is_plain(id)) {
        let says = format!("`{id}` cannot be a contract id: use letters, digits, `.`, `_` and `-`");
        return Err(unreadable(&block.content.span(&(0..text.len())), &says));
    }
    Ok(Some(Item {
        issue: light.nmoe.issue,
        slug: light.nmoe.slug.unwrap_or_default(),
        path: document.name.clone(),
        depends_on: light.nmoe.depends_on.unwrap_or_default(),
        merge_hotspots: light.nmoe.merge_hotspots.unwrap_or_default(),
        allow: light.scope.allow.unwrap_or_default(),
        deny: light.scope.deny.unwrap_or_default(),
    }))
}

/// The same over a list, on as many threads as there are processors; the answers keep the order.
fn in_parallel<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = all.len().div_ceil(threads).max(64);
    if all.len() <= share {
        return all.iter().map(work).collect();
    }
    std::thread::scope(|scope| {
        let work = &work;
        let parts: Vec<_> = all
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<R>>()))
            .collect();
        parts
            .into_iter()
            .flat_map(|part| {
                part.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}
