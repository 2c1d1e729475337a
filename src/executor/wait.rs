//! Submits a job, opens the barrier when every rank is ready, waits for the reports, and cancels what is left.
//!
//! What the reports mean is decided in [`crate::executor::join`]. Must not depend on one scheduler.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::domain::event::Event;
use crate::domain::executor::Executor;
use crate::executor::folder::{BARRIER, FolderError, JobSpec, Key, Start};
use crate::executor::join::{Ending, Rank, contradict};
use crate::executor::log::JobLog;
use crate::executor::scheduler::{Job, Queue, Scheduler, SchedulerError, State};
use crate::gate::filter::Learning;
use crate::gate::process::Supervisor;
use crate::gate::recorder::Recorder;

/// How long files may take to appear on a shared file system after the job ended.
const LATE: Duration = Duration::from_secs(20);
/// How long a job may take to end after its ranks, or after it was cancelled.
const GONE: Duration = Duration::from_secs(120);
/// How long the output that is left may take after the job ended.
const DRAIN: Duration = Duration::from_secs(10);
/// The time between two looks into the folder.
const LOOK: Duration = Duration::from_millis(100);
/// The first question about the end of a job is asked this long after the last report.
const SETTLE: Duration = Duration::from_millis(250);

/// A job that was submitted or is about to be.
pub struct Waiting<'a> {
    scheduler: &'a dyn Scheduler,
    executor: &'a Executor,
    spec: &'a JobSpec,
    job: Job<'a>,
    key: &'a Key,
    log: JobLog,
    redactor: &'a Learning,
    /// The names of the nodes.
    names: BTreeSet<String>,
    /// Whether an error of the scheduler was printed.
    said: bool,
    /// The nonce of kernel builds.
    nonce: Option<&'a str>,
    /// What is known about each rank. Code under test can change the files, so they are not read again after all ranks reported.
    ranks: Vec<Rank>,
    /// When the barrier was opened. What the ranks wrote before it is not read again.
    opened: Option<Instant>,
    /// When the scheduler was last asked about the job.
    asked: Option<Instant>,
}

impl<'a> Waiting<'a> {
    /// Prepares a job that is not submitted yet.
    pub fn new(
        scheduler: &'a dyn Scheduler,
        executor: &'a Executor,
        spec: &'a JobSpec,
        job: Job<'a>,
        key: &'a Key,
        redactor: &'a Learning,
        nonce: Option<&'a str>,
    ) -> Self {
        Waiting {
            scheduler,
            executor,
            spec,
            job,
            key,
            log: JobLog::new(job.folder.file("job.log")),
            redactor,
            names: BTreeSet::new(),
            said: false,
            nonce,
            ranks: vec![Rank::default(); spec.nodes as usize],
            opened: None,
            asked: None,
        }
    }

    /// Submits the job, waits until it has ended, and prints its output. Returns what is known about each rank.
    pub fn run(mut self, supervisor: &mut Supervisor, recorder: &mut Recorder) -> (Vec<Rank>, Ending) {
        let ending = self.submit(supervisor, recorder);
        if !self.is_complete() {
            // Ranks that were cancelled have reported since.
            self.look();
        }
        supervisor.watch.end();
        self.show_rest(supervisor);
        (self.ranks, ending)
    }

    fn submit(&mut self, supervisor: &mut Supervisor, recorder: &mut Recorder) -> Ending {
        let submitted = {
            let signals = &mut supervisor.signals;
            self.scheduler.submit(&self.job, &mut || signals.stop().is_some())
        };
        let id = match submitted {
            Ok(id) => id,
            Err(error) => {
                self.say(supervisor, &error);
                if error.may_have_submitted() {
                    self.cancel(supervisor);
                }
                return match supervisor.stop() {
                    Some(_) => Ending::Stopped,
                    None => Ending::NotSubmitted,
                };
            }
        };
        recorder.push(&Event::JobSubmitted {
            gate: self.spec.gate.clone(),
            job: id.clone(),
        });
        supervisor
            .output
            .line(format_args!("job: {id} on {} nodes", self.spec.nodes));
        let ending = match self.until_reported(&id, supervisor) {
            None => self.until_ended(&id, supervisor),
            Some(ending) => ending,
        };
        self.collect(supervisor);
        if self.scheduler.keeps() || !matches!(ending, Ending::Ended(Some(_))) {
            self.cancel(supervisor);
        }
        ending
    }

    /// Waits until every rank has reported. Returns the ending of the job if that does not happen.
    fn until_reported(&mut self, id: &str, supervisor: &mut Supervisor) -> Option<Ending> {
        let submitted = Instant::now();
        let poll = self.poll();
        let mut ticked = submitted;
        let mut first_ready: Option<Instant> = None;
        loop {
            self.look();
            self.show(supervisor);
            if supervisor.stop().is_some() {
                return Some(Ending::Stopped);
            }
            let now = Instant::now();
            if self.is_complete() {
                return None;
            }
            match self.opened {
                None => {
                    let ready = self.ranks.iter().filter(|rank| rank.ready.is_some()).count();
                    if ready > 0 && first_ready.is_none() {
                        first_ready = Some(now);
                    }
                    let reports = self.ranks.iter().any(|rank| rank.report.is_some());
                    if reports || contradict(self.spec, &self.ranks) {
                        return Some(Ending::Refused);
                    }
                    if ready == self.ranks.len() {
                        if let Err(error) = self.open() {
                            supervisor.output.line(format_args!("job: {error}"));
                            return Some(Ending::Incomplete);
                        }
                        self.opened = Some(now);
                    } else if first_ready.is_some_and(|first| now > first + BARRIER) {
                        return Some(Ending::Incomplete);
                    } else if ready == 0 && now > submitted + Duration::from_secs(self.executor.queue_s) {
                        return Some(Ending::Queued);
                    }
                }
                Some(opened) => {
                    if self.job.limit.is_some_and(|limit| now > opened + limit) {
                        return Some(Ending::TimedOut);
                    }
                }
            }
            if now >= self.asked.unwrap_or(submitted) + poll {
                match self.ask(id, supervisor) {
                    Some(Ending::Restarted) => return Some(Ending::Restarted),
                    Some(ending) => return self.late(ending, supervisor),
                    None => {}
                }
            }
            if supervisor
                .watch
                .every()
                .is_some_and(|every| now >= ticked + every)
            {
                ticked = now;
                supervisor.watch.tick(now - submitted, Duration::ZERO);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits for reports that a slow file system shows late. Returns `None` if all are there.
    fn late(&mut self, ending: Ending, supervisor: &mut Supervisor) -> Option<Ending> {
        let until = Instant::now() + LATE;
        loop {
            self.look();
            if self.is_complete() {
                return None;
            }
            // A job whose barrier was not opened has nothing to report.
            if self.opened.is_none() || Instant::now() >= until || supervisor.stop().is_some() {
                return Some(ending);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until the job of ranks that all reported has ended.
    fn until_ended(&mut self, id: &str, supervisor: &mut Supervisor) -> Ending {
        let poll = self.poll();
        let until = Instant::now() + GONE.max(3 * poll);
        let since = self.asked.map(|asked| asked.elapsed());
        let mut pause = SETTLE.max(since.map_or(Duration::ZERO, |since| poll.saturating_sub(since)));
        loop {
            std::thread::sleep(pause);
            if let Some(ending) = self.ask(id, supervisor) {
                return ending;
            }
            if supervisor.stop().is_some() {
                return Ending::Stopped;
            }
            if Instant::now() >= until {
                return Ending::Ended(None);
            }
            pause = poll;
        }
    }

    /// Asks whether and how the job ended. An error does not end the wait, because the controller may restart.
    fn ask(&mut self, id: &str, supervisor: &mut Supervisor) -> Option<Ending> {
        self.asked = Some(Instant::now());
        let state = self.scheduler.watch(&self.job, id);
        self.collect(supervisor);
        match state {
            Ok(State::Restarted) => Some(Ending::Restarted),
            Ok(State::Ended(end)) => Some(Ending::Ended(Some(end))),
            Ok(State::Unknown) => Some(Ending::Ended(None)),
            Ok(State::Active) => None,
            Err(error) => {
                self.say(supervisor, &error);
                None
            }
        }
    }

    /// Prints new lines of the ranks that only the scheduler has.
    fn collect(&self, supervisor: &mut Supervisor) {
        let lines = match supervisor.output.ready() {
            true => self.scheduler.collect(&self.job),
            // The reader of the output is slow. The scheduler keeps the lines.
            false => Vec::new(),
        };
        if !lines.is_empty() {
            supervisor.output.push(&lines);
        }
    }

    /// Prints the first error of the scheduler. What a client said can name the site, so it goes through the filter of the output.
    fn say(&mut self, supervisor: &mut Supervisor, error: &SchedulerError) {
        if !std::mem::replace(&mut self.said, true) {
            supervisor.output.push(format!("job: {error}\n").as_bytes());
        }
    }

    /// How long to wait between two questions to the scheduler.
    fn poll(&self) -> Duration {
        Duration::from_secs(self.executor.poll_s.max(1))
    }

    fn cancel(&self, supervisor: &mut Supervisor) {
        if !cancel(self.scheduler, self.job.name, self.poll()) {
            let line = format_args!(
                "job: {} may still be there: the scheduler did not confirm its end",
                self.job.name
            );
            supervisor.output.line(line);
        }
    }

    /// Opens the barrier with the address of rank 0.
    fn open(&self) -> Result<(), FolderError> {
        let first = self.ranks.first().and_then(|rank| rank.ready.as_ref());
        let start = Start {
            host: first.map(|ready| ready.host.clone()).unwrap_or_default(),
            port: first.map(|ready| ready.port).unwrap_or_default(),
            nonce: self.nonce.map(str::to_owned),
            names: self.names.iter().cloned().collect(),
        };
        self.job.folder.open_barrier(&start, self.key)
    }

    /// Whether every rank has reported.
    fn is_complete(&self) -> bool {
        self.ranks.iter().all(|rank| rank.report.is_some())
    }

    /// Reads what the ranks wrote, and redacts the names of all nodes that are known now.
    fn look(&mut self) {
        let before = self.names.len();
        for (number, rank) in (0..).zip(&mut self.ranks) {
            rank.report = self.job.folder.report(number, self.key);
            if self.opened.is_none() && rank.ready.is_none() {
                rank.ready = self.job.folder.ready(number);
                let names = rank.ready.iter().flat_map(|ready| &ready.names);
                self.names.extend(names.cloned());
            }
        }
        if self.names.len() > before {
            self.redactor.learn(self.names.iter().map(String::as_str));
        }
    }

    /// Prints new lines of the ranks. Returns whether there can be more.
    fn show(&mut self, supervisor: &mut Supervisor) -> bool {
        supervisor.output.collect();
        if !supervisor.output.ready() {
            // The reader of the output is slow. The lines stay in the file.
            return true;
        }
        let Some(lines) = self.log.read() else {
            return false;
        };
        if !lines.is_empty() {
            supervisor.output.push(&lines);
        }
        true
    }

    /// Prints what is left in the log of a job that has ended.
    fn show_rest(&mut self, supervisor: &mut Supervisor) {
        let until = Instant::now() + DRAIN;
        while self.show(supervisor) {
            if Instant::now() >= until {
                let line = "job: the rest of the output is only in the log of the scheduler";
                return supervisor.output.line(line);
            }
            if !supervisor.output.ready() {
                std::thread::sleep(LOOK);
            }
        }
        let rest = self.log.rest();
        if !rest.is_empty() {
            supervisor.output.push(&rest);
        }
    }
}

/// Ends the jobs with this name, and waits until the scheduler has none. Returns whether that is so.
pub fn cancel(scheduler: &dyn Queue, name: &str, poll: Duration) -> bool {
    let until = Instant::now() + GONE;
    let mut pause = SETTLE;
    loop {
        // Ask again: a controller that restarts may have lost the request.
        let asked = scheduler.cancel(name);
        std::thread::sleep(pause);
        if let (Ok(()), Ok(None)) = (asked, scheduler.find(name)) {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        pause = poll.max(Duration::from_secs(1));
    }
}
