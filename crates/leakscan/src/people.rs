//! People: logins, on-call names, private mail addresses.

use crate::false_positives::is_placeholder;
use crate::false_positives::listed;
use crate::hosts;
use crate::kinds::PERSON;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::after;
use crate::window::around;
use crate::window::has_byte_within;

/// The rules of this family.
pub static RULES: &[Rule] = &[
    Rule::line(&PERSON, &["whoami"], r"whoami[\x22'`]?\s{0,2}(?:->|=>|:|=|→)\s{0,2}[\x22'`]?([a-z][a-z0-9._-]{1,31})\b").accept_if(is_login),
    Rule::line(&PERSON, &["uid="], r"\buid=\d{3,}\(([a-z][\w.-]{1,31})\)").accept_if(is_login),
    Rule::line(&PERSON, &["logname=", "sudo_user=", "user=", "login=", "username="], r"(?:^|[\s;])(?:export )?(?:LOGNAME|SUDO_USER|USER|USERNAME|GITHUB_ACTOR_EMAIL)=([a-z][a-z0-9._-]{2,31})(?:\s|$)").accept_if(is_login),
    Rule::line(&PERSON, &["oncall", "on-call", "paging", "paged", "pager"], r"(?i:paging|paged|ping|escalat\w+ to|contact|on-?call(?: is|:)?|pager)[\s:]{1,3}(@?[a-z][\w.-]*[-_](?i:on-?call)\w*|@(?i:on-?call)[\w-]+|@[a-z][\w.-]+\s\([A-Z][a-z]+[^)]*\)|[A-Z][a-z]+ [A-Z][a-z]+(?:\s\([^)]*\))?)"),
    Rule::line(&PERSON, &["@oncall", "@on-call"], r"(@on-?call-[\w-]+)"),
    Rule::line(&PERSON, &["on-call", "oncall", "primary", "escalation"], r"\b(?i:on-?call|escalation(?: contact)?)\s{0,2}[:=]\s{0,2}([A-Z][a-z]+(?: [A-Z]\.?[a-z]*)?|[a-z]{2,}[._-][a-z]{2,})\b").accept_if(is_login),
    Rule::line(&PERSON, &["(x0", "(x1", "(x2", "(x3", "(x4", "(x5", "(x6", "(x7", "(x8", "(x9", " x0", " x1", " x2", " x3", " x4", " x5", " x6", " x7", " x8", " x9", "ext.", "ext ", "extension"], r"\b([A-Z][a-z]+,? \(?(?:x|ext\.? ?)\d{4,5})\b").prefilter_if(names_an_extension),
    Rule::line(&PERSON, &["logged in as", "login as", "running as user", "submitted by", "launched by", "started by", "triggered by", "owned by user"], r"(?i:logged in as|login as|running as user|(?:submitted|launched|started|triggered) by|owned by user)[\s:]{1,2}[\x22'`]?@?([a-z][a-z0-9]*[._-]?[a-z0-9]+)\b").accept_if(is_full_login),
    Rule::line(&PERSON, &["tel:", "phone", "mobile", "cell", "call "], r"(?i:tel|phone|mobile|cell|call)\w*[\s.:]{1,3}(\+\d{1,3}[ .-]?\(?\d{2,4}\)?[ .-]?\d{3,4}[ .-]?\d{3,4})\b").accept_if(|number| memchr::memmem::find(number, b"555").is_none()).prefilter_if(|text, at| has_byte_within(text, at, 24, b'+')),
    Rule::at(&PERSON, &["whoami"], r"whoami\s*\n([a-z][a-z0-9._-]{2,31})\s*(?:\n|$)").accept_if(is_login),
    Rule::line(&PERSON, &["oncall", "on-call", "desk", "call "], r"(?i:on-?call|desk|ext|extension|call|ring|phone)\b[^\n]{0,24}\(?\b(x\d{4,5})\b").prefilter_if(|text, at| has_byte_within(text, at, 40, b'x')),
    Rule::line(&PERSON, &["oncall", "on-call", "escalat", "mobile", "call ", "page "], r"(?i:on-?call|escalat\w*|mobile|call|page)\b[^\n]{0,60}?(\+[2-9]\d{0,2}[ .-]?\(?\d{2,4}\)?[ .-]?\d{3,4}[ .-]?\d{3,4})\b").prefilter_if(|text, at| has_byte_within(text, at, 90, b'+')),
    Rule::line(&PERSON, &["pagerduty"], r"(?i:pagerduty)[^\n]{0,40}\b(P[A-Z0-9]{6})\b").accept_if(|id| id.iter().any(u8::is_ascii_digit)),
    Rule::line(&PERSON, &[" logged on", "user "], r"(?:(?i:user)\s|^)([A-Z][A-Z0-9-]{2,14}\\[a-z][a-z0-9._-]{2,})\b").prefilter_if(|text, at| text[at] == b' ' || has_byte_within(text, at, 24, b'\\')),
    Rule::line(&PERSON, &["rwx", "rw-r", "rw-------", "r-xr-x"], r"[dl-][r-][w-][xsS-][r-][w-][xsS-][r-][w-][xtT-][.+@]?\s+\d+\s+([a-z][\w.-]+)\s").accept_if(is_somebody),
    Rule::line(&PERSON, &["sacct ", "squeue ", "scancel ", "sshare ", "sprio "], r"\b(?:sacct|squeue|scancel|sshare|sprio)\s[^\n]{0,60}?(?:-u|--user)[\s=]([a-z][\w-]{2,31})\b").accept_if(is_somebody),
    Rule::line(&PERSON, &["sudo"], r"\bsudo(?:\[\d+\])?:\s+([a-z][\w.-]*) : (?:TTY|PWD|USER|\d+ incorrect)").accept_if(is_somebody),
    Rule::line(&PERSON, &["pts/", "tty"], r"^([a-z][\w.-]{2,31})\s+(?:pts/|tty)\d+\s").accept_if(is_somebody).prefilter_if(|text, at| text.get(at + 3..at + 5).is_some_and(|next| next.iter().any(u8::is_ascii_digit))),
    Rule::line(&PERSON, &["<@u"], r"<@(U[0-9A-Z]{8,11})(?:\|[^>]*)?>"),
    Rule::line(&PERSON, &["employee "], r"([A-Z][a-z]+ [A-Z][a-z]+ \([^)\n]{0,60}employee (?:no\.? |id )?\d{4,}\))"),
    Rule::line(&PERSON, &["oidc:", "ldap:", "saml:"], r"\b(?:oidc|ldap|saml):([a-z][\w.+-]*@[\w-]+\.[\w.-]+)").accept_if(|mail| !is_placeholder(mail) && !hosts_example(mail.split(|b| *b == b'@').next_back().unwrap_or_default())),
    Rule::line(&PERSON, &["logname ->", "logname =>"], r"\blogname [=-]> ([a-z][a-z0-9._-]{1,31})\b").accept_if(is_login),
    Rule::line(&PERSON, &["todo(", "fixme("], r"\b(?:TODO|FIXME)\(([a-z]{2,}\.[a-z]{2,})\)"),
    Rule::line(&PERSON, &["dc="], r"((?:cn|CN|uid)=[\w. -]{2,},(?:ou|OU|cn|CN|dc|DC)=[^\s\x22'<>]{0,120}(?:dc|DC)=\w+)").accept_if(is_directory_entry),
    Rule::line(&PERSON, &["user \"", "user '", "user \\\""], r#"(?i:user) \\?["']([a-z][\w.@-]+)\\?["'] cannot "#).accept_if(is_somebody),
    Rule::line(&PERSON, &["userid="], r"UserId=([a-z][\w.-]*)\(\d+\)").accept_if(is_somebody),
    Rule::code(&PERSON, &["@"], mail).prefilter_if(|text, at| after(text, at + 1).is_ascii_alphanumeric()),
];

/// `x` and four digits, or a word for it and a digit soon.
fn names_an_extension(text: &[u8], at: usize) -> bool {
    match text[at] {
        b' ' | b'(' => text
            .get(at + 2..at + 6)
            .is_some_and(|number| number.iter().all(u8::is_ascii_digit)),
        _ => text[at..text.len().min(at + 12)].iter().any(u8::is_ascii_digit),
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

/// An entry of a directory that is nobody's example.
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

/// Words on a line that make a mail address a public statement.
const PUBLIC_LINES: &str = "signed-off-by co-authored-by author maintainer copyright (c) reviewed-by reported-by acked-by tested-by \
    suggested-by license committer contributor upstream-contact mailto: credit thanks translator support tagger";

/// Parts before the `@` that are a role, a tool or an example.
const ROLES: &str = "noreply no-reply git support security info help contact admin postmaster webmaster bot github hello team dev \
    opensource oss press sales abuse root user name me you foo bar test actions action conduct coc legal privacy \
    licensing announce users devel subscribe unsubscribe x a b someone email mail";

fn mail(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let text = hit.text;
    let at = hit.span.start;
    if !hit.before().is_ascii_alphanumeric() || !after(text, at + 1).is_ascii_alphanumeric() {
        return;
    }
    let start = around(text, at..at, 64, |b| {
        b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-' | b'%')
    })
    .start;
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
    let internal = domain.contains(&b'.') && hosts::is_internal_in_url(&domain, false);
    let tld =
        domain.contains(&b'.') && (2..=6).contains(&last.len()) && last.iter().all(u8::is_ascii_alphabetic);
    let next = after(text, end);
    if !tld
        || start == at
        || local[0].is_ascii_digit()
        || matches!(next, b':' | b'/' | b'@' | b'(' | b'_')
        || matches!(crate::window::before(text, start), b'/' | b':' | b'@' | b'.')
    {
        return;
    }
    if internal {
        found.report(&PERSON, start..end);
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
    let bracketed = next == b'>';
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
        found.report(&PERSON, start..end);
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
