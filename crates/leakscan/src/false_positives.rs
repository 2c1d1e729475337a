//! Recognises values that look private but are public: placeholders, examples, names in documentation, words.

use crate::placeholder_marks::MARKS;
use crate::window::after;
use crate::window::before;

/// Values that are used in place of a password.
const EMPTY_WORDS: &str = "pass passwd password passphrase pwd secret token key apikey api_key api-key user username none null nil true \
    false test tests testing foo bar baz qux hello world string str bytes text value undefined empty default \
    admin root guest optional required unset auto env file vault abc abc123 test123 pass123 postgres mysql redis \
    rabbitmq minio minioadmin letmein qwerty p pw x xx xxx yes no on off credentials pass1 password1 password123 \
    secret123 user1 demo anonymous basic bearer oauth oauth2 oidc jwt ssh tls secret-key secret_key \
    username:password user:pass user:password login:password hunter2 swordfish correcthorsebatterystaple 12345 \
    123456 1234 123";

/// Whether a word is in a list of words that blanks separate.
pub fn listed(list: &str, word: impl AsRef<[u8]>) -> bool {
    is_in_list(list.as_bytes(), word.as_ref())
}

fn is_in_list(list: &[u8], word: &[u8]) -> bool {
    !word.is_empty()
        && !word.contains(&b' ')
        && memchr::memmem::find_iter(list, word).any(|at| {
            before(list, at).is_ascii_whitespace() && after(list, at + word.len()).is_ascii_whitespace()
        })
}

/// Whether a value is an example, a template, a variable or empty.
pub fn is_placeholder(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    if lower.is_empty() || listed(EMPTY_WORDS, &lower) {
        return true;
    }
    let opens = lower.first().is_none_or(|b| b"<$%{[(*@&".contains(b));
    opens
        || !MARKS.find(&lower).is_empty()
        || [
            &b"${"[..],
            b"$(",
            b"{{",
            b"}}",
            b"<",
            b"process.env",
            b"os.environ",
            b"getenv",
            b"secrets.",
        ]
        .iter()
        .any(|part| memchr::memmem::find(&lower, part).is_some())
}

/// Whether many machines or users have this name.
pub fn is_common_name(name: &str) -> bool {
    listed(EMPTY_WORDS, name.to_ascii_lowercase()) || listed(COMMON_NAMES, name.to_ascii_lowercase())
}

/// Names of users, hosts and zones that do not identify a machine or a person.
const COMMON_NAMES: &str = "ubuntu debian nobody docker vscode node app build builder ci dev worker master localhost localdomain buildkitsandbox \
    kubernetes github actions container workspace host runner root default home user agent system linux";

/// Whether a text in the format of a token can be a token: not a placeholder, and not a repetition of a few characters.
pub fn is_plausible_secret(token: &[u8]) -> bool {
    let mut seen = [false; 256];
    token.iter().for_each(|&b| seen[usize::from(b)] = true);
    let distinct = seen.iter().filter(|&&s| s).count();
    distinct >= 5.min(token.len() / 2 + 1) && !is_placeholder(token)
}

/// Like [`is_plausible_secret`], for formats that words can have too: the text after the prefix must look random.
pub fn looks_random(token: &[u8]) -> bool {
    if !is_plausible_secret(token) {
        return false;
    }
    let body = token
        .iter()
        .position(|b| *b == b'_' || *b == b'-')
        .filter(|at| *at < 12 && token.len() - at > 16)
        .map_or(token, |at| &token[at + 1..]);
    entropy(body) >= 3.0 && !reads_like_words(body)
}

/// Accepts every match, for a pattern that is specific enough.
pub fn always(_: &[u8]) -> bool {
    true
}

/// Runs a rule at all of its keywords.
pub fn everywhere(_: &[u8], _: usize) -> bool {
    true
}

/// Whether a value has a digit.
pub fn has_digit(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_digit)
}

/// Shannon entropy in bits per byte.
pub fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    bytes.iter().for_each(|&b| counts[usize::from(b)] += 1);
    let n = bytes.len() as f64;
    counts
        .iter()
        .filter(|&&c| c > 0)
        .map(|&c| {
            let p = f64::from(c) / n;
            -p * p.log2()
        })
        .sum()
}

/// Whether a text consists of words, joined by separators or capitals as names in code are.
pub fn reads_like_words(text: &[u8]) -> bool {
    let digits = text.iter().filter(|b| b.is_ascii_digit()).count();
    let mut parts = 0usize;
    let mut wordy = 0usize;
    let mut length = 0usize;
    let mut vowels = 0usize;
    let mut close = |length: &mut usize, vowels: &mut usize, capitals: &mut usize| {
        if *length > 0 {
            parts += 1;
            let mixed = *capitals >= 2 && *length > *capitals && *length < *capitals + 3;
            if !mixed
                && *length >= 2
                && (*vowels * 5 >= *length || *length <= 3)
                && *vowels * 3 <= *length * 2 + 1
            {
                wordy += *length;
            }
        }
        *length = 0;
        *vowels = 0;
        *capitals = 0;
    };
    let mut previous = b'-';
    let mut letters = 0usize;
    // `NKwa` is not a word: in names, capitals precede a whole word, as in `HTTPServer`.
    let mut capitals = 0usize;
    for &b in text {
        let capital = b.is_ascii_uppercase() && !previous.is_ascii_uppercase();
        if !b.is_ascii_alphabetic() || capital {
            close(&mut length, &mut vowels, &mut capitals);
        }
        if b.is_ascii_alphabetic() {
            length += 1;
            letters += 1;
            vowels += usize::from(b"aeiouyAEIOUY".contains(&b));
            capitals += usize::from(b.is_ascii_uppercase());
        }
        previous = b;
    }
    close(&mut length, &mut vowels, &mut capitals);
    let mean = letters as f64 / parts.max(1) as f64;
    digits * 8 <= text.len() && wordy * 4 >= letters * 3 && mean >= 3.5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_differs_from_words() {
        for name in [
            "tokenizer_parallelism",
            "getSecretFromVault",
            "num-tokens-per-expert",
            "password_field",
            "parseHTTPServerName",
        ] {
            assert!(reads_like_words(name.as_bytes()), "{name}");
        }
        for noise in [
            "k6A7i3VrORqhnKaJQhDojJYh3IVY1W2uyglY",
            "665e5928672d8e55c8243f20c8474840",
            "mVBDdOjzjEot6S",
            "VWoNKwaJGOXSi0",
        ] {
            assert!(!reads_like_words(noise.as_bytes()), "{noise}");
        }
    }

    #[test]
    fn placeholders_are_recognised() {
        for value in [
            "changeme",
            "${DB_PASS}",
            "<token>",
            "xxxxxxxx",
            "$(cat /run/x)",
            "your-token",
            "{{ x }}",
        ] {
            assert!(is_placeholder(value.as_bytes()), "{value}");
        }
        assert!(!is_placeholder(b"Tr0ub4dor&YoW1bF"));
    }
}
