//! Tests that the program is a single static file without dependencies on the host.

use std::path::{Path, PathBuf};
use std::process::Command;

use object::LittleEndian;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::driver::{Sandbox, scrubbed};
use crate::support::program::program;

/// The oldest glibc that CUDA 12.9 and 13 support, that of RHEL 8. The kernel host must not need a newer version.
const OLDEST_GLIBC: (u32, u32) = (2, 28);

/// Copies a program in another process. A descriptor of this process that is open for writing could be inherited by a child of
/// another test, and then the copy could not be executed.
pub fn copy_program(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

/// Extracts the kernel host from the program under test: a library that the host loads copies the host's file.
fn kernel_host(sandbox: &Sandbox) -> PathBuf {
    let (source, library, host) = (
        sandbox.path("thief.c"),
        sandbox.path("thief.so"),
        sandbox.path("host"),
    );
    let text = format!(
        "#include <stdio.h>\n\
         __attribute__((constructor)) static void born(void) {{\n\
         static char b[65536]; size_t n; FILE *from = fopen(\"/proc/self/exe\", \"r\"), *to = fopen(\"{}\", \"w\");\n\
         while ((n = fread(b, 1, sizeof b, from)) > 0) fwrite(b, 1, n, to);\n\
         fclose(to);\n\
         }}\n",
        host.display()
    );
    std::fs::write(&source, text).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
    assert!(cc.status().unwrap().success());
    // The library has none of the functions that the host looks up next.
    sandbox
        .gates(["kernels", "check", "--cpu", library.to_str().unwrap()])
        .run()
        .exits(1)
        .prints("missing_symbol");
    host
}

#[test]
fn release_binary_is_static() {
    let bytes = std::fs::read(program()).unwrap();
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
fn program_runs_in_empty_root() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may change the root directory");
        return;
    }
    let sandbox = Sandbox::new();
    let root = sandbox.path("empty");
    std::fs::create_dir(&root).unwrap();
    copy_program(program(), &root.join("nmoe-gates"));
    let out = scrubbed("chroot")
        .arg(&root)
        .args(["/nmoe-gates", "explain", "exit-codes"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let here = sandbox.gates(["explain", "exit-codes"]).run().exits(0);
    assert_eq!(String::from_utf8_lossy(&out.stdout), here.stdout);
}

#[test]
fn kernel_host_needs_no_newer_glibc_than_cuda() {
    let bytes = std::fs::read(kernel_host(&Sandbox::new())).unwrap();
    let header = FileHeader64::<LittleEndian>::parse(&*bytes).unwrap();
    let sections = header.sections(LittleEndian, &*bytes).unwrap();
    let (mut needs, link) = sections.gnu_verneed(LittleEndian, &*bytes).unwrap().unwrap();
    let strings = sections.strings(LittleEndian, &*bytes, link).unwrap();
    let mut versions = Vec::new();
    while let Some((_, mut of_file)) = needs.next().unwrap() {
        while let Some(version) = of_file.next().unwrap() {
            let name = version.name(LittleEndian, strings).unwrap();
            versions.push(String::from_utf8(name.to_vec()).unwrap());
        }
    }
    let glibc: Vec<(u32, u32)> = versions
        .iter()
        .filter_map(|v| v.strip_prefix("GLIBC_"))
        .map(|v| {
            let mut numbers = v.split('.').map(|n| n.parse().unwrap());
            (numbers.next().unwrap(), numbers.next().unwrap())
        })
        .collect();
    assert!(glibc.len() > 3, "{versions:?}");
    assert!(
        glibc.iter().all(|v| *v <= OLDEST_GLIBC),
        "a function is bound to a newer glibc than {OLDEST_GLIBC:?}; see kernel-host/build.rs: {versions:?}"
    );
    let elf = object::read::elf::ElfFile64::<LittleEndian>::parse(&*bytes).unwrap();
    let needed: Vec<String> = object::Object::import_libraries(&elf)
        .unwrap()
        .map(|l| String::from_utf8(l.unwrap().name().to_vec()).unwrap())
        .collect();
    for library in ["libc.so.6", "libdl.so.2", "libpthread.so.0"] {
        assert!(needed.iter().any(|n| n == library), "{library}: {needed:?}");
    }
}

#[test]
fn library_loads_without_proc() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may change the root directory");
        return;
    }
    let Some(library) = nmoe_csrc::host_library() else {
        eprintln!("skipped: there is no C++ compiler");
        return;
    };
    // A root with only the parts of libc that the two programs need.
    let sandbox = Sandbox::new();
    let root = sandbox.path("libc");
    let copy = |from: &Path, to: &str| {
        let to = root.join(to.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        copy_program(from, &to);
    };
    for program in [&*kernel_host(&sandbox), library] {
        let listed = Command::new("ldd").arg(program).output().unwrap();
        for word in String::from_utf8(listed.stdout).unwrap().split_whitespace() {
            if word.starts_with('/') {
                copy(Path::new(word), word);
            }
        }
    }
    copy(program(), "nmoe-gates");
    copy(library, "library.so");
    std::fs::create_dir(root.join("tmp")).unwrap();
    let out = scrubbed("chroot")
        .arg(&root)
        .args(["/nmoe-gates", "kernels", "check", "--cpu", "/library.so"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(said.contains("pass     gather"), "{said}");
    assert_eq!(std::fs::read_dir(root.join("tmp")).unwrap().count(), 0);
}
