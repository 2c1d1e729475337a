//! Checks that a contract names the invariants that the settings require: by id, or by a sentence with their words.

use crate::document::Node;
use crate::document::node::Entry;
use crate::domain::settings::Invariant;
use crate::domain::suggest::{did_you_mean, nearest};
use crate::lint::codes::contract::MISSING_INVARIANT;
use crate::lint::diagnostics::Diagnostics;

/// Reports each required invariant that no entry names.
pub fn check(diagnostics: &mut Diagnostics<'_>, entry: &Entry, required: &[Invariant]) {
    let sentences: Vec<String> = entry.node.items().iter().map(sentence).collect();
    if sentences.is_empty() {
        return;
    }
    let words: Vec<Vec<String>> = sentences.iter().map(|text| words(text)).collect();
    for invariant in required {
        if sentences.iter().any(|text| text.trim() == invariant.id)
            || words.iter().any(|said| names(said, invariant))
        {
            continue;
        }
        let meant = nearest(&invariant.id, sentences.iter().map(String::as_str));
        let message = format!("the invariant \"{}\" is missing", invariant.text);
        diagnostics
            .report(&MISSING_INVARIANT, &entry.key_span, message)
            .help = Some(match meant {
            Some(_) => did_you_mean(&invariant.id),
            None => format!(
                "add `{}`, or a sentence that contains {}",
                invariant.id,
                wanted(invariant)
            ),
        });
    }
}

/// Returns the sentence of an entry. An unquoted `: ` makes an entry a map; its key and value form the sentence.
fn sentence(item: &Node) -> String {
    let pairs = item
        .entries()
        .iter()
        .map(|e| format!("{} {}", e.key, e.node.text().unwrap_or_default()));
    item.text().map_or_else(|| pairs.collect(), str::to_owned)
}

/// Splits a text into words, in lower case. `all-to-all` and `sm_100a` are several words.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether a sentence names an invariant: one of its phrases, and one of the words that must stand with it.
fn names(said: &[String], invariant: &Invariant) -> bool {
    let has = |phrase: &String| {
        let phrase = words(phrase);
        !phrase.is_empty()
            && said.windows(phrase.len()).any(|part| {
                part.iter()
                    .zip(&phrase)
                    .all(|(word, wanted)| is_form_of(word, wanted))
            })
    };
    invariant.any.iter().any(has) && (invariant.with.is_empty() || invariant.with.iter().any(has))
}

/// Whether a word is the wanted one, also in the plural.
fn is_form_of(word: &str, wanted: &str) -> bool {
    word.strip_prefix(wanted)
        .is_some_and(|rest| matches!(rest, "" | "s"))
}

fn wanted(invariant: &Invariant) -> String {
    let list = |words: &[String]| {
        let first: Vec<String> = words.iter().take(3).map(|word| format!("`{word}`")).collect();
        first.join(" or ")
    };
    match invariant.with.as_slice() {
        [] => list(&invariant.any),
        with => format!("{} together with {}", list(&invariant.any), list(with)),
    }
}
