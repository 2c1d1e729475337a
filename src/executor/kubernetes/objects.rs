//! Defines what is read of the objects of a cluster, and what they say about a job.
//!
//! Must not send requests.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::executor::scheduler::{End, State};

/// The annotation with the number of a pod in its job.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// A list of objects, and the version of the cluster's data at that time.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub struct List<T> {
    #[serde(default)]
    pub metadata: Metadata,
    pub items: Vec<T>,
}

/// The metadata of an object.
#[derive(Clone, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    pub name: String,
    pub uid: String,
    pub resource_version: String,
    pub annotations: BTreeMap<String, String>,
}

/// A job.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct JobObject {
    pub metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    suspend: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    active: u32,
    conditions: Vec<Condition>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
    reason: String,
}

impl JobObject {
    /// Whether pods of the job run.
    pub fn is_active(&self) -> bool {
        self.status.active > 0
    }

    /// Returns the state of the job. A job that is suspended after its pods had run will be started again.
    pub fn state(&self, was_active: bool) -> State {
        for condition in self.status.conditions.iter().filter(|c| c.status == "True") {
            match (condition.r#type.as_str(), condition.reason.as_str()) {
                ("Complete", _) => return State::Ended(End::Completed),
                ("Failed", "DeadlineExceeded") => return State::Ended(End::TimedOut),
                // The rule of the manifest for pods that are evicted or preempted.
                ("Failed", "PodFailurePolicy") => return State::Ended(End::Lost),
                ("Failed", _) => return State::Ended(End::Failed),
                _ => {}
            }
        }
        match was_active && self.spec.suspend {
            true => State::Restarted,
            false => State::Active,
        }
    }
}

/// A pod.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Pod {
    metadata: Metadata,
}

impl Pod {
    /// Returns the name, if it can be a part of a path.
    pub fn name(&self) -> Option<&str> {
        let name = self.metadata.name.as_str();
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        (!name.is_empty() && name.bytes().all(is_plain)).then_some(name)
    }

    /// Returns the number of the rank.
    pub fn rank(&self) -> Option<u32> {
        self.metadata.annotations.get(INDEX)?.parse().ok()
    }
}

/// One event of a watch.
#[derive(Deserialize)]
pub struct WatchEvent {
    pub r#type: String,
    pub object: Value,
}

/// What a server lists about a group of objects.
#[derive(Deserialize)]
pub struct Resources {
    pub resources: Vec<Resource>,
}

/// One kind of objects, and what can be done with them.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Resource {
    pub name: String,
    pub verbs: Vec<String>,
}

/// The groups of a server.
#[derive(Deserialize)]
pub struct Groups {
    pub groups: Vec<Metadata>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_jobs_are_read() {
        let state = |status: Value, suspend: bool, was_active: bool| {
            let job = serde_json::json!({"metadata": {"name": "x"}, "spec": {"suspend": suspend}, "status": status});
            serde_json::from_value::<JobObject>(job)
                .unwrap()
                .state(was_active)
        };
        let ended = |kind: &str, reason: &str, status: &str| {
            let condition = serde_json::json!({"type": kind, "reason": reason, "status": status});
            state(serde_json::json!({"conditions": [condition]}), false, true)
        };
        assert_eq!(ended("Complete", "", "True"), State::Ended(End::Completed));
        assert_eq!(ended("Complete", "", "False"), State::Active);
        assert_eq!(ended("SuccessCriteriaMet", "", "True"), State::Active);
        assert_eq!(
            ended("FailureTarget", "BackoffLimitExceeded", "True"),
            State::Active
        );
        assert_eq!(
            ended("Failed", "BackoffLimitExceeded", "True"),
            State::Ended(End::Failed)
        );
        assert_eq!(
            ended("Failed", "DeadlineExceeded", "True"),
            State::Ended(End::TimedOut)
        );
        assert_eq!(
            ended("Failed", "PodFailurePolicy", "True"),
            State::Ended(End::Lost)
        );
        let none = serde_json::json!({});
        assert_eq!(state(none.clone(), true, false), State::Active);
        assert_eq!(state(none, true, true), State::Restarted);
    }
}
