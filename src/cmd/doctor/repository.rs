//! Checks of `doctor` in the repository: forms, workflows, and what the workflows need: pinned actions, runners, and settings
//! on GitHub.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;

use crate::cmd::context::Context;
use crate::cmd::doctor::check::{Check, State, listed, plural};
use crate::cmd::doctor::required_check;
use crate::cmd::form_files;
use crate::cmd::github::{self, How};
use crate::cmd::init;
use crate::cmd::lint::workflows as lint_workflows;
use crate::document::source::Source;
use crate::domain::finding::{Finding, Severity};
use crate::domain::messages::counted;
use crate::domain::next_step::own_line;
use crate::domain::paths;
use crate::domain::registry::{Registry, SINGLE};
use crate::domain::settings::Settings;
use crate::domain::suggest::{did_you_mean, nearest};
use crate::github::config::TOKENS;
use crate::github::error::{ErrorKind, GitHubError};
use crate::lint::init_files;
use crate::lint::workflows::{self, Asked};
use crate::system::files;

/// A workflow file, its findings, and the runners and environments that its jobs need.
struct Workflow {
    path: String,
    findings: Vec<Finding>,
    asked: Vec<Asked>,
    /// The options of the input `bundle`.
    bundles: Vec<String>,
    /// Whether the lints or the gates of this tool run in it.
    is_ours: bool,
}

/// Runs every check of this file.
pub(super) fn checks(
    context: &Context,
    settings: &Settings,
    registry: &Registry,
    known: Option<(Registry, String)>,
) -> Vec<Check> {
    let mut checks = vec![forms(&context.repo, registry)];
    checks.extend(updates(&context.repo, known));
    let workflows = read(&context.repo, settings);
    for path in ours(settings).filter(|path| !workflows.iter().any(|w| w.path == *path)) {
        let what = format!("{path} is absent");
        let absent = |help| Check::not(State::Missing, "workflows", what, help);
        checks.push(match [paths::TIER_B, paths::PR_LINT].contains(&path) {
            true => absent("`nmoe-gates init` writes it").with_command(&["init"]),
            false => absent("add it, or correct `publish.workflows` in the settings"),
        });
    }
    if workflows.is_empty() {
        return checks;
    }
    checks.extend(pins(&workflows));
    checks.extend(permissions(&workflows));
    checks.extend(others(&workflows));
    checks.extend(labels(&workflows, settings));
    checks.extend(bundles(&workflows, settings.publish.workflow(), registry));
    checks.extend(lock(&context.repo, &workflows));
    checks.push(policies());
    checks.extend(approval(context, &workflows, settings));
    checks
}

/// Returns the workflows that this tool needs.
fn ours(settings: &Settings) -> impl Iterator<Item = &str> {
    let publish = &settings.publish;
    [publish.workflow(), paths::PR_LINT]
        .into_iter()
        .chain(publish.workflows.iter().skip(1).map(String::as_str))
}

/// Compares the bundles that the workflow of Tier B offers with the registry. GitHub refuses a value that is not among the options.
fn bundles(workflows: &[Workflow], tier_b: &str, registry: &Registry) -> Option<Check> {
    let workflow = workflows
        .iter()
        .find(|w| w.path == tier_b && !w.bundles.is_empty())?;
    let Some(found) = init_files::bundles(&workflow.bundles, registry) else {
        return Some(Check::ok(
            "bundles",
            format!("{tier_b} offers the bundles of the registry"),
        ));
    };
    let names: Vec<&str> = registry
        .bundles
        .keys()
        .map(|id| id.as_str())
        .chain([SINGLE])
        .collect();
    Some(Check::not(
        State::Missing,
        "bundles",
        format!("{} {found}", workflow.path),
        format!(
            "run `nmoe-gates init`, or write `options: [{}]` under the input `bundle`",
            names.join(", ")
        ),
    ))
}

/// Looks for the actions of our workflows in GitHub's lockfile. A workflow in the lockfile fails at its start if one is missing.
/// <https://docs.github.com/actions/concepts/security/workflow-dependency-lockfiles>
fn lock(repo: &Path, workflows: &[Workflow]) -> Option<Check> {
    const LOCK: &str = ".github/workflows/actions.lock";
    let text = std::fs::read_to_string(repo.join(LOCK)).ok()?;
    let used = workflows
        .iter()
        .filter(|w| w.is_ours)
        .flat_map(|w| &w.asked)
        .flat_map(|job| &job.uses);
    let mut absent: Vec<&str> = used
        .filter_map(|uses| uses.split_once('@'))
        .map(|(action, _)| action)
        .filter(|action| !text.contains(action))
        .collect();
    absent.sort_unstable();
    absent.dedup();
    Some(match absent.as_slice() {
        [] => Check::ok("lockfile", format!("{LOCK} names every action of our workflows")),
        _ => Check::not(
            State::Hint,
            "lockfile",
            format!(
                "{LOCK} does not name {}; a workflow that is in the lockfile would not start",
                absent.join(", ")
            ),
            "`gh actions-lock` updates it",
        ),
    })
}

/// Says which events and people the workflows need. No API tells the Actions policies of a repository.
/// <https://docs.github.com/actions/concepts/about-actions-policies>
fn policies() -> Check {
    Check::not(
        State::Hint,
        "policies",
        "Actions policies were not asked: no API tells them",
        "in Settings, Actions, Policies, let only maintainers start tier-b.yml (an actor rule for `workflow_dispatch`), and allow `pull_request` and `merge_group` for all",
    )
}

fn forms(repo: &Path, registry: &Registry) -> Check {
    let forms = form_files::paths(repo);
    let read = |form: &String| std::fs::read_to_string(repo.join(form)).ok();
    let absent = forms.iter().filter(|form| read(form).is_none());
    let absent: Vec<&str> = absent.map(String::as_str).collect();
    if !absent.is_empty() {
        return Check::not(
            State::Missing,
            "forms",
            format!("{} absent", absent.join(", ")),
            "`nmoe-gates init` writes them",
        )
        .with_command(&["init"]);
    }
    let unknown: Vec<String> = forms
        .iter()
        .filter_map(|form| {
            let text = read(form)?;
            let found = init_files::unknown_gates(&text, registry);
            let ids: Vec<&str> = found.into_iter().map(|(_, id)| id).collect();
            (!ids.is_empty()).then(|| format!("{form} names {}", ids.join(", ")))
        })
        .collect();
    if unknown.is_empty() {
        return Check::ok("forms", "issue form and pull-request template");
    }
    Check::not(
        State::Missing,
        "forms",
        format!("{}; the registry has no such gate", unknown.join("; ")),
        "run `nmoe-gates init`, or write ids of `nmoe-gates gates list` into the form",
    )
}

/// Reports files of an earlier `init` that it would update now, because the registry or the program changed. `None` if there are no
/// files of an earlier `init`.
fn updates(repo: &Path, registry: Option<(Registry, String)>) -> Option<Check> {
    let paths = init::outdated(repo, registry).ok()??;
    Some(match paths.as_slice() {
        [] => Check::ok("init", "the files of `nmoe-gates init` are up to date"),
        paths => Check::not(
            State::Hint,
            "init",
            format!("`nmoe-gates init` would update {}", paths.join(", ")),
            "`nmoe-gates init` shows the patch",
        )
        .with_command(&["init"]),
    })
}

/// The largest workflow that is read, in bytes. GitHub refuses larger ones.
const LARGEST_WORKFLOW: u64 = 1 << 20;

fn read(repo: &Path, settings: &Settings) -> Vec<Workflow> {
    let entries = std::fs::read_dir(repo.join(paths::WORKFLOWS))
        .into_iter()
        .flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".yml") || name.ends_with(".yaml"))
        .collect();
    names.sort();
    let read = |name: String| {
        let path = format!("{}/{name}", paths::WORKFLOWS);
        // A pipe would wait for a writer.
        let text = files::read_following_links(&repo.join(&path), LARGEST_WORKFLOW).ok()?;
        Some(Source::new(Some(path), String::from_utf8(text).ok()?))
    };
    let sources: Vec<Source> = names.into_iter().filter_map(read).collect();
    let findings = workflows::lint_all(
        &sources,
        &lint_workflows::actions(repo, &sources),
        &settings.runner.labels,
    );
    let of = |source: &Source| {
        let path = source.name()?.to_owned();
        let own = findings
            .iter()
            .filter(|finding| finding.path.as_ref() == Some(&path));
        Some(Workflow {
            is_ours: ours(settings).any(|ours| ours == path),
            findings: own.cloned().collect(),
            asked: workflows::asked(source),
            bundles: workflows::options(source, "bundle"),
            path,
        })
    };
    sources.iter().filter_map(of).collect()
}

fn is_pin(finding: &&Finding) -> bool {
    finding.code == &workflows::codes::UNPINNED_ACTION
}

fn is_permission(finding: &&Finding) -> bool {
    [
        &workflows::codes::WRITE_BESIDE_CHANGE,
        &workflows::codes::SELF_HOSTED_WRITE,
        &workflows::codes::SECRET_BESIDE_CHANGE,
        &workflows::codes::STATUS_WRITER,
        &workflows::codes::TAKEN_NAME,
        &workflows::codes::PERSISTED_CREDENTIAL,
        &workflows::codes::DEFAULT_PERMISSIONS,
    ]
    .contains(&finding.code)
}

/// Lists the findings as `line 3: message`, each message once with all its lines.
fn said(findings: &[&Finding]) -> String {
    let mut lines: IndexMap<&str, Vec<String>> = IndexMap::new();
    for finding in findings {
        let at = finding.region.map_or(0, |region| region.line);
        lines.entry(&finding.message).or_default().push(at.to_string());
    }
    let one = |(message, lines): (&str, Vec<String>)| {
        format!("line{} {}: {message}", plural(lines.len()), lines.join(", "))
    };
    listed(&lines.into_iter().map(one).collect::<Vec<_>>())
}

fn worst(findings: &[&Finding]) -> State {
    match findings.iter().any(|f| f.severity == Severity::Error) {
        true => State::Missing,
        false => State::Hint,
    }
}

fn pins(workflows: &[Workflow]) -> Vec<Check> {
    let mut checks = Vec::new();
    for workflow in workflows {
        let found: Vec<&Finding> = workflow.findings.iter().filter(is_pin).collect();
        if !found.is_empty() {
            checks.push(Check::not(
                worst(&found),
                "pins",
                format!("{}: {}", workflow.path, said(&found)),
                "name the commit: `uses: OWNER/NAME@COMMIT # v4`; `git ls-remote https://github.com/OWNER/NAME v4` tells it",
            ));
        }
    }
    if checks.is_empty() {
        checks.push(Check::ok("pins", "every action is named by its commit"));
    }
    checks
}

fn permissions(workflows: &[Workflow]) -> Vec<Check> {
    let mut checks = Vec::new();
    for workflow in workflows {
        let found: Vec<&Finding> = workflow.findings.iter().filter(is_permission).collect();
        if !found.is_empty() {
            checks.push(Check::not(
                worst(&found),
                "permissions",
                format!("{}: {}", workflow.path, said(&found)),
                "`permissions: {}` at the top, for each job what it needs, and nothing to write where a change's code is",
            ));
        }
    }
    if checks.is_empty() {
        checks.push(Check::ok(
            "permissions",
            "no token that may write is near a change's code, and no other job takes our status",
        ));
    }
    checks
}

/// Checks the workflows that `init` writes with the remaining rules.
fn others(workflows: &[Workflow]) -> Vec<Check> {
    let ours = workflows.iter().filter(|w| w.is_ours);
    ours.map(|workflow| {
        let found: Vec<&Finding> = workflow
            .findings
            .iter()
            .filter(|f| !is_pin(f) && !is_permission(f))
            .collect();
        if found.is_empty() {
            return Check::ok("workflows", workflow.path.clone());
        }
        let counted = counted(found.len(), "finding");
        let lint = ["lint", "workflows", &workflow.path];
        Check::not(
            worst(&found),
            "workflows",
            format!("{}: {counted}", workflow.path),
            format!("`{}` shows them", own_line(&lint)),
        )
        .with_command(&lint)
    })
    .collect()
}

/// Reports labels that neither GitHub nor the settings know.
fn labels(workflows: &[Workflow], settings: &Settings) -> Vec<Check> {
    let known = &settings.runner.labels;
    let mut checks = Vec::new();
    for workflow in workflows {
        for asked in &workflow.asked {
            let unknown = asked.labels.iter().filter(|label| !known.contains(label));
            for label in unknown {
                let meant = nearest(label, known.iter().map(String::as_str));
                let meant = meant
                    .map(|known| format!("{} else ", did_you_mean(known)))
                    .unwrap_or_default();
                checks.push(Check::not(
                    if workflow.is_ours { State::Missing } else { State::Hint },
                    "labels",
                    format!("{}: job `{}` asks for `{label}`, which no known runner has", workflow.path, asked.job),
                    format!(
                        "{meant}add it to `[runner] labels` of configs/nmoe-gates.toml when a runner has it; GitHub drops a job that no runner takes \
                         after a day"
                    ),
                ));
            }
        }
    }
    if checks.is_empty() {
        checks.push(Check::ok("labels", "every job asks for a runner that is known"));
    }
    checks
}

/// Checks that the environments that jobs wait for have reviewers. Without reviewers, no person approves the run.
fn approval(context: &Context, workflows: &[Workflow], settings: &Settings) -> Vec<Check> {
    let mut jobs: BTreeMap<&str, &str> = BTreeMap::new();
    for workflow in workflows.iter().filter(|w| w.is_ours) {
        let named = workflow
            .asked
            .iter()
            .filter_map(|a| Some((a.environment.as_deref()?, a)));
        jobs.extend(named.map(|(name, asked)| (name, asked.job.as_str())));
    }
    if jobs.is_empty() {
        return Vec::new();
    }
    let github = TOKENS
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|token| !token.is_empty()))
        .then(|| {
            let retry_budget = Some(Duration::ZERO);
            github::connect_with(
                context,
                How {
                    retry_budget,
                    ..How::default()
                },
            )
        });
    let mut checks: Vec<Check> = jobs
        .into_iter()
        .map(|(name, job)| match &github {
            None => unasked(name, "there is no token".to_owned()),
            Some(Err(error)) => unasked(name, format!("{error:#}")),
            Some(Ok(github)) => protected(name, job, github.needs_review(name)),
        })
        .collect();
    if let Some(Ok(github)) = &github {
        let branch = &settings.naming.base;
        let login = &settings.publish.login;
        checks.push(required_check::checks(
            branch,
            login,
            github.required_checks(branch),
        ));
    }
    checks
}

fn protected(name: &str, job: &str, answer: Result<bool, GitHubError>) -> Check {
    const REMEDY: &str = "add required reviewers: Settings, Environments";
    match answer {
        Ok(true) => Check::ok("approval", format!("environment {name} has required reviewers")),
        Ok(false) => Check::not(
            State::Missing,
            "approval",
            format!(
                "environment {name} has no required reviewers, so job `{job}` starts without an approval"
            ),
            REMEDY,
        ),
        Err(fault) if matches!(fault.kind, ErrorKind::Status { status: 404, .. }) => Check::not(
            State::Missing,
            "approval",
            format!("environment {name} does not exist; the first run would create it without protection"),
            REMEDY,
        ),
        Err(fault) => unasked(name, fault.without_help()),
    }
}

fn unasked(name: &str, why: String) -> Check {
    Check::not(
        State::Hint,
        "approval",
        format!("cannot check whether environment {name} has required reviewers: {why}"),
        "look in Settings, Environments; with GITHUB_TOKEN this asks GitHub",
    )
}
