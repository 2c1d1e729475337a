//! Measures the speed of the leak scan and of redaction, and compares the scan with ripsecrets and `rg` if installed.
//!
//! `cargo bench --bench safety -- [FOLDER…]` runs the program on the folders, including its start-up. Without folders, it
//! scans the sources of the dependencies. The programs run alternately, so that the ratios are valid on a busy machine.
#![allow(clippy::print_stdout, reason = "this is a report")]

use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use leakscan::identity::Identity;
use leakscan::redact::Redactor;

#[path = "../tests/suite/support/mod.rs"]
#[allow(clippy::unwrap_used, reason = "shared with the tests")]
mod support;

use support::program::program;

/// Number of rounds; the best time of each program counts.
const TURNS: usize = 5;

fn main() {
    let folders: Vec<PathBuf> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .map(PathBuf::from)
        .collect();
    redaction();
    let folders = if folders.is_empty() {
        dependencies()
    } else {
        folders
    };
    scanning(&folders);
}

/// Generates the log of a training run, without anything to redact.
fn log(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 256);
    let mut step = 0u64;
    while text.len() < bytes {
        step += 1;
        let noise = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let (minute, second) = (step / 60 % 60, step % 60);
        let line = match step % 8 {
            0 => format!(
                "2026-03-01T12:{minute:02}:{second:02}Z INFO saved checkpoint step_{step:08} in 4.{noise} s\n"
            ),
            1 => format!(
                "[rank0]: expert load min {noise} max {step} dropped 0.00% of tokens, aux loss 0.0{noise}\n"
            ),
            2 => format!(
                "  File \"/opt/train/nmoe/moe.py\", line {noise}, in forward: return self.experts(x, index)\n"
            ),
            3 => format!(
                "nvcc warning : Function _Z{noise}kernelPKfPf is declared but never referenced, sm_100a -O3\n"
            ),
            _ => format!(
                "step {step:>8} | loss 2.{noise:<8} | lr 3.00e-04 | grad 0.{noise} | {noise} tok/s/gpu | mfu 0.41 | mem 141.2 GiB\n"
            ),
        };
        let _ = write!(text, "{line}");
    }
    text
}

fn redaction() {
    let text = log(64 << 20);
    let mut identity = Identity::none();
    identity.variable("NMOE_DATA_PATH", "/opt/datasets");
    identity.name("trainer", "[host]");
    let redactor = Redactor::new(identity);
    let (mut best, mut copy) = (Duration::MAX, Duration::MAX);
    for _ in 0..TURNS {
        let mut redactor = redactor.clone();
        let mut out = Vec::with_capacity(1 << 20);
        let mut bytes = 0;
        let from = Instant::now();
        for part in text.as_bytes().chunks(64 << 10) {
            redactor.push(part, &mut out);
            bytes += out.len();
            out.clear();
        }
        redactor.finish(&mut out);
        bytes += out.len();
        best = best.min(from.elapsed());
        assert_eq!(bytes, text.len(), "the log contains something to redact");
        let from = Instant::now();
        let lines = text.as_bytes().split(|b| *b == b'\n').count();
        copy = copy.min(from.elapsed());
        assert!(lines > 0);
    }
    println!(
        "redaction, one core, {} MB of log: {:.0} MB/s; splitting it into lines: {:.0} MB/s",
        text.len() / 1_000_000,
        rate(text.len(), best),
        rate(text.len(), copy)
    );
}

fn rate(bytes: usize, time: Duration) -> f64 {
    let bytes = bytes as f64;
    bytes / time.as_secs_f64() / 1e6
}

/// Returns the folder in which cargo stores the sources of dependencies.
fn dependencies() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    );
    vec![home.join("registry/src")]
}

fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return path.metadata().map_or(0, |m| m.len());
    };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |m| m.len()),
            _ => 0,
        })
        .sum()
}

fn scanning(folders: &[PathBuf]) {
    let bytes = usize::try_from(folders.iter().map(|folder| size(folder)).sum::<u64>()).unwrap_or(usize::MAX);
    let tools: [(&str, &str, &[&str]); 3] = [
        (
            "nmoe-gates",
            program().to_str().unwrap_or_default(),
            &["lint", "safety", "--quiet"],
        ),
        ("ripsecrets", "ripsecrets", &[]),
        (
            "rg, one literal",
            "rg",
            &[
                "--threads=2",
                "--hidden",
                "--no-ignore",
                "--text",
                "-c",
                "nothing has this",
            ],
        ),
    ];
    let mut best = [Duration::MAX; 3];
    let mut busy = [f64::MAX; 3];
    let mut peak = [0; 3];
    for _ in 0..TURNS {
        for (tool, (_, program, args)) in tools.iter().enumerate() {
            // Run a slow program only once.
            let slow = best[tool] < Duration::MAX && best[tool] > Duration::from_secs(10);
            if !slow && let Some(cost) = run(program, args, folders) {
                best[tool] = best[tool].min(cost.time);
                busy[tool] = busy[tool].min(cost.busy);
                peak[tool] = peak[tool].max(cost.memory);
            }
        }
    }
    println!("scanning {} MB, start-up included:", bytes / 1_000_000);
    for (tool, (name, ..)) in tools.iter().enumerate() {
        let time = best[tool];
        if time == Duration::MAX {
            println!("  {name}: not installed");
        } else {
            println!(
                "  {name}: {:.0} MB/s, {:.2} of our time; {:.0} MB in a second of one core; {} MB of memory",
                rate(bytes, time),
                time.as_secs_f64() / best[0].as_secs_f64(),
                bytes as f64 / 1e6 / busy[tool],
                peak[tool] / 1024
            );
        }
    }
}

/// Time and memory of one run.
struct Cost {
    time: Duration,
    /// Processor time on all cores, in seconds.
    busy: f64,
    /// Peak memory in KiB.
    memory: u64,
}

/// Runs a program. Returns `None` if it is not installed.
fn run(program: &str, args: &[&str], folders: &[PathBuf]) -> Option<Cost> {
    let from = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .args(folders)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let read = |name: &str| std::fs::read_to_string(process.join(name)).unwrap_or_default();
    let (mut busy, mut memory) = (0.0, 0);
    loop {
        let status = read("status");
        let high = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = high.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
        memory = memory.max(kib.unwrap_or(0));
        // After the name in parentheses, fields 12 and 13 are user and system time, in hundredths of a second.
        let stat = read("stat");
        let times = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: f64 = times.skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
        busy = ticks.max(busy * 100.0) / 100.0;
        if child.try_wait().ok()?.is_some() {
            let time = from.elapsed();
            return Some(Cost { time, busy, memory });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
