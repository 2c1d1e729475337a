//! Finds the container engine of this machine and calls its client: versions, images, builds, removal.
//!
//! A client is a short-lived child process with a time limit. Must not run while the supervisor runs a command.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::domain::container::Container;
use crate::gate::container::shim::is_podman;
use crate::system::call::{CallError, call};
use crate::system::files;

/// The longest call that neither downloads nor builds.
pub const SHORT: Duration = Duration::from_secs(30);
/// The longest download or build of an image.
const LONG: Duration = Duration::from_secs(3600);

/// A container engine. The order of preference is the order of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Docker: a daemon starts the containers.
    Docker,
    /// Podman: the client starts the containers.
    Podman,
    /// Apptainer: the container is an ordinary process.
    Apptainer,
}

impl Kind {
    /// Every engine, in the order of preference.
    pub const ALL: [Kind; 3] = [Kind::Docker, Kind::Podman, Kind::Apptainer];

    /// Returns the name of the client.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Docker => "docker",
            Kind::Podman => "podman",
            Kind::Apptainer => "apptainer",
        }
    }
}

/// Why an engine cannot do what a run needs.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No client is on PATH.
    #[error(
        "cannot find docker, podman or apptainer on PATH\nhelp: install one of them, or run without --container"
    )]
    Absent,
    /// The client cannot be started or did not end in time.
    #[error("cannot run `{command}`: {cause}")]
    Call {
        /// The beginning of the command.
        command: String,
        /// The error.
        cause: String,
    },
    /// The client reported an error.
    #[error("cannot use the engine: `{command}` failed: {said}")]
    Failed {
        /// The beginning of the command.
        command: String,
        /// The end of what the client printed.
        said: String,
    },
    /// The engine cannot be used for this image or this user.
    #[error("{0}")]
    Unusable(String),
    /// The run was stopped.
    #[error("the run was stopped while it prepared the image")]
    Stopped,
}

/// The client of a container engine, with the environment that it needs.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Which engine.
    pub kind: Kind,
    /// The environment of the client. The container does not get it.
    pub environment: Vec<(OsString, OsString)>,
}

/// The parts of an image that a container needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The reference for the client.
    pub reference: String,
    /// The digest, `sha256:` included.
    pub digest: String,
    /// The variables that the image sets, as `NAME=value`.
    pub environment: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    config: Config,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    env: Option<Vec<String>>,
}

impl Engine {
    /// Returns the first engine whose client is on PATH, or the wanted one.
    ///
    /// # Errors
    /// The client is not installed, or the only `docker` is Podman under another name.
    pub fn find(wanted: Option<Kind>, environment: &[(OsString, OsString)]) -> Result<Engine, EngineError> {
        let installed = installed(environment);
        let kind = installed
            .iter()
            .find(|kind| wanted.is_none_or(|wanted| wanted == **kind));
        match (kind, wanted) {
            (Some(kind), _) => Ok(Engine {
                kind: *kind,
                environment: environment.to_vec(),
            }),
            (None, None | Some(Kind::Docker))
                if client(environment, Kind::Docker).is_some_and(|file| is_podman(&file)) =>
            {
                let help = if installed.contains(&Kind::Podman) {
                    "use `--engine podman`"
                } else {
                    "add the folder of podman to PATH, and use `--engine podman`"
                };
                Err(EngineError::Unusable(format!(
                    "cannot use docker: the docker on PATH starts podman\nhelp: {help}"
                )))
            }
            (None, Some(wanted)) if !installed.is_empty() => Err(EngineError::Unusable(format!(
                "cannot find {} on PATH\nhelp: use `--engine {}`, which is installed",
                wanted.as_str(),
                installed[0].as_str()
            ))),
            (None, _) => Err(EngineError::Absent),
        }
    }

    /// Makes an image available and returns it. An image by digest is downloaded if the engine does not have it.
    ///
    /// # Errors
    /// The engine cannot download or build the image, or `stop` asked to stop.
    pub fn image(
        &self,
        container: &Container,
        policy: &Path,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Image, EngineError> {
        let made = self.made(container, policy, stop);
        if self.kind != Kind::Docker || !matches!(made, Err(EngineError::Failed { .. })) {
            return made;
        }
        // Every command fails without a daemon, each with another message.
        match self.call(["version"], SHORT, stop) {
            Err(EngineError::Failed { said, .. }) => {
                let other = match self.other() {
                    Some(other) => format!(", or use `--engine {}`, which is installed", other.as_str()),
                    None => String::new(),
                };
                Err(EngineError::Unusable(format!(
                    "cannot reach the daemon of docker: {}\n\
                     help: start the daemon, or give this user access to its socket{other}",
                    said.lines().last().unwrap_or_default()
                )))
            }
            _ => made,
        }
    }

    /// Returns another engine that is installed.
    pub fn other(&self) -> Option<Kind> {
        installed(&self.environment)
            .into_iter()
            .find(|kind| *kind != self.kind)
    }

    fn made(
        &self,
        container: &Container,
        policy: &Path,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Image, EngineError> {
        match (container.image.as_deref(), container.dockerfile.as_deref()) {
            (Some(reference), _) => self.pulled(reference, stop),
            (None, Some(dockerfile)) => {
                let arguments = container.build_args.iter();
                let arguments: Vec<String> =
                    arguments.map(|(name, value)| format!("{name}={value}")).collect();
                self.built(dockerfile, &arguments, policy, stop)
            }
            (None, None) => Err(EngineError::Unusable("the registry names no image".to_owned())),
        }
    }

    fn pulled(&self, reference: &str, stop: &mut dyn FnMut() -> bool) -> Result<Image, EngineError> {
        let digest = crate::domain::container::digest(reference)
            .ok_or_else(|| EngineError::Unusable(format!("the image `{reference}` has no digest")))?;
        if self.kind == Kind::Apptainer {
            if reference == digest {
                return Err(EngineError::Unusable(
                    "apptainer needs an image with a name, as `NAME@sha256:…`".to_owned(),
                ));
            }
            // Apptainer accepts no tag in front of a digest.
            let name = reference.split('@').next().unwrap_or_default();
            let name = match name.rsplit_once(':') {
                Some((name, tag)) if !tag.contains('/') => name,
                _ => name,
            };
            let reference = format!("docker://{name}@{digest}");
            // Downloads and converts the image, which can take longer than the start of a container may.
            self.call(
                ["exec", "--containall", "--no-home", &reference, "true"],
                LONG,
                stop,
            )?;
            return Ok(Image {
                reference,
                digest: digest.to_owned(),
                environment: Vec::new(),
            });
        }
        let known = self.inspected(reference, stop);
        let inspected = match known {
            Err(EngineError::Failed { .. }) if reference != digest => {
                match self.call(["pull", "--quiet", reference], LONG, stop) {
                    Err(EngineError::Failed { said, command }) => {
                        let engine = self.kind.as_str();
                        let registry = reference.split('/').next().unwrap_or_default();
                        let said = format!(
                            "{said}\nhelp: `{engine} login {registry}` if the registry refuses, or `{engine} load` the image from a file"
                        );
                        return Err(EngineError::Failed { command, said });
                    }
                    pulled => pulled?,
                };
                self.inspected(reference, stop)?
            }
            Err(EngineError::Failed { command, said }) => {
                let engine = self.kind.as_str();
                let said = format!(
                    "{said}\nhelp: `{engine} load` the image from a file, or name it as `NAME@{digest}` so that {engine} can download it"
                );
                return Err(EngineError::Failed { command, said });
            }
            known => known?,
        };
        Ok(Image {
            digest: digest.to_owned(),
            ..inspected
        })
    }

    fn built(
        &self,
        dockerfile: &str,
        arguments: &[String],
        policy: &Path,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Image, EngineError> {
        if self.kind == Kind::Apptainer {
            return Err(EngineError::Unusable(
                "apptainer cannot build a Dockerfile; name an image by digest in the registry".to_owned(),
            ));
        }
        if !files::contains(policy, dockerfile) {
            let message = format!(
                "cannot find the Dockerfile {dockerfile} in the policy checkout\nhelp: see what the registry has: nmoe-gates lint registry"
            );
            return Err(EngineError::Unusable(message));
        }
        let failed = |cause: std::io::Error| EngineError::Call {
            command: format!("{} build", self.kind.as_str()),
            cause: cause.to_string(),
        };
        let id = tempfile::NamedTempFile::new().map_err(failed)?;
        let mut words: Vec<OsString> = ["build", "--file"].map(OsString::from).into();
        words.push(policy.join(dockerfile).into());
        words.push("--iidfile".into());
        words.push(id.path().into());
        for argument in arguments {
            words.extend(["--build-arg".into(), argument.into()]);
        }
        words.push(policy.into());
        self.call(words, LONG, stop)?;
        let id = std::fs::read_to_string(id.path()).map_err(failed)?;
        self.inspected(id.trim(), stop)
    }

    fn inspected(&self, reference: &str, stop: &mut dyn FnMut() -> bool) -> Result<Image, EngineError> {
        let text = self.call(["image", "inspect", reference], SHORT, stop)?;
        let parsed: Vec<Inspected> = serde_json::from_str(&text).map_err(|error| EngineError::Call {
            command: format!("{} image inspect", self.kind.as_str()),
            cause: error.to_string(),
        })?;
        let Some(found) = parsed.into_iter().next() else {
            return Err(EngineError::Unusable(format!(
                "cannot find the image `{reference}`"
            )));
        };
        Ok(Image {
            reference: found.id.clone(),
            digest: format!("sha256:{}", found.id.trim_start_matches("sha256:")),
            environment: found.config.env.unwrap_or_default(),
        })
    }

    /// Removes a container and ends everything in it. Returns whether there was such a container.
    ///
    /// # Errors
    /// The engine did not remove it.
    pub fn remove(&self, name: &str) -> Result<bool, EngineError> {
        if self.kind == Kind::Apptainer {
            return Ok(false);
        }
        let mut words = vec!["rm", "--force", "--volumes"];
        if self.kind == Kind::Podman {
            // Podman would first wait ten seconds for the container to end.
            words.extend(["--time", "0"]);
        }
        words.push(name);
        match self.call(words, SHORT, &mut || false) {
            Err(EngineError::Failed { said, .. }) if said.to_lowercase().contains("no such container") => {
                Ok(false)
            }
            // Docker reports this if `--rm` removes the container at the same time.
            Err(EngineError::Failed { said, .. }) if said.contains("already in progress") => Ok(true),
            // The client prints the names of removed containers.
            ended => ended.map(|said| !said.trim().is_empty()),
        }
    }

    /// Returns the command of a client with these arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.kind.as_str());
        command.env_clear().envs(self.environment.iter().cloned());
        command
    }

    /// Calls the client and returns its standard output.
    ///
    /// # Errors
    /// The client fails, takes longer than `limit`, or `stop` asks to stop.
    pub fn call<I, S>(
        &self,
        arguments: I,
        limit: Duration,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<String, EngineError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let arguments: Vec<OsString> = arguments.into_iter().map(|a| a.as_ref().to_owned()).collect();
        let name = |words: &[OsString]| {
            let words: Vec<_> = words.iter().take(2).map(|w| w.to_string_lossy()).collect();
            format!("{} {}", self.kind.as_str(), words.join(" "))
        };
        let failed = |cause: String| EngineError::Call {
            command: name(&arguments),
            cause,
        };
        let answer = call(self.command().args(&arguments), limit, stop).map_err(|error| match error {
            CallError::Stopped => EngineError::Stopped,
            error => failed(error.to_string()),
        })?;
        if answer.status.success() {
            return Ok(answer.stdout);
        }
        let said = match answer.stderr.trim().is_empty() {
            true => &answer.stdout,
            false => &answer.stderr,
        };
        Err(EngineError::Failed {
            command: name(&arguments),
            said: end_of(said),
        })
    }
}

/// Returns the client of an engine that is on PATH.
fn client(environment: &[(OsString, OsString)], kind: Kind) -> Option<PathBuf> {
    let path = environment.iter().find(|(name, _)| name == "PATH");
    let path = path.map(|(_, value)| value.as_os_str()).unwrap_or_default();
    files::find_on_path(path, kind.as_str())
}

/// Returns the engines whose clients are on PATH, in the order of preference.
fn installed(environment: &[(OsString, OsString)]) -> Vec<Kind> {
    Kind::ALL
        .into_iter()
        // podman-docker installs a `docker` that is Podman, which has other options.
        .filter(|kind| {
            client(environment, *kind).is_some_and(|file| *kind != Kind::Docker || !is_podman(&file))
        })
        .collect()
}

/// Returns the last lines of a text.
fn end_of(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Returns the paths where the specifications of GPU devices are (Container Device Interface).
pub fn has_gpu_specification() -> bool {
    ["/etc/cdi", "/var/run/cdi"].iter().any(|folder| {
        std::fs::read_dir(PathBuf::from(folder)).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().starts_with("nvidia"))
        })
    })
}
