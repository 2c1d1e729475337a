//! Tests `kernels collectives`: an NCCL all-to-all is found on the MoE path and nowhere else.

use std::process::Command;

use crate::driver::Sandbox;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .file("nmoe/moe.py", "# no all_to_all on this path\nrdep.dispatch(x)\n")
        .file("nmoe/csrc/rdep.cu", "// replaces ncclAllToAll\nvoid f() {}\n")
        .file("nmoe/zero2.py", "dist.all_to_all_single(a, b)\n");
    sandbox.git(["init", "-q"]);
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "base"]);
    sandbox
}

#[test]
fn collective_on_moe_path_is_found() {
    let sandbox = sandbox();
    sandbox.gates(["kernels", "collectives"]).run().exits(0);
    sandbox.file(
        "nmoe/csrc/rdep.cu",
        "void f() {\n    ncclGroupStart();\n    ncclSend(a);\n}\n",
    );
    let seen = sandbox
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
fn added_collective_elsewhere_is_a_warning() {
    let sandbox = sandbox();
    sandbox.file(
        "nmoe/zero2.py",
        "dist.all_to_all_single(a, b)\ndist.all_to_all(c, d)\n",
    );
    sandbox.git(["commit", "-qam", "more"]);
    let seen = sandbox
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
    sandbox
        .gates(["kernels", "collectives", "--diff", "HEAD~1..nowhere"])
        .run()
        .exits(2)
        .reports("error: cannot read --diff: `nowhere` is not a commit of this repository");
}

#[test]
fn library_importing_collective_fails() {
    let sandbox = sandbox();
    let source = sandbox.path("a.c");
    std::fs::write(
        &source,
        "extern int ncclAllToAll(void); int f(void) { return ncclAllToAll(); }\n",
    )
    .unwrap();
    let library = sandbox.repo().join("nmoe/csrc/rdep.so");
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
    let out = sandbox.gates(["kernels", "collectives", path]).run().exits(1);
    assert!(
        out.stdout.contains("this library uses `ncclAllToAll`"),
        "{}",
        out.stdout
    );
    let seen = sandbox
        .gates(["kernels", "check", path, "--format", "json"])
        .run()
        .exits(1)
        .json();
    assert_eq!(seen["reason"], "kernel_all_to_all");
}

/// Spellings that the compiler reads as an all-to-all.
#[test]
fn disguised_collective_is_found() {
    let sandbox = sandbox();
    for (path, text) in [
        ("nmoe/moe.py", "dist.all_to_\u{ff41}ll(a, b)\n"),
        ("nmoe/moe.py", "getattr(dist, 'all_to' + '_all')(a, b)\n"),
        ("nmoe/csrc/a.cu", "int n = 1'000; ncclAllToAll(x);\n"),
        (
            "nmoe/csrc/a.cu",
            "const char *a = R\"(it's)\"; ncclAllToAll(x);\n",
        ),
        ("nmoe/csrc/a.cu", "nccl##AllTo ## All(x);\n"),
        ("nmoe/csrc/a.cu", "ncclAll\\\nToAll(x);\n"),
        ("nmoe/csrc/a.cxx", "ncclAllToAll(x);\n"),
        ("nmoe/csrc/a.inc", "ncclAllToAll(x);\n"),
        ("nmoe/csrc/a.cu", "ncclGin gin; gin.put(x);\n"),
    ] {
        sandbox.file(path, text);
        let seen = sandbox
            .gates(["kernels", "collectives", "--format", "json"])
            .run()
            .exits(1)
            .json();
        assert_eq!(seen["findings"].as_array().unwrap().len(), 1, "{text}: {seen}");
        std::fs::remove_file(sandbox.repo().join(path)).unwrap();
    }
}

#[test]
fn empty_moe_path_is_a_finding() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "megatron/core/moe/dispatcher.py",
        "dist.all_to_all_single(a, b)\n",
    );
    let found = || {
        let out = sandbox.gates(["kernels", "collectives", "--format", "json"]);
        out.run().exits(1).json()["findings"][0].clone()
    };
    let finding = found();
    assert_eq!(finding["code"], "moe-path-empty", "{finding}");
    sandbox.file(
        "configs/nmoe-gates.toml",
        "[moe]\npath = [\"megatron/**/moe/**\"]\n",
    );
    let finding = found();
    assert_eq!(finding["code"], "moe-all-to-all", "{finding}");
    assert_eq!(finding["path"], "megatron/core/moe/dispatcher.py");
}

#[test]
fn library_that_looks_collective_up_fails() {
    let sandbox = sandbox();
    let source = sandbox.path("a.c");
    std::fs::write(
        &source,
        "#include <dlfcn.h>\nvoid *f(void) { return dlsym(0, \"ncclAllToAll\"); }\nconst char *g = \"no ncclAllToAll here\";\n",
    )
    .unwrap();
    let library = sandbox.path("a.so");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
    assert!(cc.status().unwrap().success());
    let out = sandbox
        .gates(["kernels", "collectives", library.to_str().unwrap()])
        .run()
        .exits(1);
    assert!(out.stdout.contains("uses `ncclAllToAll`"), "{}", out.stdout);
}
