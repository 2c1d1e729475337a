//! Follows what a change controls through a job: event fields, inputs, variables, outputs, and files of untrusted runs.
//!
//! On `pull_request`, GitHub gives a fork a token that only reads, and no secrets. The other events give the job the token and
//! the secrets of the repository, so a change that is taken there must not meet them.

use std::collections::BTreeSet;

use crate::document::node::Node;
use crate::lint::workflows::expression::dotted;
use crate::lint::workflows::shell::{self, MARK, has, patterns};

/// Events that give a fork no rights.
const WITHOUT_RIGHTS: [&str; 3] = [
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
];

/// The event of a workflow that other workflows call.
const CALL: &str = "workflow_call";

/// Every event that gives a job the rights of the repository.
const ANY: &str = "*";

patterns! {
    OF_PULL = r"(?i)\bpull_request\.(head|number|merge_commit_sha|title|body|url|html_url|diff_url|patch_url|id)\b|\bhead_ref\b|\bevent\.number\b|\bGITHUB_HEAD_REF\b|\bpayload\.number\b";
    OF_RUN = r"(?i)\bworkflow_run\.(head|pull_requests|display_title)";
    OF_PAYLOAD = r"(?i)\bclient_payload\b";
    OF_ISSUE = r"(?i)\bevent\.issue\.(number|title|body|pull_request\.\w)|\b(issue|context)\.issue\.number\b|\bpayload\.issue\.number\b|\bevent\.(comment|discussion)\.(body|title)";
    OF_DEPLOYMENT = r"(?i)\bdeployment\.(ref|sha|payload|task|description)";
    OF_CHECK = r"(?i)\bcheck_(run|suite)\.(head|pull_requests|output|name|external_id)|\bevent\.(sha|branches|commit\.sha)\b";
    OF_INPUT = r"(?i)\binputs\.(pr|pull|head)([_-]?(request|head|number|num|id|sha|ref|merge))*([^\w-]|$)";
    OF_OUTPUT = r"(?i)\boutputs\.(merge|head|pr)([_-]?(sha|ref|commit|number))?([^\w-]|$)";
    OF_NAME = r"(?i)refs/pull/";
    // A part of the event that the text does not name.
    OF_EVENT = r"(?i)\bgithub\.event(\.(pull_request|workflow_run|client_payload))?(\s*[)\[]|\.\*|\s*$)|\bgithub(\s*[)\[]|\.\*)|\bpayload\.(pull_request|workflow_run|client_payload)\s*$";
    // The running commit: that of a deployment, or the change itself on `pull_request`.
    OF_RUNNING = r"(?i)\bgithub\.(sha|ref|ref_name)\b|\bGITHUB_(SHA|REF|REF_NAME)\b";
    // Asks GitHub about pull requests.
    LOOKS_UP = r"\bgh\s+(-\S+\s+([^-\s]\S*\s+)?)*pr\s+(-\S+\s+([^-\s]\S*\s+)?)*(view|list|diff|status)\b|\bpulls?/|\bpulls\.(get|list)|\bpullRequests?\b|\bGITHUB_EVENT_PATH\b.*\b(head|number|pull_request)|\b(head|number|pull_request).*\bGITHUB_EVENT_PATH\b";
    EXPRESSION = r"\$\{\{[^}]*\}\}|\$\{[\w.]+\}";
    // A name of a ref or a repository, in contrast to a number.
    NAMES_CODE = r"(?i)\bhead\.(sha|ref|repo)|head_(ref|sha|branch|repository|commit)|merge_commit_sha|refs/pull/|client_payload|deployment\.(ref|sha)";
    MOVES = r"(?i)refs/pull/|\bhead_ref\b|\bhead\.ref\b|\bhead_branch\b|\bdeployment\.ref\b";
}

/// The sources, with the events in which they have a value.
static SOURCES: [(&shell::Pattern, &[&str]); 10] = [
    (&OF_PULL, &["pull_request_target"]),
    (&OF_RUN, &["workflow_run"]),
    (&OF_PAYLOAD, &["repository_dispatch"]),
    (
        &OF_ISSUE,
        &["issue_comment", "issues", "discussion", "discussion_comment"],
    ),
    (&OF_DEPLOYMENT, &["deployment", "deployment_status"]),
    (&OF_CHECK, &["check_run", "check_suite", "status"]),
    (&OF_INPUT, &["workflow_dispatch"]),
    (&OF_OUTPUT, &[ANY]),
    (&OF_NAME, &[ANY]),
    (
        &OF_EVENT,
        &[
            "pull_request_target",
            "workflow_run",
            "issue_comment",
            "repository_dispatch",
        ],
    ),
];

/// What starts a workflow, and what its callers give to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Events {
    /// The events of the workflow, and of the workflows that call it.
    pub(super) names: BTreeSet<String>,
    /// The inputs that a change controls.
    pub(super) inputs: BTreeSet<String>,
    /// Whether workflows may call this one that are not known. Then each input can be a change.
    pub(super) is_open: bool,
}

impl Events {
    /// Reads the events of a workflow.
    pub(super) fn of(tree: &Node) -> Self {
        let Some(on) = tree.get("on") else {
            return Events::default();
        };
        let texts = on.text().into_iter().chain(on.texts().map(|(text, _)| text));
        let keys = on.entries().iter().map(|entry| entry.key.as_str());
        let mut names: BTreeSet<String> = texts.chain(keys).map(str::to_owned).collect();
        // A call has the event of its caller.
        let is_open = names.remove(CALL);
        Events {
            names,
            is_open,
            ..Events::default()
        }
    }

    /// Whether this event starts the workflow.
    pub(super) fn has(&self, event: &str) -> bool {
        self.names.contains(event)
    }

    /// Whether the running commit is the change.
    pub(super) fn on_change(&self) -> bool {
        WITHOUT_RIGHTS.iter().any(|event| self.has(event))
    }

    /// Whether an event gives a change the rights of the repository.
    pub(super) fn are_privileged(&self) -> bool {
        self.is_open
            || self
                .names
                .iter()
                .any(|event| !WITHOUT_RIGHTS.contains(&event.as_str()))
    }

    /// Whether the running commit is the one that is deployed, or the change on a machine that keeps what it runs.
    fn run_change(&self, own: bool) -> bool {
        self.has("deployment") || self.has("deployment_status") || own && self.on_change()
    }

    /// Whether a text names a change in one of these events. `own` counts the events without rights too.
    fn name_change(&self, text: &str, own: bool) -> bool {
        if self.run_change(own) && has(&OF_RUNNING, text) {
            return true;
        }
        let applies = |events: &[&str]| {
            let known = events.iter().any(|event| match *event {
                ANY => self.are_privileged(),
                event => self.has(event),
            });
            known || self.is_open || own && self.on_change()
        };
        SOURCES
            .iter()
            .any(|(rule, events)| applies(events) && has(rule, text))
    }
}

/// Whether a ref is a name that can move.
pub(super) fn moves(text: &str) -> bool {
    has(&MOVES, &dotted(text))
}

/// Whether a text can be the running commit or its branch.
pub(super) fn names_running(text: &str) -> bool {
    has(&OF_RUNNING, &dotted(text))
}

/// Whether a text names a commit, a branch or a repository of a change, in contrast to its number.
pub(super) fn names_code(text: &str) -> bool {
    has(&NAMES_CODE, &dotted(text))
}

/// What a job knows about the change before one of its steps.
#[derive(Clone, Debug)]
pub(super) struct Flow<'a> {
    events: &'a Events,
    /// Whether the events without rights count, because the machine of the job keeps what it runs.
    own: bool,
    /// The starts of expressions that stand for a change, such as `steps.x.outputs.`.
    expressions: BTreeSet<String>,
    /// The environment variables that stand for a change.
    variables: BTreeSet<String>,
    /// The folder with files of an untrusted run; an empty text is the workspace.
    files: Option<String>,
    /// Whether a name such as `origin` stands for the repository of a change.
    moves_remote: bool,
    /// Whether an earlier step fetched a change, so that `FETCH_HEAD` names the change.
    has_fetched: bool,
    /// The names of remotes that stand for the repository of a change.
    remotes: BTreeSet<String>,
    /// Whether the job certainly runs on `merge_group`, so that the running commit contains the change.
    pub(super) in_queue: bool,
}

/// The names that stand for a change in a script.
#[derive(Default)]
struct Names {
    /// Environment variables.
    variables: BTreeSet<String>,
    /// Variables of a program.
    words: BTreeSet<String>,
}

/// What a script does with a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// It takes the code of the change.
    pub(super) takes: bool,
    /// It runs files of an untrusted run.
    pub(super) runs_files: bool,
}

impl<'a> Flow<'a> {
    /// Starts a job with the variables of its workflow, and the outputs of other jobs that stand for a change.
    pub(super) fn of(events: &'a Events, own: bool, outputs: &BTreeSet<String>) -> Self {
        let inputs = events.inputs.iter().map(|name| format!("inputs.{name}"));
        let mut flow = Flow {
            events,
            own,
            expressions: BTreeSet::new(),
            variables: BTreeSet::new(),
            files: None,
            moves_remote: false,
            has_fetched: false,
            remotes: BTreeSet::new(),
            in_queue: false,
        };
        outputs
            .iter()
            .cloned()
            .chain(inputs)
            .for_each(|name| flow.add(name));
        if events.run_change(own) {
            let names = "GITHUB_SHA GITHUB_REF GITHUB_REF_NAME".split(' ');
            flow.variables.extend(names.map(str::to_owned));
        }
        flow
    }

    /// Takes over the values of the matrix.
    pub(super) fn define_matrix(&mut self, matrix: &Node) {
        self.define(Some(matrix), "matrix");
        let include = matrix.get("include");
        let included = include.map(Node::items).unwrap_or_default();
        for entries in included {
            self.define(Some(entries), "matrix");
        }
        // An expression can have any key.
        let mut whole = [Some(matrix), include].into_iter().flatten().chain(included);
        if whole.any(|node| node.text().is_some_and(|text| self.is_change(text))) {
            self.add("matrix.".to_owned());
        }
    }

    /// Takes over the variables of `env`, or the values of another context.
    pub(super) fn define(&mut self, entries: Option<&Node>, context: &str) {
        for entry in entries.map(Node::entries).unwrap_or_default() {
            if self.is_change(&all_text(&entry.node)) {
                self.add(format!("{context}.{}", entry.key));
                if context == "env" {
                    self.variables.insert(entry.key.clone());
                }
            }
        }
    }

    /// Adds an expression that stands for a change. GitHub ignores the case of names in expressions.
    pub(super) fn add(&mut self, expression: String) {
        self.expressions.insert(expression.to_ascii_lowercase());
    }

    /// Whether a text names a change.
    pub(super) fn is_change(&self, text: &str) -> bool {
        let text = dotted(text).to_ascii_lowercase();
        let is_input = self.events.is_open && text.contains("inputs.");
        is_input
            || self.events.name_change(&text, self.own)
            || self.expressions.iter().any(|name| contains_name(&text, name))
    }

    /// Whether a change can be meant where the rights of the repository are present.
    fn applies(&self) -> bool {
        self.own || self.events.are_privileged()
    }

    /// Replaces what a change controls in a command.
    fn mark(&self, command: &str, names: &Names) -> String {
        let mark = |found: &regex::Captures<'_>| match self.is_change(&found[0]) {
            true => MARK.to_string(),
            false => found[0].to_owned(),
        };
        let mut text = EXPRESSION.as_ref().map_or(command.to_owned(), |pattern| {
            pattern.replace_all(command, mark).into_owned()
        });
        text = shell::mark_variables(&text, &names.variables);
        text = shell::mark_words(&text, &names.words);
        if self.applies() {
            text = text.replace("refs/pull/", &format!("{MARK}/"));
        }
        text
    }

    /// Reads a script, and takes over the variables and outputs that it sets.
    pub(super) fn script(&mut self, script: &str, id: Option<&str>, is_javascript: bool) -> Reading {
        let mut names = Names {
            variables: self.variables.clone(),
            ..Names::default()
        };
        let exports = has(&shell::EXPORTS, script);
        let (mut fetches, mut places, mut tainted) = (false, false, false);
        let mut is_inside = false;
        let mut reading = Reading::default();
        for command in shell::commands(script) {
            let branch = shell::NEW_BRANCH.as_ref();
            let plain = branch.map_or(command.clone(), |branch| {
                branch.replace_all(&command, " ").into_owned()
            });
            let marked = self.mark(&plain, &names);
            self.download(&command, &mut is_inside, &mut reading);
            let reads_files = self.files.is_some() && has(&shell::READS, &command);
            let by_code = is_javascript && self.is_change(&command);
            let is_known = match plain == command {
                true => marked.contains(MARK),
                false => self.mark(&command, &names).contains(MARK),
            };
            let known = is_known || by_code;
            if known || reads_files || self.applies() && has(&LOOKS_UP, &command) {
                tainted = true;
                for name in shell::assigned(&command) {
                    if exports {
                        self.export(name.clone());
                    }
                    let known = if is_javascript {
                        &mut names.words
                    } else {
                        &mut names.variables
                    };
                    known.insert(name);
                }
            }
            let changed = self.names_foreign_code(&marked) || is_javascript && self.is_change(&plain);
            let by_number = self.applies() && has(&shell::BY_NUMBER, &command);
            let looked_up = self.applies() && has(&LOOKS_UP, &plain);
            if has(&shell::MOVES_REMOTE, &marked) {
                self.moves_remote = true;
                self.remotes.extend(shell::added_remote(&marked));
            }
            fetches |= by_number || (changed || looked_up) && has(&shell::FETCHES, &plain);
            fetches |= self.moves_remote && has(&shell::FROM_REMOTE, &plain);
            fetches |= (looked_up || changed) && has(&shell::SAVES_DIFF, &plain);
            let is_placed = has(&shell::PLACES, &command) || has(&shell::EXTRACTS, &command);
            places |= is_placed;
            let names_fetched = |word: &str| {
                let of_remote = word
                    .split_once('/')
                    .is_some_and(|(remote, _)| self.remotes.contains(remote));
                let is_head = word == "FETCH_HEAD" || word.starts_with("FETCH_HEAD:");
                of_remote || self.has_fetched && is_head
            };
            reading.takes |= is_placed && command.split_whitespace().any(names_fetched);
            reading.takes |= shell::takes(&marked);
        }
        reading.takes |= fetches && places;
        self.has_fetched |= fetches;
        if let Some(id) = id.filter(|_| tainted && self.applies()) {
            self.add(format!("steps.{id}.outputs."));
        }
        reading
    }

    /// Whether a marked command names something of a change other than a branch of the own repository.
    fn names_foreign_code(&self, marked: &str) -> bool {
        match shell::OWN_BRANCH.as_ref().filter(|_| !self.moves_remote) {
            Some(own) => own.replace_all(marked, " ").contains(MARK),
            None => marked.contains(MARK),
        }
    }

    fn export(&mut self, name: String) {
        self.add(format!("env.{name}"));
        self.variables.insert(name);
    }

    /// Notes the download of an artifact by a command, and whether the command runs what was downloaded. `is_inside` tells whether an
    /// earlier command entered the folder of the download.
    fn download(&mut self, command: &str, is_inside: &mut bool, reading: &mut Reading) {
        if self.takes_artifacts() && has(&shell::ARTIFACT, command) {
            let folder = shell::FOLDER
                .as_ref()
                .and_then(|pattern| pattern.captures(command));
            self.files = Some(folder.map_or(String::new(), |folder| folder[1].to_owned()));
        }
        if let Some(folder) = &self.files {
            // Scripts and expressions write the start of a path in different ways.
            let last = folder.rsplit('/').next().unwrap_or_default();
            let enters = has(&shell::ENTERS, command)
                && command.split_whitespace().any(|word| normal(word) == *folder);
            *is_inside |= enters && !folder.is_empty();
            let meant = folder.is_empty() || *is_inside || command.contains(&format!("{last}/"));
            let feeds = has(&shell::FEEDS, command) && (*is_inside || command.contains(&format!("{last}/")));
            reading.runs_files |= meant && !enters && has(&shell::RUNS, command) || feeds;
        }
    }

    /// Whether artifacts of other runs can be those of a change.
    fn takes_artifacts(&self) -> bool {
        [
            "workflow_run",
            "issue_comment",
            "pull_request_target",
            "check_run",
            "check_suite",
            "status",
        ]
        .iter()
        .any(|event| self.events.has(event))
            || self.events.is_open
    }

    /// Notes the download of an artifact by an action. `within` tells whether a job of this run works with the change.
    pub(super) fn download_by(&mut self, with: Option<&Node>, within: bool) {
        let input = |names: [&str; 2]| names.iter().find_map(|name| with?.get(name)?.text());
        let other_run = input(["run-id", "run_id"]).is_some() || input(["workflow", "workflow_id"]).is_some();
        if within || other_run && self.takes_artifacts() {
            let path = input(["path", "destination"]).unwrap_or_default();
            self.files = Some(normal(path));
        }
    }

    /// Returns the flow of a step that works in this folder.
    pub(super) fn works_in(&mut self, folder: Option<&str>) -> Option<String> {
        let inside = self.files.as_ref()?.strip_prefix(normal(folder?).as_str())?;
        let inside = inside.trim_start_matches('/').to_owned();
        self.files.replace(inside)
    }

    /// Ends the step of [`Flow::works_in`].
    pub(super) fn leaves(&mut self, files: Option<String>) {
        if files.is_some() {
            self.files = files;
        }
    }

    /// Whether a local action in this folder belongs to an untrusted run.
    pub(super) fn has_files_at(&self, path: &str) -> bool {
        let path = normal(path);
        let folder = self.files.as_ref();
        folder.is_some_and(|folder| path.starts_with(folder.as_str()))
    }

    /// Takes over the outputs of a step that is given a change.
    pub(super) fn outputs_of(&mut self, id: Option<&str>, text: &str) {
        let looks_up = self.applies() && has(&LOOKS_UP, text);
        if let Some(id) = id.filter(|_| self.is_change(text) || looks_up) {
            self.add(format!("steps.{id}.outputs."));
        }
    }
}

fn normal(path: &str) -> String {
    let path = path.trim().trim_start_matches("./").trim_end_matches('/');
    let own = path.strip_prefix("${{ github.workspace }}").unwrap_or(path);
    own.trim_start_matches('/').trim_matches('.').to_owned()
}

/// Whether a text contains a name as a complete word. A name that ends with a dot continues with any word.
fn contains_name(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(name)
        .any(|(at, _)| name.ends_with('.') || !text[at + name.len()..].starts_with(is_word))
}

/// Returns every scalar of a node, one a line.
pub(super) fn all_text(node: &Node) -> String {
    if let Some(text) = node.text() {
        return text.to_owned();
    }
    let entries = node.entries().iter().map(|entry| &entry.node);
    let texts: Vec<String> = entries.chain(node.items()).map(all_text).collect();
    texts.join("\n")
}
