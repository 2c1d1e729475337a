//! The identity that a verdict is bound to. A result about one commit says nothing of another.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was tested, by which policy, with what. Absent ids are null: a plain commit has no merge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Head commit of the pull request, 40 hex digits.
    pub head: Option<String>,
    /// Base commit, first parent of the merge.
    pub base: Option<String>,
    /// The commit under test: the merge, or a plain commit.
    pub merge: Option<String>,
    /// Tree of the commit under test.
    pub tree: Option<String>,
    /// Whether the subject held changes that no commit has.
    pub dirty: bool,
    /// SHA-256 of the registry that was in force.
    pub registry: Option<String>,
    /// SHA-256 of the contract's body, as it was read.
    pub contract: Option<String>,
    /// SHA-256 of each kernel library, by path in the subject.
    #[serde(default)]
    pub kernels: std::collections::BTreeMap<String, String>,
    /// Digest of the runner image, where the runner tells it.
    pub image: Option<String>,
    /// Version of this tool.
    pub tool: Option<String>,
    /// Target that was found, such as `b200x8`; null where none was needed.
    pub target: Option<String>,
    /// Nonce of the run, from its resolve job; null at a prompt.
    pub run: Option<String>,
}
