//! Secrets without a format: a name that announces a secret, and a value that looks random or like a password.

use crate::false_positives::entropy;
use crate::false_positives::is_placeholder;
use crate::false_positives::listed;
use crate::false_positives::looks_random;
use crate::false_positives::reads_like_words;
use crate::keys::is_password;
use crate::kinds::HARD_CODED_SECRET;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::after;
use crate::window::around;
use crate::window::is_word;

include!(concat!(env!("OUT_DIR"), "/generic_secrets.rs"));

/// Endings of names whose value describes a secret.
const ABOUT: &str = "path file files filename name names id ids type types url uri endpoint hash digest len length size count \
    field fields version env env_var var index idx limit max min ttl expiry expires expiration timeout policy \
    prompt label parallelism algorithm scheme format prefix suffix header regex pattern scanner ref manager \
    provider store class kind mode enabled required valid usage budget rate per_second per_s s embedding \
    embeddings column arn location dir host user username email input output in out pos position offset mask map \
    set list dict str string bytes data_path helper callback fn func handler lookup description hint message msg \
    text title placeholder status state fingerprint checksum sha sha1 sha256 md5 stream kinds table tree iter \
    line span";

/// Names that contain `token` or `key` and mean something else.
const HARMLESS: &str = "pad_token eos_token bos_token unk_token sep_token cls_token mask_token max_token num_token n_token \
    next_token stop_token special_token tokens_per tokens tokenizer tokenize token_id token_type token_count \
    cache_key cache-key primary_key foreign_key sort_key public_key public-key pub_key key_id keyring keyboard \
    keyword csrf xsrf idempotency tokenstream token_stream secretary publictoken public_token page_token \
    websocket host_key host-key partition_key lookup_key hash_key dedup etag pagetoken continuation nexttoken restore-key restore_key pathspec compat _path _patch _pattern _patience dispatch _passed _passes \
    _passthrough bypass pass_";

fn assignment(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let text = hit.text;
    let name = around(text, hit.span.clone(), 48, |b| {
        b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'.'
    });
    found.count_work(name.len());
    found.skip_to(name.end);
    let Some(value_at) = past_equals(text, name.end) else {
        return;
    };
    let lower = text[name.clone()].to_ascii_lowercase();
    let lower = trim_dashes(&lower);
    let (value, quoted) = value(text, value_at.at);
    found.count_work(value.len() + 8);
    let bytes = &text[value.clone()];
    let keyword = text[hit.span.clone()].to_ascii_lowercase();
    if about(lower, &keyword) || bytes.len() > 512 && !value_at.flag {
        return;
    }
    // Most names that end in `_key` are not secret, so require a long random value.
    let some_key = matches!(keyword.as_slice(), b"_key" | b"-key");
    let password = ["pass", "pwd", "_psk"]
        .iter()
        .any(|word| memchr::memmem::find(lower, word.as_bytes()).is_some());
    let shell = value_at.tight || value_at.flag;
    let real = if password {
        if quoted {
            strong_password(bytes) || (shell && typed_password(bytes))
        } else {
            !is_expression(text, &value)
                && (strong_password(bytes)
                    || (value_at.tight && typed_password(bytes))
                    || (value_at.flag && bytes.len() > 128 && is_key_material(bytes)))
        }
    } else {
        let secret = quoted && bytes.len() >= 20 && memchr::memmem::find(lower, b"secret").is_some();
        (quoted || !is_expression(text, &value))
            && (is_key_material(bytes) && (!some_key || bytes.len() >= 24)
                || secret && !bytes.contains(&b'\\') && strong_password(bytes)
                || names_variable(&text[name.clone()]) && is_uuid(bytes) && looks_random(bytes))
    };
    if real {
        found.skip_to(value.end);
        found.report(&HARD_CODED_SECRET, value);
    }
}

/// Whether a name is an environment variable for a token. Some issuers use UUIDs as tokens.
fn names_variable(name: &[u8]) -> bool {
    let variable = name
        .iter()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_');
    let endings: [&[u8]; 5] = [b"_SECRET_KEY", b"_TOKEN", b"_API_KEY", b"_SECRET", b"_SECRET_ID"];
    variable && endings.iter().any(|ending| name.ends_with(ending))
}

fn trim_dashes(name: &[u8]) -> &[u8] {
    let from = name
        .iter()
        .position(|b| *b != b'-' && *b != b'.')
        .unwrap_or(name.len());
    let name = &name[from..];
    let to = name
        .iter()
        .rposition(|b| *b != b'-' && *b != b'.')
        .map_or(0, |at| at + 1);
    &name[..to]
}

/// Whether the value of a name is not a secret, but describes one.
fn about(name: &[u8], keyword: &[u8]) -> bool {
    if HARMLESS
        .split(' ')
        .any(|word| memchr::memmem::find(name, word.as_bytes()).is_some())
    {
        return true;
    }
    if matches!(keyword, b"_pat" | b"_salt" | b"_key" | b"-key") {
        return !name.ends_with(keyword);
    }
    let last = name
        .rsplit(|b| matches!(b, b'_' | b'-' | b'.'))
        .next()
        .unwrap_or(name);
    listed(ABOUT, last) && last.len() < name.len()
}

/// Where a value begins, and how it follows the name.
struct Value {
    at: usize,
    /// `name=value` without blanks, as in a shell, a URL or an environment file.
    tight: bool,
    /// `--name value`.
    flag: bool,
}

fn past_equals(text: &[u8], from: usize) -> Option<Value> {
    let mut at = from;
    let quote = matches!(after(text, at), b'"' | b'\'' | b'`' | b']');
    while matches!(after(text, at), b'"' | b'\'' | b'`' | b'\\' | b']') && at < from + 3 {
        at += 1;
    }
    let blanks = |at: usize| {
        text[at..]
            .iter()
            .take(8)
            .take_while(|b| **b == b' ' || **b == b'\t')
            .count()
    };
    let gap = blanks(at);
    at += gap;
    let rest = &text[at..];
    if rest.first() == Some(&b'\n') {
        // `- name: DB_PASSWORD` with the value on the next line.
        let row = &rest[1..rest.len().min(64)];
        let indent = row.iter().take_while(|b| **b == b' ').count();
        let value = row[indent..]
            .starts_with(b"value: ")
            .then_some(at + 1 + indent + 7)?;
        return Some(Value {
            at: value,
            tight: false,
            flag: false,
        });
    }
    let length = match rest {
        [b':', b'=', ..] | [b'=', b'>', ..] | [b'?', b'=', ..] => 2,
        [b'=', b'=', ..] | [b'=', b'~', ..] | [b':', b':', ..] | [b'!', ..] => return None,
        [b'=' | b':', ..] => 1,
        [b'|', ..] if gap > 0 => 1,
        [b',', ..] if quote => 1,
        [b, ..] if gap > 0 && (b.is_ascii_graphic()) && flag(text, from) => 0,
        [b'i', b's', b' ', ..] if gap > 0 => 2,
        _ => return None,
    };
    at += length;
    let gap_after = blanks(at);
    Some(Value {
        at: at + gap_after,
        tight: gap == 0 && gap_after == 0 && length == 1 && rest.first() == Some(&b'='),
        flag: length == 0,
    })
}

/// Whether the word that ends here began with `--`.
fn flag(text: &[u8], end: usize) -> bool {
    let word = around(text, end..end, 48, |b| {
        b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
    });
    text[word].starts_with(b"--")
}

/// The value that begins here, and whether it is quoted.
fn value(text: &[u8], at: usize) -> (std::ops::Range<usize>, bool) {
    let mut start = at;
    while matches!(after(text, start), b'\\' | b'b' | b'r' | b'f' | b'u')
        && matches!(after(text, start + 1), b'"' | b'\'')
    {
        start += 1;
    }
    let opening = after(text, start);
    let ceiling = text.len().min(start + 600);
    if matches!(opening, b'"' | b'\'' | b'`') {
        start += 1;
        let end = text[start.min(ceiling)..ceiling]
            .iter()
            .position(|&b| b == opening || b == b'\n')
            .map_or(ceiling, |n| start + n);
        let end = if end > start && text[end - 1] == b'\\' {
            end - 1
        } else {
            end
        };
        return (start..end.max(start), true);
    }
    let length = text[start.min(ceiling)..ceiling]
        .iter()
        .position(|&b| {
            b.is_ascii_whitespace()
                || matches!(
                    b,
                    b'"' | b'\'' | b'`' | b',' | b';' | b'|' | b'<' | b'>' | b')' | b']' | b'}'
                )
        })
        .unwrap_or(ceiling - start.min(ceiling));
    (start..start + length, false)
}

/// Whether an unquoted value is code: a call, an attribute, a type, a number.
fn is_expression(text: &[u8], value: &std::ops::Range<usize>) -> bool {
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
