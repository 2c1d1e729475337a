//! Defines where gates run: the tables `[executor.NAME]` of the registry.
//!
//! Must not submit anything, and must not depend on the programs of a site.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::ids::JobOption;
use crate::domain::is_default;

/// Where gates run. Registry and template come from the base, so a change cannot decide this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Executor {
    /// What runs the gates.
    pub kind: ExecutorKind,
    /// Template of the job in the policy checkout; absent means the template of nmoe-gates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The longest time that a job may wait in the queue, in seconds.
    #[serde(default = "Executor::default_queue_s")]
    pub queue_s: u64,
    /// The shortest time between two questions about a job, in seconds.
    #[serde(default = "Executor::default_poll_s")]
    pub poll_s: u64,
    /// Options of `sbatch` that the site needs. Other options are errors.
    #[serde(default, skip_serializing_if = "is_default")]
    pub slurm: SlurmOptions,
    /// The pods of a job of Kubernetes. Required by `kind = "kubernetes"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesOptions>,
}

impl Executor {
    fn default_queue_s() -> u64 {
        86_400
    }

    fn default_poll_s() -> u64 {
        5
    }
}

/// What runs the gates of an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExecutorKind {
    /// The machine where `run` runs.
    Local,
    /// A job of SLURM with one task on each node.
    Slurm,
    /// An Indexed Job of Kubernetes with one pod on each node.
    Kubernetes,
}

impl ExecutorKind {
    /// Returns the name in the registry and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            ExecutorKind::Local => "local",
            ExecutorKind::Slurm => "slurm",
            ExecutorKind::Kubernetes => "kubernetes",
        }
    }
}

/// The options of `sbatch` that a registry can set. Each is the option of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SlurmOptions {
    /// The account that pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<JobOption>,
    /// The partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<JobOption>,
    /// The quality of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<JobOption>,
    /// Features that the nodes must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<JobOption>,
    /// The reservation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation: Option<JobOption>,
    /// The generic resource of one GPU; absent means `gpu`. The number of GPUs follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gres: Option<JobOption>,
    /// Memory of each node, such as `64G`; `0` means all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem: Option<JobOption>,
    /// CPU cores of each node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus_per_task: Option<u32>,
    /// Whether no other job may use the nodes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exclusive: bool,
}

/// The pods of a job of Kubernetes. The namespace is not here, because a registry is public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesOptions {
    /// The image of the pods by digest, `NAME@sha256:…`. It must contain bash and git.
    pub image: String,
    /// The persistent volume claim with the checkouts and the results. All pods and `run` must see it.
    pub claim: JobOption,
    /// Where the claim is mounted. The path is the same in the pods and for `run`.
    pub mount: JobOption,
    /// The queue of Kueue. With a queue, the job is created suspended, and Kueue starts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<JobOption>,
    /// The resource of one GPU; absent means `nvidia.com/gpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<JobOption>,
    /// CPU cores of each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<JobOption>,
    /// Memory of each pod, such as `64Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<JobOption>,
    /// The numeric user of the pods, not 0; absent means the user of `run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
}
