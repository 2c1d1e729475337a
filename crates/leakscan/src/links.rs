//! URLs: credentials and signatures in them, webhooks, internal services, runbooks.

use crate::address;
use crate::false_positives::is_placeholder;
use crate::false_positives::listed;
use crate::false_positives::looks_random;
use crate::hosts;
use crate::keys::is_password;
use crate::kinds::CREDENTIAL_URL;
use crate::kinds::INTERNAL_URL;
use crate::kinds::PRIVATE_ADDRESS;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::after;
use crate::window::around;
use crate::window::before;

include!(concat!(env!("OUT_DIR"), "/links.rs"));

fn follows_blank(text: &[u8], at: usize) -> bool {
    before(text, at).is_ascii_whitespace()
}

/// Whether the tenant in a link is neither a placeholder nor public.
fn internal_tenant(link: &[u8]) -> bool {
    let tenant = link.split(|b| *b == b'.').next().unwrap_or_default();
    !matches!(
        tenant,
        b"www"
            | b"docs"
            | b"support"
            | b"developer"
            | b"api"
            | b"status"
            | b"help"
            | b"community"
            | b"your-company"
            | b"company"
            | b"yourcompany"
            | b"play"
            | b"blog"
            | b"events"
            | b"jira"
            | b"ecosystem"
    ) && !link.splitn(3, |b| *b == b'/').take(2).any(is_placeholder)
}

/// Workspaces of Slack that everyone can join.
const PUBLIC_WORKSPACES: &str = "kubernetes cloud-native pytorch gophers elixir-lang goswagger the-asf apache-airflow dask ray-distributed \
    vllm-dev deepspeedai bazelbuild dockercommunity mlops-community nextflow numfocus hashicorp-community rapids-goai \
    opencontainers istio envoyproxy grpc-io";

fn is_private_workspace(link: &[u8]) -> bool {
    let workspace = link.split(|b| *b == b'.').next().unwrap_or_default();
    !listed(PUBLIC_WORKSPACES, workspace)
}

/// Packages of the standard library of Go, and folders of its sources.
const GO_PACKAGES: &str = "archive ast bin bufio build builtin bytes cmd cmp compress constant container context crypto database debug doc \
    embed encoding errors expvar flag fmt format go hash html image importer index internal io iter log maps math mime \
    misc net os parser path pkg plugin printer reflect regexp runtime scanner slices sort src storage strconv strings \
    structs sync syscall test testing text time token types unicode unique unsafe version weak";

/// Whether a link `go/…` is a short link of a company, and not a package of Go.
fn is_short_link(link: &[u8]) -> bool {
    let path = link.split(|b| *b == b'/').nth(1).unwrap_or_default();
    !listed(GO_PACKAGES, path) && path != b"no-go" && (path.contains(&b'-') || has_runbook_word(path))
}

fn has_runbook_word(path: &[u8]) -> bool {
    ["runbook", "oncall", "drain", "incident", "cluster", "gpu"]
        .iter()
        .any(|word| memchr::memmem::find(path, word.as_bytes()).is_some())
}

/// Whether a link to a runbook leads to a private host.
fn private_runbook(link: &[u8]) -> bool {
    let host = link.splitn(4, |b| *b == b'/').nth(2).unwrap_or_default();
    !hosts::is_public(host) && !is_placeholder(link)
}

fn url(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let text = hit.text;
    let scheme = around(text, hit.span.start..hit.span.start, 16, |b| {
        b.is_ascii_alphanumeric() || b"+.-".contains(&b)
    })
    .start..hit.span.start;
    let start = hit.span.end;
    let end = around(text, start..start, 512, |b| {
        b.is_ascii_graphic() && !b"/?#\"'<>`{}|\\^,;".contains(&b) || b >= 0x80
    })
    .end
    .max(start);
    found.count_work(end - start + 16);
    found.skip_to(end);
    if scheme.is_empty() {
        return;
    }
    let mut authority = &text[start..end];
    let mut host_at = start;
    // A password can contain the signs that end an authority, so search the rest of the word for `@` too.
    let word_end = around(text, start..start, 256, |b| {
        b.is_ascii_graphic() && !b"\"'<>`".contains(&b)
    })
    .end;
    if let Some(at) = memchr::memchr(b'@', &text[start..word_end])
        && memchr::memchr(b'/', &text[start..start + at]).is_none()
    {
        let at = memchr::memrchr(b'@', authority).unwrap_or(at);
        credential(text, &scheme, start..start + at, found);
        host_at = start + at + 1;
        let stop = around(text, host_at..host_at, 256, hosts::is_authority).end;
        authority = &text[host_at..stop];
    }
    let port_at = authority
        .iter()
        .position(|b| *b == b':')
        .unwrap_or(authority.len());
    let host = &authority[..port_at.min(
        authority
            .iter()
            .position(|&b| !crate::window::is_word(b) && b != b'.' && b != b'-')
            .unwrap_or(authority.len()),
    )];
    let port = port_at < authority.len() && authority[port_at + 1..].first().is_some_and(u8::is_ascii_digit);
    let next = after(text, host_at + host.len());
    if host.is_empty() || matches!(next, b'<' | b'{' | b'$' | b'%' | b'*' | b'(') {
        return;
    }
    // `docker://alpine:3.8` names an image, and what follows the colon is its tag.
    let image = [
        &b"docker"[..],
        b"docker-image",
        b"docker-daemon",
        b"oci-layout",
        b"containers-storage",
    ]
    .iter()
    .any(|known| text[scheme.clone()].eq_ignore_ascii_case(known));
    if image && !host.contains(&b'.') {
        return;
    }
    if address::is_private_number(host) {
        found.report(&PRIVATE_ADDRESS, host_at..host_at + host.len());
    } else if hosts::is_internal_in_url(host, port) {
        let code = if hosts::is_cluster_dns(host) {
            &crate::kinds::CLUSTER_DNS
        } else {
            &INTERNAL_URL
        };
        found.report(code, host_at..host_at + host.len());
    }
}

/// A text in lower case, without its percent escapes.
fn without_percent(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at] == b'%' && text.len() > at + 2 {
            at += 3;
        } else {
            out.push(text[at].to_ascii_lowercase());
            at += 1;
        }
    }
    out
}

/// Finds a credential in the part before `@`.
fn credential(
    text: &[u8],
    scheme: &std::ops::Range<usize>,
    place: std::ops::Range<usize>,
    found: &mut MatchSink<'_>,
) {
    let (start, login) = (place.start, &text[place.clone()]);
    if login.len() > 400 || text[scheme.clone()].eq_ignore_ascii_case(b"ssh") && !login.contains(&b':') {
        return;
    }
    match memchr::memchr(b':', login) {
        Some(colon) => {
            let (user, password) = (&login[..colon], &login[colon + 1..]);
            let lower = without_percent(password);
            let words = user == password
                || (user.eq_ignore_ascii_case(password))
                || memchr::memmem::find(&lower, b"password").is_some()
                || memchr::memmem::find(&lower, b"secret").is_some() && !lower.iter().any(u8::is_ascii_digit)
                // The login of examples for databases.
                || user == b"scott" && lower.starts_with(b"tiger");
            if is_password(password)
                && !words
                && password.iter().all(|b| b.is_ascii_graphic())
                && password.len() >= 5
            {
                let span = start + colon + 1..place.end;
                if is_own_machine(&text[place.end + 1..]) {
                    found.warn(&CREDENTIAL_URL, span);
                } else {
                    found.report(&CREDENTIAL_URL, span);
                }
            }
        }
        None => {
            if login.len() >= 20 && looks_random(login) {
                found.report(&CREDENTIAL_URL, place);
            }
        }
    }
}

/// Whether a URL leads to the machine itself: its login is often one of a container for development.
fn is_own_machine(host: &[u8]) -> bool {
    [
        &b"localhost"[..],
        b"127.0.0.1",
        b"[::1]",
        b"0.0.0.0",
        b"host.docker.internal",
    ]
    .iter()
    .any(|own| host.starts_with(own) && !crate::window::is_word(after(host, own.len())))
}
