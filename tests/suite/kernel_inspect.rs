//! Tests `kernels inspect`: the content of real containers, and refusals.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::driver::Sandbox;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/kernel")
        .join(format!("{name}.fatbin"))
}

fn look(sandbox: &Sandbox, path: &Path, code: i32) -> Value {
    let path = path.to_str().unwrap();
    let out = sandbox
        .gates(["kernels", "inspect", path, "--format", "json"])
        .run()
        .exits(code);
    out.json()["libraries"][0].take()
}

/// Returns a host library with this container in it, as nvcc would write it.
fn library(
    sandbox: &Sandbox,
    name: &str,
    container: &Path,
    section: &str,
    extra: &str,
    link: &[&str],
) -> PathBuf {
    let source = sandbox.path(&format!("{name}.c"));
    let text = format!(
        "__asm__(\".section {section},\\\"a\\\"\\n.balign 8\\n.incbin \\\"{}\\\"\\n.previous\\n\");\n{extra}\nint entry(void) {{ return 0; }}\n",
        container.display()
    );
    std::fs::write(&source, text).unwrap();
    let output = sandbox.path(name);
    let status = Command::new("cc")
        .args(link)
        .arg("-fPIC")
        .arg("-o")
        .arg(&output)
        .arg(&source)
        .status()
        .unwrap();
    assert!(status.success());
    output
}

#[test]
fn containers_are_identified() {
    let sandbox = Sandbox::new();
    let cases = [
        ("sm_100a_plain", "none", None),
        ("sm_100a_lz4", "lz4", None),
        ("sm_100a_zstd", "zstd", None),
        ("sm_100a_cuda129_zstd", "zstd", None),
        ("sm_100_zstd", "zstd", Some("other_arch")),
        ("sm_100f_zstd", "zstd", Some("other_arch")),
        ("sm_103a_zstd", "zstd", Some("other_arch")),
        ("sm_90a_zstd", "zstd", Some("other_arch")),
        ("mixed_zstd", "zstd", Some("other_arch")),
        ("ptx_zstd", "zstd", Some("ptx")),
        ("both_zstd", "zstd", Some("ptx")),
        ("lto_zstd", "zstd", Some("lto")),
    ];
    for (name, compression, fault) in cases {
        let seen = look(&sandbox, &fixture(name), i32::from(fault.is_some()));
        assert_eq!(seen["clean"], fault.is_none(), "{name}: {seen}");
        assert_eq!(seen["faults"][0]["code"].as_str(), fault, "{name}");
        assert_eq!(seen["entries"][0]["compression"], compression, "{name}");
        if fault != Some("lto") {
            let mut kernels: Vec<_> = seen["entries"][0]["kernels"].as_array().unwrap().clone();
            kernels.sort_by_key(ToString::to_string);
            assert_eq!(kernels, ["add", "scale"], "{name}");
        }
    }
}

#[test]
fn object_files_are_read_like_shared_objects() {
    let sandbox = Sandbox::new();
    let good = fixture("sm_100a_zstd");
    for (name, link) in [("a.so", &["-shared"][..]), ("a.o", &["-c"])] {
        let path = library(&sandbox, name, &good, ".nv_fatbin", "", link);
        let seen = look(&sandbox, &path, 0);
        assert_eq!(seen["verdict"], "sm_100a and nothing else");
        assert_eq!(seen["entries"][0]["section"], ".nv_fatbin");
    }
    let path = library(&sandbox, "rdc.o", &good, "__nv_relfatbin", "", &["-c"]);
    assert_eq!(
        look(&sandbox, &path, 0)["entries"][0]["section"],
        "__nv_relfatbin"
    );
}

#[test]
fn code_outside_its_sections_is_found() {
    let sandbox = Sandbox::new();
    let good = fixture("sm_100a_zstd");
    let hidden = format!(
        "__asm__(\".section .rodata\\n.incbin \\\"{}\\\"\\n.previous\\n\");",
        fixture("sm_103a_zstd").display()
    );
    let path = library(&sandbox, "hidden.so", &good, ".nv_fatbin", &hidden, &["-shared"]);
    assert_eq!(look(&sandbox, &path, 1)["faults"][0]["code"], "stray");
    for target in [
        ".target sm_90",
        ".target\\tsm_90",
        ".target  sm_90",
        ".target/* */sm_90",
    ] {
        let ptx = format!("const char text[] = \".version 9.0\\n{target}\\n\";");
        let path = library(&sandbox, "jit.so", &good, ".nv_fatbin", &ptx, &["-shared"]);
        let seen = look(&sandbox, &path, 1);
        assert_eq!(seen["faults"][0]["code"], "stray", "{target}");
    }
}

#[test]
fn unlinked_relocatable_code_is_found() {
    let sandbox = Sandbox::new();
    let good = fixture("sm_100a_zstd");
    let register =
        "extern void __cudaRegisterLinkedBinary_a(void); void born(void) { __cudaRegisterLinkedBinary_a(); }";
    let path = library(
        &sandbox,
        "rdc.so",
        &good,
        "__nv_relfatbin",
        register,
        &["-shared"],
    );
    assert_eq!(look(&sandbox, &path, 1)["faults"][0]["code"], "unlinked");
    let path = library(&sandbox, "rdc.o", &good, "__nv_relfatbin", register, &["-c"]);
    look(&sandbox, &path, 0);
}

/// The linked image has no kernel `scale`, although the input of the device linker has it.
#[test]
fn dropped_kernel_is_missing() {
    let sandbox = Sandbox::new();
    // The linked image is the same container, with the kernels renamed.
    let mut renamed = std::fs::read(fixture("sm_100a_plain")).unwrap();
    while let Some(at) = memchr::memmem::find(&renamed, b".scale\0") {
        renamed[at..at + 6].copy_from_slice(b".other");
    }
    let image = sandbox.path("image.fatbin");
    std::fs::write(&image, renamed).unwrap();
    let input = format!(
        "__asm__(\".section __nv_relfatbin,\\\"a\\\"\\n.balign 8\\n.incbin \\\"{}\\\"\\n.previous\\n\");",
        fixture("sm_100a_zstd").display()
    );
    let path = library(&sandbox, "rdc.so", &image, ".nv_fatbin", &input, &["-shared"]);
    for (kernel, code) in [("other", 0), ("scale", 1)] {
        let out = sandbox
            .gates(["kernels", "inspect", path.to_str().unwrap(), "--expect", kernel])
            .run()
            .exits(code);
        assert!(out.stdout.contains("sm_100a"), "{}", out.stdout);
    }
}

#[test]
fn missing_kernels_are_named() {
    let sandbox = Sandbox::new();
    let good = fixture("sm_100a_zstd");
    let path = good.to_str().unwrap();
    sandbox
        .gates(["kernels", "inspect", path, "--expect", "add"])
        .run()
        .exits(0)
        .prints("1576 bytes");
    let out = sandbox
        .gates(["kernels", "inspect", path, "--expect", "moe_gather"])
        .run()
        .exits(1);
    assert!(out.stdout.contains("`moe_gather`"), "{}", out.stdout);

    let source = sandbox.path("host.c");
    std::fs::write(&source, "int entry(void) { return 0; }\n").unwrap();
    let host = sandbox.path("host.so");
    assert!(
        Command::new("cc")
            .arg("-shared")
            .arg("-o")
            .arg(&host)
            .arg(&source)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(look(&sandbox, &host, 1)["faults"][0]["code"], "no_device_code");
}

#[test]
fn other_files_are_not_libraries() {
    let sandbox = Sandbox::new();
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("text", b"hello"),
        ("cut.so", b"\x7fELF\x02\x01\x01"),
        ("cut.fatbin", b"\x50\xed\x55\xba"),
    ] {
        sandbox.file(name, bytes);
        look(&sandbox, &sandbox.repo().join(name), 1);
    }
    let out = sandbox
        .gates(["kernels", "inspect", "/dev/null", "."])
        .run()
        .exits(2);
    assert!(out.stderr.contains("not a regular file"), "{}", out.stderr);
    sandbox
        .gates(["kernels", "inspect", "absent.so"])
        .run()
        .exits(2)
        .reports("error: cannot read absent.so: No such file");
    let fifo = sandbox.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    sandbox
        .gates(["kernels", "inspect", fifo.to_str().unwrap()])
        .run()
        .exits(2)
        .reports("it is not a regular file");
}

#[test]
fn kernel_exceeding_its_pin_fails() {
    let sandbox = Sandbox::new();
    let good = fixture("sm_100a_zstd");
    let path = good.to_str().unwrap();
    let printed = sandbox
        .gates(["kernels", "inspect", path, "--print-pins"])
        .run()
        .exits(0);
    let pins = printed.stdout.to_string();
    assert!(
        pins.contains("[scale]\nregisters = 8\nstack = 0\nshared = 0\nspills = 0\n"),
        "{pins}"
    );
    for (pins, code, says) in [
        (pins.clone(), 0, "[]"),
        (
            pins.replace("registers = 8", "registers = 7"),
            1,
            "`scale`: registers 8, pinned to 7",
        ),
        (
            format!("{pins}[other]\nregisters = 9\n"),
            1,
            "`other`: pinned, and in no library",
        ),
    ] {
        sandbox.file("pins.toml", &pins);
        let seen = sandbox
            .gates([
                "kernels",
                "inspect",
                path,
                "--pin",
                "pins.toml",
                "--format",
                "json",
            ])
            .run()
            .exits(code)
            .json();
        let exceeded = seen["exceeded"].to_string();
        assert!(exceeded.contains(says), "{exceeded}");
    }
    sandbox.file("pins.toml", "");
    sandbox
        .gates(["kernels", "inspect", path, "--pin", "pins.toml"])
        .run()
        .exits(2)
        .reports("error: pins.toml pins no kernel");
    let other = fixture("sm_90a_zstd");
    let seen = sandbox
        .gates([
            "kernels",
            "inspect",
            path,
            "--base",
            other.to_str().unwrap(),
            "--format",
            "json",
        ])
        .run()
        .exits(0)
        .json();
    assert!(seen["changes"].is_array(), "{seen}");
}

/// NVSHMEM's device library brings relocatable code for other GPUs next to a linked image that is clean.
#[test]
fn foreign_relocatable_code_is_allowed_by_digest() {
    let sandbox = Sandbox::new();
    let input = format!(
        "__asm__(\".section __nv_relfatbin,\\\"a\\\"\\n.balign 8\\n.incbin \\\"{}\\\"\\n.incbin \\\"{}\\\"\\n.previous\\n\");",
        fixture("sm_90a_zstd").display(),
        fixture("ptx_zstd").display()
    );
    let path = library(
        &sandbox,
        "rdep.so",
        &fixture("sm_100a_zstd"),
        ".nv_fatbin",
        &input,
        &["-shared"],
    );
    let seen = look(&sandbox, &path, 1);
    assert_eq!(seen["faults"].as_array().unwrap().len(), 1, "{seen}");
    assert_eq!(seen["faults"][0]["code"], "foreign_relocatable", "{seen}");
    assert_eq!(seen["foreign"]["entries"], 2);
    let digest = seen["foreign"]["digest"].as_str().unwrap();
    let path = path.to_str().unwrap();
    for (digest, code) in [(digest, 0), (&"0".repeat(64), 1)] {
        sandbox
            .gates(["kernels", "inspect", path, "--allow-foreign", digest])
            .run()
            .exits(code)
            .prints("sm_100a");
    }
    // In the section for linked code, nothing is allowed.
    let both = fixture("both_zstd");
    let path = library(&sandbox, "both.so", &both, ".nv_fatbin", "", &["-shared"]);
    assert_eq!(look(&sandbox, &path, 1)["foreign"], Value::Null);
}

#[test]
fn containers_of_large_data_and_archives_are_read() {
    let sandbox = Sandbox::new();
    for (name, fault) in [("sm_100a_zstd", None), ("sm_90a_zstd", Some("other_arch"))] {
        let path = library(&sandbox, "cute.so", &fixture(name), ".lrodata", "", &["-shared"]);
        let seen = look(&sandbox, &path, i32::from(fault.is_some()));
        assert_eq!(seen["faults"][0]["code"].as_str(), fault, "{seen}");
        assert_eq!(seen["entries"][0]["section"], ".lrodata");
    }
    let objects: Vec<PathBuf> = ["sm_100a_zstd", "sm_90a_zstd"]
        .map(|name| {
            library(
                &sandbox,
                &format!("{name}.o"),
                &fixture(name),
                ".nv_fatbin",
                "",
                &["-c"],
            )
        })
        .into();
    let archive = sandbox.path("both.a");
    let mut ar = Command::new("ar");
    ar.arg("rcs").arg(&archive).args(&objects);
    assert!(ar.status().unwrap().success());
    let seen = look(&sandbox, &archive, 1);
    assert_eq!(seen["kind"], "archive");
    assert_eq!(seen["entries"].as_array().unwrap().len(), 2, "{seen}");
    assert_eq!(seen["faults"][0]["code"], "other_arch");
}

/// The driver compiles Tile IR, so a library with it runs on any GPU. The bytes are those of NVIDIA's own `fatbinary`.
#[test]
fn tile_ir_entries_are_named() {
    let sandbox = Sandbox::new();
    let seen = |path: &Path| {
        let seen = look(&sandbox, path, 1);
        assert_eq!(seen["faults"][0]["code"], "tile_ir", "{seen}");
        let kinds = seen["entries"].as_array().unwrap().iter();
        kinds
            .map(|e| (e["kind"].to_string(), e["sm"].as_u64()))
            .collect::<Vec<_>>()
    };
    let tile = ("\"tile\"".to_owned(), Some(100));
    let cubin = ("\"cubin\"".to_owned(), Some(100));
    assert_eq!(seen(&fixture("tile_zstd")), std::slice::from_ref(&tile));
    // A container with machine code before it, in a library, an object and an archive.
    let both = sandbox.path("both.fatbin");
    let bytes = ["sm_100a_zstd", "tile_zstd"].map(|name| std::fs::read(fixture(name)).unwrap());
    std::fs::write(&both, bytes.concat()).unwrap();
    let shared = library(&sandbox, "both.so", &both, ".nv_fatbin", "", &["-shared"]);
    assert_eq!(seen(&shared), [cubin.clone(), tile.clone()]);
    let object = library(&sandbox, "both.o", &both, ".nv_fatbin", "", &["-c"]);
    let archive = sandbox.path("both.a");
    let mut ar = Command::new("ar");
    ar.arg("rcs").arg(&archive).arg(&object);
    assert!(ar.status().unwrap().success());
    assert_eq!(seen(&archive), [cubin, tile]);
    sandbox
        .gates(["kernels", "inspect", archive.to_str().unwrap()])
        .run()
        .exits(1)
        .prints("is Tile IR: the driver would compile it for other GPUs too");
}

/// An entry of a container, for `sm_100a`.
fn entry(flag: u64, payload: &[u8], size: u64) -> Vec<u8> {
    let mut header = [0; 64];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &2_u16.to_le_bytes());
    put(4, &64_u32.to_le_bytes());
    put(8, &(payload.len() as u64).to_le_bytes());
    put(16, &u32::try_from(payload.len()).unwrap().to_le_bytes());
    put(28, &100_u32.to_le_bytes());
    put(40, &(flag | 0x10_0000).to_le_bytes());
    put(56, &size.to_le_bytes());
    [header.as_slice(), payload].concat()
}

/// A Zstandard frame of 16 bytes for each 512 KiB of zeros.
fn zstd_zeros(blocks: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
    for n in 0..blocks {
        let header = u32::from(n + 1 == blocks) | 1 << 1 | (128 << 10) << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// An LZ4 block of one match, and five bytes.
fn lz4_zeros(size: usize) -> Vec<u8> {
    let length = size - 1 - 5 - 19;
    let mut block = vec![0x1f, 0, 1, 0];
    block.extend(vec![255; length / 255]);
    block.push(u8::try_from(length % 255).unwrap());
    block.extend([0x50, 0, 0, 0, 0, 0]);
    block
}

/// Containers of a few KiB or MiB that claim, or really have, gigabytes. The program may use 1 GiB of address space.
#[test]
fn slow_hostile_fatbin_fits_in_one_gib() {
    let size = 500 << 20;
    let zeros = zstd_zeros(size / (128 << 10));
    let empty = entry(0, &[], 0);
    let two = [
        entry(0x2000, &lz4_zeros(size), size as u64),
        entry(0x8000, &zeros, size as u64),
    ]
    .concat();
    for (what, body, says) in [
        ("two that unpack to 500 MiB each", two, "0 kernels"),
        (
            "one claims a terabyte",
            entry(0x8000, &zeros, 1 << 40),
            "would unpack to more than",
        ),
        (
            "one claims 1 GiB",
            entry(0x8000, &zeros, 1 << 30),
            "would unpack to more than",
        ),
        ("a smaller claim", entry(0x8000, &zeros, 1 << 20), "another size"),
        ("a million empty ones", empty.repeat(1 << 20), "more entries"),
    ] {
        let sandbox = Sandbox::new();
        let head = [0x50, 0xed, 0x55, 0xba, 1, 0, 0x10, 0];
        sandbox.file(
            "bomb.fatbin",
            [&head, &(body.len() as u64).to_le_bytes(), body.as_slice()].concat(),
        );
        let shell = ["bash", "-c", "ulimit -v 1048576; exec \"$@\"", "bounded"];
        let call = sandbox.gates(["kernels", "inspect", "bomb.fatbin"]);
        let output = call.under(&shell).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_bounded = output.status.code() == Some(1) && (says == "0 kernels" || text.contains(says));
        assert!(is_bounded, "{what}: {} {text}", output.status);
    }
}
