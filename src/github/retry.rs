//! Decides whether to retry a request, and how long to wait before. Pure: the clock is a parameter.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::github::error::{ErrorKind, GitHubError, Transport};

/// The most tries of one request.
pub const TRIES: u32 = 6;

/// The first wait of the exponential backoff.
const FIRST: Duration = Duration::from_millis(500);

/// The longest wait of the exponential backoff.
const LONGEST: Duration = Duration::from_secs(20);

/// The wait after a rate limit without a time.
const DEFAULT_LIMIT_WAIT: Duration = Duration::from_secs(60);

/// A source of time and of random jitter, which prevents two clients from retrying at the same time.
pub trait Clock: Send + Sync {
    fn now(&self) -> SystemTime;
    fn sleep(&self, wait: Duration);
    /// Returns a random number from 0 to 1.
    fn jitter(&self) -> f64;
}

/// The system clock.
#[derive(Debug)]
pub struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, wait: Duration) {
        std::thread::sleep(wait);
    }

    fn jitter(&self) -> f64 {
        use std::hash::BuildHasher as _;
        // The system seeds a new RandomState, which is random enough for jitter.
        let bits = std::hash::RandomState::new().hash_one(0_u8);
        f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }
}

/// Returns how long to wait before the next try; `None` if a retry would not help, or could execute the request twice.
///
/// `tries` is the number of tries so far; `idempotent` says whether the request may be executed twice.
pub fn wait(fault: &GitHubError, tries: u32, idempotent: bool, jitter: f64) -> Option<Duration> {
    if tries >= TRIES {
        return None;
    }
    let doubling = FIRST
        .saturating_mul(1 << (tries.saturating_sub(1)).min(10))
        .min(LONGEST);
    let jittered = doubling.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
    match &fault.kind {
        // GitHub refused before it executed the request, so a retry is always safe.
        ErrorKind::Limited { retry_in } => Some(retry_in.unwrap_or(DEFAULT_LIMIT_WAIT).max(jittered)),
        ErrorKind::Unreachable(Transport::Connect | Transport::Name) => Some(jittered),
        ErrorKind::Unreachable(Transport::Timeout | Transport::Cut) if idempotent => Some(jittered),
        ErrorKind::Status { status, .. } if idempotent && (*status >= 500 || *status == 408) => {
            Some(jittered)
        }
        _ => None,
    }
}

/// Detects a rate limit in the status, message and headers of an answer; `None` if the refusal has another cause.
///
/// `header` looks up a header by its lower-case name.
pub fn limited<'a>(
    status: u16,
    message: &str,
    header: impl Fn(&str) -> Option<&'a str>,
    now: SystemTime,
) -> Option<ErrorKind> {
    if !matches!(status, 403 | 429 | 503) {
        return None;
    }
    let seconds = |name: &str| header(name).and_then(|v| v.trim().parse::<u64>().ok());
    let spent = header("x-ratelimit-remaining").is_some_and(|v| v.trim() == "0");
    let retry_after = seconds("retry-after").map(Duration::from_secs);
    let told = message.to_ascii_lowercase().contains("rate limit");
    if status != 429 && retry_after.is_none() && !(status == 403 && (spent || told)) {
        return None;
    }
    let reset = seconds("x-ratelimit-reset").filter(|_| spent).map(|at| {
        (UNIX_EPOCH + Duration::from_secs(at.min(u64::from(u32::MAX))))
            .duration_since(now)
            .unwrap_or(Duration::ZERO)
            + Duration::from_secs(1)
    });
    Some(ErrorKind::Limited {
        retry_in: retry_after.or(reset),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: ErrorKind) -> GitHubError {
        GitHubError::of_request("GET", "/x", kind)
    }

    fn status(status: u16) -> ErrorKind {
        ErrorKind::Status {
            status,
            message: String::new(),
            needs: None,
        }
    }

    #[test]
    fn waits_double_with_jitter_and_end() {
        let storm = fault(status(502));
        let waits: Vec<_> = (1..=TRIES)
            .map(|n| wait(&storm, n, true, 1.0).map(|d| d.as_millis()))
            .collect();
        assert_eq!(
            waits,
            [Some(500), Some(1000), Some(2000), Some(4000), Some(8000), None]
        );
        assert_eq!(wait(&storm, 1, true, 0.0), Some(Duration::from_millis(250)));
    }

    #[test]
    fn what_could_happen_twice_is_not_repeated() {
        for cause in [
            status(502),
            ErrorKind::Unreachable(Transport::Timeout),
            ErrorKind::Unreachable(Transport::Cut),
        ] {
            assert_eq!(wait(&fault(cause), 1, false, 0.5), None);
        }
        for cause in [
            ErrorKind::Limited { retry_in: None },
            ErrorKind::Unreachable(Transport::Connect),
        ] {
            assert!(wait(&fault(cause), 1, false, 0.5).is_some());
        }
        for cause in [
            status(401),
            status(404),
            status(422),
            ErrorKind::Redirected,
            ErrorKind::NotJson,
        ] {
            assert_eq!(wait(&fault(cause), 1, true, 0.5), None);
        }
    }

    #[test]
    fn limits_are_told_from_plain_refusals() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let ask = |status, message: &str, headers: &'static [(&'static str, &'static str)]| {
            limited(
                status,
                message,
                |name| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v),
                now,
            )
        };
        let within = |seconds| {
            Some(ErrorKind::Limited {
                retry_in: Some(Duration::from_secs(seconds)),
            })
        };
        assert_eq!(
            ask(
                403,
                "Resource not accessible by integration",
                &[("x-ratelimit-remaining", "4000")]
            ),
            None
        );
        assert_eq!(
            ask(
                403,
                "",
                &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1030")]
            ),
            within(31)
        );
        assert_eq!(
            ask(
                403,
                "",
                &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "10")]
            ),
            within(1)
        );
        assert_eq!(
            ask(403, "You have exceeded a secondary rate limit", &[]),
            Some(ErrorKind::Limited { retry_in: None })
        );
        assert_eq!(ask(429, "", &[("retry-after", "7")]), within(7));
        assert_eq!(ask(503, "", &[("retry-after", "3")]), within(3));
        assert_eq!(ask(503, "", &[]), None);
        assert_eq!(
            ask(429, "", &[("retry-after", "soon")]),
            Some(ErrorKind::Limited { retry_in: None })
        );
    }
}
