//! Finds jobs whose check run can take the name of our commit status. GitHub creates a check run for each job, named after the
//! job, and no permission is needed for it.

use crate::domain::status_context::PREFIX;
use crate::lint::workflows::codes;
use crate::lint::workflows::expression::UNKNOWN;
use crate::lint::workflows::job::Job;
use crate::lint::workflows::sink::Sink;

/// Reports a job whose check run can have the name of a commit status of the gates.
pub(super) fn judge(job: &Job, is_called: bool, sink: &mut Sink) {
    let names: Vec<String> = job.names.iter().map(|name| check_run(job, name)).collect();
    if let Some(name) = names.iter().find(|name| name.starts_with(PREFIX)) {
        let message = format!(
            "the check run of job `{}` is named `{}`, as a commit status of the gates",
            job.id,
            name.replace(UNKNOWN, "…")
        );
        sink.push(&codes::TAKEN_NAME, &job.name_span, message);
    } else if !is_called && names.iter().any(|name| can_match(name)) {
        // The check run of a called job begins with the name of its caller.
        let message = format!(
            "the name of job `{}` is computed, so its check run can be named `{PREFIX}…`",
            job.id
        );
        sink.push_as(&codes::TAKEN_NAME, sink.if_gates_run(), &job.name_span, message);
    }
}

/// Returns the name of the check run in lower case, without blanks around a `/`. GitHub joins the name of a call and of the called job.
fn check_run(job: &Job, name: &str) -> String {
    let parts: Vec<&str> = name.split('/').map(str::trim).collect();
    let mut text = parts.join("/");
    if job.calls.is_some() {
        text.push('/');
    }
    text.to_lowercase()
}

/// Whether a name with an unknown part can begin like our status: the unknown part can be all that is missing.
fn can_match(name: &str) -> bool {
    name.split_once(UNKNOWN)
        .is_some_and(|(start, _)| PREFIX.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_unknown_parts_match() {
        for (name, wanted) in [
            ("\0", true),
            ("\0/full", true),
            ("nmoe-\0", true),
            ("\0-gates/\0", true),
            ("build\0", false),
            ("\0 (linux)", true),
            ("nmoe \0", false),
            ("nmoe-gatesx\0", false),
        ] {
            assert_eq!(can_match(name), wanted, "{name:?}");
        }
    }
}
