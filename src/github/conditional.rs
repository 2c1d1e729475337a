//! Remembers answers with their `ETag`, so that a repeated request can ask whether the answer has changed. An answer 304 does not
//! count against GitHub's rate limit:
//! <https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate>.
//!
//! Must not outlive the process: answers may be private.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most answers that are remembered, and the most bytes of one answer.
const ANSWERS: usize = 256;
const LARGEST: usize = 1 << 20;

/// Answers by their URL.
pub struct Conditional<R>(Mutex<HashMap<String, (String, R)>>);

impl<R> Default for Conditional<R> {
    fn default() -> Self {
        Conditional(Mutex::default())
    }
}

impl<R: Clone> Conditional<R> {
    fn known(&self) -> MutexGuard<'_, HashMap<String, (String, R)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the tag of the answer that is known for a URL.
    pub fn tag(&self, url: &str) -> Option<String> {
        self.known().get(url).map(|(tag, _)| tag.clone())
    }

    /// Returns the answer that is known for a URL.
    pub fn answer(&self, url: &str) -> Option<R> {
        self.known().get(url).map(|(_, answer)| answer.clone())
    }

    /// Remembers an answer of this many bytes.
    pub fn remember(&self, url: &str, tag: Option<&str>, bytes: usize, answer: &R) {
        let mut known = self.known();
        match tag {
            Some(tag) if bytes <= LARGEST && (known.len() < ANSWERS || known.contains_key(url)) => {
                known.insert(url.to_owned(), (tag.to_owned(), answer.clone()));
            }
            _ => {
                known.remove(url);
            }
        }
    }
}
