//! Records the texts that are parsed, so that a test can check that no command parses a document twice. Off by default.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

static ENABLED: AtomicBool = AtomicBool::new(false);
static TEXTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Starts to record.
#[doc(hidden)]
pub fn enable() {
    ENABLED.store(true, Ordering::Relaxed);
}

/// Returns the recorded texts, in order.
#[doc(hidden)]
pub fn take() -> Vec<String> {
    TEXTS
        .lock()
        .map(|mut texts| std::mem::take(&mut *texts))
        .unwrap_or_default()
}

/// Records that a parser reads a text.
pub(crate) fn record(text: &str) {
    if ENABLED.load(Ordering::Relaxed)
        && let Ok(mut texts) = TEXTS.lock()
    {
        texts.push(text.to_owned());
    }
}
