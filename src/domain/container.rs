//! The container of a gate: its image and what it may use, as the registry names them.
//!
//! Must not depend on a container engine.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::ids::Sha256;

/// The most processes of a container, if the registry names no number.
pub const PROCESSES: u32 = 4096;

/// The container that `run --container` starts for a gate. A gate inherits each key that it does not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Container {
    /// Image by digest: `NAME@sha256:…`, or `sha256:…` for an image that the engine already has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Dockerfile of the image, in the policy checkout. Builds the image at the start of each run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// Build arguments of the Dockerfile.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub build_args: IndexMap<String, String>,
    /// Whether the gate may use the network. Absent means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<bool>,
    /// The most memory, such as `64g` or `512m`. Absent means seven eighths of the machine's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// The most processes. Absent means 4096.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
    /// Variables whose folders the gate can read, at the same paths as outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<String>,
    /// Variables whose folders the gate can write to, at the same paths as outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scratch: Vec<String>,
}

impl Container {
    /// Returns this container completed with the keys of another one. The image is inherited as a whole.
    pub fn inherit(&self, other: &Container) -> Container {
        let image = if self.image.is_some() || self.dockerfile.is_some() {
            self
        } else {
            other
        };
        let listed = |own: &[String], other: &[String]| if own.is_empty() { other } else { own }.to_vec();
        Container {
            image: image.image.clone(),
            dockerfile: image.dockerfile.clone(),
            build_args: image.build_args.clone(),
            network: self.network.or(other.network),
            memory: self.memory.clone().or_else(|| other.memory.clone()),
            processes: self.processes.or(other.processes),
            data: listed(&self.data, &other.data),
            scratch: listed(&self.scratch, &other.scratch),
        }
    }

    /// Returns the digest of the image, if the registry names one.
    pub fn digest(&self) -> Option<&str> {
        digest(self.image.as_deref()?)
    }
}

/// Returns the digest in an image reference, `sha256:` included. A reference by tag has none.
pub fn digest(image: &str) -> Option<&str> {
    let (name, digest) = match image.rsplit_once('@') {
        Some((name, digest)) => (Some(name), digest),
        None => (None, image),
    };
    let is_named = name.is_none_or(|name| {
        name.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-/:".contains(&b))
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    });
    digest
        .strip_prefix("sha256:")
        .is_some_and(Sha256::is_valid)
        .then_some(digest)
        .filter(|_| is_named)
}

/// Whether a text is an image by digest.
pub fn is_image(image: &str) -> bool {
    digest(image).is_some()
}

/// Whether a text is an image by name and digest, which another machine can download.
pub fn is_named_image(image: &str) -> bool {
    is_image(image) && image.contains('@')
}

/// Whether a text is an amount of memory, such as `64g`.
pub fn is_memory(text: &str) -> bool {
    text.strip_suffix(['m', 'g'])
        .is_some_and(|number| number.parse::<u32>().is_ok_and(|n| n > 0) && !number.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_without_digest_are_rejected() {
        let hex = "a".repeat(64);
        let named = format!("ghcr.io/octo/train:1@sha256:{hex}");
        assert_eq!(digest(&named), Some(format!("sha256:{hex}").as_str()));
        assert!(is_image(&format!("sha256:{hex}")));
        for bad in [
            "train:latest",
            "train",
            "train@sha256:12",
            "",
            &format!("--x@sha256:{hex}"),
            &format!("@sha256:{hex}"),
        ] {
            assert!(!is_image(bad), "{bad}");
        }
    }

    #[test]
    fn gate_inherits_keys_that_it_does_not_set() {
        let registry = Container {
            dockerfile: Some("docker/Dockerfile.train".to_owned()),
            network: Some(true),
            processes: Some(7),
            ..Container::default()
        };
        let gate = Container {
            image: Some("sha256:x".to_owned()),
            network: Some(false),
            ..Container::default()
        };
        let both = gate.inherit(&registry);
        assert_eq!(
            (both.dockerfile, both.network, both.processes),
            (None, Some(false), Some(7))
        );
        assert_eq!(Container::default().inherit(&registry), registry);
    }

    #[test]
    fn memory_has_a_number_and_a_unit() {
        assert!(is_memory("64g") && is_memory("512m"));
        for bad in ["", "g", "64", "0g", "+1g", "1.5g", "64gb"] {
            assert!(!is_memory(bad), "{bad}");
        }
    }
}
