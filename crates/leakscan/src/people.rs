//! People: logins, on-call contacts, private mail addresses.

use crate::false_positives::has_digit;
use crate::false_positives::is_placeholder;
use crate::false_positives::listed;
use crate::hosts;
use crate::kinds::PERSONAL_IDENTITY;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::after;
use crate::window::around;
use crate::window::has_byte_within;
use crate::window::local_part;
use crate::window::stands_alone;

include!(concat!(env!("OUT_DIR"), "/people.rs"));

fn has_plus_soon(text: &[u8], at: usize) -> bool {
    has_byte_within(text, at, 24, b'+')
}

fn has_plus_on_line(text: &[u8], at: usize) -> bool {
    has_byte_within(text, at, 90, b'+')
}

fn has_extension_soon(text: &[u8], at: usize) -> bool {
    has_byte_within(text, at, 40, b'x')
}

fn may_be_windows_login(text: &[u8], at: usize) -> bool {
    text[at] == b' ' || has_byte_within(text, at, 24, b'\\')
}

/// Whether a digit follows `tty` or `pts/`.
fn has_terminal_number(text: &[u8], at: usize) -> bool {
    text.get(at + 3..at + 5)
        .is_some_and(|next| next.iter().any(u8::is_ascii_digit))
}

fn precedes_alphanumeric(text: &[u8], at: usize) -> bool {
    after(text, at + 1).is_ascii_alphanumeric()
}

/// Whether a phone number is outside the range 555, which is kept for fiction.
fn is_not_fictional(number: &[u8]) -> bool {
    memchr::memmem::find(number, b"555").is_none()
}

fn is_private_mail(mail: &[u8]) -> bool {
    !is_placeholder(mail) && !hosts_example(mail.split(|b| *b == b'@').next_back().unwrap_or_default())
}

/// Whether an extension follows: `x` and four digits, or a word for it and a digit.
fn names_an_extension(text: &[u8], at: usize) -> bool {
    match text[at] {
        b' ' | b'(' => text
            .get(at + 2..at + 6)
            .is_some_and(|number| number.iter().all(u8::is_ascii_digit)),
        _ => {
            let rest = &text[text.len().min(at + "ext".len())..];
            let rest = rest.strip_prefix(b".").unwrap_or(rest);
            let rest = rest.strip_prefix(b" ").unwrap_or(rest);
            rest.iter().take(4).filter(|b| b.is_ascii_digit()).count() == 4
        }
    }
}

fn is_login(name: &[u8]) -> bool {
    let lower = name.to_ascii_lowercase();
    !is_placeholder(name)
        && !matches!(
            lower.as_slice(),
            b"root"
                | b"ftp"
                | b"runner"
                | b"ubuntu"
                | b"nobody"
                | b"app"
                | b"nonroot"
                | b"github"
                | b"docker"
                | b"vscode"
                | b"jovyan"
                | b"rotation"
                | b"schedule"
                | b"engineer"
                | b"team"
                | b"appuser"
                | b"node"
                | b"you"
                | b"me"
                | b"http"
                | b"https"
                | b"name"
                | b"login"
                | b"self"
                | b"current"
                | b"builder"
                | b"ec2-user"
                | b"sshd"
                | b"daemon"
                | b"www-data"
                | b"systemd-network"
        )
}

fn is_somebody(name: &[u8]) -> bool {
    is_login(name) && crate::paths::is_somebody(name)
}

/// Whether an entry of a directory is not an example.
fn is_directory_entry(entry: &[u8]) -> bool {
    [&b"dc=example"[..], b"dc=mydomain", b"dc=test"]
        .iter()
        .all(|domain| memchr::memmem::find(entry, domain).is_none())
        && !is_placeholder(entry)
}

fn is_full_login(name: &[u8]) -> bool {
    is_login(name)
        && name.len() >= 4
        && name
            .iter()
            .any(|b| matches!(b, b'.' | b'_' | b'-') || b.is_ascii_digit())
        && !name.starts_with(b"github-actions")
        && !name.ends_with(b"[bot]")
}

/// First parts of names in code. A login can have a dot too.
const MODULES: &str = "torch param params self model module tensor np numpy os sys cls this optim optimizer loss grad config cfg args \
    ctx dist nn jax tf pytest github git docker kernel cuda triton event workflow";

/// Whether a name after `triggered by` is a login, and not a word or a name in code.
fn is_actor(name: &[u8]) -> bool {
    let first = name.split(|b| *b == b'.').next().unwrap_or_default();
    let words = name.contains(&b'_') || name.contains(&b'-');
    is_full_login(name) && !listed(MODULES, first) && (!words || has_digit(name))
}

/// Whether a name and a number are a person and an extension, and not `Package x25519`.
fn is_extension(words: &[u8]) -> bool {
    !words.ends_with(b"x25519") && !words.starts_with(b"Package") && !words.starts_with(b"Curve")
}

/// Whether the owner in a listing of files is a login, and not a unit of size.
fn is_owner(name: &[u8]) -> bool {
    is_somebody(name) && !matches!(name, b"kB" | b"kiB")
}

/// Words that mark the mail addresses of a line as public.
const PUBLIC_LINES: &str = "signed-off-by co-authored-by author maintainer copyright (c) reviewed-by reported-by acked-by tested-by \
    suggested-by license committer contributor upstream-contact mailto: credit thanks translator support tagger";

/// Local parts of mail addresses that are a role, a tool or an example.
const ROLES: &str = "noreply no-reply git support security info help contact admin postmaster webmaster bot github hello team dev \
    opensource oss press sales abuse root user name me you foo bar test actions action conduct coc legal privacy \
    licensing announce users devel subscribe unsubscribe x a b someone email mail";

fn mail(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let text = hit.text;
    let at = hit.span.start;
    if !hit.before().is_ascii_alphanumeric() || !after(text, at + 1).is_ascii_alphanumeric() {
        return;
    }
    let start = local_part(text, at);
    let mut end = around(text, at + 1..at + 1, 128, |b| {
        b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')
    })
    .end;
    found.count_work(end - start);
    while end > at && matches!(text[end - 1], b'.' | b'-') {
        end -= 1;
    }
    let local = text[start..at].to_ascii_lowercase();
    let domain = text[at + 1..end].to_ascii_lowercase();
    let last = domain.rsplit(|b| *b == b'.').next().unwrap_or_default();
    // `linear.local` is rather a module than a domain.
    let module = domain.ends_with(b".local") && domain.iter().filter(|b| **b == b'.').count() == 1;
    let internal = domain.contains(&b'.')
        && hosts::is_internal_in_url(&domain, false)
        && (!module || domain.iter().any(u8::is_ascii_digit));
    let tld =
        domain.contains(&b'.') && (2..=6).contains(&last.len()) && last.iter().all(u8::is_ascii_alphabetic);
    if !tld || start == at || local[0].is_ascii_digit() || !stands_alone(text, &(start..end)) {
        return;
    }
    if internal {
        if hosts::is_company_mail(&domain) {
            found.warn(&PERSONAL_IDENTITY, start..end);
        } else {
            found.report(&PERSONAL_IDENTITY, start..end);
        }
        return;
    }
    let public_domain = [
        &b"example.com"[..],
        b"example.org",
        b"example.net",
        b"github.com",
        b"gitlab.com",
        b"noreply.github.com",
        b"kernel.org",
        b"python.org",
        b"pypi.org",
        b"apache.org",
        b"googlegroups.com",
        b"lists.linux.dev",
        b"gnu.org",
        b"debian.org",
        b"w3.org",
        b"ietf.org",
        b"openssh.com",
        b"libssh.org",
    ]
    .iter()
    .any(|public| domain.ends_with(public));
    let code = matches!(
        last,
        b"py"
            | b"rs"
            | b"js"
            | b"ts"
            | b"so"
            | b"sh"
            | b"md"
            | b"go"
            | b"toml"
            | b"json"
            | b"yaml"
            | b"yml"
            | b"service"
            | b"timer"
            | b"target"
            | b"local"
    );
    let person = local.contains(&b'.')
        || last != b"com"
        || matches!(
            domain.as_slice(),
            b"gmail.com"
                | b"outlook.com"
                | b"hotmail.com"
                | b"yahoo.com"
                | b"icloud.com"
                | b"qq.com"
                | b"protonmail.com"
        )
        || local.len() >= 3;
    let row = crate::window::line(text, start..end);
    let line = text[row].to_ascii_lowercase();
    let public_line = PUBLIC_LINES
        .split(' ')
        .any(|word| memchr::memmem::find(&line, word.as_bytes()).is_some())
        || memchr::memmem::find(&line, b"please contact").is_some();
    let role = listed(ROLES, &local)
        || local.ends_with(b"-bot")
        || local.ends_with(b"noreply")
        || memchr::memmem::find(&local, b"list").is_some()
        || local.ends_with(b"-devel")
        || domain.starts_with(b"lists.");
    let bracketed = after(text, end) == b'>';
    if person
        && !public_domain
        && !code
        && !public_line
        && !role
        && !bracketed
        && !is_placeholder(&local)
        && !is_placeholder(&domain)
        && !hosts_example(&domain)
    {
        // Most addresses in files are public on purpose.
        found.warn(&PERSONAL_IDENTITY, start..end);
    }
}

fn hosts_example(domain: &[u8]) -> bool {
    let first = domain.split(|b| *b == b'.').next().unwrap_or_default();
    matches!(
        first,
        b"example"
            | b"test"
            | b"foo"
            | b"bar"
            | b"domain"
            | b"company"
            | b"email"
            | b"host"
            | b"server"
            | b"localhost"
            | b"b"
            | b"x"
            | b"site"
            | b"users"
    ) || [&b".test"[..], b".example", b".invalid", b".localhost"]
        .iter()
        .any(|t| domain.ends_with(t))
}
