//! Checks of `doctor` for what the kernel build of the subject needs: nvcc, headers, FlashMLA, Python packages.
//!
//! Checks only what the Makefile of the subject mentions, and only if a gate needs kernel libraries.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cmd::doctor::check::{Check, State, listed};
use crate::domain::registry::Registry;

/// The Makefile that builds the libraries.
const MAKEFILE: &str = "nmoe/csrc/Makefile";

/// The first CUDA version that compiles for `sm_100a`.
const OLDEST: (u32, u32) = (12, 8);

/// Headers of the toolkit, and what includes them.
const HEADERS: [(&str, &str); 5] = [
    ("cuda_runtime.h", "nvcc"),
    ("cublasLt.h", "cublas"),
    ("nvml.h", "nvidia-ml"),
    ("curand_kernel.h", "FLASHMLA"),
    ("cusparse.h", "torch"),
];

/// Runs every check of this file.
pub(super) fn checks(registry: &Registry, subject: &Path, tier_b: State) -> Vec<Check> {
    let makefile = std::fs::read_to_string(subject.join(MAKEFILE)).unwrap_or_default();
    if makefile.is_empty() || !registry.gates.values().any(|gate| gate.needs_kernels()) {
        return Vec::new();
    }
    let mentions = |word: &str| makefile.contains(word);
    let home = toolkit();
    let mut checks = vec![nvcc(home.as_deref(), tier_b)];
    if let Some(home) = &home {
        let wanted = HEADERS
            .iter()
            .filter(|(_, word)| *word == "nvcc" || mentions(word));
        let absent: Vec<&str> = wanted
            .map(|(header, _)| *header)
            .filter(|header| !home.join("include").join(header).is_file())
            .collect();
        checks.push(if absent.is_empty() {
            Check::ok("headers", "the headers that the kernel build includes exist")
        } else {
            Check::not(
                tier_b,
                "headers",
                format!("the CUDA toolkit has no {}", listed(&absent)),
                "install the development packages of the toolkit that have them",
            )
        });
    }
    if mentions("FLASHMLA_HOME") {
        checks.push(flashmla(subject, tier_b));
    }
    let packages: Vec<&str> = ["pybind11", "torch"]
        .into_iter()
        .filter(|name| mentions(name))
        .collect();
    checks.extend(python(&packages, tier_b));
    checks
}

/// Returns the folder of the CUDA toolkit: `CUDA_HOME`, otherwise where the Makefile looks, otherwise that of nvcc on `PATH`.
fn toolkit() -> Option<PathBuf> {
    let named = std::env::var_os("CUDA_HOME").map(PathBuf::from);
    let usual = Some(PathBuf::from("/usr/local/cuda"));
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path)
        .find(|folder| folder.join("nvcc").is_file())
        .and_then(|folder| folder.parent().map(Path::to_owned));
    let mut all = [named, usual, on_path].into_iter().flatten();
    all.find(|home| home.join("bin/nvcc").is_file())
}

fn nvcc(home: Option<&Path>, tier_b: State) -> Check {
    let Some(home) = home else {
        return Check::not(
            tier_b,
            "nvcc",
            "nvcc is not in CUDA_HOME, /usr/local/cuda or PATH",
            "install the CUDA toolkit, and set CUDA_HOME to its folder",
        );
    };
    let said = Command::new(home.join("bin/nvcc"))
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    match version(&said) {
        Some(found) if found >= OLDEST => Check::ok("nvcc", format!("nvcc {}.{}", found.0, found.1)),
        Some(found) => Check::not(
            tier_b,
            "nvcc",
            format!("nvcc {}.{} does not compile for sm_100a", found.0, found.1),
            format!("install CUDA {}.{} or later", OLDEST.0, OLDEST.1),
        ),
        None => Check::not(
            tier_b,
            "nvcc",
            "nvcc does not print its version",
            "run nvcc --version, and repair the toolkit",
        ),
    }
}

/// Returns the version in the output of `nvcc --version`.
fn version(said: &str) -> Option<(u32, u32)> {
    let rest = said.split("release ").nth(1)?;
    let (major, rest) = rest.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn flashmla(subject: &Path, tier_b: State) -> Check {
    let home = std::env::var_os("FLASHMLA_HOME").map_or(subject.join("third_party/flashmla"), PathBuf::from);
    let there = |file: &str| home.join("csrc").join(file).is_file();
    let (own, cutlass) = (
        there("sm100/prefill/dense/interface.h"),
        there("cutlass/include/cutlass/cutlass.h"),
    );
    match (own, cutlass) {
        (true, true) => Check::ok("flashmla", "FlashMLA and its CUTLASS are there"),
        (true, false) => Check::not(
            tier_b,
            "flashmla",
            "FlashMLA is there without its submodule csrc/cutlass",
            "run git submodule update --init in it",
        ),
        (false, _) => Check::not(
            tier_b,
            "flashmla",
            "FlashMLA is neither in FLASHMLA_HOME nor in third_party/flashmla",
            "clone https://github.com/deepseek-ai/FlashMLA with its submodules, and set FLASHMLA_HOME",
        ),
    }
}

/// Checks that Python finds these packages, without importing them.
fn python(packages: &[&str], tier_b: State) -> Vec<Check> {
    const SCRIPT: &str = "import importlib.util, sys\nfor name in sys.argv[1:]:\n    if importlib.util.find_spec(name): print(name)";
    let output = Command::new("python3")
        .args(["-c", SCRIPT])
        .args(packages)
        .output();
    let said = output.map(|output| output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let found: Vec<&str> = said.lines().collect();
    packages
        .iter()
        .map(|name| match *name {
            "torch" if found.contains(&"torch") => Check::ok("torch", "python3 finds torch"),
            "torch" => Check::not(
                tier_b,
                "torch",
                "python3 does not find torch, whose headers the build includes",
                "install torch for this python3",
            ),
            _ if found.contains(name) => Check::ok("pybind11", "python3 finds pybind11"),
            _ => Check::not(
                tier_b,
                "pybind11",
                "python3 does not find pybind11, whose headers the build includes",
                "install pybind11 for this python3",
            ),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read() {
        let said = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 13.0, V13.0.88\n";
        assert_eq!(version(said), Some((13, 0)));
        assert_eq!(version(""), None);
    }
}
