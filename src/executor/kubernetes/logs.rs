//! Collects the output of the pods of a job through the API server, with the number of its rank before each line.
//!
//! Each request asks for the time since the last one and a little more. Lines that were collected before are left out by their time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::executor::kubernetes::api::Api;
use crate::executor::kubernetes::objects::{List, Pod};

/// How much more than the time since the last request is asked for.
const MORE: Duration = Duration::from_secs(5);

/// The output of the pods of a job.
#[derive(Default)]
pub struct Logs(BTreeMap<String, Seen>);

/// What was collected of one pod.
#[derive(Default)]
struct Seen {
    asked: Option<Instant>,
    /// The time of the last line, and how many lines have it.
    last: Option<(Timestamp, usize)>,
}

impl Logs {
    /// Returns the new lines of all pods. A pod without output is left out.
    pub fn read(&mut self, api: &Api, pods: &List<Pod>) -> Vec<u8> {
        let mut lines = Vec::new();
        for pod in &pods.items {
            let Some((name, rank)) = pod.name().zip(pod.rank()) else {
                continue;
            };
            let seen = self.0.entry(name.to_owned()).or_default();
            let since = seen.asked.map(|asked| asked.elapsed() + MORE);
            let since = since.map(|since| format!("&sinceSeconds={}", since.as_secs() + 1));
            let path = format!(
                "pods/{name}/log?container=gate&timestamps=true{}",
                since.unwrap_or_default()
            );
            let now = Instant::now();
            // A pod that has not started has no output yet.
            if let Ok(text) = api.bytes(&api.in_namespace("/api/v1", &path)) {
                seen.asked = Some(now);
                seen.take(&text, rank, &mut lines);
            }
        }
        lines
    }
}

impl Seen {
    /// Adds the lines that were not collected before.
    fn take(&mut self, text: &[u8], rank: u32, lines: &mut Vec<u8>) {
        let mut repeated = self.last;
        // The end of an answer that was cut is not a line.
        for line in text
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|l| l.ends_with(b"\n"))
        {
            let time = line
                .iter()
                .position(|byte| *byte == b' ')
                .map(|at| line.split_at(at));
            let parsed = time.and_then(|(time, rest)| {
                let time = str::from_utf8(time).ok()?.parse::<Timestamp>().ok()?;
                Some((time, &rest[1..]))
            });
            let Some((time, rest)) = parsed else {
                continue;
            };
            if let Some((last, count)) = &mut repeated {
                if time < *last {
                    continue;
                }
                if time == *last && *count > 0 {
                    *count -= 1;
                    continue;
                }
            }
            self.last = match self.last {
                Some((last, count)) if last == time => Some((last, count + 1)),
                _ => Some((time, 1)),
            };
            lines.extend_from_slice(format!("{rank}: ").as_bytes());
            lines.extend_from_slice(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_collected_once() {
        let mut seen = Seen::default();
        let mut take = |text: &str| {
            let mut lines = Vec::new();
            seen.take(text.as_bytes(), 1, &mut lines);
            String::from_utf8(lines).unwrap()
        };
        let first = "2026-01-02T03:04:05.1Z a\n2026-01-02T03:04:05.12Z b\n2026-01-02T03:04:05.12Z c\n";
        assert_eq!(take(first), "1: a\n1: b\n1: c\n");
        assert_eq!(take(first), "");
        let more =
            format!("{first}2026-01-02T03:04:05.12Z d\n2026-01-02T03:04:06Z \n2026-01-02T03:04:07Z cut");
        assert_eq!(take(&more), "1: d\n1: \n");
        assert_eq!(take("2026-01-02T03:04:07Z cut off\nno time\n"), "1: cut off\n");
    }
}
