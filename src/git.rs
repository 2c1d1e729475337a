//! The `git` command, with its environment scrubbed so that neither the caller's variables nor a hostile checkout steer it.
//!
//! Knows nothing of pull requests or contracts: arguments in, bytes out.

pub mod added;
pub mod claims;
pub mod diff;
pub mod merge;
pub mod merged;
pub mod pathspec;
pub mod resolution;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Settings that keep a checkout's own configuration from running anything: hooks, monitors, filters, foreign protocols.
const INERT: [&str; 6] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "core.untrackedCache=false",
    "gc.auto=0",
];

/// Subcommands that may run the filters of a checkout's configuration over its files.
const FILTERING: [&str; 10] = [
    "add",
    "archive",
    "checkout",
    "diff",
    "diff-files",
    "merge",
    "read-tree",
    "reset",
    "status",
    "worktree",
];

/// What went wrong with a git command.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// git itself could not be started.
    #[error("cannot run git: {0}; install git and put it on PATH")]
    Start(#[from] io::Error),
    /// git ended with a non-zero exit code.
    #[error("git {command} failed with exit code {code}: {message}")]
    Failed {
        /// The git subcommand.
        command: String,
        /// Its exit code, or −1 after a signal.
        code: i32,
        /// The first line of what it said.
        message: String,
    },
    /// git printed something that is not UTF-8 where text was expected.
    #[error("git {0} printed text that is not UTF-8")]
    NotText(String),
}

/// A repository or worktree to run git in.
#[derive(Clone, Debug)]
pub struct Git {
    dir: PathBuf,
    objects: Option<(PathBuf, PathBuf)>,
}

impl Git {
    /// git in this directory.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Git {
            dir: dir.into(),
            objects: None,
        }
    }

    /// The same repository, with new objects written into a folder of the caller's: what is tried leaves nothing behind.
    pub fn with_scratch_objects(&self, scratch: &Path) -> Result<Self, GitError> {
        let own = self.text(["rev-parse", "--path-format=absolute", "--git-path", "objects"])?;
        Ok(Git {
            dir: self.dir.clone(),
            objects: Some((scratch.to_owned(), own.into())),
        })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The command with its scrubbed environment; nothing has been started.
    pub fn command<I, S>(&self, args: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let args: Vec<S> = args.into_iter().collect();
        let filters = match args.first().and_then(|name| name.as_ref().to_str()) {
            Some(name) if FILTERING.contains(&name) => self.filters(),
            _ => Vec::new(),
        };
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                command.env_remove(&name);
            }
        }
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        if let Some((scratch, own)) = &self.objects {
            command
                .env("GIT_OBJECT_DIRECTORY", scratch)
                .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", own);
        }
        for setting in INERT {
            command.arg("-c").arg(setting);
        }
        // By the environment and not by `-c`, since a name may hold anything.
        for (n, key) in filters.iter().enumerate() {
            let off = if key.ends_with(".required") { "false" } else { "" };
            command
                .env(format!("GIT_CONFIG_KEY_{n}"), key)
                .env(format!("GIT_CONFIG_VALUE_{n}"), off);
        }
        if !filters.is_empty() {
            command.env("GIT_CONFIG_COUNT", filters.len().to_string());
        }
        command.args(args);
        command
    }

    /// The keys that name filters: programs that git would run over the files of a checkout. Reading them runs nothing.
    fn filters(&self) -> Vec<String> {
        let listed = self.bytes(["config", "--null", "--name-only", "--get-regexp", r"^filter\."]);
        listed
            .unwrap_or_default()
            .split(|byte| *byte == 0)
            .filter_map(|key| std::str::from_utf8(key).ok())
            .filter(|key| !key.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Runs git and returns what it printed, whatever its exit code.
    pub fn output<I, S>(&self, args: I) -> Result<Output, GitError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        Ok(self.command(args).output()?)
    }

    /// Runs git and returns its standard output; a non-zero exit code is an error.
    pub fn bytes<I, S>(&self, args: I) -> Result<Vec<u8>, GitError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let args: Vec<S> = args.into_iter().collect();
        let name = args
            .first()
            .map(|a| a.as_ref().to_string_lossy().into_owned())
            .unwrap_or_default();
        let output = self.output(args)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(GitError::Failed {
            command: name,
            code: output.status.code().unwrap_or(-1),
            message: said
                .lines()
                .find(|l| !l.trim().is_empty())
                .unwrap_or("no message")
                .trim()
                .to_owned(),
        })
    }

    /// Like [`Git::bytes`], as text without the last line end.
    pub fn text<I, S>(&self, args: I) -> Result<String, GitError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let args: Vec<S> = args.into_iter().collect();
        let name = args
            .first()
            .map(|a| a.as_ref().to_string_lossy().into_owned())
            .unwrap_or_default();
        let mut text = String::from_utf8(self.bytes(args)?).map_err(|_| GitError::NotText(name))?;
        text.truncate(text.trim_end_matches(['\n', '\r']).len());
        Ok(text)
    }

    /// The full id of the commit that a revision names; `None` where there is none, or the text is an option.
    pub fn commit(&self, revision: &str) -> Result<Option<String>, GitError> {
        let peeled = format!("{revision}^{{commit}}");
        let output = self.output(["rev-parse", "--verify", "--quiet", "--end-of-options", &peeled])?;
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((output.status.success() && id.len() >= 40).then_some(id))
    }
}
