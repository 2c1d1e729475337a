//! Tests the GitHub client against the fake: paging, limits, faults, redirects, and the error message of each.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nmoe_gates::github::api::GitHub;
use nmoe_gates::github::client::Client;
use nmoe_gates::github::config::{ApiConfig, Repository};
use nmoe_gates::github::error::{ErrorKind, Transport};
use nmoe_gates::github::retry::Clock;
use nmoe_gates::github::types::State;

use crate::fake_github::{FakeGitHub, Fault, REPOSITORY, TOKEN};

/// A clock that records waits and returns at once.
#[derive(Clone, Default)]
struct FakeClock(Arc<Mutex<Vec<Duration>>>);

impl Clock for FakeClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000)
    }
    fn sleep(&self, wait: Duration) {
        self.0.lock().unwrap().push(wait);
    }
    fn jitter(&self) -> f64 {
        1.0
    }
}

fn hub_with(api: &FakeGitHub, extra: &[(&str, &str)]) -> (GitHub, FakeClock) {
    let access = ApiConfig::from_env(|name| {
        let found = extra.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        match name {
            _ if found.is_some() => found.map(str::to_owned),
            "GITHUB_API_URL" => Some(api.url().to_owned()),
            "GITHUB_TOKEN" => Some(TOKEN.to_owned()),
            "NMOE_API_TIMEOUT_S" => Some("1".to_owned()),
            _ => None,
        }
    })
    .unwrap();
    let clock = FakeClock::default();
    let client = Client::with_clock(access, Box::new(clock.clone())).unwrap();
    (GitHub::new(client, Repository::parse(REPOSITORY).unwrap()), clock)
}

fn hub(api: &FakeGitHub) -> (GitHub, FakeClock) {
    hub_with(api, &[])
}

const SHA: &str = "1111111111111111111111111111111111111111";

#[test]
fn lists_include_every_page() {
    let api = FakeGitHub::start();
    for n in 1..=7 {
        api.issue(n, "An issue", "");
    }
    api.pull(8, "b", SHA, SHA, "");
    api.state().page = 3;
    let (hub, _) = hub(&api);
    let numbers: Vec<u64> = hub.open_issues().unwrap().iter().map(|i| i.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7], "no pull request among them");
    assert_eq!(api.log().len(), 3);
    assert_eq!(hub.open_pulls().unwrap().len(), 1);
}

#[test]
fn requests_carry_expected_method_and_body() {
    let api = FakeGitHub::start();
    api.pull(5, "issue/01-x", SHA, SHA, "body");
    api.issue(7, "A contract", "");
    api.state().refs.insert("pull/5/merge".to_owned(), SHA.to_owned());
    api.state()
        .editors
        .insert(7, ("captain".to_owned(), Some("editor".to_owned())));
    let (hub, _) = hub(&api);
    assert_eq!(hub.pull(5).unwrap().head.branch, "issue/01-x");
    assert_eq!(hub.merge_ref(5).unwrap().as_deref(), Some(SHA));
    assert_eq!(hub.merge_ref(6).unwrap(), None);
    assert_eq!(hub.authorship(7).unwrap().editor.as_deref(), Some("editor"));
    assert_eq!(hub.login().unwrap(), "github-actions[bot]");
    let comment = hub.create_comment(5, "hello").unwrap();
    hub.update_comment(comment.id, "again").unwrap();
    assert_eq!(hub.comments(5).unwrap()[0].body, "again");
    hub.delete_comment(comment.id).unwrap();
    hub.delete_comment(comment.id).unwrap();
    hub.update_pull_body(5, "new").unwrap();
    assert_eq!(hub.issue(5).unwrap().body, "new");
    hub.set_status(
        &SHA.parse().unwrap(),
        "gates/full",
        State::Success,
        &"x".repeat(500),
        None,
    )
    .unwrap();
    let status = &hub.statuses(&SHA.parse().unwrap()).unwrap()[0];
    assert_eq!(
        (status.state.as_str(), status.description.len()),
        ("success", 140)
    );
    for seen in &api.state().seen {
        assert_eq!(seen.headers["authorization"], format!("Bearer {TOKEN}"));
        assert_eq!(seen.headers["x-github-api-version"], "2022-11-28");
    }
}

#[test]
fn transient_errors_are_retried_within_budget() {
    let api = FakeGitHub::start();
    api.issue(1, "An issue", "");
    api.fault("GET", "/", Fault::Status(502, "Bad Gateway", vec![]), 3);
    let (hub, clock) = hub(&api);
    hub.issue(1).unwrap();
    assert_eq!(
        clock
            .0
            .lock()
            .unwrap()
            .iter()
            .map(Duration::as_millis)
            .collect::<Vec<_>>(),
        [500, 1000, 2000]
    );
    api.fault("GET", "/", Fault::Status(503, "Unavailable", vec![]), 99);
    let fault = hub.issue(1).unwrap_err();
    assert_eq!((fault.status(), fault.tries), (Some(503), 6));
}

#[test]
fn rate_limits_are_waited_out_within_budget() {
    let api = FakeGitHub::start();
    api.issue(1, "An issue", "");
    let (hub, clock) = hub(&api);
    api.fault(
        "GET",
        "/",
        Fault::Status(429, "slow down", vec![("retry-after", "7".to_owned())]),
        1,
    );
    api.fault(
        "GET",
        "/",
        Fault::Status(
            403,
            "API rate limit exceeded",
            vec![
                ("x-ratelimit-remaining", "0".to_owned()),
                ("x-ratelimit-reset", "1000030".to_owned()),
            ],
        ),
        1,
    );
    api.fault(
        "GET",
        "/",
        Fault::Status(403, "You have exceeded a secondary rate limit", vec![]),
        1,
    );
    hub.issue(1).unwrap();
    assert_eq!(
        clock
            .0
            .lock()
            .unwrap()
            .iter()
            .map(Duration::as_secs)
            .collect::<Vec<_>>(),
        [7, 31, 60]
    );
    api.fault(
        "GET",
        "/",
        Fault::Status(429, "slow down", vec![("retry-after", "3600".to_owned())]),
        1,
    );
    let fault = hub.issue(1).unwrap_err();
    assert_eq!(fault.tries, 1, "an hour is longer than the patience");
    assert!(fault.to_string().contains("ends in 3600 s"), "{fault}");
    // A comment that was certainly not written is written again.
    api.fault(
        "POST",
        "/",
        Fault::Status(429, "slow down", vec![("retry-after", "1".to_owned())]),
        1,
    );
    hub.create_comment(1, "x").unwrap();
    assert_eq!(api.comments(1).len(), 1);
}

#[test]
fn broken_responses_have_distinct_errors() {
    let api = FakeGitHub::start();
    api.issue(1, "An issue", &"x".repeat(100));
    let (hub, _) = hub(&api);
    let unreachable = |b| ErrorKind::Unreachable(b);
    for (fault, cause) in [
        (Fault::Reset, unreachable(Transport::Cut)),
        (Fault::Silence, unreachable(Transport::Timeout)),
        (Fault::Truncated, unreachable(Transport::Cut)),
        (Fault::Slow, unreachable(Transport::Timeout)),
        (Fault::Garbage, unreachable(Transport::Protocol)),
        (Fault::Html, ErrorKind::NotJson),
        (Fault::Huge(17 << 20), ErrorKind::TooLarge),
    ] {
        let often = matches!(cause, ErrorKind::Unreachable(Transport::Cut | Transport::Timeout));
        // A timeout takes a real second, so these cases are retried as few times as the budget allows.
        let (patient, _) = hub_with(&api, &[("NMOE_API_PATIENCE_S", "0")]);
        api.fault("GET", "/", fault.clone(), 1);
        assert_eq!(patient.issue(1).unwrap_err().kind, cause, "{fault:?}");
        if often {
            api.fault("GET", "/", fault.clone(), 1);
            hub.issue(1).unwrap();
        }
    }
}

#[test]
fn uncertain_write_is_not_repeated() {
    let api = FakeGitHub::start();
    api.issue(1, "An issue", "");
    let (hub, _) = hub(&api);
    api.fault("POST", "/", Fault::DoneThenReset, 1);
    let fault = hub.create_comment(1, "once").unwrap_err();
    assert!(fault.may_have_happened() && fault.tries == 1);
    assert_eq!(api.comments(1), ["once"]);
    api.fault("PATCH", "/", Fault::DoneThenReset, 1);
    let id = hub.comments(1).unwrap()[0].id;
    hub.update_comment(id, "twice").unwrap();
}

#[test]
fn redirect_to_other_host_gets_no_token() {
    let (api, other) = (FakeGitHub::start(), FakeGitHub::start());
    api.issue(1, "An issue", "");
    let (hub, _) = hub(&api);
    let to = |base: &str| format!("{base}/repos/{REPOSITORY}/issues/1");
    for target in [
        to(other.url()),
        to(&other.url().replace("127.0.0.1", "localhost")),
        format!("//{}/", &other.url()[7..]),
    ] {
        api.fault("GET", "/", Fault::Redirect(302, target), 1);
        assert_eq!(hub.issue(1).unwrap_err().kind, ErrorKind::Redirected);
    }
    assert!(other.log().is_empty());
    api.fault("GET", "/", Fault::Redirect(301, to(api.url())), 1);
    api.fault("GET", "/", Fault::Redirect(307, to("")), 1);
    hub.issue(1).unwrap();
    api.fault("GET", "/", Fault::Redirect(301, to(api.url())), 99);
    assert_eq!(
        hub.issue(1).unwrap_err().kind,
        ErrorKind::Redirected,
        "in circles"
    );
    api.fault("POST", "/", Fault::Redirect(301, to(api.url())), 1);
    assert_eq!(
        hub.create_comment(1, "x").unwrap_err().kind,
        ErrorKind::Redirected
    );
}

#[test]
fn next_page_on_other_host_is_not_fetched() {
    let (api, other) = (FakeGitHub::start(), FakeGitHub::start());
    api.issue(1, "An issue", "");
    let (hub, _) = hub(&api);
    let link = format!("<{}/x>; rel=\"next\"", other.url());
    api.fault("GET", "/", Fault::Status(200, "", vec![("link", link)]), 1);
    assert!(hub.comments(1).is_err());
    assert!(other.log().is_empty());
}

#[test]
fn errors_name_cause_and_fix_without_secrets() {
    let api = FakeGitHub::start();
    api.issue(1, "An issue", "");
    let says = |hub: &GitHub| hub.create_comment(1, "x").unwrap_err().to_string();
    let (wrong, _) = hub_with(&api, &[("GITHUB_TOKEN", "wrong-sesame")]);
    let text = says(&wrong);
    assert!(
        text.contains("401 (Bad credentials)") && text.contains("expired"),
        "{text}"
    );
    assert!(!text.contains("sesame") && !text.contains("127.0.0.1"), "{text}");
    let (nobody, _) = hub_with(&api, &[("GITHUB_TOKEN", "")]);
    assert_eq!(
        nobody.create_comment(1, "x").unwrap_err().kind,
        ErrorKind::NoToken
    );
    nobody.issue(1).unwrap();
    api.state().may_write = false;
    let (hub, _) = hub(&api);
    assert!(
        says(&hub).contains("which needs issues=write; pull_requests=write"),
        "{}",
        says(&hub)
    );
    assert!(hub.issue(404).unwrap_err().is_missing());
}

#[test]
fn refused_connection_is_unreachable() {
    let api = FakeGitHub::start();
    let (hub, clock) = hub_with(&api, &[("GITHUB_API_URL", "http://127.0.0.1:9")]);
    let fault = hub.issue(1).unwrap_err();
    assert_eq!(fault.kind, ErrorKind::Unreachable(Transport::Connect));
    assert_eq!(clock.0.lock().unwrap().len(), 5);
    let (hub, _) = hub_with(
        &api,
        &[
            ("GITHUB_API_URL", "https://no-such-host.invalid"),
            ("NMOE_API_PATIENCE_S", "0"),
        ],
    );
    assert!(matches!(
        hub.issue(1).unwrap_err().kind,
        ErrorKind::Unreachable(Transport::Name | Transport::Connect)
    ));
}
