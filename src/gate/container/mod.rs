//! Runs gates in containers: finds the image of each gate, and writes the command line that starts its container.
//!
//! The container has the checkout under test and nothing else of this machine: no results, no policy, no network unless the
//! registry allows it, no capability, and a user that is not root. Must not evaluate results.

pub mod client;
pub mod init;
pub mod left_behind;
mod place;
pub mod protocol;
pub mod reaper;
pub mod running;
mod shim;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use tempfile::TempDir;

use crate::domain::container::Container;
use crate::domain::gate_environment;
use crate::domain::ids::GateId;
use crate::domain::registry::{Gate, GateKind, Registry};
use crate::domain::results::GateResult;
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::container::client::{Engine, EngineError, Image, Kind};
use crate::gate::container::place::Place;
use crate::gate::container::protocol::{JIT_CACHES, LOST_AFTER_S, Task};
use crate::gate::jit_caches::JitCaches;
use crate::system::random;

type Variables = BTreeMap<String, String>;

/// The engine and the images of a run.
#[derive(Debug)]
pub struct Containers {
    engine: Engine,
    /// Where each gate runs.
    gates: HashMap<GateId, (Container, Image)>,
    place: Place,
    /// The images that Apptainer downloads. Dropping the value deletes them.
    _images: Option<TempDir>,
}

/// A container to start: the command of the client, and the task of its first process.
#[derive(Debug)]
pub struct Start {
    pub engine: Engine,
    /// This program, for the reaper.
    pub program: PathBuf,
    /// The name of the container.
    pub name: String,
    pub arguments: Vec<OsString>,
    pub task: Task,
}

/// The inputs of [`Containers::prepare`].
pub struct Wanted<'a> {
    pub registry: &'a Registry,
    /// The gates that run, in order.
    pub gate_ids: &'a [GateId],
    /// The engine to use; `None` means the first one that is installed.
    pub engine: Option<Kind>,
    /// The environment of this process.
    pub environment: &'a [(OsString, OsString)],
    /// The checkout with the Dockerfiles.
    pub policy: &'a Path,
    /// The checkout under test.
    pub subject: &'a Path,
    /// This program.
    pub program: PathBuf,
}

/// Returns the gates that cannot run in a container.
pub fn refused(registry: &Registry, gate_ids: &[GateId]) -> IndexMap<GateId, GateResult> {
    let known = gate_ids
        .iter()
        .filter_map(|id| Some((id, registry.gates.get(id)?)));
    known
        .filter(|(_, gate)| gate.kind != GateKind::External && !fits(registry, gate))
        .map(|(id, _)| {
            let result = GateResult::new(Verdict::Invalid, Some(Reason::NoContainer));
            (id.clone(), result)
        })
        .collect()
}

/// Whether a gate can run in a container. The kernel host and the comparison of a perf gate run outside, and a
/// job has its own machine.
fn fits(registry: &Registry, gate: &Gate) -> bool {
    let container = registry.container_of(gate);
    gate.kind == GateKind::Command
        && gate.executor.is_none()
        && !gate.needs_kernels()
        && (container.image.is_some() || container.dockerfile.is_some())
}

impl Containers {
    /// Finds an engine and makes the image of each gate available.
    ///
    /// # Errors
    /// The engine or the image is missing, or the checkout belongs to root.
    pub fn prepare(wanted: Wanted<'_>, stop: &mut dyn FnMut() -> bool) -> Result<Self, EngineError> {
        let mut engine = Engine::find(wanted.engine, wanted.environment)?;
        let place = Place::of(wanted.subject, wanted.program)?;
        if engine.kind == Kind::Apptainer && place.is_root {
            return Err(EngineError::Unusable(
                "apptainer runs a gate as the user who starts it, and that is root; run as another user"
                    .to_owned(),
            ));
        }
        let folder = match engine.kind {
            Kind::Apptainer => Some(private_images(&mut engine)?),
            _ => None,
        };
        let mut images: Vec<(Container, Image)> = Vec::new();
        let mut gates = HashMap::new();
        for id in wanted.gate_ids {
            let Some(gate) = wanted
                .registry
                .gates
                .get(id)
                .filter(|gate| fits(wanted.registry, gate))
            else {
                continue;
            };
            let container = wanted.registry.container_of(gate);
            let same = |(known, _): &&(Container, Image)| {
                (&known.image, &known.dockerfile, &known.build_args)
                    == (&container.image, &container.dockerfile, &container.build_args)
            };
            let image = match images.iter().find(same) {
                Some((_, image)) => image.clone(),
                None => engine.image(&container, wanted.policy, stop)?,
            };
            images.push((container.clone(), image.clone()));
            gates.insert(id.clone(), (container, image));
        }
        Ok(Containers {
            engine,
            gates,
            place,
            _images: folder,
        })
    }

    /// Returns the digest of the image that a gate runs in.
    pub fn digest(&self, id: &str) -> Option<&str> {
        self.gates.get(id).map(|(_, image)| image.digest.as_str())
    }

    /// Returns the digest that all gates share.
    pub fn common_digest(&self) -> Option<&str> {
        let mut digests = self.gates.values().map(|(_, image)| image.digest.as_str());
        let first = digests.next()?;
        digests.all(|digest| digest == first).then_some(first)
    }

    /// Returns the container of a gate.
    ///
    /// # Errors
    /// The gate has no image, the kernel returns no random name, or a declared variable is not UTF-8.
    pub fn start(
        &self,
        id: &str,
        gate: &Gate,
        environment: &[(OsString, OsString)],
        caches: Option<&JitCaches>,
    ) -> std::io::Result<Start> {
        let no_image = || std::io::Error::other(format!("cannot start a container for {id}: no image"));
        let (container, image) = self.gates.get(id).ok_or_else(no_image)?;
        if let Some(cause) = self.place.ignored_limit(self.engine.kind, container) {
            return Err(std::io::Error::other(cause));
        }
        let token = random::token()?;
        let name = format!("nmoe-gates-{}", &token[..16]);
        let passed = gate_environment::of(gate, environment.iter().cloned());
        let mut arguments = match self.engine.kind {
            Kind::Apptainer => self.place.apptainer(container, image, gate, &passed),
            kind => self.place.docker(kind, &name, container, image, gate, &passed),
        };
        let [declared, others] = variables(gate, passed)?;
        // The user of the container may have no entry in the image, and so no home.
        let mut environment = Variables::from([("HOME".to_owned(), "/tmp".to_owned())]);
        let defaults = match self.engine.kind {
            Kind::Apptainer => Some(others),
            _ => {
                let pairs = image.environment.iter().filter_map(|pair| pair.split_once('='));
                let of_image = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
                let of_image: Variables = of_image.filter(|(name, _)| name != "HOME").collect();
                environment.extend(others);
                environment.extend(of_image);
                None
            }
        };
        environment.extend(declared);
        if let Some(caches) = caches {
            let target = Path::new(JIT_CACHES);
            // Options follow the subcommand of the client.
            arguments.splice(1..1, self.place.writable(caches.folder(), target)?);
            let ours = JitCaches::environment_in(target);
            environment.extend(ours.map(|(name, value)| (name.to_owned(), value.display().to_string())));
        }
        let task = Task {
            token: random::token()?,
            command: gate.cmd.clone().unwrap_or_default(),
            directory: self.place.target.clone(),
            environment,
            defaults,
            lost_after_s: LOST_AFTER_S,
        };
        Ok(Start {
            engine: self.engine.clone(),
            program: self.place.program.clone(),
            name,
            arguments,
            task,
        })
    }
}

/// Gives Apptainer a private folder for images, so that it checks the digest in this run. In the cache of the user, Apptainer does not
/// check the content of an image, and a process of an earlier run could have replaced it.
fn private_images(engine: &mut Engine) -> Result<TempDir, EngineError> {
    let variable = "APPTAINER_CACHEDIR";
    let of_user = engine.environment.iter().rev().find(|(name, _)| name == variable);
    let mut folder = tempfile::Builder::new();
    folder
        .prefix("nmoe-gates-images-")
        .permissions(Permissions::from_mode(0o700));
    // The user may have chosen a disk with enough space.
    let created = match of_user {
        Some((_, place)) => std::fs::create_dir_all(place).and_then(|()| folder.tempdir_in(place)),
        None => folder.tempdir(),
    };
    let created = created.map_err(|error| {
        EngineError::Unusable(format!(
            "cannot create a folder for images of apptainer: {error}\nhelp: name a folder that this user can write to: {variable}=DIR"
        ))
    })?;
    engine.environment.retain(|(name, _)| name != variable);
    engine.environment.push((variable.into(), created.path().into()));
    Ok(created)
}

/// Returns the variables that a gate gets outside, as text: the declared ones, and the others. The others never include a variable that
/// describes the file system of this machine.
fn variables(gate: &Gate, passed: BTreeMap<OsString, OsString>) -> std::io::Result<[Variables; 2]> {
    let (mut declared, mut others) = (Variables::new(), Variables::new());
    for (name, value) in passed {
        let Ok(name) = name.into_string() else {
            continue;
        };
        let is_declared = gate.requires.iter().chain(&gate.env).any(|known| *known == name);
        match value.into_string() {
            Ok(value) if is_declared => {
                declared.insert(name, value);
            }
            Ok(value) if !gate_environment::is_of_machine(&name) => {
                others.insert(name, value);
            }
            Err(_) if is_declared => {
                let cause = format!("cannot pass {name} to the container: the value is not UTF-8");
                return Err(std::io::Error::other(cause));
            }
            _ => {}
        }
    }
    Ok([declared, others])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an earlier process left in the cache of the user must not become the image of a run.
    #[test]
    fn apptainer_uses_no_image_of_earlier_runs() {
        let home = TempDir::new().unwrap();
        let client = home.path().join("apptainer");
        std::fs::write(&client, "#!/bin/sh\necho \"$APPTAINER_CACHEDIR\" >\"$SAID\"\n").unwrap();
        std::fs::set_permissions(&client, Permissions::from_mode(0o755)).unwrap();
        let (cache, said) = (home.path().join("cache"), home.path().join("said"));
        let environment = [
            ("PATH", format!("{}:/usr/bin:/bin", home.path().display())),
            ("SAID", said.display().to_string()),
            ("APPTAINER_CACHEDIR", cache.display().to_string()),
        ]
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let container = Container {
            image: Some(format!("registry.example/train@sha256:{}", "a".repeat(64))),
            ..Container::default()
        };
        let mut seen = Vec::new();
        for _ in 0..2 {
            let mut engine = Engine::find(Some(Kind::Apptainer), &environment).unwrap();
            let folder = private_images(&mut engine).unwrap();
            engine.image(&container, home.path(), &mut || false).unwrap();
            let used = std::fs::read_to_string(&said).unwrap();
            assert_eq!(Path::new(used.trim()), folder.path());
            let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
            seen.push(used);
        }
        assert_ne!(seen[0], seen[1]);
        assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 0);
    }
}
