//! Defines the validated texts of the domain: commits, digests, contract ids, gate ids, branches, logins.
//!
//! Each type validates its text when it is made, so no other code validates again, and the compiler finds mixed-up arguments.
//! Must not depend on documents, the network or a repository.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::system::digest::is_hex;

/// A text that is not valid for its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {must_be}")]
pub struct Invalid {
    /// Completes "must be …".
    pub must_be: &'static str,
}

macro_rules! validated {
    ($($(#[doc = $doc:literal])+ $name:ident, $is_valid:ident, $must_be:literal;)*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// Completes "must be …".
            pub const MUST_BE: &str = $must_be;

            /// Whether a text is valid.
            pub fn is_valid(text: &str) -> bool {
                $is_valid(text)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                let must_be = Self::MUST_BE;
                Self::is_valid(&text).then_some($name(text)).ok_or(Invalid { must_be })
            }
        }

        impl std::str::FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                text.to_owned().try_into()
            }
        }

        /// Shows the text in quotes, as a message does.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<String> for $name {
            fn borrow(&self) -> &String {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<std::ffi::OsStr> for $name {
            fn as_ref(&self) -> &std::ffi::OsStr {
                self.0.as_ref()
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> String {
                word.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl PartialEq<$name> for String {
            fn eq(&self, other: &$name) -> bool {
                *self == other.0
            }
        }

        impl PartialEq<String> for $name {
            fn eq(&self, other: &String) -> bool {
                self.0 == *other
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": concat!("Must be ", $must_be, ".") })
            }
        }
    )*};
}

validated! {
    /// The full id of a commit or tree.
    CommitId, is_object_id, "a full commit id: 40 or 64 lower-case hex digits";
    /// The id of a commit, which can be abbreviated.
    CommitPrefix, is_commit_prefix, "7 to 64 hex digits of a commit";
    /// A SHA-256 digest.
    Sha256, is_sha256, "a SHA-256 digest: 64 lower-case hex digits";
    /// The random text that binds results to a resolved run.
    Nonce, is_nonce, "32 lower-case hex digits";
    /// The id of a contract. This is not the issue number of GitHub.
    ContractId, is_contract_id, "letters, digits, `.` and `-`, such as 03a; not with `.`, `-` or `.lock` at the end";
    /// The short name of a contract, a part of its branch name.
    Slug, is_slug, "lower-case letters, digits and `-`";
    /// The id of a gate or bundle.
    GateId, is_gate_id, "letters, digits, `_`, `.`, `-` and `:`, 64 at most";
    /// The name of a branch, tag or commit.
    Revision, is_revision, "the name of a branch, tag or commit";
    /// The name of a branch.
    BranchName, is_branch_name, "the name of a branch";
    /// The value of an option for a scheduler.
    JobOption, is_job_option, "letters, digits and `_.,:=+*&|()[]/-`, not with `-` at the beginning";
    /// The name of an environment variable.
    EnvName, is_env_name, "the name of a variable, without `$` or a value";
    /// The name of a configuration key.
    Knob, is_knob, "the name of a configuration key";
    /// The name of a metric.
    MetricName, is_metric_name, "lower-case letters, digits and `_`";
    /// A GitHub login, of a person or an app.
    Login, is_login, "a GitHub login";
}

impl MetricName {
    /// The median throughput of a node. Reports show it and perf gates compare it unless told otherwise.
    pub const NODE_TPS_P50: &str = "node_tps_p50";

    /// Returns the name of the median throughput of a node.
    pub fn node_tps_p50() -> MetricName {
        MetricName(Self::NODE_TPS_P50.to_owned())
    }
}

impl BranchName {
    /// Returns the name of the base branch without settings.
    pub fn master() -> BranchName {
        BranchName("master".to_owned())
    }

    /// Returns the ref of a branch in a repository.
    pub fn local_ref(branch: &str) -> String {
        format!("refs/heads/{branch}")
    }

    /// Returns the ref of a branch of a remote, as of the last fetch.
    pub fn remote_ref(remote: &str, branch: &str) -> String {
        format!("refs/remotes/{remote}/{branch}")
    }
}

impl Login {
    /// The login of the token of a workflow.
    pub const ACTIONS: &str = "github-actions[bot]";

    /// Returns the login of the token of a workflow.
    pub fn actions() -> Login {
        Login(Self::ACTIONS.to_owned())
    }
}

impl CommitId {
    /// Returns the first twelve digits, for people.
    pub fn short(&self) -> &str {
        short(&self.0)
    }
}

impl Sha256 {
    /// Computes the digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Sha256(crate::system::digest::sha256(bytes))
    }

    /// Whether a text is the digest of an image, with or without `sha256:`.
    pub fn is_image_digest(text: &str) -> bool {
        Sha256::is_valid(text.strip_prefix("sha256:").unwrap_or(text))
    }
}

impl CommitPrefix {
    /// Whether both are the same commit. Both can be abbreviated.
    pub fn is_same_commit(&self, other: &str) -> bool {
        same_commit(&self.0, other)
    }
}

/// Returns the first twelve characters of an id, for people.
pub fn short(id: &str) -> &str {
    id.char_indices().nth(12).map_or(id, |(at, _)| &id[..at])
}

/// Whether two commits are the same. Both can be abbreviated.
pub fn same_commit(a: &str, b: &str) -> bool {
    let len = a.len().min(b.len());
    len >= 7 && a.is_char_boundary(len) && b.is_char_boundary(len) && a[..len].eq_ignore_ascii_case(&b[..len])
}

fn is_object_id(text: &str) -> bool {
    is_hex(text.as_bytes(), &[40, 64])
}

fn is_sha256(text: &str) -> bool {
    is_hex(text.as_bytes(), &[64])
}

fn is_nonce(text: &str) -> bool {
    is_hex(text.as_bytes(), &[32])
}

fn is_commit_prefix(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_made_of(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(allowed)
}

fn is_contract_id(text: &str) -> bool {
    is_made_of(text, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains("..")
        // A claim is a ref that ends in the id, and git refuses such a ref.
        && !text.ends_with(['.', '-'])
        && !text.ends_with(".lock")
}

fn is_slug(text: &str) -> bool {
    is_made_of(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_gate_id(text: &str) -> bool {
    text.len() <= 64
        && is_made_of(text, |c| {
            c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':')
        })
}

/// Whether a text is one value of an option for a scheduler, and neither an option itself nor shell text.
fn is_job_option(text: &str) -> bool {
    text.len() <= 128
        && is_made_of(text, |c| {
            c.is_ascii_alphanumeric() || "_.,:=+*&|()[]/-".contains(c)
        })
        && !text.starts_with('-')
}

fn is_env_name(text: &str) -> bool {
    is_made_of(text, |c| c.is_ascii_alphanumeric() || c == '_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

fn is_knob(text: &str) -> bool {
    is_made_of(text, |c| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '*' | '[' | ']')
    })
}

fn is_metric_name(text: &str) -> bool {
    is_made_of(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Whether git reads a text as the name of a revision and not as an option.
fn is_revision(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.contains("..")
        && !text.contains("@{")
        && !text.ends_with('.')
        && text
            .chars()
            .all(|c| !c.is_control() && !matches!(c, ' ' | ':' | '?' | '*' | '[' | '\\'))
}

/// Whether git accepts a text as the name of a branch.
fn is_branch_name(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    is_revision(text) && !text.contains(['~', '^']) && text != "@" && text.split('/').all(is_part)
}

fn is_login(text: &str) -> bool {
    let login = text.strip_suffix("[bot]").unwrap_or(text);
    login.len() <= 39 && is_made_of(login, |c| c.is_ascii_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_texts_are_refused() {
        for id in ["01", "03a", "08", "1e10000", "a.b-c"] {
            assert!(ContractId::is_valid(id), "{id}");
        }
        for id in ["", "#5", "a b", "a/b", "-x", "a..b", "ä", "a.", "a-", "03.lock"] {
            assert!(!ContractId::is_valid(id), "{id}");
        }
        assert!(Slug::is_valid("rdep-kernels") && !Slug::is_valid("Rdep") && !Slug::is_valid("-a"));
        assert!(CommitPrefix::is_valid("1188731") && !CommitPrefix::is_valid("118873"));
        assert!(CommitId::is_valid(&"a".repeat(40)) && !CommitId::is_valid(&"A".repeat(40)));
        assert!(Login::is_valid("github-actions[bot]") && !Login::is_valid("a b"));
        assert!(
            JobOption::is_valid("b200|h200")
                && !JobOption::is_valid("--wrap=x")
                && !JobOption::is_valid("$(x)")
        );
        assert!(Revision::is_valid("origin/master") && !Revision::is_valid("--output=x"));
        for branch in ["master", "release/1.2", "issue/03a-attention"] {
            assert!(BranchName::is_valid(branch), "{branch}");
        }
        for branch in [
            "", "-x", "a b", "a//b", "/a", "a/", "a..b", "a.lock", "a/.b", "HEAD~1", "@",
        ] {
            assert!(!BranchName::is_valid(branch), "{branch}");
        }
        let error = serde_json::from_str::<Sha256>("\"abc\"").unwrap_err().to_string();
        assert!(error.contains("64 lower-case hex digits"), "{error}");
    }

    #[test]
    fn abbreviated_commits_are_equal() {
        assert!(same_commit("1188731", "1188731abcdef") && !same_commit("1188731", "1188732"));
        assert_eq!((short("0123456789abcdef"), short("ab")), ("0123456789ab", "ab"));
    }
}
