//! Prints the progress of a run on standard error: when gates start and end, and a heartbeat for gates without output.

use std::cell::RefCell;
use std::io::{IsTerminal as _, Write as _};
use std::rc::Rc;
use std::time::Duration;

use crate::cmd::context::{Context, say};
use crate::cmd::run::output;
use crate::domain::event::Event;
use crate::gate::process::Watch;
use crate::gate::recorder::Sink;
use crate::terminal::escape::visible;

/// Prints the progress of a run on standard error.
pub(super) struct Progress {
    quiet: bool,
    terminal: bool,
    label: String,
    limit: Option<Duration>,
    shown: bool,
    /// Time without output after which a log gets a heartbeat. `None` disables the heartbeat.
    heartbeat: Option<Duration>,
    /// Whether to panic at the first output of a gate.
    panics: bool,
}

impl Progress {
    pub(super) fn new(context: &Context, heartbeat: u64, panics: bool) -> Self {
        Progress {
            quiet: context.verbosity < 0,
            terminal: std::io::stderr().is_terminal(),
            label: String::new(),
            limit: None,
            shown: false,
            heartbeat: (heartbeat > 0).then(|| Duration::from_secs(heartbeat)),
            panics,
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            // Standard error may be closed. The progress is not important then.
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Watch for Rc<RefCell<Progress>> {
    fn every(&self) -> Option<Duration> {
        let talk = self.borrow();
        match talk.terminal {
            _ if talk.quiet => None,
            true => Some(Duration::from_secs(1)),
            false => talk.heartbeat,
        }
    }

    fn begin(&mut self, label: &str, limit: Option<Duration>) {
        let mut talk = self.borrow_mut();
        talk.label = visible(label).into_owned();
        talk.limit = limit;
    }

    fn end(&mut self) {
        self.borrow_mut().clear();
    }

    fn tick(&mut self, running: Duration, mute: Duration) {
        let mut talk = self.borrow_mut();
        let limit = talk
            .limit
            .map(|l| format!(" of {} s", l.as_secs()))
            .unwrap_or_default();
        if talk.terminal {
            if mute >= Duration::from_secs(1) {
                talk.shown = true;
                // Standard error may be closed. The progress is not important then.
                let _ = write!(
                    std::io::stderr(),
                    "\r\x1b[K{}: {} s{limit}",
                    talk.label,
                    running.as_secs()
                );
            }
        } else if talk.heartbeat.is_some_and(|beat| mute >= beat) {
            say(format_args!(
                "{}: running for {} s{limit}, no output for {} s",
                talk.label,
                running.as_secs(),
                mute.as_secs()
            ));
        }
    }

    fn output(&mut self) {
        assert!(!self.borrow().panics, "the command line asks for this panic");
        self.borrow_mut().clear();
    }
}

impl Sink for Rc<RefCell<Progress>> {
    fn event(&mut self, event: &Event) {
        let mut talk = self.borrow_mut();
        talk.clear();
        if talk.quiet {
            return;
        }
        match event {
            Event::GateStarted { gate, .. } => say(format_args!("run      {gate}")),
            Event::GateEnded { gate, result } => {
                let time = result
                    .duration_s
                    .map(|s| format!("  {s:.1} s"))
                    .unwrap_or_default();
                say(format_args!(
                    "{:8} {gate}{time}{}",
                    result.status.as_str(),
                    output::explain(result)
                ));
            }
            _ => {}
        }
    }
}
