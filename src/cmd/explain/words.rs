//! The words that reports and tables print and that are neither codes nor reasons. A test compares them with the schemas.

/// Each word with its meaning.
pub(super) const WORDS: [(&str, &str); 106] = [
    (
        "pass",
        "The gate did what it must do. Only this verdict is green.",
    ),
    (
        "fail",
        "The gate ran and found a fault, or a comparison is outside of its budget.",
    ),
    (
        "inconclusive",
        "The measurements do not decide. This is not a pass; more pairs or less noise may decide.",
    ),
    (
        "invalid",
        "The gate could not be evaluated: something that it needs was missing, or its output cannot be used. The reason says what.",
    ),
    (
        "not_run",
        "The gate was selected and did not start. The reason says why.",
    ),
    (
        "pending",
        "The gate runs elsewhere, and its result is not there yet.",
    ),
    ("cancelled", "The run was stopped while or before the gate ran."),
    (
        "proven",
        "`run --resume` keeps the pass of an earlier run, because code, policy and tool are the same.",
    ),
    (
        "uncalibrated",
        "No stored noise was used for the comparison. `nmoe-gates perf calibrate` stores it.",
    ),
    (
        "unsteady",
        "The samples of a measurement drifted, and so did those of its repetition.",
    ),
    (
        "disturbed",
        "Heat, memory errors, an Xid or another process disturbed a measurement, which was discarded and repeated.",
    ),
    (
        "budget",
        "The change that a comparison allows, in percent. -10 allows a result that is 10 % worse than the baseline.",
    ),
    (
        "interval",
        "The range that contains the true change with the stated confidence.",
    ),
    (
        "dirty",
        "The checkout under test had changes that are not committed, so the results are about no commit.",
    ),
    (
        "stale",
        "The results are about another commit, registry or contract than the pull request has now.",
    ),
    ("run", "In the output of `run --dry-run`: the gate would run."),
    (
        "skipped",
        "`run --rehearse` does not run the gate, because it needs a B200 and the registry names no `rehearse` command.",
    ),
    (
        "container",
        "Isolation of gates: a gate sees only its image, the checkout and declared folders.",
    ),
    (
        "pid_namespace",
        "Isolation of gates: a gate sees no process outside, and the kernel ends all its processes.",
    ),
    (
        "cgroup",
        "Isolation of gates: the kernel ends all processes of a gate; a gate sees other processes of its user.",
    ),
    (
        "process_tree",
        "Isolation of gates: its processes are found in /proc and ended one by one.",
    ),
    ("drift", "Why a measurement was discarded: its samples drift."),
    (
        "lost",
        "Why a measurement was discarded: a GPU no longer answered.",
    ),
    (
        "foreign",
        "Why a measurement was discarded: another process used a GPU.",
    ),
    (
        "throttled",
        "Why a measurement was discarded: heat or power limited the clocks.",
    ),
    (
        "memory",
        "Why a measurement was discarded: a GPU had a memory error.",
    ),
    (
        "xid",
        "Why a measurement was discarded: the driver reported an error of a GPU (an Xid).",
    ),
    (
        "split",
        "Why a measurement was discarded: a GPU was split (MIG) during the measurement.",
    ),
    ("short", "Why a measurement was discarded: its log is too short."),
    (
        "paired",
        "A comparison that is decided by the confidence interval over several pairs.",
    ),
    (
        "threshold",
        "A comparison of a single pair with the budget, without an interval.",
    ),
    (
        "pair",
        "One measurement of the baseline and one of the change, next to each other in time.",
    ),
    ("ab", "The order of a pair: the baseline was measured first."),
    ("ba", "The order of a pair: the change was measured first."),
    (
        "unknown",
        "The order of a pair: the records do not say which measurement was first.",
    ),
    ("higher", "Direction of a metric: a larger value is better."),
    ("lower", "Direction of a metric: a smaller value is better."),
    (
        "estimator",
        "How the values per step of a measurement become one number: `median`, `middle_half` or `total`.",
    ),
    ("median", "Estimator: the median of the values per step."),
    (
        "middle_half",
        "Estimator: the mean of the middle half of the values per step.",
    ),
    ("total", "Estimator: total work over total time."),
    (
        "calibrated",
        "Stored noise of two equal sides was used for the comparison.",
    ),
    (
        "restarted",
        "The steps of a measurement began again. Only the steps after the last start count.",
    ),
    (
        "leaks",
        "Processes that a gate left behind. They were ended and counted.",
    ),
    ("identical", "A numeric comparison: every number must be equal."),
    (
        "within",
        "A numeric comparison: the numbers must agree within the tolerance of the gate.",
    ),
    (
        "changes",
        "A numeric comparison: the contract declares that the numbers change.",
    ),
    (
        "equal",
        "A series of a numeric comparison has equal numbers on both sides.",
    ),
    (
        "differs",
        "A series of a numeric comparison has different numbers on both sides.",
    ),
    (
        "not_finite",
        "A series of a numeric comparison has a number that is not finite, only on the second side.",
    ),
    ("base_change", "A numeric comparison of the base with the change."),
    (
        "straight_resumed",
        "A numeric comparison of a straight run with one that stops and resumes.",
    ),
    ("merge", "Evidence: the merge commit that was tested."),
    (
        "head",
        "Evidence: the head commit of the pull request, or the commit that was tested.",
    ),
    (
        "base",
        "Evidence: the base commit, which is the first parent of the merge.",
    ),
    (
        "tree",
        "Evidence: the files of the tested commit. Equal trees are the same code.",
    ),
    (
        "registry",
        "Evidence: the digest of the registry that defined the gates.",
    ),
    (
        "contract",
        "Evidence: the digest of the issue that contains the contract. In a plan: the work that an issue describes.",
    ),
    ("kernels", "Evidence: the digest of each kernel library, by path."),
    (
        "image",
        "Evidence: the digest of the container image that the gates ran in.",
    ),
    ("tool", "Evidence: the version of nmoe-gates."),
    ("target", "Evidence: the GPUs that were found, such as `b200x8`."),
    (
        "isolation",
        "Evidence: how the gates were separated from other processes.",
    ),
    (
        "inspected",
        "A kernel library was read without loading it, and its code is for the target.",
    ),
    (
        "loaded",
        "A kernel library was loaded in a process of its own, and its checks ran.",
    ),
    (
        "jit",
        "Evidence: the kernels that a gate compiled at run time, by cache.",
    ),
    (
        "registers",
        "A number of a kernel that the registry can pin: registers per thread.",
    ),
    (
        "stack",
        "A number of a kernel that the registry can pin: bytes of stack per thread.",
    ),
    (
        "shared",
        "A number of a kernel that the registry can pin: bytes of shared memory per block.",
    ),
    (
        "spills",
        "A number of a kernel that the registry can pin: bytes that did not fit into registers.",
    ),
    ("command", "Kind of gate: a shell command."),
    ("perf", "Kind of gate: a comparison of throughput with the base."),
    ("numeric", "Kind of gate: a comparison of numbers, step by step."),
    ("kernel", "Kind of gate: the self-checks of a kernel library."),
    ("ok", "`doctor` found what it looked for."),
    (
        "hint",
        "In `doctor`: something that only some commands need. In a plan: a file that several contracts may change.",
    ),
    (
        "missing",
        "`doctor` did not find something that is needed, or found an error in it.",
    ),
    ("error", "A finding that fails the lint."),
    (
        "warning",
        "A finding that does not fail the lint, and that somebody should look at.",
    ),
    ("note", "A finding for information."),
    ("author", "The next step is for the person who makes the change."),
    (
        "reviewer",
        "The next step is for a person who reviews the change.",
    ),
    (
        "merge_captain",
        "The next step is for the person who merges work into the base branch.",
    ),
    (
        "maintainer",
        "The next step is for the person who approves runs on the B200 runner.",
    ),
    ("wave", "Contracts that can be worked on at the same time."),
    ("after", "The contracts that must be merged first."),
    (
        "exclusive",
        "Files that at most one contract of a wave may change.",
    ),
    (
        "conflict",
        "Hotspot: the changes of contracts conflict in this file.",
    ),
    ("core", "Hotspot: the settings list the file as core."),
    ("declared", "Hotspot: several contracts declare the file."),
    (
        "append-only",
        "Hotspot: several contracts add to the file, which the settings allow.",
    ),
    (
        "scope",
        "Hotspot: the scopes of several contracts allow the file, and none declares it.",
    ),
    (
        "hot",
        "Risk of a contract: the change is on the hot path, so its throughput is compared.",
    ),
    ("warm", "Risk of a contract: the change is near the hot path."),
    ("cold", "Risk of a contract: the change cannot affect throughput."),
    ("bugfix", "Kind of contract: a fix."),
    ("feature", "Kind of contract: something new."),
    ("refactor", "Kind of contract: the same behaviour in other code."),
    ("docs", "Kind of contract: documentation alone."),
    ("ready", "Nothing blocks the merge of the pull request."),
    (
        "blocked",
        "Something blocks the merge of the pull request. Each blocker has a code.",
    ),
    (
        "removed",
        "`start --clean` removed the worktree and the branch of merged work. In a proposal: the registry loses an entry.",
    ),
    ("kept", "`start --clean` kept a worktree. The line says why."),
    ("added", "A proposal: the registry gets a new entry."),
    ("changed", "A proposal: an entry of the registry changes."),
    (
        "fingerprint",
        "Names a match of the leak scanner without showing it.",
    ),
];
