//! `configs/nmoe-gates.toml`: names, hotspots, allowances, defaults. Every key has a default and the file may be absent.
//!
//! Each room has its own table here; the room reads it, this file only says what there is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::path_pattern::{PathPattern, PathPatterns};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Branches and worktrees.
    pub naming: Naming,
    /// Files that many contracts touch.
    pub hotspots: Hotspots,
    /// Images in the order in which they are built, each on the one before it.
    pub images: Images,
    /// The perf gate.
    pub perf: Perf,
    /// The runners that there are.
    pub runner: Runner,
    /// What may stay although it looks like a leak.
    pub safety: Safety,
}

/// What may stay although it looks like a leak.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Safety {
    /// Allowances, each with its reason.
    pub allow: Vec<Allowance>,
    /// File of known leaks, relative to the checkout.
    pub baseline: Option<String>,
}

/// One kind of leak in some files that may stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// Pattern of the files, relative to the checkout; or a list of patterns.
    pub path: PathPatterns,
    /// Code of the finding, such as `private-address`.
    pub code: String,
    /// Why the text is harmless.
    pub reason: String,
    /// Last day the allowance holds, `YYYY-MM-DD`; without one it holds until it is removed.
    #[serde(default)]
    pub expires: Option<String>,
}

/// The images, in the order in which they are built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Images(pub Vec<Image>);

/// An image and what its environment is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Name, such as `train`.
    pub name: String,
    /// Patterns of the files that decide what is in it.
    pub files: Vec<PathPattern>,
}

impl Default for Images {
    fn default() -> Self {
        let image = |name: &str, more: &[&str]| Image {
            name: name.to_owned(),
            files: patterns(
                std::iter::once(format!("docker/Dockerfile.{name}").as_str()).chain(more.iter().copied()),
            ),
        };
        Images(vec![
            image("base", &[]),
            image("train", &["docker/requirements-train.txt"]),
            image("runner", &[]),
        ])
    }
}

/// The perf gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Perf {
    /// Budget in percent where neither the contract nor the command line has one.
    pub budget_pct: f64,
    /// Most GPU-minutes that one comparison may spend; 0 means no limit.
    pub gpu_minutes: f64,
    /// Commit that the cumulative budget counts from; empty means that there is none.
    pub epoch: String,
    /// Percent that all changes since the epoch may cost together.
    pub cumulative_budget_pct: f64,
}

impl Default for Perf {
    fn default() -> Self {
        Perf {
            budget_pct: -10.0,
            gpu_minutes: 0.0,
            epoch: String::new(),
            cumulative_budget_pct: -5.0,
        }
    }
}

/// The runners that there are, beside GitHub's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Runner {
    /// Labels that jobs may ask for.
    pub labels: Vec<String>,
}

impl Default for Runner {
    fn default() -> Self {
        Runner {
            labels: vec!["b200".to_owned()],
        }
    }
}

/// Branches and worktrees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Naming {
    /// Branch that work starts from and is merged into.
    pub base: String,
    /// Remote that holds it.
    pub remote: String,
    /// Branch name; `{issue}` and `{slug}` are filled in.
    pub branch: String,
    /// Patterns of further branch names, for hosted agents that choose their own. The closing issue names the contract.
    pub also: Vec<PathPattern>,
    /// Worktree, relative to the checkout; `{issue}` and `{slug}` are filled in.
    pub worktree: String,
}

impl Default for Naming {
    fn default() -> Self {
        Naming {
            base: "master".to_owned(),
            remote: "origin".to_owned(),
            branch: "issue/{issue}-{slug}".to_owned(),
            also: patterns(["claude/*", "codex/*", "copilot/*"]),
            worktree: "../nmoe-worktrees/issue-{issue}-{slug}".to_owned(),
        }
    }
}

impl Naming {
    /// The branch of a contract.
    pub fn branch_of(&self, issue: &str, slug: &str) -> String {
        fill(&self.branch, issue, slug)
    }

    /// The worktree of a contract, relative to the main checkout.
    pub fn worktree_of(&self, issue: &str, slug: &str) -> String {
        fill(&self.worktree, issue, slug)
    }
}

fn fill(pattern: &str, issue: &str, slug: &str) -> String {
    pattern.replace("{issue}", issue).replace("{slug}", slug)
}

/// Files that many contracts touch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hotspots {
    /// Two contracts that touch one of these are not worked on at once.
    pub core: Vec<PathPattern>,
    /// Files that only grow at the end: sharing them is worth a hint, no more.
    pub append_only: Vec<PathPattern>,
}

impl Default for Hotspots {
    fn default() -> Self {
        Hotspots {
            core: patterns([
                "nmoe/train.py",
                "nmoe/config.py",
                "nmoe/moe.py",
                "nmoe/blockscaled/grouped.py",
            ]),
            append_only: patterns(["CHANGELOG.md"]),
        }
    }
}

fn patterns<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<PathPattern> {
    texts
        .into_iter()
        .filter_map(|text| PathPattern::new(text).ok())
        .collect()
}
