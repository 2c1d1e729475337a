//! Tests `kernels driver` with stub drivers: every machine is reported correctly.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::driver::{Outcome, Sandbox};

/// A libcuda whose responses are macros.
const CUDA: &str = r#"
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifndef INIT
#define INIT return 0;
#endif
#ifndef COUNT
#define COUNT 8
#endif
#ifndef MAJOR
#define MAJOR 10
#endif
#ifndef MINOR
#define MINOR 0
#endif
#ifndef NAME
#define NAME "NVIDIA B200"
#endif
int cuInit(unsigned f) { (void)f; INIT }
#ifndef VERSION
#define VERSION 13000
#endif
/* Number of the first GPU that this process sees. */
#ifndef FIRST
#define FIRST 0
#endif
int cuDriverGetVersion(int *v) { *v = VERSION; return 0; }
int cuDeviceGetUuid_v2(unsigned char *u, int d) { memset(u, 0, 16); u[15] = d + FIRST; return 0; }
int cuDeviceGetCount(int *n) { *n = COUNT; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *s, int n, int d) { (void)d; snprintf(s, n, "%s", NAME); return 0; }
int cuDeviceTotalMem_v2(size_t *b, int d) { (void)d; *b = 180ull << 30; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { (void)d; *v = a == 75 ? MAJOR : a == 76 ? MINOR : 0; return 0; }
"#;

/// A libnvidia-ml whose responses are macros.
const NVML: &str = r#"
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>
#ifndef INIT
#define INIT return 0;
#endif
#ifndef PROCESSES
#define PROCESSES 0
#endif
#ifndef THROTTLE
#define THROTTLE 1
#endif
#ifndef ECC
#define ECC 0
#endif
#ifndef HANDLE
#define HANDLE 0
#endif
#ifndef FAILED_ROWS
#define FAILED_ROWS 0
#endif
#ifndef MIG
#define MIG 0
#endif
#ifndef HELD
#define HELD 0
#endif
#ifndef RECOVERY
#define RECOVERY 0
#endif
#ifndef VIOLATION
#define VIOLATION 0
#endif
#ifndef XID
#define XID 0
#endif
/* Rounds: 1 when events are registered, 2 for the first reading, 3 for the second. Without a watch, 1 is the reading. */
static unsigned rounds;
static unsigned round_(void) { return rounds; }
int nvmlInit_v2(void) { INIT }
int nvmlSystemGetDriverVersion(char *s, unsigned n) { snprintf(s, n, "580.65.06"); return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 8; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { rounds += i == 0; *d = (void *)(size_t)(i + 1); return i == 5 ? HANDLE : 0; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *d, unsigned *n, void *p) { (void)p; *n = (size_t)d == 3 ? PROCESSES : 0; return *n ? 7 : 0; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *d, unsigned long long *r) { (void)d; *r = THROTTLE; return 0; }
int nvmlDeviceGetTotalEccErrors(void *d, int t, int c, unsigned long long *n) { (void)d; (void)t; (void)c; *n = ECC; return 0; }
int nvmlDeviceGetRemappedRows(void *d, unsigned *c, unsigned *u, unsigned *p, unsigned *f) { (void)d; *c = 1; *u = 0; *p = 0; *f = FAILED_ROWS; return 0; }
int nvmlDeviceGetViolationStatus(void *d, int p, unsigned long long *v) { (void)d; if (p != 1) return 3; v[0] = 0; v[1] = HELD; return VIOLATION; }
int nvmlDeviceGetFieldValues(void *d, int n, unsigned *v) { (void)n; if (v[0] != 230) return 2; v[6] = 1; v[7] = 0; v[8] = (size_t)d == 4 ? RECOVERY : 0; v[9] = 0; return 0; }
int nvmlEventSetCreate(void **s) { *s = &rounds; return 0; }
int nvmlDeviceRegisterEvents(void *d, unsigned long long t, void *s) { (void)d; return t == 8 && s == &rounds ? 0 : 2; }
int nvmlEventSetWait_v2(void *s, unsigned long long *e, unsigned ms) { static unsigned told; if (s != &rounds || ms || told >= (XID)) return 10; told++; e[0] = 7; e[1] = 8; e[2] = 79; return 0; }
int nvmlDeviceGetUUID(void *d, char *s, unsigned n) { snprintf(s, n, "GPU-00000000-0000-0000-0000-%012x", (unsigned)(size_t)d - 1); return 0; }
int nvmlDeviceGetMigMode(void *d, unsigned *m, unsigned *p) { (void)d; *m = MIG; *p = 0; return 0; }
"#;

/// The macros that a machine defines for libcuda and for libnvidia-ml; `None` if the library is absent.
struct Machine {
    cuda: Option<&'static [&'static str]>,
    nvml: Option<&'static [&'static str]>,
}

const B200: Machine = Machine {
    cuda: Some(&[]),
    nvml: Some(&[]),
};

fn compile(folder: &PathBuf, name: &str, source: &str, defines: &[&str]) {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join(format!("{name}.c"));
    std::fs::write(&path, source).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-w", "-o"])
        .arg(folder.join(name))
        .arg(&path)
        .args(defines)
        .status()
        .unwrap();
    assert!(built.success());
}

/// Returns a folder with the driver of eight B200 GPUs, for `LD_LIBRARY_PATH`.
pub fn b200(sandbox: &Sandbox) -> PathBuf {
    b200_with(sandbox, &[])
}

/// Returns the same folder, with these NVML responses.
pub fn b200_with(sandbox: &Sandbox, nvml: &[&str]) -> PathBuf {
    b200_of(sandbox, &[], nvml)
}

/// Returns the same folder, with these responses of CUDA and NVML.
pub fn b200_of(sandbox: &Sandbox, cuda: &[&str], nvml: &[&str]) -> PathBuf {
    let folder = sandbox.path("b200");
    compile(&folder, "libcuda.so.1", CUDA, cuda);
    compile(&folder, "libnvidia-ml.so.1", NVML, nvml);
    folder
}

fn ask(machine: &Machine, arguments: &[&str]) -> Outcome {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("driver");
    std::fs::create_dir(&folder).unwrap();
    if let Some(defines) = machine.cuda {
        compile(&folder, "libcuda.so.1", CUDA, defines);
    }
    if let Some(defines) = machine.nvml {
        compile(&folder, "libnvidia-ml.so.1", NVML, defines);
    }
    let mut all = vec!["kernels", "driver", "--format", "json"];
    all.extend(arguments);
    sandbox.gates(all).env("LD_LIBRARY_PATH", &folder).run()
}

#[test]
fn eight_b200_gpus_are_accepted() {
    let seen = ask(&B200, &["--gpus", "8"]).exits(0).json();
    assert_eq!(seen["fits"], true);
    assert_eq!(seen["driver"]["cuda"], serde_json::json!([13, 0]));
    assert_eq!(seen["driver"]["version"], "580.65.06");
    assert_eq!(seen["driver"]["gpus"].as_array().unwrap().len(), 8);
    assert_eq!(seen["driver"]["gpus"][0]["name"], "NVIDIA B200");
    assert_eq!(seen["driver"]["gpus"][7]["memory"], 180u64 << 30);
}

#[test]
fn other_machines_are_refused() {
    let cuda = |defines| Machine {
        cuda: Some(defines),
        nvml: None,
    };
    let nvml = |defines| Machine {
        cuda: Some(&[]),
        nvml: Some(defines),
    };
    let absent = Machine {
        cuda: None,
        nvml: None,
    };
    let cases: Vec<(&str, Machine, &str, &str)> = vec![
        (
            "one of eight",
            cuda(&["-DCOUNT=1"]),
            "off_target",
            "1 × NVIDIA B200 (10.0)",
        ),
        (
            "B300",
            cuda(&["-DMINOR=3", "-DNAME=\"NVIDIA B300\""]),
            "off_target",
            "8 × NVIDIA B300 (10.3)",
        ),
        (
            "H200",
            cuda(&["-DMAJOR=9", "-DNAME=\"NVIDIA H200\""]),
            "off_target",
            "8 × NVIDIA H200 (9.0)",
        ),
        (
            "mixed",
            cuda(&[
                "-DMAJOR=(d<6?10:9)",
                "-DNAME=(d<6?\"NVIDIA B200\":\"NVIDIA H200\")",
            ]),
            "off_target",
            "6 × NVIDIA B200 (10.0), 2 × NVIDIA H200 (9.0)",
        ),
        ("no device", cuda(&["-DCOUNT=0"]), "no_gpu", "a driver and no GPU"),
        ("no driver", absent, "no_gpu", "no NVIDIA driver"),
        (
            "stub",
            cuda(&["-DINIT=return 34;"]),
            "no_gpu",
            "error 34 (cudaErrorStubLibrary: ",
        ),
        (
            "no device, said so",
            cuda(&["-DINIT=return 100;"]),
            "no_gpu",
            "error 100 (cudaErrorNoDevice: ",
        ),
        (
            "not ready",
            cuda(&["-DINIT=return 802;"]),
            "no_gpu",
            "error 802 (cudaErrorSystemNotReady: ",
        ),
        (
            "mismatch",
            cuda(&["-DINIT=return 803;"]),
            "no_gpu",
            "error 803 (cudaErrorSystemDriverMismatch: ",
        ),
        ("unknown", cuda(&["-DINIT=return 999;"]), "no_gpu", "error 999"),
        (
            "old driver",
            cuda(&["-DVERSION=12020"]),
            "driver",
            "a driver for CUDA 12.2",
        ),
        (
            "crash",
            cuda(&["-DINIT=*(volatile int*)0=1;"]),
            "no_gpu",
            "signal 11",
        ),
        ("exit", cuda(&["-DINIT=_exit(0);"]), "no_gpu", "exit code 0"),
        (
            "hang",
            cuda(&["-DINIT=for(;;)pause();"]),
            "no_gpu",
            "sent no reply in time",
        ),
        (
            "hanging NVML",
            nvml(&["-DINIT=for(;;)pause();"]),
            "no_gpu",
            "libnvidia-ml: ",
        ),
        (
            "busy",
            nvml(&["-DPROCESSES=3"]),
            "spoiled",
            "GPU 2: 3 other processes",
        ),
        ("hot", nvml(&["-DTHROTTLE=0x40"]), "spoiled", "reduces its clocks"),
        (
            "ECC",
            nvml(&["-DECC=2"]),
            "spoiled",
            "2 uncorrected memory errors",
        ),
        ("rows", nvml(&["-DFAILED_ROWS=1"]), "spoiled", "rows"),
        (
            "lost",
            nvml(&["-DHANDLE=15"]),
            "spoiled",
            "GPU 5: it has fallen off the bus",
        ),
        ("MIG", nvml(&["-DMIG=1"]), "spoiled", "split"),
        (
            "reset wanted",
            nvml(&["-DRECOVERY=1"]),
            "spoiled",
            "GPU 3: it needs a reset",
        ),
    ];
    let seen: Vec<(Outcome, Value)> = std::thread::scope(|scope| {
        let threads: Vec<_> = cases
            .iter()
            .map(|(name, machine, ..)| {
                let seconds = if name.contains("hang") { "3" } else { "60" };
                scope.spawn(move || {
                    let out = ask(machine, &["--gpus", "8", "--timeout", seconds]);
                    let json = out.json();
                    (out, json)
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for ((name, _, reason, found), (out, seen)) in cases.iter().zip(&seen) {
        assert_eq!(out.code(), Some(3), "{name}: {seen}");
        assert_eq!(seen["fits"], false, "{name}: {seen}");
        assert_eq!(seen["reason"], *reason, "{name}: {seen}");
        assert!(seen["found"].as_str().unwrap().contains(found), "{name}: {seen}");
        assert!(
            seen["needed"]
                .as_str()
                .unwrap()
                .contains("exactly 10.0 (sm_100a)"),
            "{name}: {seen}"
        );
    }
}

#[test]
fn missing_nvml_and_idle_clocks_are_accepted() {
    let machine = Machine {
        cuda: Some(&["-DCOUNT=2"]),
        nvml: None,
    };
    let seen = ask(&machine, &["--gpus", "1"]).exits(0).json();
    assert_eq!(seen["driver"]["version"], Value::Null);
    ask(&B200, &["--gpus", "1"])
        .exits(0)
        .prints("{\"schema\":1,\"fits\":true,\"driver\":{\"cuda\":[13,0],");
}

/// NVML lists all GPUs of the machine, CUDA only those of `CUDA_VISIBLE_DEVICES`. The process is on GPU 2, the Xid on GPU 6.
#[test]
fn hidden_gpus_do_not_disturb() {
    let busy: Option<&[&str]> = Some(&["-DPROCESSES=1", "-DXID=round_()-1"]);
    let machine = |cuda| Machine {
        cuda: Some(cuda),
        nvml: busy,
    };
    let hidden = machine(&["-DCOUNT=2"]);
    let seen = ask(&hidden, &[]).exits(0).json();
    assert_eq!(seen["driver"]["health"].as_array().unwrap().len(), 2, "{seen}");
    assert!(!seen.to_string().contains("GPU-"), "{seen}");
    let seen = ask(&hidden, &["--watch", "0"]).exits(0).json();
    assert_eq!(seen["troubles"], serde_json::json!([]));
    let seen = ask(&machine(&["-DCOUNT=2", "-DFIRST=2"]), &[]).exits(3).json();
    assert_eq!(seen["found"], "GPU 2: 1 other processes use it");
    let seen = ask(&machine(&["-DCOUNT=2", "-DFIRST=6"]), &["--watch", "0"])
        .exits(3)
        .json();
    assert_eq!(seen["troubles"][0]["says"], "the driver reported Xid 79");
}

#[test]
fn watch_reports_changes_between_readings() {
    // The first reading is in round 2, the second in round 3.
    let cases: [(&str, &[&'static str], Option<&str>, &str); 11] = [
        ("quiet", &["-DECC=2", "-DHELD=5000000000ull"], None, ""),
        (
            "heat",
            &["-DHELD=round_()*1000000000ull"],
            Some("throttled"),
            "reduced its clocks for 1.0 of",
        ),
        (
            "ecc",
            &["-DECC=round_()"],
            Some("memory"),
            "1 uncorrected memory errors",
        ),
        (
            "lost",
            &["-DHANDLE=(round_()>2?15:0)"],
            Some("lost"),
            "off the bus",
        ),
        (
            "reset",
            &["-DRECOVERY=(round_()>2)"],
            Some("lost"),
            "needs a reset",
        ),
        (
            "foreign",
            &["-DPROCESSES=(round_()>2)"],
            Some("foreign"),
            "1 other processes",
        ),
        (
            "brake",
            &["-DTHROTTLE=(round_()>2?0x80:4)"],
            Some("throttled"),
            "0x80",
        ),
        (
            "not told",
            &["-DVIOLATION=4", "-DHELD=round_()*1000000000ull"],
            None,
            "",
        ),
        ("xid", &["-DXID=round_()-1"], Some("xid"), "Xid 79"),
        ("an old xid", &["-DXID=1"], None, ""),
        ("no events", &["-DXID=0"], None, ""),
    ];
    // NVML is absent, or it hangs, crashes or exits at the second reading.
    let silent: [Option<&[&'static str]>; 5] = [
        None,
        Some(&["-DMIG=(round_()>2?({for(;;)pause();0;}):0)"]),
        Some(&["-DMIG=(round_()>2?*(volatile int*)0:0)"]),
        Some(&["-DMIG=(round_()>2?({_exit(0);0;}):0)"]),
        Some(&["-DINIT=return 9;"]),
    ];
    let watch = |nvml, seconds| {
        let machine = Machine { cuda: None, nvml };
        ask(&machine, &["--watch", "0", "--timeout", seconds])
    };
    std::thread::scope(|scope| {
        for (name, defines, kind, says) in cases {
            scope.spawn(move || {
                let out = watch(Some(defines), "60");
                let seen = out.json();
                assert_eq!(
                    out.code(),
                    Some(if kind.is_some() { 3 } else { 0 }),
                    "{name}: {seen}"
                );
                assert_eq!(seen["troubles"][0]["kind"].as_str(), kind, "{name}: {seen}");
                let told = seen["troubles"][0]["says"].as_str().unwrap_or_default();
                assert!(told.contains(says), "{name}: {seen}");
            });
        }
        for nvml in silent {
            scope.spawn(move || {
                let out = watch(nvml, "3").exits(3);
                assert!(out.stderr.contains("NVML does not answer"), "{}", out.stderr);
            });
        }
    });
}
