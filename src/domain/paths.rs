//! Names the files of a repository that this tool reads, relative to the repository root.

/// The registry of gates and bundles.
pub const REGISTRY: &str = "configs/gates/gates.toml";
/// The settings.
pub const SETTINGS: &str = "configs/nmoe-gates.toml";
/// The measured noise of the perf gates.
pub const NOISE: &str = "configs/gates/noise.toml";
/// The folder of the workflows.
pub const WORKFLOWS: &str = ".github/workflows";
/// The workflow that `init` writes for Tier B. `publish.workflows` can name another one.
pub const TIER_B: &str = ".github/workflows/tier-b.yml";
/// The workflow that `init` writes for the lints of a pull request.
pub const PR_LINT: &str = ".github/workflows/pr-lint.yml";
