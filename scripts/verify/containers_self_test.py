"""The rows of `scripts/verify/containers` that show that other rows can fail."""

import contextlib
import shutil

from containers_engines import Table
from containers_gates import TierA

# What must break to make a gate escape, as edits of the arguments of `docker run`.
ROOT = "s/--user [^ ]+/--user 0:0/"
PRIVILEGED = f"s/--cap-drop ALL/--privileged/;s/--security-opt no-new-privileges //;s/--read-only //;s/--tmpfs [^ ]+ //;{ROOT}"
BROKEN = {
    "cpu:write-etc": f"s/--read-only //;{ROOT}",
    "cpu:write-results": "s# --mount# --mount type=bind,source=HOME,target=HOME --mount#",
    "cpu:write-policy": "s# --mount# --mount type=bind,source=POLICY,target=POLICY --mount#",
    "cpu:write-hook": "s/,readonly=true//g",
    "cpu:write-data": "s/,readonly=true//g",
    "cpu:root": ROOT,
    "cpu:capability": f"s/--cap-drop ALL //;{ROOT}",
    "cpu:privilege": "s/--security-opt no-new-privileges //",
    "cpu:network": "s/--network none/--network host/",
    "cpu:see-machine": "s/--network none/--network none --pid host/",
    "cpu:socket": "s# --mount# --mount type=bind,source=SOCKET,target=/opt/docker.sock --mount#",
    "cpu:processes": "s/--pids-limit [0-9]+/--pids-limit -1/",
    "cpu:forge": f"s/--cap-drop ALL/--cap-add SYS_PTRACE/;{ROOT}",
    "cpu:mount": PRIVILEGED,
    "cpu:disk": PRIVILEGED,
    "cpu:memory": "s/--memory 128m --memory-swap 128m --shm-size 128m//",
    "cpu:fork": "s/--pids-limit [0-9]+/--pids-limit -1/",
}


class SelfTest:
    """Breaks the set-up of rows, and shows that each of these rows fails then."""

    def __init__(self, tier_a: TierA):
        self.tier_a, self.table, self.docker = tier_a, tier_a.table, tier_a.engine

    def fails(self, what: str, step) -> None:
        """Runs a step whose row with this name must fail."""
        rows = self.tier_a.table = Table(quiet=True)
        registry = self.tier_a.registry.read_text()
        try:
            step()
        finally:
            self.tier_a.table = self.table
            self.tier_a.end_containers()
            # A gate that escapes leaves what the next row must not meet.
            self.tier_a.registry.write_text(registry)
            (self.tier_a.repo / ".git/hooks/post-checkout").unlink(missing_ok=True)
        states = [state for name, state, _ in rows.rows if name.endswith(what)]
        good = states == ["FAILED"]
        self.table.add(f"self-test: {what}", good, "the row fails" if good else f"the row does not fail: {rows.rows}")

    @contextlib.contextmanager
    def client(self, script: str):
        """Puts a script in front of the client of Docker."""
        file = self.tier_a.broken / "docker"
        file.write_text(f"#!/bin/bash\nreal={shutil.which('docker')}\n{script}\nexec $real \"$@\"\n")
        file.chmod(0o755)
        try:
            yield
        finally:
            file.unlink()

    def edited(self, edit: str):
        places = {"HOME": self.tier_a.home, "POLICY": self.tier_a.policy, "SOCKET": self.docker.socket}
        for name, place in places.items():
            edit = edit.replace(name, str(place))
        return self.client(f"if [ \"$1\" = run ]; then read -ra words < <(sed -E '{edit}' <<<\"$*\"); set -- \"${{words[@]}}\"; fi")

    def escapes(self) -> None:
        tier_a = self.tier_a
        for gate, edit in BROKEN.items():
            with self.edited(edit):
                self.fails(gate, lambda gate=gate: tier_a.escapes([gate]))
        text = tier_a.registry.read_text()
        key = "[gates.\"cpu:secret\"]\n"
        tier_a.registry.write_text(text.replace(key, f'{key}env = ["GITHUB_TOKEN"]\n'))
        self.fails("cpu:secret", lambda: tier_a.escapes(["cpu:secret"]))
        tier_a.registry.write_text(text)

    def others(self) -> None:
        tier_a = self.tier_a
        text = tier_a.registry.read_text()
        # A client and a socket under other names, so that nothing says that the gate reaches an engine.
        (tier_a.broken / "whale").symlink_to(shutil.which("docker"))
        (tier_a.home / "whale.sock").symlink_to(self.docker.socket)
        tier_a.registry.write_text(text.replace("docker run -d", "whale -H unix://../home/whale.sock run -d").replace('env = ["DOCKER_HOST"]', ""))
        self.fails("leak by docker run -d", tier_a.leaks)
        tier_a.registry.write_text(text)
        with self.edited("s#sha256:[0-9a-f]+ container-init#verify/debian:local container-init#"):
            self.fails("same results inside and outside", tier_a.compare)
        with self.edited("s/--mount type=bind,source=[^ ]*jit[^ ]* //"):
            self.fails("caches of kernels for the target", tier_a.caches)
        # The engine removes nothing, and the input of the container stays open.
        with self.client('if [ "$1" = rm ]; then exit 0; fi\nif [ "$1" = run ]; then exec 3<&0; exec $real "$@" < <(cat <&3; exec sleep 40); fi'):
            self.fails("kill of both processes", lambda: tier_a.stops(["kill of both processes"]))
        self.fails("image from a Dockerfile", lambda: tier_a.dockerfile(""))
        self.fails("image removed during a run", lambda: tier_a.image_gone(remove=False))
        self.fails("daemon not stopped", lambda: tier_a.lost("daemon not stopped", lambda: None, lambda: None, patience=3))
        self.fails("doctor", lambda: tier_a.doctor(self.path_without_docker()))

    def path_without_docker(self) -> str:
        folder = self.tier_a.place / "without-docker"
        folder.mkdir()
        for tool in ["git", "podman", "bash", "setpriv"]:
            (folder / tool).symlink_to(shutil.which(tool))
        return str(folder)
