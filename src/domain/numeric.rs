//! Defines what a numeric gate compares, and its result: the series of both sides, step by step.
//!
//! Holds numbers, fixed words and names of metrics. Must not contain text of a gate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::ids::CommitId;

/// What a change declares about the numbers that the program computes. Later variants allow more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Numerics {
    /// The same numbers.
    #[default]
    Identical,
    /// Numbers within the tolerance of the numeric gate.
    Within,
    /// Other numbers, on purpose.
    Changes,
}

impl Numerics {
    /// Returns the word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Numerics::Identical => "identical",
            Numerics::Within => "within",
            Numerics::Changes => "changes",
        }
    }
}

/// The two sides of a numeric gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sides {
    /// The baseline and the change.
    #[default]
    BaseChange,
    /// A straight run of the change, and a run that stops and resumes.
    StraightResumed,
}

impl Sides {
    /// Returns the names of both sides in messages.
    pub fn names(self) -> [&'static str; 2] {
        match self {
            Sides::BaseChange => ["base", "change"],
            Sides::StraightResumed => ["straight run", "resumed run"],
        }
    }
}

/// The comparison of a numeric gate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NumericResult {
    /// The gate whose command was compared.
    pub compare_gate: String,
    /// What the two sides are.
    pub sides: Sides,
    /// Commit of the baseline; null for a resumed run.
    pub baseline_sha: Option<CommitId>,
    /// What the contract declares.
    pub declared: Numerics,
    /// Whether all runs of the first side print the same numbers; null if nothing was compared.
    pub base_deterministic: Option<bool>,
    /// Number of runs of each side.
    pub runs: [u32; 2],
    /// Whether all runs are those of a perf gate of the same run.
    pub shared: bool,
    /// One entry for each series, in the order of the registry.
    pub series: Vec<SeriesComparison>,
    /// GPU-minutes of the runs that the perf gate did not make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_minutes: Option<f64>,
}

/// Whether the second side agrees with the first one in one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// All numbers are equal.
    Equal,
    /// Some numbers differ, all by at most the tolerance.
    Within,
    /// A number differs by more, or a step is missing.
    Differs,
    /// A number is not finite, and the first side's is.
    NotFinite,
}

/// The comparison of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeriesComparison {
    /// The metric.
    pub metric: String,
    /// Whether the sides agree.
    pub agreement: Agreement,
    /// Number of compared steps.
    pub steps: u64,
    /// The first step at which the sides differ by more than the tolerance, or at all where they agree.
    pub first_step: Option<u64>,
    /// The number of the first side at that step; null if the step is missing there or the number is not finite.
    pub base: Option<f64>,
    /// The same for the second side.
    pub change: Option<f64>,
    /// The largest relative difference of any step, percent.
    pub largest_pct: Option<f64>,
    /// The tolerance at the first differing step, in the unit of the metric; 0 means equality.
    pub tolerance: f64,
    /// The first step at which the runs of the first side differ among themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_first_step: Option<u64>,
    /// The first step at which one side has fewer numbers than the other, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_step: Option<u64>,
    /// Steps of the plotted points, evenly thinned if there were too many.
    pub plot_steps: Vec<u64>,
    /// The first side at these steps.
    pub plot_base: Vec<f64>,
    /// The second side at these steps.
    pub plot_change: Vec<f64>,
}

/// Largest relative rounding error of a stored number.
const ROUNDING: f64 = 1e-9;

impl SeriesComparison {
    /// Whether the numbers agree with the verdict of the series.
    fn is_consistent(&self) -> bool {
        let difference = self
            .base
            .zip(self.change)
            .map(|(base, change)| (change - base).abs());
        self.steps > 0
            && match self.agreement {
                Agreement::Equal => self.first_step.is_none() && difference.is_none(),
                Agreement::Within => {
                    self.first_step.is_some()
                        && difference.is_none_or(|d| d <= self.tolerance * (1.0 + ROUNDING))
                }
                Agreement::Differs | Agreement::NotFinite => self.first_step.is_some(),
            }
    }
}

impl NumericResult {
    /// Whether what was compared allows a pass.
    pub fn may_pass(&self) -> bool {
        let allowed = |series: &SeriesComparison| match series.agreement {
            Agreement::Equal | Agreement::Within => true,
            // A resumed run must compute what a straight one does, for every declaration.
            // Other numbers can be intended. A step without its numbers proves nothing.
            Agreement::Differs => {
                self.declared == Numerics::Changes
                    && self.sides == Sides::BaseChange
                    && series.missing_step.is_none()
            }
            Agreement::NotFinite => false,
        };
        let is_compared = !self.series.is_empty() && !self.runs.contains(&0);
        is_compared
            && self
                .series
                .iter()
                .all(|series| allowed(series) && series.is_consistent())
    }

    /// Whether the comparison is at most as loose as the tolerance of the gate. The spread of a first side that is not deterministic
    /// may be larger.
    pub fn is_within(&self, tolerance: Option<f64>) -> bool {
        let relative = tolerance
            .filter(|_| self.declared == Numerics::Within)
            .unwrap_or(0.0);
        self.base_deterministic != Some(true)
            || self.series.iter().all(|series| {
                let allowed = relative * series.base.unwrap_or(0.0).abs();
                series.tolerance <= allowed * (1.0 + ROUNDING)
            })
    }

    /// Formats the comparison, one line for each series, then what there is to know about the first side.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.series.iter().map(|s| self.line(s)).collect();
        lines.extend(self.finding());
        lines
    }

    /// Formats the comparison of one series.
    pub fn line(&self, series: &SeriesComparison) -> String {
        let [base, change] = self.sides.names();
        let metric = &series.metric;
        let steps = match series.steps {
            1 => "1 step".to_owned(),
            n => format!("{n} steps"),
        };
        let Some(step) = series.first_step else {
            return format!("{metric}: identical at {steps}");
        };
        let number = |value: Option<f64>| value.map_or("no finite number".to_owned(), |v| v.to_string());
        let at = format!(
            "{} in the {change}, {} in the {base}",
            number(series.change),
            number(series.base)
        );
        let most = series.largest_pct.map_or(String::new(), |most| {
            format!("; largest relative difference {}", relative(most / 100.0))
        });
        match series.agreement {
            Agreement::Equal | Agreement::Within => {
                format!("{metric}: differs within the tolerance, first at step {step}: {at}{most}")
            }
            Agreement::Differs | Agreement::NotFinite => {
                let allowed = if series.tolerance > 0.0 {
                    format!("; allowed {}", relative(series.tolerance))
                } else {
                    String::new()
                };
                let missing = series.missing_step.map_or(String::new(), |step| {
                    format!("; numbers are missing on one side, first at step {step}")
                });
                format!("{metric}: first differs at step {step}: {at}{allowed}{most}{missing}")
            }
        }
    }

    /// Formats the finding that the first side is not deterministic, if it is not.
    pub fn finding(&self) -> Option<String> {
        if self.base_deterministic != Some(false) {
            return None;
        }
        let [base, _] = self.sides.names();
        let first = self
            .series
            .iter()
            .filter_map(|s| Some((s.base_first_step?, &s.metric)))
            .min_by_key(|(step, _)| *step)?;
        Some(format!(
            "the {base} is not deterministic: its runs differ in `{}` from step {} on; the tolerance is the spread of its {} runs",
            first.1, first.0, self.runs[0]
        ))
    }
}

/// Formats a small number with the digits that matter.
fn relative(value: f64) -> String {
    if value == 0.0 || (1e-3..1e6).contains(&value.abs()) {
        let text = format!("{value:.4}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    format!("{value:.1e}")
}
