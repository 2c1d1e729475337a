//! Keeps the end of the output of each gate in a file next to the results, for the person at this machine.
//!
//! The text is redacted, and bounded in size. Results, comments and other published pages must not read these files.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::domain::ids::GateId;
use crate::gate::filter::Filter;
use crate::gate::metrics::Escape;
use crate::system::files::{self, FileError};

/// The largest part of the output of one gate that is kept, in bytes.
pub const KEPT: usize = 256 << 10;
/// The number of lines that a report shows.
const SHOWN: usize = 20;
/// The longest line that a report shows, in characters.
const LINE: usize = 300;
/// The end of the name of each file.
const SUFFIX: &str = ".log";

/// Collects the end of the output of one gate after another.
pub struct Log {
    /// Redacts the output; `None` if the output is redacted already.
    filter: Option<Box<dyn Filter>>,
    filtered: Vec<u8>,
    kept: VecDeque<u8>,
    /// Whether earlier output was dropped.
    is_cut: bool,
}

impl Log {
    /// Creates an empty log. The caller passes the filter, unless the output is redacted already.
    pub fn new(filter: Option<Box<dyn Filter>>) -> Self {
        Log {
            filter,
            filtered: Vec::new(),
            kept: VecDeque::new(),
            is_cut: false,
        }
    }

    /// Adds output.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let Some(mut filter) = self.filter.take() else {
            return self.keep(bytes);
        };
        let mut filtered = std::mem::take(&mut self.filtered);
        filtered.clear();
        filter.push(bytes, &mut filtered);
        self.keep(&filtered);
        (self.filter, self.filtered) = (Some(filter), filtered);
    }

    /// Ends the output of one command: takes the rest of the filter and completes the last line.
    pub(super) fn end_of_command(&mut self) {
        if let Some(filter) = &mut self.filter {
            let mut rest = Vec::new();
            filter.finish(&mut rest);
            self.keep(&rest);
        }
        if self.kept.back().is_some_and(|last| *last != b'\n') {
            self.keep(b"\n");
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend(bytes);
        let over = self.kept.len().saturating_sub(KEPT);
        self.is_cut |= over > 0;
        self.kept.drain(..over);
    }

    /// Returns the kept output and forgets it. After a cut, it begins with a complete line.
    pub fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::from(std::mem::take(&mut self.kept));
        if std::mem::take(&mut self.is_cut) {
            let line = bytes
                .iter()
                .position(|b| *b == b'\n')
                .map_or(bytes.len(), |at| at + 1);
            bytes.splice(..line, *b"(earlier output is not kept)\n");
        }
        bytes
    }
}

/// Returns the folder with the logs of these results.
fn folder(results: &Path) -> PathBuf {
    let mut name = results.as_os_str().to_owned();
    name.push(".logs");
    PathBuf::from(name)
}

/// Returns the path of the log of one gate.
pub fn path(results: &Path, gate: &GateId) -> PathBuf {
    folder(results).join(format!("{gate}{SUFFIX}"))
}

/// Removes the logs of an earlier run. Files with other names stay.
pub fn remove_all(results: &Path) {
    // Without the folder, no log is kept.
    for entry in std::fs::read_dir(folder(results)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        if id.is_some_and(GateId::is_valid) {
            // A log that stays is replaced when its gate runs again.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Writes the log of one gate in place of an older one. A gate without output has no log.
///
/// # Errors
/// The folder or the file cannot be written.
pub fn write(results: &Path, gate: &GateId, bytes: &[u8]) -> Result<(), FileError> {
    let path = path(results, gate);
    if bytes.is_empty() {
        return files::remove(&path);
    }
    files::private_dir(&folder(results))?;
    files::replace(&path, bytes, false)
}

/// Returns the last lines of the log of a gate, as text for a report; none without a log.
pub fn tail(results: &Path, gate: &GateId) -> Vec<String> {
    // The code under test may have replaced the file, so the report escapes its text.
    let bytes = files::read_regular(&path(results, gate), 2 * KEPT as u64).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text
        .lines()
        .rev()
        .map(plain)
        .filter(|line| !line.is_empty())
        .take(SHOWN)
        .collect();
    lines.reverse();
    lines
}

/// Returns a line as a terminal would show it: without escape sequences and tabs, and only what follows the last carriage return.
fn plain(line: &str) -> String {
    let line = line.trim_end();
    let shown = line.rsplit('\r').next().unwrap_or(line);
    let mut clean = Vec::new();
    let stripped = Escape::None.strip(shown.as_bytes(), &mut clean);
    let mut out = String::from_utf8_lossy(stripped).trim_end().replace('\t', "    ");
    if out.chars().count() > LINE {
        out = out.chars().take(LINE).chain(['…']).collect();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> GateId {
        "cpu:x".parse().unwrap()
    }

    #[test]
    fn end_of_long_output_is_kept() {
        let mut log = Log::new(None);
        for n in 0..200_000 {
            log.push(format!("line {n}\n").as_bytes());
        }
        log.push(b"end without newline");
        log.end_of_command();
        let kept = String::from_utf8(log.take()).unwrap();
        assert!(kept.len() <= KEPT + 64, "{}", kept.len());
        let mut lines = kept.lines();
        assert_eq!(lines.next(), Some("(earlier output is not kept)"));
        assert!(lines.next().unwrap().starts_with("line "), "{}", &kept[..60]);
        assert_eq!(lines.next_back(), Some("end without newline"));
        assert_eq!(log.take(), b"");
    }

    #[test]
    fn a_cut_line_is_not_kept() {
        let mut log = Log::new(None);
        log.push(&vec![b'x'; KEPT + 1]);
        assert_eq!(log.take(), b"(earlier output is not kept)\n");
    }

    #[test]
    fn tail_is_plain_text() {
        let place = tempfile::tempdir().unwrap();
        let results = place.path().join("r.json");
        assert_eq!(tail(&results, &gate()), Vec::<String>::new());
        let text = format!(
            "\u{1b}[1;31mre\u{1b}]8;;https://x\u{1b}\\d\u{1b}[0m\r\n10 %\r50 %\n\n{}\n",
            "y".repeat(LINE + 5)
        );
        write(&results, &gate(), text.as_bytes()).unwrap();
        assert_eq!(
            tail(&results, &gate()),
            ["red".to_owned(), "50 %".to_owned(), "y".repeat(LINE) + "…"]
        );
        std::fs::write(folder(&results).join("notes.txt"), "").unwrap();
        remove_all(&results);
        assert_eq!(std::fs::read_dir(folder(&results)).unwrap().count(), 1);
    }
}
