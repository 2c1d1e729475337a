//! Reads how to reach a cluster: from a kubeconfig, or from the service account of the pod.
//!
//! Must not send requests. Server, namespace and certificates are read once, before code of the change runs.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::system::files::{self, FileError};

/// Where a pod finds its service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The largest file, in bytes.
const CAP: u64 = 1 << 20;

/// Why no cluster can be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Nothing names a cluster.
    #[error("neither KUBECONFIG, nor a service account, nor ~/.kube/config names a cluster")]
    Missing,
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file has not the expected content.
    #[error("{0} cannot be used: {1}")]
    Form(PathBuf, String),
}

/// How to reach a cluster.
#[derive(Clone)]
pub struct Config {
    /// The address of the API server, without a slash at the end.
    pub server: String,
    /// Where jobs are created. It is never printed.
    pub namespace: String,
    /// The certificates that may sign that of the server, in PEM format; `None` means those of the web.
    pub authorities: Option<Vec<u8>>,
    /// The certificate of the client and its key, in PEM format.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
    token: Option<Token>,
}

#[derive(Clone)]
enum Token {
    Text(String),
    /// The cluster replaces the token of a service account while a job runs.
    File(PathBuf),
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Config(…)")
    }
}

impl Config {
    /// Reads the configuration that the variables name.
    ///
    /// # Errors
    /// There is none, or it needs a feature that nmoe-gates does not have.
    pub fn of_environment(environment: &[(OsString, OsString)]) -> Result<Self, ConfigError> {
        let variable = |name: &str| {
            let found = environment.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value).filter(|value| !value.is_empty())
        };
        if let Some(path) = variable("KUBECONFIG") {
            return Config::of_file(Path::new(path));
        }
        let host = variable("KUBERNETES_SERVICE_HOST").and_then(|host| host.to_str());
        if let (Some(host), true) = (host, Path::new(ACCOUNT).join("token").exists()) {
            let port = variable("KUBERNETES_SERVICE_PORT").and_then(|port| port.to_str());
            return Config::of_account(Path::new(ACCOUNT), host, port.unwrap_or("443"));
        }
        let home = variable("HOME").map(|home| Path::new(home).join(".kube/config"));
        match home.filter(|path| path.exists()) {
            Some(path) => Config::of_file(&path),
            None => Err(ConfigError::Missing),
        }
    }

    /// Returns the value of the `Authorization` header.
    ///
    /// # Errors
    /// The file of the token cannot be read.
    pub fn authorization(&self) -> Result<Option<String>, ConfigError> {
        let token = match &self.token {
            None => return Ok(None),
            Some(Token::Text(text)) => text.clone(),
            Some(Token::File(path)) => text(path)?,
        };
        Ok(Some(format!("Bearer {}", token.trim())))
    }

    fn of_account(folder: &Path, host: &str, port: &str) -> Result<Self, ConfigError> {
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host.to_owned(),
        };
        Ok(Config {
            server: format!("https://{host}:{port}"),
            namespace: text(&folder.join("namespace"))?.trim().to_owned(),
            authorities: Some(bytes(&folder.join("ca.crt"))?),
            client: None,
            token: Some(Token::File(folder.join("token"))),
        })
    }

    fn of_file(path: &Path) -> Result<Self, ConfigError> {
        let wrong = |why: String| ConfigError::Form(path.to_owned(), why);
        let file: Kubeconfig =
            serde_yaml::from_str(&text(path)?).map_err(|error| wrong(error.to_string()))?;
        let context = named(&file.contexts, &file.current_context)
            .and_then(|named| named.context.as_ref())
            .ok_or_else(|| wrong("`current-context` names no context".to_owned()))?;
        let cluster = named(&file.clusters, &context.cluster)
            .and_then(|named| named.cluster.as_ref())
            .ok_or_else(|| wrong("the context names no cluster".to_owned()))?;
        let user = named(&file.users, &context.user).and_then(|named| named.user.as_ref());
        let none = User::default();
        let user = user.unwrap_or(&none);
        if let Some(key) = user.other.keys().next() {
            return Err(wrong(format!(
                "`{key}` is not supported; use a token or a client certificate"
            )));
        }
        // `extensions` belong to the tool that wrote the file.
        if let Some(key) = cluster.other.keys().find(|key| *key != "extensions") {
            return Err(wrong(format!("`{key}` of the cluster is not supported")));
        }
        let is_local = ["http://127.0.0.1:", "http://localhost:"];
        let server = cluster.server.trim_end_matches('/');
        if !server.starts_with("https://") && !is_local.iter().any(|start| server.starts_with(start)) {
            return Err(wrong("`server` does not begin with https://".to_owned()));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let data = |inline: &Option<String>, file: &Option<PathBuf>| match (inline, file) {
            (Some(inline), _) => {
                let decoded = STANDARD.decode(inline);
                decoded
                    .map(Some)
                    .map_err(|_| wrong("a `-data` key is not base64".to_owned()))
            }
            (None, Some(file)) => bytes(&folder.join(file)).map(Some),
            (None, None) => Ok(None),
        };
        let certificate = data(&user.client_certificate_data, &user.client_certificate)?;
        let key = data(&user.client_key_data, &user.client_key)?;
        let client = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("the client certificate has no key".to_owned())),
            (None, Some(_)) => return Err(wrong("the client key has no certificate".to_owned())),
        };
        let token = user.token.clone().map(Token::Text);
        let token_file = user
            .token_file
            .as_ref()
            .map(|file| Token::File(folder.join(file)));
        Ok(Config {
            server: server.to_owned(),
            namespace: context.namespace.clone().unwrap_or_else(|| "default".to_owned()),
            authorities: data(
                &cluster.certificate_authority_data,
                &cluster.certificate_authority,
            )?,
            client,
            token: token_file.or(token),
        })
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, ConfigError> {
    // The files of a service account are symbolic links.
    let real = path.canonicalize().map_err(FileError::io(path))?;
    Ok(files::read_regular(&real, CAP)?)
}

fn text(path: &Path) -> Result<String, ConfigError> {
    String::from_utf8(bytes(path)?).map_err(|error| ConfigError::Form(path.to_owned(), error.to_string()))
}

fn named<'a>(list: &'a [Named], name: &str) -> Option<&'a Named> {
    list.iter().find(|named| named.name == name)
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct Kubeconfig {
    current_context: String,
    contexts: Vec<Named>,
    clusters: Vec<Named>,
    users: Vec<Named>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    name: String,
    context: Option<Context>,
    cluster: Option<Cluster>,
    user: Option<User>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
    namespace: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    /// `insecure-skip-tls-verify`, `proxy-url`, `tls-server-name` and others.
    #[serde(flatten)]
    other: std::collections::BTreeMap<String, serde_yaml::Value>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    /// `exec`, `auth-provider`, `username` and others.
    #[serde(flatten)]
    other: std::collections::BTreeMap<String, serde_yaml::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cluster: &str, user: &str) -> Result<Config, ConfigError> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("config");
        std::fs::write(place.path().join("token"), "secret\n").unwrap();
        std::fs::write(place.path().join("ca.pem"), "PEM").unwrap();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u, namespace: gates}}}}]\n\
             clusters: [{{name: c, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
        );
        std::fs::write(&path, text).unwrap();
        let config = Config::of_environment(&[("KUBECONFIG".into(), path.into())])?;
        config.authorization().map(|_| config)
    }

    #[test]
    fn kubeconfig_is_read_or_refused() {
        let config = read(
            "server: 'https://cluster.example/', certificate-authority: ca.pem",
            "tokenFile: token",
        );
        let config = config.unwrap();
        assert_eq!(
            (config.server.as_str(), config.namespace.as_str()),
            ("https://cluster.example", "gates")
        );
        assert_eq!(config.authorities.as_deref(), Some(&b"PEM"[..]));
        let inline = read(
            "server: 'https://c', certificate-authority-data: UEVN, extensions: [{name: cluster_info}]",
            "client-certificate-data: Yw==, client-key-data: aw==",
        );
        let inline = inline.unwrap();
        assert_eq!(inline.client, Some((b"c".to_vec(), b"k".to_vec())));
        assert_eq!(inline.authorization().unwrap(), None);
        for (cluster, user) in [
            ("server: 'https://c', insecure-skip-tls-verify: true", "token: t"),
            ("server: 'https://c', proxy-url: 'http://p'", "token: t"),
            ("server: 'https://c'", "exec: {command: aws}"),
            ("server: 'https://c'", "client-certificate-data: Yw=="),
            ("server: 'https://c'", "client-key-data: aw=="),
            ("server: 'https://c'", "username: u, password: p"),
            ("server: 'http://c'", "token: t"),
            ("server: 'https://c', certificate-authority-data: '%'", "token: t"),
            ("server: 'https://c'", "tokenFile: absent"),
        ] {
            assert!(read(cluster, user).is_err(), "{cluster} {user}");
        }
        assert!(matches!(Config::of_environment(&[]), Err(ConfigError::Missing)));
    }

    #[test]
    fn account_of_pod_is_read() {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in [("namespace", "gates\n"), ("ca.crt", "PEM"), ("real", "one")] {
            std::fs::write(place.path().join(name), text).unwrap();
        }
        std::os::unix::fs::symlink("real", place.path().join("token")).unwrap();
        let config = Config::of_account(place.path(), "2001:db8::1", "6443").unwrap();
        assert_eq!(config.server, "https://[2001:db8::1]:6443");
        assert_eq!(config.authorization().unwrap().as_deref(), Some("Bearer one"));
        // The cluster replaces the token.
        std::fs::write(place.path().join("real"), "two").unwrap();
        assert_eq!(config.authorization().unwrap().as_deref(), Some("Bearer two"));
    }
}
