//! Reads and checks the API settings: base URL, token, repository and time limits. No request is sent here.

use std::fmt;
use std::time::Duration;

use ureq::http::Uri;

use crate::github::error::GitHubError;

/// Fixes a wrong `SSL_CERT_FILE`.
pub(super) const OTHER_CERTIFICATES: &str = "unset it, or name a readable PEM file";

/// A credential. It can only be sent: no method prints it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Parses a token from the environment; `None` if it is blank.
    fn parse(name: &str, text: &str) -> Result<Option<Self>, GitHubError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Some(Token(text.to_owned())))
        } else {
            Err(GitHubError::setting(
                name,
                "it contains characters that are not allowed in a token",
                "set it again",
            ))
        }
    }

    /// Returns the value of the `Authorization` header.
    pub(super) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Returns the value of the header by which git authenticates, as `actions/checkout` does.
    pub(super) fn git_authorization(&self) -> String {
        format!(
            "AUTHORIZATION: basic {}",
            base64(format!("x-access-token:{}", self.0).as_bytes())
        )
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Encodes bytes in base64, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut word = [0; 3];
        word[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        for n in 0..4 {
            match n <= chunk.len() {
                true => text.push(char::from(ALPHABET[(bits >> (18 - 6 * n)) as usize & 63])),
                false => text.push('='),
            }
        }
    }
    text
}

/// The name of a repository on GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The user or organisation.
    pub owner: String,
    pub name: String,
}

impl Repository {
    /// Parses `owner/name`; `None` if the text has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let (owner, name) = text.split_once('/')?;
        let plain = |s: &str, extra: &[u8], most: usize| {
            (1..=most).contains(&s.len())
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
        };
        (plain(owner, b"-_", 100) && plain(name, b"-_.", 100) && !matches!(name, "." | "..")).then(|| {
            Repository {
                owner: owner.to_owned(),
                name: name.to_owned(),
            }
        })
    }

    /// Parses the URL of a git remote: `https://host/owner/name.git`, `git@host:owner/name`, `ssh://…`.
    pub fn of_remote(url: &str) -> Option<Self> {
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.split_once('/')?.1,
            None => url.split_once(':')?.1,
        };
        let path = path.trim_matches('/');
        Repository::parse(path.strip_suffix(".git").unwrap_or(path))
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// The base URL of the API. Requests and redirects to another origin are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    origin: String,
    prefix: String,
}

impl BaseUrl {
    /// Parses a URL such as `https://api.github.com` or `https://ghe.example/api/v3`. Plain http is allowed only for loopback.
    pub fn parse(name: &str, text: &str) -> Result<Self, GitHubError> {
        const URL: &str = "give a URL such as https://api.github.com";
        let wrong = |why: &str, fix| GitHubError::setting(name, why, fix);
        let uri: Uri = text.trim().parse().map_err(|_| wrong("it is not a URL", URL))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong("it is not a URL with a scheme and a host", URL));
        };
        if authority.as_str().contains('@') {
            return Err(wrong(
                "it contains a user name",
                "put the token into GITHUB_TOKEN instead",
            ));
        }
        let host = authority.host().trim_matches(['[', ']']);
        let local = host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        if scheme != "https" && !(scheme == "http" && local) {
            return Err(wrong(
                "it must begin with https://, because plain http would expose the token",
                URL,
            ));
        }
        Ok(BaseUrl {
            origin: origin(&uri).unwrap_or_default(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Returns the host of the web pages. A loopback API is a proxy of github.com, or a test's.
    pub fn web_host(&self) -> &str {
        let host = self.origin.split_once("://").map_or("", |(_, rest)| rest);
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        match host.strip_prefix("api.").unwrap_or(host) {
            "localhost" | "127.0.0.1" | "[::1]" => "github.com",
            host => host,
        }
    }

    /// Returns the full URL of an API path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{}{path}", self.origin, self.prefix)
    }

    /// Returns the URL of the GraphQL endpoint: `/api/graphql` on an Enterprise host, otherwise `/graphql` below the base.
    pub(super) fn graphql(&self) -> String {
        let prefix = self.prefix.strip_suffix("/v3").unwrap_or(&self.prefix);
        format!("{}{prefix}/graphql", self.origin)
    }

    /// Returns the absolute URL of a `Location` or `Link` header, if it has the same origin.
    pub(super) fn same_origin(&self, target: &str) -> Option<String> {
        if target.starts_with('/') && !target.starts_with("//") {
            return Some(format!("{}{target}", self.origin));
        }
        let uri: Uri = target.parse().ok()?;
        (origin(&uri)? == self.origin).then(|| target.to_owned())
    }
}

/// Returns scheme, host and explicit port; `None` if the URL has a user name or no host.
fn origin(uri: &Uri) -> Option<String> {
    let scheme = uri.scheme_str()?;
    let authority = uri.authority()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let port = authority
        .port_u16()
        .unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some(format!(
        "{scheme}://{}:{port}",
        authority.host().to_ascii_lowercase()
    ))
}

/// The settings of the API client.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    pub base: BaseUrl,
    /// The token; `None` sends anonymous requests and cannot write.
    pub token: Option<Token>,
    /// The repository, if the environment names one.
    pub repository: Option<Repository>,
    /// PEM text of the certificate authorities that replace the built-in ones.
    pub authorities: Option<Vec<u8>>,
    /// The time limit for one request with its answer.
    pub timeout: Duration,
    /// The longest total wait between the tries of one request.
    pub retry_budget: Duration,
}

/// The variables with a token; the first that is set counts.
pub const TOKENS: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];

impl ApiConfig {
    /// Reads the variables that GitHub Actions sets: `GITHUB_API_URL`, `GITHUB_TOKEN` (else `GH_TOKEN`), `GITHUB_REPOSITORY`;
    /// `SSL_CERT_FILE` for private authorities; `NMOE_API_TIMEOUT_S` (30) and `NMOE_API_PATIENCE_S` (120).
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, GitHubError> {
        let set = |name: &str| variable(name).filter(|text| !text.trim().is_empty());
        let seconds = |name: &str, default: u64| match set(name) {
            None => Ok(Duration::from_secs(default)),
            Some(text) => match text.trim().parse::<u64>() {
                Ok(n) if n <= 3600 => Ok(Duration::from_secs(n)),
                _ => Err(GitHubError::setting(
                    name,
                    "it must be a whole number of seconds, at most 3600",
                    "correct or unset it",
                )),
            },
        };
        let mut token = None;
        for name in TOKENS {
            if token.is_none() {
                token = Token::parse(name, &variable(name).unwrap_or_default())?;
            }
        }
        let repository = match set("GITHUB_REPOSITORY") {
            None => None,
            Some(text) => Some(Repository::parse(text.trim()).ok_or_else(|| {
                GitHubError::setting(
                    "GITHUB_REPOSITORY",
                    "it must be `owner/name`",
                    "correct or unset it",
                )
            })?),
        };
        let authorities = match set("SSL_CERT_FILE") {
            None => None,
            Some(path) => Some(std::fs::read(path).map_err(|e| {
                GitHubError::setting(
                    "SSL_CERT_FILE",
                    format!("the file cannot be read ({})", e.kind()),
                    OTHER_CERTIFICATES,
                )
            })?),
        };
        let api = set("GITHUB_API_URL").unwrap_or_else(|| "https://api.github.com".to_owned());
        Ok(ApiConfig {
            base: BaseUrl::parse("GITHUB_API_URL", &api)?,
            token,
            repository,
            authorities,
            timeout: seconds("NMOE_API_TIMEOUT_S", 30)?.max(Duration::from_secs(1)),
            retry_budget: seconds("NMOE_API_PATIENCE_S", 120)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Result<ApiConfig, GitHubError> {
        let pairs: Vec<(String, String)> = pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect();
        ApiConfig::from_env(move |name| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()))
    }

    #[test]
    fn a_token_has_no_way_to_be_printed() {
        let access = env(&[("GITHUB_TOKEN", "  sesame\n")]).unwrap();
        assert!(!format!("{access:?}").contains("sesame"));
        assert_eq!(access.token.unwrap().authorization(), "Bearer sesame");
        let fault = env(&[("GITHUB_TOKEN", "ses ame")]).unwrap_err().to_string();
        assert!(
            !fault.contains("ses ame") && fault.contains("GITHUB_TOKEN"),
            "{fault}"
        );
    }

    #[test]
    fn the_first_token_that_is_set_is_used() {
        let access = env(&[("GITHUB_TOKEN", " "), ("GH_TOKEN", "second")]).unwrap();
        assert_eq!(access.token.unwrap().authorization(), "Bearer second");
    }

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for good in [
            "http://127.0.0.1:8080",
            "http://localhost:1/api/v3/",
            "http://[::1]:9",
            "https://h.example",
        ] {
            assert!(BaseUrl::parse("X", good).is_ok(), "{good}");
        }
        for bad in [
            "http://h.example",
            "h.example",
            "https://u@h.example",
            "",
            "ftp://127.0.0.1",
            "https://",
        ] {
            assert!(BaseUrl::parse("X", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_same_origin_is_followed() {
        let base = BaseUrl::parse("X", "https://h.example/api/v3").unwrap();
        assert!(base.same_origin("https://H.example:443/api/v3/x").is_some());
        assert_eq!(
            base.same_origin("/repositories/1").unwrap(),
            "https://h.example:443/repositories/1"
        );
        for bad in [
            "https://h.example:444/",
            "http://h.example/",
            "https://h.example@e.example/",
            "//e.example/x",
            "x",
        ] {
            assert!(base.same_origin(bad).is_none(), "{bad}");
        }
        assert_eq!(base.graphql(), "https://h.example:443/api/graphql");
        assert_eq!(
            BaseUrl::parse("X", "https://h.example").unwrap().graphql(),
            "https://h.example:443/graphql"
        );
    }

    #[test]
    fn base64_is_padded() {
        let all = ["", "f", "fo", "foo", "foob", "\u{ff}"].map(|text| base64(text.as_bytes()));
        assert_eq!(all, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "w78="]);
    }

    #[test]
    fn repositories_are_named_by_remotes_too() {
        for url in [
            "https://github.com/o-1/n.x.git",
            "git@github.com:o-1/n.x.git",
            "ssh://git@github.com/o-1/n.x",
            "https://github.com/o-1/n.x/",
        ] {
            assert_eq!(
                Repository::of_remote(url).unwrap().to_string(),
                "o-1/n.x",
                "{url}"
            );
        }
        for bad in ["o/..", "o", "o/n/x", "o /n", "/n", "o/", "o/n?x"] {
            assert!(Repository::parse(bad).is_none(), "{bad}");
        }
        assert!(env(&[("GITHUB_REPOSITORY", "nonsense")]).is_err());
    }
}
