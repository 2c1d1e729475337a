//! Resolves the symbolic links of a path, except for links inside of a folder whose content is not trusted.
//!
//! Must not open files.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::system::files;

/// How many links a path may have, as in the kernel.
const MOST: usize = 40;

/// Returns the path without links and `..`. Links below `folder`, which has none itself, are not followed, so that its content
/// cannot lead out of it.
///
/// # Errors
/// The links form a circle.
pub fn resolve_outside(folder: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut at = PathBuf::new();
    let mut left: VecDeque<OsString> = parts(&files::absolute(path)).collect();
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        // An absolute path replaces the path before it.
        at.push(part);
        if at.starts_with(folder) {
            continue;
        }
        if let Ok(target) = at.read_link() {
            links += 1;
            if links > MOST {
                return Err(io::Error::from(rustix::io::Errno::LOOP));
            }
            at.pop();
            left = parts(&target).chain(left).collect();
        }
    }
    Ok(at)
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components()
        .filter(|component| *component != Component::CurDir)
        .map(|component| component.as_os_str().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_links_outside_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let folder = dir.join("in");
        std::fs::create_dir(&folder).unwrap();
        for (link, target) in [
            ("alias", "in"),
            ("in/out", "../secret"),
            ("to-file", "alias/out"),
            ("circle", "circle"),
        ] {
            symlink(target, dir.join(link)).unwrap();
        }
        symlink(dir.join("in/out"), dir.join("absolute")).unwrap();
        for (path, expected) in [
            ("in/out", "in/out"),
            ("alias/out", "in/out"),
            ("to-file", "in/out"),
            ("absolute", "in/out"),
            ("in/out/../x", "in/x"),
            ("in/./a/../../other/b", "other/b"),
            ("alias/../alias/none", "in/none"),
        ] {
            let resolved = resolve_outside(&folder, &dir.join(path)).unwrap();
            assert_eq!(resolved, dir.join(expected), "{path}");
        }
        assert!(resolve_outside(&folder, &dir.join("circle")).is_err());
    }
}
