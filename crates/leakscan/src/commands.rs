//! Passwords and keys that are given to a command, or that stand where some tool's configuration keeps them.

use crate::generic_secrets::classes;
use crate::generic_secrets::is_key_material;
use crate::generic_secrets::mixed_case;
use crate::generic_secrets::strong_password;
use crate::generic_secrets::typed_password;
use crate::keys::is_password;
use crate::kinds::CLOUD_KEY;
use crate::kinds::HARD_CODED_SECRET;
use crate::kinds::PASSWORD_HASH;
use crate::kinds::PRIVATE_KEY;
use crate::kinds::SERVICE_TOKEN;
use crate::kinds::STORED_LOGIN;
use crate::rule::Rule;
use crate::rule::always;
use crate::window::after;

/// The rules of this family.
pub static RULES: &[Rule] = &[
    // Commands.
    Rule::line(&HARD_CODED_SECRET, &["mosquitto_", "sqlcmd", "unzip ", "zip ", "ipmitool"], r#"\b(?:mosquitto_(?:pub|sub)|sqlcmd|bcp|unzip|zip|ipmitool)\s[^\n|;]{0,200}?\s?-P\s?["']?([^\s"'-][^\s"']{5,})"#).accept_if(typed_or_loud),
    Rule::line(&HARD_CODED_SECRET, &["wpa_passphrase "], r"\bwpa_passphrase\s\S+\s([^\s\x22'$]{8,})").accept_if(typed_or_loud),
    Rule::line(&HARD_CODED_SECRET, &["7z "], r"\b7za?\s[^\n|;]{0,200}?\s-p([^\s]{6,})").accept_if(typed_or_loud),
    Rule::line(&HARD_CODED_SECRET, &["lftp "], r"\blftp\s[^\n|;]{0,200}?-u\s\S+?,([^\s\x22']{6,})").accept_if(typed_or_loud),
    Rule::line(&HARD_CODED_SECRET, &["htpasswd "], r"\bhtpasswd\s+-\w*b\w*\s+\S+\s+\S+\s+([^\s-]\S{5,})").accept_if(typed_or_loud),
    Rule::line(&HARD_CODED_SECRET, &["net use "], r"(?i:net use)\s[^\n]{0,200}?/user:\S+\s+([^\s/]\S{5,})").accept_if(typed_or_loud),
    Rule::line(&HARD_CODED_SECRET, &["creds "], r"--(?:src-|dest-)?creds[\s=][\w.-]+:([^\s\x22']{6,})").accept_if(typed_or_loud),
    Rule::line(&HARD_CODED_SECRET, &["--passphrase "], r#"--passphrase\s["']([^"'$]{8,})["']"#).accept_if(is_password),
    Rule::line(&HARD_CODED_SECRET, &["securestring"], r#"SecureString\s(?:-String\s)?["']([^"'$]{6,})["']"#).accept_if(is_password),
    Rule::line(&HARD_CODED_SECRET, &["cryptsetup", "ssh-add", "gpg "], r#"echo\s(?:-n\s)?["']?([^\s"'|]{6,})["']?\s*\|\s*(?:cryptsetup|gpg|ssh-add)\b"#).accept_if(typed_or_loud),
    Rule::at(&HARD_CODED_SECRET, &["password:", "assword:"], r#"[Pp]?assword:[^\n]{0,20}\n\s*send(?:_user)?\s+(?:--\s)?["']([^"'\\$]{6,})"#).accept_if(is_password),
    Rule::line(&SERVICE_TOKEN, &["set api-key ", " apikey "], r"(?:set api-key|apiKey)\s([0-9a-f]{30,64})\b"),
    Rule::line(&CLOUD_KEY, &["mc alias set ", "mc config host add "], r"\bmc (?:alias set|config host add)\s\S+\s\S+\s\S+\s([^\s\x22'$]{8,})").accept_if(typed_or_loud),
    Rule::line(&SERVICE_TOKEN, &["codecov"], r"\bcodecov\b[^\n]{0,80}?\s(?:-t|--token)[\s=]([0-9a-f]{8}-[0-9a-f-]{27})\b"),
    Rule::line(&SERVICE_TOKEN, &["vsce ", "preauthkey", "agent.jar", ":25000/"], r"(?:\bvsce publish\s[^\n]{0,40}?-p\s([0-9a-z]{52})\b|preauthkeys?\s(?:\w+\s)?[0-9a-f]{40,}|agent\.jar\s[^\n]{0,200}?-secret\s([0-9a-f]{64})|join\s\S+:25000/([0-9a-f]{32}))").accept_if(always),
    Rule::line(&SERVICE_TOKEN, &["secret_id=", "secret id"], r"(?i:secret[_ ]id)\s{0,4}[=:]\s{0,2}([0-9a-f]{8}-[0-9a-f-]{27})\b"),
    // Headers.
    Rule::line(&SERVICE_TOKEN, &["authorization: splunk", "authorization: geniekey"], r"(?i:authorization: (?:splunk|geniekey)) ([0-9a-fA-F]{8}-[0-9a-fA-F-]{27})"),
    Rule::line(&SERVICE_TOKEN, &["-token: ", "-key: "], r"\b(?i:x-[\w-]{2,40}-(?:token|key)): ([0-9a-f]{8}-[0-9a-f-]{27})\b"),
    // Kind.
    Rule::line(&HARD_CODED_SECRET, &["auth=(", "auth = ("], r#"\bauth\s?=\s?\(\s?["'][^"']{1,64}["']\s?,\s?["']([^"'$]{6,})["']"#).accept_if(typed_or_loud),
    Rule::line(&HARD_CODED_SECRET, &["getpass() or "], r#"getpass\(\) or ["']([^"']{6,})["']"#).accept_if(is_password),
    Rule::line(&HARD_CODED_SECRET, &["key', default", "key\", default", "token', default", "token\", default", "password', default", "password\", default", "secret', default", "secret\", default"], r#"["']--?[\w-]*(?:key|token|secret|password)["'][^\n]{0,80}?default\s?=\s?["']([^"']{8,})["']"#).accept_if(is_secret),
    Rule::line(&HARD_CODED_SECRET, &["token: &str", "token: str", "key: &str", "key: str", "password: &str", "password: str", "secret: &str", "secret: str", "token: &'static", "key: &'static"], r#"(?i:token|secret|key|password)\s{0,2}:\s{0,2}&?(?:'static )?(?:str|String|string)\s{0,2}=\s{0,2}["']([^"']{8,})["']"#).accept_if(is_secret),
    Rule::line(&HARD_CODED_SECRET, &["client(", "clientv2(", "groq(", "openai("], r#"\b(?:\w*Client(?:V2)?|Groq|OpenAI)\(\s?["']([0-9A-Za-z_-]{32,64})["']"#).accept_if(is_key_material),
    Rule::line(&HARD_CODED_SECRET, &[":"], r"\$\{\w{0,24}(?i:pass|password|token|secret|_key|pwd):[-=]([^}\s$]{8,})\}").accept_if(is_secret).prefilter_if(|text, at| matches!(after(text, at + 1), b'-' | b'=')),
    // Configurations.
    Rule::line(&HARD_CODED_SECRET, &["bindpw ", "requirepass ", "masterauth ", "storepass ", "keypass "], r#"(?:^|\s)-?(?:bindpw|requirepass|masterauth|(?:src|dest)?storepass|keypass)\s+["']?([^\s"'$]{6,})"#).accept_if(typed_or_loud),
    Rule::line(&HARD_CODED_SECRET, &["password "], r"^\s*password\s+([^\s\x22']{8,})\s*$").accept_if(strong_password),
    Rule::line(&HARD_CODED_SECRET, &["pass=", "pass: ", "pass:"], r#"\b[A-Za-z]{2,24}[Pp]ass\s?[=:]\s?["']?([^\s"'$]{8,})"#).accept_if(strong_password),
    Rule::line(&HARD_CODED_SECRET, &["sshpass="], r#"\bSSHPASS=["']?([^\s"'$]{6,})"#).accept_if(typed_or_loud),
    Rule::line(&HARD_CODED_SECRET, &["psk=", "psk \""], r#"(?:^|\s)(?:psk=|: PSK )["']?([^\s"'$]{8,64})"#).accept_if(typed_or_loud),
    Rule::line(&HARD_CODED_SECRET, &["createuser "], r#"\bcreateUser \S+ (?:MD5|SHA\S*) "([^"]{8,})""#).accept_if(is_password),
    Rule::line(&SERVICE_TOKEN, &["otpauth://"], r"otpauth://[^\s\x22']{0,200}?[?&]secret=([A-Z2-7]{16,})"),
    Rule::line(&SERVICE_TOKEN, &["unseal key"], r"(?i:unseal key) \d+: ([0-9A-Za-z+/=]{40,})"),
    Rule::line(&SERVICE_TOKEN, &["\"encrypt\"", "encrypt ="], r#"\bencrypt"?\s?[:=]\s?"([0-9A-Za-z+/]{42,44}={0,2})""#).accept_if(is_key_material),
    Rule::line(&SERVICE_TOKEN, &["bw_session"], r#"BW_SESSION=["']?([0-9A-Za-z+/]{60,}={0,2})"#),
    Rule::line(&SERVICE_TOKEN, &["a3-"], r"\b(A3-[A-Z0-9]{6}-[A-Z0-9]{6}(?:-[A-Z0-9]{5}){3,4})\b"),
    Rule::line(&CLOUD_KEY, &["key = aq"], r"\bkey = (AQ[0-9A-Za-z+/]{34,38}={0,2})"),
    Rule::line(&CLOUD_KEY, &["secret key: "], r"(?i:secret key): ([0-9A-Za-z/+]{40})\b").accept_if(is_key_material),
    Rule::line(&CLOUD_KEY, &["jqqj99"], r"\b([0-9A-Za-z]{40,60}JQQJ99[0-9A-Za-z]{18,40})\b").accept_if(|token| token.iter().any(u8::is_ascii_digit)),
    Rule::line(&SERVICE_TOKEN, &["secret_"], r"\b(secret_[a-z0-9_-]{1,40}_[0-9a-f]{32}\.[0-9A-Za-z]{32})\b"),
    Rule::line(&PASSWORD_HASH, &[":::"], r":([0-9a-f]{32}:[0-9a-f]{32}):::"),
    Rule::line(&PRIVATE_KEY, &["p12", "pfx", "pkcs12"], r#"(?i:p12|pfx|pkcs12)\w{0,12}["']?\s?[:=]\s?["']?(MI[0-9A-Za-z+/=]{80,})"#),
    Rule::line(&PRIVATE_KEY, &["<d>"], r"<D>([0-9A-Za-z+/=]{40,})</D>").prefilter_if(|text, at| text[at + 1] == b'D'),
    // What stands on the next line.
    Rule::at(&PRIVATE_KEY, &["openvpn static key"], r"OpenVPN Static key V1-----\s+([0-9a-f]{32}\s+[0-9a-f\s]{32,})"),
    Rule::at(&SERVICE_TOKEN, &["recovery codes", "backup codes"], r"(?i:recovery|backup) codes:?\s+([0-9a-f]{5}-[0-9a-f]{5})\b"),
    Rule::at(&HARD_CODED_SECRET, &["proceed to installation:"], r"proceed to installation:\s+([0-9a-f]{32})\b"),
    Rule::at(&HARD_CODED_SECRET, &["initial-password"], r"initial-password\s*\n([0-9A-Za-z_-]{12,})\s").accept_if(typed_password),
    Rule::at(&HARD_CODED_SECRET, &["chpasswd:"], r"chpasswd:\s[^\x00]{0,80}?\n\s+-?\s?[a-z][\w-]*:([^\s$]{8,})").accept_if(typed_or_loud),
    Rule::at(&HARD_CODED_SECRET, &["variable \""], r#"variable "\w*(?:password|secret|token|key)\w*"\s*\{[^}]{0,200}?default\s*=\s*"([^"$]{8,})""#).accept_if(is_secret),
    Rule::at(&HARD_CODED_SECRET, &["\"random_password\""], r#""random_password"[^}]{0,200}?result\s*=\s*"([^"]{8,})""#).accept_if(is_password),
    Rule::at(&STORED_LOGIN, &["default login "], r"default login \S+ password (\S{4,})").accept_if(is_password),
    // Said in a sentence.
    Rule::line(&HARD_CODED_SECRET, &["passwort ", "kennwort ", "pw was ", "pw is ", "password was ", "mot de passe "], r#"(?i:passwort|kennwort|pw (?:was|is)|password was|mot de passe)[\s:]{1,3}["'`]?([^\s"'`,]{8,})"#).accept_if(loud),
    Rule::line(&HARD_CODED_SECRET, &["password on ", "password for ", "password of "], r#"(?i:password) (?:on|for|of) [^\n]{1,40}? is ["'`]?([^\s"'`,]{8,})"#).accept_if(strong_password),
    Rule::line(&HARD_CODED_SECRET, &["passphrase"], r#"(?i:passphrase)["']?\s?[:=]\s?["']([A-Za-z]{3,}(?:-[A-Za-z0-9]{2,}){3,})["']"#).accept_if(|words| words.iter().any(u8::is_ascii_digit) && is_password(words)),
];

/// A password of capitals, small letters or signs, as nobody writes a word.
fn loud(value: &[u8]) -> bool {
    strong_password(value)
        || value.len() >= 10 && (mixed_case(value) || classes(value) == 4) && is_password(value)
}

/// What follows an option for a password and is neither a file nor a word.
fn typed_or_loud(value: &[u8]) -> bool {
    let shouted = value.len() >= 8 && value.iter().all(u8::is_ascii_uppercase);
    typed_password(value) || loud(value) || shouted && is_password(value)
}

fn is_secret(value: &[u8]) -> bool {
    is_key_material(value) || strong_password(value)
}
