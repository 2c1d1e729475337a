//! The binary itself: one static file that needs nothing of the host.

use std::process::Command;

use object::LittleEndian;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::driver::Place;

const BINARY: &str = env!("CARGO_BIN_EXE_nmoe-gates");

#[test]
fn the_binary_has_no_interpreter_and_needs_no_library() {
    let bytes = std::fs::read(BINARY).unwrap();
    let header = FileHeader64::<LittleEndian>::parse(&*bytes).unwrap();
    let segments = header.program_headers(LittleEndian, &*bytes).unwrap();
    assert!(!segments.iter().any(|s| s.p_type(LittleEndian) == PT_INTERP));
    let elf = object::read::elf::ElfFile64::<LittleEndian>::parse(&*bytes).unwrap();
    let needed: Vec<_> = object::Object::import_libraries(&elf)
        .unwrap()
        .map(|l| l.unwrap().name().to_vec())
        .collect();
    assert!(needed.is_empty(), "{needed:?}");
}

#[test]
fn it_runs_in_an_otherwise_empty_root() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may change the root directory");
        return;
    }
    let place = Place::new();
    let root = place.path("empty");
    std::fs::create_dir(&root).unwrap();
    std::fs::copy(BINARY, root.join("nmoe-gates")).unwrap();
    let out = Command::new("chroot")
        .arg(&root)
        .args(["/nmoe-gates", "explain", "exit-codes"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(String::from_utf8(out.stdout).unwrap().lines().count(), 6);
}
