//! Checks the rules of the stand-in themselves, with an HTTP client of their own.

use serde_json::{Value, json};

use super::GitHub;
use crate::driver::git;
use crate::fake_github::{REPOSITORY, TOKEN};

struct Reply {
    status: u16,
    body: Value,
    headers: ureq::http::HeaderMap,
}

impl GitHub {
    /// Sends a request as a client with the token would.
    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.ask_with(method, path, body, &[])
    }

    fn ask_with(&self, method: &str, path: &str, body: Option<Value>, headers: &[(&str, &str)]) -> Reply {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .new_agent();
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/repos/{REPOSITORY}/{path}")
        };
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.api.url()));
        request = request.header("authorization", format!("Bearer {TOKEN}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let text = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let mut reply = agent.run(request.body(text).unwrap()).unwrap();
        let text = reply.body_mut().read_to_string().unwrap();
        Reply {
            status: reply.status().as_u16(),
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            headers: reply.headers().clone(),
        }
    }

    fn get(&self, path: &str) -> Value {
        let reply = self.ask("GET", path, None);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.body
    }

    /// Returns the parents of `refs/pull/N/merge`.
    fn merge_parents(&self, number: u64) -> Vec<String> {
        let id = self.get(&format!("git/ref/pull/{number}/merge"))["object"]["sha"]
            .as_str()
            .unwrap()
            .to_owned();
        let commit = self.get(&format!("git/commits/{id}"));
        commit["parents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["sha"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn with_pull() -> GitHub {
    let github = GitHub::start();
    github.api.issue(1, "[01] Work", "a contract");
    github.push("master", &[("a", "1\n"), ("b", "1\n")]);
    github.push("issue/01-x", &[("a", "2\n")]);
    github.open(5, "issue/01-x", "writer", "Fixes #1");
    github
}

#[test]
fn test_merge_stays_stale_until_refresh() {
    let github = with_pull();
    let (head, first) = (github.tip("issue/01-x"), github.tip("master"));
    // Reading the ref makes nothing.
    assert_eq!(github.ask("GET", "git/ref/pull/5/merge", None).status, 404);
    assert_eq!(github.get("pulls/5")["mergeable"], Value::Null);
    let known = github.get("pulls/5");
    assert_eq!(known["mergeable"], true);
    assert_eq!(github.merge_parents(5), [first.clone(), head.clone()]);

    let second = github.push("master", &[("b", "2\n")]);
    assert_eq!(github.get("pulls/5")["mergeable"], Value::Null);
    let after = github.get("pulls/5");
    assert_eq!(after["mergeable"], true);
    assert_eq!(after["base"]["sha"], second);
    assert_eq!(after["merge_commit_sha"], known["merge_commit_sha"]);
    assert_eq!(
        github.merge_parents(5),
        [first, head.clone()],
        "the ref is outdated without warning"
    );

    github.advance(13);
    github.get("pulls/5");
    assert_eq!(github.merge_parents(5), [second.clone(), head]);

    let head = github.push("issue/01-x", &[("a", "3\n")]);
    github.settle(5);
    assert_eq!(github.merge_parents(5), [second, head]);
}

#[test]
fn changed_merge_base_makes_a_test_merge() {
    let github = with_pull();
    let first = github.tip("issue/01-x");
    github.push("issue/01-x", &[("c", "1\n")]);
    github.settle(5);
    git(&github.remote(), ["update-ref", "refs/heads/master", &first]);
    github.settle(5);
    assert_eq!(github.merge_parents(5), [first, github.tip("issue/01-x")]);
}

#[test]
fn conflict_is_reported_and_keeps_the_ref() {
    let github = with_pull();
    github.settle(5);
    let before = github.merge_parents(5);
    github.push("master", &[("a", "9\n")]);
    github.settle(5);
    assert_eq!(github.get("pulls/5")["mergeable"], false);
    assert_eq!(github.merge_parents(5), before);
    let merged = github.ask("PUT", "pulls/5/merge", Some(json!({})));
    assert_eq!(merged.status, 405);
}

#[test]
fn locks_permissions_and_deletions_refuse() {
    let github = with_pull();
    let comment = || github.ask("POST", "issues/5/comments", Some(json!({"body": "x"})));
    assert_eq!(comment().status, 201);
    github.lock(5, true);
    let refused = comment();
    assert_eq!(
        (refused.status, &refused.body["message"]),
        (403, &json!("Unable to create comment because issue is locked."))
    );
    github.api.state().login = "captain".to_owned();
    assert_eq!(comment().status, 201);
    github.rules().permissions.insert("issues", "read");
    github.rules().permissions.insert("pull_requests", "read");
    let refused = comment();
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.headers["x-accepted-github-permissions"],
        "issues=write; pull_requests=write"
    );
    github.rules().permissions.insert("issues", "write");
    github.rules().deleted.push(1);
    assert_eq!(
        github
            .ask("POST", "issues/1/comments", Some(json!({"body": "x"})))
            .status,
        410
    );
    let role = |login: &str| github.get(&format!("collaborators/{login}/permission"))["permission"].clone();
    assert_eq!(
        (role("reviewer"), role("stranger")),
        (json!("write"), json!("read"))
    );
}

#[test]
fn limits_refuse_and_unchanged_answers_are_free() {
    let github = with_pull();
    github.rules().content = Some(1);
    let status = || {
        let path = format!("statuses/{}", github.tip("issue/01-x"));
        github.ask("POST", &path, Some(json!({"state": "success", "context": "c"})))
    };
    assert_eq!(status().status, 201);
    let refused = status();
    assert_eq!(
        (refused.status, &refused.headers["retry-after"]),
        (403, &"60".parse().unwrap())
    );
    let etag = github.ask("GET", "issues/1", None).headers["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    {
        let mut rules = github.rules();
        rules.used = 0;
        rules.hourly = Some(2);
    }
    for _ in 0..5 {
        assert_eq!(
            github
                .ask_with("GET", "issues/1", None, &[("if-none-match", &etag)])
                .status,
            304
        );
    }
    assert_eq!(github.ask("GET", "issues/1", None).status, 200);
    github.get("issues/1");
    let refused = github.ask("GET", "issues/1", None);
    assert_eq!(
        (refused.status, &refused.headers["x-ratelimit-remaining"]),
        (403, &"0".parse().unwrap())
    );
}

#[test]
fn statuses_are_only_added_and_limited() {
    let github = with_pull();
    let head = github.tip("issue/01-x");
    let set = |sha: &str, state: &str| {
        github
            .ask(
                "POST",
                &format!("statuses/{sha}"),
                Some(json!({"state": state, "context": "c"})),
            )
            .status
    };
    assert_eq!((set(&head, "success"), set(&head, "failure")), (201, 201));
    assert_eq!((set(&"0".repeat(40), "success"), set(&head, "green")), (422, 422));
    let all = github.get(&format!("commits/{head}/statuses"));
    let states: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["failure", "success"]);
    let one = github.api.state().statuses[&head][0].clone();
    github.api.state().statuses.insert(head.clone(), vec![one; 1000]);
    assert_eq!(set(&head, "success"), 422);
}

#[test]
fn merge_needs_statuses_and_closes_linked_issues() {
    let github = with_pull();
    let head = github.tip("issue/01-x");
    github.rules().required = vec!["c".to_owned()];
    let merge = |sha: &str| {
        github
            .ask(
                "PUT",
                "pulls/5/merge",
                Some(json!({"sha": sha, "merge_method": "squash"})),
            )
            .status
    };
    assert_eq!(merge(&head), 405);
    github.ask(
        "POST",
        &format!("statuses/{head}"),
        Some(json!({"state": "success", "context": "c"})),
    );
    assert_eq!(merge(&github.tip("master")), 409);
    assert_eq!(merge(&head), 200);
    assert_eq!(github.get("issues/1")["state"], "closed");
    assert_eq!(github.get("issues/1")["state_reason"], "completed");
    assert_eq!(github.get("pulls?state=open").as_array().unwrap().len(), 0);
}

#[test]
fn merge_queue_reads_statuses_of_its_group() {
    let github = with_pull();
    github.rules().required = vec!["c".to_owned()];
    let event = github.enqueue(5);
    let group = event["merge_group"]["head_sha"].as_str().unwrap().to_owned();
    let name = event["merge_group"]["head_ref"].as_str().unwrap().to_owned();
    assert!(
        name.starts_with("refs/heads/gh-readonly-queue/master/pr-5-"),
        "{name}"
    );
    assert_eq!(
        github.get(&format!("git/ref/{}", name.strip_prefix("refs/").unwrap()))["object"]["sha"],
        group
    );
    assert_eq!(github.advance_queue(), None);
    github.ask(
        "POST",
        &format!("statuses/{group}"),
        Some(json!({"state": "success", "context": "c"})),
    );
    assert_eq!(github.advance_queue(), Some(5));
    assert_eq!(github.tip("master"), group);
}

#[test]
fn lists_have_no_mergeable_and_pages_are_linked() {
    let github = with_pull();
    for number in 10..15 {
        github.api.issue(number, "x", "");
    }
    let list = github.get("pulls");
    assert!(list[0].get("mergeable").is_none() && list[0].get("merged").is_none());
    let page = github.ask("GET", "issues?state=open&per_page=2", None);
    assert!(
        page.headers["link"]
            .to_str()
            .unwrap()
            .contains("page=2>; rel=\"next\"")
    );
    assert_eq!(page.body[0]["number"], 14, "newest first");
}

#[test]
fn update_branch_needs_the_expected_head() {
    let github = with_pull();
    github.push("master", &[("b", "2\n")]);
    let update = |sha: &str| {
        github
            .ask(
                "PUT",
                "pulls/5/update-branch",
                Some(json!({"expected_head_sha": sha})),
            )
            .status
    };
    assert_eq!(update(&github.tip("master")), 422);
    let before = github.tip("issue/01-x");
    assert_eq!(update(&before), 202);
    assert_ne!(github.tip("issue/01-x"), before);
}

#[test]
fn runs_artifacts_and_dispatches_follow_actions() {
    let github = with_pull();
    let tier_b = "on:\n  workflow_dispatch:\n    inputs:\n      bundle:\n        type: choice\n        options: [full]\njobs: {}\n";
    github.push("master", &[(".github/workflows/tier-b.yml", tier_b)]);
    let dispatch = |inputs: Value| {
        let body = json!({"ref": "master", "inputs": inputs});
        github
            .ask("POST", "actions/workflows/tier-b.yml/dispatches", Some(body))
            .status
    };
    assert_eq!(dispatch(json!({"bundle": "hot"})), 422);
    assert_eq!(dispatch(json!({"other": "full"})), 422);
    assert_eq!(dispatch(json!({"bundle": "full"})), 204);
    let run =
        github.get("actions/workflows/tier-b.yml/runs?event=workflow_dispatch")["workflow_runs"][0]["id"]
            .as_u64()
            .unwrap();
    let artifact = github.upload(run, "results", "{}");
    assert_eq!(
        github.get(&format!("actions/runs/{run}/artifacts"))["artifacts"][0]["id"],
        artifact
    );
    let redirect = github.ask("GET", &format!("actions/artifacts/{artifact}/zip"), None);
    assert_eq!(redirect.status, 302);
    // A pull request of a person runs pr-lint; one that GITHUB_TOKEN opened does not.
    let head = github.push("issue/01-y", &[("c", "1\n")]);
    github.open(6, "issue/01-y", "github-actions[bot]", "");
    assert_eq!(
        github.get(&format!("actions/runs?head_sha={head}"))["total_count"],
        0
    );
    let head = github.tip("issue/01-x");
    assert_eq!(
        github.get(&format!("actions/runs?head_sha={head}&event=pull_request"))["total_count"],
        1
    );
}

#[test]
fn graphql_selects_pages_and_links_issues() {
    let github = with_pull();
    github.review(5, "reviewer", "APPROVED");
    let ask = |query: &str| {
        github
            .ask(
                "POST",
                "/graphql",
                Some(json!({"query": query, "variables": {"n": 5}})),
            )
            .body
    };
    let data = ask(
        "query($n:Int!){repository(owner:\"o\",name:\"t\"){pullRequest(number:$n){headRefName closingIssuesReferences(first:5){nodes{number}} \
         reviews(last:1){nodes{state authorAssociation}}} pullRequests(first:1,states:[OPEN]){totalCount pageInfo{hasNextPage}}}}",
    );
    let pull = &data["data"]["repository"]["pullRequest"];
    assert_eq!(pull["closingIssuesReferences"]["nodes"], json!([{"number": 1}]));
    assert_eq!(
        pull["reviews"]["nodes"],
        json!([{"state": "APPROVED", "authorAssociation": "MEMBER"}])
    );
    assert_eq!(data["data"]["repository"]["pullRequests"]["totalCount"], 1);
    assert!(ask("{repository{nonsense}}")["errors"].is_array());
}
