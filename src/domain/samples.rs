//! Reduces a series of samples to a number that can be recorded or drawn.

/// Returns at most `most` samples, evenly spaced, with the first and the last one.
pub fn thinned(samples: &[f64], most: usize) -> Vec<f64> {
    if samples.len() <= most {
        return samples.to_vec();
    }
    (0..most)
        .map(|i| samples[i * (samples.len() - 1) / (most - 1).max(1)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_sample_stay() {
        assert_eq!(thinned(&[1.0, 2.0, 3.0, 4.0, 5.0], 3), [1.0, 3.0, 5.0]);
        assert_eq!(thinned(&[1.0, 2.0], 3), [1.0, 2.0]);
        assert_eq!(thinned(&[1.0, 2.0], 1), [1.0]);
    }
}
