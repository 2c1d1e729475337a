//! Tests the command lines in README, docs and templates. A line that a reader can type is run in a repository in the state that the
//! page describes, and must end with the expected code. A synopsis must be a command with options that the program accepts.

use std::collections::BTreeSet;
use std::path::Path;

use crate::documented_fixture::{DocumentedFixture, State};
use crate::driver::Sandbox;

/// Lines that are not run here, with the reason. A row covers the lines that begin with it. A row that matches no line is an error.
const NOT_RUN: [(&str, &str); 24] = [
    (
        "./scripts/demo",
        "builds the program, then runs `nmoe-gates demo`, which `demo.rs` runs",
    ),
    ("./scripts/test", "runs this test"),
    ("cargo test --workspace", "runs this test"),
    ("cargo install", "compiles the program for minutes"),
    (
        "scripts/build-release",
        "compiles the program for minutes; `scripts/test` runs it",
    ),
    (
        "scripts/release/build-wheel",
        "needs the release file; `python_wheel.rs` packs and installs a wheel",
    ),
    ("pip install", "`python_wheel.rs` installs a wheel"),
    ("pipx install", "needs a published release"),
    ("uv tool install", "needs a published release"),
    ("uvx nmoe-gates", "needs a published release"),
    ("gh release download", "needs a published release"),
    ("install -D", "installs the file of a published release"),
    (
        "GITHUB_ACTION_REPOSITORY=",
        "needs a published release; `get_program.rs` runs scripts/get",
    ),
    ("cargo insta review", "is interactive"),
    ("git bisect", "`perf_history.rs` runs it on a short history"),
    ("scripts/ci/generate-reference", "writes into the repository"),
    (
        "scripts/dev/render-readme-image",
        "needs a browser, and writes into the repository",
    ),
    (
        "scripts/verify/faults",
        "takes minutes; `run_escape.rs` runs it in `scripts/test --all`",
    ),
    (
        "scripts/verify/fuzz --write",
        "takes an hour; `scripts/test --all` fuzzes for minutes",
    ),
    (
        "scripts/verify/fuzz 1000000",
        "takes minutes; `scripts/test --all` fuzzes every target",
    ),
    ("docker run", "needs a container engine and a B200"),
    (
        "nmoe-gates run --tier a --container",
        "needs a container engine; `scripts/verify/containers` runs it",
    ),
    (
        "gh pr create",
        "needs GitHub; the scene opens the same pull request",
    ),
    (
        "gh attestation verify",
        "needs GitHub's attestations; `act_release.rs` checks what is attested",
    ),
];

/// Lines that exit with another code than 0 in the reader's repository, with the reason.
const ENDS: [(&str, &str, i32, &str); 23] = [
    ("README.md", "nmoe-gates run --bundle full", 3, NO_B200),
    (
        "docs/reference/run.md",
        "nmoe-gates run --bundle full --contract issue.md",
        3,
        NO_B200,
    ),
    (
        "docs/explanation/performance.md",
        "nmoe-gates run --gate b200:moonlight_8x20 --gate perf:baseline_delta --perf-budget-pct -10",
        3,
        NO_B200,
    ),
    (
        "docs/explanation/performance.md",
        "nmoe-gates perf calibrate --gate perf:baseline_delta --pairs 12",
        3,
        NO_B200,
    ),
    (
        "docs/explanation/performance.md",
        "nmoe-gates perf calibrate --gate perf:baseline_delta --from results.json",
        3,
        "the recorded run compared nothing",
    ),
    (
        "docs/explanation/performance.md",
        "nmoe-gates perf compare --baseline base-0.log base-1.log --head head-0.log head-1.log --budget-pct -1 --format json > open.json",
        3,
        "the change is as large as the budget",
    ),
    (
        "docs/explanation/performance.md",
        "nmoe-gates perf compare --baseline base-2.log --head head-2.log --budget-pct -1 --continue open.json",
        3,
        "the change is as large as the budget",
    ),
    (
        "docs/explanation/performance.md",
        "nmoe-gates perf history steps",
        3,
        "the recorded run compared nothing",
    ),
    (
        "docs/explanation/performance.md",
        "nmoe-gates perf history check",
        3,
        "no epoch is pinned",
    ),
    (
        "docs/explanation/performance.md",
        "nmoe-gates perf history plot --output history.html",
        2,
        "the recorded run compared nothing",
    ),
    (
        "docs/start/quickstart.md",
        "nmoe-gates run --bundle full --dry-run",
        2,
        "the bundle is added by hand; `scripts/verify/install` adds it",
    ),
    (
        "docs/start/quickstart.md",
        "nmoe-gates run --bundle full --rehearse",
        2,
        "the bundle is added by hand; `scripts/verify/install` adds it",
    ),
    ("docs/guides/setup.md", "nmoe-gates doctor --runner", 1, NO_B200),
    (
        "docs/guides/maintainer.md",
        "nmoe-gates doctor --runner",
        1,
        NO_B200,
    ),
    (
        "docs/guides/maintainer.md",
        "nmoe-gates run --bundle full --rehearse",
        3,
        "no gate of the registry declares `rehearse`",
    ),
    (
        "docs/guides/contributor.md",
        "nmoe-gates lint pr --body pr.md",
        1,
        "a person ticks its boxes",
    ),
    (
        "docs/guides/merge-captain.md",
        "nmoe-gates ready 12",
        1,
        NOT_REVIEWED,
    ),
    (
        "docs/guides/merge-captain.md",
        "nmoe-gates ready 12 13",
        1,
        NOT_REVIEWED,
    ),
    (
        "docs/guides/merge-captain.md",
        "nmoe-gates ready --all",
        1,
        NOT_REVIEWED,
    ),
    (
        "docs/guides/merge-captain.md",
        "nmoe-gates ready 12 --results results.json --attested",
        1,
        NOT_REVIEWED,
    ),
    (
        "docs/guides/contributor-workflow.md",
        "nmoe-gates ready 12 --results results.json",
        1,
        NOT_REVIEWED,
    ),
    (
        "docs/explanation/security-model.md",
        "nmoe-gates ready 12 --results results.json --attested",
        1,
        NOT_REVIEWED,
    ),
    (
        "templates/init/AGENTS.md",
        "nmoe-gates ready <PR>",
        1,
        NOT_REVIEWED,
    ),
];

const NO_B200: &str = "there is no B200 here";
const NOT_REVIEWED: &str = "the pull request is not approved";

/// Replaces placeholders in a template line by values of a reader.
const VALUES: [(&str, &str); 4] = [
    ("<ID>", "03a"),
    ("<WORKTREE>", "../nmoe-worktrees/issue-03a-attention"),
    ("<FILE>", "pr.md"),
    ("<PR>", "12"),
];

/// Returns the state of the repository for the reader of a section.
fn state(page: &str, section: &str) -> State {
    match (page, section) {
        ("docs/guides/maintainer.md", "## Rehearse a bundle without a B200") => State::Adopted,
        ("docs/guides/setup.md" | "docs/guides/maintainer.md", _) => State::Fresh,
        ("README.md", "## Start in five minutes") => State::Fresh,
        (page, _) if page.starts_with("docs/start/") => State::Fresh,
        ("docs/guides/contributor.md" | "templates/init/AGENTS.md", _)
        | ("docs/guides/contributor-workflow.md", "# The contributor workflow") => State::Adopted,
        _ => State::Worked,
    }
}

/// Returns the event that the comment of a line names.
fn event(line: &str) -> Option<&'static str> {
    match line {
        "nmoe-gates lint pr" => Some("pull_request"),
        "nmoe-gates images" => Some("push"),
        _ => None,
    }
}

/// A command line of a page.
#[derive(Debug)]
struct Line {
    page: String,
    section: String,
    text: String,
    synopsis: bool,
}

/// Returns the command lines of a page: lines in shell blocks, and lines of the program in other blocks, with continuation lines.
fn lines(page: &str, text: &str) -> Vec<Line> {
    let (mut fence, mut found, mut open, mut section) = (None, Vec::<Line>::new(), false, String::new());
    for line in text.lines().map(str::trim) {
        if let Some(info) = line.strip_prefix("```") {
            fence = fence.is_none().then_some(info);
            open = false;
            continue;
        }
        let Some(info) = fence else {
            if line.starts_with('#') {
                section = line.to_owned();
            }
            continue;
        };
        let shell = ["sh", "bash"].contains(&info);
        if line.is_empty() || line.starts_with('#') || !(shell || open || line.starts_with("nmoe-gates ")) {
            continue;
        }
        let said = line.split(" #").next().unwrap().trim();
        let (said, goes_on) = said
            .strip_suffix('\\')
            .map_or((said, false), |s| (s.trim(), true));
        if open {
            let last = &mut found.last_mut().unwrap().text;
            last.push(' ');
            last.push_str(said);
        } else {
            found.push(Line {
                page: page.to_owned(),
                section: section.clone(),
                text: said.to_owned(),
                synopsis: !shell,
            });
        }
        open = goes_on;
    }
    found
}

/// Pages that are generated from the program. `codes.md` shows mistakes on purpose.
const GENERATED: [&str; 2] = ["docs/reference/codes.md", "docs/reference/commands.md"];

/// Returns every page with its command lines, except the generated pages.
fn pages() -> Vec<Vec<Line>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: String| lines(&name, &std::fs::read_to_string(root.join(&name)).unwrap());
    names().into_iter().map(read).collect()
}

/// Returns the paths of all pages, except the generated pages.
fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "templates/init/AGENTS.md",
        "examples/demo/README.md",
    ]
    .map(str::to_owned)
    .to_vec();
    names.extend(
        crate::repo_consistency::documents()
            .into_iter()
            .filter(|page| !GENERATED.contains(&page.as_str())),
    );
    names.sort();
    names
}

/// Returns the words of a synopsis after the program name, with all optional words, and the first word of each choice.
fn words(synopsis: &str) -> Vec<String> {
    let plain = |word: &str| {
        let word = word.trim_matches(['[', ']', '…']);
        match word.split_once('|') {
            _ if ["N", "SECONDS"].contains(&word) => "1".to_owned(),
            Some((first, _)) if !first.is_empty() => first.to_owned(),
            _ => word.to_owned(),
        }
    };
    synopsis.split_whitespace().skip(1).map(plain).collect()
}

/// The result of the lines of a page.
#[derive(Default)]
struct Read {
    ran: usize,
    wrong: Vec<String>,
    /// The rows of `NOT_RUN` and `ENDS` that a line matched.
    met: Vec<&'static str>,
}

/// Runs the lines of a page in order, once for each state of the repository.
fn type_in(page: &[Line]) -> Read {
    let mut read = Read::default();
    let mut scenes: Vec<(State, DocumentedFixture)> = Vec::new();
    for line in page.iter().filter(|line| !line.synopsis) {
        let left_out = NOT_RUN.iter().find(|(begins, _)| line.text.starts_with(begins));
        read.met.extend(left_out.map(|row| row.0));
        let opens = line.text.starts_with("gh pr create");
        if left_out.is_some() && !opens {
            continue;
        }
        let wanted = state(&line.page, &line.section);
        if !scenes.iter().any(|(state, _)| *state == wanted) {
            scenes.push((wanted, DocumentedFixture::new(wanted)));
        }
        let (_, fixture) = scenes.iter_mut().find(|(state, _)| *state == wanted).unwrap();
        if opens {
            fixture.opens_a_pull_request();
            continue;
        }
        let row = ENDS
            .iter()
            .find(|(page, text, ..)| *page == line.page && *text == line.text);
        read.met.extend(row.map(|row| row.1));
        let code = row.map_or(0, |row| row.2);
        let text = VALUES
            .iter()
            .fold(line.text.clone(), |text, (name, value)| text.replace(name, value));
        let left = fixture.line(&text, event(&text));
        read.ran += 1;
        if left.code != Some(code) {
            read.wrong.push(format!(
                "{}: `{text}` ends with {:?}, not {code}:\n{}",
                line.page, left.code, left.said
            ));
        }
    }
    read
}

#[test]
fn slow_documented_command_lines_run() {
    let pages = pages();
    let reads: Vec<Read> = std::thread::scope(|scope| {
        let readers: Vec<_> = pages.iter().map(|page| scope.spawn(|| type_in(page))).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let mut wrong: Vec<String> = reads.iter().flat_map(|read| read.wrong.clone()).collect();
    let met: Vec<&str> = reads.iter().flat_map(|read| read.met.clone()).collect();
    let rows = NOT_RUN
        .iter()
        .map(|row| row.0)
        .chain(ENDS.iter().map(|row| row.1));
    wrong.extend(
        rows.filter(|row| !met.contains(row))
            .map(|row| format!("no page has `{row}`")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let ran: usize = reads.iter().map(|read| read.ran).sum();
    assert!(ran > 80, "only {ran} lines were run");
}

#[test]
fn documented_synopses_are_accepted() {
    let sandbox = Sandbox::new();
    let (mut wrong, mut held) = (Vec::new(), 0);
    for line in pages().into_iter().flatten().filter(|line| line.synopsis) {
        if !line.text.contains(['[', '…']) && !line.text.chars().any(char::is_uppercase) {
            wrong.push(format!(
                "{}: `{}` can be typed: its block is `sh`",
                line.page, line.text
            ));
        }
        held += 1;
        // `--help` exits before any action, but only after the parser accepted every word before it.
        let words = words(&line.text);
        let out = sandbox
            .gates(words.iter().map(String::as_str).chain(["--help"]))
            .run()
            .any_output();
        if out.code() != Some(0) {
            wrong.push(format!("{}: `{}`: {}", line.page, line.text, out.stderr.trim()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(held > 10, "only {held} synopses were found");
}

/// Returns the text in backquotes in the sentences and tables of a page.
fn spans(text: &str) -> Vec<String> {
    // Only a fence of the same kind and length closes the open fence; the examples of a page may contain other fences.
    let mut open = ('`', 0);
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        let mark = if line.starts_with('~') { '~' } else { '`' };
        let long = line.len() - line.trim_start_matches(mark).len();
        if long >= 3 && open.1 == 0 {
            open = (mark, long);
        } else if open.1 > 0 && mark == open.0 && long >= open.1 && line.len() == long {
            open.1 = 0;
        } else if open.1 == 0 {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

#[test]
fn commands_named_in_prose_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sandbox = Sandbox::new();
    let (mut wrong, mut calls) = (Vec::new(), BTreeSet::new());
    for name in names().into_iter().chain(GENERATED.map(str::to_owned)) {
        for span in spans(&std::fs::read_to_string(root.join(&name)).unwrap()) {
            let script = span
                .trim_start_matches("./")
                .split_whitespace()
                .next()
                .unwrap_or_default();
            if script.starts_with("scripts/") && !root.join(script).exists() {
                wrong.push(format!("{name}: there is no `{script}`"));
            }
            if span.starts_with("nmoe-gates ") {
                calls.insert((span, name.clone()));
            }
        }
    }
    let mut known: BTreeSet<String> = BTreeSet::new();
    for (span, name) in &calls {
        let call = span.split(" >").next().unwrap().split(" |").next().unwrap();
        if !known.insert(call.to_owned()) {
            continue;
        }
        let words = words(call);
        let out = sandbox
            .gates(words.iter().map(String::as_str).chain(["--help"]))
            .run()
            .any_output();
        if out.code() != Some(0) {
            wrong.push(format!("{name}: `{span}`: {}", out.stderr.trim()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(known.len() > 20, "only {} calls were found", known.len());
}

#[test]
fn invalid_documented_lines_are_detected() {
    let page = "# P\n```sh\nnmoe-gates run --tear a   # no such option\nnmoe-gates \\\n  gates list | head -1\n```\n```text\nnmoe-gates run [--tear a]…\n```\n";
    let [typed, joined, synopsis] = &lines("p.md", page)[..] else {
        panic!()
    };
    assert_eq!(
        (typed.text.as_str(), synopsis.synopsis),
        ("nmoe-gates run --tear a", true)
    );
    assert_eq!(words(&synopsis.text), ["run", "--tear", "a"]);
    let mut fixture = DocumentedFixture::new(State::Adopted);
    assert_eq!(fixture.line(&typed.text, None).code, Some(2));
    assert_eq!(fixture.line(&joined.text, None).code, Some(0));
}
