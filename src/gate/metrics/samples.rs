//! Keeps the samples of one metric in bounded memory, each with its step.
//!
//! Knows no log: values in, series out.

/// Most samples that are kept in memory for one metric; beyond it every second one is dropped.
pub(super) const KEPT: usize = 1 << 20;

/// All samples of one metric, in order.
#[derive(Clone, Debug)]
pub struct Samples {
    count: u64,
    stride: u64,
    kept: Vec<f64>,
    steps: Vec<Option<u64>>,
    odd: Odd,
}

/// Samples that are unusual for what is measured, and still samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Odd {
    /// Not a number, or infinite.
    pub not_finite: u64,
    /// Zero.
    pub zero: u64,
    /// Below zero.
    pub negative: u64,
}

impl PartialEq for Samples {
    fn eq(&self, other: &Self) -> bool {
        let bits = |s: &Samples| s.kept.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        self.count == other.count && self.steps == other.steps && bits(self) == bits(other)
    }
}

impl Default for Samples {
    fn default() -> Self {
        Samples {
            count: 0,
            stride: 1,
            kept: Vec::new(),
            steps: Vec::new(),
            odd: Odd::default(),
        }
    }
}

impl Samples {
    /// Adds a sample. What is not finite is one too: it was printed where a number belongs.
    pub fn push(&mut self, value: f64, step: Option<u64>) {
        self.odd.not_finite += u64::from(!value.is_finite());
        self.odd.zero += u64::from(value == 0.0);
        self.odd.negative += u64::from(value < 0.0);
        if self.count.is_multiple_of(self.stride) {
            if self.kept.len() == KEPT {
                thin(&mut self.kept);
                thin(&mut self.steps);
                self.stride *= 2;
            }
            if self.count.is_multiple_of(self.stride) {
                self.kept.push(value);
                self.steps.push(step);
            }
        }
        self.count += 1;
    }

    /// How many samples there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The kept samples, in order: all of them up to a million.
    pub fn values(&self) -> &[f64] {
        &self.kept
    }

    /// The step of each kept sample, where the log says.
    pub fn steps(&self) -> &[Option<u64>] {
        &self.steps
    }

    /// How many samples are not finite, zero or negative.
    pub fn odd(&self) -> Odd {
        self.odd
    }

    /// The median of the finite samples; the mean of the two in the middle where their number is even.
    pub fn median(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.kept.iter().copied().filter(|v| v.is_finite()).collect();
        let middle = sorted.len() / 2;
        if sorted.is_empty() {
            return None;
        }
        let even = sorted.len().is_multiple_of(2);
        let (below, upper, _) = sorted.select_nth_unstable_by(middle, f64::total_cmp);
        let upper = *upper;
        let lower = below
            .iter()
            .copied()
            .max_by(f64::total_cmp)
            .filter(|_| even)
            .unwrap_or(upper);
        // Halved first: the sum of two large numbers need not be finite.
        Some(if lower == upper {
            upper
        } else {
            lower / 2.0 + upper / 2.0
        })
    }
}

fn thin<T>(values: &mut Vec<T>) {
    let mut nth = 0;
    values.retain(|_| {
        nth += 1;
        nth % 2 == 1
    });
}
