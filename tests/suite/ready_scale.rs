//! Counts what `ready --all` does for many open pull requests: trial merges, git processes, requests. It must grow linearly.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use regex::Regex;

use crate::fake_github::Fault;
use crate::pull_on_github::Loop;
use crate::support::contract::contract;
use crate::support::registry::registry;
use crate::terminal::Terminal;

/// What one call of `ready --all` did.
struct Cost {
    pulls: u64,
    merges: usize,
    processes: usize,
    requests: usize,
    seconds: f64,
}

/// Opens pull requests that change different files.
fn open(pulls: u64) -> Loop {
    let gates = registry()
        .gate("cpu:import", "true", "tier = \"a\"\ntimeout_s = 60")
        .gate("cpu:compileall", "true", "tier = \"a\"\ntimeout_s = 60")
        .gate("host:one", "true", "tier = \"b\"\ntimeout_s = 60")
        .bundle("one", &["host:one"]);
    let way = Loop::with(&[("configs/gates/gates.toml", gates.text().as_str()), ("a", "1\n")]);
    let master = way.github.tip("master");
    let mut stream = String::new();
    for n in 1..=pulls {
        let who = "A <a@example.com> 1767225600 +0000";
        write!(
            stream,
            "commit refs/heads/issue/{n}-x\ncommitter {who}\ndata 4\nWork\nfrom {master}\nM 100644 inline w/{n}\ndata 2\n1\n\n"
        )
        .unwrap();
    }
    let mut import = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(way.github.remote())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    import.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
    for n in 1..=pulls {
        let (id, file) = (n.to_string(), format!("w/{n}"));
        let body = contract(&id, "x").allow(&file).requires("host:one").issue_body();
        way.github.api.issue(n, "Work", &body);
        let (number, branch) = (n + 10_000, format!("issue/{n}-x"));
        way.github
            .open(number, &branch, "writer", &format!("Fixes: #{n}"));
    }
    way
}

/// Checks many pull requests, and counts.
fn cost(pulls: u64) -> Cost {
    let way = open(pulls);
    // Every git process of the program goes through a script that writes down its arguments.
    let bin = way.sandbox.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    let script = format!("#!/bin/sh\necho \"$*\" >> \"$COMMANDS_LOG\"\nPATH='{path}' exec git \"$@\"\n");
    std::fs::write(bin.join("git"), script).unwrap();
    let mut mode = std::fs::metadata(bin.join("git")).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    std::fs::set_permissions(bin.join("git"), mode).unwrap();
    let log = way.sandbox.path("git.log");
    way.github.api.state().seen.clear();
    let start = Instant::now();
    let out = way
        .call(&["ready", "--all", "--format", "json"])
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("COMMANDS_LOG", &log)
        .env("NMOE_API_TIMEOUT_S", "60")
        .run()
        .exits(1);
    let seconds = start.elapsed().as_secs_f64();
    let order = out.json()["order"].as_array().unwrap().len();
    assert_eq!(order as u64, pulls);
    let log = std::fs::read_to_string(log).unwrap();
    Cost {
        pulls,
        merges: log.lines().filter(|line| line.contains(" merge-tree ")).count(),
        processes: log.lines().count(),
        requests: way.github.api.log().len(),
        seconds,
    }
}

/// B6: the order of merging was cubic: 74 trial merges for 5 pull requests, and 120 did not end.
#[test]
fn slow_ready_for_all_pull_requests_is_linear() {
    // `benches/ready` asks for more.
    let sizes = std::env::var("NMOE_READY_SIZES").unwrap_or("5 10".to_owned());
    for size in sizes.split(' ') {
        let cost = cost(size.parse().unwrap());
        println!(
            "| {} | {} | {} | {} | {:.1} |",
            cost.pulls, cost.merges, cost.processes, cost.requests, cost.seconds
        );
        let pulls = usize::try_from(cost.pulls).unwrap();
        assert!(cost.merges <= 2 * pulls, "{} merge-tree", cost.merges);
        assert!(cost.processes <= 8 * pulls + 40, "{} processes", cost.processes);
        assert!(cost.requests <= pulls / 10 + 15, "{} requests", cost.requests);
    }
}

/// Without GraphQL each pull request needs its own requests, and the user is told how many come.
#[test]
fn slow_refused_batch_announces_many_requests() {
    let way = open(34);
    let refused = Fault::Status(403, "Resource not accessible by integration", Vec::new());
    way.github.api.fault("POST", "/graphql", refused, 1);
    let out = way.call(&["ready", "--all"]).run().exits(1).any_output();
    for expected in [
        "cannot ask about many pull requests at once, so asking one by one: GitHub: POST /graphql",
        "reviews, comments and authors need about 102 requests; a token of GitHub Actions has 1,000 in an hour",
    ] {
        assert!(out.stderr.contains(expected), "{}", out.stderr);
    }
}

#[test]
fn slow_terminal_shows_progress_of_ready() {
    let way = open(3);
    let (mut terminal, slave) = Terminal::open();
    let mut child = way
        .call(&["ready", "--all"])
        .into_command()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(slave)
        .spawn()
        .unwrap();
    for part in [
        "\r\x1b\\[Kreading reviews and comments: 0 of 3",
        "\r\x1b\\[Kchecking pull requests: 2 of 3",
        "\r\x1b\\[Kfinding the order of merging\r\x1b\\[K",
    ] {
        terminal.until(&Regex::new(part).unwrap());
    }
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
