//! What can go wrong between here and GitHub: a closed list, each with its cause and its remedy.
//!
//! Nothing here quotes a URL, a host, an address or a credential; of what GitHub answers only its `message` is kept, reduced
//! to plain characters, because a log is public.

use std::fmt;
use std::time::Duration;

/// How an exchange broke before there was a whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The name of the host could not be resolved.
    Name,
    /// No connection came about.
    Connect,
    /// The certificate was not accepted, or TLS failed otherwise.
    Tls,
    /// It took longer than the limit.
    Timeout,
    /// The connection ended before the answer did.
    Cut,
    /// The proxy refused or answered nonsense.
    Proxy,
    /// The answer was not HTTP.
    Protocol,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A setting cannot be used; nothing was sent.
    Setting(String),
    /// There is no token, and the request needs one; nothing was sent.
    NoToken,
    /// No whole answer came.
    Unreachable(Break),
    /// GitHub answered with this status.
    Status {
        /// The HTTP status.
        status: u16,
        /// GitHub's own words, reduced to plain characters; may be empty.
        message: String,
        /// What GitHub says the token would need, such as `issues=write`.
        needs: Option<String>,
    },
    /// The token's budget of requests is used up, or GitHub asks to slow down.
    Limited {
        /// When to ask again, where GitHub says so.
        retry_in: Option<Duration>,
    },
    /// The answer points to another host, or in circles.
    Redirected,
    /// The answer is larger than the limit.
    TooLarge,
    /// The answer is not JSON: something in between answered.
    NotJson,
    /// The answer is JSON of another shape than GitHub documents.
    Shape(String),
    /// Others kept writing to the same comment.
    Contended,
}

/// A request that failed: which, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Method and path, such as `GET /repos/o/n/issues/5`; empty where nothing was sent.
    pub request: String,
    /// What went wrong.
    pub cause: Cause,
    /// How often it was tried.
    pub tries: u32,
}

impl Fault {
    /// A setting that cannot be used.
    pub fn setting(says: String) -> Self {
        Fault {
            request: String::new(),
            cause: Cause::Setting(says),
            tries: 0,
        }
    }

    /// A comment on which several publishers could not agree.
    pub fn contended(number: u64) -> Self {
        Fault {
            request: format!("the comment on {number}"),
            cause: Cause::Contended,
            tries: 1,
        }
    }

    /// The HTTP status, where GitHub answered with one.
    pub fn status(&self) -> Option<u16> {
        match self.cause {
            Cause::Status { status, .. } => Some(status),
            _ => None,
        }
    }

    /// Whether the command line or the environment is at fault, and not GitHub or the way to it.
    pub fn is_setting(&self) -> bool {
        matches!(self.cause, Cause::Setting(_))
    }

    /// Whether GitHub says that there is no such thing (or none that the token may see).
    pub fn is_missing(&self) -> bool {
        matches!(self.status(), Some(404 | 410))
    }

    /// Whether the request may have taken effect although no good answer came.
    pub fn may_have_happened(&self) -> bool {
        match &self.cause {
            Cause::Unreachable(b) => matches!(b, Break::Timeout | Break::Cut | Break::Protocol),
            Cause::Status { status, .. } => *status >= 500,
            Cause::TooLarge | Cause::NotJson | Cause::Shape(_) => true,
            Cause::Setting(_)
            | Cause::NoToken
            | Cause::Limited { .. }
            | Cause::Redirected
            | Cause::Contended => false,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match &self.cause {
            Cause::Setting(_) => "",
            Cause::NoToken => "set GITHUB_TOKEN (or GH_TOKEN)",
            Cause::Unreachable(Break::Name | Break::Connect) => {
                "check the network, GITHUB_API_URL and the proxy settings (HTTPS_PROXY, NO_PROXY), then try again"
            }
            Cause::Unreachable(Break::Tls) => {
                "where the host has a private certificate authority, name its PEM file in SSL_CERT_FILE"
            }
            Cause::Unreachable(Break::Timeout) => {
                "try again; NMOE_API_TIMEOUT_S gives a slow network more time"
            }
            Cause::Unreachable(Break::Proxy) => "check HTTPS_PROXY, ALL_PROXY and NO_PROXY",
            Cause::Unreachable(Break::Cut | Break::Protocol) | Cause::Shape(_) | Cause::Contended => {
                "try again later"
            }
            Cause::Limited { .. } => "wait, or use a token with a larger budget",
            Cause::Redirected => {
                "name the repository in GITHUB_REPOSITORY as it is called today, and the API's own host in GITHUB_API_URL"
            }
            Cause::TooLarge => "check that GITHUB_API_URL names GitHub's API",
            Cause::NotJson => {
                "a proxy or a login page may stand in between: check GITHUB_API_URL and the proxy settings"
            }
            Cause::Status { status, .. } => match status {
                401 => "the token is wrong or has expired: give a fresh one",
                403 => {
                    "give the token the permission (in a workflow: `permissions:`; a pull request from a fork gets a read-only token)"
                }
                404 => {
                    "check the number and GITHUB_REPOSITORY; a token that may not see the repository gets this answer too"
                }
                410 => "it was deleted, or issues are switched off for the repository",
                409 | 422 => {
                    "GitHub refused the content: check that the number, the commit and the state are what you think"
                }
                500.. => "GitHub has trouble of its own: see its status page, try again later",
                _ => "check GITHUB_API_URL and the token",
            },
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.request.is_empty() {
            write!(f, "GitHub: {}: ", self.request)?;
        }
        match &self.cause {
            Cause::Setting(says) => f.write_str(says)?,
            Cause::NoToken => f.write_str("there is no token to write with")?,
            Cause::Unreachable(b) => f.write_str(match b {
                Break::Name => "the API's host name could not be resolved",
                Break::Connect => "no connection to the API",
                Break::Tls => "the API's certificate was not accepted",
                Break::Timeout => "no answer in time",
                Break::Cut => "the connection broke before the answer was whole",
                Break::Proxy => "the proxy let nothing through",
                Break::Protocol => "the answer was not HTTP",
            })?,
            Cause::Status {
                status,
                message,
                needs,
            } => {
                write!(f, "answered {status}")?;
                if !message.is_empty() {
                    write!(f, " ({message})")?;
                }
                if let Some(needs) = needs {
                    write!(f, ", which needs {needs}")?;
                }
            }
            Cause::Limited { retry_in } => {
                f.write_str("the rate limit is reached")?;
                if let Some(wait) = retry_in {
                    write!(f, "; it ends in {} s", wait.as_secs())?;
                }
            }
            Cause::Redirected => f.write_str("the answer points to another host, which was not followed")?,
            Cause::TooLarge => f.write_str("the answer is too large")?,
            Cause::NotJson => f.write_str("the answer is not JSON")?,
            Cause::Contended => f.write_str("others keep changing it")?,
            Cause::Shape(what) => write!(f, "the answer has another shape than expected ({what})")?,
        }
        if self.tries > 1 {
            write!(f, ", after {} tries", self.tries)?;
        }
        match self.remedy() {
            "" => Ok(()),
            remedy => write!(f, "; {remedy}"),
        }
    }
}

impl std::error::Error for Fault {}

/// Text from the other side, reduced to letters, digits and plain punctuation, at most 160 characters.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| c.is_ascii_alphanumeric() || " .,;=_-'/()".contains(*c))
        .take(160)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_other_side_says_cannot_command_a_log() {
        assert_eq!(plain("::error::x\r\n##[group]<b>`@user`"), "errorx  groupbuser");
        assert_eq!(plain(&"x".repeat(1000)).len(), 160);
    }

    #[test]
    fn each_status_has_its_remedy() {
        let says = |status| {
            Fault {
                request: "GET /x".to_owned(),
                cause: Cause::Status {
                    status,
                    message: "No".to_owned(),
                    needs: None,
                },
                tries: 1,
            }
            .to_string()
        };
        let all: std::collections::BTreeSet<String> = [401, 403, 404, 410, 422, 502]
            .map(|s| says(s).split_once("; ").unwrap().1.to_owned())
            .into();
        assert_eq!(all.len(), 6);
        assert!(
            says(403).starts_with("GitHub: GET /x: answered 403 (No); give the token"),
            "{}",
            says(403)
        );
    }
}
