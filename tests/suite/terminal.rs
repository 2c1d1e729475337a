//! A pseudo-terminal for tests: a program writes to one end, and the test waits for output at the other end.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};

use regex::Regex;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The test's end of a pseudo-terminal.
pub struct Terminal {
    master: File,
    seen: String,
}

impl Terminal {
    /// Returns the terminal and the end for the program.
    pub fn open() -> (Self, File) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave: OwnedFd = rustix::fs::open(
            name,
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .unwrap();
        let terminal = Terminal {
            master: master.into(),
            seen: String::new(),
        };
        (terminal, slave.into())
    }

    /// Starts a program that reads and writes a new terminal.
    pub fn spawn(command: &mut Command) -> (Self, Child) {
        let (terminal, slave) = Terminal::open();
        let child = command
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave)
            .spawn()
            .unwrap();
        (terminal, child)
    }

    /// Types text.
    pub fn write(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until this text has been written, and returns and discards everything before it.
    #[track_caller]
    pub fn until(&mut self, what: &Regex) -> String {
        let mut buffer = [0; 4096];
        loop {
            if let Some(found) = what.find(&self.seen) {
                let before = self.seen[..found.start()].to_owned();
                self.seen.drain(..found.end());
                return before;
            }
            let read = self.master.read(&mut buffer).unwrap_or(0);
            assert!(read > 0, "the terminal ended before {what}: {:?}", self.seen);
            self.seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    }
}
