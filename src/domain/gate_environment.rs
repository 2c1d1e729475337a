//! Decides which environment variables a gate receives. The linter, the preflight check and the engine share this list.
//!
//! Must not read the environment: callers pass names and values.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::domain::registry::Gate;

/// Variables that every gate receives if they are set.
const NAMES: &[&str] = &[
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

/// Prefixes of variables that every gate receives if they are set.
const PREFIXES: &[&str] = &[
    "LC_", "CUDA", "NVCC", "NVIDIA_", "NCCL_", "NVSHMEM_", "PYTHON", "TORCH",
];

/// Variables that describe the file system or the user of a machine. In a container, those of the image apply.
const OF_MACHINE: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "FLASHMLA_HOME",
    "CUDA_HOME",
    "CUDA_PATH",
    "PYTHONHOME",
    "PYTHONPATH",
];

/// Variables that a gate of a job gets: its rank, and where rank 0 is.
pub const OF_JOB: [&str; 4] = [
    "NMOE_NODES",
    "NMOE_NODE_RANK",
    "NMOE_MASTER_ADDR",
    "NMOE_MASTER_PORT",
];

/// Variables that bash sets itself, so every command can read them.
const SET_BY_SHELL: &[&str] = &[
    "PWD",
    "OLDPWD",
    "HOSTNAME",
    "RANDOM",
    "SECONDS",
    "BASHPID",
    "BASH",
    "UID",
    "EUID",
    "IFS",
    "PIPESTATUS",
    "LINENO",
    "PPID",
    "REPLY",
    "SHLVL",
    "OSTYPE",
    "HOSTTYPE",
    "MACHTYPE",
    "BASH_VERSION",
    "BASH_SOURCE",
    "FUNCNAME",
    "_",
];

/// Words of a name that mark its value as a secret.
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

/// Endings of a name that mark its value as a secret.
const SECRET_ENDINGS: &[&str] = &[
    "_API_KEY",
    "_ACCESS_KEY",
    "_ACCESS_KEY_ID",
    "_PRIVATE_KEY",
    "_SECRET_KEY",
    "_SIGNING_KEY",
];

/// The command files of the runner.
pub const COMMAND_FILES: &[&str] = &[
    "GITHUB_ENV",
    "GITHUB_PATH",
    "GITHUB_OUTPUT",
    "GITHUB_STATE",
    "GITHUB_STEP_SUMMARY",
];

/// Whether a variable never reaches a gate, even if the registry names it.
pub fn is_forbidden(name: &str) -> bool {
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

/// Whether the name of a variable marks its value as a secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.split('_').any(|word| SECRET_WORDS.contains(&word))
        || SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether a command can read a variable without a declaration: every gate receives it, or bash sets it.
pub fn needs_no_declaration(name: &str) -> bool {
    is_passed(name) || SET_BY_SHELL.contains(&name) || OF_JOB.contains(&name)
}

/// Whether a variable describes the file system or the user of a machine, so that a container must not get it.
pub fn is_of_machine(name: &str) -> bool {
    OF_MACHINE.contains(&name)
}

fn is_passed(name: &str) -> bool {
    NAMES.contains(&name) || PREFIXES.iter().any(|p| name.starts_with(p))
}

/// Returns the variables of an environment that a gate receives.
pub fn of(gate: &Gate, ours: impl IntoIterator<Item = (OsString, OsString)>) -> BTreeMap<OsString, OsString> {
    ours.into_iter()
        .filter(|(name, _)| {
            name.to_str().is_some_and(|name| {
                let declared = gate.requires.iter().chain(&gate.env).any(|n| n == name);
                (is_passed(name) || declared) && !is_forbidden(name)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_never_reach_a_gate() {
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
            assert!(is_forbidden(name), "{name}");
        }
        for name in [
            "NMOE_TOKENIZER_PATH",
            "NMOE_DATA_PATH",
            "NMOE_SORT_KEY",
            "RUNNER_NAME",
            "PATH",
            "PYTHONPATH",
            "MONKEY",
        ] {
            assert!(!is_forbidden(name), "{name}");
        }
    }
}
