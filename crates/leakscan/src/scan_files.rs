//! Scans files and folders with several threads, and skips what git ignores.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use ignore::WalkBuilder;
use ignore::WalkState;

use crate::rest::Rest;
use crate::scan::Options;
use crate::scan_text;
use crate::scan_text::TextReport;

/// The progress of a scan, for the thread that shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files that were read.
    pub files: AtomicU64,
    /// Bytes that were read.
    pub bytes: AtomicU64,
}

/// How many leaks and suppressions of all files the reports list, so that memory does not grow with the number of files.
pub const LISTED: usize = 20_000;

/// The result of a scan of files.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The reports of the files that have any, by the name of the file, in order.
    pub reports: Vec<(String, TextReport)>,
    /// What further files have, which no report lists.
    pub rest: Rest,
    listed: usize,
    /// The files that could not be read.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

impl Outcome {
    fn add(&mut self, report: (String, TextReport)) {
        self.listed += entries(&report.1);
        self.reports.push(report);
        if self.listed > 2 * LISTED {
            self.limit();
        }
    }

    /// Keeps the reports of the first files by name, up to [`LISTED`] entries, and counts the others. So the order in which the
    /// threads report does not matter.
    fn limit(&mut self) {
        self.reports.sort_by(|a, b| a.0.cmp(&b.0));
        let mut listed = 0;
        let mut fits = |(_, report): &(String, TextReport)| {
            listed += entries(report);
            listed <= LISTED
        };
        let kept = self.reports.iter().take_while(|report| fits(report)).count();
        for (_, report) in self.reports.drain(kept..) {
            report.count(&mut self.rest);
        }
        self.listed = self.reports.iter().map(|(_, report)| entries(report)).sum();
    }
}

fn entries(report: &TextReport) -> usize {
    report.leaks.len() + report.problems.len()
}

/// Scans files and folders. Skips the files of a folder that git ignores; `tracked` lists ignored files to scan anyway.
/// `checkout` is the folder to which the roles of files are relative.
pub fn scan_files(
    checkout: &Path,
    paths: &[PathBuf],
    tracked: Vec<PathBuf>,
    options: &Options,
    progress: &Progress,
) -> Outcome {
    let outcome = Mutex::new(Outcome::default());
    let checkout = std::path::absolute(checkout).unwrap_or_default();
    let visit = |path: &Path, depth: usize| {
        let found = read(path, &relative(&checkout, path, depth), options, progress);
        let mut outcome = outcome.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match found {
            Ok(None) => {}
            Ok(Some(report)) => outcome.add(report),
            Err(e) => outcome.unreadable.push((path.to_owned(), e)),
        }
    };
    // A file needs no walk, and no second thread.
    let is_file = |path: &&PathBuf| std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    let (files, folders): (Vec<&PathBuf>, Vec<&PathBuf>) = paths.iter().partition(is_file);
    files.into_iter().for_each(|path| visit(path, 0));
    if let Some((first, rest)) = folders.split_first() {
        let mut walk = WalkBuilder::new(first);
        rest.iter().for_each(|path| {
            walk.add(path);
        });
        walk.hidden(false)
            .follow_links(false)
            .threads(std::thread::available_parallelism().map_or(2, std::num::NonZero::get))
            .filter_entry(|entry| entry.file_name() != ".git");
        walk.build_parallel().run(|| {
            Box::new(|entry| {
                match entry {
                    Ok(entry) if entry.file_type().is_none_or(|kind| kind.is_file()) => {
                        visit(entry.path(), entry.depth());
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let mut outcome = outcome.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        let text = error.to_string();
                        let error = error.into_io_error().unwrap_or_else(|| io::Error::other(text));
                        outcome.unreadable.push((PathBuf::new(), error));
                    }
                }
                WalkState::Continue
            })
        });
    }
    tracked.iter().for_each(|path| visit(path, 0));
    let mut outcome = outcome
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    outcome.limit();
    outcome.unreadable.sort_by(|a, b| a.0.cmp(&b.0));
    outcome
}

/// The path of a file in the checkout. Outside of it: the path below the folder that the caller named, `depth` levels up.
fn relative(checkout: &Path, path: &Path, depth: usize) -> String {
    let whole = std::path::absolute(path).unwrap_or_default();
    let inside = whole.strip_prefix(checkout).map(Path::to_owned);
    let below = inside.unwrap_or_else(|_| {
        let parts: Vec<_> = path.components().collect();
        parts[parts.len().saturating_sub(depth)..].iter().collect()
    });
    below.to_string_lossy().into_owned()
}

/// Reads and scans a regular file; `None` if there is nothing to report.
fn read(
    path: &Path,
    relative: &str,
    options: &Options,
    progress: &Progress,
) -> io::Result<Option<(String, TextReport)>> {
    let meta = std::fs::symlink_metadata(path)?;
    let report = if meta.is_symlink() {
        // git stores the target of a link, so the target is published.
        let target = std::fs::read_link(path)?;
        scan_text::scan_text(relative, target.to_string_lossy().as_bytes(), options)
    } else if meta.is_file() {
        progress.files.fetch_add(1, Ordering::Relaxed);
        if meta.len() > scan_text::WINDOW as u64 {
            let reader = std::fs::File::open(path)?;
            scan_text::scan_reader(relative, Counted { reader, progress }, options)?
        } else {
            let text = std::fs::read(path)?;
            progress.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
            scan_text::scan_text(relative, &text, options)
        }
    } else {
        return Ok(None);
    };
    let shown = path
        .strip_prefix("./")
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned();
    Ok((report != TextReport::default()).then_some((shown, report)))
}

/// Scans the text that a reader returns, of any size, such as standard input.
///
/// # Errors
/// The reader failed.
pub fn scan_reader(reader: impl io::Read, options: &Options, progress: &Progress) -> io::Result<TextReport> {
    scan_text::scan_reader("", Counted { reader, progress }, options)
}

/// A reader that counts its bytes.
struct Counted<'a, R> {
    reader: R,
    progress: &'a Progress,
}

impl<R: io::Read> io::Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.progress.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
