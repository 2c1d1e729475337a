//! `kernels collectives`: an all-to-all through NCCL is found where rows go between experts, and nowhere else.

use std::process::Command;

use crate::driver::Place;

fn place() -> Place {
    let place = Place::new();
    place
        .file("nmoe/moe.py", "# no all_to_all on this path\nrdep.dispatch(x)\n")
        .file("nmoe/csrc/rdep.cu", "// replaces ncclAllToAll\nvoid f() {}\n")
        .file("nmoe/zero2.py", "dist.all_to_all_single(a, b)\n");
    place.git(["init", "-q"]);
    place.git(["add", "-A"]);
    place.git(["commit", "-qm", "base"]);
    place
}

#[test]
fn the_moe_path_is_clean_until_somebody_calls_one() {
    let place = place();
    place.gates(["kernels", "collectives"]).run().exits(0);
    place.file(
        "nmoe/csrc/rdep.cu",
        "void f() {\n    ncclGroupStart();\n    ncclSend(a);\n}\n",
    );
    let seen = place
        .gates(["kernels", "collectives", "--format", "json"])
        .run()
        .exits(1)
        .json();
    let finding = &seen["findings"][0];
    assert_eq!(finding["code"], "moe-all-to-all");
    assert_eq!(finding["path"], "nmoe/csrc/rdep.cu");
    assert_eq!(
        (finding["line"].as_u64(), finding["column"].as_u64()),
        (Some(3), Some(5))
    );
}

#[test]
fn a_diff_warns_of_added_lines_elsewhere() {
    let place = place();
    place.file(
        "nmoe/zero2.py",
        "dist.all_to_all_single(a, b)\ndist.all_to_all(c, d)\n",
    );
    place.git(["commit", "-qam", "more"]);
    let seen = place
        .gates([
            "kernels",
            "collectives",
            "--diff",
            "HEAD~1..HEAD",
            "--format",
            "json",
        ])
        .run()
        .exits(0)
        .json();
    assert_eq!(seen["findings"].as_array().unwrap().len(), 1, "{seen}");
    assert_eq!(seen["findings"][0]["severity"], "warning");
    assert_eq!(seen["findings"][0]["line"], 2);
    place
        .gates(["kernels", "collectives", "--diff", "HEAD~1..nowhere"])
        .run()
        .exits(2);
}

#[test]
fn a_library_that_imports_one_is_found_and_fails_the_check() {
    let place = place();
    let source = place.path("a.c");
    std::fs::write(
        &source,
        "extern int ncclAllToAll(void); int f(void) { return ncclAllToAll(); }\n",
    )
    .unwrap();
    let library = place.repo().join("nmoe/csrc/rdep.so");
    assert!(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(&source)
            .status()
            .unwrap()
            .success()
    );
    let path = library.to_str().unwrap();
    let out = place.gates(["kernels", "collectives", path]).run().exits(1);
    assert!(out.stdout.contains("it imports `ncclAllToAll`"), "{}", out.stdout);
    let seen = place
        .gates(["kernels", "check", path, "--format", "json"])
        .run()
        .exits(1)
        .json();
    assert_eq!(seen["reason"], "kernel_all_to_all");
}
