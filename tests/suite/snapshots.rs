//! Snapshots of the complete output: the help of every command, and the output of every command in a sample
//! repository. A redesign is one reviewable diff of `snapshots/`; `cargo insta review` or `INSTA_UPDATE=always` accepts it.
//!
//! Each command has one file. It must not depend on the machine: only [`FILTERS`] lists the replacements.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use regex::{Captures, Regex};
use serde_json::json;

use crate::documented_fixture::{DocumentedFixture, State};
use crate::driver::Sandbox;
use crate::support::contract::contract;
use crate::support::results::results;

/// Patterns of text that differs between two runs or machines, and their replacements.
const FILTERS: [(&str, &str); 25] = [
    (r"/nmoe-gates-demo-[A-Za-z0-9]+", "/[demo]"),
    (r"(state/nmoe-gates)/[0-9a-f]{16}", "$1/[repository]"),
    (r"/proc/self/fd/\d+", "[fd]"),
    (r"http://127\.0\.0\.1:\d+", "[api]"),
    (r"\b[0-9a-f]{64}\b", "[sha256]"),
    (r"\b[0-9a-f]{40}\b", "[commit]"),
    (r"\b[0-9a-f]{32}\b", "[nonce]"),
    (concat!(r"\b", env!("CARGO_PKG_VERSION"), r"\b"), "[version]"),
    (r#"("host_bytes":) ?\d+"#, "$1[number]"),
    // The order of summation is random in a baseline that is not deterministic, so the difference is, too.
    (
        r"(?s)\n    \w+: differs within the tolerance.*?(\n    4 runs of the base)",
        "\n    […]$1",
    ),
    (r"(differs within the tolerance).*", "$1 […]"),
    (
        r"(its runs differ in `?)\w+(`? from step )\d+",
        "$1[series]$2[step]",
    ),
    // The last digits of a logarithm depend on the processor.
    (r"(\d\.\d{6})\d+", "$1…"),
    (r#"(?s)("(?:baseline_|result_)?samples": \[).*?\]"#, "$1…]"),
    (r"(?s)<(style|script)>.*?</(style|script)>", "<$1>…</$2>"),
    // `doctor` prints the git version of this machine and whether the user is root.
    (r"(?m)^(ok +git +).*", "$1[version]"),
    (
        r#"("name":"git","state":"ok","found":)"[^"]*""#,
        "$1\"[version]\"",
    ),
    (r"(?m)^\w+ +user +.*\n( {22}.*\n)*", "[user]\n"),
    (r#"\{"name":"user"[^}]*\}"#, "[user]"),
    // The isolation depends on the machine.
    (r"(?m)^\w+ +isolation +.*\n( {22}.*\n)*", "[isolation]\n"),
    (r#"\{"name":"isolation"[^}]*\}"#, "[isolation]"),
    (r#"("isolation": ?")[^"]*""#, "$1[level]\""),
    (
        r"(?m)^( +isolation |\| isolation \| )`?(?:pid_namespace|cgroup|process_tree)`?",
        "$1[level]",
    ),
    // A path with blanks is quoted in commands.
    (r"'(\[place\][^'\n]*)'", "$1"),
    (
        r"(?m)^(error|warning): (.*) \(os error \d+\)",
        "$1: $2 ([os error])",
    ),
];

/// Times and durations, which are not replaced in output about recorded results.
const TIMES: [(&str, &str); 5] = [
    (
        r"20\d\d(?:-|\\u002d)\d\d(?:-|\\u002d)\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
        "[time]",
    ),
    (r"20\d\d-\d\d-\d\d \d\d:\d\d( UTC)?", "[time]"),
    (r#"("duration_s": ?)\d+(\.\d+…?)?"#, "$1[number]"),
    (r"\b\d+(\.\d+)? s\b", "[seconds]"),
    (r" {2,}\[seconds\]", "  [seconds]"),
];

/// Replaces text that differs between two runs.
fn filtered(text: &str, times: bool) -> String {
    type Rules = Vec<(Regex, &'static str)>;
    let compiled = |rules: &[(&str, &'static str)]| -> Rules {
        let rule = |(from, to): &(&str, &'static str)| (Regex::new(from).unwrap(), *to);
        rules.iter().map(rule).collect()
    };
    static RULES: OnceLock<(Rules, Rules, Regex)> = OnceLock::new();
    let (always, timed, short_id) = RULES.get_or_init(|| {
        let short_id = Regex::new(r"\b[0-9a-f]{7,12}\b").unwrap();
        (compiled(&FILTERS), compiled(&TIMES), short_id)
    });
    let rules = always.iter().chain(timed.iter().filter(|_| times));
    let text = rules.fold(text.to_owned(), |text, (from, to)| {
        from.replace_all(&text, *to).into_owned()
    });
    // A word or a number is not an abbreviated commit.
    let short = |found: &Captures| {
        let id = &found[0];
        let mixed =
            id.contains(|c: char| c.is_ascii_digit()) && id.contains(|c: char| c.is_ascii_alphabetic());
        if mixed {
            "[short]".to_owned()
        } else {
            id.to_owned()
        }
    };
    short_id.replace_all(&text, short).into_owned()
}

/// A terminal of 80 columns breaks wider tables. A path, a command or an address is not broken, so that it can be copied.
#[test]
fn tables_fit_80_columns() {
    let tables = [
        "plan",
        "doctor",
        "gates list",
        "explain",
        "images",
        "report mixed.json",
        "start --clean",
        "ready",
        "lint ",
        "perf ",
    ];
    let mut lines = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for block in text.split("\n$ nmoe-gates ").skip(1) {
            let command = block.lines().next().unwrap();
            let format = command.split_once("--format ").map(|(_, format)| format);
            let is_table = tables.iter().any(|table| command.starts_with(table));
            if !is_table
                || command.contains("--help")
                || format.is_some_and(|format| !format.starts_with("terminal"))
            {
                continue;
            }
            let is_copied = |line: &&str| {
                let start = line.trim_start();
                let begins = ["next: ", "error", "help: ", "warning", "note", "{", "$ ", "==="];
                // A finding is one line, for editors and grep. A command is one line, to be copied.
                let has = [": error[", ": warning[", ": gh ", ": git ", ": nmoe-gates "];
                begins.iter().any(|word| start.starts_with(word))
                    || has.iter().any(|word| start.contains(word))
                    || !start.contains(' ')
            };
            for line in block.lines().skip(1).filter(|line| !is_copied(line)) {
                lines += 1;
                assert!(line.chars().count() <= 80, "{command}: {line}");
            }
        }
    }
    assert!(lines > 600, "{lines}");
}

/// Returns the folder of the snapshots.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/snapshots")
}

/// Compares a text with the snapshot of this name.
fn compare(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Command lines with their output and exit codes.
struct Transcript {
    fixture: DocumentedFixture,
    text: String,
    /// Whether times are replaced.
    times: bool,
}

impl Transcript {
    fn new(state: State) -> Self {
        Transcript {
            fixture: DocumentedFixture::new(state),
            text: String::new(),
            times: true,
        }
    }

    /// Runs a line and records its complete output.
    fn line(&mut self, line: &str) -> &mut Self {
        self.first(usize::MAX, line)
    }

    /// Runs a line and records this many lines of its standard output; other tests check the rest.
    fn first(&mut self, count: usize, line: &str) -> &mut Self {
        self.run(count, line, None)
    }

    /// Runs a line as a workflow would for this event.
    fn on(&mut self, event: &str, line: &str) -> &mut Self {
        self.run(usize::MAX, line, Some(event))
    }

    fn filtered(&self, text: &str) -> String {
        let root = self.fixture.root();
        let text = text.replace(root.to_str().unwrap().trim_end_matches('/'), "[place]");
        filtered(&text, self.times)
    }

    fn run(&mut self, count: usize, line: &str, event: Option<&str>) -> &mut Self {
        let left = self.fixture.line(line, event);
        let of_event = event
            .map(|event| format!(" (event: {event})"))
            .unwrap_or_default();
        writeln!(self.text, "$ {}{of_event}", line.replace('\n', "\n$ ")).unwrap();
        let stdout = self.filtered(&left.stdout);
        self.text.extend(stdout.split_inclusive('\n').take(count));
        let more = stdout.lines().count().saturating_sub(count);
        if more > 0 {
            writeln!(self.text, "[…]").unwrap();
        } else if !stdout.is_empty() && !stdout.ends_with('\n') {
            writeln!(self.text, "[no newline]").unwrap();
        }
        if !left.stderr.is_empty() {
            writeln!(
                self.text,
                "--- stderr\n{}",
                self.filtered(&left.stderr).trim_end()
            )
            .unwrap();
        }
        writeln!(self.text, "--- exit {}\n", left.code.unwrap()).unwrap();
        self
    }

    /// Records a file that a command wrote.
    fn left(&mut self, what: &str, text: &str) -> &mut Self {
        writeln!(self.text, "--- {what}\n{}\n", self.filtered(text).trim_end()).unwrap();
        self
    }

    /// Compares the transcript with the snapshot of a command.
    fn is(&self, command: &str) {
        compare(&format!("output-{command}"), self.text.trim_end());
    }
}

/// Returns the help of a command.
fn help(command: &[String]) -> String {
    let sandbox = Sandbox::new();
    let args = command.iter().map(String::as_str).chain(["--help"]);
    sandbox.gates(args).run().exits(0).stdout.into()
}

/// Returns the subcommands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let section = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let rows = section.lines().take_while(|line| !line.is_empty());
    rows.filter_map(|row| row.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Returns this command and every command below it, with their help.
fn tree(command: &[String]) -> Vec<(Vec<String>, String)> {
    let text = help(command);
    let below = listed(&text)
        .into_iter()
        .flat_map(|name| tree(&[command, &[name]].concat()));
    std::iter::once((command.to_vec(), text.clone()))
        .chain(below)
        .collect()
}

#[test]
fn help_of_every_command_is_reviewed() {
    let mut names = BTreeSet::from(["help".to_owned()]);
    compare("help", &help(&[]));
    for name in listed(&help(&[])) {
        let pages = tree(std::slice::from_ref(&name));
        let text: String = pages
            .iter()
            .map(|(command, page)| format!("$ nmoe-gates {} --help\n{page}\n", command.join(" ")))
            .collect();
        compare(&format!("help-{name}"), text.trim_end());
        names.insert(format!("help-{name}"));
    }
    assert_eq!(snapshots("help"), names, "a snapshot of a command that is gone");
}

/// Returns the snapshots whose names begin with this prefix.
fn snapshots(prefix: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| Some(name.strip_suffix(".snap")?.to_owned()))
        .filter(|name| name.starts_with(prefix))
        .collect()
}

#[test]
fn output_of_every_command_is_reviewed() {
    let (mut missing, mut names) = (Vec::new(), BTreeSet::new());
    for (command, page) in tree(&[]).into_iter().skip(1) {
        if !listed(&page).is_empty() {
            continue;
        }
        let name = format!("output-{}", command[0]);
        let text = std::fs::read_to_string(folder().join(format!("{name}.snap"))).unwrap_or_default();
        let call = format!("$ nmoe-gates {}", command.join(" "));
        let calls = |line: &str| {
            line.strip_prefix(&call)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        if !text.lines().any(calls) {
            missing.push(call);
        }
        names.insert(name);
    }
    assert!(missing.is_empty(), "no snapshot has the output of {missing:#?}");
    assert_eq!(snapshots("output"), names, "a snapshot of a command that is gone");
}

#[test]
fn output_init() {
    Transcript::new(State::Fresh)
        .line("nmoe-gates init --dry-run")
        .line("nmoe-gates init")
        .line("nmoe-gates init")
        .is("init");
}

#[test]
fn output_doctor() {
    let mut transcript = Transcript::new(State::Worked);
    // Only these programs are on PATH, so that other programs of the machine do not matter.
    transcript.fixture.does(
        "mkdir ~/bin && ln -s \"$(command -v git)\" \"$(command -v bash)\" \"$(command -v nmoe-gates)\" ~/bin",
    );
    transcript
        .line("export PATH=~/bin\nnmoe-gates doctor")
        .line("export PATH=~/bin\nnmoe-gates doctor --runner --format json")
        .is("doctor");
}

#[test]
fn output_explain() {
    Transcript::new(State::Fresh)
        .line("nmoe-gates explain")
        .line("nmoe-gates explain exit-codes")
        .line("nmoe-gates explain out-of-scope")
        .line("nmoe-gates explain out-of-scope --format json")
        .line("nmoe-gates explain timeout")
        .line("nmoe-gates explain timeout --format json")
        .line("nmoe-gates explain timeuot")
        .is("explain");
}

#[test]
fn output_schema() {
    Transcript::new(State::Fresh)
        .line("nmoe-gates schema")
        .first(12, "nmoe-gates schema contract")
        .line("nmoe-gates schema nothing")
        .is("schema");
}

#[test]
fn output_completions() {
    Transcript::new(State::Fresh)
        .first(5, "nmoe-gates completions bash")
        .first(5, "nmoe-gates completions fish")
        .is("completions");
}

#[test]
fn output_man() {
    Transcript::new(State::Fresh)
        .first(12, "nmoe-gates man")
        .line("nmoe-gates man --dir ~/man")
        .is("man");
}

/// Returns a contract with an invalid word, an unknown gate, and an unknown key.
fn faulty(contract: &str) -> String {
    contract
        .replace("kind: feature", "kind: featur")
        .replace("- cpu:import", "- cpu:imports")
        .replace("  slug:", "  colour: red\n  slug:")
}

const WORKFLOW: &str = "name: gates\non:\n  pull_request_target:\njobs:\n  gates:\n    runs-on: b200\n    permissions:\n      contents: write\n    steps:\n      - uses: actions/checkout@v4\n        with:\n          ref: refs/pull/${{ inputs.pr }}/merge\n      - run: nmoe-gates run --bundle full\n";

#[test]
fn output_lint() {
    let mut transcript = Transcript::new(State::Worked);
    let issue = contract("03a", "attention")
        .depends_on("\"01\"")
        .allow("nmoe/**")
        .section();
    transcript.fixture.write("faulty.md", faulty(&issue));
    transcript.fixture.write("nothing.md", "no block\n");
    for format in ["human", "json", "github", "sarif", "junit"] {
        transcript.line(&format!("nmoe-gates lint contract faulty.md --format {format}"));
    }
    transcript
        .line("nmoe-gates lint contract issue.md nothing.md absent.md")
        .line("nmoe-gates lint contract faulty.md --fix")
        .line("nmoe-gates lint contract issue.md --format json")
        .line("nmoe-gates lint attestation pr.md")
        .line("nmoe-gates lint attestation pr.md --contract issue.md --results results.json --head HEAD~1 --format json")
        .line("nmoe-gates lint registry")
        .line("printf '[gates.\"cpu:x\"]\\ntier = \"c\"\\ncmd = \"true\"\\nrequire = [\"A\"]\\n' >gates.toml && nmoe-gates lint registry gates.toml")
        .line("nmoe-gates lint registry gates.toml --format json");
    // A string in the form of a token and a private address, concatenated here so that no scanner finds them in this file.
    let leaks = format!(
        "token gh{}_{}\nhost 10.{}.3.4\n",
        "p", "k6A7i3VrORqhnKaJQhDojJYh3IVY1W2uyglY", 20
    );
    transcript.fixture.write("leaks.md", leaks);
    transcript
        .line("nmoe-gates lint safety docs")
        .line("nmoe-gates lint safety leaks.md")
        .line("nmoe-gates lint safety leaks.md --format json")
        .line("nmoe-gates lint scope --contract issue.md")
        .line("echo more >>docs/a.md && git add docs/a.md");
    transcript
        .line("nmoe-gates lint scope --cached --contract issue.md")
        .line("nmoe-gates lint scope --cached --contract issue.md --format json")
        .line("git reset --quiet --hard");
    transcript.fixture.write(".github/workflows/gates.yml", WORKFLOW);
    transcript
        .line("nmoe-gates lint workflows")
        .line("nmoe-gates lint workflows --format json")
        .on("pull_request", "nmoe-gates lint pr")
        .on("pull_request", "nmoe-gates lint pr --format json")
        .line("nmoe-gates lint pr --pr 13")
        .is("lint");
}

#[test]
fn output_kernels() {
    let mut transcript = Transcript::new(State::Worked);
    for name in ["sm_100a_zstd", "mixed_zstd", "ptx_zstd"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/kernel/{name}.fatbin"));
        transcript
            .fixture
            .write(&format!("{name}.fatbin"), std::fs::read(from).unwrap());
    }
    transcript
        .fixture
        .write("nmoe/moe.py", "dist.all_to_all_single(a, b)\n");
    transcript
        .line("nmoe-gates kernels inspect sm_100a_zstd.fatbin mixed_zstd.fatbin ptx_zstd.fatbin")
        .line("nmoe-gates kernels inspect sm_100a_zstd.fatbin mixed_zstd.fatbin --format json")
        .line("nmoe-gates kernels check --cpu issue.md")
        .line("nmoe-gates kernels check --cpu issue.md --format json")
        .line("nmoe-gates kernels check")
        .line("nmoe-gates kernels driver")
        .line("nmoe-gates kernels driver --format json")
        .line("nmoe-gates kernels collectives")
        .line("nmoe-gates kernels collectives --format json")
        .is("kernels");
}

#[test]
fn output_gates() {
    Transcript::new(State::Adopted)
        .line("nmoe-gates gates list")
        .line("nmoe-gates gates list --format json")
        .line("nmoe-gates gates show b200:moonlight_8x20")
        .line("nmoe-gates gates show b200:moonlight_8x20 --format json")
        .line("nmoe-gates gates show cpu:imports")
        .line("nmoe-gates gates resolve --bundle full")
        .line("nmoe-gates gates resolve --contract issue.md --format json")
        .line("nmoe-gates gates resolve --bundle full --format matrix")
        .line("nmoe-gates gates resolve --bundle fool")
        .is("gates");
}

#[test]
fn output_perf() {
    let mut transcript = Transcript::new(State::Worked);
    let ids = transcript
        .fixture
        .line("git rev-parse HEAD HEAD^{tree}", None)
        .stdout;
    let ids: Vec<&str> = ids.lines().collect();
    let gates = [("b200:moonlight_8x20", "pass"), ("perf:baseline_delta", "pass")];
    let mut recorded = results(ids[0], ids[1], &gates);
    recorded["results"]["perf:baseline_delta"]["perf"]["baseline_sha"] = "8".repeat(40).into();
    transcript.fixture.write("perf.json", recorded.to_string());
    transcript
        .line("nmoe-gates perf compare --baseline base-*.log --head head-*.log --budget-pct -10")
        .line(
            "nmoe-gates perf compare --baseline base-*.log --head head-*.log --budget-pct -0.1 --format json",
        )
        .line("nmoe-gates perf compare --baseline base.json --head head.json --pairs 1")
        .line("nmoe-gates perf compare --baseline issue.md --head head.json")
        .line("nmoe-gates perf calibrate --gate perf:baseline_delta --pairs 3")
        .line("nmoe-gates perf history record results.json")
        .line("nmoe-gates perf history record perf.json")
        .line("nmoe-gates perf history show")
        .line("nmoe-gates perf history show --format json")
        .line("nmoe-gates perf history check")
        .line("nmoe-gates perf history steps")
        .line("nmoe-gates perf history plot --output history.html")
        .is("perf");
}

#[test]
fn output_metrics() {
    let mut transcript = Transcript::new(State::Adopted);
    transcript.fixture.write(
        "train.log",
        "step: 1 tps: 7,282\nstep: 2 tps: 7,301 loss: 2.31\nstep: 3 tps: 7,299,1 loss: 2.30\n",
    );
    transcript
        .line("nmoe-gates metrics try train.log --preset torchtitan")
        .line("nmoe-gates metrics try train.log --name loss --format json")
        .line("nmoe-gates metrics try nowhere.log --preset torchtitan")
        .is("metrics");
}

#[test]
fn output_contract() {
    Transcript::new(State::Adopted)
        .line("nmoe-gates contract new 05 --slug rows --allow nmoe/data/** --risk hot --budget-pct -10")
        .line(
            "nmoe-gates contract new 05 --slug Rows --allow nmoe/data/** --gate cpu:imprt --summary Faster.",
        )
        .is("contract");
}

#[test]
fn output_plan() {
    let mut transcript = Transcript::new(State::Adopted);
    transcript
        .line("nmoe-gates plan")
        .line("nmoe-gates plan --format json");
    for (file, text) in [
        (
            "a.md",
            contract("01", "one")
                .hotspots("nmoe/train.py")
                .allow("nmoe/train.py")
                .section(),
        ),
        (
            "b.md",
            contract("02", "two")
                .depends_on("\"01\"")
                .allow("docs/**")
                .section(),
        ),
        ("c.md", contract("03a", "three").allow("\"nmoe/*.py\"").section()),
        (
            "d.md",
            contract("05", "five").depends_on("06").allow("five").section(),
        ),
        (
            "e.md",
            contract("06", "six").depends_on("05").allow("six").section(),
        ),
    ] {
        transcript.fixture.write(&format!("work/{file}"), text);
    }
    for format in ["human", "json", "mermaid", "dot"] {
        transcript.line(&format!("nmoe-gates plan work --format {format}"));
    }
    transcript.is("plan");
}

/// Creates the merge commit that GitHub would make, with a maintainer's Tier-B run of it.
fn tier_b(transcript: &mut Transcript) {
    transcript.fixture.does("git fetch --quiet origin && git rev-parse origin/master HEAD >~/ids && git merge-tree --write-tree origin/master HEAD >>~/ids");
    let ids = transcript.fixture.line("cat ~/ids", None).stdout;
    let ids: Vec<&str> = ids.lines().collect();
    let merge = "9".repeat(40);
    let registry = transcript
        .fixture
        .line("cat configs/gates/gates.toml", None)
        .stdout;
    let mut state = transcript.fixture.api().state();
    state.refs.insert("pull/12/merge".to_owned(), merge.clone());
    let commit =
        json!({"sha": merge, "tree": {"sha": ids[2]}, "parents": [{"sha": ids[0]}, {"sha": ids[1]}]});
    state.commits.insert(merge.clone(), commit);
    for commit in [ids[0].to_owned(), merge] {
        state
            .files
            .insert((commit, "configs/gates/gates.toml".to_owned()), registry.clone());
    }
}

#[test]
fn output_resolve() {
    let mut transcript = Transcript::new(State::Worked);
    transcript.line("NMOE_API_PATIENCE_S=0 nmoe-gates resolve --pr 12 --bundle full");
    tier_b(&mut transcript);
    transcript
        .line("nmoe-gates resolve --pr 12 --bundle full")
        .line("nmoe-gates resolve --pr 12 --bundle full --format json")
        .line("nmoe-gates resolve --pr 99 --bundle full")
        .is("resolve");
}

#[test]
fn output_publish() {
    let mut transcript = Transcript::new(State::Worked);
    transcript.line("nmoe-gates publish results.json --pr 12");
    tier_b(&mut transcript);
    transcript
        .fixture
        .write("mixed.json", include_str!("../fixtures/report/mixed.json"));
    transcript
        .line("nmoe-gates publish results.json --pr 12")
        .line("nmoe-gates publish results.json --pr 12 --format json")
        .line("nmoe-gates publish mixed.json --pr 12");
    let (comments, statuses) = {
        let mut state = transcript.fixture.api().state();
        for status in state.statuses.values_mut().flatten() {
            status.as_object_mut().unwrap().remove("created_at");
        }
        let bodies = state
            .comments
            .iter()
            .map(|comment| comment["body"].as_str().unwrap());
        let bodies: Vec<&str> = bodies.collect();
        (
            bodies.join("\n\n"),
            json!(state.statuses.values().collect::<Vec<_>>()),
        )
    };
    transcript
        .left("comments", &comments)
        .left("statuses", &serde_json::to_string_pretty(&statuses).unwrap())
        .is("publish");
}

#[test]
fn slow_output_demo() {
    Transcript::new(State::Fresh).line("nmoe-gates demo").is("demo");
}

#[test]
fn output_report() {
    let mut transcript = Transcript::new(State::Fresh);
    transcript.times = false;
    transcript
        .fixture
        .write("mixed.json", include_str!("../fixtures/report/mixed.json"));
    for format in [
        "terminal", "summary", "comment", "json", "junit", "sarif", "html", "in-toto", "github",
    ] {
        transcript.line(&format!("nmoe-gates report mixed.json --format {format}"));
    }
    transcript
        .first(5, "nmoe-gates report mixed.json")
        .first(5, "nmoe-gates report mixed.json --color always")
        .line("nmoe-gates report notes.md")
        .is("report");
}

const GATES: &str = r#"
[gates."cpu:fine"]
tier = "a"
cmd = "echo 'step: 1  node_tps: 12,345'"
[gates."cpu:broken"]
tier = "a"
cmd = "echo out; echo err >&2; exit 7"
[gates."cpu:slow"]
tier = "a"
timeout_s = 1
cmd = "sleep 60"
[gates."cpu:lacking"]
tier = "a"
requires = ["NMOE_DATA_PATH"]
requires_files = ["configs/absent.toml"]
cmd = "true"
[bundles]
all = ["cpu:fine", "cpu:broken", "cpu:slow"]
"#;

#[test]
fn output_run() {
    let mut transcript = Transcript::new(State::Adopted);
    transcript
        .line("nmoe-gates run --tier a")
        .line("nmoe-gates run --bundle full");
    transcript.fixture.write("configs/gates/gates.toml", GATES);
    transcript
        .line("nmoe-gates run --bundle all")
        .line("nmoe-gates run --bundle all --format json")
        .line("nmoe-gates run --gate cpu:fine --gate cpu:lacking")
        .line("nmoe-gates run --gate cpu:fine --format github")
        .line("nmoe-gates run --gate cpu:fine --quiet --quiet")
        .line("nmoe-gates run --gate cpu:fien")
        .line("nmoe-gates run")
        .is("run");
}

#[test]
fn output_start() {
    Transcript::new(State::Adopted)
        .line("nmoe-gates start")
        .line("nmoe-gates start 99")
        .line("nmoe-gates start 03a --dry-run")
        .line("nmoe-gates start 03a")
        .line("nmoe-gates start 03a --format json")
        .line("nmoe-gates start --clean")
        .line("nmoe-gates start --clean --format json")
        .line("nmoe-gates start 03a --release")
        .line("nmoe-gates start 04 --format json")
        .is("start");
}

#[test]
fn output_attest() {
    Transcript::new(State::Worked)
        .line("nmoe-gates attest pr.md")
        .line("nmoe-gates attest pr.md --format json")
        .line("nmoe-gates attest --verify pr.md")
        .line("sed -i 's/tier_b: .*/tier_b: [\"b200:moonlight_8x20\"]/' pr.md && nmoe-gates attest --verify pr.md")
        .line("nmoe-gates attest --write pr.md")
        .line("nmoe-gates attest --write notes.md")
        .line("nmoe-gates attest --pr 12")
        .is("attest");
}

#[test]
fn output_ready() {
    let mut transcript = Transcript::new(State::Worked);
    transcript
        .line("nmoe-gates ready 12")
        .line("nmoe-gates ready 12 --results results.json --format json")
        .line("nmoe-gates ready --all")
        .line("nmoe-gates ready --all --format json")
        .line("nmoe-gates ready 99");
    let head = transcript.fixture.line("git rev-parse HEAD", None).stdout;
    let review = json!({"user": {"login": "reviewer"}, "state": "APPROVED", "commit_id": head.trim()});
    transcript.fixture.api().state().reviews.insert(12, vec![review]);
    transcript.line("nmoe-gates ready 12").is("ready");
}

#[test]
fn output_images() {
    let mut transcript = Transcript::new(State::Worked);
    transcript.line("nmoe-gates images --base origin/master --head HEAD");
    transcript.fixture.write("docker/Dockerfile.base", "FROM other\n");
    transcript
        .line("git commit --quiet --all --message Change")
        .line("nmoe-gates images --base origin/master --head HEAD")
        .line("nmoe-gates images --base origin/master --head HEAD --format json")
        .line("nmoe-gates images --base nothing --head HEAD")
        .is("images");
}
