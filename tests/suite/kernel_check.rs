//! `kernels check` as a whole: the machine first, then what the libraries hold and how fresh they are.

use std::path::Path;
use std::process::Command;

use crate::driver::Place;

fn library(place: &Place, name: &str, container: Option<&str>) {
    let source = place.path("library.c");
    let device = container.map_or(String::new(), |container| {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/kernel/{container}.fatbin"));
        format!(
            "__asm__(\".section .nv_fatbin,\\\"a\\\"\\n.balign 8\\n.incbin \\\"{}\\\"\\n.previous\\n\");\n",
            path.display()
        )
    });
    std::fs::write(&source, format!("{device}int entry(void) {{ return 0; }}\n")).unwrap();
    let output = place.repo().join(name);
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
fn off_target_everything_is_refused_with_what_was_found_and_what_is_needed() {
    let place = Place::new();
    let out = place.gates(["kernels", "check"]).run().exits(3);
    for word in [
        "no_gpu",
        "no NVIDIA driver",
        "exactly 10.0 (sm_100a)",
        "no fallback",
    ] {
        assert!(out.stdout.contains(word), "{word}: {}", out.stdout);
    }
    place.gates(["kernels", "check", "absent.so"]).run().exits(2);
    // The libraries are still looked into, and none is loaded.
    library(
        &place,
        "nmoe/csrc/rdep.cpython-311-x86_64-linux-gnu.so",
        Some("sm_100a_zstd"),
    );
    let seen = place
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
fn on_target_the_subjects_own_libraries_decide() {
    let place = Place::new();
    let driver = crate::kernel_driver::b200(&place);
    let check = |code: i32| {
        place
            .gates(["kernels", "check", "--gpus", "8", "--format", "json"])
            .env("LD_LIBRARY_PATH", &driver)
            .run()
            .exits(code)
            .json()
    };
    assert_eq!(check(3)["reason"], "kernel_missing");
    // A telemetry extension without device code is no reason for refusal, and no kernel library.
    library(&place, "nmoe/csrc/gpu.so", None);
    assert_eq!(check(3)["reason"], "kernel_missing");
    library(&place, "nmoe/csrc/rdep.so", Some("sm_100a_zstd"));
    let seen = check(0);
    assert_eq!(seen["verdict"], "pass");
    assert_eq!(seen["libraries"][0]["device_code"], false);
    assert_eq!(seen["libraries"][1]["stamped"], false);
    library(&place, "nmoe/csrc/muon.so", Some("both_zstd"));
    let seen = check(3);
    assert_eq!(seen["reason"], "kernel_off_target");
    assert_eq!(seen["libraries"][1]["faults"][0], "ptx");
}

#[test]
fn a_glob_that_leads_out_of_the_checkout_is_refused() {
    let place = Place::new();
    place.file(
        "configs/gates/gates.toml",
        "[target.b200]\nkernels = [\"../home/*.so\"]\n",
    );
    let out = place.gates(["kernels", "check"]).run().exits(2);
    assert!(out.stderr.contains("inside the checkout"), "{}", out.stderr);
    place.file(
        "configs/gates/gates.toml",
        "[target.b200]\nkernels = [\"link/*.so\"]\n",
    );
    std::os::unix::fs::symlink(place.path("home"), place.repo().join("link")).unwrap();
    place.gates(["kernels", "check"]).run().exits(2);
}
