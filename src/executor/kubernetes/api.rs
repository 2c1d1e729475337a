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

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

    use super::*;

    /// A certificate with its key.
    struct Issued {
        pem: String,
        der: CertificateDer<'static>,
        key: KeyPair,
    }

    struct Authority {
        pem: String,
        der: CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
    }

    impl Authority {
        fn new() -> Self {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let certificate = params.self_signed(&key).unwrap();
            Authority {
                pem: certificate.pem(),
                der: certificate.der().clone(),
                issuer: Issuer::new(params, key),
            }
        }

        fn issue(&self, name: &str) -> Issued {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &self.issuer).unwrap();
            Issued {
                pem: certificate.pem(),
                der: certificate.der().clone(),
                key,
            }
        }
    }

    /// Starts a server that wants a certificate of this authority from its clients.
    fn serve(authority: &Authority) -> u16 {
        let own = authority.issue("127.0.0.1");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.der.clone()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(vec![own.der], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream);
                // A handshake that fails ends here.
                if stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                    let _ = stream.write_all(answer);
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        });
        port
    }

    #[test]
    fn server_and_client_prove_themselves() {
        let (ours, other) = (Authority::new(), Authority::new());
        let port = serve(&ours);
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("config");
        let read = |authority: &Authority, client: Option<Issued>| {
            let encode = |text: &str| STANDARD.encode(text);
            let user = client.map_or("token: t".to_owned(), |client| {
                let (pem, key) = (encode(&client.pem), encode(&client.key.serialize_pem()));
                format!("client-certificate-data: {pem}, client-key-data: {key}")
            });
            let text = format!(
                "current-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n\
                 clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority-data: {}}}}}]\n\
                 users: [{{name: u, user: {{{user}}}}}]\n",
                encode(&authority.pem)
            );
            std::fs::write(&path, text).unwrap();
            let config = Config::of_environment(&[("KUBECONFIG".into(), path.clone().into())]).unwrap();
            Api::new(config).unwrap().get::<Value>("/apis/")
        };
        read(&ours, Some(ours.issue("gates"))).unwrap();
        assert!(read(&ours, None).is_err());
        assert!(read(&ours, Some(other.issue("gates"))).is_err());
        assert!(read(&other, Some(ours.issue("gates"))).is_err());
    }
}
