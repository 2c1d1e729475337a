//! Sends requests to one origin, with limits on time and size, and retries them if that is safe.
//!
//! Must not depend on single API requests: those are in [`crate::github::api`].

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::header::{CONTENT_TYPE, ETAG, HeaderValue, LINK};
use ureq::http::{HeaderMap, Method, Request};

use crate::domain::ids::Sha256;
use crate::github::conditional::{Answer, Conditional};
use crate::github::config::{self, ApiConfig, Repository};
use crate::github::error::{ErrorKind, GitHubError, Transport, plain};
use crate::github::retry::{self, Clock, RealClock};

/// The largest answer that is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// The most pages of one list, 100 entries each.
const PAGES: usize = 50;

/// The most redirects of one request, all within the origin of the API.
const REDIRECTS: usize = 3;

const OK: u16 = 200;
const NOT_MODIFIED: u16 = 304;

/// A client of one GitHub host.
pub struct Client {
    agent: ureq::Agent,
    config: ApiConfig,
    clock: Box<dyn Clock>,
    known: Conditional,
}

/// The headers and the body of an answer.
struct Reply {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    /// Returns what a later request can use; `None` without a tag, or if the body is not text.
    fn to_remember(&self) -> Option<Answer> {
        let text = |name| header(&self.headers, name).map(str::to_owned);
        Some(Answer {
            tag: text("etag")?,
            content_type: text("content-type"),
            link: text("link"),
            body: String::from_utf8(self.body.clone()).ok()?,
        })
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (CONTENT_TYPE, answer.content_type),
            (LINK, answer.link),
            (ETAG, Some(answer.tag)),
        ] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        Reply {
            headers,
            body: answer.body.into_bytes(),
        }
    }
}

/// Whether a request may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The request is idempotent: retry after every temporary failure.
    Safe,
    /// Retry only if GitHub certainly did not execute the request.
    Careful,
}

impl Client {
    /// Creates a client with the system clock.
    pub fn new(config: ApiConfig) -> Result<Self, GitHubError> {
        Client::with_clock(config, Box::new(RealClock))
    }

    /// Creates a client with this clock; tests pass a clock that does not wait.
    pub fn with_clock(config: ApiConfig, clock: Box<dyn Clock>) -> Result<Self, GitHubError> {
        let mut tls = ureq::tls::TlsConfig::builder();
        if let Some(pem) = &config.authorities {
            let certificates: Vec<_> = ureq::tls::parse_pem(pem)
                .filter_map(|item| match item {
                    Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                return Err(GitHubError::setting(
                    "SSL_CERT_FILE",
                    "the file contains no certificate in PEM format",
                    config::OTHER_CERTIFICATES,
                ));
            }
            tls = tls.root_certs(ureq::tls::RootCerts::from(certificates));
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("nmoe-gates/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(config.timeout.min(Duration::from_secs(10))))
            .timeout_global(Some(config.timeout))
            .max_idle_age(Duration::from_secs(5))
            .tls_config(tls.build())
            .build();
        Ok(Client {
            agent: agent.new_agent(),
            config,
            clock,
            known: Conditional::default(),
        })
    }

    /// Keeps answers about a repository in a file of this folder for the next process. Has no effect without a token, which seals
    /// the file.
    #[must_use]
    pub fn storing(mut self, folder: &Path, repository: &Repository) -> Self {
        if let Some(token) = &self.config.token {
            let name = Sha256::of(self.config.base.url(&format!("/{repository}")).as_bytes());
            let path = folder.join(name.as_str());
            self.known = Conditional::stored(path, token.authorization().into_bytes());
        }
        self
    }

    pub fn config(&self) -> &ApiConfig {
        &self.config
    }

    /// Waits on the clock of the client, at most for the retry budget.
    pub fn pause(&self, wait: Duration) {
        self.clock.sleep(wait.min(self.config.retry_budget));
    }

    /// Sends a GET request and parses the JSON answer.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, GitHubError> {
        let reply = self.send(&Method::GET, &self.config.base.url(path), None, Repeat::Safe)?;
        read(&reply, "GET", path)
    }

    /// Sends a GET request and returns the bytes of the answer.
    pub fn file(&self, path: &str) -> Result<Vec<u8>, GitHubError> {
        let url = self.config.base.url(path);
        self.send(&Method::GET, &url, None, Repeat::Safe)
            .map(|reply| reply.body)
    }

    /// Sends GET requests for all pages of a list, following the `Link` header.
    pub fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, GitHubError> {
        let mut all: Vec<T> = Vec::new();
        let mut pages = 0;
        self.pages(path, PAGES + 1, |page: Vec<T>| {
            all.extend(page);
            pages += 1;
            pages > PAGES
        })?;
        match pages > PAGES {
            false => Ok(all),
            true => Err(fault(&Method::GET, path, ErrorKind::TooLarge)),
        }
    }

    /// Sends GET requests for the pages of a list, following the `Link` header, until `enough` returns true or `most` pages are read.
    pub fn pages<P: DeserializeOwned>(
        &self,
        path: &str,
        most: usize,
        mut enough: impl FnMut(P) -> bool,
    ) -> Result<(), GitHubError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut next = Some(self.config.base.url(&format!("{path}{separator}per_page=100")));
        for _ in 0..most {
            let Some(url) = next else { break };
            let reply = self.send(&Method::GET, &url, None, Repeat::Safe)?;
            if enough(read::<P>(&reply, "GET", path)?) {
                break;
            }
            next = match link_next(&reply.headers) {
                None => None,
                Some(link) => Some(
                    self.config
                        .base
                        .same_origin(&link)
                        .ok_or_else(|| fault(&Method::GET, path, ErrorKind::Redirected))?,
                ),
            };
        }
        Ok(())
    }

    /// Sends a request that changes something; needs a token.
    pub fn write(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        repeat: Repeat,
    ) -> Result<Option<Value>, GitHubError> {
        if self.config.token.is_none() {
            return Err(fault(method, path, ErrorKind::NoToken));
        }
        let reply = self.send(method, &self.config.base.url(path), body, repeat)?;
        if reply.body.is_empty() {
            return Ok(None);
        }
        read(&reply, method.as_str(), path).map(Some)
    }

    /// Sends a read-only GraphQL query and returns its `data`; needs a token.
    pub fn query(&self, query: &str, variables: &Value) -> Result<Value, GitHubError> {
        let path = "/graphql";
        if self.config.token.is_none() {
            return Err(fault(&Method::POST, path, ErrorKind::NoToken));
        }
        let body = serde_json::json!({"query": query, "variables": variables});
        let url = self.config.base.graphql();
        let reply = self.send(&Method::POST, &url, Some(&body), Repeat::Safe)?;
        let mut answer: Value = read(&reply, "POST", path)?;
        match answer.get_mut("data").map(Value::take) {
            Some(data) if !data.is_null() && answer.get("errors").is_none() => Ok(data),
            _ => Err(fault(
                &Method::POST,
                path,
                ErrorKind::Shape(plain(
                    answer["errors"][0]["message"].as_str().unwrap_or("no data"),
                )),
            )),
        }
    }

    /// Sends a request, follows redirects within the origin, and retries within the retry budget if that is safe.
    fn send(
        &self,
        method: &Method,
        url: &str,
        body: Option<&Value>,
        repeat: Repeat,
    ) -> Result<Reply, GitHubError> {
        let mut waited = Duration::ZERO;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut failed = match self.follow(method, url, body) {
                Ok(reply) => return Ok(reply),
                Err(failed) => failed,
            };
            failed.tries = tries;
            match retry::wait(&failed, tries, repeat == Repeat::Safe, self.clock.jitter()) {
                Some(wait) if waited + wait <= self.config.retry_budget => {
                    waited += wait;
                    self.clock.sleep(wait);
                }
                _ => return Err(failed),
            }
        }
    }

    fn follow(&self, method: &Method, url: &str, body: Option<&Value>) -> Result<Reply, GitHubError> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let (status, reply) = self.once(method, &url, body)?;
            match status {
                200..=299 => return Ok(reply),
                // The repository was renamed. Follow 301 and 302 only for GET, because they may change the method.
                301 | 302 if *method == Method::GET => {}
                307 | 308 => {}
                300..=399 => return Err(fault(method, &url, ErrorKind::Redirected)),
                _ => return Err(fault(method, &url, self.refusal(status, &reply))),
            }
            url = header(&reply.headers, "location")
                .and_then(|target| self.config.base.same_origin(target))
                .ok_or_else(|| fault(method, &url, ErrorKind::Redirected))?;
        }
        Err(fault(method, &url, ErrorKind::Redirected))
    }

    fn once(&self, method: &Method, url: &str, body: Option<&Value>) -> Result<(u16, Reply), GitHubError> {
        let broken = |kind| fault(method, url, kind);
        let mut request = Request::builder()
            .method(method.clone())
            .uri(url)
            .header("x-github-api-version", "2022-11-28")
            .header("accept", accept(url));
        if let Some(token) = &self.config.token {
            request = request.header("authorization", token.authorization());
        }
        let reads = *method == Method::GET;
        let known = self.known.answer(url).filter(|_| reads);
        if let Some(known) = &known {
            request = request.header("if-none-match", &known.tag);
        }
        let answer = match body {
            Some(body) => {
                let request = request
                    .header("content-type", "application/json")
                    .body(body.to_string().into_bytes())
                    .map_err(|_| broken(ErrorKind::Unreachable(Transport::Protocol)))?;
                self.agent.run(request)
            }
            None => {
                let request = request
                    .body(())
                    .map_err(|_| broken(ErrorKind::Unreachable(Transport::Protocol)))?;
                self.agent.run(request)
            }
        };
        let mut answer = answer.map_err(|e| broken(kind_of(&e)))?;
        let status = answer.status().as_u16();
        if let (NOT_MODIFIED, Some(known)) = (status, known) {
            return Ok((OK, known.into()));
        }
        let mut text = Vec::new();
        answer
            .body_mut()
            .as_reader()
            .take(LARGEST + 1)
            .read_to_end(&mut text)
            .map_err(|e| broken(kind_of(&ureq::Error::from(e))))?;
        if text.len() as u64 > LARGEST {
            return Err(broken(ErrorKind::TooLarge));
        }
        let reply = Reply {
            headers: answer.headers().clone(),
            body: text,
        };
        if reads && status == OK {
            self.known.remember(url, reply.to_remember());
        }
        Ok((status, reply))
    }

    fn refusal(&self, status: u16, reply: &Reply) -> ErrorKind {
        let message = serde_json::from_slice::<Value>(&reply.body)
            .ok()
            .and_then(|answer| answer["message"].as_str().map(plain))
            .unwrap_or_default();
        let limited = retry::limited(
            status,
            &message,
            |name| header(&reply.headers, name),
            self.clock.now(),
        );
        limited.unwrap_or_else(|| ErrorKind::Status {
            status,
            message,
            needs: (status == 403)
                .then(|| header(&reply.headers, "x-accepted-github-permissions").map(plain))
                .flatten()
                .filter(|needs| !needs.is_empty()),
        })
    }
}

/// Returns the media type to request: raw bytes for a file, otherwise JSON.
fn accept(url: &str) -> &'static str {
    if url.contains("/contents/") {
        "application/vnd.github.raw+json"
    } else {
        "application/vnd.github+json"
    }
}

/// Creates the error of a request. It names only the path of a URL, because the host may be private.
fn fault(method: &Method, url: &str, kind: ErrorKind) -> GitHubError {
    let path = url.split_once("://").map_or(url, |(_, rest)| {
        rest.find('/').map_or("/", |slash| &rest[slash..])
    });
    let path = path.split('?').next().unwrap_or(path);
    GitHubError::of_request(method.as_str(), path, kind)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn read<T: DeserializeOwned>(reply: &Reply, method: &str, path: &str) -> Result<T, GitHubError> {
    let path = path.split('?').next().unwrap_or(path);
    let failed = |kind| GitHubError::of_request(method, path, kind);
    if !header(&reply.headers, "content-type").is_some_and(|kind| kind.contains("json")) {
        return Err(failed(ErrorKind::NotJson));
    }
    serde_json::from_slice(&reply.body).map_err(|e| {
        failed(if e.is_data() {
            ErrorKind::Shape(plain(&e.to_string()))
        } else {
            ErrorKind::NotJson
        })
    })
}

/// Returns the target of `rel="next"` in a `Link` header.
fn link_next(headers: &HeaderMap) -> Option<String> {
    header(headers, "link")?.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        parameters
            .split(';')
            .any(|p| matches!(p.trim(), "rel=\"next\"" | "rel=next"))
            .then(|| target.to_owned())
    })
}

/// Maps a transport error to an error kind. The original message is dropped, because it may contain hosts and addresses.
fn kind_of(error: &ureq::Error) -> ErrorKind {
    use std::io;
    let broke = match error {
        ureq::Error::HostNotFound | ureq::Error::Timeout(ureq::Timeout::Resolve) => Transport::Name,
        ureq::Error::ConnectionFailed | ureq::Error::Timeout(ureq::Timeout::Connect) => Transport::Connect,
        ureq::Error::Timeout(_) => Transport::Timeout,
        ureq::Error::Tls(_) | ureq::Error::Pem(_) | ureq::Error::Rustls(_) | ureq::Error::TlsRequired => {
            Transport::Tls
        }
        ureq::Error::InvalidProxyUrl | ureq::Error::ConnectProxyFailed(_) => Transport::Proxy,
        ureq::Error::BodyExceedsLimit(_) | ureq::Error::LargeResponseHeader(..) => {
            return ErrorKind::TooLarge;
        }
        ureq::Error::Io(e) => match e.kind() {
            io::ErrorKind::InvalidData => Transport::Tls,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Transport::Timeout,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Transport::Cut,
            _ => Transport::Connect,
        },
        ureq::Error::BodyStalled => Transport::Cut,
        _ => Transport::Protocol,
    };
    ErrorKind::Unreachable(broke)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "link",
            "<https://h/x?page=1>; rel=\"prev\", <https://h/x?page=3>; rel=\"next\", <https://h/x?page=9>; rel=\"last\""
                .parse()
                .unwrap(),
        );
        assert_eq!(link_next(&headers).as_deref(), Some("https://h/x?page=3"));
        assert_eq!(link_next(&HeaderMap::new()), None);
    }

    #[test]
    fn a_fault_names_no_host() {
        let text = fault(
            &Method::GET,
            "https://h.internal:1/repos/o/n?x=1",
            ErrorKind::NotJson,
        )
        .to_string();
        assert!(
            text.starts_with("cannot complete GET /repos/o/n: ") && !text.contains("internal"),
            "{text}"
        );
    }
}
