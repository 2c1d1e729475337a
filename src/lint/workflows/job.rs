//! Reads a job of a workflow as far as the rules need: its runner, its permissions, and the code of a change that it takes.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::node::{Entry, Node};
use crate::document::source::Span;
use crate::lint::workflows::expression::{Scope, dotted};
use crate::lint::workflows::flow::{self, Events, Flow, all_text};
use crate::lint::workflows::runner::{self, Runner};
use crate::lint::workflows::shell::{SCRIPT_INPUT, has};

/// What is known about a workflow besides its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) events: Events,
    /// The possible values of the inputs, as far as files of the repository determine them.
    pub(super) inputs: Vec<(String, Vec<String>)>,
    /// The permissions that the callers pass on.
    pub(super) permissions: Option<Vec<(String, String)>>,
    /// The labels of own runners.
    pub(super) labels: Vec<String>,
}

/// The actions of the repository by folder, and its workflows by path.
pub(super) type Actions = BTreeMap<String, Node>;

/// A job of a workflow.
pub(super) struct Job {
    pub(super) id: String,
    /// The possible names of its check run.
    pub(super) names: Vec<String>,
    /// Where its name is.
    pub(super) name_span: Span,
    /// Labels of runners that GitHub does not host. Only the owner of the repository knows these runners.
    pub(super) labels: Vec<String>,
    pub(super) runner: Runner,
    /// The environment whose approval the job waits for.
    pub(super) environment: Option<String>,
    /// Whether the workflow runs on `pull_request`, so that the running commit is the change merged into its base.
    pub(super) on_change: bool,
    /// Whether the job certainly runs on `merge_group`, so that the running commit contains the change.
    in_queue: bool,
    /// Where the job uses a secret.
    pub(super) secret: Option<Span>,
    /// The workflow that the job calls.
    pub(super) calls: Option<(String, Span)>,
    /// The inputs of the workflow that the job calls: name, possible values, and whether a change controls them.
    pub(super) given: Vec<(String, Vec<String>, bool)>,
    /// The effective permissions: those of the job, else those of the workflow.
    pub(super) permissions: Option<Vec<(String, String, Span)>>,
    pub(super) steps: Vec<Step>,
    /// What the job takes of a change outside its steps: an image, or a call.
    pub(super) taken: Vec<Taken>,
    /// The outputs that a change controls.
    outputs: BTreeSet<String>,
}

/// A step of a job.
pub(super) struct Step {
    pub(super) uses: Option<(String, Span)>,
    /// The text of `run`, and of `script` of an action that has such an input.
    pub(super) scripts: Vec<Span>,
    /// Every text of `run`, `with` and `env`.
    pub(super) texts: Vec<Span>,
    /// What the step takes of a change.
    pub(super) change: Option<Taken>,
    /// Whether the step calls this program: it has its input `command`.
    pub(super) is_ours: bool,
}

/// What a job takes of a change.
pub(super) struct Taken {
    pub(super) span: Span,
    /// What the job does, for messages.
    pub(super) what: &'static str,
    /// Whether the ref is a name instead of a commit.
    pub(super) moving: bool,
    /// Whether the event gives the job the rights of the repository.
    pub(super) is_privileged: bool,
    /// Whether the code is in the merge queue: people with write access put it there.
    pub(super) from_queue: bool,
    /// Whether `persist-credentials` is `false`, or the checkout stores no token.
    pub(super) drops_credential: bool,
    /// Whether the checkout is at the root of the workspace instead of in a separate folder.
    pub(super) at_root: bool,
}

/// The start of a reference to an action of the workflow's own repository at the running commit.
pub(super) const SELF: &str = "$/";

/// Returns the path of an action or workflow of the workflow's own repository.
pub(super) fn local(uses: &str) -> Option<&str> {
    uses.strip_prefix("./").or_else(|| uses.strip_prefix(SELF))
}

/// The number of rounds in which outputs are followed from job to job.
const ROUNDS: usize = 8;

/// Reads the jobs of a workflow.
pub(super) fn all(tree: &Node, setting: &Setting, actions: &Actions) -> Vec<Job> {
    let (mut outputs, mut shares) = (BTreeSet::new(), false);
    let entries = tree.get("jobs").map(Node::entries).unwrap_or_default();
    let mut round = 0;
    loop {
        let reader = Reader {
            tree,
            setting,
            actions,
            outputs: &outputs,
            shares,
        };
        let jobs: Vec<Job> = entries.iter().map(|entry| reader.job(entry)).collect();
        let now: BTreeSet<String> = jobs.iter().flat_map(|job| job.outputs.iter().cloned()).collect();
        let shares_now = jobs.iter().any(Job::shares_change);
        round += 1;
        if (now == outputs && shares_now == shares) || round == ROUNDS {
            return jobs;
        }
        (outputs, shares) = (now, shares_now);
    }
}

/// Reads the jobs of one workflow.
struct Reader<'a> {
    tree: &'a Node,
    setting: &'a Setting,
    actions: &'a Actions,
    /// Outputs of jobs that stand for a change, such as `needs.x.outputs.y`.
    outputs: &'a BTreeSet<String>,
    /// Whether a job of the run works with a change and uploads artifacts.
    shares: bool,
}

impl Reader<'_> {
    fn job(&self, entry: &Entry) -> Job {
        let (tree, node) = (self.tree, &entry.node);
        let events = &self.setting.events;
        let on_change = events.on_change();
        let matrix = node.at(&["strategy", "matrix"]);
        let scope = Scope {
            matrix,
            inputs: &self.setting.inputs,
            env: [tree.get("env"), node.get("env")],
        };
        let (labels, runner) = runner::of(node.get("runs-on"), scope, &self.setting.labels, || {
            mentions_own(tree)
        });
        let own = on_change && runner != Runner::Hosted;
        let mut flow = Flow::of(events, own, self.outputs);
        flow.in_queue = events.has("merge_group") && runs_in_queue(node);
        flow.define(tree.get("env"), "env");
        if let Some(matrix) = matrix {
            flow.define_matrix(matrix);
        }
        flow.define(node.get("env"), "env");
        let calls = used(node);
        let mut taken: Vec<Taken> = [node.get("container"), node.get("services")]
            .into_iter()
            .flatten()
            .filter_map(|image| self.image(image, &flow))
            .collect();
        let given = given(node.get("with"), scope, &flow);
        taken.extend(
            calls
                .as_ref()
                .and_then(|calls| self.call(calls, node.get("with"), &flow)),
        );
        let steps = node.get("steps").map(Node::items).unwrap_or_default();
        let steps = steps.iter().map(|step| self.step(step, &mut flow)).collect();
        let outputs = node.get("outputs").map(Node::entries).unwrap_or_default();
        let changed = outputs
            .iter()
            .filter(|output| flow.is_change(&all_text(&output.node)));
        let name = node.get("name");
        Job {
            id: entry.key.clone(),
            names: name
                .and_then(Node::text)
                .map_or_else(|| vec![entry.key.clone()], |name| scope.values(name)),
            name_span: name.map_or(entry.key_span.clone(), |name| name.span.clone()),
            labels,
            runner,
            environment: named(node.get("environment")),
            on_change,
            in_queue: flow.in_queue,
            secret: secret(node).or_else(|| tree.get("env").and_then(secret)),
            calls,
            given,
            permissions: self.permissions(entry),
            steps,
            taken,
            outputs: changed
                .map(|output| format!("needs.{}.outputs.{}", entry.key, output.key))
                .collect(),
        }
    }

    fn permissions(&self, job: &Entry) -> Option<Vec<(String, String, Span)>> {
        let own = job
            .node
            .get("permissions")
            .or_else(|| self.tree.get("permissions"));
        own.map(permissions).or_else(|| {
            let passed = self.setting.permissions.as_ref()?.iter();
            Some(
                passed
                    .map(|(name, value)| (name.clone(), value.clone(), job.key_span.clone()))
                    .collect(),
            )
        })
    }

    /// Reads an image, or the images of services, that a change names.
    fn image(&self, node: &Node, flow: &Flow<'_>) -> Option<Taken> {
        let is_image = |node: &&Node| {
            let image = node.get("image").unwrap_or(node);
            image.text().is_some_and(|text| flow.is_change(text))
        };
        let services = node.entries().iter().map(|entry| &entry.node);
        let services = services.filter(|service| service.get("image").is_some());
        let span = std::iter::once(node).chain(services).find(is_image)?;
        Some(self.taken(span.span.clone(), "uses an image that a change names"))
    }

    /// Reads a call that passes a change to a workflow of another repository, or to one that is not known.
    fn call(&self, calls: &(String, Span), with: Option<&Node>, flow: &Flow<'_>) -> Option<Taken> {
        let local = local(&calls.0);
        let is_known = local.is_some_and(|path| self.actions.contains_key(path));
        let given = with?.entries().iter().find(|entry| {
            let text = all_text(&entry.node);
            flow.is_change(&text) && (local.is_some() || flow::names_code(&text))
        })?;
        (!is_known).then(|| {
            self.taken(
                given.node.span.clone(),
                "passes a change to a workflow that is not checked here",
            )
        })
    }

    fn taken(&self, span: Span, what: &'static str) -> Taken {
        Taken {
            span,
            what,
            moving: false,
            from_queue: false,
            is_privileged: self.setting.events.are_privileged(),
            drops_credential: true,
            at_root: true,
        }
    }

    fn step(&self, node: &Node, flow: &mut Flow<'_>) -> Step {
        let uses = used(node);
        let scripts: Vec<Span> = [node.get("run"), node.at(&["with", "script"])]
            .into_iter()
            .flatten()
            .map(|n| n.span.clone())
            .collect();
        Step {
            change: self.change(node, uses.as_ref(), flow),
            uses,
            scripts,
            texts: ["run", "with", "env"]
                .iter()
                .filter_map(|key| node.get(key))
                .flat_map(spans)
                .collect(),
            is_ours: node.at(&["with", "command"]).is_some(),
        }
    }

    /// Reads what a step takes of a change, and takes over what it sets.
    fn change(&self, node: &Node, uses: Option<&(String, Span)>, flow: &mut Flow<'_>) -> Option<Taken> {
        const WITH_FILES: &str = "runs files of an untrusted workflow run";
        flow.define(node.get("env"), "env");
        let (id, with) = (node.get("id").and_then(Node::text), node.get("with"));
        let action = uses
            .map(|(uses, _)| uses.to_ascii_lowercase())
            .unwrap_or_default();
        let name = action.split('@').next().unwrap_or_default();
        let mut found = (name.ends_with("checkout") || name.ends_with("clone"))
            .then(|| self.checkout(node, flow))
            .flatten();
        if name.contains("download") && name.contains("artifact") {
            flow.download_by(with, self.shares);
        } else if let Some((uses, span)) = uses {
            let local = local(uses);
            found = found.or_else(|| {
                let runs =
                    local.is_some_and(|path| flow.has_files_at(path)) && self.setting.events.are_privileged();
                runs.then(|| self.taken(span.clone(), WITH_FILES))
            });
            let action = local.and_then(|path| self.actions.get(path.trim_matches('/')));
            found = found.or_else(|| self.composite(action?, with, id, flow, span));
        }
        let texts = with.map(Node::entries).unwrap_or_default().iter();
        let texts = texts
            .filter(|entry| has(&SCRIPT_INPUT, &entry.key))
            .map(|entry| (&entry.node, entry.key == "script"));
        for (text, is_javascript) in node.get("run").map(|run| (run, false)).into_iter().chain(texts) {
            let Some(script) = text.text() else { continue };
            let outside = flow.works_in(node.get("working-directory").and_then(Node::text));
            let reading = flow.script(script, id, is_javascript);
            flow.leaves(outside);
            let what = match reading {
                flow::Reading { takes: true, .. } => "takes the code of a change",
                flow::Reading { runs_files: true, .. } => WITH_FILES,
                _ => continue,
            };
            found = found.or_else(|| Some(self.taken(text.span.clone(), what)));
        }
        let text = ["with", "env"].map(|key| node.get(key).map(all_text).unwrap_or_default());
        flow.outputs_of(id, &text.join("\n"));
        found.map(|taken| Taken {
            is_privileged: taken.is_privileged && self.setting.events.are_privileged(),
            ..taken
        })
    }

    /// Reads the steps of an action of the repository.
    fn composite(
        &self,
        action: &Node,
        with: Option<&Node>,
        id: Option<&str>,
        flow: &mut Flow<'_>,
        span: &Span,
    ) -> Option<Taken> {
        let mut inner = flow.clone();
        inner.define(with, "inputs");
        let steps = action.at(&["runs", "steps"]).map(Node::items).unwrap_or_default();
        // A local action inside a local action is not followed.
        let found = steps.iter().filter_map(|step| {
            let uses = used(step).filter(|(uses, _)| local(uses).is_none());
            self.change(step, uses.as_ref(), &mut inner)
        });
        let found = found.collect::<Vec<_>>().into_iter().next();
        let outputs = action.get("outputs").map(all_text).unwrap_or_default();
        if let Some(id) = id.filter(|_| inner.is_change(&outputs)) {
            flow.add(format!("steps.{id}.outputs."));
        }
        found.map(|taken| Taken {
            span: span.clone(),
            ..taken
        })
    }

    fn checkout(&self, node: &Node, flow: &Flow<'_>) -> Option<Taken> {
        let events = &self.setting.events;
        let (reference, repository) = (node.at(&["with", "ref"]), node.at(&["with", "repository"]));
        let named = [reference, repository]
            .into_iter()
            .flatten()
            .find(|n| n.text().is_some_and(|text| flow.is_change(text)));
        // To name the running commit and the own repository changes nothing.
        let is_running = |node: &Node| node.text().is_some_and(flow::names_running);
        let is_own = |node: &Node| {
            node.text()
                .is_some_and(|text| dotted(text).contains("github.repository }}"))
        };
        let nothing = reference.is_none_or(is_running) && repository.is_none_or(is_own);
        // The running commit of a deployment is the commit that is deployed.
        let deployed = nothing && (events.has("deployment") || events.has("deployment_status"));
        let in_queue = nothing && flow.in_queue;
        (named.is_some() || deployed || in_queue || nothing && events.on_change()).then(|| Taken {
            span: named
                .or(node.get("uses"))
                .map_or(node.span.clone(), |n| n.span.clone()),
            what: "checks out the code of a change",
            moving: named.is_some_and(|n| {
                // A repository without a ref is its default branch.
                n.text().is_some_and(flow::moves) || reference.is_none()
            }),
            is_privileged: named.is_some() && !nothing || deployed || in_queue,
            from_queue: in_queue,
            drops_credential: node.at(&["with", "persist-credentials"]).and_then(Node::text) == Some("false"),
            at_root: node.at(&["with", "path"]).is_none(),
        })
    }
}

/// Whether the workflow names runners that GitHub does not host.
fn mentions_own(tree: &Node) -> bool {
    all_text(tree).contains("self-hosted")
}

/// Reads the inputs that a call gives.
fn given(with: Option<&Node>, scope: Scope<'_>, flow: &Flow<'_>) -> Vec<(String, Vec<String>, bool)> {
    let entries = with.map(Node::entries).unwrap_or_default().iter();
    let read = |entry: &Entry| {
        let text = all_text(&entry.node);
        (entry.key.clone(), scope.values(&text), flow.is_change(&text))
    };
    entries.map(read).collect()
}

/// Whether nothing but the event decides that a job runs in a merge queue. A job that needs another one may be skipped with it.
fn runs_in_queue(job: &Node) -> bool {
    match job.get("if").and_then(Node::text) {
        Some(condition) => condition.to_ascii_lowercase().contains("== 'merge_group'"),
        None => job.get("needs").is_none(),
    }
}

/// Returns the place of every scalar of a node.
fn spans(node: &Node) -> Vec<Span> {
    if node.text().is_some() {
        return vec![node.span.clone()];
    }
    let entries = node.entries().iter().map(|entry| &entry.node);
    entries.chain(node.items()).flat_map(spans).collect()
}

fn used(node: &Node) -> Option<(String, Span)> {
    let uses = node.get("uses")?;
    Some((uses.text()?.to_owned(), uses.span.clone()))
}

/// Returns where a node uses a secret. The token of the job is a permission and not a secret.
fn secret(node: &Node) -> Option<Span> {
    if let Some(text) = node.text() {
        let others = dotted(text)
            .to_ascii_lowercase()
            .replace("secrets.github_token", "");
        let is_secret = others.contains("${{") && others.contains("secrets") || text == "inherit";
        return is_secret.then(|| node.span.clone());
    }
    let entries = node.entries().iter().map(|entry| &entry.node);
    entries.chain(node.items()).find_map(secret)
}

/// Returns each permission: name, value and position. `permissions: write-all` has the name `all`.
fn permissions(node: &Node) -> Vec<(String, String, Span)> {
    match node.text() {
        Some(all) => vec![("all".to_owned(), all.to_owned(), node.span.clone())],
        None => node
            .entries()
            .iter()
            .filter_map(|e| Some((e.key.clone(), e.node.text()?.to_owned(), e.node.span.clone())))
            .collect(),
    }
}

/// Returns the name in `environment: NAME`, or in a map with `name`. Returns nothing for an expression.
fn named(node: Option<&Node>) -> Option<String> {
    let node = node?;
    let name = node.text().or_else(|| node.get("name")?.text())?;
    (!name.contains("${{")).then(|| name.to_owned())
}

impl Job {
    /// Returns a write permission: its name, and its position if the workflow sets permissions.
    pub(super) fn write_permission(&self) -> Option<(String, Span)> {
        self.permissions
            .iter()
            .flatten()
            .find(|(_, value, _)| value.starts_with("write"))
            .map(|(name, _, span)| (name.clone(), span.clone()))
    }

    /// Returns everything that the job takes of a change.
    pub(super) fn all_taken(&self) -> impl Iterator<Item = &Taken> {
        let steps = self.steps.iter().filter_map(|step| step.change.as_ref());
        steps.chain(&self.taken)
    }

    /// Whether the job works with a change and uploads artifacts.
    fn shares_change(&self) -> bool {
        let uploads = |step: &Step| {
            step.uses
                .as_ref()
                .is_some_and(|(uses, _)| uses.contains("upload-artifact"))
        };
        self.all_taken().any(|taken| taken.is_privileged) && self.steps.iter().any(uploads)
    }

    /// Returns the position where the job reads the registry, or calls the action of the repository, after a change replaced
    /// the root. `$/` is the running commit, which is the change itself on `pull_request` and `merge_group`.
    pub(super) fn policy_from_change(&self, document: &str) -> Option<Span> {
        const REGISTRY: &str = "gates.toml";
        let own = |step: &Step| {
            let uses = step.uses.clone().filter(|(uses, _)| uses.starts_with(SELF))?;
            step.is_ours.then_some(uses)
        };
        if (self.on_change || self.in_queue)
            && let Some((_, span)) = self.steps.iter().find_map(own)
        {
            return Some(span);
        }
        let from = self
            .steps
            .iter()
            .position(|s| s.change.as_ref().is_some_and(|c| c.at_root))?;
        self.steps[from + 1..].iter().find_map(|step| match &step.uses {
            Some((uses, span)) if uses.starts_with("./") && step.is_ours => Some(span.clone()),
            _ => step.scripts.iter().find_map(|script| {
                let at = script.start + document[script.clone()].find(REGISTRY)?;
                Some(at..at + REGISTRY.len())
            }),
        })
    }
}
