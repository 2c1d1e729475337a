//! Tests the logs of gates: kept next to the results, redacted and bounded; shown on this machine, and never published.

use std::os::unix::fs::PermissionsExt as _;

use crate::run_fixture::RunFixture;

/// A fixture whose gate prints a marker and a secret, and fails. The token is assembled here, so that it is not in this file.
fn failing() -> (RunFixture, String) {
    let token = format!("ghp_{}", "Ab3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6");
    let fixture = RunFixture::new();
    let script = format!(
        "printf '\\033[31mMARKER\\033[0m begin\\n'; echo 'token {token}'; printf 'MARKER 10 %%\\rMARKER <b>end</b>'; exit 3"
    );
    fixture
        .gate("cpu:broken", &script)
        .gate("cpu:fine", "echo MARKER of a pass");
    (fixture, token)
}

#[test]
fn failing_output_is_kept_and_shown_locally() {
    let (fixture, token) = failing();
    let run = fixture.run(&["--tier", "a", "--keep-going"]);
    let run = run
        .exits(1)
        .prints("MARKER of a pass")
        .reports("Last output of cpu:broken\n  | MARKER begin\n")
        .reports("\n  | MARKER <b>end</b>\n  kept in ");
    assert!(!run.out.stderr.contains("MARKER of a pass"), "{}", run.out.stderr);
    let log = fixture.sandbox.path("home/results.json.logs/cpu:broken.log");
    let kept = std::fs::read_to_string(&log).unwrap();
    assert!(
        kept.ends_with("MARKER <b>end</b>\n") && !kept.contains(&token),
        "{kept}"
    );
    assert_eq!(log.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let results = fixture.results();
    let report = |format: &str| {
        let mut call = fixture.call(&["report", "--format", format]);
        call = call.arg(&results);
        call.run().exits(0).stdout.to_string()
    };
    assert!(report("human").contains("  | MARKER begin\n"));
    let html = report("html");
    assert!(
        html.contains("MARKER begin\n") && html.contains("MARKER &lt;b&gt;end&lt;/b&gt;\n</pre>"),
        "{html}"
    );
    for format in ["summary", "comment", "json", "junit", "sarif", "github"] {
        let shown = report(format);
        assert!(!shown.contains("MARKER"), "{format}: {shown}");
    }
    let recorded = std::fs::read_to_string(&results).unwrap();
    let journal = std::fs::read_to_string(fixture.sandbox.path("home/results.json.journal")).unwrap();
    assert!(
        !recorded.contains("MARKER") && !journal.contains("MARKER"),
        "{recorded}\n{journal}"
    );
}

/// The artifact of a workflow is the file that the output `results` names.
#[test]
fn published_files_have_no_gate_output() {
    let (fixture, _) = failing();
    let [output, summary] = ["output", "summary"].map(|name| fixture.sandbox.path("home").join(name));
    let run = fixture.run_with(
        &["--tier", "a"],
        &[
            ("GITHUB_ACTIONS", "true".as_ref()),
            ("GITHUB_OUTPUT", output.as_os_str()),
            ("GITHUB_STEP_SUMMARY", summary.as_os_str()),
        ],
    );
    run.exits(1).prints("MARKER").reports("MARKER");
    let output = std::fs::read_to_string(output).unwrap();
    let named = output
        .lines()
        .find_map(|line| line.strip_prefix("results="))
        .unwrap();
    assert!(std::fs::metadata(named).unwrap().is_file(), "{output}");
    assert!(!std::fs::read_to_string(named).unwrap().contains("MARKER"));
}

#[test]
fn new_run_removes_earlier_logs() {
    let (fixture, _) = failing();
    let log = |gate: &str| fixture.sandbox.path("home/results.json.logs").join(gate);
    fixture
        .run(&["--tier", "a", "--keep-going"])
        .exits(1)
        .prints("MARKER")
        .reports("MARKER");
    assert!(log("cpu:broken.log").exists() && log("cpu:fine.log").exists());
    std::fs::write(log("mine.txt"), "").unwrap();
    fixture.run(&["--gate", "cpu:fine"]).exits(0).prints("MARKER");
    assert!(!log("cpu:broken.log").exists() && log("cpu:fine.log").exists() && log("mine.txt").exists());
}

#[test]
fn log_that_cannot_be_kept_changes_nothing() {
    let (fixture, _) = failing();
    std::fs::write(fixture.sandbox.path("home/results.json.logs"), "a file").unwrap();
    fixture
        .run(&["--gate", "cpu:fine"])
        .exits(0)
        .prints("cannot keep the log of the gate: ");
}
