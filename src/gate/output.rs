//! Writes the output of gates to a stream, through the redaction and the escaping of workflow commands.
//!
//! A separate thread writes, so that a slow or stopped reader never delays a deadline. If the stream is blocked, the
//! supervisor stops reading from the gate. A small number of buffers limits the memory.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::gate::filter::Filter;
use crate::gate::log::Log;
use crate::terminal::Text;
use crate::terminal::workflow_commands::Neutraliser;

/// The number of buffers of gate output that may wait. The few lines of the tool itself do not count.
const WAITING: usize = 4;

/// The stream that gate output goes to.
pub struct Output {
    sender: Option<Sender<Vec<u8>>>,
    returned: Receiver<Vec<u8>>,
    wake: UnixStream,
    writer: Option<JoinHandle<()>>,
    waiting: usize,
    spare: Vec<Vec<u8>>,
    neutraliser: Neutraliser,
    filter: Option<Box<dyn Filter>>,
    filtered: Vec<u8>,
    /// Keeps the end of the output of a gate.
    log: Option<Log>,
}

impl Output {
    /// Creates an output to this descriptor, with this filter and the escaping of workflow commands.
    ///
    /// # Errors
    /// A socket pair cannot be created, or a thread cannot be started.
    pub fn to(stream: OwnedFd, filter: Option<Box<dyn Filter>>) -> io::Result<Self> {
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let (sender, receiver) = channel::<Vec<u8>>();
        let (returner, returned) = channel::<Vec<u8>>();
        let writer = std::thread::Builder::new()
            .name("output".to_owned())
            .stack_size(64 << 10)
            .spawn(move || write_all(File::from(stream), &receiver, &returner, waker))?;
        Ok(Output {
            sender: Some(sender),
            returned,
            wake,
            writer: Some(writer),
            waiting: 0,
            spare: Vec::new(),
            neutraliser: Neutraliser::default(),
            filter,
            filtered: Vec::new(),
            log: None,
        })
    }

    /// Keeps the end of the output in this log as well. If the output has no filter, the log must have one.
    pub fn keep(&mut self, log: Log) {
        self.log = Some(log);
    }

    /// Returns what the log has kept since the last call.
    pub fn take_log(&mut self) -> Vec<u8> {
        self.log.as_mut().map(Log::take).unwrap_or_default()
    }

    /// Whether the output accepts more now.
    pub fn ready(&self) -> bool {
        self.waiting < WAITING
    }

    /// Returns a descriptor that becomes readable when the output accepts more.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Collects the buffers that the thread has written.
    pub fn collect(&mut self) {
        let mut bytes = [0u8; 64];
        while matches!(self.wake.read(&mut bytes), Ok(1..)) {}
        while let Ok(mut buffer) = self.returned.try_recv() {
            buffer.clear();
            self.spare.push(buffer);
            self.waiting -= 1;
        }
    }

    /// Writes a chunk of gate output. The caller must wait for [`Output::ready`] to limit the memory.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut buffer = self.spare.pop().unwrap_or_default();
        match &mut self.filter {
            Some(filter) => {
                self.filtered.clear();
                filter.push(bytes, &mut self.filtered);
                self.neutraliser.push(&self.filtered, &mut buffer);
            }
            None => self.neutraliser.push(bytes, &mut buffer),
        }
        if let Some(log) = &mut self.log {
            log.push(self.filter.as_ref().map_or(bytes, |_| &self.filtered));
        }
        self.send(buffer);
    }

    /// Ends the output of a gate: writes the rest of the filter and completes the last line.
    pub fn end_of_gate(&mut self) {
        let mut buffer = self.spare.pop().unwrap_or_default();
        if let Some(filter) = &mut self.filter {
            self.filtered.clear();
            filter.finish(&mut self.filtered);
            self.neutraliser.push(&self.filtered, &mut buffer);
            if let Some(log) = &mut self.log {
                log.push(&self.filtered);
            }
        }
        if let Some(log) = &mut self.log {
            log.end_of_command();
        }
        if !self.neutraliser.at_line_start() {
            buffer.push(b'\n');
        }
        self.neutraliser = Neutraliser::default();
        self.send(buffer);
    }

    /// Writes a line of the tool itself. Names in the line are escaped; the filter does not apply.
    pub fn line(&mut self, line: impl Display) {
        let mut text = Text::new();
        text.line(line);
        self.send(text.as_str().as_bytes().to_vec());
    }

    /// Writes a workflow command for the Actions runner; the caller has encoded its values.
    pub fn command(&mut self, command: &str) {
        self.send(format!("{command}\n").into_bytes());
    }

    fn send(&mut self, buffer: Vec<u8>) {
        if buffer.is_empty() {
            self.spare.push(buffer);
            return;
        }
        if self.sender.as_ref().is_some_and(|s| s.send(buffer).is_ok()) {
            self.waiting += 1;
        }
    }

    /// Waits until a buffer is written, at most this long.
    fn wait(&mut self, at_most: Option<Duration>) {
        let timeout = at_most.and_then(|d| Timespec::try_from(d).ok());
        // An interrupted wait only returns early.
        let _ = poll(&mut [PollFd::new(&self.wake, PollFlags::IN)], timeout.as_ref());
        self.collect();
    }

    /// Waits until all buffers are written, at most this long. Returns whether they are.
    pub fn flush(&mut self, at_most: Option<Duration>) -> bool {
        let until = at_most.map(|d| Instant::now() + d);
        self.collect();
        while self.waiting > 0 {
            let left = until.map(|u| u.saturating_duration_since(Instant::now()));
            if left.is_some_and(|l| l.is_zero()) {
                return false;
            }
            self.wait(left);
        }
        true
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.sender = None;
        if self.flush(Some(Duration::from_secs(1)))
            && let Some(writer) = self.writer.take()
        {
            // If the flush timed out, the thread is blocked by the reader: do not wait for it.
            let _ = writer.join();
        }
    }
}

/// Writes buffers until the channel closes. After a write error it drops the rest, because the verdict does not depend on it.
fn write_all(mut stream: File, from: &Receiver<Vec<u8>>, back: &Sender<Vec<u8>>, mut waker: UnixStream) {
    let mut open = true;
    while let Ok(buffer) = from.recv() {
        if open {
            open = stream.write_all(&buffer).is_ok();
        }
        let returned = back.send(buffer).is_ok();
        // If the socket is full, the supervisor wakes up in any case.
        let _ = waker.write(&[0]);
        if !returned {
            return;
        }
    }
}
