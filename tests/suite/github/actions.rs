//! Workflow runs, artifacts and `workflow_dispatch`.

use serde_json::Value;

use super::{DEFAULT_BRANCH, Rules, refuse};
use crate::driver::git;
use crate::fake_github::{Answer, State};

impl Rules {
    /// Adds a run by a person and returns its id.
    pub(super) fn start_run(
        &mut self,
        state: &mut State,
        workflow: &str,
        event: &str,
        sha: &str,
        branch: &str,
        actor: &str,
    ) -> u64 {
        let id = self.id();
        state.add_run(id, workflow, event, sha, branch);
        let run = state.runs.get_mut(&id).unwrap();
        (run["actor"]["login"], run["created_at"]) = (actor.into(), self.time().into());
        id
    }

    /// Returns the runs that a query selects, newest first.
    pub(super) fn select_runs(state: &State, workflow: Option<&str>, query: &str) -> Vec<Value> {
        let wanted = |name: &str| {
            query
                .split('&')
                .find_map(|p| p.strip_prefix(name)?.strip_prefix('='))
        };
        let mut found: Vec<Value> = state
            .runs
            .values()
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

    /// Answers `POST /actions/workflows/FILE/dispatches`: checks the inputs against the workflow of the ref.
    pub(super) fn dispatch(&mut self, workflow: &str, body: &Value, state: &mut State) -> Answer {
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
        self.start_run(state, workflow, "workflow_dispatch", &tip, &branch, &actor);
        (204, Value::Null, Vec::new())
    }
}
