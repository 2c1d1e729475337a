//! Reads the log of a job while the ranks write it, and selects their lines.
//!
//! Code under test can replace the file, so only a regular file is read, and the memory for a line is limited. Must not write.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use crate::system::files;

/// How many bytes are read at once.
const CHUNK: u64 = 1 << 20;
/// A longer line is passed on in parts.
const LONGEST: usize = 64 << 10;

/// The log of one job.
#[derive(Debug)]
pub struct JobLog {
    path: PathBuf,
    /// How much of the file was read.
    at: u64,
    /// The beginning of a line that is not complete.
    partial: Vec<u8>,
    /// Whether the rest of a long line is passed on; `None` at the beginning of a line.
    passes: Option<bool>,
}

impl JobLog {
    /// Starts at the beginning of a file, which need not exist.
    pub fn new(path: PathBuf) -> Self {
        JobLog {
            path,
            at: 0,
            partial: Vec::new(),
            passes: None,
        }
    }

    /// Reads more of the file and returns the lines of ranks; `None` at its end. Lines of the scheduler name nodes, so they stay in
    /// the file.
    pub fn read(&mut self) -> Option<Vec<u8>> {
        let mut file = files::open_regular(&self.path).ok()?;
        file.seek(SeekFrom::Start(self.at)).ok()?;
        let mut new = Vec::new();
        let count = file.take(CHUNK).read_to_end(&mut new).ok()?;
        self.at += count as u64;
        (count > 0).then(|| self.select(&new))
    }

    /// Returns the last line, if it is of a rank and has no end.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.partial);
        if !is_of_rank(&rest) {
            rest.clear();
        }
        rest
    }

    fn select(&mut self, new: &[u8]) -> Vec<u8> {
        let mut of_ranks = Vec::new();
        for part in new.split_inclusive(|byte| *byte == b'\n') {
            let ends = part.ends_with(b"\n");
            if let Some(passes) = self.passes {
                if passes {
                    of_ranks.extend_from_slice(part);
                }
                self.passes = (!ends).then_some(passes);
                continue;
            }
            self.partial.extend_from_slice(part);
            if ends || self.partial.len() > LONGEST {
                let passes = is_of_rank(&self.partial);
                if passes {
                    of_ranks.append(&mut self.partial);
                }
                self.partial.clear();
                self.passes = (!ends).then_some(passes);
            }
        }
        of_ranks
    }
}

/// Whether a line has the label of a rank, `0: `, and is not of SLURM's step daemon.
fn is_of_rank(line: &[u8]) -> bool {
    let start = line.trim_ascii_start();
    let digits = start.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = start[digits..].strip_prefix(b": ");
    digits > 0 && text.is_some_and(|text| !text.starts_with(b"slurmstepd"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_ranks_are_shown() {
        for line in ["0: step 1", "12: loss: 3.2", " 3: x", "0: "] {
            assert!(is_of_rank(line.as_bytes()), "{line}");
        }
        for line in [
            "srun: error: n1: task 0: Exited with exit code 3",
            "0: slurmstepd-n1: error: *** STEP 1.0 ON n1 CANCELLED ***",
            "slurmstepd: error: x",
            "0 x",
            ": x",
            "",
        ] {
            assert!(!is_of_rank(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn log_is_read_to_its_last_byte() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("job.log");
        let mut log = JobLog::new(path.clone());
        assert_eq!(log.read(), None);
        let text = format!("{}srun: n1\n0: last", "0: line\n".repeat(300_000));
        std::fs::write(&path, &text).unwrap();
        let mut shown = Vec::new();
        while let Some(lines) = log.read() {
            shown.extend(lines);
        }
        shown.extend(log.rest());
        assert!(shown == text.replace("srun: n1\n", "").as_bytes());
    }

    #[test]
    fn line_without_end_takes_little_memory() {
        let mut log = JobLog::new(PathBuf::new());
        for (label, shown) in [("0: ", true), ("srun: ", false)] {
            let mut passed = log.select(label.as_bytes()).len();
            for _ in 0..100 {
                passed += log.select(&[b'x'; 4096]).len();
                assert!(log.partial.len() <= LONGEST + 4096);
            }
            passed += log.select(b"\n").len();
            assert_eq!(passed, if shown { label.len() + 409_601 } else { 0 });
        }
    }

    #[test]
    fn pipe_in_place_of_log_is_not_opened() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("job.log");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert_eq!(JobLog::new(path).read(), None);
    }
}
