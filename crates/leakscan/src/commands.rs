//! Passwords and keys in the arguments of a command, or in the configuration of a tool.

use crate::false_positives::always;
use crate::false_positives::has_digit;
use crate::generic_secrets::classes;
use crate::generic_secrets::is_key_material;
use crate::generic_secrets::mixed_case;
use crate::generic_secrets::strong_password;
use crate::generic_secrets::typed_password;
use crate::keys::is_password;
use crate::rule::Rule;
use crate::window::after;

include!(concat!(env!("OUT_DIR"), "/commands.rs"));

/// Whether a quoted value follows the type of a constant.
fn has_typed_value(text: &[u8], at: usize) -> bool {
    let is_type = |b: &&u8| b.is_ascii_alphanumeric() || b" :&'_\t".contains(b);
    let rest = &text[at..text.len().min(at + 48)];
    let sign = rest.iter().take_while(is_type).count();
    let value = rest[sign..]
        .strip_prefix(b"=")
        .unwrap_or_default()
        .trim_ascii_start();
    matches!(value.first(), Some(b'"' | b'\''))
}

/// Whether `:-` or `:=` gives a shell variable a default value.
fn has_default_operator(text: &[u8], at: usize) -> bool {
    matches!(after(text, at + 1), b'-' | b'=')
}

/// Whether the XML element is `<D>` and not `<d>`.
fn is_capital_element(text: &[u8], at: usize) -> bool {
    text[at + 1] == b'D'
}

fn is_numbered_passphrase(words: &[u8]) -> bool {
    has_digit(words) && is_password(words)
}

/// Whether a value mixes letters, digits or signs as no word does.
fn is_noisy_password(value: &[u8]) -> bool {
    strong_password(value)
        || value.len() >= 10 && (mixed_case(value) || classes(value) == 4) && is_password(value)
}

/// Whether the value of a password option is a password, and not a file or a word.
fn typed_or_loud(value: &[u8]) -> bool {
    let shouted = value.len() >= 8 && value.iter().all(u8::is_ascii_uppercase);
    typed_password(value) || is_noisy_password(value) || shouted && is_password(value)
}

fn is_secret(value: &[u8]) -> bool {
    is_key_material(value) || strong_password(value)
}
