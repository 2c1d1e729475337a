//! Builds the kernel host, which must be dynamic, for embedding in `nmoe-gates`, which must be static.
//!
//! One build cannot do both, so this calls Cargo again for that one package, in a target folder of its own and with
//! the flags of the outer build taken away. It is embedded compressed. A release is linked without what it never uses.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    for input in ["kernel-host", "build.rs"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let out = PathBuf::from(var("OUT_DIR"));
    let target_dir = out.join("kernel-host");
    // A static main of any libc carries a helper of the host's own libc: only that can load the host's libraries.
    let target = var("TARGET").replace("-musl", "-gnu");
    let release = var("PROFILE") == "release";

    let mut cargo = Command::new(var("CARGO"));
    cargo.args([
        "build",
        "--quiet",
        "--package",
        "kernel-host",
        "--bin",
        "kernel-host",
        "--target",
        &target,
    ]);
    cargo
        .arg("--target-dir")
        .arg(&target_dir)
        .current_dir(var("CARGO_MANIFEST_DIR"));
    if release {
        cargo.arg("--release");
    }
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let ours = name.starts_with("CARGO") && !matches!(&*name, "CARGO" | "CARGO_HOME")
            || name.starts_with("RUSTC_")
            || name.ends_with("FLAGS")
            || name.starts_with("DEP_");
        // How to reach the registry stays as the user set it.
        let network = ["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTRIES_", "CARGO_SOURCE_"];
        if ours && !network.iter().any(|prefix| name.starts_with(prefix)) {
            cargo.env_remove(&*name);
        }
    }
    // A reproducible build maps folders away; the helper inside must not bring them back.
    let outer = var("CARGO_ENCODED_RUSTFLAGS");
    let flags = outer
        .split('\x1f')
        .filter(|flag| flag.starts_with("--remap-path-prefix="))
        .chain(["-Ctarget-feature=-crt-static"]);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.collect::<Vec<_>>().join("\x1f"));
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!(
            "building the kernel host failed ({status}); its messages are above"
        )),
        Err(error) => fail(&format!("cannot run cargo for the kernel host: {error}")),
    }
    let profile = if release { "release" } else { "debug" };
    let host = target_dir.join(&target).join(profile).join("kernel-host");
    let packed = out.join("kernel-host.lz4");
    match std::fs::read(&host) {
        Ok(program) => write(&packed, &lz4_flex::compress_prepend_size(&program)),
        Err(error) => fail(&format!("cannot read {}: {error}", host.display())),
    }
    println!("cargo::rustc-env=KERNEL_HOST_PACKED={}", packed.display());
    if release {
        link_small(&out, &var("TARGET"), &var("HOST"));
    }
}

/// Leaves out of a release what it never uses.
fn link_small(out: &Path, target: &str, host: &str) {
    // Panics abort and the binary has no symbols: tables for unwinding are a megabyte that nobody reads.
    let script = out.join("no-unwinding.ld");
    let rules = "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame.*) *(.eh_frame_hdr) *(.gcc_except_table) *(.gcc_except_table.*) } } INSERT AFTER .text;\n";
    write(&script, rules.as_bytes());
    println!("cargo::rustc-link-arg-bins=-T");
    println!("cargo::rustc-link-arg-bins={}", script.display());
    // Half a megabyte of relocations as a bitmap of a few kilobytes, where the libc that is linked in can read it.
    if target == "x86_64-unknown-linux-gnu"
        && target == host
        && glibc().is_some_and(|version| version >= (2, 36))
    {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Version of this machine's glibc.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn write(path: &Path, content: &[u8]) {
    if let Err(error) = std::fs::write(path, content) {
        fail(&format!("cannot write {}: {error}", path.display()));
    }
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    std::process::exit(1);
}
