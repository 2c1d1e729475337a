//! Tests that `demo` completes and leaves no files.

use crate::driver::Sandbox;

#[test]
fn slow_demo_completes_and_leaves_no_files() {
    let sandbox = Sandbox::new();
    let out = sandbox.gates(["demo"]).run().exits(0);
    let at = |needle: &str| {
        out.stdout
            .find(needle)
            .unwrap_or_else(|| panic!("no {needle} in\n{}", out.stdout))
    };
    let way = [
        at("This is a sample"),
        at("$ nmoe-gates lint contract"),
        at("$ nmoe-gates lint attestation"),
        at("$ nmoe-gates lint registry"),
        at("$ nmoe-gates gates resolve"),
        at("$ nmoe-gates run --tier a"),
        at("$ nmoe-gates run -qq --bundle demo"),
        at("$ nmoe-gates report"),
        at("Gates: demo — pass"),
        at("demo:tiny_1x40  pass"),
        at("$ nmoe-gates run --bundle letters --subject ../same"),
        at("$ nmoe-gates run --bundle resume"),
        at("error[denied-path]: `nmoe/train.py`"),
        at("leak.py:1:"),
        at("allowed −10 %: fail"),
        at("$ nmoe-gates report ../forged.json"),
    ];
    assert!(way.is_sorted(), "{}", out.stdout);
    for part in [
        "Gates: b200 — rehearsal",
        "loss: identical at 4 steps",
        "the base is not deterministic: its runs differ in",
        "loss: first differs at step 3: ",
        "loss: first differs at step 4: ",
        "fail     demo:hang",
        "the results contradict themselves",
    ] {
        assert!(out.stderr.contains(part), "no {part} in\n{}", out.stderr);
    }
    for folder in ["tmp", "home", "repo"] {
        let left: Vec<_> = std::fs::read_dir(sandbox.path(folder)).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn slow_demo_keep_writes_sample_to_folder() {
    let sandbox = Sandbox::new();
    sandbox
        .gates(["demo", "--keep", "sample"])
        .run()
        .exits(0)
        .prints("All 4 gates passed")
        .reports("error: cannot use the results ../forged.json: the results contradict themselves")
        .any_files();
    for file in [
        "issue.md",
        "pull_request.md",
        "results.json",
        "repo/nmoe/train.py",
    ] {
        assert!(sandbox.repo().join("sample").join(file).is_file(), "{file}");
    }
    let again = sandbox.gates(["demo", "--keep", "sample"]).run().exits(2);
    assert!(again.stderr.contains("is not empty"), "{}", again.stderr);
}
