//! Stores the noise of identical code by gate, metric and class of machine.
//!
//! `perf calibrate` writes the table into the policy checkout, where it is reviewed like any other policy. The perf gate
//! combines stored and measured noise. The lints report a budget that is too fine for the noise.

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
    /// The compared gate.
    pub gate: String,
    /// The metric, without `_p50`.
    pub metric: String,
    /// Class of machine, such as `b200x8`; `cpu` where the gate needs no GPU.
    pub machine: String,
    /// Version of the GPU driver; absent counts for every driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Measured pairs of identical code.
    pub pairs: u32,
    /// Standard deviation of a pair's log ratio, times 100: nearly percent.
    pub sd_pct: f64,
    /// The finest usable budget, percent and negative.
    pub finest_pct: f64,
    /// The measured commit.
    pub commit: String,
    /// When, RFC 3339 in UTC.
    pub measured_at: String,
    /// Expiry, RFC 3339 in UTC (default: 180 days after `measured_at`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// How the measurements were reduced.
    #[serde(default)]
    pub estimator: Estimator,
}

/// How a measurement's values per step become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Their median.
    #[default]
    Median,
    /// The mean of the middle half of them.
    MiddleHalf,
    /// Total work over total time.
    Total,
}

impl Estimator {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Estimator::Median => "median",
            Estimator::MiddleHalf => "middle_half",
            Estimator::Total => "total",
        }
    }
}

/// A metric's name without the `_p50` that a perf gate may write after it.
pub fn metric_name(written: &str) -> &str {
    written.trim().strip_suffix("_p50").unwrap_or(written.trim())
}

/// How long a calibration counts that does not say when it expires.
const VALID: jiff::SignedDuration = jiff::SignedDuration::from_hours(180 * 24);

impl Noise {
    /// Whether the entry counts for this driver. An unknown driver can be any.
    pub fn counts_for(&self, driver: Option<&str>) -> bool {
        self.driver.is_none() || driver.is_none() || self.driver.as_deref() == driver
    }

    /// Whether the entry still counts at this time, RFC 3339. Times that cannot be read do not count as expired.
    pub fn counts_at(&self, now: &str) -> bool {
        let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
        let expires = match &self.expires {
            Some(expires) => time(expires),
            None => time(&self.measured_at).and_then(|t| t.checked_add(VALID).ok()),
        };
        match (time(now), expires) {
            (Some(now), Some(expires)) => now < expires,
            _ => true,
        }
    }
}

impl NoiseTable {
    /// Reads a table.
    ///
    /// # Errors
    /// The text is not a valid table; the message has the line.
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

    /// Returns the finest budget, percent and negative, that a calibrated machine supports for this gate. A finer budget gives
    /// mostly inconclusive verdicts. Returns `None` without a calibration.
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
            driver: None,
            pairs: 12,
            sd_pct: 0.8,
            finest_pct,
            commit: "c".to_owned(),
            measured_at: "2026-01-01T00:00:00Z".to_owned(),
            expires: None,
            estimator: Estimator::Median,
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
        let old = entry("cpu", -1.5);
        assert!(old.counts_at("2026-06-01T00:00:00Z") && !old.counts_at("2026-07-15T00:00:00Z"));
        let short = Noise {
            expires: Some("2026-02-01T00:00:00Z".to_owned()),
            ..old
        };
        assert!(!short.counts_at("2026-03-01T00:00:00Z"));
        let text = toml::to_string(&table).unwrap();
        assert_eq!(NoiseTable::read(&text).unwrap(), table);
    }
}
