//! GPU architectures, such as `sm_100a`.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The letter after an SM number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// `sm_100a`: this architecture only, with all its features.
    A,
    /// `sm_100f`: the family of the architecture.
    F,
}

impl Variant {
    /// The letter.
    pub fn as_str(self) -> &'static str {
        match self {
            Variant::A => "a",
            Variant::F => "f",
        }
    }
}

/// An architecture such as `sm_100a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arch {
    /// SM number.
    pub sm: u32,
    /// The letter after the number.
    pub variant: Option<Variant>,
}

impl Arch {
    /// `sm_100a`.
    pub const SM_100A: Arch = Arch {
        sm: 100,
        variant: Some(Variant::A),
    };
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sm_{}{}", self.sm, self.variant.map_or("", Variant::as_str))
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not an architecture; write it like `sm_100a`");
        let rest = text.strip_prefix("sm_").ok_or_else(bad)?;
        let (number, variant) = match rest.as_bytes().last() {
            Some(b'a') => (&rest[..rest.len() - 1], Some(Variant::A)),
            Some(b'f') => (&rest[..rest.len() - 1], Some(Variant::F)),
            _ => (rest, None),
        };
        let sm = number.parse().map_err(|_| bad())?;
        Ok(Arch { sm, variant })
    }
}
