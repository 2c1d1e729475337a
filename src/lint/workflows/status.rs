//! Finds jobs that can write the commit status of the gates without being the publisher.
//!
//! A script can build a name in ways that no search finds, so a call of GitHub's API with a name that is not plain text counts.

use crate::document::source::Span;
use crate::domain::finding::Severity;
use crate::domain::status_context::PREFIX;
use crate::lint::workflows::codes;
use crate::lint::workflows::job::{Job, Step};
use crate::lint::workflows::shell::{self, has, patterns};
use crate::lint::workflows::sink::Sink;

patterns! {
    /// A call that writes a status or a check run.
    CALLS = r"(?i)\b(createCommitStatus|create_?status|repos\.createStatus|checks\.(create|update)|create_check_run|createCheckRun)\b|/(statuses|check-runs)\b";
    /// A call that only reads, unless a field or a method follows.
    WRITES = r"(?i)\b(createCommitStatus|create_?status|checks\.(create|update)|create_check_run|createCheckRun)\b|\s(-f|-F|-d|--field|--raw-field|--input|--data\S*|--json)\b|\bPOST\b|\bPATCH\b|\brequests?\.post\b";
    /// The name of the status or check run, as plain text.
    PLAIN = r#"(?im)\b(context|name)["']?\s*[=:]\s*(["'][^"'$`{}+]+["'](\s*[,;})\]]|\s*$|\s+-)|[A-Za-z0-9_./-]+["']?(\s|$|[,}\\]))"#;
    /// A name that a program makes: a bare word is a variable there.
    VARIABLE = r"(?im)\b(context|name)\s*:\s*[A-Za-z_]|\b(context|name)\s*=\s*\S*\(|\b(context|name)\b.*\+";
    /// An action that sets a status or a check run.
    SETS = r"(?i)status|check-?run|\bchecks?-action|github-checks";
    /// An action that makes the token of an app.
    APP_TOKEN = r"(?i)app-token|github-app";
}

/// Reports a job that can write our commit status without being the publisher.
pub(super) fn judge(job: &Job, sink: &mut Sink) {
    let permission = writes_statuses(job);
    let has_other_token = job.secret.is_some()
        || job
            .steps
            .iter()
            .any(|step| step.uses.as_ref().is_some_and(|(uses, _)| has(&APP_TOKEN, uses)));
    let by_default = job.permissions.is_none();
    if permission.is_none() && !has_other_token && !by_default {
        return;
    }
    let with = match &permission {
        Some((name, _)) => format!("may write `{name}`"),
        None if has_other_token => "has a token besides its own".to_owned(),
        None => "sets no permissions".to_owned(),
    };
    let text = sink.source.text();
    let found = job.steps.iter().find_map(|step| {
        let sets_by_action = step.uses.as_ref().is_some_and(|(uses, _)| has(&SETS, uses));
        let may = permission.is_some() || sets_by_action;
        step.texts
            .iter()
            .find_map(|span| Some((span.clone(), writer(&text[span.clone()], may)?)))
    });
    if let Some((span, name)) = found {
        let (severity, what) = match name {
            Name::Ours => (Severity::Error, "names the commit status of the gates"),
            Name::Computed => (
                sink.if_gates_run(),
                "sets a commit status or a check run whose name is computed",
            ),
        };
        let message = format!("job `{}` {with} and {what}", job.id);
        sink.push_as(&codes::STATUS_WRITER, severity, &span, message);
    } else if let Some((name, span)) = permission.filter(|_| !job.steps.iter().any(is_publisher)) {
        let message = format!(
            "job `{}` may write `{name}`, so also the commit status of the gates",
            job.id
        );
        sink.push_as(&codes::STATUS_WRITER, Severity::Warning, &span, message);
    }
}

/// Returns the permission that lets a job write statuses or check runs.
fn writes_statuses(job: &Job) -> Option<(String, Span)> {
    let can_write = |name: &str| matches!(name, "statuses" | "checks" | "all");
    let mut permissions = job.permissions.iter().flatten();
    let found = permissions.find(|(name, value, _)| can_write(name) && value.starts_with("write"));
    found.map(|(name, _, span)| (name.clone(), span.clone()))
}

/// Whether a step is our publisher.
fn is_publisher(step: &Step) -> bool {
    step.is_ours
}

/// The name of a status that a text sets.
#[derive(Clone, Copy)]
enum Name {
    Ours,
    Computed,
}

/// Returns whether a text can write our status. `may` tells whether the job has an obvious way to write one.
fn writer(text: &str, may: bool) -> Option<Name> {
    let commands = shell::commands(text);
    let calls = commands.iter().any(|command| has(&CALLS, command))
        && commands.iter().any(|command| has(&WRITES, command));
    let plain = commands.join("\n").replace(' ', "").to_lowercase();
    let in_parts = || ["nmoe", "gates/"].iter().any(|part| plain.contains(part));
    if plain.contains(PREFIX) && (may || calls) || calls && in_parts() {
        return Some(Name::Ours);
    }
    let is_plain = || has(&PLAIN, text) && !has(&VARIABLE, text);
    (calls && !is_plain()).then_some(Name::Computed)
}
