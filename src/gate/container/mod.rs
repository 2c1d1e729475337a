//! Runs gates in containers: finds the image of each gate, and writes the command line that starts its container.
//!
//! The container has the checkout under test and nothing else of this machine: no results, no policy, no network unless the
//! registry allows it, no capability, and a user that is not root. Must not evaluate results.

pub mod client;
pub mod init;
pub mod keeper;
pub mod left_behind;
pub mod protocol;
pub mod running;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::domain::container::{Container, PROCESSES};
use crate::domain::gate_environment;
use crate::domain::ids::GateId;
use crate::domain::registry::{Gate, GateKind, Registry};
use crate::domain::results::GateResult;
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::container::client::{Engine, EngineError, Image, Kind};
use crate::gate::container::protocol::{PROGRAM, SUBCOMMAND, SUBJECT, Task};
use crate::git::Git;
use crate::system::random;

/// The label of every container that this program starts.
pub const LABEL: &str = "nmoe-gates.gate";

/// The engine and the images of a run.
#[derive(Debug)]
pub struct Containers {
    engine: Engine,
    /// Where each gate runs.
    gates: HashMap<GateId, (Container, Image)>,
    place: Place,
}

/// What the containers of a run have in common.
#[derive(Clone, Debug)]
struct Place {
    /// The checkout under test.
    subject: PathBuf,
    /// The git folder of a linked worktree, which is outside the checkout.
    git_folder: Option<PathBuf>,
    /// This program.
    program: PathBuf,
    /// The owner of the checkout.
    user: (u32, u32),
    /// Whether this process is root.
    is_root: bool,
    /// Whether the machine describes its GPUs for containers.
    has_gpu_specification: bool,
}

/// A container to start: the command of the client, and the task of its first process.
#[derive(Debug)]
pub struct Start {
    pub engine: Engine,
    /// This program, for the keeper.
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

/// Whether a gate can run in a container. The kernel host and the comparison of a perf gate run outside.
fn fits(registry: &Registry, gate: &Gate) -> bool {
    let container = registry.container_of(gate);
    gate.kind == GateKind::Command
        && !gate.needs_kernels()
        && (container.image.is_some() || container.dockerfile.is_some())
}

impl Containers {
    /// Finds an engine and makes the image of each gate available.
    ///
    /// # Errors
    /// The engine or the image is missing, or the checkout belongs to root.
    pub fn prepare(wanted: Wanted<'_>, stop: &mut dyn FnMut() -> bool) -> Result<Self, EngineError> {
        let engine = Engine::find(wanted.engine, wanted.environment)?;
        let place = Place::of(wanted.subject, wanted.program)?;
        if engine.kind == Kind::Apptainer && place.is_root {
            return Err(EngineError::Unusable(
                "apptainer runs a gate as the user who starts it, and that is root; run as another user"
                    .to_owned(),
            ));
        }
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
        Ok(Containers { engine, gates, place })
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

    /// Returns the container of a gate. `None` if the gate has no image.
    ///
    /// # Errors
    /// The kernel returns no random name.
    pub fn start(
        &self,
        id: &str,
        gate: &Gate,
        environment: &[(OsString, OsString)],
    ) -> std::io::Result<Option<Start>> {
        let Some((container, image)) = self.gates.get(id) else {
            return Ok(None);
        };
        let token = random::token()?;
        let name = format!("nmoe-gates-{}", &token[..16]);
        let passed = gate_environment::of(gate, environment.iter().cloned());
        let arguments = match self.engine.kind {
            Kind::Apptainer => self.place.apptainer(container, image, gate, &passed),
            kind => self.place.docker(kind, &name, container, image, gate, &passed),
        };
        let task = Task {
            token: random::token()?,
            command: gate.cmd.clone().unwrap_or_default(),
            directory: SUBJECT.to_owned(),
            environment: variables(image, gate, &passed),
            inherit: self.engine.kind == Kind::Apptainer,
        };
        Ok(Some(Start {
            engine: self.engine.clone(),
            program: self.place.program.clone(),
            name,
            arguments,
            task,
        }))
    }
}

/// Returns the variables of a gate: those of the image, and those that the gate gets outside. A variable that describes the file
/// system of this machine is left out, and the image has priority over a variable that the gate does not declare.
fn variables(image: &Image, gate: &Gate, passed: &BTreeMap<OsString, OsString>) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = image
        .environment
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // The user of the container may have no entry in the image, and so no home.
    variables.insert("HOME".to_owned(), "/tmp".to_owned());
    for (name, value) in passed {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
            continue;
        };
        let declared = gate.requires.iter().chain(&gate.env).any(|known| known == name);
        if declared || !(gate_environment::is_of_machine(name) || variables.contains_key(name)) {
            variables.insert(name.to_owned(), value.to_owned());
        }
    }
    variables
}

impl Place {
    fn of(subject: &Path, program: PathBuf) -> Result<Self, EngineError> {
        let unusable = |error: std::io::Error| {
            EngineError::Unusable(format!("cannot use the checkout {}: {error}", subject.display()))
        };
        let subject = subject.canonicalize().map_err(unusable)?;
        let owner = std::fs::metadata(&subject).map_err(unusable)?;
        let is_root = rustix::process::geteuid().is_root();
        let user = if is_root {
            use std::os::unix::fs::MetadataExt as _;
            (owner.uid(), owner.gid())
        } else {
            (
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            )
        };
        if user.0 == 0 {
            return Err(EngineError::Unusable(format!(
                "the checkout {0} belongs to root, and a gate in a container does not run as root; \
                 give the checkout to another user: chown -R 1001:1001 {0}",
                subject.display()
            )));
        }
        Ok(Place {
            git_folder: git_folder(&subject),
            subject,
            program,
            user,
            is_root,
            has_gpu_specification: client::has_gpu_specification(),
        })
    }

    /// Returns the folders of a gate's variables.
    fn folders<'e>(container: &Container, passed: &'e BTreeMap<OsString, OsString>) -> Vec<(&'e Path, bool)> {
        let named = |names: &[String], writable: bool| -> Vec<(&'e Path, bool)> {
            names
                .iter()
                .filter_map(|name| passed.get(OsStr::new(name)))
                .map(|path| (Path::new(path), writable))
                .filter(|(path, _)| path.is_absolute() && path.is_dir())
                .collect()
        };
        let mut all = named(&container.data, false);
        all.extend(named(&container.scratch, true));
        all
    }

    /// Returns the arguments of docker and podman.
    fn docker(
        &self,
        kind: Kind,
        name: &str,
        container: &Container,
        image: &Image,
        gate: &Gate,
        passed: &BTreeMap<OsString, OsString>,
    ) -> Vec<OsString> {
        let mut arguments = Arguments::default();
        arguments.words(["run", "--rm", "--interactive", "--name", name, "--label"]);
        arguments.words([format!("{LABEL}={name}")]);
        // The image was made available before, so a missing one is an error.
        arguments.words(["--pull", "never", "--read-only", "--workdir", SUBJECT]);
        arguments.words(["--tmpfs", "/tmp:rw,exec,nosuid,nodev,mode=1777"]);
        arguments.words(["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]);
        arguments.words(["--user".to_owned(), format!("{}:{}", self.user.0, self.user.1)]);
        if kind == Kind::Podman && !self.is_root {
            arguments.words(["--userns", "keep-id"]);
        }
        arguments.words([
            "--network",
            if container.network == Some(true) {
                default_network(kind)
            } else {
                "none"
            },
        ]);
        let memory = container.memory.clone().or_else(most_memory);
        if let Some(memory) = memory {
            arguments.words([
                "--memory".to_owned(),
                memory.clone(),
                "--memory-swap".to_owned(),
                memory,
            ]);
        }
        let processes = container.processes.unwrap_or(PROCESSES);
        arguments.words(["--pids-limit".to_owned(), processes.to_string()]);
        self.share(&mut arguments, Arguments::mount, container, passed);
        if gate.gpus > 0 {
            if kind == Kind::Podman || self.has_gpu_specification {
                arguments.words(["--device", "nvidia.com/gpu=all"]);
            } else {
                arguments.words(["--gpus", "all"]);
            }
        }
        arguments.words(["--entrypoint", PROGRAM, &image.reference, SUBCOMMAND]);
        arguments.0
    }

    /// Adds what the container sees of this machine: the subject, its git folder read-only, declared folders, the program.
    fn share(
        &self,
        arguments: &mut Arguments,
        add: fn(&mut Arguments, &Path, &Path, bool),
        container: &Container,
        passed: &BTreeMap<OsString, OsString>,
    ) {
        add(arguments, &self.subject, Path::new(SUBJECT), true);
        let git = self.subject.join(".git");
        if git.exists() {
            // A gate must not leave hooks or settings that git outside would run.
            add(arguments, &git, &Path::new(SUBJECT).join(".git"), false);
        }
        if let Some(folder) = &self.git_folder {
            add(arguments, folder, folder, false);
        }
        for (folder, writable) in Self::folders(container, passed) {
            add(arguments, folder, folder, writable);
        }
        add(arguments, &self.program, Path::new(PROGRAM), false);
    }

    /// Returns the arguments of apptainer.
    fn apptainer(
        &self,
        container: &Container,
        image: &Image,
        gate: &Gate,
        passed: &BTreeMap<OsString, OsString>,
    ) -> Vec<OsString> {
        let mut arguments = Arguments::default();
        arguments.words([
            "exec",
            "--containall",
            "--cleanenv",
            "--no-privs",
            "--pid",
            "--ipc",
            "--no-home",
        ]);
        if container.network != Some(true) {
            arguments.words(["--net", "--network", "none"]);
        }
        if let Some(memory) = container.memory.clone().or_else(most_memory) {
            arguments.words(["--memory".to_owned(), memory]);
        }
        let processes = container.processes.unwrap_or(PROCESSES);
        arguments.words(["--pids-limit".to_owned(), processes.to_string()]);
        self.share(&mut arguments, Arguments::bind, container, passed);
        if gate.gpus > 0 {
            arguments.words(["--nv"]);
        }
        arguments.words(["--pwd", SUBJECT, &image.reference, PROGRAM, SUBCOMMAND]);
        arguments.0
    }
}

/// The arguments of a client.
#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn words<const N: usize>(&mut self, words: [impl AsRef<str>; N]) {
        self.0
            .extend(words.iter().map(|word| OsString::from(word.as_ref())));
    }

    /// Mounts a file or folder. The fields of `--mount` are CSV, because a path may contain commas.
    fn mount(&mut self, source: &Path, target: &Path, writable: bool) {
        let mut value = OsString::from("type=bind,");
        for (name, path) in [("source", source), ("target", target)] {
            let quoted = path.to_string_lossy().contains([',', '"']);
            value.push(if quoted { "\"" } else { "" });
            value.push(name);
            value.push("=");
            match (quoted, path.to_str()) {
                (true, Some(text)) => value.push(text.replace('"', "\"\"")),
                _ => value.push(path),
            }
            value.push(if quoted { "\"," } else { "," });
        }
        value.push(if writable {
            "readonly=false"
        } else {
            "readonly=true"
        });
        self.0.extend(["--mount".into(), value]);
    }

    fn bind(&mut self, source: &Path, target: &Path, writable: bool) {
        let mut value = source.as_os_str().to_owned();
        value.push(":");
        value.push(target);
        value.push(if writable { ":rw" } else { ":ro" });
        self.0.extend(["--bind".into(), value]);
    }
}

/// Returns the network of a gate that may use one.
fn default_network(kind: Kind) -> &'static str {
    match kind {
        Kind::Docker => "bridge",
        // The network of a user who is not root is slirp4netns or pasta; podman knows which.
        _ => "private",
    }
}

/// Returns seven eighths of the machine's memory, so that a gate cannot end the machine.
fn most_memory() -> Option<String> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()?;
    Some(format!("{}k", total / 8 * 7))
}

/// Returns the shared git folder of a linked worktree. A usual checkout has its git folder inside.
fn git_folder(subject: &Path) -> Option<PathBuf> {
    if !subject.join(".git").is_file() {
        return None;
    }
    let said = Git::at(subject)
        .text(["rev-parse", "--path-format=absolute", "--git-common-dir"])
        .ok()?;
    let folder = PathBuf::from(said.trim());
    folder.is_dir().then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the arguments of a gate that needs GPUs, as one text.
    fn with_gpus(kind: Kind, has_gpu_specification: bool) -> String {
        let place = Place {
            subject: PathBuf::from("/no/such/subject"),
            git_folder: None,
            program: PathBuf::from("/bin/nmoe-gates"),
            user: (1001, 1001),
            is_root: true,
            has_gpu_specification,
        };
        let registry: Registry = toml::from_str("[gates.g]\ntier = \"b\"\ngpus = 1\ncmd = \"true\"").unwrap();
        let gate = &registry.gates["g"];
        let (container, image, passed) = (Container::default(), Image::default(), BTreeMap::new());
        let arguments = match kind {
            Kind::Apptainer => place.apptainer(&container, &image, gate, &passed),
            kind => place.docker(kind, "name", &container, &image, gate, &passed),
        };
        let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn gates_with_gpus_get_the_devices() {
        let device = "--device nvidia.com/gpu=all";
        assert!(with_gpus(Kind::Docker, true).contains(device));
        assert!(with_gpus(Kind::Podman, false).contains(device));
        assert!(with_gpus(Kind::Docker, false).contains("--gpus all"));
        assert!(with_gpus(Kind::Apptainer, false).contains("--nv"));
    }
}
