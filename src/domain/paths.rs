//! Names the files of a repository that this tool reads, relative to the repository root.

/// The registry of gates and bundles.
pub const REGISTRY: &str = "configs/gates/gates.toml";
/// The settings.
pub const SETTINGS: &str = "configs/nmoe-gates.toml";
/// The measured noise of the perf gates.
pub const NOISE: &str = "configs/gates/noise.toml";
