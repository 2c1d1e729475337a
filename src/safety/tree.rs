//! Files and folders: walked as git would, read and searched by several threads.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use ignore::WalkBuilder;
use ignore::WalkState;

use super::detect::Options;
use super::document;
use super::document::Placed;

/// How far the search has come; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files that were read.
    pub files: AtomicU64,
    /// Bytes that were read.
    pub bytes: AtomicU64,
}

/// What a search of files found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Leaks, file by file in the order of their names.
    pub placed: Vec<Placed>,
    /// Files that could not be read, and why.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

/// Searches files and folders. Within a folder, what git ignores is left out, unless git tracks it all the same (`tracked`).
pub fn search(paths: &[PathBuf], tracked: Vec<PathBuf>, options: &Options, progress: &Progress) -> Outcome {
    let outcome = Mutex::new(Outcome::default());
    let visit = |path: &Path| {
        let found = read(path, options, progress);
        let mut outcome = outcome.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match found {
            Ok(placed) => outcome.placed.extend(placed),
            Err(e) => outcome.unreadable.push((path.to_owned(), e)),
        }
    };
    if let Some((first, rest)) = paths.split_first() {
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
                    Ok(entry) if entry.file_type().is_none_or(|kind| kind.is_file()) => visit(entry.path()),
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
    tracked.iter().for_each(|path| visit(path));
    let mut outcome = outcome
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    outcome
        .placed
        .sort_by(|a, b| (&a.finding.path, a.finding.region).cmp(&(&b.finding.path, b.finding.region)));
    outcome.unreadable.sort_by(|a, b| a.0.cmp(&b.0));
    outcome
}

/// Reads a regular file and looks through it.
fn read(path: &Path, options: &Options, progress: &Progress) -> io::Result<Vec<Placed>> {
    let shown = path
        .strip_prefix("./")
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned();
    let meta = std::fs::symlink_metadata(path)?;
    if meta.is_symlink() {
        // What a link says is part of the repository too.
        let target = std::fs::read_link(path)?;
        return Ok(document::look(
            &shown,
            target.to_string_lossy().as_bytes(),
            options,
        ));
    }
    if !meta.is_file() {
        return Ok(Vec::new());
    }
    progress.files.fetch_add(1, Ordering::Relaxed);
    if meta.len() > document::WINDOW as u64 {
        return through(&shown, std::fs::File::open(path)?, options, progress);
    }
    let text = std::fs::read(path)?;
    progress.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
    Ok(document::look(&shown, &text, options))
}

/// Looks through what a reader gives, of any size.
///
/// # Errors
/// The reader's.
pub fn through(
    name: &str,
    reader: impl io::Read,
    options: &Options,
    progress: &Progress,
) -> io::Result<Vec<Placed>> {
    document::look_through(name, Counted { reader, progress }, options)
}

/// A reader whose bytes are counted as they are read.
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
