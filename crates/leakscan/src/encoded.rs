//! Secrets in base 64 and in hexadecimal: which runs are worth decoding, and what they say.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::general_purpose::GeneralPurposeConfig;

use crate::deobfuscate::DecodedText;
use crate::window::around;

/// Texts every base 64 of which, at each of the three alignments, is worth decoding.
const TELLING: &[&str] = &[
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

/// How many of [`TELLING`] are beginnings of tokens; they come first.
const TOKENS: usize = 18;

/// The literals of base 64 and hexadecimal that tell of something worth decoding.
pub fn keywords() -> Vec<String> {
    let alphabet = STANDARD;
    let mut out: Vec<String> = Vec::new();
    for (index, plain) in TELLING.iter().enumerate() {
        for shift in 0..3usize {
            let mut bytes = vec![0u8; shift];
            bytes.extend_from_slice(plain.as_bytes());
            let text = alphabet.encode(&bytes);
            // The first and last characters mix in bits of the neighbours.
            let from = [0, 2, 3][shift];
            let whole = bytes.len() * 8 / 6;
            if let Some(core) = text.get(from..whole)
                && core.len() >= 5
            {
                out.push(core.to_ascii_lowercase());
            }
        }
        // And of the base 64 of that, where it begins with a token.
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

/// What a run of base 64 or hexadecimal stands for.
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
        // A run cut short still decodes up to its last whole group.
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

/// The run of base 64 or hexadecimal around a hit, decoded, where it decodes to text. Also says where the run ends.
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
    let view = plain.map(|plain| {
        // The whole run is the leak, whatever part of it says so.
        DecodedText::from_whole(plain, &run)
    });
    (run.end, view)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_run_is_the_place_of_what_it_says() {
        let encoded = STANDARD.encode("some token=0123456789");
        let (end, view) = decode(encoded.as_bytes(), 8..12);
        assert_eq!(view.map(|view| view.original_span(&(5..10))), Some(0..end));
    }

    #[test]
    fn what_is_encoded_twice_is_decoded_twice() {
        let encoded = STANDARD.encode(STANDARD.encode("some token=0123456789"));
        let (_, view) = decode(encoded.as_bytes(), 0..4);
        assert!(view.is_some_and(|view| view.text.starts_with(b"some token")));
    }
}
