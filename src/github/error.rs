//! Defines the errors of GitHub requests, each with its cause and a fix.
//!
//! Must not contain a URL, a host, an address or a credential, because logs are public. Of an answer, only the `message` is kept,
//! reduced to plain characters.

use std::fmt;
use std::time::Duration;

/// Why no complete answer arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The name of the host could not be resolved.
    Name,
    /// The connection failed.
    Connect,
    /// The certificate was rejected, or TLS failed for another reason.
    Tls,
    /// The time limit was reached.
    Timeout,
    /// The connection closed before the answer was complete.
    Cut,
    /// The proxy refused the request or sent an invalid answer.
    Proxy,
    /// The answer was not HTTP.
    Protocol,
}

/// The kind of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A setting is invalid; no request was sent.
    Setting {
        /// What is wrong with the value.
        why: String,
        fix: &'static str,
    },
    /// The request needs a token; no request was sent.
    NoToken,
    /// No complete answer arrived.
    Unreachable(Transport),
    /// GitHub answered with this status.
    Status {
        status: u16,
        /// The message of GitHub, reduced to plain characters; may be empty.
        message: String,
        /// The permission that GitHub asks for, such as `issues=write`.
        needs: Option<String>,
    },
    /// The rate limit is reached, or GitHub asks to slow down.
    Limited {
        /// When to retry, if GitHub names a time.
        retry_in: Option<Duration>,
    },
    /// The answer redirects to another host, or too often.
    Redirected,
    /// The answer is larger than the limit.
    TooLarge,
    /// The answer is not JSON; probably a proxy sent it.
    NotJson,
    /// The JSON answer does not have the documented structure.
    Shape(String),
    /// Other publishers kept changing the same comment.
    Contended,
}

/// A failed request and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHubError {
    /// What could not be done, such as `complete GET /repos/o/n/issues/5`.
    pub attempt: String,
    pub kind: ErrorKind,
    /// How often the request was sent.
    pub tries: u32,
}

impl GitHubError {
    /// Creates the error of a setting that is invalid for this reason.
    pub fn setting(name: &str, why: impl Into<String>, fix: &'static str) -> Self {
        let why = why.into();
        GitHubError {
            attempt: format!("use {name}"),
            kind: ErrorKind::Setting { why, fix },
            tries: 0,
        }
    }

    /// Creates the error of a request. Its path must not have a query.
    pub fn of_request(method: &str, path: &str, kind: ErrorKind) -> Self {
        GitHubError {
            attempt: format!("complete {method} {path}"),
            kind,
            tries: 1,
        }
    }

    /// Creates the error of a comment that other publishers keep changing.
    pub fn contended(number: u64) -> Self {
        GitHubError {
            attempt: format!("update the comment on {number}"),
            kind: ErrorKind::Contended,
            tries: 1,
        }
    }

    /// Creates the error of a status that other publishers keep changing.
    pub fn contended_status(commit: &str) -> Self {
        GitHubError {
            attempt: format!("set the status of {commit}"),
            kind: ErrorKind::Contended,
            tries: 1,
        }
    }

    /// Whether the conversation is locked. Then only people with write access may comment, which an app does not have.
    pub fn is_locked(&self) -> bool {
        matches!(&self.kind, ErrorKind::Status { status: 403, message, .. } if message.contains("is locked"))
    }

    /// Returns the HTTP status, if GitHub answered.
    pub fn status(&self) -> Option<u16> {
        match self.kind {
            ErrorKind::Status { status, .. } => Some(status),
            _ => None,
        }
    }

    /// Whether the command line or the environment caused the error.
    pub fn is_setting(&self) -> bool {
        matches!(self.kind, ErrorKind::Setting { .. })
    }

    /// Whether GitHub says that the object does not exist, or the token may not read it.
    pub fn is_missing(&self) -> bool {
        matches!(self.status(), Some(404 | 410))
    }

    /// Whether the same request can succeed later.
    pub fn is_temporary(&self) -> bool {
        match self.kind {
            ErrorKind::Unreachable(_) | ErrorKind::Limited { .. } => true,
            ErrorKind::Status { status, .. } => status >= 500 || status == 408,
            _ => false,
        }
    }

    /// Whether the request may have taken effect although the answer was incomplete or invalid.
    pub fn may_have_happened(&self) -> bool {
        match &self.kind {
            ErrorKind::Unreachable(b) => {
                matches!(b, Transport::Timeout | Transport::Cut | Transport::Protocol)
            }
            ErrorKind::Status { status, .. } => *status >= 500,
            ErrorKind::TooLarge | ErrorKind::NotJson | ErrorKind::Shape(_) => true,
            ErrorKind::Setting { .. }
            | ErrorKind::NoToken
            | ErrorKind::Limited { .. }
            | ErrorKind::Redirected
            | ErrorKind::Contended => false,
        }
    }

    /// Returns the error without its help, as a part of another text.
    pub fn without_help(&self) -> String {
        let text = self.to_string();
        text.split_once("\nhelp: ")
            .map(|(text, _)| text.to_owned())
            .unwrap_or(text)
    }

    /// Returns how to fix the error.
    fn fix(&self) -> &'static str {
        match &self.kind {
            ErrorKind::Setting { fix, .. } => fix,
            ErrorKind::NoToken => "set GITHUB_TOKEN (or GH_TOKEN)",
            ErrorKind::Unreachable(Transport::Name | Transport::Connect) => {
                "check the network, GITHUB_API_URL and the proxy settings (HTTPS_PROXY, NO_PROXY), then try again"
            }
            ErrorKind::Unreachable(Transport::Tls) => {
                "if the host has a private certificate authority, set SSL_CERT_FILE to its PEM file"
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
                "a proxy or a login page may have answered: check GITHUB_API_URL and the proxy settings"
            }
            ErrorKind::Status { .. } if self.is_locked() => {
                "unlock the conversation of the pull request, then publish again; a token of a workflow cannot comment on a locked one"
            }
            ErrorKind::Status { status, .. } => match status {
                401 => "the token is wrong or has expired: set a new token",
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
                500.. => "GitHub has an outage: check its status page and try again later",
                _ => "check GITHUB_API_URL and the token",
            },
        }
    }
}

impl fmt::Display for GitHubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: ", self.attempt)?;
        match &self.kind {
            ErrorKind::Setting { why, .. } => f.write_str(why)?,
            ErrorKind::NoToken => f.write_str("it needs a token")?,
            ErrorKind::Unreachable(b) => f.write_str(match b {
                Transport::Name => "the API's host name could not be resolved",
                Transport::Connect => "cannot connect to the API",
                Transport::Tls => "the API's certificate was not accepted",
                Transport::Timeout => "no answer in time",
                Transport::Cut => "the connection closed before the answer was complete",
                Transport::Proxy => "the proxy refused the connection",
                Transport::Protocol => "the answer was not HTTP",
            })?,
            ErrorKind::Status {
                status,
                message,
                needs,
            } => {
                write!(f, "GitHub answered {status}")?;
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
            ErrorKind::Contended => f.write_str("other publishers keep changing it")?,
            ErrorKind::Shape(what) => write!(f, "the answer does not have the expected structure ({what})")?,
        }
        if self.tries > 1 {
            write!(f, ", after {} tries", self.tries)?;
        }
        write!(f, "\nhelp: {}", self.fix())
    }
}

impl std::error::Error for GitHubError {}

/// Reduces text from GitHub to letters, digits and plain punctuation, at most 160 characters.
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
    fn error_of_server_cannot_command_log() {
        assert_eq!(plain("::error::x\r\n##[group]<b>`@user`"), "errorx  groupbuser");
        assert_eq!(plain(&"x".repeat(1000)).len(), 160);
    }

    #[test]
    fn each_kind_says_cause_and_help() {
        let status = |status| ErrorKind::Status {
            status,
            message: "No".to_owned(),
            needs: None,
        };
        let statuses = [401, 403, 404, 410, 422, 502];
        let kinds = [
            ErrorKind::NoToken,
            ErrorKind::Unreachable(Transport::Name),
            ErrorKind::Unreachable(Transport::Connect),
            ErrorKind::Unreachable(Transport::Tls),
            ErrorKind::Unreachable(Transport::Timeout),
            ErrorKind::Unreachable(Transport::Cut),
            ErrorKind::Unreachable(Transport::Proxy),
            ErrorKind::Unreachable(Transport::Protocol),
            ErrorKind::Limited { retry_in: None },
            ErrorKind::Redirected,
            ErrorKind::TooLarge,
            ErrorKind::NotJson,
            ErrorKind::Shape("x".to_owned()),
        ];
        let kinds = statuses.map(status).into_iter().chain(kinds);
        let mut errors: Vec<GitHubError> = kinds
            .map(|kind| GitHubError::of_request("GET", "/x", kind))
            .collect();
        errors.extend([
            GitHubError::setting("NAME", "it is empty", "set it"),
            GitHubError::contended(1),
            GitHubError::contended_status("x"),
        ]);
        for error in &errors {
            let text = error.to_string();
            let (first, help) = text.split_once("\nhelp: ").unwrap_or_default();
            let (attempt, cause) = first.split_once(": ").unwrap_or_default();
            assert!(
                attempt.starts_with("cannot ")
                    && !cause.is_empty()
                    && !help.is_empty()
                    && !help.contains('\n'),
                "{text}"
            );
            assert_eq!(error.without_help(), first);
        }
        let helps: std::collections::BTreeSet<_> =
            errors[..statuses.len()].iter().map(GitHubError::fix).collect();
        assert_eq!(helps.len(), statuses.len());
        assert_eq!(
            errors[0].without_help(),
            "cannot complete GET /x: GitHub answered 401 (No)"
        );
    }
}
