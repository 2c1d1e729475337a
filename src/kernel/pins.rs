//! Compares what kernels use with their pins, and with what they used before.
//!
//! Must not inspect libraries: callers pass what each kernel uses.

use std::collections::{BTreeMap, BTreeSet};

use cuda_inspect::cubin::Usage;
use indexmap::IndexMap;
use serde::Serialize;

use crate::domain::registry::Pin;
use crate::domain::results::{PinDelta, PinNumber};

/// The pins of kernels, by name.
pub type Pins = IndexMap<String, Pin>;

/// The four numbers of a kernel.
fn numbers(usage: &Usage) -> [(PinNumber, u64); 4] {
    [
        (PinNumber::Registers, u64::from(usage.registers)),
        (PinNumber::Stack, u64::from(usage.stack)),
        (PinNumber::Shared, usage.shared),
        (PinNumber::Spills, usage.spills),
    ]
}

/// Returns what differs from the pins, in both directions. The names are those of the pins, at most [`PinDelta::MAX_NAME`] characters long.
pub fn deltas<'a>(pins: &Pins, used: impl Iterator<Item = &'a Usage>) -> Vec<PinDelta> {
    let mut found = Vec::new();
    for usage in used {
        let Some(pin) = pins.get(&usage.kernel) else {
            continue;
        };
        let limits = [pin.registers, pin.stack, pin.shared, pin.spills];
        for ((number, used), limit) in numbers(usage).into_iter().zip(limits) {
            if let Some(pinned) = limit.filter(|limit| used != *limit) {
                found.push(delta(&usage.kernel, number, pinned, used));
            }
        }
    }
    found
}

/// Returns what the kernels of the base use otherwise in the change, what grew first. A kernel that only the change has is left out.
pub fn deltas_of_base(changes: &[Change]) -> Vec<PinDelta> {
    let mut found: Vec<PinDelta> = changes
        .iter()
        .filter(|change| change.kind != "added")
        .flat_map(|change| {
            let numbers = change.numbers.iter();
            numbers.map(|(number, [old, new])| delta(&change.kernel, *number, *old, *new))
        })
        .collect();
    found.sort_by_key(|delta| delta.used <= delta.pinned);
    found
}

fn delta(kernel: &str, number: PinNumber, pinned: u64, used: u64) -> PinDelta {
    PinDelta {
        kernel: kernel.chars().take(PinDelta::MAX_NAME).collect(),
        number,
        pinned,
        used,
    }
}

/// Returns what exceeds its pin, and the pinned kernels that no library has; one sentence each.
pub fn exceeded<'a>(pins: &Pins, used: impl Iterator<Item = &'a Usage> + Clone) -> Vec<String> {
    let mut missing: BTreeSet<&str> = pins.keys().map(String::as_str).collect();
    for usage in used.clone() {
        missing.remove(usage.kernel.as_str());
    }
    let deltas = deltas(pins, used).into_iter();
    let larger = deltas.filter(|delta| delta.used > delta.pinned).map(|delta| {
        format!(
            "`{}`: {} {}, pinned to {}",
            delta.kernel,
            delta.number.as_str(),
            delta.used,
            delta.pinned
        )
    });
    let missing = missing
        .into_iter()
        .map(|kernel| format!("`{kernel}`: pinned, and in no library"));
    larger.chain(missing).collect()
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
    pub numbers: BTreeMap<PinNumber, [u64; 2]>,
}

/// Lists the kernels whose use differs between two builds.
pub fn changes<'a>(
    before: impl Iterator<Item = &'a Usage>,
    after: impl Iterator<Item = &'a Usage>,
) -> Vec<Change> {
    let named = |usage: &'a Usage| (usage.kernel.as_str(), usage);
    let before: BTreeMap<&str, &Usage> = before.map(named).collect();
    let after: BTreeMap<&str, &Usage> = after.map(named).collect();
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
                .map(|((number, old), (_, new))| (number, [old, new]))
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
            .map(|(number, [old, new])| format!("{} {old} → {new}", number.as_str()))
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
    fn deltas_have_both_directions() {
        let pins = pins_of([usage("a", 24, 3)].iter());
        let found = deltas(&pins, [usage("a", 32, 0), usage("b", 8, 0)].iter());
        let found: Vec<_> = found
            .iter()
            .map(|d| (d.number.as_str(), d.pinned, d.used))
            .collect();
        assert_eq!(found, [("registers", 24, 32), ("spills", 3, 0)]);
    }

    #[test]
    fn changes_are_listed() {
        let (before, after) = (
            [usage("a", 24, 0), usage("b", 8, 0)],
            [usage("a", 32, 0), usage("c", 8, 0)],
        );
        let changes = changes(before.iter(), after.iter());
        let found: Vec<_> = changes.iter().map(Change::message).collect();
        assert_eq!(
            found,
            [
                "changed a: registers 24 → 32",
                "removed b: registers 8 → 0",
                "added c: registers 0 → 8"
            ]
        );
        // The name of a kernel that only the change has is not published.
        let deltas = deltas_of_base(&changes);
        let kernels: Vec<_> = deltas.iter().map(|delta| delta.kernel.as_str()).collect();
        assert_eq!(kernels, ["a", "b"]);
    }
}
