//! Compares what kernels use with their pins, and with what they used before.
//!
//! Must not inspect libraries: callers pass what each kernel uses.

use std::collections::{BTreeMap, BTreeSet};

use cuda_inspect::cubin::Usage;
use indexmap::IndexMap;
use serde::Serialize;

use crate::domain::registry::Pin;

/// The pins of kernels, by name.
pub type Pins = IndexMap<String, Pin>;

/// The four numbers of a kernel, with their names.
fn numbers(usage: &Usage) -> [(&'static str, u64); 4] {
    [
        ("registers", u64::from(usage.registers)),
        ("stack", u64::from(usage.stack)),
        ("shared", usage.shared),
        ("spills", usage.spills),
    ]
}

/// Returns what exceeds its pin, and the pinned kernels that no library has; one sentence each.
pub fn exceeded<'a>(pins: &Pins, used: impl Iterator<Item = &'a Usage>) -> Vec<String> {
    let mut found = Vec::new();
    let mut missing: BTreeSet<&str> = pins.keys().map(String::as_str).collect();
    for usage in used {
        let Some(pin) = pins.get(&usage.kernel) else {
            continue;
        };
        missing.remove(usage.kernel.as_str());
        let limits = [pin.registers, pin.stack, pin.shared, pin.spills];
        for ((name, used), limit) in numbers(usage).into_iter().zip(limits) {
            if let Some(limit) = limit.filter(|limit| used > *limit) {
                found.push(format!("`{}`: {name} {used}, pinned to {limit}", usage.kernel));
            }
        }
    }
    found.extend(
        missing
            .into_iter()
            .map(|kernel| format!("`{kernel}`: pinned, and in no library")),
    );
    found
}

/// Returns pins that these kernels exactly keep. Of kernels with one name, the larger numbers count.
pub fn pins_of<'a>(used: impl Iterator<Item = &'a Usage>) -> Pins {
    let mut pins = Pins::new();
    for usage in used {
        let pin: &mut Pin = pins.entry(usage.kernel.clone()).or_default();
        let limits = [
            &mut pin.registers,
            &mut pin.stack,
            &mut pin.shared,
            &mut pin.spills,
        ];
        for ((_, used), limit) in numbers(usage).into_iter().zip(limits) {
            *limit = (*limit).max(Some(used));
        }
    }
    pins.sort_keys();
    pins
}

/// How the use of a kernel changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Name of the kernel.
    pub kernel: String,
    /// `changed`, `added` or `removed`.
    pub kind: &'static str,
    /// What changed: before and after, by name.
    pub numbers: BTreeMap<&'static str, [u64; 2]>,
}

/// Lists the kernels whose use differs between two builds.
pub fn changes<'a>(
    before: impl Iterator<Item = &'a Usage>,
    after: impl Iterator<Item = &'a Usage>,
) -> Vec<Change> {
    let by_name = |used: &mut dyn Iterator<Item = &'a Usage>| -> BTreeMap<&'a str, &'a Usage> {
        used.map(|usage| (usage.kernel.as_str(), usage)).collect()
    };
    let (mut before, mut after) = (before, after);
    let (before, after) = (by_name(&mut before), by_name(&mut after));
    let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let nothing = Usage::default();
    names
        .into_iter()
        .filter_map(|name| {
            let (old, new) = (before.get(name), after.get(name));
            let kind = match (old, new) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            };
            let pairs = numbers(old.unwrap_or(&&nothing))
                .into_iter()
                .zip(numbers(new.unwrap_or(&&nothing)));
            let numbers: BTreeMap<_, _> = pairs
                .filter(|((_, old), (_, new))| old != new)
                .map(|((name, old), (_, new))| (name, [old, new]))
                .collect();
            (kind != "changed" || !numbers.is_empty()).then(|| Change {
                kernel: name.to_owned(),
                kind,
                numbers,
            })
        })
        .collect()
}

impl Change {
    /// Describes the change in one line.
    pub fn message(&self) -> String {
        let numbers: Vec<String> = self
            .numbers
            .iter()
            .map(|(name, [old, new])| format!("{name} {old} → {new}"))
            .collect();
        format!("{} {}: {}", self.kind, self.kernel, numbers.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(kernel: &str, registers: u32, spills: u64) -> Usage {
        Usage {
            kernel: kernel.to_owned(),
            registers,
            spills,
            ..Usage::default()
        }
    }

    #[test]
    fn only_larger_numbers_exceed_a_pin() {
        let pins = pins_of([usage("a", 24, 0), usage("b", 8, 2)].iter());
        assert!(exceeded(&pins, [usage("a", 24, 0), usage("b", 8, 1)].iter()).is_empty());
        assert_eq!(
            exceeded(&pins, [usage("a", 25, 1)].iter()),
            [
                "`a`: registers 25, pinned to 24",
                "`a`: spills 1, pinned to 0",
                "`b`: pinned, and in no library"
            ]
        );
    }

    #[test]
    fn changes_are_listed() {
        let (before, after) = (
            [usage("a", 24, 0), usage("b", 8, 0)],
            [usage("a", 32, 0), usage("c", 8, 0)],
        );
        let found: Vec<_> = changes(before.iter(), after.iter())
            .iter()
            .map(Change::message)
            .collect();
        assert_eq!(
            found,
            [
                "changed a: registers 24 → 32",
                "removed b: registers 8 → 0",
                "added c: registers 0 → 8"
            ]
        );
    }
}
