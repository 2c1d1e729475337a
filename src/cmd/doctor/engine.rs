//! What `doctor` says about the container engine: which one `run --container` uses, its version, and how it isolates.

use std::ffi::OsString;

use crate::cmd::doctor::check::{Check, State};
use crate::gate::container::client::{Engine, EngineError, Kind, SHORT};

/// Checks the engine that `run --container` would use.
pub(super) fn checks() -> Check {
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let engine = match Engine::find(None, &environment) {
        Ok(engine) => engine,
        Err(EngineError::Unusable(said)) => {
            let (found, remedy) = said
                .split_once("\nhelp: ")
                .unwrap_or((&said, "use another engine"));
            return Check::not(State::Hint, "engine", found, remedy);
        }
        Err(_) => {
            return Check::not(
                State::Hint,
                "engine",
                "none of docker, podman and apptainer is on PATH",
                "install one of them to run gates in containers (`run --container`)",
            );
        }
    };
    let name = engine.kind.as_str();
    match described(&engine) {
        Ok(found) => Check::ok("engine", format!("{name} {found}")),
        Err(error) => {
            let cause = match error {
                EngineError::Failed { said, .. } => said,
                other => other.to_string(),
            };
            let last = cause.lines().last().unwrap_or_default();
            Check::not(
                State::Hint,
                "engine",
                format!("{name} is installed and does not answer: {last}"),
                match engine.other() {
                    Some(other) => format!(
                        "start {name}, or give this user access to it; or use the other engine: `run --container --engine {}`",
                        other.as_str()
                    ),
                    None => {
                        format!("start {name}, or give this user access to it; `run --container` needs it")
                    }
                },
            )
        }
    }
}

/// Returns the version of an engine and its isolation.
fn described(engine: &Engine) -> Result<String, EngineError> {
    let ask = |words: [&str; 3]| {
        let text = engine.call(words, SHORT, &mut || false)?;
        Ok::<_, EngineError>(text.trim().to_owned())
    };
    match engine.kind {
        Kind::Docker => {
            let version = ask(["version", "--format", "{{.Server.Version}}"])?;
            let options = ask(["info", "--format", "{{range .SecurityOptions}}{{.}} {{end}}"])?;
            let has = |word: &str| options.contains(&format!("name={word}"));
            let daemon = match (has("rootless"), has("userns")) {
                (true, _) => "a daemon without root",
                (_, true) => "a root daemon with user namespaces",
                _ => "a root daemon",
            };
            let profiles: Vec<&str> = ["seccomp", "apparmor", "selinux"]
                .into_iter()
                .filter(|word| has(word))
                .collect();
            Ok(format!("{version}: {daemon}, {}", listed(&profiles)))
        }
        // `podman info` would leave its own process behind.
        Kind::Podman => {
            let user = if rustix::process::geteuid().is_root() {
                "started by root"
            } else {
                "a user namespace without root"
            };
            Ok(format!("{}: no daemon, {user}", short_version(engine)?))
        }
        Kind::Apptainer => Ok(format!(
            "{}: no daemon, the user who starts it",
            short_version(engine)?
        )),
    }
}

/// Returns the last word of `--version`.
fn short_version(engine: &Engine) -> Result<String, EngineError> {
    let text = engine.call(["--version"], SHORT, &mut || false)?;
    Ok(text.split_whitespace().last().unwrap_or_default().to_owned())
}

fn listed(profiles: &[&str]) -> String {
    if profiles.is_empty() {
        "no seccomp profile".to_owned()
    } else {
        profiles.join(" and ")
    }
}
