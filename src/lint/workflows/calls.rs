//! Follows calls between the workflows of a repository: a called workflow has the event, the inputs and the rights of its callers.

use std::collections::BTreeMap;

use crate::document::node::Node;
use crate::lint::workflows::expression::UNKNOWN;
use crate::lint::workflows::flow::Events;
use crate::lint::workflows::job::{self, Actions, Job, Setting};

/// The number of calls that GitHub follows from a workflow, and more.
const MAX_DEPTH: usize = 11;

/// Returns the path of a workflow inside its repository.
pub(super) fn path_of(name: &str) -> Option<String> {
    let name = name.replace('\\', "/");
    let at = name.rfind(".github/workflows/")?;
    Some(name[at..].to_owned())
}

/// What the callers of a workflow give to it.
#[derive(Default)]
struct Given {
    setting: Setting,
    /// The possible values of each input, over all callers.
    values: BTreeMap<String, Vec<String>>,
    is_unlimited: bool,
}

/// Returns the setting of each workflow. A workflow that none of these calls can be called by anyone.
pub(super) fn settings(files: &[(Option<String>, &Node)], actions: &Actions) -> Vec<Setting> {
    let mut settings: Vec<Setting> = files
        .iter()
        .map(|(path, tree)| alone(path.as_deref(), tree, files))
        .collect();
    for _ in 0..MAX_DEPTH {
        let mut given: BTreeMap<String, Given> = BTreeMap::new();
        for ((_, tree), setting) in files.iter().zip(&settings) {
            if !calls_locally(tree) {
                continue;
            }
            for job in job::all(tree, setting, actions) {
                let Some(callee) = job.calls.as_ref().and_then(|(uses, _)| job::local(uses)) else {
                    continue;
                };
                given.entry(callee.to_owned()).or_default().add(&job, setting);
            }
        }
        let next: Vec<Setting> = files
            .iter()
            .map(|(path, tree)| {
                let own = alone(path.as_deref(), tree, files);
                match path.as_ref().and_then(|path| given.get(path)) {
                    Some(given) => given.merged(own, tree),
                    None => own,
                }
            })
            .collect();
        let is_stable = next == settings;
        settings = next;
        if is_stable {
            break;
        }
    }
    settings
}

/// Returns the setting of a workflow without what its callers give.
fn alone(path: Option<&str>, tree: &Node, files: &[(Option<String>, &Node)]) -> Setting {
    let mut events = Events::of(tree);
    let is_called = path.is_some_and(|path| {
        files
            .iter()
            .any(|(_, tree)| calls(tree).any(|uses| job::local(uses) == Some(path)))
    });
    events.is_open &= !is_called;
    Setting {
        inputs: choices(tree),
        events,
        permissions: None,
        labels: Vec::new(),
    }
}

fn calls(tree: &Node) -> impl Iterator<Item = &str> {
    let jobs = tree.get("jobs").map(Node::entries).unwrap_or_default().iter();
    jobs.filter_map(|job| job.node.get("uses")?.text())
}

fn calls_locally(tree: &Node) -> bool {
    calls(tree).any(|uses| job::local(uses).is_some())
}

/// Returns the inputs of `workflow_dispatch` that have a closed list of values.
fn choices(tree: &Node) -> Vec<(String, Vec<String>)> {
    let inputs = tree
        .at(&["on", "workflow_dispatch", "inputs"])
        .map(Node::entries)
        .unwrap_or_default();
    inputs
        .iter()
        .filter_map(|input| {
            let options: Vec<String> = input
                .node
                .get("options")?
                .texts()
                .map(|(text, _)| text.to_owned())
                .collect();
            Some((input.key.clone(), options))
        })
        .collect()
}

impl Given {
    fn add(&mut self, job: &Job, caller: &Setting) {
        let events = &mut self.setting.events;
        events.names.extend(caller.events.names.iter().cloned());
        events.is_open |= caller.events.is_open;
        for (name, values, is_change) in &job.given {
            if *is_change {
                events.inputs.insert(name.clone());
            }
            let known = self.values.entry(name.clone()).or_default();
            known.extend(values.iter().cloned());
            known.sort();
            known.dedup();
        }
        let Some(permissions) = &job.permissions else {
            self.is_unlimited = true;
            return;
        };
        let passed = self.setting.permissions.get_or_insert_default();
        passed.extend(
            permissions
                .iter()
                .map(|(name, value, _)| (name.clone(), value.clone())),
        );
        passed.sort();
        passed.dedup();
    }

    fn merged(&self, own: Setting, tree: &Node) -> Setting {
        let mut setting = self.setting.clone();
        setting.events.names.extend(own.events.names);
        if self.is_unlimited {
            setting.permissions = None;
        }
        setting.inputs = own.inputs;
        for (name, values) in &self.values {
            let path = ["on", "workflow_call", "inputs", name, "default"];
            let default = tree.at(&path).and_then(Node::text).map(str::to_owned);
            let by_hand = tree.at(&["on", "workflow_dispatch", "inputs", name]).is_some();
            let unknown = by_hand.then(|| UNKNOWN.to_string());
            let mut values: Vec<String> = values.iter().cloned().chain(default).chain(unknown).collect();
            values.dedup();
            setting.inputs.retain(|(input, _)| input != name);
            setting.inputs.push((name.clone(), values));
        }
        setting
    }
}
