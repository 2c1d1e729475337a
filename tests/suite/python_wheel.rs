//! Tests the Python wheel: it holds the program unchanged, installs without Rust and network, and refuses other programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::driver::Sandbox;
use crate::support::digest::sha256;
use crate::support::program::program;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Puts a file into the sandbox as a built release, next to the file with this digest.
fn built(sandbox: &Sandbox, file: &Path, digest: &str) -> PathBuf {
    let name = format!("nmoe-gates-{}-unknown-linux-gnu", std::env::consts::ARCH);
    let to = sandbox.path(&name);
    std::fs::copy(file, &to).unwrap();
    std::fs::write(
        sandbox.path(&format!("{name}.sha256")),
        format!("{digest}  {name}\n"),
    )
    .unwrap();
    to
}

fn pack(program: &Path, out: &Path) -> Output {
    Command::new(Path::new(ROOT).join("scripts/release/build-wheel"))
        .args([program, out])
        .output()
        .unwrap()
}

/// Returns the path that the script printed.
#[track_caller]
fn packed(output: &Output) -> PathBuf {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    PathBuf::from(said.trim())
}

#[test]
fn slow_wheel_installs_without_rust_or_network() {
    // The tools of the wheel come from the same network.
    if crate::act::act().is_none() {
        return;
    }
    let sandbox = Sandbox::new();
    let bytes = std::fs::read(program()).unwrap();
    let from = built(&sandbox, program(), &sha256(&bytes));
    let wheel = packed(&pack(&from, &sandbox.path("one")));
    let again = packed(&pack(&from, &sandbox.path("two")));
    assert_eq!(std::fs::read(&wheel).unwrap(), std::fs::read(again).unwrap());
    let name = wheel.file_name().unwrap().to_str().unwrap();
    for part in [
        &format!("nmoe_gates-{VERSION}-py3-none-"),
        "manylinux_2_17_",
        "musllinux_1_1_",
    ] {
        assert!(name.contains(part), "{name}");
    }

    let venv = sandbox.path("venv");
    let python = |words: &[&str]| {
        let mut command = Command::new("python3");
        let ended = command
            .args(words)
            .current_dir(sandbox.path(""))
            .output()
            .unwrap();
        assert!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
        String::from_utf8(ended.stdout).unwrap()
    };
    python(&["-m", "venv", "venv"]);
    let pip = [
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        venv.to_str().unwrap(),
    ];
    python(
        &[
            &pip[..],
            &["install", "--quiet", "--no-index", wheel.to_str().unwrap()],
        ]
        .concat(),
    );
    let installed = venv.join("bin/nmoe-gates");
    assert_eq!(std::fs::read(&installed).unwrap(), bytes);
    let version = Command::new(&installed)
        .arg("--version")
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&version.stdout),
        format!("nmoe-gates {VERSION}\n")
    );

    // The description is shown outside the repository, so no link and no image in it is relative.
    let metadata = std::fs::read_dir(venv.join("lib"))
        .unwrap()
        .map(|python| python.unwrap().path().join("site-packages"))
        .map(|packages| packages.join(format!("nmoe_gates-{VERSION}.dist-info/METADATA")))
        .find_map(|path| std::fs::read_to_string(path).ok())
        .unwrap();
    assert!(
        metadata.contains("\nLicense-Expression: Apache-2.0\n"),
        "{metadata}"
    );
    let relative = regex::Regex::new(r#"\]\([^):]*\)|(src|srcset)="[^":]*""#).unwrap();
    assert_eq!(relative.find(&metadata).map(|found| found.as_str()), None);
    assert!(
        metadata.contains("/blob/v") && metadata.contains("raw.githubusercontent.com"),
        "{metadata}"
    );
}

#[test]
fn wheel_of_unproven_or_dynamic_program_is_refused() {
    let sandbox = Sandbox::new();
    let refused = |file: &Path, digest: &str, why: &str| {
        let from = built(&sandbox, file, digest);
        let output = pack(&from, &sandbox.path("out"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{said}");
        assert!(!sandbox.path("out").exists());
    };
    refused(program(), &"0".repeat(64), "does not have the digest");
    let dynamic = Path::new("/bin/ls").canonicalize().unwrap();
    refused(
        &dynamic,
        &sha256(std::fs::read(&dynamic).unwrap()),
        "is not static",
    );
    refused(
        &Path::new(ROOT).join("README.md"),
        &sha256(std::fs::read(Path::new(ROOT).join("README.md")).unwrap()),
        "is not a program",
    );
    let output = pack(Path::new("dist/nmoe-gates-riscv64"), &sandbox.path("out"));
    assert_eq!(output.status.code(), Some(2));
}
