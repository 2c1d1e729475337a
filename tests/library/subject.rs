//! Tests which old outputs and objects of a kernel build `kernel::verify` deletes.

use nmoe_gates::kernel::verify::{SubjectError, clear};

use crate::driver::Sandbox;

#[test]
fn untracked_old_outputs_are_deleted() {
    let sandbox = Sandbox::new();
    let globs = ["nmoe/csrc/**/*.so".to_owned().try_into().unwrap()];
    sandbox
        .file("nmoe/csrc/rdep.cu", "// a source\n")
        .file("nmoe/csrc/tracked.o", "an input of the build")
        .file("keep.so", "elsewhere");
    sandbox.git(["init", "-q"]);
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "-qm", "x"]);
    sandbox
        .file("nmoe/csrc/old.so", "old")
        .file("nmoe/csrc/deeper/other.so", "old")
        .file("nmoe/csrc/rdep.o", "old")
        .file("rdep.o", "elsewhere");
    std::os::unix::fs::symlink(
        sandbox.repo().join("keep.so"),
        sandbox.repo().join("nmoe/csrc/link.so"),
    )
    .unwrap();
    let cleared = clear(&sandbox.repo(), &globs).unwrap();
    assert_eq!((cleared.libraries.len(), cleared.objects.len()), (3, 1));
    for (path, there) in [
        ("old.so", false),
        ("link.so", false),
        ("rdep.cu", true),
        ("deeper/other.so", false),
        ("rdep.o", false),
        ("tracked.o", true),
    ] {
        let path = sandbox.repo().join("nmoe/csrc").join(path);
        assert_eq!(path.symlink_metadata().is_ok(), there, "{}", path.display());
    }
    assert!(sandbox.repo().join("keep.so").exists() && sandbox.repo().join("rdep.o").exists());
    sandbox.file("nmoe/csrc/committed.so", "a binary that somebody committed");
    sandbox.git(["add", "-f", "nmoe/csrc/committed.so"]);
    sandbox.git(["commit", "-qm", "y"]);
    assert!(matches!(
        clear(&sandbox.repo(), &globs),
        Err(SubjectError::Tracked(_))
    ));
}
