//! Suggests the correct name for a misspelled one. The callers pass the known names.

/// Returns the known name that is most similar to a misspelled one.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = word.to_lowercase();
    // A short word with many differences is another word.
    let reach = (wanted.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|k| (strsim::osa_distance(&wanted, &k.to_lowercase()), k))
        .filter(|(distance, k)| *distance <= reach || k.len() > 3 && wanted.len() > 3 && tail(k) == wanted)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

pub fn did_you_mean(meant: &str) -> String {
    format!("did you mean `{meant}`?")
}

/// Returns an id without its family: `baseline_delta` of `perf:baseline_delta`.
fn tail(id: &str) -> String {
    id.rsplit(':').next().unwrap_or(id).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelled_word_gets_suggestion() {
        let ids = ["cpu:import", "cpu:compileall", "perf:baseline_delta"];
        assert_eq!(nearest("cpu:improt", ids), Some("cpu:import"));
        assert_eq!(nearest("baseline_delta", ids), Some("perf:baseline_delta"));
        assert_eq!(nearest("gpu:nothing_like_it", ids), None);
        assert_eq!(nearest("Hot", ["hot", "warm", "cold"]), Some("hot"));
    }
}
