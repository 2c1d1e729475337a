//! Runs `git` in a clean environment, so that neither variables of the caller nor a hostile checkout can change its behaviour.
//!
//! Must not depend on pull requests or contracts.

pub mod added_lines;
pub mod claims;
pub mod codes;
pub mod diff;
pub mod evil_merge;
pub mod merge;
pub mod merge_status;
pub mod revisions;
pub mod snapshot;
pub mod worktrees;

use crate::domain::ids::CommitId;
use crate::domain::next_step::shell_line;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Settings that prevent the configuration of a checkout from running programs: hooks, file monitors, external protocols.
const SAFE_CONFIG: [&str; 8] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "core.untrackedCache=false",
    "gc.auto=0",
    "log.showSignature=false",
    // git would print advice before the cause of an error.
    "advice.graftFileDeprecated=false",
];

/// Subcommands that read and write objects, refs and configuration, but no file of a checkout. Every other subcommand may run
/// filters and merge drivers, so they are disabled for it. Commands that print a diff may also run converters, so callers pass
/// `--no-ext-diff` and `--no-textconv`.
const WITHOUT_CHECKOUT: [&str; 16] = [
    "cat-file",
    "commit-tree",
    "config",
    "diff-tree",
    "fetch",
    "for-each-ref",
    "fsck",
    "init",
    "ls-remote",
    "ls-tree",
    "merge-base",
    "patch-id",
    "rev-list",
    "rev-parse",
    "symbolic-ref",
    "update-ref",
];

/// Variables that an isolated git still needs.
const NEEDED: [&str; 2] = ["PATH", "TMPDIR"];

/// An error of a git command.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// git could not be started.
    #[error("cannot run git: {0}\nhelp: install git and put it on PATH")]
    Start(#[from] io::Error),
    /// git ended with a non-zero exit code.
    #[error("git {command} failed with exit code {code}: {message}")]
    Failed {
        /// The git subcommand.
        command: String,
        /// The exit code, or −1 after a signal.
        code: i32,
        /// The first line of its error output.
        message: String,
    },
    /// The clone lacks commits of a range.
    #[error("cannot read the history of the range: the clone is shallow\nhelp: git fetch --unshallow")]
    Shallow,
    /// git refuses the repository, because its folder belongs to another user.
    #[error("cannot use {0}: it belongs to another user\nhelp: {1}")]
    Ownership(String, String),
    /// git printed something that is not UTF-8 where text was expected.
    #[error("git {0} printed text that is not UTF-8")]
    NotText(String),
    /// git printed something that is not an object id where one was expected.
    #[error("git {0} printed something that is not an object id")]
    NotAnId(String),
    /// A revision names no commit.
    #[error("cannot find the commit `{0}`\nhelp: fetch it, or correct the name")]
    NoCommit(String),
    /// The base branch of the settings does not exist.
    #[error(
        "cannot find the base branch `{0}`\nhelp: name it with `--base REV`, or set `naming.base` in the settings"
    )]
    NoBase(String),
    /// The remote does not have the base branch.
    #[error(
        "cannot find the base: the remote `{0}` has no branch `{1}`\nhelp: correct `naming.remote` or `naming.base` in the settings"
    )]
    NoRemoteBase(String, String),
    /// Two commits have no merge base.
    #[error("cannot compare {0} with {1}: they have no common history\nhelp: fetch more of it")]
    Unrelated(String, String),
}

impl GitError {
    /// Creates the error of a git command with a non-zero exit code.
    pub fn failed(command: impl Into<String>, output: &Output) -> Self {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().map(str::trim).find(|line| !line.is_empty());
        GitError::Failed {
            command: command.into(),
            code: output.status.code().unwrap_or(-1),
            message: first.unwrap_or("no message").to_owned(),
        }
    }
}

/// A repository or worktree to run git in.
#[derive(Clone, Debug)]
pub struct Git {
    dir: PathBuf,
    objects: Option<(PathBuf, PathBuf)>,
    index: Option<PathBuf>,
    settings: Settings,
    /// Settings that disable filters and merge drivers, if the configuration cannot change during the use of this value.
    disabled: Option<Settings>,
    isolated: bool,
    /// Whether commits name this tool as their author.
    is_tool: bool,
    /// Whether git ignores that the clone is shallow.
    whole: bool,
}

/// Configuration keys with their values. git gets them in the environment, because `-c` cannot represent every key, and because
/// other users can read the command line.
#[derive(Clone, Default)]
struct Settings(Vec<(OsString, OsString)>);

/// Shows only the keys, because a value can be a credential.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

impl Git {
    /// Runs git in this directory.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Git {
            dir: dir.into(),
            objects: None,
            index: None,
            settings: Settings::default(),
            disabled: None,
            isolated: false,
            is_tool: false,
            whole: false,
        }
    }

    /// Returns the same repository, for git processes that fail at a commit whose parents are missing. A shallow clone hides them.
    #[must_use]
    pub fn with_whole_history(&self) -> Self {
        Git {
            whole: true,
            ..self.clone()
        }
    }

    /// Reads the filters and merge drivers once, for many commands in a repository with a stable configuration.
    /// Must not be used while code under test runs.
    pub fn with_fixed_config(&self) -> Self {
        Git {
            disabled: Some(self.disabled_programs()),
            ..self.clone()
        }
    }

    /// Returns the same repository, for git processes without the configuration of the user and the system, which can contain
    /// filters and credentials, and without the variables of the caller, which can contain tokens. The owner of the folder does
    /// not matter.
    #[must_use]
    pub fn isolated(&self) -> Self {
        Git {
            isolated: true,
            ..self.with_setting("safe.directory", "*")
        }
    }

    /// Returns the same repository, for commits of this tool. No configuration changes their author.
    #[must_use]
    pub fn as_tool(&self) -> Self {
        Git {
            is_tool: true,
            ..self.clone()
        }
    }

    /// Returns the same repository with another configuration value.
    #[must_use]
    pub fn with_setting(&self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let mut with = self.clone();
        with.settings.0.push((key.into(), value.into()));
        with
    }

    /// Returns the same repository, but writes new objects to the directory `scratch`. A trial leaves nothing in the repository.
    pub fn with_scratch_objects(&self, scratch: &Path) -> Result<Self, GitError> {
        let own = self.text(["rev-parse", "--path-format=absolute", "--git-path", "objects"])?;
        Ok(Git {
            objects: Some((scratch.to_owned(), own.into())),
            ..self.clone()
        })
    }

    /// Returns the same repository with another index, such as the one that git prepares for a commit hook.
    pub fn with_index(&self, index: impl Into<PathBuf>) -> Self {
        Git {
            index: Some(index.into()),
            ..self.clone()
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Prepares a git command with a clean environment, and does not start it.
    pub fn command<I, S>(&self, args: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let args: Vec<S> = args.into_iter().collect();
        let Settings(mut settings) = self.settings.clone();
        match args.first().and_then(|name| name.as_ref().to_str()) {
            Some(name) if WITHOUT_CHECKOUT.contains(&name) => {}
            _ => {
                let disabled = self.disabled.clone();
                settings.extend(disabled.unwrap_or_else(|| self.disabled_programs()).0);
            }
        }
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            let foreign = self.isolated && NEEDED.iter().all(|needed| name != *needed);
            if foreign || name.as_encoded_bytes().starts_with(b"GIT_") {
                command.env_remove(&name);
            }
        }
        if self.isolated {
            command
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("GIT_ATTR_NOSYSTEM", "1");
        }
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_GRAFT_FILE", "/dev/null")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        if self.is_tool {
            for role in ["AUTHOR", "COMMITTER"] {
                command
                    .env(format!("GIT_{role}_NAME"), "nmoe-gates")
                    .env(format!("GIT_{role}_EMAIL"), "nmoe-gates@localhost");
            }
        }
        if let Some((scratch, own)) = &self.objects {
            command
                .env("GIT_OBJECT_DIRECTORY", scratch)
                .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", own);
        }
        if let Some(index) = &self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        if self.whole {
            command.env("GIT_SHALLOW_FILE", "/dev/null");
        }
        for setting in SAFE_CONFIG {
            command.arg("-c").arg(setting);
        }
        if !settings.is_empty() {
            command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        }
        for (n, (key, value)) in settings.into_iter().enumerate() {
            command
                .env(format!("GIT_CONFIG_KEY_{n}"), key)
                .env(format!("GIT_CONFIG_VALUE_{n}"), value);
        }
        command.args(args);
        command
    }

    /// Returns settings that disable the configured filters and merge drivers, which git would run on the files of a checkout.
    fn disabled_programs(&self) -> Settings {
        let keys = r"^(filter\..*|merge\..*\.driver)$";
        // If git cannot read the configuration, the command itself fails too.
        let listed = self.names(["config", "--null", "--name-only", "--get-regexp", keys]);
        let off = |key: &Vec<u8>| {
            // A driver that fails leaves a conflict. An empty driver would keep our side and report a clean merge.
            let fails = key.ends_with(b".required") || key.ends_with(b".driver");
            let value = if fails { "false" } else { "" };
            (OsStr::from_bytes(key).to_owned(), value.into())
        };
        Settings(listed.unwrap_or_default().iter().map(off).collect())
    }

    /// Runs git and returns its output, for every exit code; that git refuses the repository is an error.
    pub fn output<I, S>(&self, args: I) -> Result<Output, GitError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let output = self.command(args).output()?;
        match refused_folder(&output.stderr) {
            Some(folder) if !output.status.success() => {
                let exception =
                    shell_line(&["git", "config", "--global", "--add", "safe.directory", &folder]);
                Err(GitError::Ownership(folder, exception))
            }
            _ => Ok(output),
        }
    }

    /// Runs git and returns its standard output; a non-zero exit code is an error.
    pub fn bytes<I, S>(&self, args: I) -> Result<Vec<u8>, GitError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let args: Vec<S> = args.into_iter().collect();
        let name = subcommand(&args);
        let output = self.output(args)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(GitError::failed(name, &output))
    }

    /// Like [`Git::bytes`], but returns the names, or other entries, that git ends with NUL because of `-z`.
    pub fn names<I, S>(&self, args: I) -> Result<Vec<Vec<u8>>, GitError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let listed = self.bytes(args)?;
        let names = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(<[u8]>::to_vec).collect())
    }

    /// Like [`Git::names`], but returns text. What is not UTF-8 is replaced.
    pub fn name_texts<I, S>(&self, args: I) -> Result<Vec<String>, GitError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let text = |name: &Vec<u8>| String::from_utf8_lossy(name).into_owned();
        Ok(self.names(args)?.iter().map(text).collect())
    }

    /// Like [`Git::bytes`], with this text on the standard input of git.
    pub fn bytes_from<I, S>(&self, args: I, text: &[u8]) -> Result<Vec<u8>, GitError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let args: Vec<S> = args.into_iter().collect();
        let name = subcommand(&args);
        let mut command = self.command(args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let pipe = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // git reports an early end of its input itself.
            scope.spawn(move || pipe.map(|mut pipe| pipe.write_all(text)));
            child.wait_with_output()
        })?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(GitError::failed(name, &output)),
        }
    }

    /// Like [`Git::bytes`], but returns text without the final line end.
    pub fn text<I, S>(&self, args: I) -> Result<String, GitError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let args: Vec<S> = args.into_iter().collect();
        let name = subcommand(&args);
        let mut text = String::from_utf8(self.bytes(args)?).map_err(|_| GitError::NotText(name))?;
        text.truncate(text.trim_end_matches(['\n', '\r']).len());
        Ok(text)
    }

    /// Whether the checkout or one of its submodules has uncommitted changes.
    ///
    /// Checks each submodule with a separate git command. From the parent, git would use the settings and filters of the submodule.
    pub fn is_dirty(&self) -> Result<bool, GitError> {
        let changes = self.bytes(["status", "--porcelain=v1", "-z", "--ignore-submodules=dirty"])?;
        if !changes.is_empty() {
            return Ok(true);
        }
        for entry in self.names(["ls-files", "-z", "--stage"])? {
            let Some(path) = entry
                .strip_prefix(b"160000 ")
                .and_then(|rest| rest.splitn(2, |b| *b == b'\t').nth(1))
            else {
                continue;
            };
            let checkout = self.top()?.join(OsStr::from_bytes(path));
            // A submodule that is not checked out has no changes.
            if checkout.join(".git").symlink_metadata().is_ok() && Git::at(checkout).is_dirty()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the directory is a bare repository or git's own folder, so that it has no files of a checkout.
    pub fn is_without_work_tree(&self) -> bool {
        self.text(["rev-parse", "--is-inside-work-tree"])
            .is_ok_and(|inside| inside == "false")
    }

    /// Returns the top folder of the checkout.
    pub fn top(&self) -> Result<PathBuf, GitError> {
        let printed = self.bytes(["rev-parse", "--path-format=absolute", "--show-toplevel"])?;
        let path = printed.strip_suffix(b"\n").unwrap_or(&printed);
        Ok(PathBuf::from(OsStr::from_bytes(path)))
    }

    /// The one object id that a command prints.
    ///
    /// # Errors
    /// git cannot be started, refuses, or prints something else.
    pub fn id<I, S>(&self, args: I) -> Result<CommitId, GitError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let args: Vec<S> = args.into_iter().collect();
        parse_id(&self.bytes(&args)?, &args)
    }

    /// Like [`Git::id`], with this text on the standard input of git.
    pub fn id_from<const N: usize>(&self, args: [&str; N], text: &str) -> Result<CommitId, GitError> {
        parse_id(&self.bytes_from(args, text.as_bytes())?, &args)
    }

    /// Returns the id of the tree without files, in the object format of the repository. git knows this tree without storing it.
    pub fn empty_tree(&self) -> Result<CommitId, GitError> {
        self.id(["hash-object", "-t", "tree", "/dev/null"])
    }

    /// Whether a revision names a commit that is here.
    pub fn has_commit(&self, revision: &str) -> bool {
        self.commit(revision).is_ok_and(|commit| commit.is_some())
    }

    /// Returns the full id of the commit that a revision names; `None` if the commit does not exist or the text is an option.
    pub fn commit(&self, revision: &str) -> Result<Option<CommitId>, GitError> {
        let peeled = format!("{revision}^{{commit}}");
        let output = self.output(["rev-parse", "--verify", "--quiet", "--end-of-options", &peeled])?;
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(CommitId::try_from(id).ok().filter(|_| output.status.success()))
    }
}

/// Returns the folder in git's message that a repository belongs to another user.
fn refused_folder(stderr: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(stderr);
    let (_, rest) = said.split_once("dubious ownership in repository at '")?;
    rest.split_once('\'').map(|(folder, _)| folder.to_owned())
}

fn parse_id<S: AsRef<OsStr>>(printed: &[u8], args: &[S]) -> Result<CommitId, GitError> {
    let id = String::from_utf8_lossy(printed).trim_end().to_owned();
    id.try_into().map_err(|_| GitError::NotAnId(subcommand(args)))
}

fn subcommand<S: AsRef<OsStr>>(args: &[S]) -> String {
    args.first()
        .map(|name| name.as_ref().to_string_lossy().into_owned())
        .unwrap_or_default()
}
