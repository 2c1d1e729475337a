//! Writes the command line that starts the container of a gate: what it sees of this machine, and what it may use.
//!
//! Must not start processes, except git once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::domain::container::{Container, PROCESSES};
use crate::domain::registry::Gate;
use crate::gate::container::client::{self, EngineError, Image, Kind};
use crate::gate::container::protocol::{LABEL, PROGRAM, SUBCOMMAND, SUBJECT};
use crate::git::Git;
use crate::system::files;

/// The largest file that links a worktree to its git folder.
const LARGEST_LINK: u64 = 64 << 10;

/// What the containers of a run have in common.
#[derive(Clone, Debug)]
pub struct Place {
    /// The checkout under test.
    subject: PathBuf,
    /// Where the checkout is in the container.
    pub target: String,
    /// The git folder of a linked worktree, which is outside the checkout.
    git_folder: Option<PathBuf>,
    /// This program.
    pub program: PathBuf,
    /// The owner of the checkout.
    user: (u32, u32),
    /// Whether this process is root.
    pub is_root: bool,
    /// Whether the machine describes its GPUs for containers.
    has_gpu_specification: bool,
    /// Whether SELinux is in use.
    has_selinux: bool,
    /// Whether systemd runs the machine.
    has_systemd: bool,
    /// Whether version 2 of cgroups is in use.
    has_cgroup2: bool,
}

impl Place {
    /// Looks at the checkout and the machine.
    ///
    /// # Errors
    /// The checkout cannot be read, or belongs to root.
    pub fn of(subject: &Path, program: PathBuf) -> Result<Self, EngineError> {
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
                "cannot run gates of {0} in a container: the checkout belongs to root, and a gate must not be root\n\
                 help: give the checkout to another user: chown -R 1001:1001 {0}",
                subject.display()
            )));
        }
        let git = Link::of(&subject);
        Ok(Place {
            target: match &git {
                // The link, and the settings of a submodule, name paths relative to the checkout.
                Some(Link {
                    is_relative: true, ..
                }) => subject.display().to_string(),
                _ => SUBJECT.to_owned(),
            },
            git_folder: git.map(|link| link.folder),
            subject,
            program,
            user,
            is_root,
            has_gpu_specification: client::has_gpu_specification(),
            has_selinux: Path::new("/sys/fs/selinux/enforce").exists(),
            has_systemd: Path::new("/run/systemd/system").is_dir(),
            has_cgroup2: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        })
    }

    /// Returns why a limit that the registry names would have no effect.
    pub fn ignored_limit(&self, kind: Kind, container: &Container) -> Option<&'static str> {
        let is_named = container.memory.is_some() || container.processes.is_some();
        let is_ignored = kind == Kind::Podman && !self.is_root && !self.has_cgroup2;
        (is_named && is_ignored).then_some(
            "cannot limit the container: podman without root ignores limits on a machine with version 1 of cgroups",
        )
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
    pub fn docker(
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
        arguments.words(["--pull", "never", "--read-only", "--workdir", &self.target]);
        // A health check of the image would be a process that no gate started.
        arguments.words(["--no-healthcheck"]);
        arguments.words(["--tmpfs", "/tmp:rw,exec,nosuid,nodev,mode=1777"]);
        arguments.words(["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]);
        if self.has_selinux {
            // SELinux refuses a checkout without the label of the container, and a new label would change the files outside.
            arguments.words(["--security-opt", "label=disable"]);
        }
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
            // Shared memory counts as memory. The default of 64 MB is too small for data loaders.
            for option in ["--memory", "--memory-swap", "--shm-size"] {
                arguments.words([option, &memory]);
            }
        }
        let processes = container.processes.unwrap_or(PROCESSES);
        arguments.words(["--pids-limit".to_owned(), processes.to_string()]);
        self.share(&mut arguments, container, passed);
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
    fn share(&self, arguments: &mut Arguments, container: &Container, passed: &BTreeMap<OsString, OsString>) {
        let target = Path::new(&self.target);
        let add = Arguments::mount;
        add(arguments, &self.subject, target, true);
        let git = self.subject.join(".git");
        if git.exists() {
            // A gate must not leave hooks or settings that git outside would run.
            add(arguments, &git, &target.join(".git"), false);
        }
        if let Some(folder) = &self.git_folder {
            add(arguments, folder, folder, false);
        }
        for (folder, writable) in Self::folders(container, passed) {
            add(arguments, folder, folder, writable);
        }
        add(arguments, &self.program, Path::new(PROGRAM), false);
    }

    /// Gives a folder of this machine to the user of the gate. Returns the arguments that mount it, so that the gate can write to it.
    ///
    /// # Errors
    /// The owner cannot be changed.
    pub fn writable(&self, folder: &Path, target: &Path) -> std::io::Result<Vec<OsString>> {
        if self.is_root {
            let below = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
            let below = below.iter().map(std::fs::DirEntry::path);
            for path in below.chain([folder.to_owned()]) {
                std::os::unix::fs::lchown(path, Some(self.user.0), Some(self.user.1))?;
            }
        }
        let mut arguments = Arguments::default();
        arguments.mount(folder, target, true);
        Ok(arguments.0)
    }

    /// Returns the arguments of apptainer.
    pub fn apptainer(
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
        // Apptainer limits only through systemd. Elsewhere a limit that the registry names makes the gate invalid.
        let of_machine = |limit: Option<String>| limit.filter(|_| self.has_systemd);
        let memory = container.memory.clone().or_else(|| of_machine(most_memory()));
        let processes = container.processes.map(|limit| limit.to_string());
        let processes = processes.or_else(|| of_machine(Some(PROCESSES.to_string())));
        for (option, limit) in [("--memory", memory), ("--pids-limit", processes)] {
            if let Some(limit) = limit {
                arguments.words([option, &limit]);
            }
        }
        self.share(&mut arguments, container, passed);
        if gate.gpus > 0 {
            arguments.words(["--nv"]);
        }
        arguments.words(["--pwd", &self.target, &image.reference, PROGRAM, SUBCOMMAND]);
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
        let mut value = OsString::from("type=bind");
        for (name, path) in [("source", source), ("target", target)] {
            let quoted = path.to_string_lossy().contains([',', '"', '\n', '\r']);
            value.push(if quoted { ",\"" } else { "," });
            value.push(name);
            value.push("=");
            match (quoted, path.to_str()) {
                (true, Some(text)) => value.push(text.replace('"', "\"\"")),
                _ => value.push(path),
            }
            value.push(if quoted { "\"" } else { "" });
        }
        // For Apptainer, any value of `readonly` means read-only.
        value.push(if writable { "" } else { ",readonly=true" });
        self.0.extend(["--mount".into(), value]);
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

/// The link of a linked worktree or a submodule to its git folder, which is outside the checkout.
struct Link {
    /// The git folder that the worktrees share.
    folder: PathBuf,
    is_relative: bool,
}

impl Link {
    /// Returns the link of a checkout. A usual checkout has its git folder inside.
    fn of(subject: &Path) -> Option<Link> {
        let file = subject.join(".git");
        if !file.is_file() {
            return None;
        }
        let text = files::read_regular(&file, LARGEST_LINK).ok()?;
        let said = Git::at(subject)
            .text(["rev-parse", "--path-format=absolute", "--git-common-dir"])
            .ok()?;
        let folder = PathBuf::from(said.trim());
        folder.is_dir().then_some(Link {
            folder,
            is_relative: !text.starts_with(b"gitdir: /"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::domain::registry::Registry;
    use crate::gate::container::Containers;
    use crate::gate::container::client::Engine;
    use crate::gate::jit_caches::JitCaches;

    /// Returns the arguments of a gate that needs GPUs, as one text.
    fn with_gpus(kind: Kind, has_gpu_specification: bool) -> String {
        arguments(kind, |place| place.has_gpu_specification = has_gpu_specification)
    }

    fn arguments(kind: Kind, change: impl FnOnce(&mut Place)) -> String {
        let mut place = Place {
            subject: PathBuf::from("/no/such/subject"),
            target: SUBJECT.to_owned(),
            git_folder: None,
            program: PathBuf::from("/bin/nmoe-gates"),
            user: (1001, 1001),
            is_root: true,
            has_gpu_specification: false,
            has_selinux: false,
            has_systemd: false,
            has_cgroup2: false,
        };
        change(&mut place);
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

    #[test]
    fn selinux_does_not_refuse_the_checkout() {
        let option = "--security-opt label=disable";
        for kind in [Kind::Docker, Kind::Podman] {
            assert!(!arguments(kind, |_| {}).contains(option));
            assert!(arguments(kind, |place| place.has_selinux = true).contains(option));
        }
    }

    /// Without systemd Apptainer refuses each limit, so only a limit of the registry is passed.
    #[test]
    fn apptainer_limits_only_with_systemd() {
        assert!(!arguments(Kind::Apptainer, |_| {}).contains("--pids-limit"));
        let limited = arguments(Kind::Apptainer, |place| place.has_systemd = true);
        assert!(limited.contains("--pids-limit 4096") && limited.contains("--memory"));
    }

    /// A GPU gate compiles into private caches, which are inspected on this machine afterwards.
    #[test]
    fn caches_of_kernels_are_mounted_and_named() {
        let mut taken = None;
        arguments(Kind::Docker, |place| {
            place.is_root = false;
            taken = Some(place.clone());
        });
        let registry: Registry = toml::from_str("[gates.g]\ntier = \"b\"\ngpus = 1\ncmd = \"true\"").unwrap();
        let (id, gate) = registry.gates.first().unwrap();
        let image = Image {
            environment: vec!["TRITON_CACHE_DIR=/of/the/image".to_owned()],
            ..Image::default()
        };
        let containers = Containers {
            engine: Engine {
                kind: Kind::Docker,
                environment: Vec::new(),
            },
            gates: HashMap::from([(id.clone(), (Container::default(), image))]),
            place: taken.unwrap(),
            _images: None,
        };
        let caches = JitCaches::new().unwrap();
        let start = containers.start(id, gate, &[], Some(&caches)).unwrap();
        let words: Vec<_> = start
            .arguments
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        let source = format!("source={},target=/nmoe-gates-jit", caches.folder().display());
        assert_eq!((&*words[0], &*words[1]), ("run", "--mount"));
        assert!(
            words[2].contains(&source) && !words[2].contains("readonly=true"),
            "{words:?}"
        );
        let variables = &start.task.environment;
        assert_eq!(variables["TRITON_CACHE_DIR"], "/nmoe-gates-jit/triton");
        assert_eq!(variables["CUTE_DSL_KEEP_CUBIN"], "1");
        let start = containers.start(id, gate, &[], None).unwrap();
        assert_eq!(start.task.environment["TRITON_CACHE_DIR"], "/of/the/image");
    }

    /// Podman only warns, and that warning is in no result.
    #[test]
    fn podman_without_root_needs_cgroup2_for_limits() {
        let container: Container = toml::from_str("memory = \"1g\"").unwrap();
        let ignored = |kind, is_root, has_cgroup2, container: &Container| {
            let mut taken = None;
            arguments(kind, |place| taken = Some(place.clone()));
            let place = Place {
                is_root,
                has_cgroup2,
                ..taken.unwrap()
            };
            place.ignored_limit(kind, container).is_some()
        };
        assert!(ignored(Kind::Podman, false, false, &container));
        assert!(!ignored(Kind::Podman, false, false, &Container::default()));
        assert!(!ignored(Kind::Podman, true, false, &container));
        assert!(!ignored(Kind::Podman, false, true, &container));
        assert!(!ignored(Kind::Docker, false, false, &container));
    }

    /// `--mount` takes CSV.
    #[test]
    fn odd_paths_are_quoted() {
        for (path, expected) in [
            ("/a b", "source=/a b,"),
            ("/a,b", "\"source=/a,b\","),
            ("/a\"b", "\"source=/a\"\"b\","),
            ("/a\nb", "\"source=/a\nb\","),
        ] {
            let all = arguments(Kind::Docker, |place| place.program = PathBuf::from(path));
            assert!(all.contains(&format!("type=bind,{expected}")), "{all}");
        }
    }
}
