//! Tests the kernel host with broken and hostile libraries: each failure is reported, and only the host process fails.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::driver::{Sandbox, scrubbed};
use crate::support::program::program;

/// A library with the complete ABI and one self-check that passes. Each case changes a part of it.
const GOOD: &str = r#"
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <unistd.h>
#include <fcntl.h>
#include <pthread.h>
typedef struct { uint32_t size; int32_t outcome; uint64_t cases, mismatches, index, expected, got; int32_t error, reserved; } report;
#ifndef ABI
#define ABI 1
#endif
#ifndef COUNT
#define COUNT 1
#endif
#ifndef NAME
#define NAME "sum_of_two"
#endif
#ifndef CHECK
#define CHECK r->cases = 4; return 0;
#endif
uint32_t nmoe_abi_version(void) { return ABI; }
const char *nmoe_stamp(void) { return "{}"; }
uint32_t nmoe_check_count(void) { return COUNT; }
const char *nmoe_check_name(uint32_t i) { (void)i; return NAME; }
#ifndef NO_RUN
int32_t nmoe_check_run(uint32_t i, report *r) { (void)i; CHECK }
#endif
"#;

struct Library {
    source: String,
    flags: Vec<&'static str>,
    /// Changes the file after the build.
    spoil: fn(&Path),
}

fn constructor(body: &str) -> Library {
    defined(
        &format!("__attribute__((constructor)) static void born(void) {{ {body} }}"),
        &[],
    )
}

fn defined(extra: &str, flags: &[&'static str]) -> Library {
    Library {
        source: format!("{GOOD}\n{extra}\n"),
        flags: flags.to_vec(),
        spoil: |_| {},
    }
}

fn spoiled(spoil: fn(&Path)) -> Library {
    Library {
        spoil,
        ..defined("", &[])
    }
}

fn patch(path: &Path, at: usize, bytes: &[u8]) {
    let mut file = std::fs::read(path).unwrap();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    std::fs::write(path, file).unwrap();
}

fn build(sandbox: &Sandbox, name: &str, library: &Library) -> PathBuf {
    let source = sandbox.path(&format!("{name}.c"));
    std::fs::write(&source, &library.source).unwrap();
    let output = sandbox.path(&format!("{name}.so"));
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O0", "-w", "-o"])
        .arg(&output)
        .arg(&source)
        .args(&library.flags)
        .status()
        .unwrap();
    assert!(built.success(), "{name}");
    (library.spoil)(&output);
    output
}

fn check(sandbox: &Sandbox, path: &Path) -> (Option<i32>, Value, String) {
    check_within(sandbox, path, "60")
}

fn check_within(sandbox: &Sandbox, path: &Path, seconds: &str) -> (Option<i32>, Value, String) {
    let path = path.to_str().unwrap();
    let out = sandbox
        .gates([
            "kernels",
            "check",
            "--cpu",
            "--timeout",
            seconds,
            "--format",
            "json",
            path,
        ])
        .run();
    let seen =
        serde_json::from_str::<Value>(&out.stdout).map_or(Value::Null, |mut v| v["libraries"][0].take());
    (out.code(), seen, out.stderr.into())
}

/// Name, library, the accepted messages (loaders differ by version), and the stage.
type Case = (&'static str, Library, &'static [&'static str], &'static str);

fn cases() -> Vec<Case> {
    vec![
        (
            "segv",
            constructor("*(volatile int *)0 = 1;"),
            &["signal"],
            "load",
        ),
        ("abort", constructor("abort();"), &["signal"], "load"),
        ("illegal", constructor("__builtin_trap();"), &["signal"], "load"),
        ("terminate", constructor("raise(SIGTERM);"), &["signal"], "load"),
        (
            "kill_group",
            constructor("kill(0, SIGKILL);"),
            &["signal"],
            "load",
        ),
        ("exit_0", constructor("exit(0);"), &["exited"], "load"),
        ("exit_3", constructor("_exit(3);"), &["exited"], "load"),
        ("hang", constructor("for (;;) pause();"), &["silent"], "load"),
        (
            "spin",
            constructor("for (volatile int i = 0;; i++) {}"),
            &["silent"],
            "load",
        ),
        ("sigstop", constructor("raise(SIGSTOP);"), &["stopped"], "load"),
        (
            "flood",
            constructor(
                "static char b[65536]; memset(b, 120, sizeof b); for (int i = 0; i < 400; i++) write(1, b, sizeof b);",
            ),
            &["flooded"],
            "load",
        ),
        (
            "forge",
            constructor("for (int fd = 3; fd < 1024; fd++) write(fd, \"0\\tdone\\n\", 7); _exit(0);"),
            &["forged"],
            "load",
        ),
        (
            "garbage",
            constructor(
                "static char b[4096]; for (int n = 0; n < 64; n++) for (int fd = 3; fd < 1024; fd++) if (write(fd, b, sizeof b) < 0) continue;",
            ),
            &["forged"],
            "load",
        ),
        (
            "close_all",
            constructor("for (int fd = 0; fd < 1024; fd++) close(fd);"),
            &["cut_off"],
            "load",
        ),
        (
            "stack_overflow",
            defined(
                "static int deep(int n) { volatile char b[4096]; b[0] = n; return deep(n + 1) + b[0]; }\n__attribute__((constructor)) static void born(void) { deep(0); }",
                &[],
            ),
            &["signal"],
            "load",
        ),
        (
            "undefined_symbol",
            defined(
                "extern int nowhere(void); int caller(void) { return nowhere(); }",
                &[],
            ),
            &["undefined_symbol"],
            "load",
        ),
        (
            "static_tls",
            defined(
                "static __thread char much[1 << 22]; char *tls(void) { return much; }",
                &["-ftls-model=initial-exec"],
            ),
            &["static_tls"],
            "load",
        ),
        (
            "truncated",
            spoiled(|p| {
                let b = std::fs::read(p).unwrap();
                std::fs::write(p, &b[..b.len() / 4]).unwrap();
            }),
            &["truncated"],
            "load",
        ),
        (
            "half",
            spoiled(|p| {
                let b = std::fs::read(p).unwrap();
                std::fs::write(p, &b[..b.len() / 2]).unwrap();
            }),
            &["truncated"],
            "load",
        ),
        (
            "header_only",
            spoiled(|p| {
                let b = std::fs::read(p).unwrap();
                std::fs::write(p, &b[..40]).unwrap();
            }),
            &["truncated"],
            "load",
        ),
        (
            "empty",
            spoiled(|p| std::fs::write(p, "").unwrap()),
            &["truncated"],
            "load",
        ),
        (
            "text",
            spoiled(|p| {
                std::fs::write(
                    p,
                    "hello, this is text and no library at all, however long it goes on ........",
                )
                .unwrap()
            }),
            &["not_elf"],
            "load",
        ),
        (
            "wrong_class",
            spoiled(|p| patch(p, 4, &[1])),
            &["wrong_machine"],
            "load",
        ),
        (
            "wrong_machine",
            spoiled(|p| patch(p, 18, &[183, 0])),
            &["wrong_machine"],
            "load",
        ),
        (
            "damaged_headers",
            spoiled(|p| patch(p, 32, &[0xFF; 8])),
            &["not_loadable", "signal", "truncated"],
            "load",
        ),
        // A name of the same length is replaced in the list of needed libraries.
        (
            "musl",
            Library {
                spoil: |p| {
                    let bytes = std::fs::read(p).unwrap();
                    let at = memchr::memmem::find(&bytes, b"libc.so.6\0").unwrap();
                    patch(p, at, b"libc.so\0\0");
                },
                ..constructor("puts(\"hello\");")
            },
            &["missing_library"],
            "load",
        ),
        ("raised_segv", constructor("raise(SIGSEGV);"), &["signal"], "load"),
        ("raised_bus", constructor("raise(SIGBUS);"), &["signal"], "load"),
        (
            "segv_in_check",
            defined("", &["-DCHECK=raise(SIGSEGV);r->cases=1;return 0;"]),
            &["signal"],
            "check",
        ),
        ("wrong_abi", defined("", &["-DABI=7"]), &["abi_version"], "abi"),
        (
            "missing_symbol",
            defined("", &["-DNO_RUN"]),
            &["missing_symbol"],
            "abi",
        ),
        ("no_checks", defined("", &["-DCOUNT=0"]), &["no_checks"], "check"),
        (
            "many_checks",
            defined("", &["-DCOUNT=1000000"]),
            &["too_many_checks"],
            "abi",
        ),
        (
            "hostile_name",
            defined("", &["-DNAME=\"<b>@all</b>\""]),
            &["check_name"],
            "check",
        ),
        ("one_name", defined("", &["-DCOUNT=3"]), &["check_name"], "check"),
        (
            "crash_in_check",
            defined("", &["-DCHECK=abort();"]),
            &["signal"],
            "check",
        ),
        (
            "hang_in_check",
            defined("", &["-DCHECK=for(;;)pause();"]),
            &["silent"],
            "check",
        ),
    ]
}

#[test]
fn hostile_libraries_are_reported_by_failure() {
    let sandbox = Sandbox::new();
    let cases = cases();
    assert!(cases.len() >= 30);
    let mut table = String::new();
    let seen: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = cases
            .iter()
            .map(|(name, library, words, _)| {
                // Only a library that hangs needs a short limit; the others get a long limit, because the machine may be busy.
                let hangs = words.iter().any(|word| matches!(*word, "silent" | "stopped"));
                let seconds = if hangs { "3" } else { "60" };
                scope.spawn(|| check_within(&sandbox, &build(&sandbox, name, library), seconds))
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let mut wrong = false;
    for ((name, _, words, stage), (code, seen, stderr)) in cases.iter().zip(&seen) {
        let failure = &seen["failure"];
        let right = *code == Some(1)
            && seen["verdict"] == "fail"
            && words.contains(&failure["code"].as_str().unwrap_or_default())
            && failure["stage"] == *stage;
        wrong |= !right;
        writeln!(
            table,
            "{} {name:<18} exit {code:?} {} at {}: {} {stderr}",
            if right { "ok   " } else { "WRONG" },
            failure["code"],
            failure["stage"],
            failure["message"],
        )
        .unwrap();
    }
    assert!(!wrong, "\n{table}");
}

#[test]
fn library_with_threads_passes() {
    let sandbox = Sandbox::new();
    let lively = defined(
        "static __thread int mine = 3; static void *work(void *a) { (void)a; mine++; return 0; }
         __attribute__((constructor)) static void born(void) { pthread_t t; pthread_create(&t, 0, work, 0); pthread_join(t, 0); puts(\"hello\"); }",
        &["-pthread"],
    );
    let (code, seen, stderr) = check(&sandbox, &build(&sandbox, "lively", &lively));
    assert_eq!(code, Some(0), "{seen} {stderr}");
    assert_eq!(seen["verdict"], "pass");
    assert_eq!(seen["checks"][0]["name"], "sum_of_two");
    assert_eq!(seen["leftovers"], 0);
}

#[test]
fn self_check_with_mismatch_or_no_cases_fails() {
    let sandbox = Sandbox::new();
    for (name, body) in [
        (
            "differs",
            "-DCHECK=r->cases=9;r->mismatches=2;r->index=5;r->expected=1;r->got=3;return 1;",
        ),
        ("nothing", "-DCHECK=return 0;"),
        ("cuda_error", "-DCHECK=r->error=700;return 2;"),
        ("no_outcome", "-DCHECK=r->cases=9;return 77;"),
    ] {
        let (code, seen, _) = check(&sandbox, &build(&sandbox, name, &defined("", &[body])));
        assert_eq!(code, Some(1), "{name}: {seen}");
        assert_eq!(seen["checks"][0]["status"], "fail", "{name}");
        assert_eq!(seen["checks"][0]["reason"], "kernel_failed", "{name}");
    }
}

#[test]
fn library_beside_another_is_found() {
    let sandbox = Sandbox::new();
    let helper = Library {
        source: "int nearby(void) { return 0; }".to_owned(),
        flags: vec![],
        spoil: |_| {},
    };
    build(&sandbox, "libnearby", &helper);
    let folder: &'static str = format!("-L{}", sandbox.path("").display()).leak();
    let origin = defined(
        "extern int nearby(void); int far(void) { return nearby(); }",
        &[folder, "-lnearby", "-Wl,-rpath,$ORIGIN"],
    );
    let (code, seen, stderr) = check(&sandbox, &build(&sandbox, "origin", &origin));
    assert_eq!(code, Some(0), "{seen} {stderr}");
}

#[test]
fn library_beyond_memory_limit_is_killed() {
    let sandbox = Sandbox::new();
    let large = constructor("char *much = malloc(400 << 20); memset(much, 1, 400 << 20); for (;;) pause();");
    let path = build(&sandbox, "large", &large);
    let seen = sandbox
        .gates(["kernels", "check", "--cpu", "--memory", "200", "--format", "json"])
        .arg(&path)
        .run()
        .exits(1)
        .json();
    let failure = &seen["libraries"][0]["failure"];
    assert_eq!(failure["code"], "too_much_memory", "{seen}");
    assert_eq!(failure["stage"], "load");
}

#[test]
fn cuda_error_of_machine_is_invalid() {
    let sandbox = Sandbox::new();
    for (code, name) in [
        (35, "cudaErrorInsufficientDriver"),
        (36, "cudaErrorCallRequiresNewerDriver"),
        (46, "cudaErrorDevicesUnavailable"),
        (100, "cudaErrorNoDevice"),
        (214, "cudaErrorECCUncorrectable"),
        (802, "cudaErrorSystemNotReady"),
        (803, "cudaErrorSystemDriverMismatch"),
    ] {
        let body = format!("r->error = {code}; return 2;");
        let library = Library {
            source: GOOD.replace("{ (void)i; CHECK }", &format!("{{ {body} }}")),
            flags: vec![],
            spoil: |_| {},
        };
        let path = build(&sandbox, name, &library);
        let out = sandbox
            .gates(["kernels", "check", "--cpu", path.to_str().unwrap()])
            .run()
            .exits(3);
        let says = format!("CUDA error {code} ({name}: ");
        assert!(out.stdout.contains(&says), "{}", out.stdout);
        let (code, seen, _) = check(&sandbox, &path);
        assert_eq!(code, Some(3), "{seen}");
        assert_eq!(seen["verdict"], "invalid", "{seen}");
        assert_eq!(seen["checks"][0]["reason"], "driver", "{seen}");
    }
}

#[test]
fn escaped_grandchild_is_killed() {
    let sandbox = Sandbox::new();
    let mark = sandbox.path("alive");
    let runaway = constructor(&format!(
        "if (fork() == 0) {{ setsid(); if (fork() == 0) {{ FILE *f = fopen(\"{0}.new\", \"w\"); fprintf(f, \"%d\", getpid()); fclose(f); rename(\"{0}.new\", \"{0}\"); for (;;) pause(); }} _exit(0); }}
         while (access(\"{0}\", R_OK)) usleep(1000); usleep(10000);",
        mark.display()
    ));
    let (code, seen, stderr) = check(&sandbox, &build(&sandbox, "runaway", &runaway));
    assert_eq!(code, Some(0), "{seen} {stderr}");
    assert!(seen["leftovers"].as_u64().unwrap() >= 1, "{seen}");
    let pid = std::fs::read_to_string(mark).unwrap();
    assert!(!Path::new("/proc").join(pid).exists());
}

#[test]
fn irregular_file_is_unusable_without_waiting() {
    let sandbox = Sandbox::new();
    let fifo = sandbox.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let huge = sandbox.path("huge.so");
    std::fs::File::create(&huge).unwrap().set_len(3 << 30).unwrap();
    for (path, says) in [
        (sandbox.repo(), "not a regular file"),
        (fifo, "not a regular file"),
        (huge, "larger than"),
        (sandbox.path("absent"), "cannot read"),
    ] {
        let (code, _, stderr) = check(&sandbox, &path);
        assert_eq!(code, Some(2));
        assert!(stderr.contains(says), "{stderr}");
    }
}

#[test]
fn unavailable_kernel_host_fails_checks() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may change the root directory");
        return;
    }
    // A root without the dynamic loader: the helper cannot start there.
    let sandbox = Sandbox::new();
    let root = sandbox.path("root");
    std::fs::create_dir(&root).unwrap();
    crate::kernel_static::copy_program(program(), &root.join("nmoe-gates"));
    std::fs::create_dir(root.join("dev")).unwrap();
    std::fs::write(root.join("dev/urandom"), [7; 64]).unwrap();
    std::fs::write(root.join("dev/null"), "").unwrap();
    std::fs::create_dir(root.join("tmp")).unwrap();
    std::fs::copy(build(&sandbox, "good", &defined("", &[])), root.join("good.so")).unwrap();
    let out = scrubbed("chroot")
        .arg(&root)
        .args(["/nmoe-gates", "kernels", "check", "--cpu", "/good.so"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("kernel host cannot run here"), "{stderr}");
}
