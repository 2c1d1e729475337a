"""The gates of `scripts/verify/containers`: Tier A of the demo, gates that fail, hang, leak and try to escape, and engines that fail."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from containers_engines import AS_OWNER, OWNER, Docker, Podman, Table, fail, processes, run

HERE = Path(__file__).resolve().parents[2]
# How long gates sleep. No other process of the machine has this number, so a process that has it is of a gate.
LONG = f"1000.{os.getpid()}"
# What the library of NVIDIA's driver answers on a machine with one B200.
DRIVER = """
#include <stddef.h>
#include <stdio.h>
#include <string.h>
int cuInit(unsigned f) { return 0; }
int cuDriverGetVersion(int *v) { *v = 13000; return 0; }
int cuDeviceGetUuid_v2(unsigned char *u, int d) { memset(u, 0, 16); return 0; }
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *s, int n, int d) { snprintf(s, n, "NVIDIA B200"); return 0; }
int cuDeviceTotalMem_v2(size_t *b, int d) { *b = 180ull << 30; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 10 : 0; return 0; }
"""
# A device of that name for Podman, without a device file.
DEVICES = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [{"name": "all", "containerEdits": {"env": ["STAND_IN=gpu"]}}]}


class TierA:
    """Runs the demo's Tier A, and gates that fail, hang, leak and try to escape, outside and inside the train image."""

    GATES = {
        "cpu:pass": ("echo 'loss: 1.5'; echo said >&2", ""),
        "cpu:fail": ("exit 7", ""),
        "cpu:timeout": (f"sleep {LONG} & sleep {LONG}", "timeout_s = 2"),
        "cpu:silent": (f"echo x; sleep {LONG}", "silence_timeout_s = 2"),
        "cpu:leak": (f"setsid sleep {LONG} & sleep {LONG} &", ""),
        "cpu:strict": (f"sleep {LONG} &", 'leaks = "fail"'),
        "cpu:folders": (
            'grep -q data "$NMOE_DATA_PATH/file" && mktemp -p "$NMOE_RUN_ROOT" >/dev/null && test "$T_WORD" = word',
            'requires = ["NMOE_DATA_PATH", "NMOE_RUN_ROOT"]\nenv = ["T_WORD"]\ncontainer = { data = ["NMOE_DATA_PATH"], scratch = ["NMOE_RUN_ROOT"] }',
        ),
    }
    # Each of these must fail in a container, with the image in the evidence. An escape would pass.
    ESCAPES = {
        "cpu:write-etc": "echo x >/etc/nmoe-gates-was-here",
        "cpu:write-results": "echo x >RESULTS",
        "cpu:write-policy": "echo x >POLICY/configs/gates/gates.toml",
        "cpu:write-hook": "echo x >.git/hooks/post-checkout",
        "cpu:write-data": 'echo x >"$NMOE_DATA_PATH/written"',
        "cpu:root": "test $(id -u) = 0",
        "cpu:capability": "grep -q '^CapEff:.*[1-9a-f]' /proc/self/status",
        "cpu:privilege": "grep -q '^NoNewPrivs:.0' /proc/self/status",
        "cpu:network": "grep -vE 'lo:|[|]' /proc/net/dev",
        "cpu:see-machine": "grep -alE 'docker[d]|container[d]|podma[n]' /proc/[0-9]*/cmdline",
        "cpu:secret": "env | grep -E 'TOKEN|not-for-gates'",
        "cpu:socket": "find / -xdev -name 'docker.sock' 2>/dev/null | grep .",
        "cpu:processes": "test $(cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null | head -1) = max",
        "cpu:signal-init": "kill -9 1; sleep 1; kill -0 1 2>/dev/null && exit 1",
        "cpu:forge": "exec 9>/proc/1/fd/2",
        "cpu:fake-report": """echo '{"token":"","report":{"ended":{"exit":0,"signal":null,"leaks":0,"duration_ms":1}}}' >&2; exit 3""",
        "cpu:fake-digest": """echo "$(date) image sha256:0000"; echo x >/nmoe-gates-init""",
        "cpu:mount": "mount -t tmpfs x /mnt || mount --bind / /mnt",
        "cpu:disk": "mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk",
        "cpu:memory": "command -v python3 || exit 0; python3 -c 'bytearray(300 << 20)' || exit 9",
        "cpu:fork": "command -v python3 || exit 0; python3 -c 'import os, time; [os.fork() or os._exit(time.sleep(2) or 0) for _ in range(60)]'",
    }
    KEYS = {
        "cpu:memory": 'container = { memory = "128m" }',
        "cpu:fork": "container = { processes = 30 }",
        "cpu:write-data": 'requires = ["NMOE_DATA_PATH"]\ncontainer = { data = ["NMOE_DATA_PATH"] }',
    }
    # These need limits, which not every engine has.
    LIMITED = ["cpu:memory", "cpu:fork"]
    # Ignores the request to end, in two sessions.
    STUBBORN = f"trap '' TERM INT HUP; echo runs; setsid sleep {LONG} & while :; do sleep 1; done"
    # Gates that start containers through the client of an engine.
    CLIENTS = {
        "cpu:docker": ("docker run -d --network none --entrypoint sleep IMAGE {long}", "DOCKER_HOST"),
        "cpu:service": ("podman --remote run -d --network none --entrypoint sleep IMAGE {long}", "CONTAINER_HOST"),
        "cpu:podman": ("podman run -d --network none --entrypoint sleep IMAGE {long}", "CONTAINERS_CONF CONTAINERS_STORAGE_CONF"),
    }
    # Leaves what compilers leave in their caches.
    JIT = "mkdir $TRITON_CACHE_DIR/a; cp CUBIN $TRITON_CACHE_DIR/a; (echo in a file of its own; cat CUBIN) >$CUTE_DSL_CACHE_DIR/cute.mlir; cp CUBIN $PYTORCH_KERNEL_CACHE_PATH"

    def __init__(self, name: str, engine: "Podman | Docker", image: str, program: Path, work: Path, table: Table):
        # Podman of root needs a run of root. The gate runs as the owner of the checkout all the same.
        self.user = [] if engine.name == "podman" and engine.is_root else AS_OWNER
        self.name, self.engine, self.image, self.program, self.table = name, engine, image, program, table
        self.place = work / f"tier-a-{name}"
        self.repo, self.home = self.place / "repo", self.place / "home"
        # A folder in front of PATH, with a client that does something else than it was told.
        self.broken = self.place / "broken"
        self.data, self.scratch = self.place / "data", self.place / "scratch"
        for folder in [self.home, self.broken, self.data, self.scratch]:
            folder.mkdir(parents=True)
        (self.data / "file").write_text("data\n")
        # Root runs the program on the checkout of another user, which git refuses without this.
        (self.home / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")
        shutil.copytree(HERE / "examples/demo", self.repo)
        (self.repo / ".gitignore").write_text("__pycache__/\n*.cubin\n")
        for words in [["init", "--quiet"], ["add", "--all"], ["-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "--message", "Sample"]]:
            run("git", "-C", self.repo, *words)
        # The cubin behind the headers of its container, and one for another architecture.
        cubin = (HERE / "tests/fixtures/kernel/sm_100a_plain.fatbin").read_bytes()[16 + 112 :]
        (self.repo / "good.cubin").write_bytes(cubin)
        (self.repo / "other.cubin").write_bytes(cubin[:0x31] + bytes([90]) + cubin[0x32:])
        self.policy = self.place / "policy"
        shutil.copytree(self.repo, self.policy, symlinks=True)
        self.registry = self.policy / "configs/gates/gates.toml"
        text = (self.repo / "configs/gates/gates.toml").read_text().replace("[gates.", f'[container]\nimage = "{image}"\n\n[gates.', 1)
        for gate, (command, keys) in self.GATES.items():
            text += self.gate(gate, command, keys, tier="a")
        for gate, command in self.ESCAPES.items():
            command = command.replace("RESULTS", str(self.home / "results.json")).replace("POLICY", str(self.policy))
            text += self.gate(gate, command, f"timeout_s = 20\n{self.KEYS.get(gate, '')}")
        text += self.gate("cpu:hang", f"echo runs; sleep {LONG} & sleep {LONG}")
        text += self.gate("cpu:stubborn", self.STUBBORN)
        for gate, (command, names) in self.CLIENTS.items():
            text += self.gate(gate, command.replace("IMAGE", image).format(long=LONG), f"env = {json.dumps(names.split())}")
        for gate in ["good", "other"]:
            text += self.gate(f"b200:{gate}", self.JIT.replace("CUBIN", f"{gate}.cubin"), "gpus = 1\nkernel = false")
        self.registry.write_text(text)
        run("chown", "-R", f"{OWNER}:{OWNER}", self.place)

    @staticmethod
    def gate(name: str, command: str, keys: str = "", tier: str = "b") -> str:
        return f"\n[gates.\"{name}\"]\ntier = \"{tier}\"\ncmd = '''{command}'''\n{keys}\n"

    def command(self, *arguments: str, **environment: str) -> tuple[list[str], dict]:
        results = self.home / "results.json"
        words = [*self.user, str(self.program), "--repo", str(self.policy), "--subject", str(self.repo), "run", "--results", str(results), *arguments]
        keep = {
            "PATH": f"{self.broken}:{os.environ['PATH']}", "HOME": str(self.home), "GITHUB_TOKEN": "not-for-gates", "PYTHONDONTWRITEBYTECODE": "1",
            "NMOE_DATA_PATH": str(self.data), "NMOE_RUN_ROOT": str(self.scratch), "T_WORD": "word",
        }  # fmt: skip
        return words, {**keep, **self.engine.client, **environment}

    def results(self, *arguments: str, **environment: str) -> tuple[int, dict, str]:
        words, env = self.command(*arguments, **environment)
        (self.home / "results.json").unlink(missing_ok=True)
        ended = subprocess.run(words, env=env, cwd=self.repo, capture_output=True, text=True)
        if "cannot use the registry" in ended.stderr:
            fail(f"{' '.join(arguments)}: {ended.stderr}")
        return ended.returncode, self.written(), ended.stdout + ended.stderr

    def written(self) -> dict:
        path = self.home / "results.json"
        return json.loads(path.read_text()) if path.exists() else {"results": {}, "evidence": {}}

    @contextlib.contextmanager
    def started(self, *gates: str):
        """Starts a run in containers, and waits until a gate prints `runs`."""
        (self.home / "results.json").unlink(missing_ok=True)
        words, env = self.command("--keep-going", *[word for gate in gates for word in ["--gate", gate]], *self.container())
        said = self.home / "started.txt"
        with open(said, "w") as errors:
            process = subprocess.Popen(words, env=env, cwd=self.repo, stdout=subprocess.PIPE, stderr=errors, text=True)
        if "runs\n" not in process.stdout:
            fail(f"{', '.join(gates)} ended with {process.wait()} before it ran:\n{said.read_text()}")
        yield process
        if process.poll() is None:
            process.kill()
            process.wait()

    def container(self) -> list[str]:
        return ["--container", "--engine", self.engine.name]

    @staticmethod
    def of_gates() -> list[int]:
        return processes(lambda words: LONG.encode() in words)

    def nothing_left(self, patience: float = 20) -> bool:
        """Waits until the engine lists no container and no process of a gate is left."""
        until = time.monotonic() + patience
        while (left := self.engine.running() or self.of_gates()) and time.monotonic() < until:
            time.sleep(0.2)
        return not left

    def end_containers(self) -> None:
        for container in self.engine.running():
            self.engine.try_client("rm", "--force", container)
        for process in self.of_gates():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    @staticmethod
    def comparable(results: dict) -> dict:
        """Removes times, and the evidence of the image and of the isolation."""
        gates = {gate: {k: v for k, v in result.items() if k not in ["duration_s", "image"]} for gate, result in results["results"].items()}
        evidence = {k: v for k, v in results["evidence"].items() if k not in ["image", "isolation"]}
        return {"overall": results.get("overall"), "gate_ids": results.get("gate_ids"), "evidence": evidence, "results": gates}

    def is_image(self, digest: str | None) -> bool:
        return digest == "sha256:" + self.image.removeprefix("sha256:")

    def compare(self) -> None:
        _, outside, _ = self.results("--tier", "a", "--keep-going")
        code, inside, said = self.results("--tier", "a", "--keep-going", *self.container())
        for gate in outside["results"]:
            a, b = (self.comparable(r)["results"].get(gate, {}) for r in (outside, inside))
            figures = f"{b.get('status')} {b.get('reason') or ''} leaks {b.get('leaks')}, {outside['results'][gate].get('duration_s')} s outside, {inside['results'].get(gate, {}).get('duration_s')} s inside"
            self.table.add(f"{self.name}: {gate}", a == b, figures if a == b else f"outside {a}, inside {b}")
        same = self.comparable(outside) == self.comparable(inside)
        passed = [gate for gate, result in inside["results"].items() if result.get("status") == "pass"]
        good = same and code == 1 and "cpu:folders" in passed and self.nothing_left()
        self.table.add(f"{self.name}: same results inside and outside", good, f"{len(inside['results'])} gates" if good else said[-600:])
        image = inside["evidence"].get("image")
        self.table.add(f"{self.name}: the image is evidence", self.is_image(image), str(image)[:19])

    def escapes(self, gates: list[str] | None = None) -> None:
        for gate in gates or self.ESCAPES:
            if gate == "cpu:processes" and not self.engine.limits:
                continue
            _, read, said = self.results("--gate", gate, *self.container())
            result = read["results"].get(gate, {})
            held = result.get("status") == "fail" and result.get("reason") == "exit_code"
            if gate in self.LIMITED and not self.engine.limits:
                # A gate without the limit that its registry names must not run.
                held = result.get("reason") == "container_failed" and "cannot limit" in said
            held = held and self.is_image(result.get("image")) and self.is_image(read["evidence"].get("image"))
            figures = f"rc {result.get('rc')}" if result.get("status") == "fail" else result.get("reason")
            self.table.add(f"{self.name}: {gate}", held, figures if held else f"{result} {said[-300:]}")

    STOPS = [
        ("cancel (SIGINT)", "cpu:hang", [("program", signal.SIGINT)], 130), ("cancel (SIGTERM)", "cpu:hang", [("program", signal.SIGTERM)], 143),
        ("cancel of a gate that ignores it", "cpu:stubborn", [("program", signal.SIGTERM)], 143), ("kill of the worker", "cpu:stubborn", [("worker", signal.SIGKILL)], 3),
        ("kill of both processes", "cpu:stubborn", [("worker", signal.SIGKILL), ("program", signal.SIGKILL)], -9),
    ]  # fmt: skip

    def stops(self, hows: list[str] | None = None) -> None:
        for how, gate, signals, expected in self.STOPS:
            if hows and how not in hows:
                continue
            with self.started(gate) as process:
                began = len(self.engine.running())
                worker = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
                at = time.monotonic()
                for victim, number in signals:
                    os.kill(worker if victim == "worker" else process.pid, number)
                code = process.wait()
                gone = self.nothing_left()
            self.table.add(f"{self.name}: {how}", began == 1 and gone and code == expected, f"exit {code}, container gone after {time.monotonic() - at:.1f} s" if gone else "the container still runs")

    def leaks(self, gate: str = "cpu:docker", at_least: int = 1, **environment: str) -> None:
        """A gate without a container that starts one with the client of an engine."""
        code, read, said = self.results("--gate", gate, **environment)
        result = read["results"].get(gate, {})
        ended = result.get("leaks", 0) >= at_least and (self.nothing_left() if gate != "cpu:podman" else not self.of_gates())
        self.table.add(f"{self.name}: leak by {gate.removeprefix('cpu:')} run -d", code == 0 and ended, f"{result.get('status')}, leaks {result.get('leaks')}" if ended else said[-900:])
        self.end_containers()

    def podman_leaks(self) -> None:
        """The same with Podman: through the socket of its service, and without a service."""
        socket = Path(self.engine.runroot) / "podman.sock"
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), **self.engine.client}
        service = subprocess.Popen(["podman", "system", "service", "--time", "0", f"unix://{socket}"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not socket.exists() and service.poll() is None:
            time.sleep(0.1)
        self.leaks("cpu:service", CONTAINER_HOST=f"unix://{socket}")
        service.terminate()
        service.wait()
        # The processes of such a container descend from the gate. The list of the engine may keep its name.
        self.leaks("cpu:podman")

    def dockerfile(self, more: str = "ENV BUILT=here") -> None:
        """Builds the image of a gate from a Dockerfile of the policy checkout."""
        text = self.registry.read_text()
        self.registry.write_text(text.replace(f'image = "{self.image}"', 'dockerfile = "Dockerfile.gate"', 1))
        (self.policy / "Dockerfile.gate").write_text(f"FROM {self.image}\n{more}\n")
        code, read, said = self.results("--gate", "cpu:import", *self.container(), DOCKER_BUILDKIT="0")
        image = read["evidence"].get("image") or ""
        self.table.add(f"{self.name}: image from a Dockerfile", code == 0 and image.startswith("sha256:") and self.image not in image, image[:19] or said[-300:])
        self.registry.write_text(text)

    def caches(self) -> None:
        """GPU gates whose compilers leave cubins in their caches, with a driver, a hook and devices that replace those of NVIDIA."""
        library = self.place / "driver"
        library.mkdir(exist_ok=True)
        run("cc", "-shared", "-fPIC", "-w", "-x", "c", "-o", library / "libcuda.so.1", "-", input=DRIVER.encode())
        specification = Path("/var/run/cdi/nmoe-gates-verify.json")
        if self.engine.name == "podman":
            specification.parent.mkdir(exist_ok=True)
            specification.write_text(json.dumps(DEVICES))
        for gate, code in [("b200:good", 0), ("b200:other", 3)]:
            cubin = (self.repo / f"{gate.removeprefix('b200:')}.cubin").read_bytes()
            given = {"LD_LIBRARY_PATH": str(library)}
            _, outside, _ = self.results("--gate", gate, **given)
            ended, inside, said = self.results("--gate", gate, *self.container(), **given)
            jit = inside["evidence"].get("jit", {})
            found = jit.get("triton") == jit.get("nvrtc") == [hashlib.sha256(cubin).hexdigest()] and len(jit.get("cute_dsl", [])) == 1
            good = ended == code and found and self.comparable(inside) == self.comparable(outside)
            result = inside["results"].get(gate, {})
            named = "for the target" if code == 0 else "for another architecture"
            figures = f"{result.get('reason') or result.get('status')}; Triton, CuTe DSL and NVRTC inspected"
            self.table.add(f"{self.name}: caches of kernels {named}", good, figures if good else f"{jit} {said[-600:]}")
        specification.unlink(missing_ok=True)

    def image_gone(self, remove: bool = True) -> None:
        """Removes an image that a later gate needs, and by force the image of the gate that runs."""
        images = []
        for number in range(2):
            name = self.engine("create", self.image, "true").splitlines()[-1]
            made = self.engine("commit", "--change", f"ENV NUMBER={number}", name).splitlines()[-1]
            images.append("sha256:" + made.removeprefix("sha256:"))
            self.engine("rm", name)
        text = self.registry.read_text()
        own = [f'container = {{ image = "{image}" }}' for image in images]
        self.registry.write_text(text + self.gate("cpu:first", "echo runs; sleep 6", own[0]) + self.gate("cpu:next", "true", own[1]))
        with self.started("cpu:first", "cpu:next") as process:
            forced = None
            if remove:
                self.engine("rmi", "--force", images[1])
                forced = self.engine.try_client("rmi", "--force", images[0]).returncode == 0
            code = process.wait()
        read = self.written()["results"]
        first, following = (read.get(gate, {}) for gate in ["cpu:first", "cpu:next"])
        expected = ("invalid", "container_failed") if forced else ("pass", None)
        good = code == 3 and (first.get("status"), first.get("reason")) == expected and following.get("reason") == "container_failed" and self.nothing_left()
        how = "removed by force" if forced else "kept by the engine"
        self.table.add(f"{self.name}: image removed during a run", good, f"running gate {first.get('status')} (image {how}), next gate {following.get('status')} {following.get('reason')}")
        self.registry.write_text(text)
        for image in images:
            self.engine.try_client("rmi", "--force", image)

    def two_at_once(self) -> None:
        """Runs Tier A of another checkout in the same image while a gate hangs, and then cancels that gate."""
        with self.started("cpu:hang") as process:
            before, own = self.engine.running(), (self.repo, self.home)
            self.repo, self.home = self.place / "second", self.place / "second-home"
            shutil.copytree(own[0], self.repo, symlinks=True)
            shutil.copytree(own[1], self.home, ignore=shutil.ignore_patterns("results*"))
            run("chown", "-R", f"{OWNER}:{OWNER}", self.repo, self.home)
            _, outside, _ = self.results("--tier", "a", "--keep-going")
            _, inside, said = self.results("--tier", "a", "--keep-going", *self.container())
            self.repo, self.home = own
            same = self.comparable(outside) == self.comparable(inside)
            kept = self.engine.running() == before and process.poll() is None
            process.send_signal(signal.SIGTERM)
            good = same and kept and process.wait() == 143 and self.nothing_left()
        self.table.add(f"{self.name}: two runs at once with one image", good, "each has its own results and containers" if good else f"kept {kept}, outside {self.comparable(outside)}, inside {self.comparable(inside)}")

    def lost(self, how: str, lose, back, patience: float = 60) -> None:
        """Loses a part of the engine while a gate runs, and brings it back after the run."""
        with self.started("cpu:hang") as process:
            at = time.monotonic()
            lose()
            try:
                code = process.wait(patience)
            except subprocess.TimeoutExpired:
                code = None
        seconds = time.monotonic() - at
        result = self.written()["results"].get("cpu:hang", {})
        back()
        # A daemon that was killed may forget a container. Its first process ends it after two minutes without a sign of life.
        good = code == 3 and result.get("reason") == "container_failed" and self.nothing_left(140)
        self.table.add(f"{self.name}: {how}", good, f"{result.get('status')} {result.get('reason')}, exit {code} after {seconds:.1f} s, {len(self.engine.running())} containers and {len(self.of_gates())} processes left")
        self.end_containers()

    def daemon(self) -> None:
        self.lost("daemon stopped during a gate", lambda: self.engine.lose(signal.SIGTERM), self.engine.restart)
        self.lost("daemon killed during a gate", lambda: self.engine.lose(signal.SIGKILL), self.engine.restart)
        # This option lets containers outlive their daemon.
        self.engine.lose(signal.SIGTERM)
        self.engine.restart("--live-restore")

        def back():
            time.sleep(8)
            self.engine.restart("--live-restore")

        self.lost("daemon with live-restore killed during a gate", lambda: self.engine.lose(signal.SIGKILL), back)
        self.engine.end_forgotten()
        self.engine.lose(signal.SIGTERM)
        self.engine.restart()

    def monitor(self) -> None:
        """Kills conmon, the process that holds the pipes of a container of Podman."""

        def lose():
            for process in processes(lambda words: words[0].endswith(b"conmon") and any(self.engine.runroot.encode() in word for word in words)):
                os.kill(process, signal.SIGKILL)

        self.lost("conmon killed during a gate", lose, lambda: None)

    def act(self, image: str = "verify/train") -> None:
        """Runs a workflow whose job is in a container of the image, which act starts through the engine's socket, and one whose gates are in containers."""
        installed = HERE / ".tools/venv/bin/act"
        if not installed.exists():
            run(HERE / "scripts/dev/install-tools", stdout=subprocess.DEVNULL)
        act = shutil.copy(installed, self.broken / "act")
        # Without a file of settings, act asks for some.
        (self.home / ".actrc").touch()
        repo = self.place / "act"
        shutil.rmtree(repo, ignore_errors=True)
        shutil.copytree(self.repo, repo, symlinks=True)
        registry = repo / "configs/gates/gates.toml"
        registry.write_text(registry.read_text().replace("[gates.", f'[container]\nimage = "{self.image}"\n\n[gates.', 1))
        (repo / ".github/workflows").mkdir(parents=True)
        for name, place, options in [("inside", "job", ""), ("outside", "machine", "--container ")]:
            # On the machine, act copies no checkout.
            policy = f"--repo {repo} " if options else ""
            (repo / f".github/workflows/{name}.yml").write_text(
                f"on: push\njobs:\n  tier-a:\n    runs-on: {place}\n    steps:\n"
                f'      - run: echo "user $(id -u)"; nmoe-gates {policy}run --tier a {options}--results "$RUNNER_TEMP/results.json"\n'
            )
        shutil.copy(self.program, self.broken / "nmoe-gates")
        run("chown", "-R", f"{OWNER}:{OWNER}", repo)
        common = [act, "push", "--pull=false", "--network", "host", "--bind", "--rm", "--platform", f"job={image}", "--platform", "machine=-self-hosted"]
        inside = ["--workflows", ".github/workflows/inside.yml", "--container-daemon-socket", "-", "--env", "RUNNER_TEMP=/tmp", "--container-options", f"--volume {self.program}:/usr/local/bin/nmoe-gates:ro"]
        outside = ["--workflows", ".github/workflows/outside.yml", "--env", f"RUNNER_TEMP={self.home}"]
        _, env = self.command()
        for what, words, user in [("a job in the image runs Tier A", inside, "| user 1001"), ("a job on the machine runs Tier A in containers", [*AS_OWNER, *common, *outside], f"| user {OWNER}")]:
            words = words if what.startswith("a job on") else [*common, *words]
            run("chown", "-R", f"{OWNER}:{OWNER}", self.home)
            ended = subprocess.run(list(map(str, words)), cwd=repo, env={**env, "XDG_CACHE_HOME": str(self.home)}, capture_output=True, text=True)
            good = ended.returncode == 0 and user in ended.stdout and "All 2 gates passed" in ended.stdout
            self.table.add(f"act: {what}", good and self.nothing_left(), f"2 gates passed as {user[2:]}" if good else " ".join(line for line in ended.stdout.splitlines() if "|" in line)[:900] or ended.stderr[-600:])

    def doctor(self, path: str | None = None) -> None:
        _, env = self.command()
        words = [*self.user, str(self.program), "--repo", str(self.policy), "doctor", "--format", "json"]
        ended = subprocess.run(words, env={**env, "PATH": path or env["PATH"]}, cwd=self.repo, capture_output=True, text=True)
        found = next((check["found"] for check in json.loads(ended.stdout)["checks"] if check["name"] == "engine"), "")
        # doctor names the engine that `run --container` uses without --engine.
        self.table.add(f"{self.name}: doctor", found.startswith("docker "), found)
