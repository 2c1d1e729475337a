//! Tests `kernel::inspect` with damaged bytes: no input panics, gains a kernel, or unpacks a decompression bomb.

use std::path::{Path, PathBuf};
use std::process::Command;

use cuda_inspect::arch::Arch;
use cuda_inspect::inspect::inspect;

use crate::driver::Sandbox;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/kernel")
        .join(format!("{name}.fatbin"))
}

/// Returns an object file with this container in it, as nvcc would write it.
fn object(sandbox: &Sandbox, container: &Path) -> Vec<u8> {
    let (source, output) = (sandbox.path("seed.c"), sandbox.path("seed.o"));
    let text = format!(
        "__asm__(\".section .nv_fatbin,\\\"a\\\"\\n.balign 8\\n.incbin \\\"{}\\\"\\n.previous\\n\");\nint entry(void) {{ return 0; }}\n",
        container.display()
    );
    std::fs::write(&source, text).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-c", "-fPIC", "-o"]).arg(&output).arg(&source);
    assert!(cc.status().unwrap().success());
    std::fs::read(output).unwrap()
}

#[test]
fn decompression_bomb_is_refused() {
    let mut bytes = std::fs::read(fixture("sm_100a_zstd")).unwrap();
    // The header claims 16 GiB; the reader must trust neither the claim nor the true size.
    bytes[16 + 56..16 + 64].copy_from_slice(&(16u64 << 30).to_le_bytes());
    let seen = inspect(&bytes, Arch::SM_100A, &[]);
    assert_eq!(seen.faults[0].as_str(), "unreadable");
    let mut bytes = std::fs::read(fixture("sm_100a_lz4")).unwrap();
    bytes[16 + 56..16 + 64].copy_from_slice(&(512u64 << 20).to_le_bytes());
    assert_eq!(
        inspect(&bytes, Arch::SM_100A, &[]).faults[0].as_str(),
        "unreadable"
    );
}

/// A small generator with a fixed seed, so that every run makes the same mutants.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

#[test]
fn mutated_containers_neither_panic_nor_gain_kernels() {
    let sandbox = Sandbox::new();
    let mut seeds: Vec<Vec<u8>> = [
        "sm_100a_plain",
        "sm_100a_lz4",
        "sm_100a_zstd",
        "mixed_zstd",
        "ptx_zstd",
    ]
    .iter()
    .map(|name| std::fs::read(fixture(name)).unwrap())
    .collect();
    seeds.push(object(&sandbox, &fixture("sm_100a_zstd")));
    // The container has 16 + 64 bytes of headers, then the cubin.
    seeds.push(seeds[0][16 + 112..].to_vec());
    assert_eq!(inspect(&seeds[6], Arch::SM_100A, &[]).entries.len(), 1);
    let mut dice = Random(100);
    for round in 0..10_500 {
        let mut bytes = seeds[round % seeds.len()].clone();
        match dice.below(4) {
            0 => bytes.truncate(dice.below(bytes.len())),
            1 => {
                let at = dice.below(bytes.len().saturating_sub(8));
                let value = [0, 1, u64::MAX, u64::MAX / 2, 1 << 31, 1 << 20][dice.below(6)];
                bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
            _ => {
                for _ in 0..=dice.below(8) {
                    // Half of the changes are in the headers.
                    let reach = if dice.below(2) == 0 {
                        bytes.len().min(128)
                    } else {
                        bytes.len()
                    };
                    let at = dice.below(reach);
                    bytes[at] = u8::try_from(dice.below(256)).unwrap();
                }
            }
        }
        let seen = inspect(&bytes, Arch::SM_100A, &[]);
        assert_eq!(seen.is_clean(), seen.faults.is_empty());
        if seen.is_clean() {
            assert!(seen.entries.iter().any(|e| !e.kernels.is_empty()));
        }
    }
}
