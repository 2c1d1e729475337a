//! Stored noise: how far two runs of identical code lie apart, by gate, metric and class of machine.
//!
//! `perf calibrate` writes it into the policy checkout, where it is reviewed like any other policy. The perf gate blends it
//! with what it measures, and the lints refuse a budget that is finer than it allows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoiseTable {
    /// One entry per gate, metric and class of machine.
    #[serde(default)]
    pub noise: Vec<Noise>,
}

/// The noise of one metric of one gate on one class of machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// The gate that was launched.
    pub gate: String,
    /// The metric, without `_p50`.
    pub metric: String,
    /// Class of machine, such as `b200x8`; `cpu` where the gate needs no GPU.
    pub machine: String,
    /// Pairs of identical arms that were launched.
    pub pairs: u32,
    /// Standard deviation of a pair's log ratio, times 100: nearly percent.
    pub sd_pct: f64,
    /// The finest budget, percent and negative, that the gate can hold a change to.
    pub finest_pct: f64,
    /// Commit that was launched against itself.
    pub commit: String,
    /// When, RFC 3339 in UTC.
    pub measured_at: String,
}

/// A metric's name without the `_p50` that a perf gate may write after it.
pub fn metric_name(written: &str) -> &str {
    written.trim().strip_suffix("_p50").unwrap_or(written.trim())
}

impl NoiseTable {
    /// Reads a table.
    ///
    /// # Errors
    /// The text is no such table; the message says where.
    pub fn read(text: &str) -> Result<NoiseTable, toml::de::Error> {
        toml::from_str(text)
    }

    /// The noise of this gate and metric on this class of machine.
    pub fn of(&self, gate: &str, metric: &str, machine: &str) -> Option<&Noise> {
        let metric = metric_name(metric);
        self.noise
            .iter()
            .find(|n| n.gate == gate && n.metric == metric && n.machine == machine)
    }

    /// The finest budget, percent and negative, that any calibrated machine can hold this gate to; `None` where none was
    /// calibrated. A budget between it and zero cannot be judged.
    pub fn finest_pct(&self, gate: &str, metric: &str) -> Option<f64> {
        let metric = metric_name(metric);
        self.noise
            .iter()
            .filter(|n| n.gate == gate && n.metric == metric && n.finest_pct < 0.0)
            .map(|n| n.finest_pct)
            .max_by(f64::total_cmp)
    }

    /// Puts an entry in the place of the one it replaces, or at the end.
    pub fn put(&mut self, entry: Noise) {
        let same = |n: &Noise| n.gate == entry.gate && n.metric == entry.metric && n.machine == entry.machine;
        match self.noise.iter_mut().find(|n| same(n)) {
            Some(old) => *old = entry,
            None => self.noise.push(entry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(machine: &str, finest_pct: f64) -> Noise {
        Noise {
            gate: "g".to_owned(),
            metric: "node_tps".to_owned(),
            machine: machine.to_owned(),
            pairs: 12,
            sd_pct: 0.8,
            finest_pct,
            commit: "c".to_owned(),
            measured_at: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn the_quietest_machine_says_what_can_be_seen() {
        let mut table = NoiseTable::default();
        table.put(entry("b200x8", -3.0));
        table.put(entry("cpu", -1.5));
        table.put(entry("cpu", -2.0));
        assert_eq!(table.noise.len(), 2);
        assert_eq!(table.finest_pct("g", "node_tps_p50"), Some(-2.0));
        assert_eq!(table.finest_pct("h", "node_tps"), None);
        assert!(table.of("g", "node_tps_p50", "b200x8").is_some());
        let text = toml::to_string(&table).unwrap();
        assert_eq!(NoiseTable::read(&text).unwrap(), table);
    }
}
