//! Codes about what a diff changes, held against a contract.

use crate::domain::finding::{Code, Severity};

/// A changed path that no `allow` covers.
pub static OUT_OF_SCOPE: Code = Code {
    id: "out-of-scope",
    severity: Severity::Error,
    title: "A changed path is not in the contract's scope",
    explain: "Only paths that `scope.allow` matches may change. Deletions, both ends of a rename, mode changes and submodules count as changes. Patterns are git pathspecs with `:(glob)`: they start at the top of the repository, `*` does not match `/`, `**` does, and a name matches itself and everything below it. An empty `allow` allows nothing. Revert the change, or get the contract widened first.",
    bad: "scope:\n  allow: [nmoe/moe.py]\n# the branch also changes nmoe/train.py",
    good: "scope:\n  allow: [nmoe/moe.py, nmoe/train.py]",
};

/// A changed path that `deny` covers.
pub static DENIED_PATH: Code = Code {
    id: "denied-path",
    severity: Severity::Error,
    title: "A changed path is denied by the contract",
    explain: "`scope.deny` wins over `scope.allow`. Revert the change, or get the contract changed first.",
    bad: "scope:\n  allow: [nmoe/**]\n  deny: [nmoe/train.py]\n# the branch changes nmoe/train.py",
    good: "scope:\n  allow: [nmoe/**]\n  deny: [nmoe/config.py]",
};

/// A symbolic link to somewhere the contract does not allow.
pub static LINK_OUT_OF_SCOPE: Code = Code {
    id: "link-out-of-scope",
    severity: Severity::Error,
    title: "A symbolic link points outside the scope",
    explain: "A write to an allowed link changes its target. The target must be inside the repository and inside the scope.",
    bad: "nmoe/data/cache -> ../../docker",
    good: "nmoe/data/cache -> shared",
};

/// A configuration key that the contract does not name.
pub static UNDECLARED_KNOB: Code = Code {
    id: "undeclared-knob",
    severity: Severity::Error,
    title: "A changed configuration key is not listed in `knobs`",
    explain: "List every TOML key that the diff adds in `contract.knobs.add` (or `change`), and every key whose value it changes or removes in `contract.knobs.change`, by name or dotted path. In a new file, only keys that no other configuration file of the base has count as new.",
    bad: "knobs:\n  add: []\n# configs/moonlet.toml: +attn_local_window = 128",
    good: "knobs:\n  add: [attn_local_window]",
};

/// Configuration in another format.
pub static CONFIG_NOT_TOML: Code = Code {
    id: "config-not-toml",
    severity: Severity::Warning,
    title: "Configuration that is not TOML",
    explain: "Only TOML configuration is supported. Keys in other formats cannot be compared with `knobs`. Move the keys into a TOML file under `configs/`.",
    bad: "configs/moonlet.yaml",
    good: "configs/moonlet.toml",
};

/// Configuration that cannot be read.
pub static UNREADABLE_CONFIG: Code = Code {
    id: "unreadable-config",
    severity: Severity::Error,
    title: "A changed TOML file cannot be read",
    explain: "A file that cannot be read cannot be compared with `knobs`.",
    bad: "dim = ",
    good: "dim = 2048",
};

/// Every code of scope.
pub static TABLE: &[&Code] = &[
    &OUT_OF_SCOPE,
    &DENIED_PATH,
    &LINK_OUT_OF_SCOPE,
    &UNDECLARED_KNOB,
    &CONFIG_NOT_TOML,
    &UNREADABLE_CONFIG,
];
