//! Starts the kernel host, whose program is embedded in this one.
//!
//! Starts it from memory, or from a temporary file if that is not allowed. Must not depend on the protocol.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command};

use crate::kernel::snapshot::sealed;

/// The program, which `build.rs` built and compressed.
const PACKED: &[u8] = include_bytes!(env!("KERNEL_HOST_PACKED"));

/// Size of the uncompressed program in bytes; the compressed data starts with this number.
pub const SIZE: usize = {
    let length = [PACKED[0], PACKED[1], PACKED[2], PACKED[3]];
    u32::from_le_bytes(length) as usize
};

/// Starts the program. `prepare` sets the streams of the command.
pub fn start(prepare: impl Fn(&mut Command) -> io::Result<()>) -> io::Result<Child> {
    let spawn = |path: &Path| {
        let mut command = Command::new(path);
        prepare(&mut command)?;
        command.spawn()
    };
    let program = lz4_flex::decompress_size_prepended(PACKED).map_err(io::Error::other)?;
    // This fails if `vm.memfd_noexec` forbids it, or if /proc is missing.
    let from_memory = sealed(&program, true).and_then(|program| {
        // The descriptor is close-on-exec; the kernel opens the program before it closes the descriptor.
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
