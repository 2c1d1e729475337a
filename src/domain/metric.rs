//! Defines a metric of the registry: its label in the output of a gate, its number format, and the reduction of its samples.
//!
//! Must not read logs.

use regex::bytes::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number that is read from the output of a gate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Lower-case letters, digits, `_`.
    pub name: String,
    /// Label of the number in the log, such as `elapsed time per iteration`; absent means `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Regular expression with one group around the number, instead of a label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Unit of the metric, such as `tokens/s`. A log that writes another unit of the same kind is converted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Factor for printed values; absent means 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// The decimal sign of the log; absent means `.`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<Decimal>,
    /// Whether higher or lower is better; absent means higher.
    #[serde(default)]
    pub direction: Direction,
    /// How the samples of several ranks at one step are combined; absent keeps every sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce: Option<Reduce>,
    /// The number is a running total. The sample is its growth per `step`, or per growth of the named metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// The one sample of a measurement that counts; absent means all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take: Option<Take>,
}

/// The name of the throughput of a node. The output of every gate is searched for it.
pub const NODE_TPS: &str = "node_tps";

impl Metric {
    /// Makes the metric that every gate may print, also without an entry in the registry.
    pub fn node_tps() -> Metric {
        Metric {
            unit: Some("tokens/s".to_owned()),
            ..Metric::named(NODE_TPS)
        }
    }

    /// Makes a metric that is read by its name alone.
    pub fn named(name: &str) -> Metric {
        Metric {
            name: name.to_owned(),
            ..Metric::default()
        }
    }

    /// Takes missing fields from another metric. A metric with a label or a pattern keeps both fields.
    pub fn completed_by(&self, other: &Metric) -> Metric {
        let own = self.label.is_some() || self.pattern.is_some();
        let found = |mine: &Option<String>, theirs: &Option<String>| {
            if own { mine.clone() } else { theirs.clone() }
        };
        Metric {
            name: self.name.clone(),
            label: found(&self.label, &other.label),
            pattern: found(&self.pattern, &other.pattern),
            unit: self.unit.clone().or_else(|| other.unit.clone()),
            scale: self.scale.or(other.scale),
            decimal: self.decimal.or(other.decimal),
            direction: if self.direction == Direction::default() {
                other.direction
            } else {
                self.direction
            },
            reduce: self.reduce.or(other.reduce),
            rate: self.rate.clone().or_else(|| other.rate.clone()),
            take: self.take.or(other.take),
        }
    }
}

/// A compiled pattern of a metric. The linter and the reader of logs accept the same patterns.
#[derive(Clone, Debug)]
pub struct MetricPattern(pub Regex);

impl MetricPattern {
    /// Largest compiled size, in bytes.
    const MAX_SIZE: usize = 1 << 20;

    /// Compiles a pattern. `^` and `$` match at the ends of a line.
    ///
    /// # Errors
    /// The text is not a regular expression with one group, or the compiled pattern is too large. The message says which.
    pub fn new(source: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(source)
            .multi_line(true)
            .crlf(true)
            .size_limit(Self::MAX_SIZE)
            .build()
            .map_err(|error| {
                let said = error.to_string();
                let last = said.lines().last().unwrap_or_default();
                last.trim_start_matches("error: ").to_owned()
            })?;
        match regex.captures_len() - 1 {
            1 => Ok(MetricPattern(regex)),
            groups => Err(format!(
                "it has {groups} groups; it needs exactly one, around the number"
            )),
        }
    }
}

/// Completes declared metrics from a preset, and adds the other metrics of the preset.
pub fn completed(declared: &[Metric], ready: &[Metric]) -> Vec<Metric> {
    let own = declared.iter().map(|metric| {
        let same = ready.iter().find(|m| m.name == metric.name);
        same.map_or_else(|| metric.clone(), |ready| metric.completed_by(ready))
    });
    let rest = ready
        .iter()
        .filter(|m| declared.iter().all(|own| own.name != m.name));
    own.chain(rest.cloned()).collect()
}

/// Whether higher or lower values of a metric are better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// For example throughput.
    #[default]
    Higher,
    /// For example latency, memory or loss.
    Lower,
}

impl Direction {
    /// Returns the change in percent at which a budget is used up: the budget, or its negative value if lower is better.
    pub fn edge_pct(self, budget_pct: f64) -> f64 {
        match self {
            Direction::Higher => budget_pct,
            Direction::Lower => -budget_pct,
        }
    }
}

/// The decimal separator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decimal {
    /// `118750.5`, `118,750.5`
    #[default]
    #[serde(rename = ".")]
    Point,
    /// `118750,5`, `118.750,5`
    #[serde(rename = ",")]
    Comma,
}

impl Decimal {
    /// Returns the separator.
    pub fn sign(self) -> u8 {
        match self {
            Decimal::Point => b'.',
            Decimal::Comma => b',',
        }
    }
}

/// How the samples of several ranks at one step are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reduce {
    /// The sum, for example of the throughput of parts.
    Sum,
    /// The minimum, for example of the slowest rank.
    Min,
    /// The maximum.
    Max,
    /// The mean.
    Mean,
}

impl Reduce {
    /// Combines values; `None` if there are none.
    pub fn of(self, values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
        let count = values.len() as f64;
        // NaN stays NaN.
        let pick =
            |keep: fn(f64, f64) -> bool| move |a: f64, b: f64| if a.is_nan() || keep(a, b) { a } else { b };
        match self {
            Reduce::Sum => values.reduce(|a, b| a + b),
            Reduce::Mean => values.reduce(|a, b| a + b).map(|sum| sum / count),
            Reduce::Min => values.reduce(pick(|a, b| a <= b)),
            Reduce::Max => values.reduce(pick(|a, b| a >= b)),
        }
    }
}

/// The one sample of a measurement that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// The last sample, for example a final loss.
    Last,
    /// The largest sample, for example peak memory.
    Max,
    /// The smallest sample.
    Min,
}
