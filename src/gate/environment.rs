//! What a gate may see of our environment: an allow-list, what the registry names for it, and never a secret.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::domain::registry::Gate;

/// Variables that every gate gets, where they are set.
pub const NAMES: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "OMP_NUM_THREADS",
    "FLASHMLA_HOME",
];

/// Variables whose names begin like this are passed on too.
pub const PREFIXES: &[&str] = &[
    "LC_", "CUDA", "NVCC", "NVIDIA_", "NCCL_", "NVSHMEM_", "PYTHON", "TORCH",
];

/// Whole words of a name that make it a secret's.
const SECRET_WORDS: &[&str] = &[
    "TOKEN",
    "TOKENS",
    "SECRET",
    "SECRETS",
    "PASSWORD",
    "PASSWORDS",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "CREDENTIALS",
    "APIKEY",
    "COOKIE",
    "JWT",
];

/// Endings of a name that make it a secret's.
const SECRET_ENDINGS: &[&str] = &[
    "_API_KEY",
    "_ACCESS_KEY",
    "_ACCESS_KEY_ID",
    "_PRIVATE_KEY",
    "_SECRET_KEY",
    "_SIGNING_KEY",
];

/// The runner's command files.
pub const COMMAND_FILES: &[&str] = &[
    "GITHUB_ENV",
    "GITHUB_PATH",
    "GITHUB_OUTPUT",
    "GITHUB_STATE",
    "GITHUB_STEP_SUMMARY",
];

/// Whether a variable is kept from every gate, even where the registry names it.
pub fn never(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    COMMAND_FILES.contains(&name.as_str())
        || name.starts_with("ACTIONS_")
        || name.starts_with("NMOE_PRIVATE_")
        || matches!(
            name.as_str(),
            "BASH_ENV" | "ENV" | "LD_PRELOAD" | "LD_AUDIT" | "SHELLOPTS" | "BASHOPTS"
        )
        || is_secret(&name)
}

/// Whether a variable's name says that its value is a secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.split('_').any(|word| SECRET_WORDS.contains(&word))
        || SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

fn base(name: &str) -> bool {
    NAMES.contains(&name) || PREFIXES.iter().any(|p| name.starts_with(p))
}

/// What a gate sees of this environment.
pub fn of(gate: &Gate, ours: impl IntoIterator<Item = (OsString, OsString)>) -> BTreeMap<OsString, OsString> {
    ours.into_iter()
        .filter(|(name, _)| {
            name.to_str().is_some_and(|name| {
                let named = gate.requires.iter().chain(&gate.env).any(|n| n == name);
                (base(name) || named) && !never(name)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_passed_on() {
        for name in [
            "GITHUB_TOKEN",
            "GH_TOKEN",
            "HF_TOKEN",
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "NVIDIA_API_KEY",
            "CUDA_SECRET",
            "PYTHON_PASSWORD",
            "GITHUB_OUTPUT",
            "NMOE_PRIVATE_TERMS",
            "AWS_SECRET_ACCESS_KEY",
            "BASH_ENV",
            "nmoe_private_terms_file",
        ] {
            assert!(never(name), "{name}");
        }
        for name in [
            "NMOE_TOKENIZER_PATH",
            "NMOE_DATA_PATH",
            "NMOE_SORT_KEY",
            "PATH",
            "PYTHONPATH",
            "MONKEY",
        ] {
            assert!(!never(name), "{name}");
        }
    }
}
