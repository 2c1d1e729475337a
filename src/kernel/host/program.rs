//! The host's program: carried inside this one, started from memory, or from a temporary file where that is not allowed.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command};

use crate::kernel::snapshot::sealed;

/// The program, as `build.rs` made and packed it.
const PACKED: &[u8] = include_bytes!(env!("KERNEL_HOST_PACKED"));

/// How large the program is, in bytes: its length stands before it.
pub const SIZE: usize = {
    let length = [PACKED[0], PACKED[1], PACKED[2], PACKED[3]];
    u32::from_le_bytes(length) as usize
};

/// Starts the program; `prepare` gives the command its streams.
pub fn start(prepare: impl Fn(&mut Command) -> io::Result<()>) -> io::Result<Child> {
    let spawn = |path: &Path| {
        let mut command = Command::new(path);
        prepare(&mut command)?;
        command.spawn()
    };
    let program = lz4_flex::decompress_size_prepended(PACKED).map_err(io::Error::other)?;
    // `vm.memfd_noexec` may forbid it, and /proc may be missing.
    let from_memory = sealed(&program, true).and_then(|program| {
        // Closed on exec, which is after the kernel has opened it.
        spawn(Path::new(&format!("/proc/self/fd/{}", program.as_raw_fd())))
    });
    from_memory.or_else(|_| {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("kernel-host");
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o700)
            .open(&path)?;
        file.write_all(&program)?;
        drop(file);
        spawn(&path)
    })
}
