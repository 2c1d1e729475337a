//! Plans the change of one file of `init`: create it, add a section, update the region of an earlier run, or keep it.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::region::{self, Update};
use crate::document::diff;
use crate::system::files;

/// The change of one file.
#[derive(Debug, Serialize)]
pub struct Step {
    pub path: String,
    pub action: Action,
    /// Whether this run has changed the file.
    pub written: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The text of the file now; `None` if it does not exist.
    #[serde(skip)]
    before: Option<String>,
    /// The text of the file after the step.
    #[serde(skip)]
    after: String,
}

/// The kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Create,
    Append,
    /// Replace the region that an earlier run wrote.
    Update,
    /// A person has edited the region, so nothing is changed.
    Edited,
    Keep,
}

impl Action {
    /// Returns the word of a list.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Append => "append",
            Action::Update => "update",
            Action::Edited => "edited",
            Action::Keep => "keep",
        }
    }
}

impl Step {
    /// Creates a file that belongs to the user from then on.
    pub fn new(repo: &Path, path: &str, content: String) -> Self {
        let there = repo.join(path).symlink_metadata().is_ok();
        Step {
            path: path.to_owned(),
            action: if there { Action::Keep } else { Action::Create },
            written: false,
            note: None,
            before: None,
            after: content,
        }
    }

    /// Creates a file with this content in a region, or updates the region.
    pub fn owned(repo: &Path, path: &str, content: &str) -> Self {
        let mut step = Step::new(repo, path, region::wrap(path, content));
        if step.action == Action::Create {
            return step;
        }
        // A file that is not text is kept.
        let before = std::fs::read_to_string(repo.join(path)).unwrap_or_default();
        match region::update(path, &before, content) {
            Update::Unmarked | Update::Same => {}
            Update::Edited => {
                step.action = Action::Edited;
                let note = "its region was edited: move your text out of the region and delete the region, or delete the file";
                step.note = Some(note.to_owned());
            }
            Update::Changed(after) => {
                step.action = Action::Update;
                step.after = after;
            }
        }
        step.before = Some(before);
        step
    }

    /// Like [`Step::owned`], but adds the region to a file that has none.
    pub fn section(repo: &Path, path: &str, content: &str) -> anyhow::Result<Self> {
        let mut step = Step::owned(repo, path, content);
        if step.action != Action::Keep {
            return Ok(step);
        }
        let before =
            std::fs::read_to_string(repo.join(path)).with_context(|| format!("cannot read {path}"))?;
        if !region::is_marked(&before) {
            step.action = Action::Append;
            let gap = if before.is_empty() || before.ends_with("\n") {
                "\n"
            } else {
                "\n\n"
            };
            step.after = format!("{before}{gap}{}", region::wrap(path, content));
        }
        Ok(step)
    }

    /// Adds a note if the file is kept and does not contain this word.
    pub fn needs(mut self, word: &str, note: &str) -> Self {
        let there = self.before.as_ref().is_none_or(|text| text.contains(word));
        if self.action == Action::Keep && !there {
            self.note = Some(note.to_owned());
        }
        self
    }

    /// Formats the change like `git diff`.
    pub fn patch(&self) -> String {
        match self.action {
            Action::Keep | Action::Edited => String::new(),
            Action::Create | Action::Append | Action::Update => {
                diff::between(&self.path, self.before.as_deref(), &self.after)
            }
        }
    }

    /// Whether the file has the region of an earlier run.
    pub fn is_marked(&self) -> bool {
        self.before.as_deref().is_some_and(region::is_marked)
    }

    /// Whether this run changes the file, with its updates or without.
    pub fn is_due(&self, updates: bool) -> bool {
        match self.action {
            Action::Keep | Action::Edited => false,
            Action::Create | Action::Append => true,
            Action::Update => updates,
        }
    }

    /// Checks that the file has not changed since the step was planned, and that no link leads out of the repository.
    pub fn check(&self, repo: &Path) -> anyhow::Result<()> {
        let path = repo.join(&self.path);
        let shown = path.display();
        let failed = || format!("cannot write {shown}");
        if !self.is_hook() {
            // A folder that is absent is created below the first one that exists.
            let there = path.ancestors().find_map(|path| path.canonicalize().ok());
            let top = repo.canonicalize().with_context(failed)?;
            if let Some(place) = there.filter(|place| !place.starts_with(&top)) {
                bail!(
                    "cannot write {shown}: a symbolic link leads to {}, which is outside of the repository\nhelp: replace the link by a file or folder of the repository",
                    place.display()
                );
            }
        }
        let now = match path.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            _ => Some(std::fs::read_to_string(&path).with_context(failed)?),
        };
        if now != self.before {
            bail!(
                "cannot write {shown}: it has changed since `init` read it\nhelp: run `nmoe-gates init` again"
            );
        }
        Ok(())
    }

    /// Changes the file.
    pub fn take(&mut self, repo: &Path) -> anyhow::Result<()> {
        self.check(repo)?;
        let path = repo.join(&self.path);
        let failed = || format!("cannot write {}", path.display());
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).with_context(failed)?;
        }
        files::rewrite(&path, self.after.as_bytes()).with_context(failed)?;
        if self.is_hook() {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&path, mode).with_context(failed)?;
        }
        self.written = true;
        Ok(())
    }

    /// Whether the file is a hook of git, which the worktrees of a repository share.
    fn is_hook(&self) -> bool {
        let folder = Path::new(&self.path).parent();
        folder.is_some_and(|folder| folder.ends_with("hooks"))
    }
}
