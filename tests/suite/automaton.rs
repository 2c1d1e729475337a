//! Takes contracts from `plan` to their merges with an automaton that only runs printed next steps, on the GitHub stand-in: once their
//! `argv`, and once the lines that are printed for people, in a shell. What a person decides is the work itself, the summary of a description, and approvals.
//!
//! A step that fails, a step that is printed again although nothing has changed, and an end without a merge are wrong turns.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex::Regex;
use serde_json::{Value, json};

use crate::driver::git;
use crate::pull_on_github::Loop;
use crate::support::contract::contract;
use crate::support::program::folder;
use crate::support::registry::{Registry, registry};

/// Prints a log like the trainer's, at the speed of `speed.txt`.
const TRAIN: &str = r#"
awk -v speed="$(cat speed.txt)" -v seed="$$" 'BEGIN {
    srand(seed)
    level = speed * (1 + 0.01 * (rand() - 0.5))
    for (step = 1; step <= 24; step++)
        printf "step: %2d  loss: 2.5  node_tps: %d\n", step, level * (1 + 0.01 * (rand() - 0.5)) * (step < 4 ? 0.4 : 1)
}'
"#;

fn gates() -> Registry {
    registry()
        .gate("cpu:import", "true", "tier = \"a\"\ntimeout_s = 60")
        .gate("cpu:compileall", "true", "tier = \"a\"\ntimeout_s = 60")
        .gate("host:one", "true", "tier = \"b\"\ntimeout_s = 60")
        .gate("host:train", TRAIN, "tier = \"b\"\ntimeout_s = 60")
        .perf("perf:delta", "host:train", "timeout_s = 0\n")
        .bundle("one", &["host:one"])
        .bundle("hot", &["host:train", "perf:delta"])
}

const TEMPLATE: &str = "## Summary\n- What changed:\n\n## Links\n- Fixes: #\n\n## Public-safety (required)\n\
    - [ ] Nothing private.\n- [ ] Paths come from configuration.\n\n## Reviewer focus\n- all\n";

/// What the author of a contract does, and in which order.
struct Work {
    file: &'static str,
    /// The text of the file; a later one answers a failed gate.
    texts: Vec<&'static str>,
}

/// A reader of next steps, and the people who decide.
struct Automaton {
    /// Whether it reads what is printed for people, and gives each printed line to a shell.
    reads_text: bool,
    way: Loop,
    dir: PathBuf,
    /// The work on each contract that is not done yet.
    work: Vec<(&'static str, Work)>,
    did: Vec<String>,
    wrong: Vec<String>,
    /// The steps that were taken, each with the state of the world before.
    seen: BTreeSet<String>,
    pulls: u64,
    runs: u64,
}

impl Automaton {
    fn new(reads_text: bool) -> Self {
        let registry = gates().text();
        let way = Loop::with(&[
            ("configs/gates/gates.toml", registry.as_str()),
            (".github/pull_request_template.md", TEMPLATE),
            ("speed.txt", "100000\n"),
            ("a", "1\n"),
            ("shared", "1\n2\n3\n"),
        ]);
        let bin = way.sandbox.path("bin");
        std::fs::create_dir(&bin).unwrap();
        // `gh pr view BRANCH --json number --jq .number -R REPOSITORY`.
        let gh = "#!/bin/sh\n[ \"$2 $8\" = 'view -R' ] && cat \"$GH_NUMBER\"\n";
        std::fs::write(bin.join("gh"), gh).unwrap();
        let mut mode = std::fs::metadata(bin.join("gh")).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        std::fs::set_permissions(bin.join("gh"), mode).unwrap();
        let dir = way.sandbox.repo();
        Automaton {
            reads_text,
            way,
            dir,
            work: Vec::new(),
            did: Vec::new(),
            wrong: Vec::new(),
            seen: BTreeSet::new(),
            pulls: 100,
            runs: 1000,
        }
    }

    fn contract(&mut self, id: &'static str, body: &str, work: Work) {
        let number = id.parse().unwrap();
        self.way.github.api.issue(number, &format!("[{id}] Work"), body);
        self.work.push((id, work));
    }

    /// Returns what commands can depend on: refs, pull requests, reviews, statuses, and the contents of the folder.
    fn world(&self) -> String {
        let refs = git(&self.way.github.remote(), ["for-each-ref"]);
        let state = self.way.github.api.state();
        let online = format!("{:?}{:?}{:?}", state.pulls, state.reviews, state.statuses);
        drop(state);
        let recorded = self.way.sandbox.path("home/.local/state");
        let local = Command::new("find")
            .arg(recorded)
            .args(["-printf", "%p %T@\n"])
            .output();
        let head = git(&self.dir, ["status", "--porcelain", "--branch"]);
        let local = String::from_utf8_lossy(&local.unwrap().stdout).into_owned();
        format!("{}{refs}{online}{head}{local}", self.dir.display())
    }

    /// Runs a program, or a line of a shell as printed, without a terminal. Returns its exit code and its output.
    fn execute(&self, argv: &[String], line: Option<&str>) -> (i32, String, String) {
        let call = self.way.call(&[]).into_command();
        let path = std::env::join_paths(
            [self.way.sandbox.path("bin"), folder().to_path_buf()]
                .into_iter()
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let shell = [
            "sh".to_owned(),
            "-c".to_owned(),
            line.unwrap_or_default().to_owned(),
        ];
        let argv = if line.is_some() { &shell } else { argv };
        let mut command = Command::new(&argv[0]);
        command
            .args(&argv[1..])
            .env_clear()
            .envs(call.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env("PATH", path.unwrap())
            .env("GH_NUMBER", self.way.sandbox.path("number"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "protocol.file.allow")
            .env("GIT_CONFIG_VALUE_0", "always")
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        let out = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            out.status.code().unwrap_or(-1),
            text(&out.stdout),
            text(&out.stderr),
        )
    }

    /// Runs a command of the program as printed, and returns what it printed as next steps.
    fn ask(&mut self, argv: &[String], line: Option<&str>) -> Vec<Value> {
        if self.reads_text {
            let (code, stdout, stderr) = self.execute(argv, line);
            let steps = steps_of(&format!("{stdout}\n{stderr}"));
            if !(code == 0 || code == 1 && !steps.is_empty()) {
                self.wrong.push(format!("{argv:?} exits with {code}: {stderr}"));
            }
            return steps;
        }
        let mut argv = argv.to_vec();
        match argv[0].as_str() {
            "sh" => argv[2] += " --format json",
            _ => argv.extend(["--format".to_owned(), "json".to_owned()]),
        }
        let (code, stdout, stderr) = self.execute(&argv, None);
        let json: Value = serde_json::from_str(&stdout).unwrap_or_default();
        // A blocked pull request and a finding are answers.
        if !(code == 0 || code == 1 && json.is_object()) {
            self.wrong.push(format!("{argv:?} exits with {code}: {stderr}"));
        }
        json["next"].as_array().cloned().unwrap_or_default()
    }

    /// Follows steps in their order, and the steps of each command before the next one.
    fn follow(&mut self, steps: Vec<Value>) {
        let mut left: VecDeque<Value> = steps.into();
        while let Some(step) = left.pop_front() {
            if self.did.len() > 150 || self.wrong.len() > 3 {
                self.wrong.push("no end".to_owned());
                return;
            }
            let what = step["what"].as_str().unwrap().to_owned();
            let Some(argv) = step["argv"].as_array() else {
                self.did.push(what.clone());
                self.decide(&what);
                continue;
            };
            let argv: Vec<String> = argv
                .iter()
                .map(|word| word.as_str().unwrap().to_owned())
                .collect();
            let before = format!("{argv:?} {}", self.world());
            if step["who"].is_null() && self.seen.contains(&before) {
                // The test asks `ready` after each step; a printed step did so already.
                continue;
            }
            self.did.push(argv.join(" "));
            if !self.seen.insert(before) {
                self.wrong
                    .push(format!("{argv:?} again, although nothing has changed"));
                return;
            }
            match argv[0].as_str() {
                "nmoe-gates" | "sh" => {
                    let mut more = self.ask(&argv, step["line"].as_str());
                    // A step may be printed again before its turn.
                    more.retain(|step| {
                        step["argv"].is_null() || !left.iter().any(|l| l["argv"] == step["argv"])
                    });
                    let command = argv.last().map_or("", String::as_str);
                    let is_ready =
                        argv.get(1).is_some_and(|word| word == "ready") || command.contains("gates ready ");
                    // A plan lists alternatives. `ready` lists what is open, and is asked again after each step.
                    let first = is_ready || argv.get(1).is_some_and(|word| word == "plan");
                    let mut more: Vec<Value> = match first {
                        true => more.into_iter().take(1).collect(),
                        false => more,
                    };
                    if is_ready && more.first().is_some_and(|step| step["argv"][1] != "start") {
                        more.push(
                            json!({"what": "", "argv": ["nmoe-gates", "ready", self.pulls.to_string()]}),
                        );
                    }
                    for step in more.into_iter().rev() {
                        left.push_front(step);
                    }
                }
                "cd" => self.dir = self.dir.join(&argv[1]),
                "git" => {
                    let (code, _, stderr) = self.execute(&argv, step["line"].as_str());
                    if code != 0 {
                        self.wrong.push(format!("{argv:?}: {stderr}"));
                    }
                }
                "gh" => self.github(&argv),
                other => self.wrong.push(format!("what is {other}?")),
            }
        }
    }

    /// Does what only a person can do: the work, and the words of a description.
    fn decide(&mut self, what: &str) {
        let branch = git(&self.dir, ["branch", "--show-current"]);
        let work = self
            .work
            .iter_mut()
            .find(|(id, _)| branch.starts_with(&format!("issue/{id}-")));
        let Some((_, work)) = work else {
            return self.wrong.push(format!("no work here: {what}"));
        };
        if what == "commit the work" || what.starts_with("make the change faster") {
            if work.texts.is_empty() {
                return self.wrong.push(format!("nothing is left to do: {what}"));
            }
            std::fs::write(self.dir.join(work.file), work.texts.remove(0)).unwrap();
            git(&self.dir, ["add", "-A"]);
            git(&self.dir, ["commit", "-qm", "Work"]);
            if what.contains("push") {
                git(&self.dir, ["push", "-q", "origin", "HEAD"]);
            }
        } else if let Some((_, rest)) = what.split_once("describe in ") {
            let file = Path::new(rest.split(' ').next().unwrap());
            let text = std::fs::read_to_string(file).unwrap();
            std::fs::write(
                file,
                text.replace("- [ ]", "- [x]").replace("What changed:", "Work."),
            )
            .unwrap();
        } else if what.starts_with("resolve the conflicts") {
            // `git merge` stopped; the next step would be the same.
        } else {
            self.wrong.push(format!("what does a person do: {what}"));
        }
    }

    /// Does what GitHub and its users do.
    fn github(&mut self, argv: &[String]) {
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let option = |name: &str| words.windows(2).find(|pair| pair[0] == name).map(|pair| pair[1]);
        let number = |word: &str| word.parse::<u64>().unwrap();
        let [words @ .., "-R", "octo-org/trainer"] = words.as_slice() else {
            self.wrong.push(format!("{words:?} needs the folder"));
            return;
        };
        match &words[1..] {
            ["pr", "create", ..] => {
                let complete = ["--title", "--body-file", "--base", "--head"];
                if complete.into_iter().any(|name| option(name).is_none()) {
                    self.wrong.push(format!("{words:?} asks without a terminal"));
                    return;
                }
                self.pulls += 1;
                let file = Path::new(option("--body-file").unwrap());
                assert!(file.is_absolute(), "{file:?} is in the folder");
                let body = std::fs::read_to_string(file).unwrap();
                self.way
                    .github
                    .open(self.pulls, option("--head").unwrap(), "writer", &body);
                std::fs::write(self.way.sandbox.path("number"), self.pulls.to_string()).unwrap();
            }
            ["pr", "review", n, "--approve"] => {
                self.way.github.review(number(n), "reviewer", "APPROVED");
            }
            ["workflow", "run", "tier-b.yml", ..] => {
                let input = |name: &str| {
                    words
                        .iter()
                        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
                };
                let n = number(input("pr_number").unwrap());
                let mut which = vec!["--bundle", input("bundle").unwrap()];
                if let Some(gate) = input("single_gate") {
                    which.extend(["--gate", gate]);
                }
                self.runs += 1;
                self.way.tier_b(n, self.runs, &which);
            }
            ["pr", "merge", n, "--merge", "--match-head-commit", head] => {
                let body = json!({"sha": head, "merge_method": "merge"});
                self.way.github.merge(number(n), &body);
            }
            other => {
                self.wrong.push(format!("what is gh {other:?}?"));
            }
        }
    }

    /// Goes on with `plan` in the main checkout until it names nothing to do.
    fn run(&mut self, wanted: usize) {
        for _ in 0..=wanted {
            self.dir = self.way.sandbox.repo();
            self.way.update();
            let plan = json!({"what": "", "argv": ["nmoe-gates", "plan"]});
            self.follow(vec![plan]);
        }
        let left = git(&self.way.sandbox.repo(), ["branch", "--list", "issue/*"]);
        if !left.is_empty() {
            self.wrong.push(format!("branches of merged work stay: {left}"));
        }
        let state = self.way.github.api.state();
        let merged = state.pulls.values().filter(|pull| pull["merged"] == true).count();
        assert_eq!(
            (self.wrong.as_slice(), merged),
            (&[][..], wanted),
            "{:#?}",
            self.did
        );
    }
}

/// Reads the steps that a command printed for people: after `next:`, or below a blocker of `ready`.
fn steps_of(text: &str) -> Vec<Value> {
    let who = "author|reviewer|merge captain|maintainer";
    let command = "((?:nmoe-gates|git|gh|cd) .*)";
    let forms = [
        format!(r"^(?:next: |      )(?<what>.+?): {command} \((?:{who})\)$"),
        format!(r"^    (?:{who}): (?<what>.+?): {command}$"),
        format!(r"^next: (?<what>){command}$"),
        format!(r"^(?:next: |      )(?<what>.+) \((?:{who})\)$"),
        format!(r"^    (?:{who}): (?<what>.+)$"),
    ];
    let forms = forms.map(|form| Regex::new(&form).unwrap());
    let step = |line: &str| {
        let found = forms.iter().find_map(|form| form.captures(line))?;
        let what = &found["what"];
        let Some(line) = found.get(2).map(|line| line.as_str()) else {
            return Some(json!({"who": "?", "what": what, "argv": null}));
        };
        let argv = match [" && ", " | ", "$("].iter().any(|mark| line.contains(mark)) {
            true => vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()],
            false => words(line),
        };
        Some(json!({"who": "?", "what": what, "argv": argv, "line": line}))
    };
    text.lines().filter_map(step).collect()
}

/// Returns the words that a shell reads from a line.
fn words(line: &str) -> Vec<String> {
    let script = format!("p() {{ for w do printf '%s\\0' \"$w\"; done; }}; p {line}");
    let out = Command::new("sh").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

fn cold(reads_text: bool) {
    let mut automaton = Automaton::new(reads_text);
    let work = Work {
        file: "a",
        texts: vec!["2\n"],
    };
    let terms = contract("01", "cold")
        .allow("a")
        .requires("host:one")
        .issue_body();
    automaton.contract("01", &terms, work);
    automaton.run(1);
}

fn hot(reads_text: bool) {
    let mut automaton = Automaton::new(reads_text);
    let work = Work {
        file: "speed.txt",
        texts: vec!["75000\n", "101000\n"],
    };
    let perf = "  perf:\n    gate: perf:delta\n    compare: host:train\n    metric: node_tps_p50\n    budget_pct: -10\n";
    let terms = contract("01", "hot")
        .allow("speed.txt")
        .requires("host:train\n    - perf:delta")
        .issue_body()
        .replace("risk: cold", "risk: hot")
        .replace("    - perf:delta\n", &format!("    - perf:delta\n{perf}"));
    automaton.contract("01", &terms, work);
    automaton.run(1);
}

/// Two contracts: the second depends on the first, and both change an exclusive hotspot.
fn dependent(reads_text: bool) {
    let mut automaton = Automaton::new(reads_text);
    for (id, depends_on, text) in [("01", "", "one\n2\n3\n"), ("02", "\"01\"", "one\n2\nthree\n")] {
        let terms = contract(id, "shared")
            .depends_on(depends_on)
            .hotspots("shared")
            .allow("shared")
            .requires("host:one")
            .issue_body();
        let work = Work {
            file: "shared",
            texts: vec![text],
        };
        automaton.contract(id, &terms, work);
    }
    automaton.run(2);
}

#[test]
fn slow_cold_contract_is_merged_without_wrong_turn() {
    cold(false);
}

#[test]
fn slow_hot_contract_is_merged_when_made_faster() {
    hot(false);
}

#[test]
fn slow_dependent_contracts_on_a_hotspot_are_merged() {
    dependent(false);
}

#[test]
fn slow_text_reader_merges_cold_contract() {
    cold(true);
}

#[test]
fn slow_text_reader_merges_hot_contract() {
    hot(true);
}

#[test]
fn slow_text_reader_merges_dependent_contracts() {
    dependent(true);
}
