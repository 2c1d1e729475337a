//! `kernel::subject`: which old outputs of a kernel build are deleted.

use nmoe_gates::kernel::subject::{SubjectError, clear};

use crate::driver::Place;

#[test]
fn old_outputs_are_deleted_links_and_all_and_tracked_ones_are_not() {
    let place = Place::new();
    let globs = ["nmoe/csrc/*.so".to_owned()];
    place
        .file("nmoe/csrc/rdep.cu", "// a source\n")
        .file("keep.so", "elsewhere");
    place.git(["init", "-q"]);
    place.git(["add", "."]);
    place.git(["commit", "-qm", "x"]);
    place
        .file("nmoe/csrc/old.so", "old")
        .file("nmoe/csrc/deeper/other.so", "not named by the glob");
    std::os::unix::fs::symlink(
        place.repo().join("keep.so"),
        place.repo().join("nmoe/csrc/link.so"),
    )
    .unwrap();
    assert_eq!(clear(&place.repo(), &globs).unwrap().len(), 2);
    for (path, there) in [
        ("old.so", false),
        ("link.so", false),
        ("rdep.cu", true),
        ("deeper/other.so", true),
    ] {
        let path = place.repo().join("nmoe/csrc").join(path);
        assert_eq!(path.symlink_metadata().is_ok(), there, "{}", path.display());
    }
    assert!(place.repo().join("keep.so").exists());
    place.file("nmoe/csrc/committed.so", "a binary that somebody committed");
    place.git(["add", "-f", "nmoe/csrc/committed.so"]);
    place.git(["commit", "-qm", "y"]);
    assert!(matches!(
        clear(&place.repo(), &globs),
        Err(SubjectError::Tracked(_))
    ));
}
