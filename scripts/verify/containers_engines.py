"""The container engines of `scripts/verify/containers`: a Docker daemon and Podman, each with data of its own."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUITE = "bookworm"
# Measured with every image: 6 GB with overlay2. vfs copies the complete file system for every layer.
NEEDED_GB = {"overlay2": 12, "vfs": 60}
RUNNER_GB = {"overlay2": 6, "vfs": 30}
# The user who owns the checkout under test and starts Podman without root: no user of the image.
OWNER, OWNER_NAME = 4242, "nmoe-gates-verify"
AS_OWNER = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups"]


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def fail(text: str) -> None:
    sys.exit(f"scripts/verify/containers: {text}")


def run(*command, **more) -> subprocess.CompletedProcess:
    return subprocess.run([str(c) for c in command], check=True, **more)


def text_of(*command, **more) -> str:
    return run(*command, capture_output=True, text=True, **more).stdout.strip()


class Table:
    """The rows of the report. A row that is not ok makes the script fail."""

    def __init__(self, quiet: bool = False):
        self.rows: list[tuple[str, str, str]] = []
        self.quiet = quiet

    def add(self, what: str, ok: bool, figures: str) -> None:
        self.rows.append((what, "ok" if ok else "FAILED", figures))
        if not self.quiet:
            print(f"{self.rows[-1][1]:7} {what}: {figures}", flush=True)

    def show(self) -> bool:
        say("result")
        width = max(len(what) for what, _, _ in self.rows)
        for what, state, figures in self.rows:
            print(f"{what:<{width}}  {state:<6}  {figures}")
        return all(state == "ok" for _, state, _ in self.rows)


def install() -> list[str]:
    """Installs the missing tools from Debian's packages, and returns the names of the packages."""
    packages = {"dockerd": "docker.io", "podman": "podman", "runc": "runc", "debootstrap": "debootstrap", "setpriv": "util-linux", "newuidmap": "uidmap"}
    missing = sorted({package for tool, package in packages.items() if not shutil.which(tool)})
    if missing:
        say(f"apt-get install {' '.join(missing)}")
        run("apt-get", "update", "-qq")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, env=environment, stdout=subprocess.DEVNULL)
    return missing


@contextlib.contextmanager
def owner():
    """Gives the owner of the checkout a name and ranges of user ids, which Podman without root needs."""
    subprocess.run(["userdel", "--force", OWNER_NAME], check=False, stderr=subprocess.DEVNULL)
    run("useradd", f"--uid={OWNER}", "--no-create-home", "--shell=/bin/false", OWNER_NAME)
    try:
        yield
    finally:
        subprocess.run(["userdel", "--force", OWNER_NAME], check=False, stderr=subprocess.DEVNULL)


def processes(is_wanted) -> list[int]:
    """Returns the processes whose command line, a list of words, is wanted."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if is_wanted((folder / "cmdline").read_bytes().split(b"\0")):
                found.append(int(folder.name))
    return found


def mirror() -> str | None:
    for file in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        if file.is_file() and (found := re.search(r"^(?:URIs:\s*|deb\s+(?:\[[^]]*\]\s*)?)(https?://\S+/debian/?)\s", file.read_text(), re.M)):
            return found[1]
    return None


class Docker:
    """A Docker daemon with its own socket and data."""

    name = "docker"
    # Whether limits of memory and processes hold.
    limits = True

    def __init__(self, folder: Path, runner: bool):
        self.folder, self.process = folder, None
        # Docker gives GPUs to a container if this hook of NVIDIA is installed. This one gives none, and the container starts all the same.
        (folder / "hooks").mkdir()
        (folder / "hooks/nvidia-container-runtime-hook").write_text("#!/bin/sh\n")
        (folder / "hooks/nvidia-container-runtime-hook").chmod(0o755)
        self.socket = folder / "docker.sock"
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}", "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": str(folder / "client")}
        self.client = {"DOCKER_HOST": self.environment["DOCKER_HOST"], "DOCKER_CONFIG": str(folder / "client")}
        free = shutil.disk_usage(folder).free / 1e9
        # BuildKit would fetch its front end from a registry, so the classic builder is used.
        for self.driver in ["overlay2", "vfs"]:
            needed = NEEDED_GB[self.driver] + (RUNNER_GB[self.driver] if runner else 0)
            if free < needed:
                fail(f"{folder} has {free:.0f} GB free and {self.driver} needs {needed} GB; name another place with --folder")
            if self.start():
                return
        fail(f"dockerd does not start; {folder}/dockerd.log says why")

    def start(self, *options: str) -> bool:
        command = [
            "dockerd", "--data-root", self.folder / "data", "--exec-root", self.folder / "exec", "-H", f"unix://{self.socket}",
            "--pidfile", self.folder / "pid", "--iptables=false", "--ip6tables=false", "--bridge=none", f"--storage-driver={self.driver}", *options,
        ]  # fmt: skip
        environment = {**os.environ, "PATH": f"{self.folder}/hooks:{os.environ['PATH']}"}
        with open(self.folder / "dockerd.log", "ab") as log:
            self.process = subprocess.Popen(list(map(str, command)), env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        for _ in range(150):
            if self.process.poll() is not None:
                return False
            if self.try_client("info").returncode == 0:
                os.chmod(self.socket, 0o666)
                return True
            time.sleep(0.2)
        self.stop()
        return False

    def lose(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(60)

    def restart(self, *options: str) -> None:
        """Starts the daemon again. Directly after a kill, dockerd may wait in vain for a containerd that ends, so try as a service manager does."""
        if not any(self.start(*options) for _ in range(5)):
            fail(f"dockerd does not start again; {self.folder}/dockerd.log says why")

    def end_forgotten(self) -> None:
        """Ends the shims of containers that the daemon forgot when it was killed. Call this while no container runs."""
        for process in processes(lambda words: b"containerd-shim" in words[0] and any(str(self.folder).encode() in word for word in words)):
            os.kill(process, signal.SIGKILL)

    def is_own(self) -> bool:
        """Says whether the daemon that answers is the started process, and uses the folder and driver of this script."""
        answer = self("info", "--format", "{{.DockerRootDir}} {{.Driver}}").split()
        return answer == [str(self.folder / "data"), self.driver] and (self.folder / "pid").read_text() == str(self.process.pid)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        # The daemon leaves the mount of its network namespace.
        for mounted in self.mounts():
            subprocess.run(["umount", mounted], check=False)

    def mounts(self) -> list[str]:
        """Returns what is mounted below the folder of this engine, the innermost first."""
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        return sorted((one for one in mounted if one.startswith(f"{self.folder}/")), reverse=True)

    def left(self) -> list[int]:
        """Returns the processes that name the folder of this engine: the daemon, containerd, and its shims."""
        names = (b"dockerd", b"containerd")
        return processes(lambda words: words[0].split(b"/")[-1].startswith(names) and any(str(self.folder).encode() in word for word in words))

    def try_client(self, *command, **more) -> subprocess.CompletedProcess:
        return subprocess.run(["docker", *map(str, command)], env=self.environment, capture_output=True, **more)

    def __call__(self, *command, **more) -> str:
        ended = self.try_client(*command, **more)
        if ended.returncode != 0:
            fail(f"docker {' '.join(map(str, command[:6]))} …: {ended.stderr.decode(errors='replace')[-3000:]}{ended.stdout.decode(errors='replace')[-3000:]}")
        return ended.stdout.decode(errors="replace").strip()

    def running(self) -> list[str]:
        return self("ps", "--all", "--quiet").split()


class Podman:
    """Podman with its own data, of root or of the owner of the checkout."""

    name = "podman"

    def __init__(self, folder: Path, driver: str, is_root: bool):
        self.folder, self.is_root = folder / ("podman" if is_root else "podman-rootless"), is_root
        self.user = [] if is_root else AS_OWNER
        for name in ["home", "data"]:
            (self.folder / name).mkdir(parents=True)
        # With a longer path than 50 characters, Podman cannot clean up after a container, and its client waits for that for 20 s.
        self.runroot = tempfile.mkdtemp(prefix="nmoe-gates-", dir="/run")
        # runc and these limits work in machines with both versions of cgroups, and in virtual machines.
        (self.folder / "containers.conf").write_text(
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
        )
        (self.folder / "storage.conf").write_text(
            f'[storage]\ndriver = "{driver}"\nrunroot = "{self.runroot}"\ngraphroot = "{self.folder}/data"\nrootless_storage_path = "{self.folder}/data"\n'
        )
        self.client = {"CONTAINERS_CONF": str(self.folder / "containers.conf"), "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf")}
        if not is_root:
            self.client["XDG_RUNTIME_DIR"] = self.runroot
            for place in [self.folder, *self.folder.iterdir(), Path(self.runroot)]:
                os.chown(place, OWNER, OWNER)
        # Podman ignores limits if it is not root and the machine has version 1 of cgroups.
        self.limits = is_root or Path("/sys/fs/cgroup/cgroup.controllers").exists()

    def __call__(self, *command, **more) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home"), **self.client}
        return text_of(*self.user, "podman", *command, env=environment, cwd=self.folder, **more)

    def try_client(self, *command) -> subprocess.CompletedProcess:
        try:
            return subprocess.CompletedProcess(command, 0, self(*command).encode(), b"")
        except subprocess.CalledProcessError as error:
            return subprocess.CompletedProcess(command, error.returncode, b"", error.stderr.encode())

    def running(self) -> list[str]:
        return self("ps", "--all", "--quiet").split()

    def stop(self) -> None:
        """Ends the process that keeps the namespaces of a user who is not root."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((Path(self.runroot) / "libpod/tmp/pause.pid").read_text()), signal.SIGKILL)
        shutil.rmtree(self.runroot, ignore_errors=True)

    def copy_from(self, docker: Docker, tag: str) -> str:
        """Copies an image from Docker and returns its id."""
        saved = subprocess.Popen(["docker", "save", tag], env=docker.environment, stdout=subprocess.PIPE)
        self("load", stdin=saved.stdout)
        if saved.wait() != 0:
            fail(f"docker save {tag} failed")
        return "sha256:" + self("image", "inspect", "--format", "{{.Id}}", tag).removeprefix("sha256:")
