//! Private keys, kubeconfigs, and logins in the format of a tool.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::false_positives::always;
use crate::false_positives::is_placeholder;
use crate::false_positives::is_plausible_secret;
use crate::false_positives::looks_random;
use crate::kinds::GITHUB_TOKEN;
use crate::kinds::HARD_CODED_SECRET;
use crate::kinds::PRIVATE_KEY;
use crate::kinds::WEB_TOKEN;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::around;

include!(concat!(env!("OUT_DIR"), "/keys.rs"));

/// Finds the private part of a JWK that has a field on each line.
fn multi_line_jwk(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let end = hit.text.len().min(hit.span.end + 800);
    let body = &hit.text[hit.span.end..end];
    let body = &body[..memchr::memchr(b'}', body).unwrap_or(body.len())];
    found.count_work(body.len());
    if let Some(at) = memchr::memmem::find(body, b"\"d\": \"") {
        let from = hit.span.end + at + 6;
        let key = around(hit.text, from..from, 400, |b| {
            b.is_ascii_alphanumeric() || b"_-".contains(&b)
        });
        if key.end - from >= 32 {
            found.report(&PRIVATE_KEY, from..key.end);
        }
    }
}

/// Finds a PEM block: its first line and a part of the key, with line ends or with `\n`.
fn pem(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let line = hit.line();
    let lead = &hit.text[line.start..hit.span.start];
    let Some(begin) =
        memchr::memmem::rfind(lead, b"-- BEGIN ").or_else(|| memchr::memmem::rfind(lead, b"--BEGIN "))
    else {
        return;
    };
    if !lead[begin..]
        .iter()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b" -".contains(b))
    {
        return;
    }
    let dashes = lead[..begin].iter().rev().take_while(|b| **b == b'-').count();
    let body = hit.span.end;
    let end = block_end(hit.text, body, begin - dashes);
    found.count_work(end - body);
    found.skip_to(end);
    // Exclude the closing line.
    let inner = &hit.text[body..end.min(body + 2048)];
    let inner = &inner[..memchr::memmem::find(inner, b"--END").unwrap_or(inner.len())];
    let key = inner.iter().filter(|b| b.is_ascii_alphanumeric()).count();
    if key >= 24 && crate::false_positives::entropy(inner) > 3.0 {
        found.report(&PRIVATE_KEY, line.start + begin - dashes..end);
    }
}

/// The end of a block of base 64: after `-----END …-----`, or before the first line that is not base 64.
///
/// A log can put the same prefix before each line.
fn block_end(text: &[u8], from: usize, indent: usize) -> usize {
    let ceiling = text.len().min(from + 64 * 1024);
    let mut at = from;
    let mut end = from;
    while at < ceiling {
        let stop = memchr::memchr(b'\n', &text[at..ceiling]).map_or(ceiling, |n| at + n + 1);
        let row = &text[at..stop];
        if let Some(tail) = memchr::memmem::find(row, b"--END ") {
            let rest = &row[tail..];
            return memchr::memmem::find(rest, b"KEY").map_or(at + tail, |n| {
                let from = at + tail + n + 3;
                from + text[from..ceiling]
                    .iter()
                    .take_while(|b| b"- BLOCK".contains(b))
                    .count()
            });
        }
        let prefixed = row
            .get(indent..)
            .filter(|_| at > from && row[..indent].contains(&b' '));
        let content = prefixed.unwrap_or(row).trim_ascii();
        let content = content
            .strip_prefix(b"#")
            .or_else(|| content.strip_prefix(b">"))
            .unwrap_or(content)
            .trim_ascii();
        let headers = memchr::memmem::find(content, b": ").is_some() && content.len() < 100;
        let base64 = content
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=\\\"',-_".contains(b));
        if !(base64 || (headers && at > from) || at == from) {
            break;
        }
        if at == from && !base64 {
            // The rest of the first line is other text. The key may begin on the next line.
            let literal = content.starts_with(b"\\n");
            if !literal && !content.is_empty() {
                let run = content
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || b"+/= \\".contains(b))
                    .count();
                return from + row.iter().take_while(|b| b.is_ascii_whitespace()).count() + run;
            }
        }
        if !content.is_empty() {
            end = at + row.trim_ascii_end().len();
        }
        at = stop;
    }
    end.max(from)
}

fn encloses_private_key(token: &[u8]) -> bool {
    let whole = &token[..token.len() / 4 * 4];
    let head = &whole[..whole.len().min(80)];
    STANDARD
        .decode(head)
        .is_ok_and(|plain| memchr::memmem::find(&plain, b"PRIVATE KEY").is_some())
}

/// Whether a text can be a password.
pub fn is_password(value: &[u8]) -> bool {
    value.len() >= 4 && !is_placeholder(value)
}

fn encodes_login(value: &[u8]) -> bool {
    match STANDARD.decode(value) {
        Ok(plain) => memchr::memchr(b':', &plain).is_some_and(|at| is_password(&plain[at + 1..])),
        Err(_) => value.starts_with(b"eyJ") || (value.len() >= 32 && looks_random(value)),
    }
}

/// Finds the login in `Authorization: Basic …`.
fn basic(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let lead = hit.lead().to_ascii_lowercase();
    if memchr::memmem::find(&lead, b"auth").is_none() {
        return;
    }
    let tail = hit.tail();
    let length = tail
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b))
        .count();
    found.count_work(length + lead.len());
    let value = &tail[..length];
    let Ok(plain) = STANDARD.decode(value) else { return };
    let Some(colon) = memchr::memchr(b':', &plain) else {
        return;
    };
    if !plain.iter().all(|b| b.is_ascii_graphic()) || !is_password(&plain[colon + 1..]) {
        return;
    }
    let code = if plain[colon + 1..].starts_with(b"gh") {
        &GITHUB_TOKEN
    } else {
        &HARD_CODED_SECRET
    };
    found.report(code, hit.span.end..hit.span.end + length);
}

/// Whether a web token is not a sample from documentation.
fn is_not_a_sample(token: &[u8]) -> bool {
    let sample = [&b"IjEyMzQ1Njc4OTAi"[..], b"eyJzdWIiOiIxMjM0NTY3ODkwIi"];
    is_plausible_secret(token)
        && sample
            .iter()
            .all(|known| memchr::memmem::find(token, known).is_none())
}

/// Finds a web token: header, payload and signature in base 64, of which the first two are JSON objects.
fn json_web_token(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let start = hit.span.start;
    let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'.';
    if inside(hit.before()) || !hit.text[start..].starts_with(b"eyJ") {
        return;
    }
    let end = around(hit.text, hit.span.clone(), 16 * 1024, inside).end;
    found.count_work(end - start);
    found.skip_to(end);
    let token = &hit.text[start..end];
    let mut parts = token.split(|b| *b == b'.');
    let (Some(head), Some(body)) = (parts.next(), parts.next()) else {
        return;
    };
    let signature = parts.next().unwrap_or_default();
    let json = body.starts_with(b"eyJ") || body.starts_with(b"eyA") || body.starts_with(b"ewo");
    // An encrypted token has five parts and no readable payload.
    let encrypted = token.iter().filter(|b| **b == b'.').count() == 4;
    if head.len() >= 12
        && body.len() >= 12
        && (json && signature.len() >= 16 || encrypted)
        && is_not_a_sample(token)
    {
        found.report(&WEB_TOKEN, start..end);
    }
}
