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
    /// The start of a call of a program that makes a status or a check run.
    MAKES = r"(?i)\b(createCommitStatus|create_?status|checks\.create|create_check_run|createCheckRun)\s*\(";
    /// A variable with the name as plain text.
    NAMED = r#"(?im)\b(context|name)\s*=\s*["'][^"'$`{}+]+["']"#;
    /// What gives a name to a call.
    NAMES = r"(?i)\b(context|name)\b";
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
    let is_plain = || has(&PLAIN, text) && !has(&VARIABLE, text) && commands.iter().all(|c| is_plain_call(c));
    (calls && !(is_plain() && are_plain_calls(text))).then_some(Name::Computed)
}

/// Whether a command that sets a status has no name that is computed. The name may be in a file or a variable.
fn is_plain_call(command: &str) -> bool {
    let is_call = has(&CALLS, command) && has(&WRITES, command) && !has(&MAKES, command);
    !is_call || !has(&NAMES, command) || has(&PLAIN, command)
}

/// Whether each call of a program has its own name as plain text, or uses a variable with such a name.
fn are_plain_calls(text: &str) -> bool {
    let calls = MAKES.as_ref().map(|pattern| pattern.find_iter(text));
    calls.into_iter().flatten().all(|call| {
        let arguments = arguments(&text[call.end()..]);
        has(&PLAIN, arguments)
            || has(&NAMES, arguments) && has(&NAMED, text)
            || !arguments.contains("...") && !arguments.contains('{')
    })
}

/// Returns the text up to the bracket that closes a call.
fn arguments(text: &str) -> &str {
    let mut depth = 1;
    let end = text.find(|c: char| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    });
    &text[..end.unwrap_or(text.len())]
}
