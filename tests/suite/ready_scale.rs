//! Counts what `ready --all` does for many open pull requests: trial merges, git processes, requests. It must grow linearly.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use regex::Regex;
use serde_json::Value;

use crate::driver::git;
use crate::fake_github::{Fault, REPOSITORY};
use crate::pull_on_github::Loop;
use crate::support::contract::contract;
use crate::support::digest::sha256;
use crate::support::registry::registry;
use crate::terminal::Terminal;

/// What one call of `ready --all` did.
struct Cost {
    merges: usize,
    processes: usize,
    requests: usize,
    /// The requests that GitHub counts: not those that it answers with 304.
    counted: u32,
    seconds: f64,
    /// The processor time of the program and of all git processes, those of the stand-in included.
    processor_s: f64,
}

/// Opens pull requests that change different files.
fn open(pulls: u64) -> Loop {
    let gates = registry()
        .gate("cpu:import", "true", "tier = \"a\"\ntimeout_s = 60")
        .gate("cpu:compileall", "true", "tier = \"a\"\ntimeout_s = 60")
        .gate("host:one", "true", "tier = \"b\"\ntimeout_s = 60")
        .bundle("one", &["host:one"]);
    let mut way = Loop::with(&[("configs/gates/gates.toml", gates.text().as_str()), ("a", "1\n")]);
    // The stand-in looks at every pull request for each answer.
    way.timeout_s = 60;
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

/// Publishes a pass of Tier B on each pull request, each by a separate run. The program publishes the first one. The others get the
/// same comment, artifact and status, with their own ids: a run of the program for each would take minutes.
fn publish(way: &Loop, pulls: u64) {
    let first = Published::of(way, 1);
    way.tier_b(first.number, first.run, &["--bundle", "one"]);
    let mut state = way.github.api.state();
    let (comment, status) = (state.comments[0].clone(), state.statuses[&first.head][0].clone());
    let (artifact, evidence) = state.artifacts[0].clone();
    drop(state);
    for n in 2..=pulls {
        let own = Published::of(way, n);
        let evidence_of = first.replaced_by(&own, &evidence);
        let name = format!("evidence-{}.json", sha256(&evidence_of));
        let body = first.replaced_by(&own, comment["body"].as_str().unwrap());
        assert!(body.contains(&evidence_of), "the comment embeds the evidence");
        assert_ne!(artifact["name"], name);
        let mut comment = comment.clone();
        comment["body"] = body.into();
        comment["issue"] = own.number.into();
        comment["id"] = (own.run * 10).into();
        let mut status = status.clone();
        let page = first.replaced_by(&own, status["target_url"].as_str().unwrap());
        status["target_url"] = page.into();
        way.github.api.tier_b_run(own.run, &way.github.tip("master"));
        state = way.github.api.state();
        state.comments.push(comment);
        state.statuses.entry(own.head).or_default().insert(0, status);
        state.add_artifact(own.run, &name, &evidence_of);
        drop(state);
    }
}

/// What the published results of a pull request name.
struct Published {
    number: u64,
    run: u64,
    head: String,
    merge: String,
    tree: String,
    contract: String,
}

impl Published {
    /// Makes the test merge of the pull request for the n-th contract.
    fn of(way: &Loop, n: u64) -> Self {
        let number = n + 10_000;
        way.github.settle(number);
        let id = |name: &str| git(&way.github.remote(), ["rev-parse", name]).trim().to_owned();
        let merge = format!("refs/pull/{number}/merge");
        let issue = way.github.api.state().issues[&n]["body"].clone();
        Published {
            number,
            run: n + 500_000,
            head: way.github.tip(&format!("issue/{n}-x")),
            tree: id(&format!("{merge}^{{tree}}")),
            merge: id(&merge),
            contract: sha256(issue.as_str().unwrap()),
        }
    }

    /// Replaces the ids of this one in a text.
    fn replaced_by(&self, other: &Self, text: &str) -> String {
        [
            (self.run.to_string(), other.run.to_string()),
            (self.number.to_string(), other.number.to_string()),
            (self.head.clone(), other.head.clone()),
            (self.merge.clone(), other.merge.clone()),
            (self.tree.clone(), other.tree.clone()),
            (self.contract.clone(), other.contract.clone()),
        ]
        .iter()
        .fold(text.to_owned(), |text, (of_self, of_other)| {
            text.replace(of_self, of_other)
        })
    }
}

/// Whether the published results prove each pull request of an answer.
fn assert_proven(answer: &Value) {
    for pull in answer["pulls"].as_array().unwrap() {
        let blockers = pull["blockers"].to_string();
        assert!(
            !blockers.contains("tier-b-missing") && !blockers.contains("evidence"),
            "{blockers}"
        );
    }
}

/// Returns the processor time of the processes that this one has waited for, from the fields `cutime` and `cstime`.
fn processor_time_of_children() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |n: usize| fields[n].parse::<f64>().unwrap();
    (ticks(13) + ticks(14)) / TICKS_PER_SECOND
}

/// Checks many pull requests, and counts.
fn cost(way: &Loop, pulls: u64, published: bool) -> Cost {
    // Every git process of the program goes through a script that writes down its arguments.
    let bin = way.sandbox.path("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    let script = format!("#!/bin/sh\necho \"$*\" >> \"$COMMANDS_LOG\"\nPATH='{path}' exec git \"$@\"\n");
    std::fs::write(bin.join("git"), script).unwrap();
    let mut mode = std::fs::metadata(bin.join("git")).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    std::fs::set_permissions(bin.join("git"), mode).unwrap();
    let log = way.sandbox.path("git.log");
    let _ = std::fs::remove_file(&log);
    way.github.api.state().seen.clear();
    let before = way.github.counted();
    let (start, used) = (Instant::now(), processor_time_of_children());
    let out = way
        .call(&["ready", "--all", "--format", "json"])
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("COMMANDS_LOG", &log)
        .run()
        .exits(1);
    let seconds = start.elapsed().as_secs_f64();
    let processor_s = processor_time_of_children() - used;
    let answer = out.json();
    assert_eq!(answer["order"].as_array().unwrap().len() as u64, pulls);
    if published {
        assert_proven(&answer);
    }
    let log = std::fs::read_to_string(log).unwrap();
    Cost {
        merges: log.lines().filter(|line| line.contains(" merge-tree ")).count(),
        processes: log.lines().count(),
        requests: way.github.api.log().len(),
        counted: way.github.counted() - before,
        seconds,
        processor_s,
    }
}

/// B6: the order of merging was cubic: 74 trial merges for 5 pull requests, and 120 did not end.
#[test]
fn slow_ready_for_all_pull_requests_is_linear() {
    // `benches/ready` asks for more. `p`: with a published pass on each.
    let sizes = std::env::var("NMOE_READY_SIZES").unwrap_or("5 10 5p".to_owned());
    for size in sizes.split(' ') {
        let pulls: u64 = size.trim_end_matches('p').parse().unwrap();
        let published = size.ends_with('p');
        let way = open(pulls);
        if published {
            publish(&way, pulls);
        }
        let first = cost(&way, pulls, published);
        let again = cost(&way, pulls, published);
        println!(
            "| {pulls} | {} | {} | {} | {} | {:.1} | {:.1} | {} |",
            if published { "yes" } else { "no" },
            first.merges,
            first.processes,
            first.requests,
            first.seconds,
            first.processor_s,
            again.counted
        );
        let pulls = usize::try_from(pulls).unwrap();
        assert!(first.merges <= 2 * pulls, "{} merge-tree", first.merges);
        assert!(first.processes <= 8 * pulls + 40, "{} processes", first.processes);
        assert!(first.requests <= pulls / 10 + 15, "{} requests", first.requests);
        // Only GraphQL queries count again: they are no GET.
        let queries = 3 + pulls.div_ceil(20) + pulls.div_ceil(60);
        assert!(again.counted as usize <= queries, "{} requests", again.counted);
    }
}

/// The evidence of published results is read in few requests, and where a list is refused one by one.
#[test]
fn slow_published_evidence_needs_few_requests() {
    let way = open(4);
    publish(&way, 4);
    let log = |way: &Loop| {
        let log = way.github.api.log();
        let of = |part: &str| log.iter().filter(|line| line.contains(part)).count();
        [
            of("/actions/runs?"),
            of("/actions/artifacts?"),
            of("/actions/runs/"),
            of("/statuses?"),
        ]
    };
    let ready = || {
        way.github.api.state().seen.clear();
        let out = way
            .call(&["ready", "--all", "--format", "json"])
            .run()
            .exits(1)
            .any_output();
        let answer = out.json();
        assert_eq!(answer["pulls"].as_array().unwrap().len(), 4);
        assert_proven(&answer);
    };
    ready();
    assert_eq!(
        log(&way),
        [1, 1, 0, 0],
        "lists of runs and artifacts, and one query"
    );
    let refused = || Fault::Status(403, "Resource not accessible by integration", Vec::new());
    let list = format!("/repos/{REPOSITORY}/actions");
    way.github
        .api
        .fault("GET", &format!("{list}/runs?"), refused(), 1);
    way.github
        .api
        .fault("GET", &format!("{list}/artifacts?"), refused(), 1);
    ready();
    assert_eq!(log(&way), [1, 1, 8, 0], "each run and each artifact");
}

/// Without GraphQL each pull request needs its own requests, and the user is told how many come.
#[test]
fn slow_refused_batch_announces_many_requests() {
    let way = open(34);
    let refused = Fault::Status(403, "Resource not accessible by integration", Vec::new());
    way.github.api.fault("POST", "/graphql", refused, 1);
    let out = way.call(&["ready", "--all"]).run().exits(1).any_output();
    for expected in [
        "cannot ask about many pull requests at once, so asking one by one: cannot complete POST /graphql",
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
