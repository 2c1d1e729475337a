//! Names of machines, where a prompt, a message or a field identifies them as such.

use crate::false_positives::is_placeholder;
use crate::false_positives::listed;
use crate::hosts;
use crate::rule::Rule;
use crate::window::after;
use crate::window::before;
use crate::window::has_byte_within;
use crate::window::is_word;

include!(concat!(env!("OUT_DIR"), "/nodes.rs"));

fn joins_words(text: &[u8], at: usize) -> bool {
    is_word(before(text, at)) && after(text, at + 1).is_ascii_alphabetic()
}

fn follows_name(text: &[u8], at: usize) -> bool {
    matches!(before(text, at), b'a'..=b'z' | b'-')
}

fn has_colon_soon(text: &[u8], at: usize) -> bool {
    has_byte_within(text, at, 48, b':')
}

fn is_private_host(host: &[u8]) -> bool {
    !hosts::is_public(host)
}

/// Names that occur in the place of a machine and are not machines.
const NOBODY: &str = "localhost self-hosted ubuntu-latest ubuntu-22.04 ubuntu-24.04 github-hosted node-exporter host-network \
    my-host your-host host-name node-name my-node your-node node-selector localhost4 localhost6 ip6-localhost \
    ip6-loopback runner-latest single-node multi-node x86_64 utf-8 utf8 sha256 sha-256 base64 ipv4 ipv6 http2 \
    host-only cross-compile test-host example-host node-role self-signed read-only node18 node20 node22 node24 \
    uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 float32 float64 u16 u32 u64 i32 i64 f32 f64 socks4 \
    socks5 http2 http3 wasm32 wasm64 win32 win64 ipv4-host ipv6-host arm64 amd64 aarch64 armv7 i686 i386 \
    ed25519 python3 localhost0 in-cluster multi-host per-host no-host";

/// Systems, tools and parts of a program that have a version or a number and are not machines.
const NUMBERED: &str = "ubuntu debian fedora centos rocky almalinux alpine rhel amazonlinux windows macos xcode python cpython pypy \
    cuda cudnn rocm nccl nodejs java jdk ruby php gcc clang llvm torch pytorch torchvision triton jax tensorflow kernel linux \
    android ios chrome firefox postgres mysql redis issue";

/// Whether a name is a system or a tool with its version, such as `ubuntu-24`.
fn is_version(name: &[u8]) -> bool {
    let digits = name.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (stem, number) = name.split_at(name.len() - digits);
    // `triton-04` is a machine.
    digits > 0
        && number[0] != b'0'
        && listed(
            NUMBERED,
            stem.strip_suffix(b"-").unwrap_or(stem).to_ascii_lowercase(),
        )
}

/// Whether the keyword is in lower case, and the name that contains the keyword has a digit from there on.
fn name_has_number(text: &[u8], at: usize) -> bool {
    text[at].is_ascii_lowercase()
        && text[at..]
            .iter()
            .take(40)
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'['))
            .any(u8::is_ascii_digit)
}

/// Whether a word begins at the keyword and a digit follows soon.
fn precedes_number(text: &[u8], at: usize) -> bool {
    let line = text[at..].iter().take(96).take_while(|b| **b != b'\n');
    !is_word(before(text, at)) && { line }.any(u8::is_ascii_digit)
}

/// Whether a sign of assignment follows the name, and then a word that can be a machine: with a digit or a hyphen.
fn has_machine_value(text: &[u8], at: usize) -> bool {
    let rest = &text[at..text.len().min(at + 32)];
    let Some(sign) = rest.iter().position(|b| matches!(b, b'=' | b':')) else {
        return false;
    };
    let is_blank = |b: &&u8| b.is_ascii_whitespace() || matches!(b, b'\\' | b'"' | b'\'');
    let from = at + sign + 1;
    let from = from + text[from..].iter().take(4).take_while(is_blank).count();
    let mut word = text[from..]
        .iter()
        .take_while(|b| is_word(**b) || matches!(b, b'.' | b'-'));
    word.next().is_some_and(u8::is_ascii_alphabetic) && word.any(|b| b.is_ascii_digit() || *b == b'-')
}

/// Whether a number in brackets or the id of a process precedes the word, as in a log of NCCL.
fn follows_process(text: &[u8], at: usize) -> bool {
    before(text, at) == b' ' && at > 1 && matches!(text[at - 2], b']' | b'0'..=b'9')
}

/// Whether a name is a target of a compiler, such as `aarch64-apple-darwin`, or the id of a container.
fn is_platform_or_container(name: &str) -> bool {
    let platforms = [
        "-darwin",
        "-linux-",
        "-windows",
        "linux-gnu",
        "linux-musl",
        "x86_64",
        "x86-64",
        "aarch64-",
        "wasm32-",
        "armv7",
        "riscv64",
        "powerpc64",
        "ppc64le",
        "s390x",
    ];
    platforms.iter().any(|part| name.contains(part))
        || name.len() == 12 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether a name can be the name of a machine.
fn is_machine(name: &[u8]) -> bool {
    let text = std::str::from_utf8(name).unwrap_or_default().to_ascii_lowercase();
    let bare = text.split('.').next().unwrap_or_default();
    name.len() >= 2
        && !listed(NOBODY, &text)
        && !listed(NOBODY, bare)
        && !is_placeholder(name)
        && !is_platform_or_container(&text)
        && !text.starts_with("my-")
        && !text.starts_with("your-")
        && !text.starts_with("some-")
        && !text.starts_with("xn--")
        && !matches!(
            text.rsplit('.').next(),
            Some(
                "py" | "rs"
                    | "toml"
                    | "yaml"
                    | "yml"
                    | "json"
                    | "md"
                    | "sh"
                    | "txt"
                    | "js"
                    | "ts"
                    | "c"
                    | "h"
                    | "cc"
                    | "cpp"
                    | "go"
                    | "html"
                    | "log"
                    | "service"
            )
        )
        && !(text.contains('.')
            && text
                .rsplit('.')
                .next()
                .is_some_and(|last| last.chars().all(|c| c.is_ascii_alphabetic()))
            && hosts::is_public(text.as_bytes()))
}

/// Whether a name can be the name of a machine and has a number or two hyphens.
pub fn is_numbered_machine(name: &[u8]) -> bool {
    let digits = name.iter().any(u8::is_ascii_digit);
    let hyphens = name.iter().filter(|b| **b == b'-').count();
    let underscore = name.contains(&b'_');
    let camel = name
        .windows(2)
        .any(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase());
    let number = name.iter().skip(1).all(|b| b.is_ascii_digit());
    let versions = name
        .windows(3)
        .filter(|w| w[0].is_ascii_digit() && w[1] == b'.' && w[2].is_ascii_digit())
        .count();
    let hyphen_number = digits
        && (hyphens > 0
            || name.contains(&b'.')
            || name.contains(&b'[')
            || name.last().is_some_and(u8::is_ascii_digit));
    !underscore
        && !camel
        && !number
        && versions == 0
        && (hyphen_number || hyphens >= 2)
        && !is_version(name)
        && is_machine(name)
}

/// Whether the value of a field is such a name, and not a type in code, such as `Callable1`.
fn is_named_machine(name: &[u8]) -> bool {
    let word = name.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let (letters, rest) = name.split_at(word);
    let of_code = letters.first().is_some_and(u8::is_ascii_uppercase)
        && letters.iter().skip(1).any(u8::is_ascii_lowercase)
        && rest.iter().all(u8::is_ascii_digit)
        && !rest.starts_with(b"0");
    !of_code && is_numbered_machine(name)
}

/// Whether a text is `user@host` of a prompt.
fn is_login(login: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b'@', login) else {
        return false;
    };
    let host = &login[at + 1..];
    let container = host.len() == 12 && host.iter().all(u8::is_ascii_hexdigit);
    !container
        && !matches!(
            host,
            b"host"
                | b"hostname"
                | b"machine"
                | b"server"
                | b"localhost"
                | b"container"
                | b"computer"
                | b"laptop"
                | b"ubuntu"
                | b"debian"
                | b"docker"
        )
        && is_machine(host)
}

/// Whether the target of ssh is a private name.
fn is_ssh_target(target: &[u8]) -> bool {
    let host = target.rsplit(|b| *b == b'@').next().unwrap_or_default();
    is_numbered_machine(host)
        && (!host.contains(&b'.') || !hosts::is_public(host))
        && !host.starts_with(b"id_")
        && !host.starts_with(b"ed25519")
        && !host.starts_with(b"git@")
}

/// Whether a text such as `gn[0101-0104]` lists nodes, and not the parts of a data set.
fn is_node_list(name: &[u8]) -> bool {
    let stem = name.split(|b| *b == b'[').next().unwrap_or_default();
    let stem = stem.strip_suffix(b"-").unwrap_or(stem);
    let last = stem.rsplit(|b| *b == b'-').next().unwrap_or_default();
    !listed(
        "shard shards step steps part parts chunk file epoch ckpt layer layers expert experts rank ranks seed task job array v",
        last,
    ) && is_machine(name)
}

/// Whether a name combines the kind of a machine with an individual name.
fn is_named_chassis(name: &[u8]) -> bool {
    let mut words = name.split(|b| *b == b'-');
    words.all(|word| {
        !listed("os station spark cloud superpod basepod multi single per cuda torch num non any all one two mini", word)
    }) && is_machine(name)
}

/// Whether a name is the name of a machine, and not a product.
fn is_chassis(name: &[u8]) -> bool {
    let kind = &name[3..];
    !listed("a100 h100 h200 b100 b200 b300", kind)
        && kind.iter().filter(|b| b.is_ascii_digit()).count() >= 3
        && !kind.ends_with(b"00")
}

/// Whether a name is a kind of machine with a number, and not a product.
fn is_shaped(name: &[u8]) -> bool {
    let text = std::str::from_utf8(name).unwrap_or_default();
    let last = text.rsplit('-').next().unwrap_or_default();
    let product = matches!(
        last,
        "b200"
            | "b300"
            | "gb200"
            | "gb300"
            | "h100"
            | "h200"
            | "a100"
            | "mi300"
            | "mi300x"
            | "trn1"
            | "sm100"
            | "fp16"
            | "bf16"
            | "fp8"
            | "int8"
            | "fp32"
            | "fp64"
            | "tf32"
            | "cu129"
            | "v100"
    );
    let format = last.starts_with("fp")
        || last.starts_with("bf")
        || last.starts_with("int")
        || last.starts_with("cu")
        || last.starts_with("sm")
        || last.starts_with("v0")
        || last.starts_with("py");
    text.contains('-') && !product && !format && is_machine(name)
}
