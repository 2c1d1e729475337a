//! Compares runs with a reference model: random gates, some of which signal or kill the program, with random options.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::Duration;

use proptest::prelude::*;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::run_crash::worker;
use crate::run_fixture::RunFixture;

/// The behavior of a gate in its first run. It passes in each later run, except a gate that always fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum GateBehavior {
    Pass,
    Fail,
    /// Leaves a process behind, which is only counted.
    Leave,
    /// Asks the program to stop, and continues.
    Terminate,
    /// Kills the worker.
    KillWorker,
    /// Kills the supervisor.
    KillKeeper,
}

impl GateBehavior {
    fn command(self, n: usize) -> String {
        let once = |what: &str| format!("test -e ../once{n} && exit 0; touch ../once{n}; {what}; sleep 60");
        match self {
            GateBehavior::Pass => "true".to_owned(),
            GateBehavior::Fail => "exit 4".to_owned(),
            GateBehavior::Leave => "setsid sleep 60 & true".to_owned(),
            // A gate cannot see the program, so it asks the test for the signal.
            GateBehavior::Terminate => once("echo terminate >../request"),
            GateBehavior::KillWorker => once("echo worker >../request"),
            GateBehavior::KillKeeper => once("echo supervisor >../request"),
        }
    }
}

/// The options of one command.
#[derive(Clone, Copy, Debug)]
struct RunOptions {
    keep_going: bool,
    resume: bool,
}

fn does() -> impl Strategy<Value = GateBehavior> {
    prop_oneof![
        4 => Just(GateBehavior::Pass),
        2 => Just(GateBehavior::Fail),
        1 => Just(GateBehavior::Leave),
        1 => Just(GateBehavior::Terminate),
        1 => Just(GateBehavior::KillWorker),
        1 => Just(GateBehavior::KillKeeper),
    ]
}

fn asked() -> impl Strategy<Value = RunOptions> {
    (any::<bool>(), any::<bool>()).prop_map(|(keep_going, resume)| RunOptions { keep_going, resume })
}

/// The expected result: verdicts by gate, and the exit code of the started process.
#[derive(Default)]
struct Model {
    /// Gates that have run once.
    once: Vec<usize>,
    verdicts: BTreeMap<usize, &'static str>,
}

impl Model {
    fn run(&mut self, gates: &[GateBehavior], asked: RunOptions) -> Option<i32> {
        let before = std::mem::take(&mut self.verdicts);
        let (mut failed, mut stopped) = (false, false);
        for (n, does) in gates.iter().enumerate() {
            if asked.resume && before.get(&n) == Some(&"pass") {
                self.verdicts.insert(n, "pass");
                continue;
            }
            if stopped {
                self.verdicts.insert(n, "cancelled");
                continue;
            }
            if failed && !asked.keep_going {
                self.verdicts.insert(n, "not_run");
                continue;
            }
            let first = !self.once.contains(&n);
            let verdict = match does {
                GateBehavior::Fail => {
                    failed = true;
                    "fail"
                }
                GateBehavior::Terminate | GateBehavior::KillKeeper | GateBehavior::KillWorker if first => {
                    self.once.push(n);
                    stopped = true;
                    "cancelled"
                }
                _ => "pass",
            };
            self.verdicts.insert(n, verdict);
            if stopped && *does == GateBehavior::KillWorker {
                // No process remained to record the other gates, so only earlier passes count.
                for later in n + 1..gates.len() {
                    let proven = asked.resume && before.get(&later) == Some(&"pass");
                    self.verdicts
                        .insert(later, if proven { "pass" } else { "not_run" });
                }
                return Some(3);
            }
            if stopped && *does == GateBehavior::KillKeeper {
                for later in n + 1..gates.len() {
                    let proven = asked.resume && before.get(&later) == Some(&"pass");
                    self.verdicts
                        .insert(later, if proven { "pass" } else { "cancelled" });
                }
                return None;
            }
        }
        Some(match (stopped, failed) {
            (true, _) => 143,
            (false, true) => 1,
            (false, false) => 0,
        })
    }
}

/// Sends the signals that gates ask for, until the supervisor ends.
fn signal_on_request(fixture: &RunFixture, supervisor: &mut Child) {
    let request = fixture.sandbox.path("request");
    while supervisor.try_wait().unwrap().is_none() {
        let (signal, process) = match std::fs::read_to_string(&request).unwrap_or_default().as_str() {
            "terminate\n" => (Signal::TERM, worker(supervisor.id())),
            "worker\n" => (Signal::KILL, worker(supervisor.id())),
            "supervisor\n" => (Signal::KILL, supervisor.id()),
            _ => {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
        };
        std::fs::remove_file(&request).unwrap();
        let process = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
        kill_process(process, signal).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, max_shrink_iters: 30, ..ProptestConfig::default() })]
    #[test]
    fn slow_runs_match_reference_model(
        gates in prop::collection::vec(does(), 1..6),
        commands in prop::collection::vec(asked(), 1..4),
    ) {
        let fixture = RunFixture::new();
        for (n, does) in gates.iter().enumerate() {
            fixture.gate(&format!("cpu:g{n}"), &does.command(n));
        }
        fixture.sandbox.git(["init", "-q"]);
        fixture.sandbox.git(["add", "."]);
        fixture.sandbox.git(["commit", "-q", "-m", "one"]);
        let mut model = Model::default();
        for asked in commands {
            let results = fixture.results();
            let mut args = vec!["run", "--tier", "a", "--results", results.to_str().unwrap()];
            args.extend(asked.keep_going.then_some("--keep-going"));
            args.extend(asked.resume.then_some("--resume"));
            // The pipe closes when the last process of the program ends, even if the supervisor was killed.
            let mut child = fixture
                .call(&args)
                .into_command()
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            signal_on_request(&fixture, &mut child);
            let out = child.wait_with_output().unwrap();
            let code = model.run(&gates, asked);
            prop_assert_eq!(out.status.code(), code, "{:?} {:?}", gates, asked);
            let seen: Value = serde_json::from_slice(&std::fs::read(&results).unwrap()).unwrap();
            for (n, verdict) in &model.verdicts {
                let id = format!("cpu:g{n}");
                prop_assert_eq!(&seen["results"][&id]["status"], verdict, "{} of {:?}, {:?}: {}", id, gates, asked, seen);
            }
        }
    }
}
