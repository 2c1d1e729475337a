//! Makes each API fault of the table in docs/explanation/security-model.md and compares the output of the program with the row.

use crate::fake_github::{FakeGitHub, Fault};
use crate::pull_fixture::PullFixture;

/// A fault for one row: the cause, extra environment variables, the exit code, and the message.
struct FaultCase {
    row: &'static str,
    wrong: fn(&FakeGitHub),
    env: &'static [(&'static str, &'static str)],
    exit: i32,
    says: &'static [&'static str],
}

fn all(api: &FakeGitHub, fault: Fault) {
    api.fault("*", "/", fault, 99);
}

fn status(api: &FakeGitHub, status: u16, message: &'static str) {
    all(api, Fault::Status(status, message, Vec::new()));
}

const STATUSES: &str = "/repos/octo-org/trainer/statuses";

/// At least one case for each row.
const WAYS: &[FaultCase] = &[
    FaultCase {
        row: "host name unknown, no connection",
        wrong: |_| (),
        env: &[("GITHUB_API_URL", "http://127.0.0.1:9")],
        exit: 3,
        says: &["cannot connect to the API", "GITHUB_API_URL"],
    },
    FaultCase {
        row: "no answer in time, slow body",
        wrong: |api| all(api, Fault::Silence),
        env: &[],
        exit: 3,
        says: &["no answer in time"],
    },
    FaultCase {
        row: "no answer in time, slow body",
        wrong: |api| all(api, Fault::Slow),
        env: &[],
        exit: 3,
        says: &["no answer in time"],
    },
    FaultCase {
        row: "connection reset, truncated body",
        wrong: |api| all(api, Fault::Reset),
        env: &[],
        exit: 3,
        says: &["the connection closed before the answer was complete"],
    },
    FaultCase {
        row: "connection reset, truncated body",
        wrong: |api| all(api, Fault::Truncated),
        env: &[],
        exit: 3,
        says: &["the connection closed before the answer was complete"],
    },
    FaultCase {
        row: "bytes that are not HTTP",
        wrong: |api| all(api, Fault::Garbage),
        env: &[],
        exit: 3,
        says: &["the answer was not HTTP"],
    },
    FaultCase {
        row: "500 to 599",
        wrong: |api| status(api, 502, "Bad Gateway"),
        env: &[],
        exit: 3,
        says: &["answered 502", "status page"],
    },
    FaultCase {
        row: "429, 403 with a rate limit",
        wrong: |api| {
            all(
                api,
                Fault::Status(429, "slow down", vec![("retry-after", "3600".to_owned())]),
            )
        },
        env: &[],
        exit: 3,
        says: &["the rate limit is reached; it ends in 3600 s"],
    },
    FaultCase {
        row: "429, 403 with a rate limit",
        wrong: |api| status(api, 403, "You have exceeded a secondary rate limit"),
        env: &[],
        exit: 3,
        says: &["the rate limit is reached"],
    },
    FaultCase {
        row: "401",
        wrong: |_| (),
        env: &[("GITHUB_TOKEN", "another-sesame")],
        exit: 3,
        says: &["answered 401", "expired"],
    },
    FaultCase {
        row: "403",
        wrong: |api| {
            let needs = vec![("x-accepted-github-permissions", "pull_requests=read".to_owned())];
            all(api, Fault::Status(403, "Resource not accessible", needs));
        },
        env: &[],
        exit: 3,
        says: &["answered 403", "which needs pull_requests=read"],
    },
    FaultCase {
        row: "404, 410",
        wrong: |api| status(api, 404, "Not Found"),
        env: &[],
        exit: 3,
        says: &["answered 404", "may not see"],
    },
    FaultCase {
        row: "404, 410",
        wrong: |api| status(api, 410, "Gone"),
        env: &[],
        exit: 3,
        says: &["answered 410", "deleted"],
    },
    FaultCase {
        row: "422",
        wrong: |api| status(api, 422, "Validation Failed"),
        env: &[],
        exit: 3,
        says: &["answered 422", "GitHub refused the content"],
    },
    FaultCase {
        row: "redirect within the API's origin",
        wrong: |api| {
            let there = format!("{}/repos/octo-org/trainer/pulls/5", api.url());
            api.fault(
                "GET",
                "/repos/octo-org/trainer/pulls/5",
                Fault::Redirect(301, there),
                1,
            );
        },
        env: &[],
        exit: 0,
        says: &[],
    },
    FaultCase {
        row: "redirect or next page on another host",
        wrong: |api| all(api, Fault::Redirect(302, "https://elsewhere.example/".to_owned())),
        env: &[],
        exit: 3,
        says: &["the answer points to another host"],
    },
    FaultCase {
        row: "HTML, or text that is not JSON",
        wrong: |api| all(api, Fault::Html),
        env: &[],
        exit: 3,
        says: &[
            "the answer is not JSON",
            "a proxy or a login page may have answered",
        ],
    },
    FaultCase {
        row: "more than 16 MiB, or 50 pages",
        wrong: |api| all(api, Fault::Huge(17 << 20)),
        env: &[],
        exit: 3,
        says: &["the answer is too large"],
    },
    FaultCase {
        row: "a setting that cannot be used",
        wrong: |_| (),
        env: &[("NMOE_API_TIMEOUT_S", "soon")],
        exit: 2,
        says: &["cannot use NMOE_API_TIMEOUT_S: it must be a whole number of seconds"],
    },
    FaultCase {
        row: "the comment cannot be written",
        wrong: |api| api.state().may_write = false,
        env: &[],
        exit: 3,
        says: &["cannot publish the table on the pull request", "answered 403"],
    },
    FaultCase {
        row: "the status cannot be set (403)",
        wrong: |api| api.fault("POST", STATUSES, Fault::Status(403, "No", Vec::new()), 99),
        env: &[],
        exit: 0,
        says: &["statuses: write"],
    },
];

/// Rows that other tests cover.
const ELSEWHERE: &[&str] = &["certificate not accepted"];

/// Returns the rows of the page: the first cell, and the complete row.
fn rows() -> Vec<(String, String)> {
    let page = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/explanation/security-model.md"
    ))
    .unwrap();
    page.lines()
        .skip_while(|line| !line.starts_with("| what happens |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| (line.split('|').nth(1).unwrap().trim().to_owned(), line.to_owned()))
        .collect()
}

#[test]
fn documented_api_faults_match_output() {
    let rows = rows();
    for (row, _) in &rows {
        assert!(
            ELSEWHERE.contains(&row.as_str()) || WAYS.iter().any(|way| way.row == row),
            "no test makes `{row}` happen"
        );
    }
    // Some cases wait for a second, so all run in parallel.
    std::thread::scope(|scope| {
        for way in WAYS {
            let rows = &rows;
            scope.spawn(move || shown(way, rows));
        }
    });
}

fn shown(way: &FaultCase, rows: &[(String, String)]) {
    let (_, row) = rows
        .iter()
        .find(|(name, _)| name == way.row)
        .unwrap_or_else(|| panic!("docs/explanation/security-model.md has no row `{}`", way.row));
    let fixture = PullFixture::new();
    (way.wrong)(&fixture.api);
    let mut call = fixture
        .call(&fixture.results())
        .env("NMOE_API_TIMEOUT_S", "3")
        .env("NMOE_API_PATIENCE_S", "0");
    for (name, value) in way.env {
        call = call.env(name, *value);
    }
    let out = call.run();
    assert_eq!(out.code(), Some(way.exit), "{}: {}", way.row, out.stderr);
    // A table that cannot be published is printed.
    assert!(
        out.stdout.is_empty() || out.stdout.contains("### Gates"),
        "{}",
        out.stdout
    );
    for says in way.says {
        assert!(out.stderr.contains(says), "{}: {}", way.row, out.stderr);
    }
    let first = way.says.first().copied().unwrap_or_default();
    // The page writes `N` for a number that varies.
    let quoted = first.replace("3600", "N");
    assert!(
        first.is_empty() || row.contains(&quoted) || way.says[1..].iter().any(|says| row.contains(says)),
        "the row does not say `{quoted}`: {row}"
    );
    if way.row == "the comment cannot be written" {
        assert!(out.stdout.contains("b200:two"), "{}", out.stdout);
    }
    assert!(
        !out.stderr.contains("sesame") && !out.stderr.contains("127.0.0.1"),
        "{}",
        out.stderr
    );
}
