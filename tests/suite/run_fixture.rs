//! Builds a registry gate by gate and runs it; shared by the tests of `run`.
#![allow(dead_code, reason = "a stage offers more than each state of the suite uses")]

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::driver::{Call, Outcome, Sandbox};

/// A checkout with a registry.
pub struct RunFixture {
    pub sandbox: Sandbox,
    registry: RefCell<String>,
}

/// The output and results of a run.
pub struct Run {
    pub out: Outcome,
    pub results: Value,
}

impl RunFixture {
    pub fn new() -> Self {
        RunFixture {
            sandbox: Sandbox::new(),
            registry: RefCell::default(),
        }
    }

    /// Adds a Tier-A gate with this command.
    pub fn gate(&self, id: &str, cmd: &str) -> &Self {
        self.gate_with(id, cmd, "")
    }

    /// Adds a Tier-A gate with this command and more keys.
    pub fn gate_with(&self, id: &str, cmd: &str, keys: &str) -> &Self {
        self.raw(&format!(
            "[gates.\"{id}\"]\ntier = \"a\"\ncmd = '''\n{cmd}\n'''\n{keys}\n"
        ))
    }

    /// Adds text to the registry.
    pub fn raw(&self, text: &str) -> &Self {
        let mut registry = self.registry.borrow_mut();
        writeln!(registry, "{text}").unwrap();
        self.sandbox.file("configs/gates/gates.toml", registry.as_bytes());
        self
    }

    /// Returns the path of the results of [`RunFixture::run`].
    pub fn results(&self) -> PathBuf {
        self.sandbox.path("home/results.json")
    }

    /// Returns a call of the program.
    pub fn call<S: AsRef<OsStr>>(&self, args: &[S]) -> Call {
        self.sandbox.gates(args)
    }

    /// Runs `run` with these arguments and reads the results.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, &[] as &[(&str, &str)])
    }

    /// Runs `run` with more environment variables.
    #[track_caller]
    pub fn run_with<N: AsRef<str>, V: AsRef<OsStr>>(&self, args: &[&str], env: &[(N, V)]) -> Run {
        let results = self.results();
        let mut call = self.sandbox.gates(
            ["run", "--results"]
                .map(OsStr::new)
                .into_iter()
                .chain([results.as_os_str()])
                .chain(args.iter().map(OsStr::new)),
        );
        for (name, value) in env {
            call = call.env(name.as_ref(), value);
        }
        // The gates of a test may change files.
        let out = call.run().any_files();
        let results = std::fs::read(results)
            .ok()
            .and_then(|b| serde_json::from_slice(&b).ok());
        Run {
            results: results.unwrap_or(Value::Null),
            out,
        }
    }
}

impl Run {
    /// Asserts that standard output contains this text.
    #[track_caller]
    pub fn prints(mut self, text: &str) -> Self {
        self.out = self.out.prints(text);
        self
    }

    /// Asserts that standard error contains this text.
    #[track_caller]
    pub fn reports(mut self, text: &str) -> Self {
        self.out = self.out.reports(text);
        self
    }

    #[track_caller]
    pub fn exits(mut self, code: i32) -> Self {
        self.out = self.out.exits(code);
        self
    }

    /// Returns the result of a gate.
    #[track_caller]
    pub fn gate(&self, id: &str) -> &Value {
        self.results["results"]
            .get(id)
            .unwrap_or_else(|| panic!("no result of {id}: {:#}", self.results))
    }
}
