//! Checks of `doctor` that do not depend on the registry: the program, git, a shell, the user, the runner.

use crate::cmd::context::Context;
use crate::cmd::doctor::check::{Check, State};
use crate::domain::evidence::Isolation;
use crate::gate::isolation;
use crate::git::{Git, GitError};
use crate::system::files;

/// Runs every check of this file.
pub(super) fn checks(context: &Context, runner: bool) -> Vec<Check> {
    let mut checks = vec![static_binary(), git(context)];
    checks.extend(checkout(context));
    checks.extend([tool("bash"), user(), isolation()]);
    checks.extend(hosted(runner));
    checks
}

/// Checks the kind of the runner, if this process runs on one.
fn hosted(runner: bool) -> Option<Check> {
    let environment = std::env::var("RUNNER_ENVIRONMENT").ok()?;
    Some(if runner && environment == "github-hosted" {
        Check::not(
            State::Missing,
            "runner",
            "a hosted one, which has no B200",
            "give the job the label of your own runner, as `runs-on: b200`",
        )
    } else {
        Check::ok("runner", environment)
    })
}

fn static_binary() -> Check {
    if cfg!(target_feature = "crt-static") {
        Check::ok(
            "binary",
            concat!("nmoe-gates ", env!("CARGO_PKG_VERSION"), ", static"),
        )
    } else {
        Check::not(
            State::Hint,
            "binary",
            concat!("nmoe-gates ", env!("CARGO_PKG_VERSION"), ", dynamic"),
            "build with the repository's .cargo/config.toml, and leave RUSTFLAGS unset",
        )
    }
}

fn git(context: &Context) -> Check {
    // 2.38 brought `merge-tree --write-tree`, which finds conflicts without touching a worktree.
    let version = Git::at(&context.repo).text(["--version"]).unwrap_or_default();
    let number = version.split_whitespace().nth(2).unwrap_or_default();
    let mut parts = number.split('.').map_while(|p| p.parse::<u32>().ok());
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) if (major, minor) >= (2, 38) => Check::ok("git", number),
        (Some(_), _) => Check::not(State::Missing, "git", number, "install git 2.38 or newer"),
        _ => Check::not(
            State::Missing,
            "git",
            "not found",
            "install git and put it on PATH",
        ),
    }
}

/// Reports a directory that is not a checkout. Most commands need commits.
fn checkout(context: &Context) -> Option<Check> {
    let error = Git::at(&context.repo)
        .text(["rev-parse", "--show-toplevel"])
        .err()?;
    Some(match error {
        GitError::Ownership(..) => Check::not(
            State::Missing,
            "checkout",
            error.to_string(),
            "run this command, or give the checkout to this user",
        ),
        _ if Git::at(&context.repo).is_without_work_tree() => Check::not(
            State::Missing,
            "checkout",
            format!(
                "{} is a bare repository or git's own folder",
                context.repo.display()
            ),
            "name a checkout with --repo DIR",
        ),
        _ => Check::not(
            State::Missing,
            "checkout",
            format!("{} is not a git checkout", context.repo.display()),
            "run `git init` there, or name the checkout with --repo DIR",
        ),
    })
}

fn tool(name: &'static str) -> Check {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if files::on_path(&path, name) {
        Check::ok(name, "on PATH")
    } else {
        Check::not(
            State::Missing,
            name,
            "not found",
            format!("install {name} and put it on PATH"),
        )
    }
}

fn isolation() -> Check {
    let (found, remedy) = match isolation::level().0 {
        Isolation::Container | Isolation::PidNamespace => {
            return Check::ok("isolation", "each gate has its own PID namespace and /proc");
        }
        Isolation::Cgroup => (
            "control groups: all processes of a gate end, but a gate sees the processes of its user",
            "allow unprivileged user namespaces on this machine, or run gates with --container",
        ),
        Isolation::ProcessTree => (
            "none: processes of a gate are found one by one, and a gate sees the processes of its user",
            "allow unprivileged user namespaces on this machine, or run gates with --container",
        ),
    };
    Check::not(State::Hint, "isolation", found, remedy)
}

fn user() -> Check {
    if rustix::process::getuid().is_root() {
        Check::not(
            State::Hint,
            "user",
            "root",
            "run gates as another user: a gate of root can read every process of the machine, also this one",
        )
    } else {
        Check::ok("user", "not root")
    }
}
