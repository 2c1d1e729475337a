//! Names the program under test: `$NMOE_GATES_BIN`, or the debug build. No other test code may name it.
#![allow(dead_code, reason = "not every test binary uses each of these")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::digest::sha256;

/// The environment variable that names another program to test, such as the release file.
const VARIABLE: &str = "NMOE_GATES_BIN";

static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let named = std::env::var_os(VARIABLE)
        .filter(|name| !name.is_empty())
        .map(PathBuf::from);
    let path = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_nmoe-gates")));
    let path = path
        .canonicalize()
        .unwrap_or_else(|error| panic!("cannot test {}: {error}", path.display()));
    // libtest captures only what macros print, so this line is always shown. One write: other tests print at the same time.
    let line = format!("testing {}: {}\n", path.display(), identity(&path));
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    path
});

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bin-{}", std::process::id()));
    let link = folder.join("nmoe-gates");
    std::fs::create_dir_all(&folder).unwrap();
    // An earlier process with the same id may have left its link.
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(program(), link).unwrap();
    folder
});

/// Returns the absolute path of the program under test. The first call prints what that program is.
pub fn program() -> &'static Path {
    &PROGRAM
}

/// Returns a folder for `PATH` that holds the program under test as `nmoe-gates`.
pub fn folder() -> &'static Path {
    &FOLDER
}

/// Describes the program: version, target and digest.
fn identity(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let version = Command::new(path).arg("--version").env_clear().output().unwrap();
    format!(
        "{}, {}, SHA-256 {}",
        String::from_utf8_lossy(&version.stdout).trim(),
        target(&bytes),
        sha256(&bytes)
    )
}

/// Reads the target from the ELF header: the architecture, and whether the program is static.
fn target(bytes: &[u8]) -> String {
    use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
    use object::{LittleEndian, Object as _, elf};
    let file = ElfFile64::<LittleEndian>::parse(bytes).unwrap();
    let headers = file.elf_header().program_headers(LittleEndian, bytes).unwrap();
    let dynamic = headers.iter().any(|h| h.p_type(LittleEndian) == elf::PT_INTERP);
    let linkage = if dynamic { "dynamic" } else { "static" };
    format!("{:?} Linux, {linkage}", file.architecture()).to_lowercase()
}
