//! Renders the manifest of a job: the template of the base for placement, resources and volumes, and the rest from here.
//!
//! A template can only have the fields of a list, so it cannot give a pod the host, a token, a secret or more rights.

use minijinja::UndefinedBehavior;
use minijinja::value::Serde;
use serde_json::{Map, Value, json};

use crate::domain::container::digest;
use crate::domain::executor::KubernetesOptions;
use crate::executor::scheduler::{Job, SchedulerError};

/// The template, if the executor names no other.
const TEMPLATE: &str = include_str!("../../../templates/kubernetes.yaml");

/// The fields of a template, with everything below them. `[]` stands for each entry of a list.
pub const FIELDS: [&str; 22] = [
    "apiVersion",
    "kind",
    "metadata.annotations",
    "metadata.labels",
    "spec.template.metadata.annotations",
    "spec.template.metadata.labels",
    "spec.template.spec.affinity",
    "spec.template.spec.containers[].resources",
    "spec.template.spec.containers[].volumeMounts",
    "spec.template.spec.imagePullSecrets",
    "spec.template.spec.nodeSelector",
    "spec.template.spec.priorityClassName",
    "spec.template.spec.resourceClaims",
    "spec.template.spec.runtimeClassName",
    "spec.template.spec.schedulerName",
    "spec.template.spec.securityContext.fsGroup",
    "spec.template.spec.securityContext.supplementalGroups",
    "spec.template.spec.tolerations",
    "spec.template.spec.topologySpreadConstraints",
    "spec.template.spec.volumes[].emptyDir",
    "spec.template.spec.volumes[].name",
    "spec.template.spec.volumes[].persistentVolumeClaim",
];

/// What a manifest is made of, in addition to the job.
pub struct Manifest<'a> {
    pub options: &'a KubernetesOptions,
    /// The text of the template; `None` means the template of nmoe-gates.
    pub template: Option<&'a str>,
    /// The variables of the gate.
    pub variables: &'a [(String, String)],
    /// The user and the group of the pods.
    pub user: (u32, u32),
    /// The longest time of the job, the queue included.
    pub deadline: Option<u64>,
}

impl Manifest<'_> {
    /// Returns the manifest of a job.
    ///
    /// # Errors
    /// The template cannot be rendered, or has a field that is not allowed.
    pub fn render(&self, job: &Job<'_>) -> Result<Value, SchedulerError> {
        let failed = SchedulerError::Template;
        let mut environment = minijinja::Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let text = environment
            .render_str(
                self.template.unwrap_or(TEMPLATE),
                minijinja::Value::from(Serde(json!({
                    "name": job.name,
                    "nodes": job.nodes,
                    "gpus": job.gpus,
                    "resources": self.resources(job),
                    "claim": self.options.claim,
                    "mount": self.options.mount,
                }))),
            )
            .map_err(|error| failed(error.to_string()))?;
        let mut manifest: Value = serde_yaml::from_str(&text).map_err(|error| failed(error.to_string()))?;
        if let Some(field) = forbidden(&manifest, "") {
            return Err(failed(format!("the field `{field}` is not allowed")));
        }
        let container = match manifest.pointer_mut("/spec/template/spec/containers") {
            Some(Value::Array(list)) if list.len() == 1 => list.remove(0),
            _ => return Err(failed("the pod has not one container".to_owned())),
        };
        merge(&mut manifest, self.own(job, container));
        Ok(manifest)
    }

    /// Returns the resources of each pod.
    fn resources(&self, job: &Job<'_>) -> Value {
        let mut limits = Map::new();
        let options = self.options;
        for (name, value) in [("cpu", &options.cpu), ("memory", &options.memory)] {
            if let Some(value) = value {
                limits.insert(name.to_owned(), value.as_str().into());
            }
        }
        if job.gpus > 0 {
            let gpu = options.gpu.as_ref().map_or("nvidia.com/gpu", |gpu| gpu.as_str());
            limits.insert(gpu.to_owned(), job.gpus.to_string().into());
        }
        json!({ "limits": limits })
    }

    /// Returns the fields that a template cannot have.
    fn own(&self, job: &Job<'_>, mut container: Value) -> Value {
        let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let image = &self.options.image;
        let of_field =
            |name: &str, field: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}});
        let mut variables = vec![
            of_field("NODE_NAME", "spec.nodeName"),
            of_field("POD_IP", "status.podIP"),
            json!({"name": "HOME", "value": "/tmp"}),
            json!({"name": "NMOE_IMAGE_DIGEST", "value": digest(image).unwrap_or_default()}),
        ];
        let of_gate = self.variables.iter();
        variables.extend(of_gate.map(|(name, value)| json!({"name": name, "value": value})));
        merge(
            &mut container,
            json!({
                "name": "gate",
                "image": image,
                "command": [path(job.program), "run-rank", path(job.folder.path())],
                "env": variables,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "privileged": false,
                },
            }),
        );
        let mut own = json!({
            "metadata": {
                "name": job.name,
                "labels": {"app.kubernetes.io/managed-by": "nmoe-gates"},
            },
            "spec": {
                "completionMode": "Indexed",
                "completions": job.nodes,
                "parallelism": job.nodes,
                "suspend": self.options.queue.is_some(),
                // A pod is never started again. The end of the pods after a day is for a job whose submitter died.
                "backoffLimit": 0,
                "ttlSecondsAfterFinished": 86_400,
                "podFailurePolicy": {"rules": [{
                    "action": "FailJob",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                }]},
                "template": {"spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "hostNetwork": false,
                    "hostPID": false,
                    "hostIPC": false,
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": self.user.0,
                        "runAsGroup": self.user.1,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                }},
            },
        });
        if let Some(queue) = &self.options.queue {
            own["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = queue.as_str().into();
        }
        if let Some(deadline) = self.deadline {
            own["spec"]["activeDeadlineSeconds"] = deadline.into();
        }
        own
    }
}

/// Returns the first field that is not in the list.
fn forbidden(value: &Value, path: &str) -> Option<String> {
    if FIELDS.contains(&path) {
        return None;
    }
    match value {
        Value::Object(fields) if !fields.is_empty() => fields.iter().find_map(|(name, value)| {
            let dot = if path.is_empty() { "" } else { "." };
            forbidden(value, &format!("{path}{dot}{name}"))
        }),
        Value::Array(entries) if !entries.is_empty() => entries
            .iter()
            .find_map(|entry| forbidden(entry, &format!("{path}[]"))),
        _ => Some(path.to_owned()),
    }
}

/// Adds fields to an object. Fields that are in both must be objects, or the added one counts.
fn merge(target: &mut Value, added: Value) {
    match (target, added) {
        (Value::Object(target), Value::Object(added)) => {
            for (name, value) in added {
                merge(target.entry(name).or_insert(Value::Null), value);
            }
        }
        (target, added) => *target = added,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_has_listed_fields_only() {
        let pod =
            |spec: &str| format!("apiVersion: batch/v1\nkind: Job\nspec: {{template: {{spec: {spec}}}}}");
        for (spec, field) in [
            (
                "{nodeSelector: {pool: gates}, tolerations: [{operator: Exists}]}",
                None,
            ),
            (
                "{volumes: [{name: a, emptyDir: {medium: Memory}}], containers: [{resources: {}}]}",
                None,
            ),
            ("{hostNetwork: true}", Some("hostNetwork")),
            ("{hostPID: true}", Some("hostPID")),
            ("{serviceAccountName: admin}", Some("serviceAccountName")),
            ("{nodeName: n1}", Some("nodeName")),
            (
                "{automountServiceAccountToken: true}",
                Some("automountServiceAccountToken"),
            ),
            ("{initContainers: [{image: x}]}", Some("initContainers[].image")),
            (
                "{securityContext: {runAsUser: 0}}",
                Some("securityContext.runAsUser"),
            ),
            (
                "{containers: [{securityContext: {privileged: true}}]}",
                Some("containers[].securityContext.privileged"),
            ),
            ("{containers: [{image: other}]}", Some("containers[].image")),
            (
                "{containers: [{envFrom: [{secretRef: {name: s}}]}]}",
                Some("containers[].envFrom[].secretRef.name"),
            ),
            (
                "{volumes: [{name: h, hostPath: {path: /}}]}",
                Some("volumes[].hostPath.path"),
            ),
            (
                "{volumes: [{name: s, secret: {secretName: s}}]}",
                Some("volumes[].secret.secretName"),
            ),
            ("{volumes: [{name: h, hostPath: {}}]}", Some("volumes[].hostPath")),
        ] {
            let manifest: Value = serde_yaml::from_str(&pod(spec)).unwrap();
            let wanted = field.map(|field| format!("spec.template.spec.{field}"));
            assert_eq!(forbidden(&manifest, ""), wanted, "{spec}");
        }
    }
}
