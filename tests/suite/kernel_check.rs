//! Tests `kernels check`: first the machine, then the content of the libraries and whether they are current.

use std::path::Path;
use std::process::Command;

use crate::driver::Sandbox;

pub fn library(sandbox: &Sandbox, name: &str, container: Option<&str>) {
    let source = sandbox.path("library.c");
    let device = container.map_or(String::new(), |container| {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/kernel/{container}.fatbin"));
        format!(
            "__asm__(\".section .nv_fatbin,\\\"a\\\"\\n.balign 8\\n.incbin \\\"{}\\\"\\n.previous\\n\");\n",
            path.display()
        )
    });
    std::fs::write(&source, format!("{device}int entry(void) {{ return 0; }}\n")).unwrap();
    let output = sandbox.repo().join(name);
    std::fs::create_dir_all(output.parent().unwrap()).unwrap();
    assert!(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&output)
            .arg(&source)
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn wrong_machine_is_refused_with_requirements() {
    let sandbox = Sandbox::new();
    let out = sandbox.gates(["kernels", "check"]).run().exits(3);
    for word in [
        "no_gpu",
        "no NVIDIA driver",
        "exactly 10.0 (sm_100a)",
        "no fallback",
    ] {
        assert!(out.stdout.contains(word), "{word}: {}", out.stdout);
    }
    sandbox
        .gates(["kernels", "check", "absent.so"])
        .run()
        .exits(2)
        .reports("error: cannot read absent.so: no such file");
    // The libraries are inspected, but not loaded.
    library(
        &sandbox,
        "nmoe/csrc/rdep.cpython-311-x86_64-linux-gnu.so",
        Some("sm_100a_zstd"),
    );
    let seen = sandbox
        .gates(["kernels", "check", "--format", "json"])
        .run()
        .exits(3)
        .json();
    assert_eq!(seen["verdict"], "invalid");
    assert_eq!(seen["reason"], "no_gpu");
    assert_eq!(seen["libraries"][0]["checks"][0]["name"], "rdep_inspect");
    assert_eq!(seen["libraries"][0]["checks"][0]["status"], "pass");
    assert_eq!(seen["libraries"][0]["loaded"], false);
}

#[test]
fn target_machine_checks_libraries_of_subject() {
    let sandbox = Sandbox::new();
    let driver = crate::kernel_driver::b200(&sandbox);
    let check = |code: i32| {
        sandbox
            .gates(["kernels", "check", "--gpus", "8", "--format", "json"])
            .env("LD_LIBRARY_PATH", &driver)
            .run()
            .exits(code)
            .json()
    };
    assert_eq!(check(3)["reason"], "kernel_missing");
    // A telemetry extension without device code is not a kernel library, and is not a reason to refuse.
    library(&sandbox, "nmoe/csrc/gpu.so", None);
    assert_eq!(check(3)["reason"], "kernel_missing");
    library(&sandbox, "nmoe/csrc/rdep.so", Some("sm_100a_zstd"));
    let seen = check(0);
    assert_eq!(seen["verdict"], "pass");
    assert_eq!(seen["libraries"][0]["device_code"], false);
    assert_eq!(seen["libraries"][1]["stamped"], false);
    library(&sandbox, "nmoe/csrc/muon.so", Some("both_zstd"));
    let seen = check(3);
    assert_eq!(seen["reason"], "kernel_off_target");
    assert_eq!(seen["libraries"][1]["faults"][0], "ptx");
}

#[test]
fn driver_older_than_toolkit_is_invalid() {
    let sandbox = Sandbox::new();
    let driver = crate::kernel_driver::b200_of(&sandbox, &["-DVERSION=12090"], &[]);
    for (container, code, reason) in [
        ("sm_100a_zstd", 3, serde_json::json!("driver")),
        ("sm_100a_cuda129_zstd", 0, serde_json::Value::Null),
    ] {
        library(&sandbox, "nmoe/csrc/rdep.so", Some(container));
        let seen = sandbox
            .gates(["kernels", "check", "--gpus", "8", "--format", "json"])
            .env("LD_LIBRARY_PATH", &driver)
            .run()
            .exits(code)
            .json();
        assert_eq!(seen["reason"], reason, "{container}: {seen}");
    }
}

#[test]
fn glob_outside_checkout_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "configs/gates/gates.toml",
        "[target.b200]\nkernels = [\"../home/*.so\"]\n",
    );
    let out = sandbox
        .gates(["kernels", "check"])
        .run()
        .exits(2)
        .reports("configs/gates/gates.toml");
    assert!(out.stderr.contains("leaves the repository"), "{}", out.stderr);
    sandbox.file(
        "configs/gates/gates.toml",
        "[target.b200]\nkernels = [\"link/*.so\"]\n",
    );
    std::os::unix::fs::symlink(sandbox.path("home"), sandbox.repo().join("link")).unwrap();
    sandbox
        .gates(["kernels", "check"])
        .run()
        .exits(2)
        .reports("error: `link/*.so` leads out of the checkout");
}
