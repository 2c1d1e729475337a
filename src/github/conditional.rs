//! Remembers answers with their `ETag`, so that a repeated request can ask whether the answer has changed. An answer 304 does not
//! count against GitHub's rate limit:
//! <https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate>.
//!
//! A file can keep the answers for the next process. It is private and sealed with the token: without the token no process can plant
//! an answer, and another token makes the file worthless. An answer counts only after GitHub has said 304 to the present token, so a
//! lost permission is noticed. Must not send requests.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::system::digest;
use crate::system::files;

/// The most answers that are remembered, and the most bytes of one answer and of all.
const ANSWERS: usize = 256;
const LARGEST: usize = 4 << 20;
const ALL: usize = 32 << 20;

/// What is remembered of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub tag: String,
    pub content_type: Option<String>,
    /// The header `Link`.
    pub link: Option<String>,
    /// Only text is kept.
    pub body: String,
}

/// Answers by their URL.
#[derive(Default)]
pub struct Conditional {
    known: Mutex<Known>,
    store: Option<Store>,
}

#[derive(Default)]
struct Known {
    answers: HashMap<String, Answer>,
    /// The URLs of this process. If there are too many answers, those of others are dropped first.
    used: Vec<String>,
    has_changed: bool,
}

/// The file for the next process, and the key of its seal.
struct Store {
    path: PathBuf,
    key: Vec<u8>,
}

impl Conditional {
    /// Reads the answers of earlier processes, and keeps those of this one in the same file. A file that is absent, damaged or sealed
    /// with another key has no answers.
    pub fn stored(path: PathBuf, key: Vec<u8>) -> Self {
        let answers = read(&path, &key).unwrap_or_default();
        Conditional {
            known: Mutex::new(Known {
                answers,
                ..Known::default()
            }),
            store: Some(Store { path, key }),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the answer that is known for a URL.
    pub fn answer(&self, url: &str) -> Option<Answer> {
        let mut known = self.known();
        let answer = known.answers.get(url).cloned()?;
        known.used.push(url.to_owned());
        Some(answer)
    }

    /// Remembers an answer, or forgets an older one if there is none that can be remembered.
    pub fn remember(&self, url: &str, answer: Option<Answer>) {
        let mut known = self.known();
        let before = known.answers.remove(url);
        known.has_changed |= before.is_some() || answer.is_some();
        if let Some(answer) = answer.filter(|answer| answer.body.len() <= LARGEST) {
            known.used.push(url.to_owned());
            if known.answers.len() >= ANSWERS {
                let old = known.answers.keys().find(|url| !known.used.contains(url));
                let Some(old) = old.cloned() else { return };
                known.answers.remove(&old);
            }
            known.answers.insert(url.to_owned(), answer);
        }
    }
}

impl Drop for Conditional {
    fn drop(&mut self) {
        let known = self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = self.store.as_ref().filter(|_| known.has_changed) {
            // Without the file the next process only needs more requests.
            let _ = store.write(known);
        }
    }
}

impl Store {
    fn write(&self, known: &Known) -> Option<()> {
        let mut answers: Vec<(&String, &Answer)> = known.answers.iter().collect();
        answers.sort_by_key(|(url, _)| (!known.used.contains(url), *url));
        let mut bytes = 0;
        answers.retain(|(url, answer)| {
            bytes += url.len() + answer.body.len();
            bytes <= ALL
        });
        let answers: HashMap<&String, &Answer> = answers.into_iter().collect();
        let text = serde_json::to_string(&answers).ok()?;
        let seal = digest::keyed(&self.key, text.as_bytes());
        files::private_dir(self.path.parent()?).ok()?;
        files::replace(&self.path, format!("{seal}\n{text}").as_bytes(), false).ok()
    }
}

/// Reads the answers of a file that is sealed with this key.
fn read(path: &Path, key: &[u8]) -> Option<HashMap<String, Answer>> {
    // JSON escapes quotes, so the file is larger than the bodies.
    let bytes = files::read_regular(path, 4 * ALL as u64).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (seal, text) = text.split_once('\n')?;
    (seal == digest::keyed(key, text.as_bytes()))
        .then(|| serde_json::from_str(text).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer {
        Answer {
            tag: format!("\"{body}\""),
            content_type: None,
            link: None,
            body: body.to_owned(),
        }
    }

    #[test]
    fn file_counts_only_with_its_key_and_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/answers");
        let open = |key: &str| Conditional::stored(path.clone(), key.as_bytes().to_vec());
        open("token").remember("u", Some(answer("one")));
        assert_eq!(open("token").answer("u"), Some(answer("one")));
        assert_eq!(open("other").answer("u"), None);
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("token"), "{text}");
        std::fs::write(&path, text.replace("one", "two")).unwrap();
        assert_eq!(open("token").answer("u"), None);
    }

    #[test]
    fn answers_of_earlier_processes_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        let open = || Conditional::stored(path.clone(), b"k".to_vec());
        let all = open();
        (0..ANSWERS).for_each(|n| all.remember(&format!("old {n}"), Some(answer("x"))));
        all.remember("more", Some(answer("x")));
        assert_eq!(all.answer("more"), None, "all others are of this process");
        drop(all);
        let next = open();
        next.remember("new", Some(answer("y")));
        next.remember("large", Some(answer(&"z".repeat(LARGEST + 1))));
        drop(next);
        let last = open();
        assert_eq!(
            (last.answer("new"), last.answer("large")),
            (Some(answer("y")), None)
        );
        assert_eq!(last.known().answers.len(), ANSWERS);
    }
}
