//! Finds the repository that a command works on if `--repo` is not given. Not a subcommand.
//!
//! Must not start git: every command pays for this search.

use std::path::{Path, PathBuf};

use crate::domain::paths;

/// Returns the nearest folder, from the current one upwards, that has a registry or is the top of a git checkout. Without such
/// a folder, and inside git's own folder, this is the current one: a folder of git can belong to another checkout than the one above. The path is relative, so that findings name files as the user would.
pub fn find() -> PathBuf {
    std::env::current_dir().map_or_else(|_| PathBuf::from("."), |here| above(&here))
}

fn above(here: &Path) -> PathBuf {
    let is_root = |dir: &Path| dir.join(paths::REGISTRY).is_file() || is_checkout(dir);
    let outside_of_git = here.ancestors().take_while(|dir| !is_git_folder(dir));
    match outside_of_git.map(is_root).position(|is_root| is_root) {
        None | Some(0) => PathBuf::from("."),
        Some(steps) => std::iter::repeat_n("..", steps).collect(),
    }
}

/// Whether a folder is git's own: of a repository, a bare one, a submodule or a linked worktree.
fn is_git_folder(dir: &Path) -> bool {
    dir.join("HEAD").is_file() && (dir.join("objects").is_dir() || dir.join("commondir").is_file())
}

/// Whether git treats a folder as the top of a checkout. A linked worktree and a submodule have a file instead of a folder.
fn is_checkout(dir: &Path) -> bool {
    let git = dir.join(".git");
    git.is_file() || git.join("HEAD").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_root_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let make = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        make("plain/deep/x", "");
        make("top/.git/HEAD", "ref: refs/heads/main\n");
        make("top/.git/objects/x", "");
        make("top/.git/hooks/x", "");
        make("top/.git/modules/sub/HEAD", "");
        make("top/.git/modules/sub/objects/x", "");
        make("top/.git/worktrees/linked/HEAD", "");
        make("top/.git/worktrees/linked/commondir", "../..\n");
        make("top/pkg/sub/x", "");
        make("top/linked/.git", "gitdir: ../.git/worktrees/linked\n");
        make("top/linked/pkg/x", "");
        make("top/own/configs/gates/gates.toml", "");
        make("top/own/pkg/x", "");
        for (here, root) in [
            ("plain/deep", "."),
            ("top", "."),
            ("top/pkg/sub", "../.."),
            ("top/.git", "."),
            ("top/.git/hooks", "."),
            ("top/.git/modules/sub", "."),
            ("top/.git/worktrees/linked", "."),
            ("top/linked/pkg", ".."),
            ("top/own/pkg", ".."),
            ("top/own", "."),
        ] {
            assert_eq!(above(&folder.path().join(here)), Path::new(root), "{here}");
        }
    }
}
