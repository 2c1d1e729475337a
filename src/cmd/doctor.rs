//! `doctor`: what is missing here, each with its remedy: tools, settings, the registry's needs, the driver, the workflows.
//!
//! Looks and reports; changes nothing, but for one file that it tries to create where data must be read-only.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::cmd::context::{Context, Format, print};
use crate::cmd::policy;
use crate::document::source::Source;
use crate::git::Git;
use crate::kernel::driver::{self, Need};
use crate::kernel::host::Limits;
use crate::lint::workflows;
use crate::model::exit::Exit;
use crate::model::finding::Severity;
use crate::model::registry::Registry;
use crate::model::verdict::Reason;
use crate::sys::files;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Judge this machine as the B200 runner: what only Tier B needs is then missing rather than a hint.
    #[arg(long)]
    runner: bool,
}

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Hint,
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Check {
            name,
            state: State::Ok,
            found: found.into(),
            remedy: None,
        }
    }

    fn not(state: State, name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Check {
            name,
            state,
            found: found.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// Runs `doctor`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Human, Format::Json])?;
    let tier_b = if args.runner { State::Missing } else { State::Hint };
    let mut checks = vec![static_binary(), git(context), tool("bash"), user()];
    checks.push(settings(context));
    let registry = match policy::registry(context) {
        Ok(read) => {
            let (gates, bundles) = (read.value.gates.len(), read.value.bundles.len());
            checks.push(Check::ok("registry", format!("{gates} gates, {bundles} bundles")));
            read.value
        }
        Err(_) => {
            checks.push(Check::not(
                State::Missing,
                "registry",
                "configs/gates/gates.toml is absent or cannot be used",
                "`nmoe-gates init` writes one; `nmoe-gates lint registry` says what is wrong",
            ));
            Registry::default()
        }
    };
    checks.extend(environment(&registry, tier_b));
    checks.extend(files(&registry, &context.subject));
    checks.extend(read_only_data(&registry));
    checks.push(gpus(&registry, tier_b));
    checks.push(forms(&context.repo));
    checks.extend(workflow_files(&context.repo));

    let worst = checks.iter().any(|c| c.state == State::Missing);
    match format {
        Format::Json => {
            let value = serde_json::json!({ "schema": 1, "checks": checks, "ready": !worst });
            print(&format!("{value}\n"))?;
        }
        _ => print(&human(&checks))?,
    }
    Ok(if worst { Exit::Failed } else { Exit::Passed })
}

fn human(checks: &[Check]) -> String {
    let width = checks.iter().map(|c| c.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for check in checks {
        let mark = match check.state {
            State::Ok => "ok     ",
            State::Hint => "hint   ",
            State::Missing => "MISSING",
        };
        text.push_str(&format!("{mark}  {:<width$}  {}\n", check.name, check.found));
        if let Some(remedy) = &check.remedy {
            text.push_str(&format!("{:>9}{:<width$}  → {remedy}\n", "", ""));
        }
    }
    text
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

fn user() -> Check {
    if rustix::process::getuid().is_root() {
        Check::not(
            State::Hint,
            "user",
            "root",
            "run gates as another user: root's gates can read any process of the machine, this one among them",
        )
    } else {
        Check::ok("user", "not root")
    }
}

fn settings(context: &Context) -> Check {
    match context.settings() {
        Ok(_) => Check::ok("settings", "configs/nmoe-gates.toml, or its defaults"),
        Err(error) => Check::not(
            State::Missing,
            "settings",
            format!("{error:#}"),
            "mend configs/nmoe-gates.toml",
        ),
    }
}

/// A variable or file, with the gates that need it.
fn needs<'a>(
    registry: &'a Registry,
    of: impl Fn(&'a crate::model::registry::Gate) -> &'a [String],
) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, gate) in &registry.gates {
        for need in of(gate) {
            needs.entry(need).or_default().push(id);
        }
    }
    needs
}

fn environment(registry: &Registry, tier_b: State) -> Vec<Check> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    needs(registry, |gate| &gate.requires)
        .into_iter()
        .map(|(name, gates)| {
            if set(name) {
                Check::ok("environment", format!("{name} is set"))
            } else {
                Check::not(
                    tier_b,
                    "environment",
                    format!("{name} is not set; needed by {}", gates.join(", ")),
                    "set it in the runner's configuration; its value stays out of issues and pull requests",
                )
            }
        })
        .collect()
}

fn files(registry: &Registry, subject: &Path) -> Vec<Check> {
    needs(registry, |gate| &gate.requires_files)
        .into_iter()
        .filter(|(file, _)| !subject.join(file).is_file())
        .map(|(file, gates)| {
            Check::not(
                State::Missing,
                "files",
                format!("{file} does not exist; needed by {}", gates.join(", ")),
                Reason::MissingFile.remedy(),
            )
        })
        .collect()
}

/// Data that every run shares must not be writable by a gate.
fn read_only_data(registry: &Registry) -> Vec<Check> {
    let mut checks = Vec::new();
    for name in needs(registry, |gate| &gate.requires).into_keys() {
        let shared = name.contains("DATA") || name.contains("FROZEN");
        let Some(dir) = std::env::var_os(name).filter(|_| shared) else {
            continue;
        };
        if !Path::new(&dir).is_dir() {
            checks.push(Check::not(
                State::Missing,
                "data",
                format!("{name} names no folder"),
                "mount the data there",
            ));
        } else if tempfile::Builder::new()
            .prefix(".nmoe-gates-")
            .tempfile_in(&dir)
            .is_ok()
        {
            checks.push(Check::not(
                State::Hint,
                "data",
                format!("what {name} names can be written"),
                "mount it read-only: every run shares it, and a change's code could spoil it for the next",
            ));
        } else {
            checks.push(Check::ok("data", format!("what {name} names is read-only")));
        }
    }
    checks
}

fn gpus(registry: &Registry, tier_b: State) -> Check {
    let target = registry.target();
    let most = registry.gates.values().map(|g| g.gpus).max().unwrap_or_default();
    let need = Need::of(&target, most.max(1));
    let limits = Limits {
        step: Duration::from_secs(10),
        whole: Duration::from_secs(15),
        ..Limits::default()
    };
    match driver::judge(&driver::probe(&limits), &need) {
        Ok(driver) => Check::ok("gpus", driver::census(&driver)),
        Err(refusal) => Check::not(tier_b, "gpus", refusal.says(), refusal.reason.remedy()),
    }
}

fn forms(repo: &Path) -> Check {
    let forms = [
        ".github/ISSUE_TEMPLATE/work_item.yml",
        ".github/pull_request_template.md",
    ];
    let absent: Vec<&str> = forms
        .into_iter()
        .filter(|form| !repo.join(form).is_file())
        .collect();
    if absent.is_empty() {
        Check::ok("forms", "issue form and pull-request template")
    } else {
        Check::not(
            State::Missing,
            "forms",
            format!("{} absent", absent.join(", ")),
            "`nmoe-gates init` writes them",
        )
    }
}

fn workflow_files(repo: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    for name in ["tier-b.yml", "pr-lint.yml"] {
        let path = format!(".github/workflows/{name}");
        let Ok(text) = std::fs::read_to_string(repo.join(&path)) else {
            checks.push(Check::not(
                State::Missing,
                "workflows",
                format!("{path} is absent"),
                "`nmoe-gates init` writes it",
            ));
            continue;
        };
        let findings = workflows::lint(&Source::new(Some(path.clone()), text));
        let errors = findings.iter().filter(|f| f.severity == Severity::Error).count();
        let others = findings.len() - errors;
        checks.push(match (errors, others) {
            (0, 0) => Check::ok("workflows", path),
            (0, n) => Check::not(
                State::Hint,
                "workflows",
                format!("{path}: {n} warning{}", plural(n)),
                "see `nmoe-gates lint workflows`",
            ),
            (n, _) => Check::not(
                State::Missing,
                "workflows",
                format!("{path}: {n} error{}", plural(n)),
                "see `nmoe-gates lint workflows`",
            ),
        });
    }
    checks
}

/// The end of a counted word.
fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}
