//! Secrets without a format: a name that announces a secret, and a value that looks random or like a password.

use std::ops::Range;

use crate::assignment;
use crate::assignment::Assigned;
use crate::false_positives::entropy;
use crate::false_positives::is_placeholder;
use crate::false_positives::listed;
use crate::false_positives::looks_random;
use crate::false_positives::reads_like_words;
use crate::keys::is_password;
use crate::kinds::HARD_CODED_SECRET;
use crate::passphrases;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::after;
use crate::window::around;
use crate::window::is_word;
use crate::window::line_after;

include!(concat!(env!("OUT_DIR"), "/generic_secrets.rs"));

/// Endings of names whose value describes a secret.
const ABOUT: &str = "path file files filename name names id ids type types url uri endpoint hash digest len length size count \
    field fields version env env_var var index idx limit max min ttl expiry expires expiration timeout policy \
    prompt label parallelism algorithm scheme format prefix suffix header regex pattern scanner ref manager \
    provider store class kind mode enabled required valid usage budget rate per_second per_s s embedding \
    embeddings column arn location dir host user username email input output in out pos position offset mask map \
    set list dict str string bytes data_path helper callback fn func handler lookup description hint message msg \
    text title placeholder status state fingerprint checksum sha sha1 sha256 md5 stream kinds table tree iter \
    line span version revision rotation uuid guid created updated arn";

/// Names that contain `token` or `key` and mean something else.
const HARMLESS: &str = "pad_token eos_token bos_token unk_token sep_token cls_token mask_token max_token num_token n_token \
    next_token stop_token special_token tokens_per tokens tokenizer tokenize token_id token_type token_count \
    cache_key cache-key primary_key foreign_key sort_key public_key public-key pub_key key_id keyring keyboard \
    keyword csrf xsrf idempotency tokenstream token_stream secretary publictoken public_token page_token \
    websocket host_key host-key partition_key lookup_key hash_key bucket_key object_key s3_key map_key dedup etag pagetoken continuation nexttoken restore-key restore_key pathspec compat _path _patch _pattern _patience dispatch _passed _passes \
    _passthrough bypass pass_";

/// Whether a pipe follows on the line.
fn has_pipe(text: &[u8], at: usize) -> bool {
    memchr::memchr(b'|', line_after(text, at)).is_some()
}

fn assignment(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let text = hit.text;
    let name = around(text, hit.span.clone(), 48, |b| {
        b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'.'
    });
    found.count_work(name.len());
    found.skip_to(name.end);
    let Some(assigned) = assignment::of_name(text, &name) else {
        return;
    };
    found.count_work(assigned.value.len() + 8);
    let name = trim_dashes(&text[name]);
    let keyword = text[hit.span.clone()].to_ascii_lowercase();
    let bytes = &text[assigned.value.clone()];
    if is_about(name, &keyword) || bytes.len() > 512 && !assigned.flag {
        return;
    }
    let lower = name.to_ascii_lowercase();
    let contains = |word: &str| memchr::memmem::find(&lower, word.as_bytes()).is_some();
    let is_password = ["pass", "pwd", "_psk"].into_iter().any(contains);
    // Most names that end in `_key` are not secret, so require a long random value.
    let some_key = matches!(keyword.as_slice(), b"_key" | b"-key");
    let code = !assigned.quoted && is_expression(text, &assigned.value);
    let real = if is_password {
        is_assigned_password(&assigned, bytes, code)
    } else {
        let exact = assigned.quoted && (contains("secret") || contains("token"))
            || assigned.tight && contains("secret");
        let secret = exact && bytes.len() >= 20;
        !code
            && (is_key_material(bytes) && (!some_key || bytes.len() >= 24)
                || secret && !bytes.contains(&b'\\') && strong_password(bytes)
                || accepts_uuid(name) && is_uuid(bytes) && looks_random(bytes))
    };
    if real {
        found.skip_to(assigned.value.end);
        found.report(&HARD_CODED_SECRET, assigned.value);
    } else if is_password && ends_in_password(&lower) {
        let phrase = match assigned.quoted || assigned.tight || assigned.flag {
            true => assigned.value,
            // A plain scalar of YAML may contain blanks.
            false => rest_of_line(text, assigned.value),
        };
        found.count_work(phrase.len());
        if passphrases::is_likely(
            &text[phrase.clone()],
            assigned.quoted || phrase.len() > bytes.len(),
        ) {
            found.skip_to(phrase.end);
            found.warn(&HARD_CODED_SECRET, phrase);
        }
    }
}

fn is_assigned_password(assigned: &Assigned, bytes: &[u8], code: bool) -> bool {
    let typed = (assigned.tight || assigned.flag) && typed_password(bytes);
    if assigned.quoted {
        return strong_password(bytes) || typed || passphrases::has_random_word(bytes);
    }
    !code && (strong_password(bytes) || typed || assigned.flag && bytes.len() > 128 && is_key_material(bytes))
}

/// Returns a value up to the end of its line, without blanks at the end; only the value if the line is long.
fn rest_of_line(text: &[u8], value: Range<usize>) -> Range<usize> {
    let most = &text[value.start..text.len().min(value.start + 128)];
    match memchr::memchr(b'\n', most) {
        Some(length) => value.start..value.start + most[..length].trim_ascii_end().len(),
        None if value.start + most.len() == text.len() => {
            value.start..value.start + most.trim_ascii_end().len()
        }
        None => value,
    }
}

/// Whether the value of a name is the password itself.
fn ends_in_password(name: &[u8]) -> bool {
    [&b"password"[..], b"passphrase", b"passwd", b"passcode", b"pwd"]
        .iter()
        .any(|word| name.ends_with(word))
}

/// Whether a name stands for a token. Some issuers use UUIDs as tokens.
fn accepts_uuid(name: &[u8]) -> bool {
    let variable = name
        .iter()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_');
    let endings: [&[u8]; 3] = [b"_TOKEN", b"_SECRET", b"_SECRET_ID"];
    let always: [&[u8]; 8] = [
        b"client_secret",
        b"app_secret",
        b"secret_key",
        b"api_key",
        b"apikey",
        b"api_token",
        b"access_token",
        b"auth_token",
    ];
    let snake = snake_case(name);
    variable && endings.iter().any(|ending| name.ends_with(ending))
        || always.iter().any(|ending| snake.ends_with(ending))
}

/// A name in lower case, with underscores: `tokenTypeId` and `token-type-id` become `token_type_id`.
fn snake_case(name: &[u8]) -> Vec<u8> {
    let mut snake = Vec::with_capacity(name.len() + 8);
    let mut before = b'_';
    for &b in name {
        if b.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            snake.push(b'_');
        }
        snake.push(if matches!(b, b'-' | b'.') {
            b'_'
        } else {
            b.to_ascii_lowercase()
        });
        before = b;
    }
    snake
}

fn trim_dashes(name: &[u8]) -> &[u8] {
    let is_dash = |b: &u8| matches!(b, b'-' | b'.');
    let from = name.iter().position(|b| !is_dash(b)).unwrap_or(name.len());
    let to = name.iter().rposition(|b| !is_dash(b)).map_or(from, |at| at + 1);
    &name[from..to]
}

/// Whether the value of a name is not a secret, but describes one.
fn is_about(name: &[u8], keyword: &[u8]) -> bool {
    let lower = name.to_ascii_lowercase();
    let snake = snake_case(name);
    if HARMLESS.split(' ').any(|word| {
        let contained = |name: &[u8]| memchr::memmem::find(name, word.as_bytes()).is_some();
        contained(&lower) || contained(&snake)
    }) {
        return true;
    }
    if matches!(keyword, b"_pat" | b"_salt" | b"_key" | b"-key") {
        return !lower.ends_with(keyword);
    }
    let last = snake.rsplit(|b| *b == b'_').next().unwrap_or(&snake);
    listed(ABOUT, last) && last.len() < snake.len()
}

/// Whether an unquoted value is code: a call, an attribute, a type, a number.
fn is_expression(text: &[u8], value: &Range<usize>) -> bool {
    let bytes = &text[value.clone()];
    let next = after(text, value.end);
    if bytes.iter().any(|b| matches!(b, b'(' | b'[' | b'{' | b'$'))
        || bytes.contains(&b'*') && !is_noisy(bytes)
        || matches!(next, b'<' | b'>' | b']')
        || text[value.end..].starts_with(b" = ")
    {
        return true;
    }
    // `MAX_TOKEN_32`, `x25519_private_key`: a name in code.
    let underscores = bytes.iter().filter(|b| **b == b'_').count();
    let (upper, lower) = (
        bytes.iter().any(u8::is_ascii_uppercase),
        bytes.iter().any(u8::is_ascii_lowercase),
    );
    if underscores > usize::from(lower) && upper != lower && bytes.iter().all(|&b| is_word(b)) {
        return true;
    }
    if bytes
        .iter()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_' | b'%'))
    {
        return true;
    }
    // A path of names: `self.secret`, `config::KEY`, `a->b`.
    let names = bytes.iter().all(|b| {
        b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-' | b'>' | b'&' | b'?' | b'!')
    });
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    names
        && (reads_like_words(bytes)
            || (digits == 0 && !(mixed_case(bytes) && bytes.len() >= 12))
            || bytes.contains(&b'.') && bytes.len() < 24 && digits < 3)
}

/// Whether a text has as many kinds of signs as only a password has.
fn is_noisy(bytes: &[u8]) -> bool {
    let signs = |b: &&u8| b"!@#%^*+~?=&".contains(b);
    let mut kinds: Vec<u8> = bytes.iter().filter(signs).copied().collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.len() >= 3 && bytes.iter().any(u8::is_ascii_alphabetic)
        || kinds.len() == 2 && classes(bytes) == 4 && !bytes.contains(&b'.')
}

/// Whether a text changes from small letters to capitals more than once.
pub fn mixed_case(bytes: &[u8]) -> bool {
    let flips = bytes
        .windows(2)
        .filter(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase())
        .count();
    flips >= 2
}

/// How many classes of characters a text has: lower case, upper case, digits, signs.
pub fn classes(bytes: &[u8]) -> usize {
    usize::from(bytes.iter().any(u8::is_ascii_lowercase))
        + usize::from(bytes.iter().any(u8::is_ascii_uppercase))
        + usize::from(bytes.iter().any(u8::is_ascii_digit))
        + usize::from(bytes.iter().any(|b| b.is_ascii_punctuation()))
}

/// Whether a text is a password that cannot be a word.
pub fn strong_password(bytes: &[u8]) -> bool {
    bytes.len() >= 8
        && bytes.len() <= 128
        && bytes.iter().all(|b| b.is_ascii_graphic())
        && classes(bytes) >= 3
        && (bytes.iter().any(u8::is_ascii_digit) || mixed_case(bytes))
        && entropy(bytes) >= 2.7
        && is_password(bytes)
        && !reads_like_words(bytes)
        && !bytes.starts_with(b"/")
        && !bytes.starts_with(b"./")
        && memchr::memmem::find(bytes, b"://").is_none()
        && !bytes.iter().any(|b| {
            matches!(b, b'(' | b'{' | b'[') && bytes.last().is_some_and(|l| matches!(l, b')' | b'}' | b']'))
        })
}

/// Whether a text is a password in a shell, where letters and digits are enough.
pub fn typed_password(bytes: &[u8]) -> bool {
    bytes.len() >= 8
        && bytes.iter().all(|b| b.is_ascii_graphic())
        && classes(bytes) >= 2
        && (bytes.iter().any(u8::is_ascii_digit) || bytes.len() >= 12 && mixed_case(bytes))
        && entropy(bytes) >= 2.5
        && is_password(bytes)
        && !reads_like_words(bytes)
        && !bytes.starts_with(b"/")
}

/// Whether a text is a key: long and random, but not a UUID or a number.
pub fn is_key_material(bytes: &[u8]) -> bool {
    let body = bytes.iter().filter(|b| b.is_ascii_alphanumeric()).count();
    if bytes.len() < 16
        || body * 10 < bytes.len() * 8
        || !bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=_.~-:".contains(b))
    {
        return false;
    }
    if is_placeholder(bytes)
        || is_uuid(bytes)
        || reads_like_words(bytes)
        || bytes.starts_with(b"/")
        || bytes.starts_with(b"sha256:")
    {
        return false;
    }
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = bytes.iter().filter(|b| b.is_ascii_alphabetic()).count();
    (digits >= 2 || digits == 1 && mixed_case(bytes))
        && letters >= 4
        && digits + letters >= 14
        && entropy(bytes) >= 3.0
        && bytes
            .iter()
            .filter(|b| matches!(b, b'.' | b'_' | b'-' | b'/' | b':'))
            .count()
            * 6
            <= bytes.len()
}

/// Whether a text is a UUID.
pub fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, b)| {
            if matches!(at, 8 | 13 | 18 | 23) {
                *b == b'-'
            } else {
                b.is_ascii_hexdigit()
            }
        })
}
