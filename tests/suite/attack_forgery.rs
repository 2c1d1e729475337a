//! Attacks by writers inside the repository: a person who may push a branch can add a workflow that writes our comment and our status.
//!
//! Each attack must succeed against a reader that believes the login and the status, and fail against the program.

use serde_json::{Value, json};

use crate::attack::attack;
use crate::fake_github::State;
use crate::pull_on_github::Loop;
use crate::support::digest::sha256;

const BOT: &str = "github-actions[bot]";
const OPEN: &str = "<!-- nmoe-gates results ";

/// The run that the forgery names.
const RUN: u64 = 900;

/// A pull request whose only gate of Tier B failed in an honest run, and an attacker who may push branches.
struct Forgery {
    way: Loop,
    number: u64,
    head: String,
    /// The comment of the honest run.
    honest: String,
}

impl Forgery {
    fn new() -> Self {
        let way = Loop::new();
        let number = way.offer("01", "broken", "1\n", "host:one");
        way.tier_b(number, 7, &["--bundle", "one"]);
        assert_eq!(way.codes(number), ["tier-b-missing"], "the honest run failed");
        let head = way.github.tip("issue/01-x");
        let honest = way.github.api.comments(number).remove(0);
        Forgery {
            way,
            number,
            head,
            honest,
        }
    }

    /// Writes a comment in which the gate passes, by this run, and a green status of the run. Returns what the comment embeds.
    fn forge(&self, run: u64, change: impl FnOnce(&mut Value)) -> String {
        let mut state = self.way.github.api.state();
        let mut results: Value = serde_json::from_str(embedded(&self.honest).unwrap()).unwrap();
        results["overall"] = json!("pass");
        let gate = &mut results["results"]["host:one"];
        (gate["status"], gate["reason"]) = (json!("pass"), json!(null));
        change(&mut results);
        let json = results.to_string().replace('-', r"\u002d");
        let marker = json!({"key": "one", "shown": {"run": [run, 1], "outcome": "pass", "head": self.head, "at": null,
            "says": "1 pass"}, "before": []});
        let body = format!("<!-- nmoe-gates {marker} -->\n### Gates: pass\n\n{OPEN}{json} -->\n");
        state.comments[0]["body"] = body.into();
        let page = format!("https://github.example/octo-org/trainer/actions/runs/{run}/attempts/1");
        let status = json!({"context": "nmoe-gates/one", "state": "success", "description": "1 pass", "target_url": page,
            "creator": {"login": BOT}, "created_at": "2026-01-01T00:00:00Z"});
        state
            .statuses
            .entry(self.head.clone())
            .or_default()
            .insert(0, status);
        json
    }

    /// Uploads what the comment embeds as an artifact of the run.
    fn upload(&self, run: u64, json: &str) {
        let name = format!("evidence-{}.json", sha256(json));
        self.way.github.api.state().add_artifact(run, &name, json);
    }

    /// Adds the run that the forgery names.
    fn run(&self, workflow: &str, event: &str, commit: &str, branch: &str) {
        self.way
            .github
            .api
            .state()
            .add_run(RUN, workflow, event, commit, branch);
    }

    /// Asserts that a reader without provenance believes the pass, and that `ready` says why it does not.
    #[track_caller]
    fn is_refused(&self, what: &str, why: &str) {
        let naive = naive(&self.way.github.api.state(), &self.head);
        let out = self
            .way
            .call(&["ready", &self.number.to_string(), "--format", "json"])
            .run()
            .exits(1)
            .reports(&format!("#{}: ignored published results: ", self.number));
        let ready = out.json()["pulls"][0].clone();
        attack(what, naive, ready["ready"] == true);
        let blocker = &ready["blockers"][0];
        assert_eq!(blocker["code"], "evidence-unproven", "{what}: {ready}");
        let message = blocker["message"].as_str().unwrap();
        assert!(message.contains(why), "{what}: {message}");
        assert_eq!(blocker["next"]["what"], "run Tier B again");
    }
}

fn embedded(body: &str) -> Option<&str> {
    body.lines()
        .find_map(|line| line.strip_prefix(OPEN)?.strip_suffix(" -->"))
}

/// Believes a comment of the workflows' login, and for an overall pass the newest status.
fn naive(state: &State, head: &str) -> bool {
    state.comments.iter().any(|comment| {
        let Some(json) = embedded(comment["body"].as_str().unwrap()) else {
            return false;
        };
        let results: Value = serde_json::from_str(json).unwrap();
        let green = state.statuses[head][0]["state"] == "success";
        comment["user"]["login"] == BOT
            && results["results"]["host:one"]["status"] == "pass"
            && (results["overall"] != "pass" || green)
    })
}

/// The attacker's workflow sets the status and writes the comment. It can name any run, and upload artifacts of its own run.
#[test]
fn slow_t22_second_workflow_forges_comment_and_status() {
    let forgery = Forgery::new();
    let way = &forgery.way;
    let (master, branch) = (way.github.tip("master"), way.github.tip("issue/01-x"));
    let json = forgery.forge(RUN, |_| {});
    forgery.is_refused("a run that does not exist", "GitHub has no run 900");
    forgery.upload(RUN, &json);
    for (workflow, event, commit, on, why) in [
        (
            "own.yml",
            "push",
            &branch,
            "issue/01-x",
            "`.github/workflows/own.yml`",
        ),
        (
            "own.yml",
            "workflow_dispatch",
            &branch,
            "master",
            "`.github/workflows/own.yml`",
        ),
        // The workflow is edited on a branch, and dispatched there.
        (
            "tier-b.yml",
            "workflow_dispatch",
            &branch,
            "issue/01-x",
            "not started on the base branch",
        ),
        // A tag with the name of the base branch has another workflow.
        (
            "tier-b.yml",
            "workflow_dispatch",
            &branch,
            "master",
            "not on the base branch",
        ),
        ("tier-b.yml", "push", &branch, "issue/01-x", "started by `push`"),
        (
            "tier-b.yml",
            "pull_request",
            &branch,
            "issue/01-x",
            "started by `pull_request`",
        ),
        // The workflow of a merge group comes from the group, so its run may not create evidence.
        (
            "tier-b.yml",
            "merge_group",
            &branch,
            "master",
            "started by `merge_group`",
        ),
        // These events take the workflow from the base branch, and anyone who may push a branch or send an event starts them.
        (
            "own.yml",
            "schedule",
            &master,
            "master",
            "`.github/workflows/own.yml`",
        ),
        (
            "tier-b.yml",
            "schedule",
            &master,
            "master",
            "started by `schedule`",
        ),
        (
            "own.yml",
            "repository_dispatch",
            &master,
            "master",
            "`.github/workflows/own.yml`",
        ),
        (
            "tier-b.yml",
            "repository_dispatch",
            &master,
            "master",
            "started by `repository_dispatch`",
        ),
        (
            "tier-b.yml",
            "workflow_run",
            &master,
            "master",
            "started by `workflow_run`",
        ),
        (
            "tier-b.yml",
            "pull_request_target",
            &master,
            "master",
            "started by `pull_request_target`",
        ),
        (
            "tier-b.yml",
            "issue_comment",
            &master,
            "master",
            "started by `issue_comment`",
        ),
        (
            "tier-b.yml",
            "deployment",
            &branch,
            "master",
            "started by `deployment`",
        ),
        ("tier-b.yml", "push", &master, "master", "started by `push`"),
        (
            "tier-b.yml@master.yml",
            "workflow_dispatch",
            &master,
            "master",
            "`.github/workflows/tier-b.yml@master.yml`",
        ),
    ] {
        forgery.run(workflow, event, commit, on);
        forgery.is_refused(&format!("{workflow} by {event} on {on}"), why);
    }
    // The honest run, which uploaded a failure.
    forgery.forge(7, |_| {});
    forgery.is_refused("the run of the failure", "no artifact with the digest");
    // An artifact with the name of the results and other content.
    let name = format!("evidence-{}.json", sha256(&json));
    way.github.api.state().add_artifact(7, &name, "{}");
    forgery.is_refused("an artifact of that name", "another digest");
}

/// A pass of one gate counted although the whole did not pass, and no status was asked for.
#[test]
fn slow_t22_single_gate_needs_same_proof() {
    let forgery = Forgery::new();
    let inconclusive = |results: &mut Value| {
        results["overall"] = json!("inconclusive");
        results["gate_ids"] = json!(["host:one", "host:two"]);
        results["bundle"] = json!(null);
        results["results"]["host:two"] = json!({"status": "not_run", "reason": "stopped_after_failure", "rc": null, "duration_s": null, "node_tps_p50": null});
    };
    forgery.forge(RUN, inconclusive);
    forgery.is_refused("overall is not pass", "GitHub has no run 900");
    // A bundle with other gates than the registry's.
    for (bundle, why) in [
        ("one", "not those of the bundle"),
        ("single", "not those of the bundle"),
    ] {
        forgery.forge(7, |results| {
            inconclusive(results);
            results["bundle"] = json!(bundle);
        });
        forgery.is_refused(&format!("{bundle} with two gates"), why);
    }
    // A run without a status, and a status that was replaced.
    let json = forgery.forge(7, |_| {});
    forgery.upload(7, &json);
    let mut state = forgery.way.github.api.state();
    let statuses = state.statuses.get_mut(&forgery.head).unwrap();
    statuses.retain(|status| !status["target_url"].as_str().unwrap().contains("/7/"));
    drop(state);
    forgery.is_refused("no status of the run", "run 7 set no commit status");
    forgery.forge(7, |_| {});
    let mut state = forgery.way.github.api.state();
    let statuses = state.statuses.get_mut(&forgery.head).unwrap();
    let mut later = statuses[0].clone();
    later["target_url"] = "https://github.example/octo-org/trainer/actions/runs/8/attempts/1".into();
    statuses.insert(0, later);
    drop(state);
    forgery.is_refused("a later status", "replaced that of run 7");
}

/// A workflow repeats a stranger's text, so that our bot writes it.
#[test]
fn slow_t22_echoed_results_are_not_a_publication() {
    let forgery = Forgery::new();
    let json = forgery.forge(7, |_| {});
    forgery.upload(7, &json);
    let mut state = forgery.way.github.api.state();
    let body = state.comments[0]["body"].as_str().unwrap().to_owned();
    state.comments[0]["body"] = format!("Thanks for your comment!\n{body}").into();
    drop(state);
    forgery.is_refused("an echo", "not the marker of this tool");
}

/// The change adds its own workflow to `publish.workflows`, and `ready` runs in a checkout of the change.
#[test]
fn slow_t22_settings_of_change_are_not_trusted() {
    let forgery = Forgery::new();
    let way = &forgery.way;
    let settings = "[publish]\nworkflows = [\".github/workflows/own.yml\"]\n";
    way.sandbox.file("configs/nmoe-gates.toml", settings);
    let json = forgery.forge(RUN, |_| {});
    forgery.upload(RUN, &json);
    forgery.run(
        "own.yml",
        "workflow_dispatch",
        &way.github.tip("master"),
        "master",
    );
    forgery.is_refused("settings of the checkout", "`.github/workflows/own.yml`");
}

/// A comment and a status with a huge run number kept a real failure unwritten.
#[test]
fn slow_t22_planted_run_number_hides_no_failure() {
    let forgery = Forgery::new();
    let way = &forgery.way;
    forgery.forge(RUN, |_| {});
    let (comment, status) = (
        way.github.api.comments(forgery.number).remove(0),
        way.status(forgery.number, "one"),
    );
    way.publish(forgery.number, 8).exits(0);
    let now = way.github.api.comments(forgery.number).remove(0);
    // A publisher that believes the larger number writes nothing.
    let believes = comment.contains(&format!("\"run\":[{RUN},1]")) && status.0 == "success";
    attack(
        "a run number of the future",
        believes,
        now == comment || way.status(forgery.number, "one") == status,
    );
    assert!(
        now.contains("\"run\":[8,1]") && !now.contains("Earlier runs"),
        "{now}"
    );
    assert_eq!(way.status(forgery.number, "one").0, "failure");
}

/// GitHub takes the workflows of a merge group from its commit, so a queued change could answer for itself.
#[test]
fn slow_t22_merge_group_with_other_workflows() {
    for file in [
        ".github/workflows/own.yml",
        ".github/actions/a/action.yml",
        "action.yml",
        "scripts/action",
    ] {
        let way = Loop::new();
        way.github.rules().required = vec!["nmoe-gates/one".to_owned()];
        let number = way.offer("01", file, "on: push\n", "host:one");
        way.github.settle(number);
        way.tier_b(number, 1, &["--bundle", "one"]);
        // The evidence is about the tree of the group, which a reader of the evidence alone believes.
        let naive = way.codes(number).is_empty();
        let event = way.sandbox.path("event.json");
        std::fs::write(&event, way.github.enqueue(number).to_string()).unwrap();
        way.update();
        let call = way.call(&["publish", "--merge-group"]);
        let call = call
            .env("GITHUB_EVENT_NAME", "merge_group")
            .env("GITHUB_EVENT_PATH", &event);
        let out = call.run().exits(0).any_output();
        attack(file, naive, out.stdout.contains("is success"));
        out.prints("is pending: #11: the group changes ");
        assert_eq!(way.github.advance_queue(), None);
    }
}
