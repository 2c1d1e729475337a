//! The literals that occur in base 64 and hexadecimal of a leak, and therefore trigger decoding. The build script reads them.

use base64::Engine as _;

use crate::base64_text::STANDARD;
use crate::base64_text::base64_of_part;

/// Texts whose encodings trigger decoding, at each of the three alignments of base 64.
const PLAIN: &[&str] = &[
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "AKIA",
    "ASIA",
    "hf_",
    "sk-ant-",
    "sk-proj-",
    "nvapi-",
    "xoxb-",
    "xoxp-",
    "pypi-",
    "npm_",
    "AIza",
    "sk_live_",
    "dckr_pat",
    "PRIVATE KEY",
    "password",
    "PASSWORD",
    "secret",
    "SECRET",
    "token",
    "TOKEN",
    "api_key",
    "API_KEY",
    "client-key",
    ".internal",
    ".svc.cluster",
    ".corp",
    ".local",
    ".lan",
    "namespace",
    "kubeconfig",
    "current-context",
    "192.168.",
    "://10.",
    "@10.",
    "gpu-",
    "b200-",
    "/home/",
    "/mnt/",
    "kind: Config",
    "hooks.slack",
    "WANDB",
    "postgres://",
    "wandb",
    "kubectl",
    "\"auth\"",
];

/// How many of [`PLAIN`] are prefixes of tokens; these come first.
const TOKENS: usize = 18;

/// The starts of private addresses.
const ADDRESSES: &[&str] = &[
    "10.0", "10.1", "10.2", "10.3", "10.4", "10.5", "10.6", "10.7", "10.8", "10.9", "172.1", "172.2",
    "172.3", "192.168.",
];

/// The shortest base 64 that triggers decoding.
const SHORTEST: usize = 4;

/// The base 64 of a text at each alignment. Where that is too short, also of the next letter or digit, as far as its bits decide.
fn cores(plain: &str) -> Vec<String> {
    let mut found: Vec<String> = base64_of_part(plain.as_bytes()).collect();
    if found.iter().any(|core| core.len() < SHORTEST) {
        let next = (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z');
        for byte in next {
            let longer = [plain.as_bytes(), &[byte]].concat();
            let short = found[..3].iter().map(String::len).collect::<Vec<_>>();
            let cores = base64_of_part(&longer)
                .zip(short)
                .filter(|(_, length)| *length < SHORTEST);
            found.extend(
                cores
                    .map(|(core, length)| core[..=length].to_owned())
                    .collect::<Vec<_>>(),
            );
        }
    }
    found.retain(|core| core.len() >= SHORTEST);
    found
}

/// The base 64 and hexadecimal literals that trigger decoding.
pub fn keywords() -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for (index, plain) in PLAIN.iter().enumerate() {
        out.extend(cores(plain).into_iter().map(|core| core.to_ascii_lowercase()));
        // Base 64 of base 64, for the prefixes of tokens.
        if index < TOKENS {
            let twice = STANDARD.encode(&STANDARD.encode(plain)[..plain.len() * 8 / 6]);
            let core = &twice[..twice.len().min(plain.len() * 8 / 6 * 8 / 6)];
            if core.len() >= 5 {
                out.push(core.to_ascii_lowercase());
            }
        }
        if plain.len() >= 3 && !plain.contains("//") {
            out.push(plain.bytes().map(|b| format!("{b:02x}")).collect());
        }
    }
    for plain in ADDRESSES {
        out.extend(cores(plain).into_iter().map(|core| core.to_ascii_lowercase()));
        out.push(plain.bytes().map(|b| format!("{b:02x}")).collect());
    }
    out.sort();
    out.dedup();
    out
}
