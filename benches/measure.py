"""Shared code of the benchmarks: measures a process, generates inputs of a chosen size, and writes results to a page.

Must not depend on what is compared.
"""

import argparse
import datetime
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "target/x86_64-unknown-linux-gnu"
PAGE = ROOT / "docs/explanation/benchmarks.md"


class Side:
    """One command with its wall times, its processor times and its peak memory, including the processes that it waited for."""

    def __init__(self, argv, cwd, env, ends_with=0):
        self.argv, self.cwd, self.env, self.ends_with = [str(a) for a in argv], cwd, env, ends_with
        self.walls, self.cpus, self.peak_kib = [], [], 0

    def go(self, times=1):
        for _ in range(times):
            began = time.perf_counter()
            child = subprocess.Popen(self.argv, cwd=self.cwd, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
            self.walls.append(time.perf_counter() - began)
            child.returncode = os.waitstatus_to_exitcode(status)
            if self.ends_with is not None and child.returncode != self.ends_with:
                sys.exit(f"{' '.join(self.argv)[:200]} ended with {child.returncode}, not {self.ends_with}")
            self.cpus.append(usage.ru_utime + usage.ru_stime)
            self.peak_kib = max(self.peak_kib, usage.ru_maxrss)
        return self

    @property
    def median(self):
        """Median wall time in seconds."""
        return statistics.median(self.walls)

    @property
    def cpu(self):
        """Median user and system time in seconds; a busy machine changes this less than the wall time."""
        return statistics.median(self.cpus)

    @property
    def peak(self):
        return f"{self.peak_kib / 1024:.1f} MiB"


def pair(ours, theirs, times):
    """Runs both commands alternately, so that other load affects both equally."""
    for n in range(times):
        for side in (ours, theirs) if n % 2 == 0 else (theirs, ours):
            side.go()


def scrubbed(place):
    """Returns an environment without the settings of the user."""
    return {"PATH": os.environ["PATH"], "HOME": str(place), "TMPDIR": str(place), "LC_ALL": "C.UTF-8"}


def shown(seconds):
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def contract(n, depends_on=(), hotspots=("nmoe/train.py",), notes=""):
    """Returns an issue body with a complete contract."""
    return f"""### Agent Contract (YAML, required)

```yaml
nmoe:
  issue: {n:05}
  slug: item-{n}
  kind: perf
  risk: warm
  complexity: M
  depends_on: [{", ".join(f"{d:05}" for d in depends_on)}]
  merge_hotspots: [{", ".join(hotspots)}]
scope:
  allow: [nmoe/part{n}.py, tests/**]
  deny: [docker/**]
contract:
  invariants:
    - B200-only (sm_100a); fail off-target
    - No NCCL all-to-all on the MoE path
    - TOML-only and container-first
  knobs:
    add: []
    change: []
gates:
  required:
    - cpu:import
    - cpu:compileall
```
{notes}"""


def contracts(folder, count):
    """Writes a folder of contracts: most depend on one of the ten before, and one in fifty touches a core file."""
    for n in range(count):
        part = folder / f"{n // 1000:03}"
        part.mkdir(parents=True, exist_ok=True)
        hotspots = ["nmoe/train.py"] if n % 50 == 0 else []
        (part / f"{n:05}.md").write_text(contract(n, [max(n - 1 - n * 7 % 10, 0)] if n % 10 else [], hotspots))


def registry(gates, bundles=0):
    """Returns a registry with this number of gates, and bundles of ten gates."""
    text = "".join(f'[gates."cpu:g{n}"]\ntier = "a"\ntimeout_s = 60\ncmd = "true"\n' for n in range(gates))
    rows = (f"b{n} = [{', '.join(f'{chr(34)}cpu:g{(n * 7 + k) % gates}{chr(34)}' for k in range(10))}]\n" for n in range(bundles))
    return text + ("\n[bundles]\n" + "".join(rows) if bundles else "")


def checkout(place, name, gates_toml=None):
    """Creates a folder with the given registry, or with the registry of this repository."""
    repo = place / name
    (repo / "configs/gates").mkdir(parents=True)
    text = gates_toml if gates_toml is not None else (ROOT / "configs/gates/gates.toml").read_text()
    (repo / "configs/gates/gates.toml").write_text(text)
    return repo


def table(head, rows):
    """Formats a Markdown table. A heading with a final colon marks a column of numbers."""
    names = [name.rstrip(":") for name in head]
    rule = ["---:" if name.endswith(":") else "---" for name in head]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [names, rule, *rows])


def machine():
    """Describes the machine and the date of the measurement."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return (f"{day}, {os.cpu_count()} processors ({cpu}), Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, "
            f"load average {os.getloadavg()[0]:.1f}")


def write(part, text):
    """Replaces one marked part of docs/explanation/benchmarks.md."""
    page = PAGE.read_text()
    begin, end = f"<!-- {part}: begin -->\n", f"<!-- {part}: end -->"
    before, rest = page.split(begin)
    _, after = rest.split(end)
    PAGE.write_text(f"{before}{begin}{text.rstrip()}\n{end}{after}")


def main(doc, part, measure, add_options=lambda options: None):
    """Runs a measurement in a temporary folder, prints its part of the page, and with --write also writes the part."""
    options = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=os.environ.get("NMOE_GATES_BIN") or TARGET / "release/nmoe-gates", type=Path)
    options.add_argument("--write", action="store_true", help="write the part of docs/explanation/benchmarks.md")
    add_options(options)
    options = options.parse_args()
    options.binary = options.binary.resolve(strict=True)
    place = Path(tempfile.mkdtemp(prefix="nmoe-gates-bench-"))
    try:
        text = measure(options, place)
    finally:
        shutil.rmtree(place)
    print(text)
    if options.write:
        write(part, text)
