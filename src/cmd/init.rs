//! `init`: adds the files that a repository needs for contracts and attestations: registry, settings, forms, workflows.
//!
//! Prints each step, and never overwrites a file. A second run changes nothing. The forms and workflows are the files that
//! this project uses itself.

mod forms;
mod packages;
mod render;
mod skill;

use std::path::Path;

use anyhow::{Context as _, bail};
use minijinja::context;
use serde::Serialize;

use crate::cmd::context::{Context, Format, print, print_data, print_json_line};
use crate::cmd::help::{self, Help};
use crate::cmd::init::render::render;
use crate::domain::exit::Exit;
use crate::domain::page;
use crate::domain::paths;
use crate::domain::registry::SINGLE;
use crate::domain::settings;
use crate::git::{Git, GitError};
use crate::policy::Revision;
use crate::terminal::Text;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::PRINTS,
    variables: help::OF_TERMINAL,
    examples: &["init --dry-run", "init", "init --agents --skill --hook"],
};

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print what would be written, and write nothing. With `-v`, print a patch for `git apply`.
    #[arg(long)]
    dry_run: bool,
    /// Call the action at the running commit (`uses: $/`), if this repository contains it. Needs runner 2.336.0 or newer.
    #[arg(long, conflicts_with = "action")]
    self_reference: bool,
    /// Add a section for agents to AGENTS.md.
    #[arg(long)]
    agents: bool,
    /// Add a skill file for agents, generated from this program, to this folder of skills (default: .claude/skills).
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = ".claude/skills")]
    skill: Option<String>,
    /// Add a git hook that checks each commit before it is created.
    #[arg(long)]
    hook: bool,
    /// Use this action in the workflows. Pin it by commit.
    #[arg(long, value_name = "OWNER/REPO@REF", default_value_t = page::action(), value_parser = action)]
    action: String,
}

impl Args {
    /// Returns the action that a workflow calls. On `pull_request` the running commit is the change, so PR lint keeps `./`, which is
    /// its checkout of the base.
    fn uses<'a>(&'a self, own: &'a str) -> &'a str {
        match self.self_reference {
            true => own,
            false => &self.action,
        }
    }
}

/// The issue form of this repository.
pub const ISSUE_FORM: &str = include_str!("../../.github/ISSUE_TEMPLATE/work_item.yml");
const PR_TEMPLATE: &str = include_str!("../../.github/pull_request_template.md");
const TIER_B: &str = include_str!("../../.github/workflows/tier-b.yml");
const PR_LINT: &str = include_str!("../../.github/workflows/pr-lint.yml");
const REGISTRY: &str = include_str!("../../templates/init/gates.toml");
const SETTINGS: &str = include_str!("../../templates/init/nmoe-gates.toml");
const AGENTS: &str = include_str!("../../templates/init/AGENTS.md");
const HOOK: &str = include_str!("../../templates/init/pre-commit");
/// The first line of the section in AGENTS.md. If a file contains the line, the section exists.
const AGENTS_MARK: &str = "<!-- nmoe-gates -->";
/// The paths that GitHub accepts for a pull-request template.
const PR_TEMPLATES: [&str; 4] = [
    ".github/pull_request_template.md",
    ".github/PULL_REQUEST_TEMPLATE.md",
    "pull_request_template.md",
    "docs/pull_request_template.md",
];

/// The action for one file.
#[derive(Debug, Serialize)]
struct Step {
    path: String,
    action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip)]
    content: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Create,
    Append,
    Keep,
}

/// Runs `init`.
pub fn run(context: &Context, args: &Args, command: &clap::Command) -> anyhow::Result<Exit> {
    let format = context.format(HELP.formats)?;
    let repo = &context.repo;
    let git = Git::at(repo);
    check_top(repo, &git)?;
    let mut steps = plan(repo, &git, args)?;
    if let Some(folder) = &args.skill {
        let path = format!("{}/nmoe-gates/SKILL.md", folder.trim_end_matches('/'));
        steps.push(Step::new(repo, &path, skill::text(command, AGENTS)?));
    }
    if !args.dry_run {
        for step in &steps {
            step.take(repo)?;
        }
    }
    match format {
        Format::Json => {
            let value = serde_json::json!({
                "schema": 1, "written": !args.dry_run, "files": steps, "next": "nmoe-gates doctor",
            });
            print_json_line(&value)?;
        }
        _ if args.dry_run && context.verbosity > 0 => {
            let mut patch = String::new();
            for step in &steps {
                patch.push_str(&step.patch(repo)?);
            }
            print_data(&patch)?;
        }
        _ => print(&human(&steps, args.dry_run))?,
    }
    Ok(Exit::Passed)
}

/// Refuses a directory that is not the top of a checkout: a subdirectory, a bare repository, git's own folder.
fn check_top(repo: &Path, git: &Git) -> anyhow::Result<()> {
    let shown = repo.display();
    let same = |top: &Path| Some(top.canonicalize().ok()? == repo.canonicalize().ok()?);
    match git.text(["rev-parse", "--show-toplevel"]) {
        Ok(top) if same(Path::new(&top)) == Some(true) => return Ok(()),
        Ok(top) => bail!(
            "cannot write into {shown}: it is not the top of its checkout\nhelp: nmoe-gates init --repo {top}"
        ),
        Err(refused @ GitError::Ownership(..)) => return Err(refused.into()),
        Err(_) => {}
    }
    if git.text(["rev-parse", "--git-dir"]).is_ok() {
        bail!(
            "cannot write into {shown}: it is a bare repository or git's own folder\nhelp: run `nmoe-gates init` in a checkout"
        );
    }
    bail!("cannot write into {shown}: it is not a git checkout\nhelp: run `git init` there first");
}

fn plan(repo: &Path, git: &Git, args: &Args) -> anyhow::Result<Vec<Step>> {
    let base = default_branch(git);
    let schemas = schemas(&args.action);
    let packages = packages::find(repo);
    let written = render(
        REGISTRY,
        context! { packages => packages::for_template(&packages), schemas => &schemas },
    )?;
    // Forms and workflows name the gates and bundles of the registry that is there, or of the one that is written now.
    let here = Revision::Checkout(repo);
    let file = here.registry_file()?;
    let file = file.unwrap_or_else(|| here.parse_registry(written.clone().into_bytes()));
    let registry = file.registry()?.value;
    let package = packages.first().map(|package| package.path.as_str());
    let form = |text: &str| forms::adapt(text, &registry, package);
    let bundles: Vec<&str> = registry.bundles.keys().map(|id| id.as_str()).collect();
    let mut steps = vec![
        Step::new(repo, paths::REGISTRY, written),
        Step::new(
            repo,
            paths::SETTINGS,
            render(SETTINGS, context! { base => base, schemas => &schemas })?,
        ),
        Step::new(repo, ".github/ISSUE_TEMPLATE/work_item.yml", form(ISSUE_FORM)),
        pr_template(repo, form(PR_TEMPLATE)),
        workflow(repo, "pr-lint.yml", adapt(PR_LINT, args.uses("./"), &[])),
        workflow(repo, "tier-b.yml", adapt(TIER_B, args.uses("$/"), &bundles)),
    ];
    if args.agents {
        steps.push(agents(repo)?);
    }
    if args.hook {
        // Do not use `--git-path`: `Git` runs git without hooks, so that git would answer with another path.
        let path = git.text(["rev-parse", "--git-common-dir"])? + "/hooks/pre-commit";
        let mut step = Step::new(repo, &path, HOOK.to_owned());
        if step.action == Action::Keep
            && std::fs::read_to_string(repo.join(&path)).ok().as_deref() != Some(HOOK)
        {
            step.note = Some("another hook exists; call `nmoe-gates lint` from it".to_owned());
        }
        steps.push(step);
    }
    Ok(steps)
}

impl Step {
    fn new(repo: &Path, path: &str, content: String) -> Self {
        let there = repo.join(path).symlink_metadata().is_ok();
        Step {
            path: path.to_owned(),
            action: if there { Action::Keep } else { Action::Create },
            note: None,
            content,
        }
    }

    /// Formats the change of this step like `git diff`.
    fn patch(&self, repo: &Path) -> anyhow::Result<String> {
        let path = &self.path;
        let lines =
            |text: &str, mark: char| -> String { text.lines().map(|l| format!("{mark}{l}\n")).collect() };
        let added = self.content.lines().count();
        Ok(match self.action {
            Action::Keep => String::new(),
            Action::Create => format!(
                "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{added} @@\n{}",
                lines(&self.content, '+')
            ),
            Action::Append => {
                let before = std::fs::read_to_string(repo.join(path))
                    .with_context(|| format!("cannot read {path}"))?;
                let last = before.lines().count();
                let shown = last.min(3);
                let from = last - shown;
                let mut tail: String = before.lines().skip(from).map(|l| format!(" {l}\n")).collect();
                let mut content = self.content.as_str();
                if !before.is_empty() && !before.ends_with('\n') {
                    // Complete the last line with a line break.
                    let line = before.lines().last().unwrap_or_default();
                    tail.truncate(tail.len() - line.len() - 2);
                    tail.push_str(&format!("-{line}\n\\ No newline at end of file\n+{line}\n"));
                    content = content.strip_prefix('\n').unwrap_or(content);
                }
                let after = shown + content.lines().count();
                let at = from + usize::from(shown > 0);
                format!(
                    "diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -{at},{shown} +{},{after} @@\n{tail}{}",
                    from + 1,
                    lines(content, '+')
                )
            }
        })
    }

    fn take(&self, repo: &Path) -> anyhow::Result<()> {
        let path = repo.join(&self.path);
        let failed = || format!("cannot write {}", path.display());
        let mut open = std::fs::OpenOptions::new();
        match self.action {
            Action::Keep => return Ok(()),
            Action::Create => open.write(true).create_new(true),
            Action::Append => open.append(true).create(true),
        };
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).with_context(failed)?;
        }
        let mut file = open.open(&path).with_context(failed)?;
        std::io::Write::write_all(&mut file, self.content.as_bytes()).with_context(failed)?;
        if self.content == HOOK {
            use std::os::unix::fs::PermissionsExt as _;
            file.set_permissions(std::fs::Permissions::from_mode(0o755))
                .with_context(failed)?;
        }
        Ok(())
    }
}

/// Adds a workflow. If a workflow of this name exists that does not call this program, the note says how to get ours.
fn workflow(repo: &Path, name: &str, content: String) -> Step {
    let mut step = Step::new(repo, &format!(".github/workflows/{name}"), content);
    let text = std::fs::read_to_string(repo.join(&step.path)).unwrap_or_default();
    if step.action == Action::Keep && !text.contains("nmoe-gates") {
        step.note = Some(
            "this workflow does not call nmoe-gates; check it with `nmoe-gates lint workflows`, or rename it and run `init` again".to_owned(),
        );
    }
    step
}

fn pr_template(repo: &Path, content: String) -> Step {
    let there = PR_TEMPLATES.iter().find(|path| repo.join(path).is_file());
    let mut step = Step::new(repo, there.unwrap_or(&PR_TEMPLATES[0]), content);
    let text = std::fs::read_to_string(repo.join(&step.path)).unwrap_or_default();
    if step.action == Action::Keep && !text.contains("nmoe_pr") {
        step.note =
            Some("this template has no attestation block; see `nmoe-gates explain no-block`".to_owned());
    }
    step
}

fn agents(repo: &Path) -> anyhow::Result<Step> {
    let mut step = Step::new(repo, "AGENTS.md", AGENTS.to_owned());
    if step.action == Action::Keep {
        let text = std::fs::read_to_string(repo.join("AGENTS.md")).context("cannot read AGENTS.md")?;
        if !text.contains(AGENTS_MARK) {
            step.action = Action::Append;
            step.content = format!("{}{AGENTS}", if text.ends_with('\n') { "\n" } else { "\n\n" });
        }
    }
    Ok(step)
}

/// Accepts the name of an action in a repository, as `uses` of a workflow has it. The name is written into YAML unquoted.
fn action(name: &str) -> Result<String, &'static str> {
    let part = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let valid = name.split_once('@').is_some_and(|(repository, reference)| {
        repository.split('/').count() >= 2
            && repository.split('/').all(part)
            && reference.split('/').all(part)
    });
    valid
        .then(|| name.to_owned())
        .ok_or("it must be `OWNER/REPO@REF`, such as `octo-org/nmoe-gates@v1.2.3`")
}

/// Returns the address of the schemas for editors, in the version that the workflows call.
fn schemas(action: &str) -> String {
    let (repository, version) = action.rsplit_once('@').unwrap_or((action, "HEAD"));
    format!("https://raw.githubusercontent.com/{repository}/{version}/schemas")
}

/// Adapts a workflow of this repository for another one: replaces the path of the action and the list of bundles.
fn adapt(workflow: &str, action: &str, bundles: &[&str]) -> String {
    workflow
        .lines()
        // This comment of our file describes the local action, which the other repository does not have.
        .filter(|line| !line.starts_with("# `uses: ./`"))
        .map(|line| {
            let indent = &line[..line.len() - line.trim_start().len()];
            let rest = line.trim_start();
            if rest.starts_with("uses: ./") {
                format!("{indent}uses: {action}\n")
            } else if rest.starts_with("options: [") {
                format!(
                    "{indent}options: [{}]\n",
                    [bundles, &[SINGLE]].concat().join(", ")
                )
            } else {
                format!("{line}\n")
            }
        })
        .collect()
}

/// Returns the default branch of the remote, else the branch that is checked out.
fn default_branch(git: &Git) -> String {
    let remote = git.text(["symbolic-ref", "--short", "refs/remotes/origin/HEAD"]);
    remote
        .ok()
        .and_then(|name| name.strip_prefix("origin/").map(str::to_owned))
        .or_else(|| git.text(["symbolic-ref", "--short", "HEAD"]).ok())
        .unwrap_or_else(|| settings::Naming::default().base)
}

fn human(steps: &[Step], dry_run: bool) -> Text {
    let mut text = Text::new();
    for step in steps {
        let action = match step.action {
            Action::Create => "create",
            Action::Append => "append",
            Action::Keep => "keep  ",
        };
        let note = step.note.as_ref().map(|n| format!("  ({n})")).unwrap_or_default();
        text.line(format_args!("{action}  {}{note}", step.path));
    }
    text.line("").line(if dry_run {
        "nothing was written; run the command without --dry-run"
    } else {
        "next: nmoe-gates doctor"
    });
    text
}
