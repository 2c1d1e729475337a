//! Lets the kernel continue this process when another process has stopped it, and kill it when that does not help.
//!
//! Every process of the same user can send SIGSTOP to this one, and to any process that would watch it. The kernel cannot be stopped,
//! so its timers send the signals. Must not depend on what this process does.

use std::ffi::c_long;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use crate::system::syscall::syscall;

/// How long a stopped process waits for the kernel to continue it.
pub const CONTINUE_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(target_arch = "x86_64")]
const TIMER_CREATE: c_long = 222;
#[cfg(not(target_arch = "x86_64"))]
const TIMER_CREATE: c_long = 107;
#[cfg(target_arch = "x86_64")]
const TIMER_SETTIME: c_long = 223;
#[cfg(not(target_arch = "x86_64"))]
const TIMER_SETTIME: c_long = 110;
const CLOCK_MONOTONIC: c_long = 1;

/// A timer that sends a signal to this process. The kernel deletes it when this process ends or starts another program.
#[derive(Debug)]
struct Timer(i32);

impl Timer {
    fn new(signal: Signal) -> io::Result<Self> {
        // `struct sigevent` has 64 bytes: a value, the signal, how to notify (0: by the signal), and padding.
        let event: [u64; 8] = [0, u64::try_from(signal.as_raw()).unwrap_or(0), 0, 0, 0, 0, 0, 0];
        let mut id = 0_i32;
        #[expect(unsafe_code, reason = "no library of this program offers this system call")]
        // SAFETY: both pointers are valid during the call, and the kernel writes only the id.
        let failed = unsafe { syscall(TIMER_CREATE, CLOCK_MONOTONIC, event.as_ptr(), &raw mut id) };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Timer(id))
    }

    /// Sends the signal after this time, and repeats it at this interval; zero means never.
    fn set(&self, first: Duration, interval: Duration) -> io::Result<()> {
        let fields = [interval, first].map(|time| [time.as_secs(), time.subsec_nanos().into()]);
        let none = std::ptr::null::<u64>();
        let (id, flags): (c_long, c_long) = (self.0.into(), 0);
        #[expect(unsafe_code, reason = "no library of this program offers this system call")]
        // SAFETY: `fields` is a `struct itimerspec` of a 64-bit kernel, and is valid during the call. The kernel accepts a null pointer
        // for the earlier time.
        let failed = unsafe { syscall(TIMER_SETTIME, id, flags, fields.as_ptr(), none) };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

/// Lets the kernel continue this process every [`CONTINUE_INTERVAL`], from [`Continuation::start`] until the process ends.
///
/// Each time, the signal interrupts a wait with a time limit. Only for a process that handles that.
#[derive(Debug)]
pub struct Continuation(Timer);

impl Continuation {
    /// Prepares the timer.
    ///
    /// # Errors
    /// The kernel refuses the handler or the timer.
    pub fn new() -> io::Result<Self> {
        // Without a handler, newer kernels send an ignored signal only once.
        signal_hook::flag::register(signal_hook::consts::SIGCONT, Arc::default())?;
        Ok(Continuation(Timer::new(Signal::CONT)?))
    }

    /// Starts the timer.
    ///
    /// # Errors
    /// The kernel refuses the time.
    pub fn start(&self) -> io::Result<()> {
        self.0.set(CONTINUE_INTERVAL, CONTINUE_INTERVAL)
    }
}

/// Asks the kernel to continue this process from now on. See [`Continuation`].
///
/// # Errors
/// The kernel refuses the handler or the timer.
pub fn continue_when_stopped() -> io::Result<()> {
    Continuation::new()?.start()
}

/// Kills this process unless [`Deadline::postpone`] is called again and again.
#[derive(Debug)]
pub struct Deadline {
    timer: Timer,
    limit: Duration,
}

impl Deadline {
    /// Creates a deadline after this time.
    ///
    /// # Errors
    /// The kernel refuses the timer.
    pub fn new(limit: Duration) -> io::Result<Self> {
        let timer = Timer::new(Signal::KILL)?;
        timer.set(limit, Duration::ZERO)?;
        Ok(Deadline { timer, limit })
    }

    /// Restarts the time.
    pub fn postpone(&self) {
        // The kernel accepted the same setting before, so this call cannot fail.
        let _ = self.timer.set(self.limit, Duration::ZERO);
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        // Disarms the timer. The kernel accepted the timer before, so this call cannot fail.
        let _ = self.timer.set(Duration::ZERO, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;
    use std::time::Instant;

    use rustix::process::{getpid, kill_process};

    use super::*;

    /// Runs this test again in a new process, because the timers act on the whole process. Returns `None` in that process.
    fn in_own_process(name: &str) -> Option<std::process::ExitStatus> {
        if std::env::var_os("NMOE_TEST_PROCESS").is_some() {
            return None;
        }
        let name = format!("system::kernel_timers::tests::{name}");
        let mut again = Command::new(std::env::current_exe().unwrap());
        again
            .args(["--exact", &name, "--nocapture"])
            .env("NMOE_TEST_PROCESS", "1");
        Some(again.output().unwrap().status)
    }

    #[test]
    fn stopped_process_is_continued_each_time() {
        let Some(status) = in_own_process("stopped_process_is_continued_each_time") else {
            continue_when_stopped().unwrap();
            let began = Instant::now();
            for _ in 0..2 {
                kill_process(getpid(), Signal::STOP).unwrap();
                // The signal may stop this thread a little later.
                std::thread::sleep(CONTINUE_INTERVAL / 20);
            }
            // Without a timer this line is never reached. Each stop waits for its own signal.
            assert!(began.elapsed() > CONTINUE_INTERVAL, "{:?}", began.elapsed());
            return;
        };
        assert!(status.success(), "{status}");
    }

    #[test]
    fn process_without_progress_is_killed() {
        let Some(status) = in_own_process("process_without_progress_is_killed") else {
            let limit = Duration::from_millis(200);
            drop(Deadline::new(limit).unwrap());
            let deadline = Deadline::new(limit).unwrap();
            for _ in 0..6 {
                std::thread::sleep(limit / 4);
                deadline.postpone();
            }
            std::thread::sleep(limit * 50);
            return;
        };
        assert_eq!(status.signal(), Some(9), "{status}");
    }
}
