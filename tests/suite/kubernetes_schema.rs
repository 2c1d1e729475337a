//! Checks requests against the part of Kubernetes' OpenAPI description in tests/fixtures/kubernetes/schema.json.

use serde_json::{Map, Value};

const SCHEMA: &str = include_str!("../fixtures/kubernetes/schema.json");

/// The paths, parameters and objects of the API.
pub struct Schema(Value);

impl Schema {
    pub fn new() -> Self {
        Schema(serde_json::from_str(SCHEMA).unwrap())
    }

    /// Returns what is wrong with a request.
    pub fn complaints(&self, method: &str, target: &str, body: &Value) -> Vec<String> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let requests = self.0["requests"].as_object().unwrap();
        let found = requests.iter().find(|(request, _)| {
            let (wanted, template) = request.split_once(' ').unwrap();
            wanted == method && is_path(template, path)
        });
        let Some((_, request)) = found else {
            return vec![format!("{method} {path} is not a request of Kubernetes")];
        };
        let known = request["query"].as_array().unwrap();
        let mut complaints: Vec<String> = query
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| part.split_once('=').map_or(part, |(name, _)| name))
            .filter(|name| !known.iter().any(|parameter| parameter == name))
            .map(|name| format!("{method} {path} has no parameter {name}"))
            .collect();
        match request["body"].as_str() {
            Some(object) if !body.is_null() => {
                self.check(&self.0["objects"][object], body, "body", &mut complaints);
            }
            _ if !body.is_null() => complaints.push(format!("{method} {path} has no body")),
            _ => {}
        }
        complaints
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, complaints: &mut Vec<String>) {
        if let Some(object) = schema["$ref"].as_str() {
            return self.check(&self.0["objects"][object], value, at, complaints);
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let fits = |choice: &&Value| {
                let mut wrong = Vec::new();
                self.check(choice, value, at, &mut wrong);
                wrong.is_empty()
            };
            if choices.iter().filter(fits).count() == 0 {
                complaints.push(format!("{at}: {value} fits no choice"));
            }
            return;
        }
        let types = match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            Value::String(one) => vec![one.as_str()],
            _ => Vec::new(),
        };
        // The program never sends null, so a null is a mistake.
        let has_type = types.is_empty()
            || types
                .iter()
                .any(|wanted| *wanted != "null" && is_of_type(value, wanted));
        let is_listed = schema["enum"].as_array().is_none_or(|list| list.contains(value));
        if !has_type || !is_listed {
            complaints.push(format!("{at}: {value} is not {types:?} {}", schema["enum"]));
            return;
        }
        if let Some(fields) = value.as_object() {
            self.check_fields(schema, fields, at, complaints);
        }
        for (number, entry) in value.as_array().into_iter().flatten().enumerate() {
            self.check(&schema["items"], entry, &format!("{at}[{number}]"), complaints);
        }
    }

    fn check_fields(
        &self,
        schema: &Value,
        fields: &Map<String, Value>,
        at: &str,
        complaints: &mut Vec<String>,
    ) {
        for required in schema["required"].as_array().into_iter().flatten() {
            if !fields.contains_key(required.as_str().unwrap()) {
                complaints.push(format!("{at}: {required} is missing"));
            }
        }
        for (name, value) in fields {
            let place = format!("{at}.{name}");
            match (schema["properties"].get(name), &schema["additionalProperties"]) {
                (Some(field), _) => self.check(field, value, &place, complaints),
                (None, more @ Value::Object(_)) => self.check(more, value, &place, complaints),
                (None, _) => complaints.push(format!("{place} is unknown")),
            }
        }
    }
}

fn is_path(template: &str, path: &str) -> bool {
    let (wanted, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    wanted.len() == given.len()
        && wanted
            .iter()
            .zip(given)
            .all(|(wanted, given)| *wanted == given || (wanted.starts_with('{') && !given.is_empty()))
}

fn is_of_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    }
}

#[test]
fn wrong_requests_to_kubernetes_are_found() {
    let schema = Schema::new();
    let jobs = "/apis/batch/v1/namespaces/x/jobs";
    let job = |spec: Value| serde_json::json!({"apiVersion": "batch/v1", "kind": "Job", "spec": spec});
    let pod = |container: Value| {
        job(serde_json::json!({"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}))
    };
    let good = pod(serde_json::json!({"name": "a", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}));
    assert_eq!(schema.complaints("POST", jobs, &good), Vec::<String>::new());
    for (method, path, body) in [
        (
            "POST",
            jobs,
            job(serde_json::json!({"template": {}, "completion": 2})),
        ),
        (
            "POST",
            jobs,
            job(serde_json::json!({"template": {}, "completions": "2"})),
        ),
        ("POST", jobs, job(serde_json::json!({"completions": 2}))),
        ("POST", jobs, pod(serde_json::json!({"image": "a"}))),
        (
            "POST",
            jobs,
            pod(serde_json::json!({"name": "a", "env": [{"name": "A", "value": 1}]})),
        ),
        (
            "POST",
            jobs,
            pod(serde_json::json!({"name": "a", "resources": {"limits": {"cpu": []}}})),
        ),
        (
            "POST",
            jobs,
            serde_json::json!({"apiVersion": "batch/v2", "kind": "Job"}),
        ),
        ("PATCH", jobs, Value::Null),
        ("GET", "/apis/batch/v1/namespaces//jobs", Value::Null),
        (
            "GET",
            "/apis/batch/v1/namespaces/x/jobs?watching=true",
            Value::Null,
        ),
        ("GET", jobs, serde_json::json!({})),
    ] {
        assert_eq!(
            schema.complaints(method, path, &body).len(),
            1,
            "{method} {path} {body}"
        );
    }
}
