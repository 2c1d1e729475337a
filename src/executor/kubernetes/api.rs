//! Sends requests to the API server of a cluster.
//!
//! Follows no redirect, uses no proxy, and limits time and size. Messages of the server name its site, so an error has the reason only.

use std::io::Read as _;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Method, Request};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::executor::kubernetes::config::{Config, ConfigError};
use crate::executor::scheduler::SchedulerError;

/// The longest request.
const LIMIT: Duration = Duration::from_secs(20);
/// The largest answer, in bytes.
const LARGEST: u64 = 16 << 20;

/// The API server of a cluster.
pub struct Api {
    agent: ureq::Agent,
    config: Config,
}

/// What the server says about a failure.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    reason: String,
    message: String,
}

impl From<ConfigError> for SchedulerError {
    fn from(error: ConfigError) -> Self {
        SchedulerError::Unsuitable(error.to_string())
    }
}

impl Api {
    /// Prepares requests to a cluster.
    ///
    /// # Errors
    /// A certificate cannot be read.
    pub fn new(config: Config) -> Result<Self, SchedulerError> {
        let unreadable = |what: &str| SchedulerError::Unsuitable(format!("{what} is not in PEM format"));
        let mut tls = TlsConfig::builder();
        if let Some(pem) = &config.authorities {
            let found = certificates(pem);
            if found.is_empty() {
                return Err(unreadable("the certificate authority of the cluster"));
            }
            tls = tls.root_certs(RootCerts::from(found));
        }
        if let Some((chain, key)) = &config.client {
            let chain = certificates(chain);
            let key = PrivateKey::from_pem(key).map_err(|_| unreadable("the key of the client"))?;
            if chain.is_empty() {
                return Err(unreadable("the certificate of the client"));
            }
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("nmoe-gates/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(LIMIT / 2))
            .timeout_global(Some(LIMIT))
            .max_idle_age(Duration::from_secs(5))
            .tls_config(tls.build())
            .build();
        Ok(Api {
            agent: agent.new_agent(),
            config,
        })
    }

    /// Returns the path of a kind of objects in the namespace of the jobs.
    pub fn in_namespace(&self, group: &str, objects: &str) -> String {
        format!("{group}/namespaces/{}/{objects}", self.config.namespace)
    }

    /// Reads an object.
    ///
    /// # Errors
    /// The server refuses, or gives no answer.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, SchedulerError> {
        read(&self.bytes(path)?)
    }

    /// Reads text.
    ///
    /// # Errors
    /// The server refuses, or gives no answer.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, SchedulerError> {
        self.send(&Method::GET, path, None)
    }

    /// Creates an object and returns it.
    ///
    /// # Errors
    /// The server refuses, or gives no answer.
    pub fn create<T: DeserializeOwned>(&self, path: &str, object: &Value) -> Result<T, SchedulerError> {
        read(&self.send(&Method::POST, path, Some(object))?)
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// The server refuses, or gives no answer.
    pub fn delete(&self, path: &str) -> Result<(), SchedulerError> {
        self.send(&Method::DELETE, path, None).map(drop)
    }

    fn send(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Vec<u8>, SchedulerError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.config.server))
            .header("accept", "application/json, */*");
        if let Some(authorization) = self.config.authorization()? {
            request = request.header("authorization", authorization);
        }
        let sent = match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(body.to_string().into_bytes())
                .map(|request| self.agent.run(request)),
            None => request.body(()).map(|request| self.agent.run(request)),
        };
        let invalid = |_| SchedulerError::Unreachable("the address or the token is not valid");
        let mut answer = sent.map_err(invalid)?.map_err(|error| unreachable(&error))?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        answer
            .body_mut()
            .as_reader()
            .take(LARGEST)
            .read_to_end(&mut bytes)
            .map_err(|_| SchedulerError::Unreachable("the answer is not complete"))?;
        if answer.status().is_success() {
            return Ok(bytes);
        }
        Err(refused(
            status,
            serde_json::from_slice(&bytes).unwrap_or_default(),
        ))
    }
}

/// Returns the error for an answer that is not a success.
fn refused(code: u16, status: Status) -> SchedulerError {
    // A reason is one word. A longer text could name the site.
    let is_word = status.reason.len() <= 40 && status.reason.bytes().all(|b| b.is_ascii_alphabetic());
    SchedulerError::Refused {
        code,
        reason: match is_word && !status.reason.is_empty() {
            true => status.reason,
            false => "no reason".to_owned(),
        },
        message: status.message,
    }
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    parse_pem(pem).filter_map(certificate).collect()
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, SchedulerError> {
    serde_json::from_slice(bytes)
        .map_err(|_| SchedulerError::Unreachable("the answer is not that of Kubernetes"))
}

fn unreachable(error: &ureq::Error) -> SchedulerError {
    SchedulerError::Unreachable(match error {
        ureq::Error::Timeout(_) => "no answer in time",
        ureq::Error::HostNotFound => "the host is not known",
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => "the TLS connection failed",
        ureq::Error::Io(_) | ureq::Error::ConnectionFailed => "the connection failed",
        _ => "the answer is not HTTP",
    })
}
