//! Lists the environment variables that the program, its action and its tests read. Not a subcommand.
//!
//! `explain environment` prints the list, and docs/reference/environment.md is generated from it. Must not read a variable.

use crate::github::config::TOKENS;
use crate::leaks::machine;

/// Variables that belong together.
#[derive(Debug)]
pub struct Group {
    pub heading: &'static str,
    /// The names of variables with one meaning, and the meaning in Markdown.
    pub variables: &'static [(&'static [&'static str], &'static str)],
}

impl Group {
    /// Returns the names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.variables.iter().flat_map(|(names, _)| names.iter().copied())
    }
}

/// Returns Markdown without the addresses of its links.
pub fn plain(says: &str) -> String {
    let mut text = String::new();
    let mut rest = says;
    while let Some((before, after)) = rest.split_once('[') {
        let link = after
            .split_once("](")
            .and_then(|(words, address)| Some((words, address.split_once(')')?.1)));
        let Some((words, behind)) = link else { break };
        text.push_str(before);
        text.push_str(words);
        rest = behind;
    }
    text + rest
}

/// Variables of requests to GitHub.
pub const GITHUB: Group = Group {
    heading: "GitHub",
    variables: &[
        (
            &TOKENS,
            "the credential (the first of the two that is set); never printed, never sent to another host",
        ),
        (
            &["GITHUB_API_URL"],
            "the API of an Enterprise host; https only, except for this machine",
        ),
        (
            &["GITHUB_REPOSITORY"],
            "`owner/name`; default: the remote of the checkout",
        ),
        (&["GITHUB_SERVER_URL"], "the web address for links"),
        (&["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"], "proxies"),
        (
            &["SSL_CERT_FILE"],
            "a PEM file with the only authorities to trust",
        ),
        (
            &["NMOE_API_TIMEOUT_S"],
            "the longest time of one request in seconds, default 30",
        ),
        (
            &["NMOE_API_PATIENCE_S"],
            "the longest total waiting time between retries in seconds, default 120",
        ),
    ],
};

/// Variables that a workflow sets.
pub const WORKFLOWS: Group = Group {
    heading: "Workflows",
    variables: &[
        (
            &["GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH"],
            "the event of a workflow, for `lint pr` and `images`",
        ),
        (
            &["GITHUB_BASE_REF"],
            "the branch that a comparison takes as the baseline, if no other is named",
        ),
        (
            &["GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT"],
            "the workflow run, for the marker of the comment",
        ),
        (&["GITHUB_ACTOR"], "the default of `run --supplied-by`"),
        (
            &["GITHUB_ACTIONS"],
            "`true`: log groups, workflow-command protection, redaction",
        ),
        (
            &[
                "GITHUB_OUTPUT",
                "GITHUB_STEP_SUMMARY",
                "GITHUB_ENV",
                "GITHUB_PATH",
                "GITHUB_STATE",
            ],
            "the command files of the runner; the first two are written, all are protected from gates",
        ),
        (
            &["RUNNER_ENVIRONMENT", "RUNNER_NAME"],
            "the kind of runner for `doctor`; the name is redacted",
        ),
    ],
};

/// Variables that every command reads.
pub const TERMINAL: Group = Group {
    heading: "Terminal",
    variables: &[(
        &["NO_COLOR", "TERM"],
        "no colours if `NO_COLOR` is set and not empty, or if `TERM` is `dumb`; `--color` has priority",
    )],
};

/// Where runs are recorded.
pub const STATE: Group = Group {
    heading: "State",
    variables: &[(
        &["XDG_STATE_HOME"],
        "the parent of the state folder `nmoe-gates`, which has results, logs, builds of baselines and answers of GitHub; default: `~/.local/state`",
    )],
};

/// Terms that must not be public.
pub const TERMS: Group = Group {
    heading: "Private terms",
    variables: &[(
        &["NMOE_PRIVATE_TERMS", "NMOE_PRIVATE_TERMS_FILE"],
        "your own private terms: [public safety](../explanation/public-safety.md#private-terms)",
    )],
};

/// Variables of the hook that `init --hook` writes.
pub const HOOKS: Group = Group {
    heading: "Hooks",
    variables: &[
        (
            &["NMOE_CONTRACT"],
            "the contract that the hook of `init --hook` uses; default: the one that `start` stored",
        ),
        (
            &["GIT_INDEX_FILE"],
            "the index that `lint scope --cached` and `lint safety --cached` check; git sets it for a hook",
        ),
    ],
};

/// Variables of a run of gates.
pub const RUNS: Group = Group {
    heading: "Runs",
    variables: &[
        (
            &["NMOE_IMAGE_DIGEST"],
            "the digest of the runner image (`sha256:…`), for the evidence",
        ),
        (
            &["NMOE_RUN_NONCE"],
            "the nonce of the run, for the evidence and for kernel stamps",
        ),
        (
            &["NMOE_RUN_ROOT"],
            "the output folder of a gate; each measurement of a perf gate gets its own",
        ),
        (
            &[
                "NMOE_NODES",
                "NMOE_NODE_RANK",
                "NMOE_MASTER_ADDR",
                "NMOE_MASTER_PORT",
            ],
            "set for a gate that runs in a job: number of nodes, number of this node, and where node 0 is",
        ),
        (&["SLURM_CONF"], "passed on to the clients of SLURM"),
        (
            &["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"],
            "where the cluster of Kubernetes is: a kubeconfig (default: `~/.kube/config`), or the service account of the pod",
        ),
        (
            &["POD_IP"],
            "set in the pods of a job: the address of a rank for the other ranks",
        ),
        (
            &["SLURM_PROCID", "JOB_COMPLETION_INDEX", "SLURM_RESTART_COUNT"],
            "set by a scheduler for each rank of a job: its number, and how often the job was started again",
        ),
        (
            &["NMOE_GATES_PARENT"],
            "the process id of the action's script: the run ends as cancelled when that process dies",
        ),
        (
            &["DOCKER_HOST", "CONTAINER_HOST", "XDG_RUNTIME_DIR"],
            "where the sockets of container engines are, to find containers that a gate left",
        ),
        (
            &["APPTAINER_CACHEDIR"],
            "the folder in which a run with apptainer makes its own folder for images; default: the one for temporary files",
        ),
        (
            &[
                "VIRTUAL_ENV",
                "CONDA_PREFIX",
                "LD_LIBRARY_PATH",
                "LIBRARY_PATH",
                "OMP_NUM_THREADS",
                "FLASHMLA_HOME",
            ],
            "passed on to gates: [Run gates](run.md#environment)",
        ),
    ],
};

/// Variables whose values are redacted in the output of gates.
pub const MACHINE: Group = Group {
    heading: "Names that are redacted",
    variables: &[
        (
            machine::HOSTS,
            "names of the machine, which are redacted as `[host]`",
        ),
        (
            &[
                "POD_NAME",
                "K8S_POD_NAME",
                "ACTIONS_RUNNER_POD_NAME",
                "POD_NAMESPACE",
                "K8S_NAMESPACE",
                "KUBE_NAMESPACE",
            ],
            "names in a cluster, which are redacted as `[pod]` and `[namespace]`",
        ),
        (
            &["POD_IP", "HOST_IP", "NODE_IP", "KUBERNETES_SERVICE_HOST"],
            "addresses, which are redacted as `[address]`",
        ),
        (
            &["USER", "LOGNAME", "SUDO_USER", "HOME"],
            "the user and its home folder, which are redacted as `[user]` and `[home]`",
        ),
    ],
};

/// Variables of kernel builds and caches.
pub const KERNELS: Group = Group {
    heading: "Kernels",
    variables: &[
        (
            &["NVCC", "CUDA_HOME", "CUDA_PATH"],
            "where the build of `nmoe-csrc` finds nvcc",
        ),
        (
            &["NMOE_KERNELS_ARCH"],
            "must be `sm_100a`; another value is refused",
        ),
        (
            &["NMOE_REQUIRE_CUDA"],
            "`1`: building the kernels without nvcc is an error",
        ),
        (
            &[
                "TRITON_CACHE_DIR",
                "TORCHINDUCTOR_CACHE_DIR",
                "CUTE_DSL_CACHE_DIR",
                "CUTE_DSL_DUMP_DIR",
                "CUTE_DSL_KEEP_CUBIN",
                "PYTORCH_KERNEL_CACHE_PATH",
                "CUPY_CACHE_DIR",
                "CUDA_CACHE_PATH",
                "TORCH_EXTENSIONS_DIR",
            ],
            "set for gates that need GPUs or kernels, and new for each measurement of a perf gate: [private caches](../explanation/kernels.md#in-a-run)",
        ),
        (
            &["PYTHONPYCACHEPREFIX"],
            "set for each measurement of a perf gate: [a new folder](../explanation/performance.md#the-procedure)",
        ),
        (
            &["CUDA_VISIBLE_DEVICES"],
            "the GPUs that the driver shows; set for each self-check, so that it sees one GPU",
        ),
    ],
};

/// Variables of the action and of the tests of this project.
pub const TOOLS: Group = Group {
    heading: "Action and tests",
    variables: &[
        (&["NMOE_GATES_BINARY"], "the input `binary` of the action"),
        (&["NMOE_GATES_CACHE"], "the input `cache` of the action"),
        (
            &["NMOE_GATES_RELEASES"],
            "a mirror of the releases, for the action",
        ),
        (
            &["NMOE_GATES_REQUIRE_TOOLS"],
            "`1`: a test whose tool is missing fails instead of skipping",
        ),
    ],
};

/// All groups, in the order of the page.
pub const ALL: [&Group; 10] = [
    &GITHUB, &WORKFLOWS, &TERMINAL, &STATE, &TERMS, &HOOKS, &RUNS, &MACHINE, &KERNELS, &TOOLS,
];
