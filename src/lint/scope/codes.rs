//! Lists the codes of findings about a diff that leaves the scope of its contract.

use crate::domain::finding::codes;

codes! {
    OUT_OF_SCOPE = "out-of-scope", Error,
        "A changed path is not in the contract's scope",
        "Only paths that `scope.allow` matches may change. Deletions, both ends of a rename, mode changes and submodules count as changes. Patterns are git pathspecs with `:(glob)`: they start at the top of the repository, `*` does not match `/`, `**` does, and a name matches itself and everything below it. An empty `allow` allows nothing. Revert the change, or get the contract widened first.",
        "scope:\n  allow: [nmoe/moe.py]\n# the branch also changes nmoe/train.py",
        "scope:\n  allow: [nmoe/moe.py, nmoe/train.py]";
    DENIED_PATH = "denied-path", Error,
        "A changed path is denied by the contract",
        "`scope.deny` wins over `scope.allow`. Revert the change, or get the contract changed first.",
        "scope:\n  allow: [nmoe/**]\n  deny: [nmoe/train.py]\n# the branch changes nmoe/train.py",
        "scope:\n  allow: [nmoe/**]\n  deny: [nmoe/config.py]";
    CHANGE_TOO_LARGE = "change-too-large", Error,
        "The change is larger than the contract allows",
        "`contract.limits` bounds the number of changed files, and of added and removed lines together. Split the change, or get the limits changed first.",
        "limits: {files: 5, lines: 300}\n# the branch changes 9 files",
        "limits: {files: 10, lines: 300}";
    STEERING_CHANGE = "steering-change", Warning,
        "The change edits a file that steers agents or gates",
        "Instructions and settings of agents, skills, workflows, actions, owners of code, hooks and the policy decide what later work does and which checks it meets. A pattern such as `**` allows them without saying so. Name the file or its folder in `scope.allow`, so that the agreement shows it.",
        "scope:\n  allow: [\"**\"]\n# the branch changes AGENTS.md",
        "scope:\n  allow: [\"nmoe/**\", AGENTS.md]";
    LINK_OUT_OF_SCOPE = "link-out-of-scope", Error,
        "A symbolic link points outside the scope",
        "A write to an allowed link changes its target. The target must be inside the repository and inside the scope.",
        "nmoe/data/cache -> ../../docker",
        "nmoe/data/cache -> shared";
    UNDECLARED_KNOB = "undeclared-knob", Error,
        "A changed configuration key is not listed in `knobs`",
        "List every TOML key that the diff adds in `contract.knobs.add` (or `change`), and every key whose value it changes or removes in `contract.knobs.change`, by name or dotted path. In a new file, only keys that no other configuration file of the base has count as new.",
        "knobs:\n  add: []\n# configs/moonlet.toml: +attn_local_window = 128",
        "knobs:\n  add: [attn_local_window]";
    CONFIG_NOT_TOML = "config-not-toml", Warning,
        "Configuration that is not TOML",
        "Only TOML configuration is supported. Keys in other formats cannot be compared with `knobs`. Move the keys into a TOML file under `configs/`.",
        "configs/moonlet.yaml",
        "configs/moonlet.toml";
    UNREADABLE_CONFIG = "unreadable-config", Error,
        "A changed TOML file cannot be read",
        "A file that cannot be read cannot be compared with `knobs`.",
        "dim = ",
        "dim = 2048";
}
