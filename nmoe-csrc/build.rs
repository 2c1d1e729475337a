//! Compiles the kernels: for `sm_100a` if nvcc is found, and for the host if a C++ compiler is found.
//!
//! | variable | effect |
//! |---|---|
//! | `NVCC`, `CUDA_HOME`, `CUDA_PATH`, `PATH` | where to find nvcc, in this order; then `/usr/local/cuda` |
//! | `NMOE_REQUIRE_CUDA=1` | fail without nvcc, instead of building only for the host |
//! | `NMOE_KERNELS_ARCH` | must be `sm_100a`; any other value is an error |
//! | `NMOE_KERNELS_OUT` | a folder for copies of the libraries |
//! | `NMOE_KERNELS_BUILD` | a new value makes Cargo run this script again |
//! | `NMOE_RUN_NONCE` | the nonce of the run, for the stamp |

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

type Outcome<T> = Result<T, Box<dyn Error>>;

const ARCH: &str = "sm_100a";
const DEVICE_FLAGS: [&str; 8] = [
    "-std=c++17",
    "-O3",
    "--extended-lambda",
    "-fmad=false",
    "-gencode",
    "arch=compute_100a,code=sm_100a",
    "-Xcompiler",
    "-fPIC,-fvisibility=hidden,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics",
];
const HOST_FLAGS: [&str; 7] = [
    "-std=c++17",
    "-O2",
    "-ffp-contract=off",
    "-fPIC",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
];
/// Kernels that an inspection must find in the library.
const KERNELS: [&str; 9] = [
    "nmoe_mxfp8_quantize_kernel",
    "nmoe_nvfp4_quantize_kernel",
    "nmoe_expert_walk_kernel",
    "nmoe_expert_offsets_kernel",
    "nmoe_block_quantize_e4m3_kernel",
    "nmoe_block_quantize_e2m1_kernel",
    "nmoe_swiglu_quantize_e4m3_kernel",
    "nmoe_swiglu_quantize_e2m1_kernel",
    "nmoe_dispatch_plan_kernel",
];

fn main() {
    if let Err(error) = build() {
        println!("cargo::error={error}");
        std::process::exit(1);
    }
}

fn build() -> Outcome<()> {
    for input in ["build.rs", "Cargo.toml", "include", "src"] {
        println!("cargo::rerun-if-changed={input}");
    }
    for name in [
        "NVCC",
        "CUDA_HOME",
        "CUDA_PATH",
        "NMOE_REQUIRE_CUDA",
        "NMOE_KERNELS_ARCH",
        "NMOE_KERNELS_OUT",
        "NMOE_KERNELS_BUILD",
        "NMOE_RUN_NONCE",
    ] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let out = PathBuf::from(var("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let device = out.join("libnmoe_kernels.so");
    let host = out.join("libnmoe_kernels_host.so");
    let copies = var("NMOE_KERNELS_OUT").map(PathBuf::from);
    // Remove old libraries first, so that a failed build leaves no stale library.
    for library in [&device, &host] {
        remove(library)?;
        if let Some(folder) = &copies {
            remove(&folder.join(library.file_name().unwrap_or_default()))?;
        }
    }
    match var("NMOE_KERNELS_ARCH") {
        Some(arch) if arch != ARCH => {
            return Err(
                format!("these kernels are for {ARCH} alone; NMOE_KERNELS_ARCH asks for {arch}").into(),
            );
        }
        _ => {}
    }
    let mut built = Vec::new();
    match compiler() {
        Some(cxx) => {
            build_host(&cxx, &out, &host)?;
            println!("cargo::rustc-env=NMOE_KERNELS_HOST={}", host.display());
            built.push(host);
        }
        None => println!("cargo::warning=no C++ compiler found: skipping the host build of the kernels"),
    }
    match nvcc() {
        Some(nvcc) => {
            build_device(&nvcc, &out, &device)?;
            println!("cargo::rustc-env=NMOE_KERNELS_DEVICE={}", device.display());
            built.push(device);
        }
        None if var("NMOE_REQUIRE_CUDA").is_some_and(|v| v == "1") => {
            return Err(
                "no nvcc found: set NVCC or CUDA_HOME, or add nvcc to PATH (CUDA 12.9 or later)".into(),
            );
        }
        None => println!(
            "cargo::warning=no nvcc found: skipping the sm_100a library, building only the host library"
        ),
    }
    if let Some(folder) = &copies {
        std::fs::create_dir_all(folder)?;
        for library in &built {
            std::fs::copy(library, folder.join(library.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

fn build_host(cxx: &cc::Tool, out: &Path, library: &Path) -> Outcome<()> {
    let version = first_line(cxx.to_command().arg("--version"))?;
    let stamp = write_stamp(out, "host", &HOST_FLAGS.join(" "), &version, &[])?;
    run(cxx
        .to_command()
        .args(HOST_FLAGS)
        .args(["-shared", "-s", "-Wl,-z,defs", "-Iinclude", "-Isrc", "-o"])
        .arg(library)
        .arg("src/host.cpp")
        .arg(stamp))
}

fn build_device(nvcc: &Path, out: &Path, library: &Path) -> Outcome<()> {
    let printed = output(Command::new(nvcc).arg("--version"))?;
    let version = printed
        .lines()
        .find_map(|line| line.split(", V").nth(1))
        .map(|version| format!("nvcc {version}"))
        .ok_or("nvcc --version prints no version")?;
    let cxx = compiler().ok_or("nvcc needs a C++ compiler, but none was found")?;
    let mut objects = Vec::new();
    // One call per file: `cc` compiles several files as relocatable device code, which needs a device link step.
    for file in ["src/kernels.cu", "src/checks.cu"] {
        let compiled = cc::Build::new()
            .cuda(true)
            .compiler(nvcc)
            // Only the flags that the stamp records.
            .no_default_flags(true)
            .warnings(false)
            .cargo_metadata(false)
            .flags(DEVICE_FLAGS)
            .include("include")
            .include("src")
            .file(file)
            .try_compile_intermediates()?;
        objects.extend(compiled);
    }
    let stamp = write_stamp(out, ARCH, &DEVICE_FLAGS.join(" "), &version, &KERNELS)?;
    let root = nvcc
        .parent()
        .and_then(Path::parent)
        .ok_or("the path of nvcc has no parent folder")?;
    let mut link = cxx.to_command();
    link.args(["-shared", "-s", "-fPIC", "-Wl,-z,defs", "-Iinclude", "-o"])
        .arg(library)
        .args(objects)
        .arg(stamp);
    for folder in ["lib64", "lib", "targets/x86_64-linux/lib"] {
        link.arg(format!("-L{}", root.join(folder).display()));
    }
    run(link.args([
        "-static-libgcc",
        "-static-libstdc++",
        "-lcudart_static",
        "-ldl",
        "-lrt",
        "-lpthread",
    ]))
}

/// Writes the stamp as C++ source: an ELF note, and the function that returns its text.
fn write_stamp(out: &Path, arch: &str, flags: &str, compiler: &str, kernels: &[&str]) -> Outcome<PathBuf> {
    let commit = git(&["rev-parse", "HEAD"]);
    let dirty = git(&["status", "--porcelain", "--", "."]).is_some_and(|s| !s.is_empty());
    let kernels: Vec<String> = kernels.iter().map(|k| json(k)).collect();
    let text = format!(
        "{{\"schema\":1,\"abi\":1,\"arch\":{},\"sources\":{},\"flags\":{},\"compiler\":{},\"commit\":{},\"dirty\":{dirty},\"nonce\":{},\"kernels\":[{}]}}",
        json(arch),
        json(&digest(flags, compiler)?),
        json(flags),
        json(compiler),
        commit.map_or("null".to_owned(), |c| json(&c)),
        var("NMOE_RUN_NONCE")
            .filter(|n| !n.is_empty())
            .map_or("null".to_owned(), |n| json(&n)),
        kernels.join(","),
    );
    let bytes: Vec<String> = text.bytes().map(|b| b.to_string()).collect();
    let size = bytes.len();
    let source = format!(
        "#include <stdint.h>\n#include \"nmoe_kernels.h\"\n\
         struct Note {{ uint32_t name_size, size, type; char name[8]; char text[{size} + 1]; }};\n\
         extern \"C\" __attribute__((section(\".note.nmoe\"), used, aligned(4))) const Note nmoe_note = \
         {{5, {size}, 1, \"NMOE\", {{{}, 0}}}};\n\
         extern \"C\" const char *nmoe_stamp(void) {{ return nmoe_note.text; }}\n",
        bytes.join(",")
    );
    let path = out.join(format!("stamp_{arch}.cpp"));
    std::fs::write(&path, source)?;
    Ok(path)
}

/// Computes the digest of all sources, the flags and the compiler. `nmoe-gates` computes the same from the checkout.
fn digest(flags: &str, compiler: &str) -> Outcome<String> {
    let mut files = Vec::new();
    for name in ["build.rs", "Cargo.toml", "include", "src"] {
        gather(Path::new(name), &mut files)?;
    }
    files.sort();
    let mut listing = String::new();
    for file in &files {
        writeln!(
            listing,
            "{}  {}",
            hex(&Sha256::digest(std::fs::read(file)?)),
            file.display()
        )?;
    }
    write!(listing, "flags {flags}\ncompiler {compiler}\n")?;
    Ok(hex(&Sha256::digest(listing.as_bytes())))
}

fn gather(path: &Path, files: &mut Vec<PathBuf>) -> Outcome<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            gather(&entry?.path(), files)?;
        }
    } else {
        files.push(path.to_owned());
    }
    Ok(())
}

fn compiler() -> Option<cc::Tool> {
    let tool = cc::Build::new()
        .cpp(true)
        .no_default_flags(true)
        .warnings(false)
        .cargo_metadata(false)
        .try_get_compiler()
        .ok()?;
    tool.to_command()
        .arg("--version")
        .output()
        .is_ok_and(|o| o.status.success())
        .then_some(tool)
}

fn nvcc() -> Option<PathBuf> {
    let homes = ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .filter_map(var)
        .map(|home| Path::new(&home).join("bin/nvcc"));
    let on_path = var("PATH").unwrap_or_default();
    var("NVCC")
        .map(PathBuf::from)
        .into_iter()
        .chain(homes)
        .chain(std::env::split_paths(&on_path).map(|folder| folder.join("nvcc")))
        .chain([PathBuf::from("/usr/local/cuda/bin/nvcc")])
        .find(|path| path.is_file())
}

fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn remove(path: &Path) -> Outcome<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot delete {}: {e}", path.display()).into())
        }
        _ => Ok(()),
    }
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn output(command: &mut Command) -> Outcome<String> {
    let output = command
        .output()
        .map_err(|e| format!("cannot run {command:?}: {e}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn first_line(command: &mut Command) -> Outcome<String> {
    Ok(output(command)?
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned())
}

fn run(command: &mut Command) -> Outcome<()> {
    let output = command
        .output()
        .map_err(|e| format!("cannot run {command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "the compiler failed ({}): {}",
        output.status,
        stderr.lines().take(20).collect::<Vec<_>>().join(" / ")
    )
    .into())
}

fn json(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
