//! Tests the kernel package: its host build passes the self-checks, and its stamp changes with its sources.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use crate::driver::Sandbox;
use crate::support::digest::sha256;
use crate::support::program::program;

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("nmoe-csrc")
}

#[test]
fn host_build_passes_all_self_checks() {
    let Some(library) = nmoe_csrc::host_library() else {
        eprintln!("skipped: there is no C++ compiler");
        return;
    };
    let sandbox = Sandbox::new();
    let out = sandbox
        .gates([
            "kernels",
            "check",
            "--cpu",
            "--format",
            "json",
            library.to_str().unwrap(),
        ])
        .run()
        .exits(0);
    let seen = out.json();
    let checks = seen["libraries"][0]["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 23, "{seen}");
    assert!(checks.iter().all(|c| c["status"] == "pass"), "{seen}");
}

#[test]
fn other_target_fails_compilation_with_required_target() {
    // Runs the preprocessor as nvcc does for the device, without CUDA headers.
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("cuda_runtime.h"), "").unwrap();
    let preprocess = |defines: &[&str]| {
        Command::new("c++")
            .args(["-E", "-x", "c++", "-std=c++17", "-D__CUDACC__"])
            .args(defines)
            .arg("-I")
            .arg(sandbox.path(""))
            .arg("-I")
            .arg(package().join("include"))
            .arg(package().join("src/platform.h"))
            .output()
    };
    let Ok(wrong) = preprocess(&["-D__CUDA_ARCH__=900"]) else {
        eprintln!("skipped: there is no C++ compiler");
        return;
    };
    let says = "these kernels are for sm_100a alone: compile with -gencode arch=compute_100a,code=sm_100a";
    let stderr = String::from_utf8_lossy(&wrong.stderr);
    assert!(!wrong.status.success() && stderr.contains(says), "{stderr}");
    let right = preprocess(&["-D__CUDA_ARCH__=1000", "-D__CUDA_ARCH_FEAT_SM100_ALL"]).unwrap();
    assert!(
        right.status.success(),
        "{}",
        String::from_utf8_lossy(&right.stderr)
    );
}

/// Runs a verification script with the pinned CUDA tools, which the script installs first.
fn prove(script: &str, arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let out = Command::new(root.join("scripts/dev/install-nvcc"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    });
    let (cuda, python) = (root.join(".tools/cuda"), root.join(".tools/cuda-venv/bin"));
    let path = std::env::var("PATH").unwrap();
    let out = Command::new(root.join("scripts").join(script))
        .args(arguments)
        .env(
            "PATH",
            format!("{}:{}:{path}", python.display(), cuda.join("bin").display()),
        )
        .env("CUDA_HOME", cuda)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        out.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&out.stderr)
    );
    said
}

#[test]
#[ignore = "minutes: scripts/test --all"]
fn slow_conversions_agree_with_two_oracles() {
    let library = nmoe_csrc::host_library().expect("a C++ compiler");
    let said = prove("verify/kernels", &[library.to_str().unwrap()]);
    eprintln!("{said}");
    assert_eq!(said.matches("4,294,967,296 cases          0 differ").count(), 6);
    assert_eq!(said.matches("1,048,576 cases          0 differ").count(), 3);
}

#[test]
#[ignore = "minutes: scripts/test --all"]
fn slow_inspection_agrees_with_cuobjdump() {
    let said = prove("verify/inspection", &[program().to_str().unwrap()]);
    eprintln!("{said}");
    let files: u32 = said
        .lines()
        .find_map(|line| line.split_once(" files: ")?.0.parse().ok())
        .unwrap();
    assert!(files >= 40);
}

#[test]
#[ignore = "minutes: scripts/test --all"]
fn slow_device_build_uses_hardware_conversions() {
    let said = prove("verify/device-build", &[program().to_str().unwrap()]);
    eprintln!("{said}");
}

/// The files of a sample package, in the order of a stamp's listing.
pub const SOURCES: [&str; 4] = ["Cargo.toml", "build.rs", "include/a.h", "src/a.h"];

/// Returns the digest that a stamp of a sample package contains: over a listing as `sha256sum` prints it, flags and compiler.
pub fn sources_digest(package: &Path) -> String {
    let line = |file: &str| format!("{}  {file}\n", sha256(std::fs::read(package.join(file)).unwrap()));
    sha256(SOURCES.map(line).concat() + "flags -O3\ncompiler nvcc 13.0.88\n")
}

/// Builds a library with a stamp, device code and the ABI, as a build for the target would write it, but runnable here.
fn stamped(sandbox: &Sandbox, package: &Path, nonce: &str) {
    let sources = sources_digest(package);
    let stamp = format!(
        r#"{{"schema":1,"abi":1,"arch":"sm_100a","sources":"{sources}","flags":"-O3","compiler":"nvcc 13.0.88","commit":null,"dirty":false,"nonce":"{nonce}","kernels":["add","scale"]}}"#
    );
    let bytes: Vec<String> = stamp.bytes().map(|b| b.to_string()).collect();
    let container = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kernel/sm_100a_zstd.fatbin");
    let source = format!(
        "#include <stdint.h>\n\
         __asm__(\".section .nv_fatbin,\\\"a\\\"\\n.balign 8\\n.incbin \\\"{}\\\"\\n.previous\\n\");\n\
         __attribute__((section(\".note.nmoe\"), used, aligned(4))) static const struct {{ uint32_t n, d, t; char name[8]; char text[{}]; }} note = {{5, {}, 1, \"NMOE\", {{{}}}}};\n\
         typedef struct {{ uint32_t size; int32_t outcome; uint64_t cases, mismatches, index, expected, got; int32_t error, reserved; }} report;\n\
         uint32_t nmoe_abi_version(void) {{ return 1; }}\n\
         const char *nmoe_stamp(void) {{ return \"{{}}\"; }}\n\
         uint32_t nmoe_check_count(void) {{ return 2; }}\n\
         const char *nmoe_check_name(uint32_t i) {{ return i ? \"gather\" : \"scatter\"; }}\n\
         int32_t nmoe_check_run(uint32_t i, report *r) {{ (void)i; r->cases = 8; return 0; }}\n",
        container.display(),
        bytes.len(),
        bytes.len(),
        bytes.join(",")
    );
    let path = sandbox.path("stamped.c");
    std::fs::write(&path, source).unwrap();
    let output = sandbox.repo().join("nmoe-csrc/build/libnmoe_kernels.so");
    std::fs::create_dir_all(output.parent().unwrap()).unwrap();
    assert!(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-w", "-o"])
            .arg(&output)
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn stale_library_is_not_loaded() {
    let sandbox = Sandbox::new();
    let driver = crate::kernel_driver::b200(&sandbox);
    let package = sandbox.repo().join("nmoe-csrc");
    for folder in ["include", "src"] {
        std::fs::create_dir_all(package.join(folder)).unwrap();
        std::fs::write(package.join(folder).join("a.h"), "/* a source */\n").unwrap();
    }
    for file in ["build.rs", "Cargo.toml"] {
        std::fs::write(package.join(file), "").unwrap();
    }
    sandbox.file(
        "configs/gates/gates.toml",
        "[target.b200]\nkernels = [\"nmoe-csrc/build/*.so\"]\n",
    );
    stamped(&sandbox, &package, "n1");
    let check = |code: i32| {
        sandbox
            .gates(["kernels", "check", "--format", "json"])
            .env("LD_LIBRARY_PATH", &driver)
            .run()
            .exits(code)
            .json()
    };
    let seen = check(0);
    assert_eq!(seen["verdict"], "pass");
    let rows: Vec<_> = seen["libraries"][0]["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        rows,
        [
            "libnmoe_kernels_inspect",
            "libnmoe_kernels_fresh",
            "libnmoe_kernels_load",
            "scatter",
            "gather"
        ]
    );
    // A source changes after the build, so the library is stale and is not loaded.
    std::fs::write(package.join("src/a.h"), "/* another */\n").unwrap();
    let seen = check(3);
    assert_eq!(seen["reason"], "kernel_stale");
    assert_eq!(seen["libraries"][0]["loaded"], false);
}
