//! `init`: adds the files that a repository needs for contracts and attestations: registry, settings, forms, workflows.
//!
//! Prints each step. A second run shows what it would update in the marked regions of the files that it wrote, as a
//! patch, and changes no other text. The forms and workflows are the files that this project uses itself.

mod forms;
mod packages;
mod questions;
mod region;
mod render;
mod skill;
mod step;

pub use region::without_marks;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use minijinja::context;

use crate::cmd::context::{Context, Format, print, print_data, print_json_line};
use crate::cmd::form_files;
use crate::cmd::help::{self, Help};
use crate::cmd::init::questions::Answers;
use crate::cmd::init::render::render;
use crate::cmd::init::step::{Action, Step};
use crate::domain::exit::Exit;
use crate::domain::next_step::own_line;
use crate::domain::page;
use crate::domain::paths;
use crate::domain::registry::{Registry, SINGLE};
use crate::domain::settings;
use crate::git::{Git, GitError};
use crate::policy::Revision;
use crate::terminal::Text;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::PRINTS,
    variables: help::OF_TERMINAL,
    examples: &[
        "init --dry-run",
        "init",
        "init --write",
        "init --from ../trainer --agents --hook",
    ],
};

/// Arguments of `init`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Print what would be written, and write nothing. With `-v`, print a patch for `git apply`.
    #[arg(long)]
    dry_run: bool,
    /// Update the regions that an earlier run wrote (default: show the patch, and ask on a terminal).
    #[arg(long, conflicts_with = "dry_run")]
    write: bool,
    /// Take registry and settings from this repository, or the registry from this file.
    #[arg(long, value_name = "DIR|FILE")]
    from: Option<PathBuf>,
    /// Check this package in the first gates (default: the packages that are found). Can be given more than once.
    #[arg(long, value_name = "FOLDER", conflicts_with = "from")]
    package: Vec<String>,
    /// Ask on the terminal for packages and optional files.
    #[arg(long)]
    ask: bool,
    /// Call the action at the running commit (`uses: $/`), if this repository contains it. Needs runner 2.336.0 or newer.
    #[arg(long, conflicts_with = "action")]
    self_reference: bool,
    /// Add a section for agents to AGENTS.md.
    #[arg(long)]
    agents: bool,
    /// Add a skill file for agents, generated from this program, to this folder of skills (default: .claude/skills).
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = SKILLS)]
    skill: Option<String>,
    /// Add git hooks that check each commit and its message before it is created.
    #[arg(long)]
    hook: bool,
    /// Use this action in the workflows (default: the one that the workflows use, else the action of this version). Pin it by commit.
    #[arg(long, value_name = "OWNER/REPO@REF", value_parser = action)]
    action: Option<String>,
}

/// The issue form of this repository.
pub const ISSUE_FORM: &str = include_str!("../../.github/ISSUE_TEMPLATE/work_item.yml");
const PR_TEMPLATE: &str = include_str!("../../.github/pull_request_template.md");
const TIER_B: &str = include_str!("../../.github/workflows/tier-b.yml");
const PR_LINT: &str = include_str!("../../.github/workflows/pr-lint.yml");
const REGISTRY: &str = include_str!("../../templates/init/gates.toml");
const SETTINGS: &str = include_str!("../../templates/init/nmoe-gates.toml");
const AGENTS: &str = include_str!("../../templates/init/AGENTS.md");
/// The hooks of git, and their programs.
const HOOKS: [(&str, &str); 2] = [
    ("pre-commit", include_str!("../../templates/init/pre-commit")),
    ("commit-msg", include_str!("../../templates/init/commit-msg")),
];
/// The action of the workflow's own repository at the running commit.
const SELF: &str = "$/";
/// The folder of skills that `--skill` uses without a value.
const SKILLS: &str = ".claude/skills";

/// Runs `init`.
pub fn run(context: &Context, args: &Args, command: &clap::Command) -> anyhow::Result<Exit> {
    let format = context.format(HELP.formats)?;
    let repo = &context.repo;
    let git = Git::at(repo);
    check_top(repo, &git)?;
    let mut args = args.clone();
    if args.ask {
        args.answer(repo)?;
    }
    let mut steps = plan(repo, &git, &args, None)?;
    let earlier = is_marked(&repo.join(SKILLS).join("nmoe-gates/SKILL.md")).then(|| SKILLS.to_owned());
    if let Some(folder) = args.skill.clone().or(earlier) {
        let path = format!("{}/nmoe-gates/SKILL.md", folder.trim_end_matches('/'));
        steps.push(Step::owned(repo, &path, &skill::text(command, AGENTS)?));
    }
    let updates: String = steps
        .iter()
        .filter(|step| step.action == Action::Update)
        .map(Step::patch)
        .collect();
    let mut write = args.write;
    if !write && !args.dry_run && !updates.is_empty() && format == Format::Human {
        print_data(&updates)?;
        write = questions::can_ask() && questions::confirm("Apply this patch?", false)?;
    }
    if !args.dry_run {
        let mut due: Vec<&mut Step> = steps.iter_mut().filter(|step| step.is_due(write)).collect();
        // If one file cannot be written, none is.
        due.iter().try_for_each(|step| step.check(repo))?;
        due.iter_mut().try_for_each(|step| step.take(repo))?;
    }
    let left = steps
        .iter()
        .filter(|step| step.is_due(true) && !step.written)
        .count();
    match format {
        Format::Json => {
            let next = next(args.dry_run, left);
            let value = serde_json::json!({
                "schema": 1, "written": !args.dry_run && left == 0, "files": steps, "patch": updates, "next": next,
            });
            print_json_line(&value)?;
        }
        _ if args.dry_run && context.verbosity > 0 => {
            print_data(&steps.iter().map(Step::patch).collect::<String>())?;
        }
        _ => print(&human(&steps, args.dry_run, left))?,
    }
    Ok(Exit::Passed)
}

/// Whether an earlier run wrote this file, or a section of it.
fn is_marked(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| region::is_marked(&text))
}

/// Lists the files that an earlier run wrote and that a run would update now. `None` if no file is of an earlier run.
///
/// # Errors
/// The registry or a form cannot be read.
pub fn outdated(repo: &Path, registry: Option<(Registry, String)>) -> anyhow::Result<Option<Vec<String>>> {
    let steps = plan(repo, &Git::at(repo), &Args::default(), registry)?;
    if !steps.iter().any(Step::is_marked) {
        return Ok(None);
    }
    let updates = steps.into_iter().filter(|step| step.action == Action::Update);
    Ok(Some(updates.map(|step| step.path).collect()))
}

impl Args {
    /// Replaces the options by the answers of the user.
    fn answer(&mut self, repo: &Path) -> anyhow::Result<()> {
        let found = packages::find(repo).into_iter().map(|package| package.path);
        let mut answers = Answers {
            packages: match self.package.is_empty() {
                true => found.collect(),
                false => self.package.clone(),
            },
            agents: self.agents,
            skill: self.skill.is_some(),
            hook: self.hook,
        };
        questions::ask(&mut answers, self.from.is_none())?;
        let folder = self.skill.take().unwrap_or_else(|| SKILLS.to_owned());
        self.skill = answers.skill.then_some(folder);
        self.package = answers.packages;
        self.agents = answers.agents;
        self.hook = answers.hook;
        Ok(())
    }
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
    if git.is_without_work_tree() {
        bail!(
            "cannot write into {shown}: it is a bare repository or git's own folder\nhelp: run `nmoe-gates init` in a checkout"
        );
    }
    bail!("cannot write into {shown}: it is not a git checkout\nhelp: run `git init` there first");
}

/// Plans what to write. `known` is the registry of the checkout and its text, if it has been read already.
fn plan(repo: &Path, git: &Git, args: &Args, known: Option<(Registry, String)>) -> anyhow::Result<Vec<Step>> {
    let base = default_branch(git);
    let own = page::action();
    let used = [(paths::PR_LINT, PR_LINT), (paths::TIER_B, TIER_B)].map(|(path, source)| {
        let file = std::fs::read_to_string(repo.join(path));
        let used = args.action.clone().or_else(|| used_action(&file.ok()?, source));
        used.unwrap_or_else(|| own.clone())
    });
    // On `pull_request` the running commit is the change, so PR lint keeps `./`, which is its checkout of the base. `adapt` does the
    // same for the job of the merge queue.
    let [lint_action, run_action] = match args.self_reference {
        true => ["./".to_owned(), SELF.to_owned()],
        false => used,
    };
    let schemas = schemas(args.action.as_deref().unwrap_or(&own));
    let packages = match args.package.as_slice() {
        [] => packages::find(repo),
        folders => folders
            .iter()
            .map(|folder| packages::named(repo, folder))
            .collect::<anyhow::Result<_>>()?,
    };
    let (registry, settings) = match &args.from {
        Some(from) => sources(from, &base)?,
        None => (None, None),
    };
    let registry = match registry {
        Some(text) => text,
        None => render(
            REGISTRY,
            context! {
            packages => packages::for_template(&packages), compile_all => packages::COMPILE, schemas => &schemas },
        )?,
    };
    let settings = match settings {
        Some(text) => text,
        None => render(SETTINGS, context! { base => base, schemas => &schemas })?,
    };
    // Forms and workflows name the gates and bundles of the registry that is there, or of the one that is written now.
    let (value, text) = match known {
        Some(known) => known,
        None => {
            let here = Revision::Checkout(repo);
            let file = here.registry_file()?;
            let file = file.unwrap_or_else(|| here.parse_registry(registry.clone().into_bytes()));
            let text = file.document.source.text().to_owned();
            (file.registry()?.value, text)
        }
    };
    // The registry says which package an earlier run took.
    let is_checked = |path: &str| text.contains(&format!(" {path}/"));
    let package = packages
        .iter()
        .find(|package| is_checked(&package.path))
        .or(packages.first());
    let package = package.map(|package| package.path.as_str());
    let form = |text: &str| forms::adapt(text, &value, package);
    let bundles: Vec<&str> = value.bundles.keys().map(|id| id.as_str()).collect();
    let template = form_files::pull_request_template(repo);
    let no_block = "this template has no attestation block; see `nmoe-gates explain no-block`";
    let no_call = "this workflow does not call nmoe-gates; check it with `nmoe-gates lint workflows`, or rename it and run `init` again";
    let mut steps = vec![
        Step::new(repo, paths::REGISTRY, registry),
        Step::new(repo, paths::SETTINGS, settings),
        Step::owned(repo, form_files::ISSUE_FORM, &form(ISSUE_FORM)),
        Step::owned(repo, &template, &form(PR_TEMPLATE)).needs("nmoe_pr", no_block),
        Step::owned(repo, paths::PR_LINT, &adapt(PR_LINT, &lint_action, &[])).needs("nmoe-gates", no_call),
        Step::owned(repo, paths::TIER_B, &adapt(TIER_B, &run_action, &bundles)).needs("nmoe-gates", no_call),
    ];
    if args.agents || is_marked(&repo.join("AGENTS.md")) {
        steps.push(Step::section(repo, "AGENTS.md", AGENTS)?);
    }
    // Do not use `--git-path`: `Git` runs git without hooks, so that git would answer with another path.
    let hooks = git.text(["rev-parse", "--git-common-dir"]).unwrap_or_default() + "/hooks";
    let has_hook = HOOKS
        .iter()
        .any(|(name, _)| is_marked(&repo.join(&hooks).join(name)));
    if args.hook || has_hook {
        let no_lint = "another hook exists; call `nmoe-gates lint` from it";
        let step = |(name, text): &(&str, &str)| {
            Step::owned(repo, &format!("{hooks}/{name}"), text).needs("nmoe-gates", no_lint)
        };
        steps.extend(HOOKS.iter().map(step));
    }
    Ok(steps)
}

/// Reads registry and settings of another repository, or a registry file. The base branch stays that of this repository.
fn sources(from: &Path, base: &str) -> anyhow::Result<(Option<String>, Option<String>)> {
    let file = match from.is_dir() {
        true => from.join(paths::REGISTRY),
        false => from.to_owned(),
    };
    let registry =
        std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let settings = std::fs::read_to_string(from.join(paths::SETTINGS)).ok();
    let settings = settings.map(|text| with_base(&text, base)).transpose()?;
    Ok((Some(registry), settings))
}

/// Sets `base` in the table `naming` of a settings file. The other lines stay.
fn with_base(settings: &str, base: &str) -> anyhow::Result<String> {
    let is_table = |line: &&str| line.trim_start().starts_with('[');
    let is_naming = |line: &str| {
        line.split('#')
            .next()
            .is_some_and(|name| name.trim() == "[naming]")
    };
    let is_base = |line: &&str| line.split('=').next().is_some_and(|key| key.trim() == "base");
    let new = format!("base = \"{base}\"");
    let mut lines: Vec<&str> = settings.lines().collect();
    match lines.iter().position(|line| is_naming(line)) {
        Some(at) => {
            let table = lines[at + 1..].iter().take_while(|line| !is_table(line));
            match table.clone().position(is_base) {
                Some(old) => lines[at + 1 + old] = &new,
                None => lines.insert(at + 1, &new),
            }
        }
        None => lines.extend(["", "[naming]", &new]),
    }
    let text = lines.join("\n") + "\n";
    toml::from_str::<toml::Table>(&text).with_context(|| {
        format!(
            "cannot set the base branch in {path}: write it as `base` in the table `[naming]`",
            path = paths::SETTINGS
        )
    })?;
    Ok(text)
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

/// Returns the action that the region of a workflow calls and its source does not. A person may have added other steps.
fn used_action(workflow: &str, source: &str) -> Option<String> {
    let workflow = region::intact(workflow)?;
    let of = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .map(|line| line.trim_start().trim_start_matches("- "));
        let values = lines.filter_map(|line| line.strip_prefix("uses: "));
        values.map(|value| value.trim().to_owned()).collect()
    };
    let name = |value: &String| value.split('@').next().unwrap_or_default().to_owned();
    let others: Vec<String> = of(source).iter().map(name).collect();
    let is_ours = |value: &String| ["./", SELF].contains(&value.as_str()) || !others.contains(&name(value));
    let ours: Vec<String> = of(workflow).into_iter().filter(is_ours).collect();
    // A job of a self-referring workflow may call `./`.
    let own = ours.iter().find(|value| *value == SELF).cloned();
    own.or_else(|| ours.into_iter().next())
}

/// Adapts a workflow of this repository for another one: replaces the path of the action and the list of bundles.
fn adapt(workflow: &str, action: &str, bundles: &[&str]) -> String {
    let mut in_queue = false;
    workflow
        .lines()
        // This comment of our file describes the local action, which the other repository does not have.
        .filter(|line| !line.starts_with("# `uses: ./`"))
        .map(|line| {
            let indent = &line[..line.len() - line.trim_start().len()];
            let rest = line.trim_start();
            if indent.len() == 2 && rest.ends_with(':') {
                in_queue = rest == "queue:";
            }
            if rest.starts_with("uses: ./") {
                // In a merge queue the running commit is the change, and `./` is the job's checkout of the base.
                let action = if in_queue && action == SELF { "./" } else { action };
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
        .unwrap_or_else(|| settings::Naming::default().base.into())
}

fn human(steps: &[Step], dry_run: bool, left: usize) -> Text {
    let mut text = Text::new();
    for step in steps {
        let note = step.note.as_ref().map(|n| format!("  ({n})")).unwrap_or_default();
        text.line(format_args!("{:<6}  {}{note}", step.action.as_str(), step.path));
    }
    text.line("");
    match (dry_run, left) {
        (true, _) => text.line("nothing was written; run the command without --dry-run"),
        (false, 0) => text.line(format_args!("next: {}", next(false, 0))),
        (false, n) => text
            .line(format_args!(
                "{n} update{} not written",
                if n == 1 { "" } else { "s" }
            ))
            .line(format_args!("next: {}", next(false, n))),
    };
    text
}

/// Returns the command after this one, if this number of updates was not written.
fn next(dry_run: bool, left: usize) -> String {
    match (dry_run, left) {
        (true, _) => own_line(&["init"]),
        (false, 0) => own_line(&["doctor"]),
        (false, _) => own_line(&["init", "--write"]),
    }
}
