//! Codes about the registry: alone, against the checkout, and against an earlier revision.

use crate::domain::finding::codes;

codes! {
    INVALID_GATE_ID = "invalid-gate-id", Error,
        "Not a valid id of a gate or bundle",
        "An id has at most 64 letters, digits, `_`, `.`, `-` and `:`, because ids are used in tables, file names and comments.",
        "[gates.\"cpu import\"]",
        "[gates.\"cpu:import\"]";
    RESERVED_NAME = "reserved-name", Error,
        "A bundle with a reserved name",
        "The tool forms these bundles itself: `single` is one gate, `tier_a` and `tier_b` are all gates of a tier.",
        "single = [\"cpu:import\"]",
        "smoke = [\"cpu:import\"]";
    UNSUPPORTED_VERSION = "unsupported-version", Error,
        "An unknown version of the registry",
        "`meta.version` is \"1\".",
        "version = \"2\"",
        "version = \"1\"";
    OFF_TARGET_DEFINITION = "off-target-definition", Error,
        "A target other than the B200",
        "GPU gates run on compute capability 10.0, `sm_100a`, and nowhere else; there is no fallback.",
        "arch = \"sm_90a\"",
        "arch = \"sm_100a\"";
    GATE_WITHOUT_COMMAND = "gate-without-command", Error,
        "A gate without a command",
        "A gate without `kind` is a command and needs `cmd`. For a gate that runs elsewhere, set `kind = \"external\"`.",
        "[gates.\"cpu:import\"]\ntier = \"a\"",
        "[gates.\"cpu:import\"]\ntier = \"a\"\ncmd = \"python -c 'import nmoe'\"";
    UNUSED_KEY = "unused-key", Warning,
        "A key that this kind of gate does not use",
        "The key has no effect for this kind of gate.",
        "kind = \"external\"\ncmd = \"make test\"",
        "kind = \"external\"";
    TIER_A_NEEDS_GPU = "tier-a-needs-gpu", Error,
        "A Tier-A gate that needs the target",
        "Tier A runs on any CPU. A gate that needs a GPU or the kernel library belongs to Tier B.",
        "tier = \"a\"\ngpus = 1",
        "tier = \"b\"\ngpus = 1";
    TOO_MANY_GPUS = "too-many-gpus", Error,
        "A gate that needs more GPUs than the target has",
        "Such a gate can never run. `[target.<name>] gpus` is the number of GPUs of a runner (default 8).",
        "gpus = 16",
        "gpus = 8";
    FORBIDDEN_ENV = "forbidden-env", Error,
        "A variable that a gate never receives",
        "Secrets (`*_TOKEN`, `*_API_KEY`, …), the runner's command files and variables that change how programs start (`LD_PRELOAD`, `BASH_ENV`, …) never reach a gate. A gate that requires one is refused with `bad_registry`.",
        "requires = [\"GITHUB_TOKEN\"]",
        "requires = [\"NMOE_DATA_PATH\"]";
    INVALID_ENV_NAME = "invalid-env-name", Error,
        "Not a name of an environment variable",
        "A name consists of letters, digits and `_`, and does not start with a digit. Write only the name, without `$` and without a value.",
        "requires = [\"${NMOE_DATA_PATH}\"]",
        "requires = [\"NMOE_DATA_PATH\"]";
    UNDECLARED_ENV = "undeclared-env", Warning,
        "A command reads a variable that the gate does not declare",
        "A gate receives a fixed list of variables and the names in `requires` and `env`. Any other variable is empty there.",
        "cmd = \"run ${NMOE_DATA_PATH}\"",
        "requires = [\"NMOE_DATA_PATH\"]\ncmd = \"run ${NMOE_DATA_PATH}\"";
    MISSING_FILE = "missing-file", Error,
        "A gate requires a file that the checkout does not have",
        "The preflight check would refuse every bundle with this gate. Add the file or correct the path.",
        "requires_files = [\"configs/no_such.toml\"]",
        "requires_files = [\"configs/moonlight.toml\"]";
    INVALID_PATH = "invalid-path", Error,
        "Not a path inside the repository",
        "Paths are relative to the top of the checkout and stay inside.",
        "requires_files = [\"../data/x\"]",
        "requires_files = [\"configs/moonlight.toml\"]";
    PERF_UNREACHABLE = "perf-unreachable", Error,
        "A perf gate that its bundle never reaches",
        "Another gate of the bundle requires a missing file, so the preflight check refuses the bundle, including the perf gate.",
        "full = [\"frozen\", \"perf:baseline_delta\"]   # frozen requires a missing file",
        "perf = [\"b200:moonlight_8x20\", \"perf:baseline_delta\"]";
    COMPARE_NOT_IN_BUNDLE = "compare-not-in-bundle", Error,
        "A bundle with a perf gate, but without the compared gate",
        "The perf gate reads the output of the compared gate. Add both to the bundle.",
        "perf = [\"perf:baseline_delta\"]",
        "perf = [\"b200:moonlight_8x20\", \"perf:baseline_delta\"]";
    METRIC_NOT_YIELDED = "metric-not-yielded", Error,
        "The compared gate does not print the perf gate's metric",
        "A metric is `<name>_p50`, where `<name>` is `node_tps` or a name in the `metrics` of the compared gate. The trainer prints `node_tps` only if more than one process trains.",
        "metric = \"tokens\"",
        "metric = \"node_tps_p50\"";
    TOO_FEW_SAMPLES = "too-few-samples", Error,
        "The compared gate prints too few samples for a verdict",
        "The trainer prints at step 1 and then every `log_every` steps (default 10), and the first steps are warm-up. A verdict needs 3 windows or 10 single steps after it. Give the perf gate `perf_args = \"--log_every=1\"`, or the compared gate more steps.",
        "cmd = \"torchrun … --steps=20\"",
        "[gates.\"perf:baseline_delta\"]\nperf_args = \"--log_every=1\"";
    INVALID_PATTERN = "invalid-pattern", Error,
        "A metric's name or pattern cannot be used",
        "The name is lower-case letters, digits and `_`; the pattern is a regular expression with one group around the number.",
        "pattern = \"loss: [0-9.]+\"",
        "pattern = \"loss: ([0-9.]+)\"";
    UNSAFE_COMMAND = "unsafe-command", Error,
        "A command that hides its failure or does what a gate must not do",
        "A gate that always exits with 0 proves nothing. A gate that downloads and runs code, becomes root, or contains a workflow expression runs something that was not reviewed.",
        "cmd = \"pytest || true\"",
        "cmd = \"pytest\"";
    IMAGE_WITHOUT_DIGEST = "image-without-digest", Error,
        "A container's image is not named by digest",
        "A tag can be moved to another image, so results would not say what was tested. Name the image as `NAME@sha256:…`, or build it with `dockerfile`.",
        "[container]\nimage = \"ghcr.io/octo/train:latest\"",
        "[container]\nimage = \"ghcr.io/octo/train@sha256:6b1b…\"";
    ENGINE_SOCKET = "engine-socket", Warning,
        "A gate that reaches a container engine",
        "A program that reaches the socket of an engine can do anything on the machine: it can mount every folder and become root. What such a gate starts is also not its descendant, so only the list of the engine shows what it leaves. Use `run --container` and name the image in the registry: then nmoe-gates starts the container, and the gate has no socket.",
        "cmd = \"docker run --rm -v $PWD:/w train make test\"",
        "cmd = \"make test\"\n\n[gates.\"cpu:test\".container]\nimage = \"ghcr.io/octo/train@sha256:6b1b…\"";
    UNKNOWN_EXECUTOR = "unknown-executor", Error,
        "A gate names an executor that the registry does not define",
        "Each executor is a table `[executor.NAME]` of the registry of the base. Nothing else decides where a gate runs.",
        "executor = \"two_nodes\"",
        "executor = \"two_nodes\"\n\n[executor.two_nodes]\nkind = \"slurm\"";
    CANNOT_SUBMIT = "cannot-submit", Error,
        "A gate that its executor cannot run",
        "More than one node needs an executor of kind `slurm` or `kubernetes`. Only commands are submitted as jobs: a perf, numeric, kernel or external gate is not, and a gate that is submitted cannot be compared.",
        "nodes = 2",
        "nodes = 2\nexecutor = \"two_nodes\"";
    VANISHED_ID = "vanished-id", Error,
        "An id of the base branch is missing",
        "Contracts, attestations and workflows refer to gates and bundles by id. Keep the id, or change all references in the same change.",
        "", "";
}
