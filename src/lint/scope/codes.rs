//! Codes about what a diff changes, held against a contract.

use crate::domain::finding::{Code, Severity};

/// A changed path that no `allow` covers.
pub static OUT_OF_SCOPE: Code = Code {
    id: "out-of-scope",
    severity: Severity::Error,
    title: "A changed path is not in the contract's scope",
    explain: "Only what `scope.allow` covers may change; deletions, both ends of a rename, mode changes and submodules are \
              changes too. Patterns are git's `:(glob)` pathspecs: they start at the top of the repository, `*` stops at `/`, \
              `**` crosses it, a name covers itself and all below it. An empty `allow` allows nothing. Take the change back, \
              or have the contract widened first.",
    bad: "scope:\n  allow: [nmoe/moe.py]\n# the branch also changes nmoe/train.py",
    good: "scope:\n  allow: [nmoe/moe.py, nmoe/train.py]",
};

/// A changed path that `deny` covers.
pub static DENIED_PATH: Code = Code {
    id: "denied-path",
    severity: Severity::Error,
    title: "A changed path is denied by the contract",
    explain: "`scope.deny` wins over `scope.allow`. Take the change back, or have the contract changed first.",
    bad: "scope:\n  allow: [nmoe/**]\n  deny: [nmoe/train.py]\n# the branch changes nmoe/train.py",
    good: "scope:\n  allow: [nmoe/**]\n  deny: [nmoe/config.py]",
};

/// A symbolic link to somewhere the contract does not allow.
pub static LINK_OUT_OF_SCOPE: Code = Code {
    id: "link-out-of-scope",
    severity: Severity::Error,
    title: "A symbolic link leads out of the scope",
    explain: "Whoever writes to an allowed link writes to what it leads to. Its target must be inside the repository and \
              inside the scope.",
    bad: "nmoe/data/cache -> ../../docker",
    good: "nmoe/data/cache -> shared",
};

/// A configuration key that the contract does not name.
pub static UNDECLARED_KNOB: Code = Code {
    id: "undeclared-knob",
    severity: Severity::Error,
    title: "A configuration key is added or changed without standing in `knobs`",
    explain: "Every TOML key that the diff adds stands in `contract.knobs.add` (or `change`), every one whose value it changes \
              or removes in `contract.knobs.change`, by its name or its dotted path. In a new file only keys that no other \
              configuration file of the base has are new.",
    bad: "knobs:\n  add: []\n# configs/moonlet.toml: +attn_local_window = 128",
    good: "knobs:\n  add: [attn_local_window]",
};

/// Configuration in another format.
pub static CONFIG_NOT_TOML: Code = Code {
    id: "config-not-toml",
    severity: Severity::Warning,
    title: "Configuration that is not TOML",
    explain: "The supported path is TOML configuration. Keys in other formats cannot be held against `knobs`, and nothing \
              else reads them. Move the keys into a TOML file under `configs/`.",
    bad: "configs/moonlet.yaml",
    good: "configs/moonlet.toml",
};

/// Configuration that cannot be read.
pub static UNREADABLE_CONFIG: Code = Code {
    id: "unreadable-config",
    severity: Severity::Error,
    title: "A changed TOML file cannot be read",
    explain: "What cannot be read cannot be held against `knobs`.",
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
