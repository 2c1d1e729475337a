//! Links the kernel host so that it starts on hosts with an older glibc than the build host.
//!
//! A linker binds every function to its newest version in the glibc of the build host. glibc 2.34 gave new versions to
//! functions that only moved into libc. This script therefore links stub libraries with the old names and old versions
//! first; later versions of glibc still provide those. Functions that an old glibc lacks are in `src/glibc_compat.rs`.

use std::error::Error;
use std::path::PathBuf;

/// Functions that moved into libc.so.6 in glibc 2.32 and 2.34, and are linked from their old library.
const MOVED: [&str; 11] = [
    "__libc_start_main",
    "dlclose",
    "dlerror",
    "dlopen",
    "dlsym",
    "pthread_attr_getguardsize",
    "pthread_attr_getstack",
    "pthread_getattr_np",
    "pthread_key_create",
    "pthread_key_delete",
    "pthread_setspecific",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(error) = build() {
        println!("cargo::error={error}");
        std::process::exit(1);
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let features = var("CARGO_CFG_TARGET_FEATURE");
    let dynamic = var("CARGO_CFG_TARGET_ENV") == "gnu" && !features.split(',').any(|f| f == "crt-static");
    // Without the feature, the crate contains only the protocol and needs no libraries.
    if std::env::var_os("CARGO_FEATURE_HOST").is_none() || !dynamic {
        return Ok(());
    }
    let oldest = match var("CARGO_CFG_TARGET_ARCH").as_str() {
        "x86_64" => "GLIBC_2.2.5",
        "aarch64" => "GLIBC_2.17",
        _ => return Ok(()),
    };
    let out = PathBuf::from(var("OUT_DIR"));
    let empty = out.join("empty.c");
    let versions = out.join("versions");
    let functions: String = MOVED
        .iter()
        .map(|name| format!("void {name}(void) {{}}\n"))
        .collect();
    std::fs::write(&empty, "")?;
    std::fs::write(out.join("moved.c"), functions)?;
    std::fs::write(&versions, format!("{oldest} {{ global: *; }};\n"))?;
    // libpthread must be linked too; otherwise an old host does not load it.
    for (source, name) in [("moved.c", "libdl.so.2"), ("empty.c", "libpthread.so.0")] {
        let linked = cc::Build::new()
            .no_default_flags(true)
            .cargo_metadata(false)
            .try_get_compiler()?
            .to_command()
            .args(["-shared", "-fPIC", "-nostdlib", "-w", "-fno-builtin"])
            .arg(format!("-Wl,-soname,{name}"))
            .arg(format!("-Wl,--version-script={}", versions.display()))
            .arg("-o")
            .arg(out.join(name))
            .arg(out.join(source))
            .status()?;
        if !linked.success() {
            return Err(format!("the C compiler cannot build the stub library {name} ({linked})").into());
        }
    }
    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-link-lib=dylib:+verbatim=libdl.so.2");
    println!("cargo::rustc-link-arg-bins=-Wl,--no-as-needed");
    println!(
        "cargo::rustc-link-arg-bins={}",
        out.join("libpthread.so.0").display()
    );
    Ok(())
}
