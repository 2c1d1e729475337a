//! Decodes runs of base 64 and hexadecimal that may contain a leak.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::general_purpose::GeneralPurposeConfig;

use crate::decoded_text::DecodedText;
use crate::window::around;

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

/// The base 64 and hexadecimal literals that trigger decoding.
pub fn keywords() -> Vec<String> {
    let alphabet = STANDARD;
    let mut out: Vec<String> = Vec::new();
    for (index, plain) in PLAIN.iter().enumerate() {
        for shift in 0..3usize {
            let mut bytes = vec![0u8; shift];
            bytes.extend_from_slice(plain.as_bytes());
            let text = alphabet.encode(&bytes);
            // The first and last characters contain bits of the neighbours.
            let from = [0, 2, 3][shift];
            let whole = bytes.len() * 8 / 6;
            if let Some(core) = text.get(from..whole)
                && core.len() >= 5
            {
                out.push(core.to_ascii_lowercase());
            }
        }
        // Base 64 of base 64, for the prefixes of tokens.
        if index < TOKENS {
            let twice = alphabet.encode(&alphabet.encode(plain)[..plain.len() * 8 / 6]);
            let core = &twice[..twice.len().min(plain.len() * 8 / 6 * 8 / 6)];
            if core.len() >= 5 {
                out.push(core.to_ascii_lowercase());
            }
        }
        if plain.len() >= 3 && !plain.contains("//") {
            out.push(plain.bytes().map(|b| format!("{b:02x}")).collect());
        }
    }
    out.sort();
    out.dedup();
    out
}

const STANDARD: GeneralPurpose = engine(base64::alphabet::STANDARD);
const URL_SAFE: GeneralPurpose = engine(base64::alphabet::URL_SAFE);

const fn engine(alphabet: base64::alphabet::Alphabet) -> GeneralPurpose {
    GeneralPurpose::new(
        &alphabet,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    )
}

/// Decodes a run of base 64 or hexadecimal.
fn bytes_of(run: &[u8]) -> Option<Vec<u8>> {
    let bytes = run.trim_ascii_end();
    let bytes = &bytes[..bytes.iter().rposition(|b| *b != b'=').map_or(0, |at| at + 1)];
    let hex = bytes.len().is_multiple_of(2) && bytes.iter().all(u8::is_ascii_hexdigit);
    if hex {
        bytes
            .chunks(2)
            .map(|pair| {
                std::str::from_utf8(pair)
                    .ok()
                    .and_then(|p| u8::from_str_radix(p, 16).ok())
            })
            .collect()
    } else {
        let url_safe = bytes.iter().any(|b| matches!(b, b'_' | b'-'));
        // Decode a truncated run up to its last complete group.
        let bytes = if bytes.len() % 4 == 1 {
            &bytes[..bytes.len() - 1]
        } else {
            bytes
        };
        if url_safe {
            URL_SAFE.decode(bytes).ok()
        } else {
            STANDARD.decode(bytes).ok()
        }
    }
}

/// Decodes the run of base 64 or hexadecimal around a keyword, if it decodes to text. Also returns the end of the run.
pub fn decode(text: &[u8], hit: Range<usize>) -> (usize, Option<DecodedText>) {
    let is_digit = |b: u8| b.is_ascii_alphanumeric() || b"+/_-".contains(&b);
    let run = around(text, hit.clone(), 4096, is_digit);
    let plain = bytes_of(&text[run.clone()]);
    let printable = |plain: &[u8]| {
        let good = plain
            .iter()
            .filter(|b| b.is_ascii_graphic() || b.is_ascii_whitespace())
            .count();
        plain.len() >= 8 && good * 20 >= plain.len() * 19
    };
    let mut plain = plain.filter(|plain| printable(plain));
    // Encoded twice.
    if let Some(inner) = plain
        .as_ref()
        .filter(|plain| plain.iter().all(|&b| is_digit(b) || b == b'='))
    {
        plain = bytes_of(inner).filter(|inner| printable(inner)).or(plain);
    }
    let decoded = plain.map(|plain| {
        // The whole run is the leak, even if only a part of it is secret.
        DecodedText::from_whole(plain, &run)
    });
    (run.end, decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_is_the_whole_run() {
        let encoded = STANDARD.encode("some token=0123456789");
        let (end, decoded) = decode(encoded.as_bytes(), 8..12);
        assert_eq!(
            decoded.map(|decoded| decoded.original_span(&(5..10))),
            Some(0..end)
        );
    }

    #[test]
    fn double_encoding_is_decoded() {
        let encoded = STANDARD.encode(STANDARD.encode("some token=0123456789"));
        let (_, decoded) = decode(encoded.as_bytes(), 0..4);
        assert!(decoded.is_some_and(|decoded| decoded.text.starts_with(b"some token")));
    }
}
