//! What can go wrong between here and GitHub: a closed list, each with its cause and its remedy.
//!
//! Nothing here quotes a URL, a host, an address or a credential; of what GitHub answers only its `message` is kept, reduced
//! to plain characters, because a log is public.

use std::fmt;
use std::time::Duration;

/// How an exchange broke before there was a whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
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
pub enum ErrorKind {
    /// A setting cannot be used; nothing was sent.
    Setting(String),
    /// There is no token, and the request needs one; nothing was sent.
    NoToken,
    /// No whole answer came.
    Unreachable(Transport),
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
pub struct GitHubError {
    /// Method and path, such as `GET /repos/o/n/issues/5`; empty where nothing was sent.
    pub request: String,
    /// What went wrong.
    pub kind: ErrorKind,
    /// How often it was tried.
    pub tries: u32,
}

impl GitHubError {
    /// A setting that cannot be used.
    pub fn setting(says: String) -> Self {
        GitHubError {
            request: String::new(),
            kind: ErrorKind::Setting(says),
            tries: 0,
        }
    }

    /// A comment on which several publishers could not agree.
    pub fn contended(number: u64) -> Self {
        GitHubError {
            request: format!("the comment on {number}"),
            kind: ErrorKind::Contended,
            tries: 1,
        }
    }

    /// The HTTP status, where GitHub answered with one.
    pub fn status(&self) -> Option<u16> {
        match self.kind {
            ErrorKind::Status { status, .. } => Some(status),
            _ => None,
        }
    }

    /// Whether the command line or the environment is at fault, and not GitHub or the way to it.
    pub fn is_setting(&self) -> bool {
        matches!(self.kind, ErrorKind::Setting(_))
    }

    /// Whether GitHub says that there is no such thing (or none that the token may see).
    pub fn is_missing(&self) -> bool {
        matches!(self.status(), Some(404 | 410))
    }

    /// Whether the request may have taken effect although no good answer came.
    pub fn may_have_happened(&self) -> bool {
        match &self.kind {
            ErrorKind::Unreachable(b) => {
                matches!(b, Transport::Timeout | Transport::Cut | Transport::Protocol)
            }
            ErrorKind::Status { status, .. } => *status >= 500,
            ErrorKind::TooLarge | ErrorKind::NotJson | ErrorKind::Shape(_) => true,
            ErrorKind::Setting(_)
            | ErrorKind::NoToken
            | ErrorKind::Limited { .. }
            | ErrorKind::Redirected
            | ErrorKind::Contended => false,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match &self.kind {
            ErrorKind::Setting(_) => "",
            ErrorKind::NoToken => "set GITHUB_TOKEN (or GH_TOKEN)",
            ErrorKind::Unreachable(Transport::Name | Transport::Connect) => {
                "check the network, GITHUB_API_URL and the proxy settings (HTTPS_PROXY, NO_PROXY), then try again"
            }
            ErrorKind::Unreachable(Transport::Tls) => {
                "where the host has a private certificate authority, name its PEM file in SSL_CERT_FILE"
            }
            ErrorKind::Unreachable(Transport::Timeout) => {
                "try again; NMOE_API_TIMEOUT_S gives a slow network more time"
            }
            ErrorKind::Unreachable(Transport::Proxy) => "check HTTPS_PROXY, ALL_PROXY and NO_PROXY",
            ErrorKind::Unreachable(Transport::Cut | Transport::Protocol)
            | ErrorKind::Shape(_)
            | ErrorKind::Contended => "try again later",
            ErrorKind::Limited { .. } => "wait, or use a token with a larger budget",
            ErrorKind::Redirected => {
                "name the repository in GITHUB_REPOSITORY as it is called today, and the API's own host in GITHUB_API_URL"
            }
            ErrorKind::TooLarge => "check that GITHUB_API_URL names GitHub's API",
            ErrorKind::NotJson => {
                "a proxy or a login page may stand in between: check GITHUB_API_URL and the proxy settings"
            }
            ErrorKind::Status { status, .. } => match status {
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

impl fmt::Display for GitHubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.request.is_empty() {
            write!(f, "GitHub: {}: ", self.request)?;
        }
        match &self.kind {
            ErrorKind::Setting(says) => f.write_str(says)?,
            ErrorKind::NoToken => f.write_str("there is no token to write with")?,
            ErrorKind::Unreachable(b) => f.write_str(match b {
                Transport::Name => "the API's host name could not be resolved",
                Transport::Connect => "no connection to the API",
                Transport::Tls => "the API's certificate was not accepted",
                Transport::Timeout => "no answer in time",
                Transport::Cut => "the connection broke before the answer was whole",
                Transport::Proxy => "the proxy let nothing through",
                Transport::Protocol => "the answer was not HTTP",
            })?,
            ErrorKind::Status {
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
            ErrorKind::Limited { retry_in } => {
                f.write_str("the rate limit is reached")?;
                if let Some(wait) = retry_in {
                    write!(f, "; it ends in {} s", wait.as_secs())?;
                }
            }
            ErrorKind::Redirected => {
                f.write_str("the answer points to another host, which was not followed")?
            }
            ErrorKind::TooLarge => f.write_str("the answer is too large")?,
            ErrorKind::NotJson => f.write_str("the answer is not JSON")?,
            ErrorKind::Contended => f.write_str("others keep changing it")?,
            ErrorKind::Shape(what) => write!(f, "the answer has another shape than expected ({what})")?,
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

impl std::error::Error for GitHubError {}

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
            GitHubError {
                request: "GET /x".to_owned(),
                kind: ErrorKind::Status {
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
