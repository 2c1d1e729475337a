//! Defines the evidence of a verdict: the commits, the policy and the environment that it applies to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{CommitId, Nonce, Sha256};

/// What was tested, by which policy, in which environment. Absent ids are null: a plain commit has no merge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Head commit of the pull request, or the plain commit under test; 40 hex digits.
    pub head: Option<CommitId>,
    /// Base commit, first parent of the merge.
    pub base: Option<CommitId>,
    /// The merge commit under test; null for a plain commit.
    pub merge: Option<CommitId>,
    /// Tree of the commit under test.
    pub tree: Option<CommitId>,
    /// Whether the subject had uncommitted changes.
    pub dirty: bool,
    /// Whether the run was a rehearsal, so that its results prove nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rehearsal: bool,
    /// SHA-256 of the effective registry.
    pub registry: Option<Sha256>,
    /// SHA-256 of the body that contains the contract.
    pub contract: Option<Sha256>,
    /// SHA-256 of each kernel library, by path in the subject.
    #[serde(default)]
    pub kernels: BTreeMap<String, Sha256>,
    /// SHA-256 of each cubin that a gate compiled at run time, by cache.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Vec<Sha256>>")]
    pub jit: BTreeMap<JitCache, Vec<Sha256>>,
    /// Digest of the runner image, if the runner reports it.
    pub image: Option<String>,
    /// Version of this tool.
    pub tool: Option<String>,
    /// The target that was found, such as `b200x8`; null if no gate needed one.
    pub target: Option<String>,
    /// Version of the GPU driver; absent if no gate needed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Nonce of the run, from its resolve job; null outside of a workflow.
    pub run: Option<Nonce>,
    /// How the gates were isolated; absent if no gate ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
}

impl Evidence {
    /// Adds the digests of cubins that a gate compiled at run time.
    pub fn add_jit(&mut self, cache: JitCache, digests: impl IntoIterator<Item = Sha256>) {
        let all = self.jit.entry(cache).or_default();
        all.extend(digests);
        all.sort_unstable();
        all.dedup();
    }
}

/// How the processes of a gate are separated from others and ended, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// A container: a gate sees only its image, the checkout and declared folders.
    Container,
    /// A PID namespace with a private `/proc`: a gate sees no process outside, and the kernel ends all its processes.
    PidNamespace,
    /// A control group: the kernel ends all processes of a gate; a gate sees other processes of its user.
    Cgroup,
    /// The tree of processes: they are found in `/proc` and ended one by one.
    ProcessTree,
}

impl Isolation {
    /// Returns the name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Isolation::Container => "container",
            Isolation::PidNamespace => "pid_namespace",
            Isolation::Cgroup => "cgroup",
            Isolation::ProcessTree => "process_tree",
        }
    }
}

/// A cache of kernels that are compiled at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JitCache {
    /// Of Triton, also as PyTorch's compiler uses it.
    Triton,
    /// Of CuTe DSL.
    CuteDsl,
    /// Of PyTorch and CuPy, which compile with NVRTC.
    Nvrtc,
    /// Of the driver, which compiles PTX.
    Driver,
    /// Of extensions that PyTorch compiles with nvcc.
    Extension,
}

impl JitCache {
    /// Returns the name in results and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            JitCache::Triton => "triton",
            JitCache::CuteDsl => "cute_dsl",
            JitCache::Nvrtc => "nvrtc",
            JitCache::Driver => "driver",
            JitCache::Extension => "extension",
        }
    }
}

/// A part of the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is the field of the same name")]
pub enum Identity {
    Head,
    Base,
    Merge,
    Tree,
    Dirty,
    Rehearsal,
    Registry,
    Contract,
    Kernels,
    Image,
    Tool,
    Target,
    Run,
}

impl Identity {
    /// Returns the name in findings and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Identity::Head => "head",
            Identity::Base => "base",
            Identity::Merge => "merge",
            Identity::Tree => "tree",
            Identity::Dirty => "dirty",
            Identity::Rehearsal => "rehearsal",
            Identity::Registry => "registry",
            Identity::Contract => "contract",
            Identity::Kernels => "kernels",
            Identity::Image => "image",
            Identity::Tool => "tool",
            Identity::Target => "target",
            Identity::Run => "run",
        }
    }
}

impl Evidence {
    /// Returns the commit under test: the merge, else the head.
    pub fn commit(&self) -> Option<&CommitId> {
        self.merge.as_ref().or(self.head.as_ref())
    }

    /// Whether both are about the same code: the same commits, the same known tree, and no uncommitted changes.
    pub fn same_code(&self, other: &Evidence) -> bool {
        self.tree.is_some()
            && !self.rehearsal
            && !other.rehearsal
            && !self.dirty
            && !other.dirty
            && (&self.head, &self.base, &self.merge, &self.tree)
                == (&other.head, &other.base, &other.merge, &other.tree)
    }

    /// Returns the parts that differ from `wanted`, in the order of the fields. Results without a difference are still valid.
    ///
    /// Null parts of `wanted` are not compared. Equal trees are the same code, so head, base and merge may then differ.
    pub fn stale_for(&self, wanted: &Evidence) -> Vec<Identity> {
        fn other<T: PartialEq>(found: &Option<T>, wanted: &Option<T>) -> bool {
            wanted.is_some() && found != wanted
        }
        let same_tree = wanted.tree.is_some() && self.tree == wanted.tree;
        [
            (Identity::Head, !same_tree && other(&self.head, &wanted.head)),
            (Identity::Base, !same_tree && other(&self.base, &wanted.base)),
            (Identity::Merge, !same_tree && other(&self.merge, &wanted.merge)),
            (Identity::Tree, other(&self.tree, &wanted.tree)),
            (Identity::Dirty, self.dirty && !wanted.dirty),
            (Identity::Rehearsal, self.rehearsal && !wanted.rehearsal),
            (Identity::Registry, other(&self.registry, &wanted.registry)),
            (Identity::Contract, other(&self.contract, &wanted.contract)),
            (
                Identity::Kernels,
                !wanted.kernels.is_empty() && self.kernels != wanted.kernels,
            ),
            (Identity::Image, other(&self.image, &wanted.image)),
            (Identity::Tool, other(&self.tool, &wanted.tool)),
            (Identity::Target, other(&self.target, &wanted.target)),
            (Identity::Run, other(&self.run, &wanted.run)),
        ]
        .into_iter()
        .filter_map(|(identity, differs)| differs.then_some(identity))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(merge: &str, tree: &str) -> Evidence {
        Evidence {
            head: "1".repeat(40).parse().ok(),
            merge: merge.repeat(40).parse().ok(),
            tree: tree.repeat(40).parse().ok(),
            contract: "c".repeat(64).parse().ok(),
            ..Evidence::default()
        }
    }

    #[test]
    fn stale_parts_are_listed() {
        let have = evidence("2", "3");
        assert_eq!(
            have.stale_for(&evidence("4", "5")),
            [Identity::Merge, Identity::Tree]
        );
        let mut edited = have.clone();
        edited.contract = "d".repeat(64).parse().ok();
        assert_eq!(have.stale_for(&edited), [Identity::Contract]);
        let dirty = Evidence {
            dirty: true,
            ..have.clone()
        };
        assert_eq!(dirty.stale_for(&have), [Identity::Dirty]);
    }

    #[test]
    fn equal_tree_keeps_results_valid() {
        assert_eq!(evidence("2", "3").stale_for(&evidence("4", "3")), []);
        assert_eq!(evidence("2", "3").stale_for(&Evidence::default()), []);
        assert_eq!(Evidence::default().stale_for(&evidence("2", "3")).len(), 4);
    }
}
