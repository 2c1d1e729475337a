//! Tests `kernel::stamp` with the libraries that the kernel package builds.

use std::path::{Path, PathBuf};

use cuda_inspect::arch::Arch;
use cuda_inspect::inspect::inspect;
use nmoe_gates::kernel::stamp::{Expected, Stale, Stamp, digest};

use crate::driver::Sandbox;

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("nmoe-csrc")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn stamp_changes_with_sources() {
    let Some(library) = nmoe_csrc::host_library() else {
        eprintln!("skipped: there is no C++ compiler");
        return;
    };
    let stamp = Stamp::read(&std::fs::read(library).unwrap()).unwrap().unwrap();
    assert_eq!((stamp.schema, stamp.abi, stamp.arch.as_str()), (1, 1, "host"));
    assert_eq!(
        digest(&package(), &sources(), &stamp.flags, &stamp.compiler).unwrap(),
        stamp.sources
    );
    let sandbox = Sandbox::new();
    let elsewhere = sandbox.path("elsewhere");
    copy(&package(), &elsewhere);
    assert_eq!(
        digest(&elsewhere, &sources(), &stamp.flags, &stamp.compiler).unwrap(),
        stamp.sources
    );
    let header = elsewhere.join("src/elements.h");
    let text = std::fs::read_to_string(&header)
        .unwrap()
        .replace("448.0f", "447.0f");
    std::fs::write(&header, text).unwrap();
    assert_ne!(
        digest(&elsewhere, &sources(), &stamp.flags, &stamp.compiler).unwrap(),
        stamp.sources
    );
    assert_ne!(
        digest(&package(), &sources(), "-O0", &stamp.compiler).unwrap(),
        stamp.sources
    );
}

#[test]
fn device_build_is_sm_100a_and_fresh() {
    let Some(library) = nmoe_csrc::device_library() else {
        eprintln!("skipped: the kernels were built without nvcc");
        return;
    };
    let bytes = std::fs::read(library).unwrap();
    let stamp = Stamp::read(&bytes).unwrap().unwrap();
    assert!(!stamp.kernels.is_empty());
    let seen = inspect(&bytes, Arch::SM_100A, &stamp.kernels);
    assert!(seen.is_clean(), "{}", seen.verdict());
    let package = package();
    let expected = Expected {
        arch: Arch::SM_100A,
        package: &package,
        sources: &sources(),
        nonce: Some("another run's"),
    };
    assert!(matches!(stamp.verify(&expected), Err(Stale::Nonce)));
}

/// The sources that the stamp of nmoe-csrc covers.
fn sources() -> Vec<String> {
    ["build.rs", "Cargo.toml", "include", "src"]
        .map(str::to_owned)
        .into()
}
