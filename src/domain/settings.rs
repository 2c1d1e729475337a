//! Defines the settings, `configs/nmoe-gates.toml`: names, hotspots, suppressions, defaults. Every key has a default, and the
//! file is optional.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{BranchName, Login, MetricName};
use crate::domain::path_pattern::{PathPattern, PathPatterns};
use crate::domain::paths;

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Branches and worktrees.
    pub naming: Naming,
    /// Files that many contracts touch.
    pub hotspots: Hotspots,
    /// Images in the order of their builds. Each one is built on the previous one.
    pub images: Images,
    /// The perf gate.
    pub perf: Perf,
    /// The self-hosted runners.
    pub runner: Runner,
    /// Suppressions of leak findings.
    pub safety: Safety,
    /// What every contract must contain, and whose contracts count.
    pub contracts: Contracts,
    /// The files in which experts exchange rows.
    pub moe: Moe,
    /// What proves a gate of Tier A.
    pub tier_a: TierAProof,
    /// Who publishes results.
    pub publish: Publish,
    /// The tables of results.
    pub report: Report,
}

/// What proves a gate of Tier A.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TierAProof {
    /// The attestation of the author for the head.
    #[default]
    Attest,
    /// Recorded results only: a workflow runs the gates.
    Run,
}

/// The tables of results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Report {
    /// The metric in the column of numbers: the name of a metric with `_p50`. Other metrics are in the notes.
    pub metric: MetricName,
}

impl Default for Report {
    fn default() -> Self {
        Report {
            metric: MetricName::node_tps_p50(),
        }
    }
}

/// What every contract must contain, and whose contracts count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Contracts {
    /// Invariants that every contract names in `contract.invariants`. An empty list requires none.
    pub invariants: Vec<Invariant>,
    /// Logins whose contracts count although they may not write to the repository, such as a coordinator's bot, `NAME[bot]`.
    /// `ready` takes this key from the base commit.
    pub authors: Vec<Login>,
}

/// An invariant that every contract names: by its id, or by a sentence with its words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Invariant {
    /// Id, such as `b200-only`, that a contract can list instead of a sentence.
    pub id: String,
    /// The invariant as findings print it.
    pub text: String,
    /// Words and phrases. A sentence with one of them names the invariant. Only whole words count.
    #[serde(default)]
    pub any: Vec<String>,
    /// If there are any, one of these words must be in the same sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
}

impl Default for Contracts {
    fn default() -> Self {
        let invariant = |id: &str, text: &str, any: &[&str], with: &[&str]| Invariant {
            id: id.to_owned(),
            text: text.to_owned(),
            any: any.iter().map(|word| (*word).to_owned()).collect(),
            with: with.iter().map(|word| (*word).to_owned()).collect(),
        };
        Contracts {
            authors: Vec::new(),
            invariants: vec![
                invariant(
                    "b200-only",
                    "B200-only (sm_100a)",
                    &["b200", "sm_100a", "sm100a", "sm_100"],
                    &[],
                ),
                invariant(
                    "no-nccl-a2a",
                    "no NCCL all-to-all on the MoE path",
                    &["all-to-all", "alltoall", "all2all", "a2a"],
                    &[
                        "no",
                        "not",
                        "never",
                        "without",
                        "forbid",
                        "forbidden",
                        "avoid",
                        "avoided",
                        "free",
                        "ban",
                        "banned",
                        "rdep",
                    ],
                ),
                invariant(
                    "toml-container",
                    "TOML-only configuration, container-first execution",
                    &["toml", "container", "containerized", "containerised"],
                    &[],
                ),
            ],
        }
    }
}

/// The files in which experts exchange rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Moe {
    /// In a changed file of these, every all-to-all of NCCL is an error. An empty list switches the rule off.
    pub path: Vec<PathPattern>,
}

impl Default for Moe {
    fn default() -> Self {
        Moe {
            path: patterns([
                "nmoe/moe.py",
                "nmoe/rdep.py",
                "nmoe/model.py",
                "nmoe/blockscaled/**",
                "nmoe/csrc/**",
                "nmoe-csrc/**",
            ]),
        }
    }
}

/// Who publishes results. `ready` takes these keys from the base commit, and counts no other results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Publish {
    /// Workflow files whose runs on the base branch may publish results. Printed commands start the first.
    pub workflows: Vec<String>,
    /// Login that writes the comment and the commit status; of a GitHub App, `NAME[bot]`.
    pub login: Login,
}

impl Default for Publish {
    fn default() -> Self {
        Publish {
            workflows: vec![paths::TIER_B.to_owned()],
            login: Login::actions(),
        }
    }
}

impl Publish {
    /// Returns the path of the workflow that runs Tier B.
    pub fn workflow(&self) -> &str {
        self.workflows.first().map_or(paths::TIER_B, String::as_str)
    }
}

/// Suppressions of leak findings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Safety {
    /// Suppressions, each with a reason.
    pub allow: Vec<Allowance>,
    /// File of known leaks, relative to the checkout.
    pub baseline: Option<String>,
}

/// Suppresses one kind of leak in some files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// Pattern of the files, relative to the checkout; or a list of patterns.
    pub path: PathPatterns,
    /// Code of the finding, such as `private-address`.
    pub code: String,
    /// Why the text is harmless.
    pub reason: String,
    /// The last day on which the suppression applies, `YYYY-MM-DD`; absent means no end.
    #[serde(default)]
    pub expires: Option<String>,
}

/// The images, in the order of their builds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Images(pub Vec<Image>);

/// An image and the files that define its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Name, such as `train`.
    pub name: String,
    /// Patterns of the files that define its content.
    pub files: Vec<PathPattern>,
    /// Sources that the Dockerfile copies and that do not rebuild the image, because each run uses its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub code: Vec<String>,
}

impl Default for Images {
    fn default() -> Self {
        let image = |name: &str, more: &[&str]| Image {
            name: name.to_owned(),
            files: patterns(
                std::iter::once(format!("docker/Dockerfile.{name}").as_str()).chain(more.iter().copied()),
            ),
            code: Vec::new(),
        };
        Images(vec![
            image("base", &[]),
            image("train", &["docker/requirements-train.txt"]),
            Image {
                // The runner image builds the tool. The action checks the version of the tool that it finds.
                code: vec![".".to_owned()],
                ..image("runner", &[])
            },
        ])
    }
}

/// The perf gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Perf {
    /// Budget in percent if neither the contract nor the command line has one.
    pub budget_pct: f64,
    /// The most GPU-minutes of one comparison; 0 means no limit.
    pub gpu_minutes: f64,
    /// Commit from which the cumulative budget counts; empty means no cumulative budget.
    pub epoch: String,
    /// Budget in percent for all changes since the epoch together.
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

/// The self-hosted runners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Runner {
    /// Labels that jobs can request.
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
    /// The branch from which work starts and into which it is merged.
    pub base: BranchName,
    /// The remote with the base branch.
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
            base: BranchName::master(),
            remote: "origin".to_owned(),
            branch: "issue/{issue}-{slug}".to_owned(),
            also: patterns(["claude/*", "codex/*", "copilot/*"]),
            worktree: "../nmoe-worktrees/issue-{issue}-{slug}".to_owned(),
        }
    }
}

impl Naming {
    /// Returns the branch of a contract.
    pub fn branch_of(&self, issue: &str, slug: &str) -> String {
        fill(&self.branch, issue, slug)
    }

    /// Returns the worktree of a contract, relative to the main checkout.
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
    /// Two contracts that touch one of these files are not in the same wave.
    pub core: Vec<PathPattern>,
    /// Files that only grow at the end. Two contracts that share one get only a hint.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that GitHub or git cannot have would silently match nothing.
    #[test]
    fn impossible_names_are_refused() {
        for (settings, says) in [
            ("[contracts]\nauthors = ['@captain']", "a GitHub login"),
            ("[publish]\nlogin = 'https://github.com/apps/x'", "a GitHub login"),
            ("[naming]\nbase = 'refs heads'", "the name of a branch"),
        ] {
            let error = toml::from_str::<Settings>(settings).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
