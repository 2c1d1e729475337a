//! Suggests what a misspelled name was meant to be, by one rule and in one wording. Knows no list of names.

/// What a misspelled word was most likely meant to be.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = word.to_lowercase();
    // A short word that is half wrong is another word.
    let reach = (wanted.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|k| (strsim::osa_distance(&wanted, &k.to_lowercase()), k))
        .filter(|(distance, k)| *distance <= reach || k.len() > 3 && wanted.len() > 3 && tail(k) == wanted)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

/// The suggestion as a question.
pub fn did_you_mean(meant: &str) -> String {
    format!("did you mean `{meant}`?")
}

/// An id without its family: `baseline_delta` of `perf:baseline_delta`.
fn tail(id: &str) -> String {
    id.rsplit(':').next().unwrap_or(id).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_word_finds_its_likely_meaning() {
        let ids = ["cpu:import", "cpu:compileall", "perf:baseline_delta"];
        assert_eq!(nearest("cpu:improt", ids), Some("cpu:import"));
        assert_eq!(nearest("baseline_delta", ids), Some("perf:baseline_delta"));
        assert_eq!(nearest("gpu:nothing_like_it", ids), None);
        assert_eq!(nearest("Hot", ["hot", "warm", "cold"]), Some("hot"));
    }
}
