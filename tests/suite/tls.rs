//! Tests TLS connections to GitHub with real handshakes: an Enterprise host with a private authority, invalid certificates, proxies.
//! The fake GitHub is behind each connection.

use std::io::{Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::driver::{Call, Outcome};
use crate::fake_github::{FakeGitHub, TOKEN};
use crate::pull_fixture::PullFixture;

/// The name of the Enterprise host.
const HOST: &str = "ghe.example";

/// A private certificate authority.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Authority { pem, issuer }
    }

    /// Returns the certificate of a server with these names.
    fn server(&self, names: &[&str], until: (i32, u8, u8)) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

const LONG: (i32, u8, u8) = (2100, 1, 1);

/// Starts a listener with one thread per connection.
fn listening(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Reads the head of a message and the part of its body that came with it.
fn head(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        bytes.push(byte[0]);
    }
    bytes
}

/// Starts a TLS server in front of the fake GitHub, which is below `/api` as on an Enterprise host.
fn enterprise(api: &FakeGitHub, config: ServerConfig) -> u16 {
    let (config, behind) = (
        Arc::new(config),
        api.url().trim_start_matches("http://").to_owned(),
    );
    listening(move |stream| {
        let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
        let request = head(&mut tls);
        // A failed handshake carries no request.
        if request.is_empty() {
            return;
        }
        let text = String::from_utf8(request).unwrap();
        let length = text
            .to_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        tls.read_exact(&mut body).unwrap();
        let text = text
            .replacen(" /api/v3/", " /", 1)
            .replacen(" /api/graphql", " /graphql", 1);
        let mut there = TcpStream::connect(&behind).unwrap();
        there.write_all(text.as_bytes()).unwrap();
        there.write_all(&body).unwrap();
        let mut answer = Vec::new();
        // The fake ends some of its connections with a reset after the response.
        let _ = there.read_to_end(&mut answer);
        tls.write_all(&answer).unwrap();
        tls.conn.send_close_notify();
        tls.flush().unwrap();
    })
}

/// Starts a proxy that sends every name to one address, and records the head of each request.
fn proxy(to: u16, refuses: Option<&'static str>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let port = listening(move |mut client| {
        let request = String::from_utf8(head(&mut client)).unwrap();
        seen.lock().unwrap().push(request);
        if let Some(status) = refuses {
            client
                .write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes())
                .unwrap();
            return;
        }
        let mut server = TcpStream::connect(("127.0.0.1", to)).unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut up, &mut down);
            let _ = down.shutdown(Shutdown::Write);
        });
        let _ = std::io::copy(&mut server, &mut client);
        let _ = client.shutdown(Shutdown::Both);
    });
    (port, asked)
}

/// Returns the call that publishes a pass, with this URL.
fn call(fixture: &PullFixture, api_url: &str) -> Call {
    fixture
        .call(&fixture.results())
        .env("GITHUB_API_URL", api_url)
        .env("NMOE_API_PATIENCE_S", "0")
}

/// Returns the same call with these authorities.
fn trusting(fixture: &PullFixture, api_url: &str, pem: &str) -> Call {
    let file = fixture.sandbox.path("authorities.pem");
    std::fs::write(&file, pem).unwrap();
    call(fixture, api_url).env("SSL_CERT_FILE", file)
}

/// Asserts that nothing was published and that no secret is in the output.
#[track_caller]
fn nothing(fixture: &PullFixture, out: &Outcome, says: &str, remedy: &str) {
    assert!(
        out.stderr.contains(says) && out.stderr.contains(remedy),
        "{}",
        out.stderr
    );
    for secret in [TOKEN, HOST, "127.0.0.1", "hush"] {
        assert!(
            !format!("{}{}", out.stdout, out.stderr).contains(secret),
            "{secret}: {}",
            out.stderr
        );
    }
    assert!(
        fixture.api.log().is_empty(),
        "no request, and so no token, has left"
    );
}

#[test]
fn private_authority_is_trusted_when_configured() {
    let (fixture, authority) = (PullFixture::new(), Authority::new());
    let port = enterprise(&fixture.api, authority.server(&["localhost"], LONG));
    trusting(
        &fixture,
        &format!("https://localhost:{port}/api/v3"),
        &authority.pem,
    )
    .run()
    .exits(0);
    assert!(fixture.comment().contains("pass"));
    assert_eq!(fixture.status().0, "success");
}

#[test]
fn invalid_certificate_gets_no_request() {
    let (fixture, authority, stranger) = (PullFixture::new(), Authority::new(), Authority::new());
    let good = enterprise(&fixture.api, authority.server(&["localhost"], LONG));
    let old = enterprise(&fixture.api, authority.server(&["localhost"], (2001, 1, 1)));
    let other = enterprise(&fixture.api, authority.server(&["elsewhere.example"], LONG));
    let url = |port: u16| format!("https://localhost:{port}/api/v3");
    let (says, remedy) = ("the API's certificate was not accepted", "SSL_CERT_FILE");
    let out = call(&fixture, &url(good)).run().exits(3);
    nothing(&fixture, &out, says, remedy);
    for (what, port, trusted) in [
        ("another authority", good, &stranger),
        ("expired", old, &authority),
        ("another name", other, &authority),
    ] {
        let out = trusting(&fixture, &url(port), &trusted.pem).run();
        assert_eq!(out.code(), Some(3), "{what}: {}", out.stderr);
        nothing(&fixture, &out, says, remedy);
    }
    let none = trusting(&fixture, &url(good), "no certificate at all\n")
        .run()
        .exits(2);
    nothing(
        &fixture,
        &none,
        "cannot use SSL_CERT_FILE: the file contains no certificate",
        "PEM",
    );
    let plain = call(&fixture, &format!("http://{HOST}/api/v3")).run().exits(2);
    nothing(&fixture, &plain, "must begin with https://", "GITHUB_API_URL");
}

#[test]
fn proxy_never_sees_token() {
    let (fixture, authority) = (PullFixture::new(), Authority::new());
    let port = enterprise(&fixture.api, authority.server(&[HOST], LONG));
    let (through, asked) = proxy(port, None);
    let url = format!("https://{HOST}/api/v3");
    let with = |value: String| trusting(&fixture, &url, &authority.pem).env("HTTPS_PROXY", value);
    with(format!("http://user:hush@127.0.0.1:{through}"))
        .run()
        .exits(0);
    assert!(fixture.comment().contains("pass"));
    let asked = asked.lock().unwrap().join("");
    assert!(asked.starts_with(&format!("CONNECT {HOST}:443 ")), "{asked}");
    assert!(
        asked.to_lowercase().contains("proxy-authorization: basic "),
        "{asked}"
    );
    assert!(!asked.contains(TOKEN), "{asked}");
}

#[test]
fn proxy_refusal_and_bypass_are_distinct() {
    let (fixture, authority) = (PullFixture::new(), Authority::new());
    let port = enterprise(&fixture.api, authority.server(&[HOST], LONG));
    let url = format!("https://{HOST}/api/v3");
    for status in [
        "407 Proxy Authentication Required",
        "403 Forbidden",
        "502 Bad Gateway",
    ] {
        let (refusing, _) = proxy(port, Some(status));
        let out = trusting(&fixture, &url, &authority.pem)
            .env("HTTPS_PROXY", format!("http://user:hush@127.0.0.1:{refusing}"))
            .run()
            .exits(3);
        nothing(&fixture, &out, "the proxy refused the connection", "HTTPS_PROXY");
    }
    let (through, asked) = proxy(port, None);
    let out = trusting(&fixture, &url, &authority.pem)
        .env("HTTPS_PROXY", format!("http://127.0.0.1:{through}"))
        .env("NO_PROXY", HOST)
        .run()
        .exits(3);
    nothing(&fixture, &out, "", "HTTPS_PROXY, NO_PROXY");
    assert!(asked.lock().unwrap().is_empty(), "NO_PROXY goes past the proxy");
}
