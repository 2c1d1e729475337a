//! Attacks on the policy of a run: contracts, approvals, budgets and base branches of people who may not write to the repository.
//!
//! Each attack must succeed against a reader that believes what GitHub shows next to a name, and fail against the program.

use serde_json::json;

use crate::attack::attack;
use crate::driver::git;
use crate::fake_github::FakeGitHub;
use crate::lint_pr;
use crate::pull_on_github::Loop;
use crate::support::digest::sha256;

/// Makes a person the author of the contract, with what GitHub says this person is.
fn written_by(way: &Loop, login: &str, association: &str) {
    let mut state = way.github.api.state();
    let issue = state.issues.get_mut(&1).unwrap();
    issue["user"]["login"] = login.into();
    issue["author_association"] = association.into();
}

/// Whether a reader that trusts the association counts a contract.
fn association_trusts(way: &Loop) -> bool {
    let association = way.github.api.state().issues[&1]["author_association"].clone();
    ["OWNER", "MEMBER", "COLLABORATOR"].contains(&association.as_str().unwrap())
}

fn is_untrusted(way: &Loop, number: u64) -> bool {
    way.codes(number).contains(&"contract-untrusted".to_owned())
}

/// An outsider's own issue was the contract, and the approval came from an account without write access.
#[test]
fn slow_t16_contract_and_approval_of_a_stranger() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    way.tier_b(number, 1, &["--bundle", "one"]);
    assert_eq!(way.codes(number), Vec::<String>::new());
    // A member of the organization may have read access only.
    written_by(&way, "member", "MEMBER");
    attack(
        "a member with read access",
        association_trusts(&way),
        !is_untrusted(&way, number),
    );
    // The author may write, and the last editor may not.
    written_by(&way, "captain", "OWNER");
    way.github
        .api
        .state()
        .editors
        .insert(1, ("captain".to_owned(), Some("member".to_owned())));
    attack(
        "the last editor",
        association_trusts(&way),
        !is_untrusted(&way, number),
    );
    way.github.api.state().editors.clear();
    assert!(!is_untrusted(&way, number));
    // The approval of a member with read access.
    way.github.api.state().reviews.clear();
    way.github.review(number, "member", "APPROVED");
    let mut state = way.github.api.state();
    let review = &mut state.reviews.get_mut(&number).unwrap()[0];
    review["author_association"] = "MEMBER".into();
    let naive = review["state"] == "APPROVED" && review["author_association"] == "MEMBER";
    drop(state);
    attack(
        "an approval without write access",
        naive,
        !way.codes(number).contains(&"not-reviewed".to_owned()),
    );
}

/// A coordinator's bot counts by the settings of the base. A person may have the login of the bot without `[bot]`.
#[test]
fn slow_t16_login_of_a_trusted_bot() {
    let way = Loop::new();
    let settings = "[contracts]\nauthors = [\"planner[bot]\"]\n";
    way.github
        .push("master", &[("configs/nmoe-gates.toml", settings)]);
    way.update();
    let number = way.offer("01", "a", "2\n", "");
    written_by(&way, "planner[bot]", "NONE");
    assert!(!is_untrusted(&way, number), "the bot counts");
    written_by(&way, "planner", "NONE");
    // GraphQL gives both the same login.
    let of_bot = "planner[bot]".trim_end_matches("[bot]");
    let naive = way.github.api.state().issues[&1]["user"]["login"] == of_bot;
    attack("a person named as the bot", naive, !is_untrusted(&way, number));
    // The settings of a checkout do not count.
    written_by(&way, "stranger", "NONE");
    let loose = settings.replace("planner[bot]", "stranger");
    way.sandbox.file("configs/nmoe-gates.toml", &loose);
    attack(
        "settings of the change",
        std::fs::read_to_string(way.sandbox.repo().join("configs/nmoe-gates.toml"))
            .unwrap()
            .contains("stranger"),
        !is_untrusted(&way, number),
    );
}

/// A person who may write adopts exactly one text.
#[test]
fn slow_t16_adoption_counts_for_one_text() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    written_by(&way, "stranger", "NONE");
    let ready = way.ready(number);
    let argv = ready["blockers"][0]["next"]["argv"].as_array().unwrap().clone();
    let adoption = argv[5].as_str().unwrap().to_owned();
    let body = way.github.api.state().issues[&1]["body"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(adoption, format!("nmoe-gates adopt {}", sha256(&body)));
    // Until then a pass is pending.
    way.update();
    let said = way.resolve(number, &["--bundle", "one"]).exits(0);
    said.prints("**not confirmed**")
        .reports("its author stranger may not write");
    assert_eq!(way.resolution()["contract"]["standing"], "unconfirmed");
    let results = way.gates(&["--bundle", "one"]);
    way.publish(number, 1).exits(0);
    attack(
        "a pass by a stranger's contract",
        results["overall"] == "pass",
        way.status(number, "one").0 == "success",
    );
    assert_eq!(way.status(number, "one").0, "pending");
    // The stranger adopts their own contract.
    way.github.api.comment(1, "stranger", &adoption);
    attack(
        "the stranger's own adoption",
        adoption.contains(&sha256(&body)),
        !is_untrusted(&way, number),
    );
    way.github.api.comment(1, "captain", &adoption);
    assert!(!is_untrusted(&way, number), "adopted");
    way.tier_b(number, 2, &["--bundle", "one"]);
    assert_eq!(way.status(number, "one").0, "success");
    assert_eq!(way.codes(number), Vec::<String>::new());
    // An edit after the adoption.
    let mut state = way.github.api.state();
    state.issues.get_mut(&1).unwrap()["body"] = body.replace("allow: [a]", "allow: [a, b]").into();
    let still = state
        .comments
        .iter()
        .any(|c| c["user"]["login"] == "captain" && c["body"] == adoption.as_str());
    drop(state);
    attack("an edit after the adoption", still, !is_untrusted(&way, number));
}

/// Without any contract, nothing was uncovered, so a pass was a success.
#[test]
fn slow_t16_pass_without_contract_is_pending() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    let mut state = way.github.api.state();
    let body = state.pulls[&number]["body"]
        .as_str()
        .unwrap()
        .replace("Fixes: #1", "none");
    state.pulls.get_mut(&number).unwrap()["body"] = body.into();
    drop(state);
    let said = way.resolved(number, &["--bundle", "one"]);
    assert!(said.contains("closes no issue with a contract"), "{said}");
    let results = way.gates(&["--bundle", "one"]);
    way.publish(number, 1).exits(0);
    let (state, line) = way.status(number, "one");
    attack(
        "no contract, so nothing is uncovered",
        results["overall"] == "pass" && results["uncovered"] == json!([]),
        state == "success",
    );
    assert_eq!(
        (state.as_str(), line.as_str()),
        ("pending", "1 pass; the pull request has no contract")
    );
}

/// The change was tested against a branch with a lax test, and then retargeted to the main branch with the same head.
#[test]
fn slow_t16_retargeted_pull_request_is_not_green() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    git(&way.github.remote(), ["branch", "playground", "master"]);
    let retarget = |to: &str| {
        let mut state = way.github.api.state();
        state.pulls.get_mut(&number).unwrap()["base"]["ref"] = to.into();
    };
    retarget("playground");
    way.tier_b(number, 1, &["--bundle", "one"]);
    let (state, _) = way.status(number, "one@playground");
    retarget("master");
    attack(
        "green on another base",
        state == "success",
        way.status(number, "one").0 == "success",
    );
    // During the run, to a branch with the same tip.
    way.resolved(number, &["--bundle", "one"]);
    let results = way.gates(&["--bundle", "one"]);
    retarget("playground");
    way.publish(number, 2).exits(0);
    let (state, line) = way.status(number, "one");
    attack(
        "retargeted during the run",
        results["overall"] == "pass",
        state == "success",
    );
    assert_eq!((state.as_str(), line.as_str()), ("error", "stale: base changed"));
}

/// The contract asked for a budget that allows nearly every loss, and nothing that the maintainer approved showed it.
#[test]
fn slow_t16_budget_of_the_contract_is_looser() {
    let way = Loop::new();
    let perf = "\n[gates.\"perf:delta\"]\ntier = \"b\"\nkind = \"perf\"\ncompare_gate = \"host:one\"\nmetric = \"node_tps_p50\"\npairs = 1\n";
    let registry = git(&way.github.remote(), ["show", "master:configs/gates/gates.toml"]);
    let registry = registry.replace("[bundles]", &format!("{perf}[bundles]"));
    way.github
        .push("master", &[("configs/gates/gates.toml", &registry)]);
    way.update();
    let number = way.offer("01", "a", "2\n", "host:one");
    let budget = "  perf:\n    gate: perf:delta\n    compare: host:one\n    metric: node_tps_p50\n    budget_pct: -99\n```";
    let mut state = way.github.api.state();
    let body = state.issues[&1]["body"].as_str().unwrap().to_owned();
    let (before, after) = body.rsplit_once("```").unwrap();
    state.issues.get_mut(&1).unwrap()["body"] = format!("{before}{budget}{after}").into();
    drop(state);
    let out = way.resolve(number, &["--bundle", "one"]).exits(0).any_output();
    let contract = way.resolution()["contract"]["body"].as_str().unwrap().to_owned();
    let row = out
        .stdout
        .lines()
        .find(|line| line.starts_with("| throughput budget"))
        .unwrap()
        .to_owned();
    let loose = |text: &str| text.contains("| −99 %") || text.contains("| -99 %");
    attack(
        "a budget of -99 %",
        contract.contains("budget_pct: -99"),
        loose(&row),
    );
    assert!(
        row.contains("10 % by the policy; **the contract asks for") && row.contains("99 %"),
        "{row}"
    );
    for (what, which) in [
        ("gates that the contract requires", "`host:one`"),
        ("may change", "`a`"),
        ("written by", "`captain`, `OWNER`"),
    ] {
        let row = out
            .stdout
            .lines()
            .find(|line| line.starts_with(&format!("| {what} |")));
        assert!(
            row.is_some_and(|row| row.contains(which)),
            "{what}: {}",
            out.stdout
        );
    }
}

/// The change suppresses the finding of its own leak, in a file and in a message.
#[test]
fn t19_suppression_of_the_change_is_proposed() {
    let allowance = [
        "nmoe-gates:",
        "allow private-address the address of a test bridge",
    ]
    .join(" ");
    let pull = lint_pr::pull(&[(
        "nmoe/model.py",
        &format!("# {allowance}\nHOST = \"10.11.12.13\"\n"),
    )]);
    let api = FakeGitHub::start();
    let head = pull.event["pull_request"]["head"]["sha"]
        .as_str()
        .unwrap()
        .to_owned();
    let codes = || {
        let out = api.serves(pull.call("json")).run().any_output();
        let found = out.json()["findings"].as_array().unwrap().clone();
        assert_eq!(out.code(), Some(i32::from(!found.is_empty())), "{found:?}");
        found
            .iter()
            .map(|f| f["code"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // A scan that accepts every suppression of the text.
    let hidden = pull
        .sandbox
        .gates(["lint", "safety", "nmoe/model.py"])
        .run()
        .exits(0);
    attack(
        "an allowance that the change adds",
        hidden.code() == Some(0),
        codes().is_empty(),
    );
    assert_eq!(codes(), ["private-address"]);
    let approve = |login: &str| {
        let review = json!({"user": {"login": login}, "state": "APPROVED", "commit_id": head, "author_association": "MEMBER"});
        api.state().reviews.insert(7, vec![review]);
    };
    approve("member");
    let approves = |review: &serde_json::Value| {
        review["state"] == "APPROVED" && review["author_association"] == "MEMBER"
    };
    let is_approved = api.state().reviews[&7].iter().any(approves);
    attack(
        "approved by a member with read access",
        is_approved,
        codes().is_empty(),
    );
    approve("reviewer");
    assert_eq!(
        codes(),
        Vec::<String>::new(),
        "accepted with the approval of this head"
    );
}
