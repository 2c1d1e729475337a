//! Tests kernel libraries in a run: built from the subject, checked before the command of a GPU gate, and as a separate gate.

use std::path::Path;

use serde_json::Value;

use crate::driver::{Outcome, Sandbox};
use crate::kernel_csrc::{SOURCES, sources_digest};

/// C source that wraps `nmoe/csrc/device.fatbin` as a library.
pub const WRAPPER: &str = "__asm__(\".section .nv_fatbin,\\\"a\\\"\\n.balign 8\\n.incbin \\\"nmoe/csrc/device.fatbin\\\"\\n.previous\\n\");\nint entry(void) { return 0; }\n";

/// Creates a checkout whose build copies this container, wrapped as a library, to the path in the registry.
fn checkout(container: &str, build: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/kernel/{container}.fatbin"));
    sandbox
        .file("nmoe/csrc/device.fatbin", std::fs::read(fixture).unwrap())
        .file(
            "nmoe/csrc/rdep.c",
            WRAPPER,
        )
        .file(
            "configs/gates/gates.toml",
            format!(
                "[target.b200]\nbuild = '''{build}'''\n\
                 [gates.\"b200:train\"]\ntier = \"b\"\ngpus = 8\ncmd = \"touch ran; echo 'node_tps: 12,345'\"\n\
                 [gates.\"b200:again\"]\ntier = \"b\"\ngpus = 8\ncmd = \"test -e nmoe/csrc/rdep.so\"\n\
                 [gates.\"b200:kernels\"]\ntier = \"b\"\nkind = \"kernel\"\n"
            ),
        )
        .file(".gitignore", "*.so\n*.o\nran\nbuilds\n");
    sandbox.git(["init", "-q"]);
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "base"]);
    sandbox
}

const BUILD: &str = "echo x >> builds; cc -shared -fPIC -o nmoe/csrc/rdep.so nmoe/csrc/rdep.c";

fn run(sandbox: &Sandbox, gates: &[&str]) -> (Outcome, Value) {
    run_on(sandbox, &[], gates)
}

/// Runs gates on a machine whose libcuda has these responses.
fn run_on(sandbox: &Sandbox, cuda: &[&str], gates: &[&str]) -> (Outcome, Value) {
    let driver = crate::kernel_driver::b200_of(sandbox, cuda, &[]);
    let results = sandbox.path("results.json");
    let mut args = vec!["run", "--results", results.to_str().unwrap(), "--keep-going"];
    for gate in gates {
        args.extend(["--gate", gate]);
    }
    let out = sandbox
        .gates(args)
        .env("LD_LIBRARY_PATH", &driver)
        .run()
        .any_files();
    let text = std::fs::read_to_string(&results).unwrap_or_else(|e| panic!("{e}: {out:?}"));
    let results: Value = serde_json::from_str(&text).unwrap();
    let code = match results["overall"].as_str() {
        Some("pass") => 0,
        Some("fail") => 1,
        _ => 3,
    };
    // The results contain the kernel checks that the program prints.
    (out.exits(code).any_output(), results)
}

#[test]
fn gpu_gate_uses_built_and_proven_libraries() {
    let sandbox = checkout("sm_100a_zstd", BUILD);
    // A library of an earlier build must not be used as the library of this run.
    sandbox.file("nmoe/csrc/stale.so", "old");
    let (out, results) = run(&sandbox, &["b200:train", "b200:again"]);
    let out = out.exits(0);
    assert_eq!(results["overall"], "pass", "{results}");
    assert!(!sandbox.repo().join("nmoe/csrc/stale.so").exists());
    let train = &results["results"]["b200:train"];
    assert_eq!(train["kernel_checks"][0]["name"], "rdep_inspect");
    assert_eq!(train["kernel_checks"][0]["status"], "pass");
    let digest = results["evidence"]["kernels"]["nmoe/csrc/rdep.so"]
        .as_str()
        .unwrap();
    assert_eq!(digest.len(), 64);
    assert!(
        out.stdout.contains("rdep_inspect: sm_100a and nothing else"),
        "{}",
        out.stdout
    );
    // Built once, for both gates.
    let builds = std::fs::read_to_string(sandbox.repo().join("builds")).unwrap();
    assert_eq!(builds.lines().count(), 1);
}

#[test]
fn rejected_library_prevents_gate_command() {
    for (container, build, reason) in [
        ("both_zstd", BUILD, "kernel_off_target"),
        ("sm_103a_zstd", BUILD, "kernel_off_target"),
        ("sm_100a_zstd", "true", "kernel_missing"),
        ("sm_100a_zstd", "false", "build_failed"),
    ] {
        let sandbox = checkout(container, build);
        let (out, results) = run(&sandbox, &["b200:train"]);
        out.exits(3);
        let train = &results["results"]["b200:train"];
        assert_eq!(train["status"], "invalid", "{train}");
        assert_eq!(train["reason"], reason, "{train}");
        assert!(
            !sandbox.repo().join("ran").exists(),
            "{container}: the command was started"
        );
    }
}

#[test]
fn library_changed_after_check_is_stale() {
    let rebuild = "cc -DMORE -shared -fPIC -o nmoe/csrc/rdep.so nmoe/csrc/rdep.c -Wl,--build-id=0x1234";
    for (name, command, first, second) in [
        // The gate changes the library, so its measurement is not of the checked library.
        (
            "itself",
            rebuild,
            ("invalid", "kernel_stale"),
            ("invalid", "kernel_stale"),
        ),
        (
            "another beside",
            "cp nmoe/csrc/rdep.so nmoe/csrc/more.so",
            ("invalid", "kernel_stale"),
            ("invalid", "kernel_stale"),
        ),
        // A gate without GPU changes the library between two GPU gates.
        ("removed", "true", ("pass", ""), ("invalid", "kernel_stale")),
        ("left alone", "true", ("pass", ""), ("pass", "")),
    ] {
        let sandbox = checkout("sm_100a_zstd", BUILD);
        let registry = sandbox.repo().join("configs/gates/gates.toml");
        let text = std::fs::read_to_string(&registry).unwrap();
        let between = if name == "removed" {
            "rm nmoe/csrc/rdep.so"
        } else {
            "true"
        };
        let text = text.replace("touch ran; echo 'node_tps: 12,345'", command)
            + &format!("[gates.\"cpu:between\"]\ntier = \"a\"\ncmd = \"{between}\"\n");
        std::fs::write(&registry, text.replace("test -e nmoe/csrc/rdep.so", "true")).unwrap();
        let (out, results) = run(&sandbox, &["b200:train", "cpu:between", "b200:again"]);
        for (gate, (status, reason)) in [("b200:train", first), ("b200:again", second)] {
            let gate = &results["results"][gate];
            assert_eq!(gate["status"], status, "{name}: {results}");
            assert_eq!(
                gate["reason"].as_str().unwrap_or_default(),
                reason,
                "{name}: {results}"
            );
        }
        let says = out.stdout.contains("changed after it was verified");
        assert_eq!(says, name != "left alone", "{name}: {}", out.stdout);
    }
}

#[test]
fn tracked_library_is_stale() {
    let sandbox = checkout("sm_100a_zstd", BUILD);
    sandbox.file("nmoe/csrc/rdep.so", "committed");
    sandbox.git(["add", "-f", "nmoe/csrc/rdep.so"]);
    sandbox.git(["commit", "-qm", "a binary"]);
    let (out, results) = run(&sandbox, &["b200:train"]);
    out.exits(3)
        .prints("kernels: nmoe/csrc/rdep.so is tracked by git: a");
    assert_eq!(results["results"]["b200:train"]["reason"], "kernel_stale");
    assert_eq!(
        std::fs::read_to_string(sandbox.repo().join("nmoe/csrc/rdep.so")).unwrap(),
        "committed"
    );
}

#[test]
fn kernel_gate_without_self_checks_fails() {
    let sandbox = checkout("sm_100a_zstd", BUILD);
    let (out, results) = run(&sandbox, &["b200:kernels"]);
    out.exits(3)
        .prints("kernels: pass rdep_inspect: sm_100a and nothing");
    let gate = &results["results"]["b200:kernels"];
    assert_eq!(gate["reason"], "kernel_missing");
    assert_eq!(gate["kernel_checks"][0]["status"], "pass");
}

#[test]
fn wrong_machine_builds_nothing() {
    let sandbox = checkout("sm_100a_zstd", BUILD);
    let results = sandbox.path("results.json");
    let out = sandbox
        .gates([
            "run",
            "--gate",
            "b200:kernels",
            "--results",
            results.to_str().unwrap(),
        ])
        .run()
        .exits(3);
    assert!(out.stderr.contains("no NVIDIA driver"), "{}", out.stderr);
    assert!(!sandbox.repo().join("builds").exists());
}

/// Creates a checkout with a kernel package whose build makes a stamped library with two self-checks.
fn with_package(nonce: &str) -> Sandbox {
    let sandbox = checkout("sm_100a_zstd", "unused");
    for file in SOURCES {
        sandbox.file(&format!("nmoe-csrc/{file}"), "/* a source */\n");
    }
    let sources = sources_digest(&sandbox.repo().join("nmoe-csrc"));
    let (before, after) = (
        format!(
            r#"{{\"schema\":1,\"abi\":1,\"arch\":\"sm_100a\",\"sources\":\"{sources}\",\"flags\":\"-O3\",\"compiler\":\"nvcc 13.0.88\",\"commit\":null,\"dirty\":false,\"nonce\":\""#
        ),
        r#"\",\"kernels\":[\"add\"]}"#,
    );
    sandbox.file(
        "lib.c",
        format!(
            "#include <stdint.h>\n\
             __asm__(\".section .nv_fatbin,\\\"a\\\"\\n.balign 8\\n.incbin \\\"nmoe/csrc/device.fatbin\\\"\\n.previous\\n\");\n\
             #define TEXT \"{before}\" NONCE \"{after}\"\n\
             __attribute__((section(\".note.nmoe\"), used, aligned(4))) static const struct {{ uint32_t n, d, t; char name[8]; char text[sizeof TEXT]; }} note = {{5, sizeof TEXT - 1, 1, \"NMOE\", TEXT}};\n\
             typedef struct {{ uint32_t size; int32_t outcome; uint64_t cases, mismatches, index, expected, got; int32_t error, reserved; }} report;\n\
             uint32_t nmoe_abi_version(void) {{ return 1; }}\n\
             const char *nmoe_stamp(void) {{ return TEXT; }}\n\
             uint32_t nmoe_check_count(void) {{ return 2; }}\n\
             const char *nmoe_check_name(uint32_t i) {{ return i ? \"gather\" : \"scatter\"; }}\n\
             #ifdef BORN\n\
             #include <unistd.h>\n\
             #include <signal.h>\n\
             #include <stdlib.h>\n\
             __attribute__((constructor)) static void born(void) {{ BORN; }}\n\
             #endif\n\
             #ifndef RUN\n\
             #define RUN\n\
             #endif\n\
             int32_t nmoe_check_run(uint32_t i, report *r) {{ RUN; r->cases = 8; r->mismatches = i * MISMATCHES; return r->mismatches ? 1 : 0; }}\n"
        ),
    );
    let registry = std::fs::read_to_string(sandbox.repo().join("configs/gates/gates.toml")).unwrap();
    let build = format!(
        "mkdir -p nmoe-csrc/build; cc $EXTRA -shared -fPIC -w -DMISMATCHES=${{MISMATCHES:-0}} -DNONCE='\"{nonce}\"' -o nmoe-csrc/build/libnmoe_kernels.so lib.c"
    )
    .replace("'\"$NMOE_RUN_NONCE\"'", "\"\\\"$NMOE_RUN_NONCE\\\"\"");
    sandbox.file(
        "configs/gates/gates.toml",
        registry.replace(
            "build = '''unused'''",
            &format!("kernels = [\"nmoe-csrc/build/*.so\"]\nbuild = '''{build}'''"),
        ),
    );
    sandbox
}

#[test]
fn kernel_gate_reports_each_self_check() {
    let sandbox = with_package("$NMOE_RUN_NONCE");
    let (out, results) = run(&sandbox, &["b200:kernels", "b200:train"]);
    out.exits(0)
        .prints("kernels: pass libnmoe_kernels_inspect: sm_100a");
    let gate = &results["results"]["b200:kernels"];
    assert_eq!(gate["status"], "pass", "{gate}");
    let names: Vec<_> = gate["kernel_checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "libnmoe_kernels_inspect",
            "libnmoe_kernels_fresh",
            "libnmoe_kernels_load",
            "scatter",
            "gather",
            "built_from_scratch"
        ]
    );
}

/// The build compiles only what has no object, like a Makefile that does not name its headers.
#[test]
fn old_objects_are_not_linked() {
    let build = "test -e nmoe/csrc/rdep.o || cc -c -fPIC -o nmoe/csrc/rdep.o nmoe/csrc/rdep.c; cc -shared -o nmoe/csrc/rdep.so nmoe/csrc/rdep.o";
    let sandbox = checkout("sm_100a_zstd", build);
    let (out, results) = run(&sandbox, &["b200:train"]);
    out.exits(0)
        .prints("kernels: built from scratch, after 0 old libraries and 0 old objects were deleted");
    let checks = &results["results"]["b200:train"]["kernel_checks"];
    assert_eq!(checks[1]["name"], "built_from_scratch", "{results}");
    sandbox.file("nmoe/csrc/rdep.c", "#error \"this does not compile\"\n");
    sandbox.git(["commit", "-qam", "break it"]);
    let (out, results) = run(&sandbox, &["b200:train"]);
    out.exits(3).prints("#error");
    assert_eq!(results["results"]["b200:train"]["reason"], "build_failed");
}

#[test]
fn planted_library_below_folder_is_inspected() {
    let plant = "mkdir -p nmoe/csrc/opt; cp sm_90a.so nmoe/csrc/opt/muon.so";
    let sandbox = checkout("sm_100a_zstd", &format!("{BUILD}; {plant}"));
    crate::kernel_check::library(&sandbox, "sm_90a.so", Some("sm_90a_zstd"));
    let (out, results) = run(&sandbox, &["b200:train"]);
    out.exits(3).prints("kernels: invalid muon_inspect: not sm_100a");
    assert_eq!(results["results"]["b200:train"]["reason"], "kernel_off_target");
    // A library of an earlier build is deleted there too.
    let sandbox = checkout("sm_100a_zstd", BUILD);
    crate::kernel_check::library(&sandbox, "nmoe/csrc/opt/muon.so", Some("sm_90a_zstd"));
    let (out, _) = run(&sandbox, &["b200:train"]);
    out.exits(0).prints("after 1 old libraries and 0 old objects");
}

/// The gate maps a library by its path, and waits long enough for a reading.
#[test]
fn mapped_library_must_be_proven() {
    for (name, map, status) in [
        ("proven", "nmoe/csrc/rdep.so", "pass"),
        // Another installed copy, such as one in site-packages.
        ("installed", "elsewhere/rdep.so", "invalid"),
    ] {
        let sandbox = checkout("sm_100a_zstd", BUILD);
        crate::kernel_check::library(&sandbox, "elsewhere/rdep.so", None);
        sandbox.file(
            "map.c",
            "#include <dlfcn.h>\n#include <unistd.h>\nint main(int n, char **a) { return !dlopen(a[n - 1], RTLD_NOW) || sleep(3); }\n",
        );
        let registry = sandbox.repo().join("configs/gates/gates.toml");
        let text = std::fs::read_to_string(&registry).unwrap();
        let command = format!("cc -o map map.c -ldl; ./map ./{map}");
        std::fs::write(
            &registry,
            text.replace("touch ran; echo 'node_tps: 12,345'", &command),
        )
        .unwrap();
        let (out, results) = run(&sandbox, &["b200:train"]);
        out.any_code().prints(&format!(
            "kernels: {status} rdep_mapped: a process mapped {map} with SHA-256 "
        ));
        let gate = &results["results"]["b200:train"];
        let row = &gate["kernel_checks"][2];
        assert_eq!(row["name"], "rdep_mapped", "{name}: {gate}");
        assert_eq!(
            (&row["status"], &gate["status"]),
            (&status.into(), &status.into()),
            "{name}"
        );
        let library = (status == "pass").then_some("nmoe/csrc/rdep.so");
        assert_eq!(row["library"].as_str(), library, "{name}: {gate}");
    }
}

/// A gate can load kernels that this run did not build: from a copy in another folder, from a file that it deletes, from memory.
#[test]
fn unproven_device_code_is_recorded_when_mapped() {
    let mut wrong = Vec::new();
    for (name, prepare, open, status) in [
        // A library without device code, such as one that Triton compiles for the host.
        (
            "host",
            "cc -shared -fPIC -o $D/host.so host.c",
            "$D/host.so",
            "pass",
        ),
        ("copy", "cp nmoe/csrc/rdep.so $D/copy.so", "$D/copy.so", "invalid"),
        (
            "link",
            "cp nmoe/csrc/rdep.so $D/real.so; ln -s real.so $D/link.so",
            "$D/link.so",
            "invalid",
        ),
        (
            "checkout",
            "mkdir build; cp nmoe/csrc/rdep.so build/mine.so",
            "build/mine.so",
            "invalid",
        ),
        (
            "deleted",
            "cp nmoe/csrc/rdep.so $D/gone.so",
            "-$D/gone.so",
            "invalid",
        ),
        ("memory", "true", "@nmoe/csrc/rdep.so", "invalid"),
        // The second page of the mapping is behind the end of its file.
        ("long", "true", "=nmoe/csrc/device.fatbin", "invalid"),
        // Memory that is not executable is data. Reading it would fill its pages.
        ("sparse", "true", "%", "pass"),
        // The library is replaced after the first process mapped it.
        (
            "renamed",
            "cc -shared -fPIC -o $D/host.so host.c; ./map $D/host.so; cp nmoe/csrc/rdep.so $D/new; mv $D/new $D/host.so",
            "$D/host.so",
            "invalid",
        ),
    ] {
        let sandbox = checkout("sm_100a_zstd", BUILD);
        sandbox.file("host.c", "int entry(void) { return 0; }\n").file(
            "map.c",
            r#"#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int n, char **a) {
    char *path = a[n - 1], memory[64];
    if (*path == '=') {
        int from = open(path + 1, O_RDONLY), to = memfd_create("kernels", 0);
        if (sendfile(to, from, 0, 4096) < 8 || ftruncate(to, 4096)) return 1;
        return mmap(0, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, to, 0) == MAP_FAILED || sleep(3);
    }
    if (*path == '%') {
        struct stat stat;
        int to = memfd_create("sparse", 0);
        if (ftruncate(to, 64 << 20)) return 1;
        if (mmap(0, 64 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, to, 0) == MAP_FAILED) return 1;
        return sleep(3) || fstat(to, &stat) || stat.st_blocks;
    }
    int gone = *path == '-', copy = *path == '@';
    path += gone | copy;
    if (copy) {
        int from = open(path, O_RDONLY), to = memfd_create("kernels", 0);
        while (sendfile(to, from, 0, 1 << 20) > 0) {}
        snprintf(memory, sizeof memory, "/proc/self/fd/%d", to);
        path = memory;
    }
    if (!dlopen(path, RTLD_NOW)) return 1;
    if (gone) unlink(path);
    return sleep(3);
}
"#,
        );
        let registry = sandbox.repo().join("configs/gates/gates.toml");
        let text = std::fs::read_to_string(&registry).unwrap();
        let open = if open.contains('/') && !open.contains('$') && !open.starts_with(['@', '=']) {
            format!("./{open}")
        } else {
            open.to_owned()
        };
        let command = format!(
            "cc -o map map.c -ldl && D=$(mktemp -d) && {prepare} && ./map {open}; code=$?; rm -r $D; exit $code"
        );
        let text = text.replace("touch ran; echo 'node_tps: 12,345'", &command);
        std::fs::write(&registry, text).unwrap();
        let (out, results) = run(&sandbox, &["b200:train"]);
        let gate = &results["results"]["b200:train"];
        if gate["status"] != status {
            wrong.push(format!("{name}: {gate} {}", out.stdout));
            continue;
        }
        let rows = gate["kernel_checks"].as_array().unwrap();
        let mapped = rows
            .iter()
            .find(|row| row["name"].as_str().unwrap().ends_with("_mapped"));
        assert_eq!(mapped.is_some(), status == "invalid", "{name}: {gate}");
        if let Some(row) = mapped {
            assert_eq!(row["reason"], "kernel_stale", "{name}");
            assert_eq!(row["library"], Value::Null, "{name}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A file from before the gate is not an installed library if this run wrote it, or if it is in a temporary folder.
#[test]
fn files_of_earlier_gates_are_not_installed() {
    let target = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for (name, outside, environment, first, status) in [
        (
            "same run",
            true,
            false,
            &["cpu:make", "b200:train"][..],
            "invalid",
        ),
        ("earlier run", false, false, &["cpu:make"], "invalid"),
        // A Python environment that existed before the run, such as one on local scratch.
        ("environment", false, true, &["cpu:make"], "pass"),
    ] {
        let sandbox = checkout("sm_100a_zstd", BUILD);
        let folder = if outside {
            target.path().to_owned()
        } else {
            sandbox.path("tmp/kept")
        };
        let library = folder.join("lib/kept.so");
        std::fs::create_dir_all(folder.join("lib")).unwrap();
        if environment {
            std::fs::write(folder.join("pyvenv.cfg"), "").unwrap();
        }
        sandbox.file(
            "map.c",
            "#include <dlfcn.h>\n#include <unistd.h>\nint main(int n, char **a) { return !dlopen(a[n - 1], RTLD_NOW) || sleep(3); }\n",
        );
        let library = library.display();
        let registry = sandbox.repo().join("configs/gates/gates.toml");
        let text = std::fs::read_to_string(&registry).unwrap();
        let text = text.replace(
            "touch ran; echo 'node_tps: 12,345'",
            &format!("cc -o map map.c -ldl; ./map '{library}'"),
        );
        // The times of files count in seconds.
        let make = format!("cc -shared -fPIC -o '{library}' nmoe/csrc/rdep.c; sleep 1.1");
        let gate = format!("[gates.\"cpu:make\"]\ntier = \"a\"\ncmd = \"{make}\"\n");
        std::fs::write(&registry, text + &gate).unwrap();
        let (mut out, mut results) = run(&sandbox, first);
        if first.len() == 1 {
            (out, results) = run(&sandbox, &["b200:train"]);
        }
        let gate = &results["results"]["b200:train"];
        assert_eq!(gate["status"], status, "{name}: {gate} {}", out.stdout);
        let reason = (status == "invalid").then_some("kernel_stale");
        assert_eq!(gate["reason"].as_str(), reason, "{name}: {gate}");
    }
}

#[test]
fn other_nonce_is_stale_and_mismatch_fails() {
    let sandbox = with_package("0123456789abcdef0123456789abcdef");
    let (out, results) = run(&sandbox, &["b200:kernels"]);
    out.exits(3)
        .prints("kernels: pass libnmoe_kernels_inspect: sm_100a");
    assert_eq!(results["results"]["b200:kernels"]["reason"], "kernel_stale");

    let sandbox = with_package("$NMOE_RUN_NONCE");
    let registry = sandbox.repo().join("configs/gates/gates.toml");
    let text = std::fs::read_to_string(&registry).unwrap();
    std::fs::write(
        &registry,
        text.replace("build = '''", "build = '''MISMATCHES=3; "),
    )
    .unwrap();
    let (out, results) = run(&sandbox, &["b200:train"]);
    out.exits(1)
        .prints("kernels: pass libnmoe_kernels_inspect: sm_100a");
    let gate = &results["results"]["b200:train"];
    assert_eq!(
        (gate["status"].as_str(), gate["reason"].as_str()),
        (Some("fail"), Some("kernel_failed"))
    );
    assert_eq!(gate["kernel_checks"][4]["status"], "fail");
    assert!(!sandbox.repo().join("ran").exists());
}

#[test]
fn machine_fault_is_invalid() {
    // The check receives an error that says nothing about the change.
    let sandbox = with_package("$NMOE_RUN_NONCE");
    let registry = sandbox.repo().join("configs/gates/gates.toml");
    let text = std::fs::read_to_string(&registry).unwrap();
    let fault = "build = '''EXTRA=\"-DRUN=r->error=35;return(2)\"; ";
    std::fs::write(&registry, text.replace("build = '''", fault)).unwrap();
    let (out, results) = run(&sandbox, &["b200:kernels"]);
    out.exits(3)
        .prints("kernels: invalid scatter: CUDA error 35 (cudaErrorInsufficientDriver: ");
    assert_eq!(
        results["results"]["b200:kernels"]["reason"], "driver",
        "{results}"
    );

    // The driver is older than the toolkit of the library.
    let sandbox = checkout("sm_100a_zstd", BUILD);
    let (out, results) = run_on(&sandbox, &["-DVERSION=12090"], &["b200:train"]);
    out.exits(3)
        .prints("kernels: invalid rdep_driver: it was built with CUDA 13.0; the driver is for CUDA 12.9");
    assert_eq!(results["results"]["b200:train"]["reason"], "driver", "{results}");
}

/// A report accepts only targets of the registry, so `run` refuses the others before it measures.
#[test]
fn product_without_target_is_refused_before_run() {
    let gb200 = ["-DNAME=\"NVIDIA GB200\""];
    let sandbox = checkout("sm_100a_zstd", BUILD);
    let (out, results) = run_on(&sandbox, &gb200, &["b200:train"]);
    out.exits(3).reports("declare this one as `[target.gb200]`");
    assert_eq!(
        results["results"]["b200:train"]["reason"], "off_target",
        "{results}"
    );
    assert!(!sandbox.repo().join("ran").exists());

    let registry = sandbox.repo().join("configs/gates/gates.toml");
    let text = std::fs::read_to_string(&registry).unwrap();
    std::fs::write(&registry, format!("{text}[target.gb200]\narch = \"sm_100a\"\n")).unwrap();
    let (out, results) = run_on(&sandbox, &gb200, &["b200:train"]);
    out.exits(0).prints("kernels: pass rdep_inspect: sm_100a");
    assert_eq!(results["evidence"]["target"], "gb200x8");
}

#[test]
fn library_failure_kind_is_reported() {
    for (what, row, reason) in [
        ("-DBORN=abort()", "libnmoe_kernels_load", "kernel_crashed"),
        ("-DBORN=_exit(0)", "libnmoe_kernels_load", "kernel_exited"),
        ("-DRUN=abort()", "scatter", "kernel_crashed"),
        ("-Dnmoe_abi_version=other", "libnmoe_kernels_load", "kernel_abi"),
        ("-DBORN=nowhere()", "libnmoe_kernels_load", "kernel_unloadable"),
    ] {
        let sandbox = with_package("$NMOE_RUN_NONCE");
        let registry = sandbox.repo().join("configs/gates/gates.toml");
        let text = std::fs::read_to_string(&registry).unwrap();
        std::fs::write(
            &registry,
            text.replace("build = '''", &format!("build = '''EXTRA=\"{what}\"; ")),
        )
        .unwrap();
        let (out, results) = run(&sandbox, &["b200:kernels"]);
        out.exits(1)
            .prints("kernels: pass libnmoe_kernels_inspect: sm_100a");
        let gate = &results["results"]["b200:kernels"];
        assert_eq!(gate["reason"], "kernel_failed", "{what}: {gate}");
        let found = gate["kernel_checks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|check| check["name"] == row)
            .unwrap_or_else(|| panic!("{what}: {gate}"));
        assert_eq!(found["reason"], reason, "{what}: {gate}");
    }
}

/// Adds these lines to the target of the registry.
fn with_target(sandbox: &Sandbox, lines: &str) {
    let registry = sandbox.repo().join("configs/gates/gates.toml");
    let text = std::fs::read_to_string(&registry).unwrap();
    let text = text.replacen("[gates.", &format!("{lines}\n[gates."), 1);
    std::fs::write(&registry, text).unwrap();
}

#[test]
fn kernel_exceeding_its_pin_fails_gate() {
    for (registers, code, reason) in [
        (8, 0, Value::Null),
        (9, 0, Value::Null),
        (7, 1, "kernel_pin".into()),
    ] {
        let sandbox = checkout("sm_100a_zstd", BUILD);
        with_target(
            &sandbox,
            &format!("[target.b200.pins.scale]\nregisters = {registers}"),
        );
        let (out, results) = run(&sandbox, &["b200:train"]);
        out.exits(code).prints("pins: ");
        let gate = &results["results"]["b200:train"];
        assert_eq!(gate["reason"], reason, "{results}");
        let deltas: Vec<&Value> = gate["kernel_checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|check| check.get("deltas"))
            .collect();
        if registers == 8 {
            assert!(deltas.is_empty(), "{gate}");
            continue;
        }
        let delta =
            serde_json::json!([{"kernel": "scale", "number": "registers", "pinned": registers, "used": 8}]);
        assert_eq!(deltas, [&delta]);
        let path = sandbox.path("results.json");
        sandbox
            .gates(["report", path.to_str().unwrap(), "--format", "summary"])
            .run()
            .exits(0)
            .prints(&format!("`scale` registers {registers} → 8"));
        assert_eq!(sandbox.repo().join("ran").exists(), code == 0);
    }
}

#[test]
fn preloaded_library_comes_from_registry_only() {
    let sandbox = checkout("sm_100a_zstd", BUILD);
    crate::kernel_check::library(&sandbox, "patched.so", None);
    let path = sandbox.repo().join("patched.so");
    let digest = crate::support::digest::sha256(std::fs::read(&path).unwrap());
    let registry = sandbox.repo().join("configs/gates/gates.toml");
    let text = std::fs::read_to_string(&registry).unwrap();
    let text = text.replace("touch ran;", "echo preload: ${LD_PRELOAD-none}; touch ran;");
    std::fs::write(&registry, text).unwrap();
    let (out, _) = run(&sandbox, &["b200:train"]);
    out.exits(0).prints("preload: none");
    let lines = |digest: &str| {
        format!(
            "[[target.b200.preload]]\npath = \"{}\"\nsha256 = \"{digest}\"",
            path.display()
        )
    };
    let text = std::fs::read_to_string(&registry).unwrap();
    with_target(&sandbox, &lines(&digest));
    let (out, _) = run(&sandbox, &["b200:train"]);
    out.exits(0).prints(&format!("preload: {}", path.display()));
    std::fs::write(&registry, text).unwrap();
    with_target(&sandbox, &lines(&"0".repeat(64)));
    let (out, results) = run(&sandbox, &["b200:train"]);
    out.exits(3).prints("has SHA-256");
    assert_eq!(results["results"]["b200:train"]["reason"], "prerequisite");
}

/// The build or the gate itself replaces the library that the registry preloads, after it was checked.
#[test]
fn t17_preloaded_library_swapped_after_check() {
    for (what, by_build) in [("by the build", true), ("by the gate", false)] {
        let sandbox = checkout("sm_100a_zstd", BUILD);
        crate::kernel_check::library(&sandbox, "patched.so", None);
        let path = sandbox.repo().join("patched.so");
        let digest = crate::support::digest::sha256(std::fs::read(&path).unwrap());
        sandbox.file(
            "evil.c",
            "#include <fcntl.h>\n__attribute__((constructor)) static void f(void) { creat(\"preloaded\", 0600); }\n",
        );
        let swap = "cc -shared -fPIC -o evil.so evil.c; mv evil.so patched.so";
        let registry = sandbox.repo().join("configs/gates/gates.toml");
        let text = std::fs::read_to_string(&registry).unwrap();
        let text = if by_build {
            text.replace(BUILD, &format!("{BUILD}; {swap}"))
        } else {
            text.replace("touch ran;", &format!("{swap}; env true;"))
        };
        std::fs::write(&registry, text).unwrap();
        let lines = format!(
            "[[target.b200.preload]]\npath = \"{}\"\nsha256 = \"{digest}\"",
            path.display()
        );
        with_target(&sandbox, &lines);
        let (out, results) = run(&sandbox, &["b200:train"]);
        out.exits(3).prints("preload: ").prints("has SHA-256");
        let gate = &results["results"]["b200:train"];
        assert_eq!(
            (&gate["status"], &gate["reason"]),
            (&"invalid".into(), &"prerequisite".into())
        );
        let loaded = sandbox.repo().join("preloaded");
        let ours = gate["status"] == "pass" || by_build && loaded.exists();
        let _ = std::fs::remove_file(&loaded);
        let naive = std::process::Command::new("bash")
            .args(["-c", "env true"])
            .env("LD_PRELOAD", &path)
            .current_dir(sandbox.repo())
            .status();
        assert!(naive.unwrap().success());
        crate::attack::attack(what, loaded.exists(), ours);
    }
}

/// A gate leaves a cubin in the cache of Triton, and one inside a file of CuTe DSL.
#[test]
fn kernels_compiled_at_run_time_are_inspected() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kernel/sm_100a_plain.fatbin");
    // Behind the headers of the container and of its entry.
    let cubin = std::fs::read(fixture).unwrap()[16 + 112..].to_vec();
    let mut other = cubin.clone();
    // The SM number in the flags of the ELF header.
    other[0x31] = 90;
    for (name, triton, code, reason) in [
        ("for the target", &cubin, 0, Value::Null),
        ("for another", &other, 3, "kernel_off_target".into()),
    ] {
        let sandbox = checkout("sm_100a_zstd", BUILD);
        sandbox
            .file("triton.cubin", triton)
            .file("cute.mlir", [b"a file of CuTe DSL", &cubin[..]].concat());
        let registry = sandbox.repo().join("configs/gates/gates.toml");
        let text = std::fs::read_to_string(&registry).unwrap();
        let command = "mkdir $TRITON_CACHE_DIR/a; cp triton.cubin $TRITON_CACHE_DIR/a; cp cute.mlir $CUTE_DSL_CACHE_DIR; echo $CUTE_DSL_KEEP_CUBIN $TRITON_CACHE_DIR > caches";
        std::fs::write(
            &registry,
            text.replace("touch ran; echo 'node_tps: 12,345'", command),
        )
        .unwrap();
        let (out, results) = run(&sandbox, &["b200:train"]);
        out.exits(code)
            .prints("jit_inspect: 1 files with machine code in the cache of triton");
        let gate = &results["results"]["b200:train"];
        assert_eq!(gate["reason"], reason, "{name}: {gate}");
        let jit = &results["evidence"]["jit"];
        let digest = crate::support::digest::sha256(triton);
        assert_eq!(jit["triton"], serde_json::json!([digest]), "{name}: {jit}");
        assert_eq!(jit["cute_dsl"].as_array().unwrap().len(), 1, "{name}: {jit}");
        let caches = std::fs::read_to_string(sandbox.repo().join("caches")).unwrap();
        let folder = caches.trim().strip_prefix("1 ").unwrap();
        assert!(!Path::new(folder).exists(), "{folder} is left");
    }
}

/// A library of the repository itself, without a stamp. Its check writes which GPU it sees.
#[test]
fn unstamped_check_library_runs_on_every_gpu() {
    let sandbox = checkout(
        "sm_100a_zstd",
        "cc -shared -fPIC -w -o nmoe/csrc/rdep_checks.so checks.c",
    );
    sandbox.file(
        "checks.c",
        format!(
            "#include <stdint.h>\n#include <stdio.h>\n#include <stdlib.h>\n{WRAPPER}\
             typedef struct {{ uint32_t size; int32_t outcome; uint64_t cases, mismatches, index, expected, got; int32_t error, reserved; }} report;\n\
             uint32_t nmoe_abi_version(void) {{ return 1; }}\n\
             uint32_t nmoe_check_count(void) {{ return 1; }}\n\
             const char *nmoe_check_name(uint32_t i) {{ return \"quant_fp8\"; }}\n\
             int32_t nmoe_check_run(uint32_t i, report *r) {{ const char *gpu = getenv(\"CUDA_VISIBLE_DEVICES\"); FILE *f = fopen(\"gpus.log\", \"a\"); fprintf(f, \"%s\\n\", gpu); fclose(f); r->cases = 1; return 0; }}\n"
        ),
    );
    with_target(
        &sandbox,
        "[[target.b200.checks]]\nlibrary = \"nmoe/csrc/rdep_checks.so\"\nfresh = \"build\"",
    );
    let (out, results) = run(&sandbox, &["b200:kernels"]);
    out.exits(0)
        .prints("kernels: pass quant_fp8: 1 cases, all equal, on each of 8 GPUs");
    assert_eq!(results["overall"], "pass", "{results}");
    let gpus = std::fs::read_to_string(sandbox.repo().join("gpus.log")).unwrap();
    let gpus: Vec<_> = gpus.lines().collect();
    assert_eq!(gpus.len(), 8, "{gpus:?}");
    assert_eq!(gpus[7], "GPU-00000000-0000-0000-0000-000000000007");

    // Without a rule, a library without a stamp is never loaded; with the default rule, it needs one.
    let registry = sandbox.repo().join("configs/gates/gates.toml");
    let text = std::fs::read_to_string(&registry).unwrap();
    std::fs::write(&registry, text.replace("fresh = \"build\"", "")).unwrap();
    let (out, results) = run(&sandbox, &["b200:kernels"]);
    out.exits(3)
        .prints("the registry requires a stamp, and it has none");
    assert_eq!(results["results"]["b200:kernels"]["reason"], "kernel_stale");
}
