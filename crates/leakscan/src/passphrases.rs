//! Passwords that consist of words.

use crate::false_positives::is_placeholder;
use crate::false_positives::listed;
use crate::false_positives::reads_like_words;

/// Words of sentences, of user interfaces and of code. A text that contains one of them is not a passphrase.
const SENTENCE: &str = "a an the this that these those is are was be been must should can could may will would has have had do does did not no \
    of to in on at by for from with without and or if then than as it its you your we our they their my i me please \
    enter type provide supply choose confirm repeat forgot forgotten reset change changed current old new wrong \
    invalid incorrect required optional missing empty minimum maximum length least characters too short long weak \
    strong match matches mismatch password passwords passwd passphrase secret secrets token key keys user username \
    name value field label hint prompt text string file path env environment variable variables config settings \
    default example sample test testing dummy fake mock hidden masked redacted none null true false get set \
    read load store stored save input output arg args param params hash hashed encrypted plain raw via using when \
    login sign account admin root generate generated random here there up off out only also use used";

/// Parts of names in code that contain digits.
const TECHNICAL: &str = "sha md5 base64 base32 base16 utf aes x509 pbkdf oauth win32 win64 int8 int16 int32 int64 float argon ed25519 secp rs256 \
    hs256 es256 bcrypt http ipv e2e s3 ec2 k8s test demo example user v1 v2 p12 pkcs";

/// Whether a value is likely a passphrase or a password of words: four words that do not form a sentence, or words and a number.
/// The value can also be an ordinary name, so this is not certain.
pub fn is_likely(value: &[u8], quoted: bool) -> bool {
    is_phrase(value, quoted) || is_worded(value) || is_numbered(value, quoted)
}

/// Numbers that follow the words of an example.
const EXAMPLE_NUMBERS: &str = " 123 1234 000 001 111 999 0000 ";

/// Words of an example, or of a name in code that ends with a number.
const UNLIKELY_IN_PASSWORD: &str = " test tests testing example sample dummy fake mock demo invalid wrong bad sha aes md utf rsa hmac pbkdf v version step layer max min length size count line port error status code ";

/// Whether a value is words and a number of three or four digits, or three words and a number of two: `my_own_password_731`.
fn is_numbered(value: &[u8], quoted: bool) -> bool {
    let separators: &[u8] = if quoted { b" -_" } else { b"-_" };
    let Some(end) = value.iter().rposition(|b| separators.contains(b)) else {
        return false;
    };
    let (words, number) = (&value[..end], &value[end + 1..]);
    let mut count = 0;
    (2..=4).contains(&number.len())
        && number.iter().all(u8::is_ascii_digit)
        && !listed(EXAMPLE_NUMBERS, number)
        && words.split(|b| *b == value[end]).all(|word| {
            count += 1;
            let is_plain = (2..=12).contains(&word.len()) && word.iter().all(u8::is_ascii_alphabetic);
            let lower = word.to_ascii_lowercase();
            is_plain
                && !listed(UNLIKELY_IN_PASSWORD, &lower)
                && (value[end] != b' ' || !is_sentence(word) || lower == b"my")
        })
        && (if number.len() == 2 { 3 } else { 2 }..=6).contains(&count)
}

/// Whether a quoted text has several words, of which one looks like a password.
pub fn has_random_word(value: &[u8]) -> bool {
    let words: Vec<&[u8]> = value.split(|b| *b == b' ').collect();
    (2..=8).contains(&words.len())
        && words
            .iter()
            .all(|word| word.iter().all(u8::is_ascii_alphanumeric) && !is_sentence(word))
        && words.iter().filter(|word| is_random(word)).count() >= 2
}

/// Whether a word has digits among capitals and small letters.
fn is_random(word: &[u8]) -> bool {
    word.len() >= 6
        && word.iter().any(u8::is_ascii_digit)
        && word.iter().any(u8::is_ascii_uppercase)
        && word.iter().any(u8::is_ascii_lowercase)
        && !reads_like_words(word)
}

fn is_sentence(word: &[u8]) -> bool {
    listed(SENTENCE, word.to_ascii_lowercase())
}

fn is_phrase(value: &[u8], quoted: bool) -> bool {
    let separators: &[u8] = if quoted { b" -_." } else { b"-_" };
    let Some(separator) = value.iter().find(|b| separators.contains(b)) else {
        return false;
    };
    let mut words = value.split(|b| b == separator);
    let count = words.clone().count();
    (4..=10).contains(&count)
        && words.all(|word| {
            (3..=12).contains(&word.len()) && word.iter().all(u8::is_ascii_lowercase) && !is_sentence(word)
        })
}

/// Whether a value is words in capitals with a number between them, such as a place, a year and a name.
fn is_worded(value: &[u8]) -> bool {
    let digits = value
        .split(|b| !b.is_ascii_digit())
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0);
    let capitals = value.iter().filter(|b| b.is_ascii_uppercase()).count();
    let lower = value.to_ascii_lowercase();
    let technical = TECHNICAL
        .split_ascii_whitespace()
        .any(|part| memchr::memmem::find(&lower, part.as_bytes()).is_some());
    (10..=40).contains(&value.len())
        && value.iter().all(u8::is_ascii_alphanumeric)
        && (2..=4).contains(&digits)
        && capitals >= 2
        && capitals * 3 < value.len()
        && !technical
        && !is_placeholder(value)
        && reads_like_words(
            &value
                .iter()
                .copied()
                .filter(u8::is_ascii_alphabetic)
                .collect::<Vec<u8>>(),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_differ_from_sentences() {
        for phrase in [
            "harbor lantern tulip granite",
            "PlumTree99Quince",
            "my_secret_password_731",
            "blue-heron-4471",
            "purple_monkey_dishwasher_42",
            "my dog rex 831",
        ] {
            assert!(is_likely(phrase.as_bytes(), true), "{phrase}");
        }
        assert!(is_likely(b"harbor_lantern_tulip_granite", false));
        for text in [
            "please enter your password again",
            "hash_of_the_user_input",
            "Sha256PasswordEncoder",
            "min eight signs",
            "my_secret_password",
            "my_secret_password_123",
            "test_password_731",
            "at least length 128",
            "pbkdf_sha_256",
        ] {
            assert!(!is_likely(text.as_bytes(), true), "{text}");
        }
    }
}
