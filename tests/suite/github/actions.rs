//! Workflow runs, artifacts and `workflow_dispatch`.

use serde_json::{Value, json};

use super::{DEFAULT_BRANCH, Rules, refuse};
use crate::driver::git;
use crate::fake_github::{Answer, REPOSITORY, State};

impl Rules {
    pub(super) fn start_run(
        &mut self,
        workflow: &str,
        event: &str,
        sha: &str,
        branch: &str,
        actor: &str,
    ) -> u64 {
        let id = self.id();
        self.runs.push(json!({
            "id": id, "name": workflow, "path": format!(".github/workflows/{workflow}"), "event": event,
            "head_sha": sha, "head_branch": branch, "run_attempt": 1, "status": "completed", "conclusion": "success",
            "actor": {"login": actor}, "repository": {"full_name": REPOSITORY}, "created_at": self.time(),
            "html_url": format!("https://github.example/{REPOSITORY}/actions/runs/{id}"),
        }));
        id
    }

    pub(super) fn upload(&mut self, run: u64, name: &str, content: &str) -> u64 {
        let id = self.id();
        let artifact = json!({
            "id": id, "name": name, "size_in_bytes": content.len(), "expired": false, "created_at": self.time(),
            "workflow_run": {"id": run},
        });
        self.artifacts.insert(id, (artifact, content.to_owned()));
        id
    }

    /// Returns the runs that a query selects, newest first.
    pub(super) fn select_runs(&self, workflow: Option<&str>, query: &str) -> Vec<Value> {
        let wanted = |name: &str| {
            query
                .split('&')
                .find_map(|p| p.strip_prefix(name)?.strip_prefix('='))
        };
        let mut found: Vec<Value> = self
            .runs
            .iter()
            .filter(|run| {
                [
                    ("head_sha", "head_sha"),
                    ("branch", "head_branch"),
                    ("event", "event"),
                    ("status", "status"),
                ]
                .iter()
                .all(|(name, key)| wanted(name).is_none_or(|value| run[key] == value))
                    && workflow.is_none_or(|name| run["name"] == name)
            })
            .cloned()
            .collect();
        found.reverse();
        found
    }

    pub(super) fn run(&self, id: u64) -> Option<&Value> {
        self.runs.iter().find(|run| run["id"] == id)
    }

    pub(super) fn artifacts_of(&self, run: u64) -> Vec<Value> {
        let all = self.artifacts.values().map(|(artifact, _)| artifact.clone());
        all.filter(|artifact| artifact["workflow_run"]["id"] == run)
            .collect()
    }

    pub(super) fn artifact(&self, id: u64) -> Option<&str> {
        self.artifacts.get(&id).map(|(_, content)| content.as_str())
    }

    /// Answers `POST /actions/workflows/FILE/dispatches`: checks the inputs against the workflow of the ref.
    pub(super) fn dispatch(&mut self, workflow: &str, body: &Value, state: &State) -> Answer {
        let branch = body["ref"]
            .as_str()
            .unwrap_or(DEFAULT_BRANCH)
            .trim_start_matches("refs/heads/")
            .to_owned();
        let Some(tip) = self.tip(&branch) else {
            return refuse(422, "No ref found for: ref");
        };
        let path = format!("{tip}:.github/workflows/{workflow}");
        if git(&self.repository, ["ls-tree", "-r", "--name-only", &tip])
            .lines()
            .all(|file| file != format!(".github/workflows/{workflow}"))
        {
            return refuse(404, "Not Found");
        }
        let text = git(&self.repository, ["show", &path]);
        let parsed: Value = serde_yaml::from_str(&text).unwrap_or_default();
        // YAML 1.1 reads the key `on` as true.
        let on = parsed
            .get("on")
            .or_else(|| parsed.get("true"))
            .cloned()
            .unwrap_or_default();
        let Some(trigger) = on.get("workflow_dispatch") else {
            return refuse(422, "Workflow does not have 'workflow_dispatch' trigger");
        };
        let declared = &trigger["inputs"];
        for (name, value) in body["inputs"].as_object().into_iter().flatten() {
            let Some(input) = declared.get(name) else {
                return refuse(422, &format!("Unexpected inputs provided: [\"{name}\"]"));
            };
            if let Some(options) = input["options"].as_array()
                && !options.contains(value)
            {
                return refuse(
                    422,
                    &format!("Provided value {value} for input '{name}' not in the list of allowed values"),
                );
            }
        }
        let actor = state.login.clone();
        self.start_run(workflow, "workflow_dispatch", &tip, &branch, &actor);
        (204, Value::Null, Vec::new())
    }
}
