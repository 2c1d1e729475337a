//! Reads contracts from files, folders or GitHub's issues, in parallel.
//!
//! Must not lint them: only what a plan needs is parsed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::document::Document as Parsed;
use crate::document::parse_log;
use crate::document::source::{Source, Span};
use crate::document::yaml_block;
use crate::domain::contract::Contract;
use crate::domain::finding::{Finding, Region};
use crate::domain::ids::ContractId;
use crate::domain::next_step::step_line;
use crate::github::api::GitHub;
use crate::github::error::GitHubError;
use crate::github::types::{Issue, is_insider};
use crate::plan::Item;
use crate::plan::codes;

/// The top-level key of a contract.
const CONTRACT_KEY: &str = "nmoe";

/// The most patterns of one contract. Every issue can hold a contract, and patterns without a literal start are compared in pairs.
const MOST_PATTERNS: usize = 500;

/// A document that may hold a contract.
#[derive(Clone, Debug)]
pub struct Document {
    /// The path that the user gave, or `issue #5`.
    pub name: String,
    pub text: String,
    /// The number of the issue; `None` for a file.
    pub number: Option<u64>,
    /// Whether the user named the file, so that it must contain a contract.
    pub named: bool,
    /// The author of an issue, if GitHub calls the author an outsider. Such a contract may not count.
    pub outsider: Option<String>,
}

/// The part of a contract that a plan needs. A plan reads thousands of contracts, so it uses the faster of the two YAML readers, and
/// no positions. A complete `Document<Contract>` would also refuse a contract that only lacks keys that a plan does not need.
#[derive(Deserialize)]
struct Light {
    nmoe: LightWork,
    #[serde(default)]
    scope: LightScope,
}

#[derive(Deserialize)]
struct LightWork {
    issue: ContractId,
    #[serde(default)]
    slug: Option<String>,
    #[serde(default)]
    depends_on: Option<Vec<ContractId>>,
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

/// Returns the open issues of GitHub as documents.
///
/// # Errors
/// GitHub does not answer.
pub fn open(github: &GitHub) -> Result<Vec<Document>, GitHubError> {
    Ok(github
        .open_issues()?
        .into_iter()
        .map(Document::of_issue)
        .collect())
}

/// Returns those of the wanted contracts whose issues are closed as completed. Reads the newest issues first, and stops when all are
/// found.
///
/// # Errors
/// GitHub does not answer.
pub fn completed(github: &GitHub, wanted: &[&str]) -> Result<Vec<String>, GitHubError> {
    let mut wanted: HashSet<&str> = wanted.iter().copied().collect();
    let mut found: Vec<String> = Vec::new();
    github.closed_issues(|page| {
        let documents: Vec<Document> = page
            .into_iter()
            // GitHub gives no reason for an issue that was closed long ago. A duplicate or a dropped issue is not done.
            .filter(|issue| matches!(issue.state_reason.as_deref(), None | Some("completed")))
            .map(Document::of_issue)
            .collect();
        let (items, _) = read(&documents);
        let ids = items.into_iter().map(|(item, _)| item.issue);
        found.extend(ids.filter(|id| wanted.remove(id.as_str())));
        wanted.is_empty()
    })?;
    Ok(found)
}

/// Returns files, and all Markdown and YAML files of folders, as documents; `read` reads a file.
///
/// # Errors
/// A file or a folder cannot be read.
pub fn files(
    named: &[PathBuf],
    read: impl Fn(&Path) -> anyhow::Result<String> + Sync,
) -> anyhow::Result<Vec<Document>> {
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
            text: read(path)?,
            number: None,
            named: *named,
            outsider: None,
        })
    })
    .into_iter()
    .collect()
}

/// Collects the Markdown and YAML files of a folder, sorted by name, without hidden files.
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

/// Returns the contracts in these documents, each with the index of its document.
///
/// A document without a block is ignored unless the user named it. An invalid block and a duplicate id are findings.
pub fn read(documents: &[Document]) -> (Vec<(Item, usize)>, Vec<Finding>) {
    let (items, findings, _) = collect(documents, item);
    (items, findings)
}

/// Like [`read`], and returns the complete contract with this id, which is parsed only once.
pub fn read_with(documents: &[Document], id: &str) -> Found {
    collect(documents, |document| {
        let mut lines = document.text.lines();
        if !lines.any(|line| line.contains("issue") && line.contains(id)) {
            return item(document);
        }
        let parsed: Parsed<Contract> =
            Parsed::parse(Source::new(Some(document.name.clone()), document.text.as_str()));
        let item = match &parsed.value {
            Ok(contract) => Item::of(&document.name, contract),
            // The caller reports the errors of the wanted contract, so its other keys do not matter.
            Err(_) if parsed.text(&[CONTRACT_KEY, "issue"]) == Some(id) => Item {
                issue: id.to_owned(),
                path: document.name.clone(),
                ..Item::default()
            },
            Err(_) => return item(document),
        };
        let block = parsed
            .block
            .as_ref()
            .map_or(0..0, |block| block.content.span(&(0..0)));
        let item = limited(item, |message| {
            unreadable(document, &parsed.source, &block, message)
        })?;
        let wanted = (item.issue == id).then_some(parsed);
        Ok(Some((item, wanted)))
    })
}

/// The contracts with the index of their document, the findings, and the complete contract that was asked for.
type Found = (Vec<(Item, usize)>, Vec<Finding>, Option<Parsed<Contract>>);

/// What a document holds: a contract, and its complete form if that was parsed; or the reason why it is unreadable.
type Outcome = Result<Option<(Item, Option<Parsed<Contract>>)>, Box<Finding>>;

/// Reads all documents. Of several contracts with the same id the first counts.
fn collect(documents: &[Document], read: impl Fn(&Document) -> Outcome + Sync) -> Found {
    let mut items: Vec<(Item, usize)> = Vec::new();
    let mut findings = Vec::new();
    let mut complete = None;
    let mut seen = std::collections::HashMap::new();
    for (n, outcome) in in_parallel(documents, read).into_iter().enumerate() {
        match outcome {
            Ok(Some((item, parsed))) => match seen.insert(item.issue.clone(), n) {
                None => {
                    items.push((item, n));
                    complete = complete.or(parsed);
                }
                Some(first) => {
                    seen.insert(item.issue.clone(), first);
                    let message = format!(
                        "contract `{}` is already in {}",
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
    (items, findings, complete)
}

impl Document {
    fn of_issue(issue: Issue) -> Self {
        Document {
            name: format!("issue #{}", issue.number),
            text: issue.body,
            number: Some(issue.number),
            named: false,
            outsider: match is_insider(issue.author_association.as_deref()) {
                true => None,
                false => Some(issue.user.map(|user| user.login).unwrap_or_default()),
            },
        }
    }

    /// Returns the command that lists all errors of the document.
    pub fn lint_command(&self) -> Vec<String> {
        let last = match self.number {
            Some(number) => vec!["--issue".to_owned(), number.to_string()],
            None => vec![self.name.clone()],
        };
        let command = ["nmoe-gates", "lint", "contract"].map(str::to_owned);
        command.into_iter().chain(last).collect()
    }
}

/// Returns the finding for a document that cannot be read.
fn unreadable(document: &Document, source: &Source, span: &Span, message: &str) -> Box<Finding> {
    let finding = Finding::new(&codes::UNREADABLE_CONTRACT, message)
        .in_path(&document.name)
        .at(Region::of(source, span))
        .help(format!(
            "run `{}`",
            step_line(
                &document
                    .lint_command()
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
            )
        ));
    Box::new(finding)
}

/// Refuses a contract with more patterns than a plan compares.
fn limited(item: Item, refuse: impl FnOnce(&str) -> Box<Finding>) -> Result<Item, Box<Finding>> {
    let lists = [&item.allow, &item.deny, &item.merge_hotspots];
    let count: usize = lists.into_iter().map(Vec::len).sum();
    if count > MOST_PATTERNS {
        return Err(refuse(&format!(
            "the contract has {count} patterns, and a plan compares at most {MOST_PATTERNS}"
        )));
    }
    Ok(item)
}

fn item(document: &Document) -> Outcome {
    // `Source` copies the text, so check first whether it can contain a contract.
    if !document.named && memchr::memmem::find(document.text.as_bytes(), CONTRACT_KEY.as_bytes()).is_none() {
        return Ok(None);
    }
    let source = Source::new(Some(document.name.clone()), document.text.as_str());
    let unreadable = |span: &Span, message: &str| unreadable(document, &source, span, message);
    let found = yaml_block::find(&source, CONTRACT_KEY);
    let Some(block) = found.block else {
        let defect = found.defects.first().filter(|_| document.named);
        return defect.map_or(Ok(None), |d| Err(unreadable(&d.span, &d.message)));
    };
    let text = block.content.text();
    parse_log::record(text);
    let light: Light = serde_yaml::from_str(text).map_err(|error| {
        let at = text.floor_char_boundary(error.location().map_or(0, |l| l.index().min(text.len())));
        let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        unreadable(
            &block.content.span(&(at..end)),
            &format!("cannot parse the block: {message}"),
        )
    })?;
    let item = Item {
        issue: light.nmoe.issue.into(),
        slug: light.nmoe.slug.unwrap_or_default(),
        path: document.name.clone(),
        depends_on: light
            .nmoe
            .depends_on
            .into_iter()
            .flatten()
            .map(String::from)
            .collect(),
        merge_hotspots: light.nmoe.merge_hotspots.unwrap_or_default(),
        allow: light.scope.allow.unwrap_or_default(),
        deny: light.scope.deny.unwrap_or_default(),
    };
    let item = limited(item, |message| unreadable(&block.content.span(&(0..0)), message))?;
    Ok(Some((item, None)))
}

/// Maps a list on several threads; the results keep the order.
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
