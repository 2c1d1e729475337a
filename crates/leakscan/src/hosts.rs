//! Host names: recognises the names of private networks.

use crate::false_positives::is_placeholder;
use crate::false_positives::listed;
use crate::generic_values::is_known_service;
use crate::kinds::CLUSTER_DNS;
use crate::kinds::PRIVATE_HOST;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::after;
use crate::window::around;
use crate::window::before;
use crate::window::is_word;
use crate::window::local_part;
use crate::window::stands_alone;

include!(concat!(env!("OUT_DIR"), "/hosts.rs"));

/// Endings that public names do not have.
const PRIVATE_TLDS: &str = "internal corp lan local intra intranet localdomain private priv consul vpn prod infra staging cluster dc1 \
    dc2 home";

/// Endings that count only in a URL, with a port, or in a name with digits and hyphens.
const WEAK_TLDS: &[&[u8]] = &[
    b"local", b"private", b"priv", b"prod", b"infra", b"staging", b"cluster", b"vpn", b"dc1", b"dc2", b"home",
];

/// Endings that are rare in code, so that three labels are enough.
const PLAIN_TLDS: &[&[u8]] = &[b"corp", b"lan", b"intra", b"intranet", b"localdomain"];

/// Labels that mark a zone as internal under any ending.
const INTERNAL_LABELS: &[&[u8]] = &[
    b"corp",
    b"internal",
    b"intranet",
    b"intra",
    b"priv",
    b"private",
    b"lan",
    b"vpn",
];

/// Names that look internal but are documented publicly.
const PUBLIC_KNOWLEDGE: &str = "host.docker.internal gateway.docker.internal kubernetes.docker.internal vm.docker.internal \
    host.containers.internal metadata.google.internal kubernetes.default.svc \
    kubernetes.default.svc.cluster.local kubernetes.default svc.cluster.local cluster.local pod.cluster.local \
    localhost.localdomain ec2.internal compute.internal host.lima.internal minikube.internal \
    instance-data.ec2.internal";

/// Endings that are reserved for examples.
const EXAMPLES: &[&[u8]] = &[b"example", b"test", b"invalid", b"localhost"];

/// Single-label hosts in examples.
const GENERIC: &str = "localhost host hostname server proxy example foo bar baz test testserver dummy none null invalid user domain \
    site url address addr ip api www a b c x y h unix stdin stdout file memory hostport myhost my-host yourhost \
    your-host somehost remote broadcasthost target backend frontend web app service name path data docs schema \
    schemas local loopback env gateway username login u p abc test-server my-server myserver your-server \
    example-host host1 host2 server1 s nope no-such-host nohost node endpoint base root public bucket git http \
    https docker dind self origin link uri hello id";

/// Whether the authority of a URL contains a byte after the login.
pub fn is_authority(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'_' | b'[' | b']')
}

fn labels(host: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    host.split(|b| *b == b'.')
}

/// Whether a host is public.
pub fn is_public(host: &[u8]) -> bool {
    let host = host.to_ascii_lowercase();
    let host = host.split(|b| *b == b':').next().unwrap_or_default();
    !is_internal_in_url(host, true)
}

fn is_example(host: &[u8]) -> bool {
    let mut parts = labels(host).rev();
    let (last, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    EXAMPLES.contains(&last)
        || host.ends_with(b".localhost.localdomain")
        || second == b"example"
        || second.starts_with(b"example-")
        || listed(PUBLIC_KNOWLEDGE, host)
        || is_placeholder(host)
        || matches!(
            second,
            b"yourcompany"
                | b"mycompany"
                | b"company"
                | b"your-company"
                | b"my-company"
                | b"yourdomain"
                | b"mydomain"
                | b"domain"
                | b"acme-example"
        )
}

/// Whether the host of a URL is in a private network.
pub fn is_internal_in_url(host: &[u8], port: bool) -> bool {
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(b".").unwrap_or(&host);
    if host.contains(&b'_') || is_example(host) || !host.first().is_some_and(u8::is_ascii_alphanumeric) {
        return false;
    }
    if !host.contains(&b'.') {
        let numbered = host
            .split(|b| *b == b'-')
            .skip(1)
            .any(|part| part.iter().any(u8::is_ascii_digit));
        let known = is_known_service(host);
        return !listed(GENERIC, host)
            && !host.starts_with(b"xn--")
            && !host.starts_with(b"my-")
            && !host.starts_with(b"your-")
            && host.iter().any(u8::is_ascii_alphabetic)
            && host.len() > 1
            && (port || known || numbered);
    }
    let last = labels(host).next_back().unwrap_or_default();
    if last.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let count = labels(host).count();
    listed(PRIVATE_TLDS, last)
        || last == b"svc"
        || host.ends_with(b".home.arpa")
        || host.ends_with(b".ts.net")
        || inside_company(host, count)
        || (count >= 3 && is_operations(host))
        || is_cloud(host)
}

/// Whether a host is in an internal zone under a public ending: `git.corp.acme.net`, `bastion.acme-internal.com`.
fn inside_company(host: &[u8], count: usize) -> bool {
    let mut parts = labels(host).rev();
    let country = parts.next().unwrap_or_default();
    let zone = parts.next().unwrap_or_default();
    let organisation = zone.ends_with(b"-internal")
        || zone.ends_with(b"-corp")
        || zone.ends_with(b"-infra")
        || zone.starts_with(b"internal-")
        || zone.ends_with(b"-int");
    (organisation && count >= 2)
        || (count >= 3
            && parts.any(|label| {
                INTERNAL_LABELS.contains(&label)
                    || label.ends_with(b"-internal")
                    // `int` is also a type.
                    || label == b"int" && listed("com net org io ai co dev cloud eu de uk us fr jp tech", country)
            }))
}

fn is_operations(host: &[u8]) -> bool {
    let first = labels(host).next().unwrap_or_default();
    let domain = &host[first.len().min(host.len())..];
    // `prometheus.demo.prometheus.io`: the site of the product.
    let public = labels(domain).any(|label| label == first || matches!(label, b"demo" | b"play"));
    !public
        && matches!(
            first,
            b"grafana"
                | b"kibana"
                | b"prometheus"
                | b"alertmanager"
                | b"argocd"
                | b"argo"
                | b"nexus"
                | b"artifactory"
                | b"harbor"
                | b"rancher"
                | b"mlflow"
                | b"bastion"
                | b"jumphost"
                | b"jump"
                | b"argo-cd"
                | b"argo-workflows"
        )
        && ![
            &b".github.io"[..],
            b".org",
            b".readthedocs.io",
            b".dev",
            b".wikimedia.org",
            b".helm.sh",
        ]
        .iter()
        .any(|public| domain.ends_with(public))
}

/// Whether a host is a cloud endpoint that contains the name of an account.
fn is_cloud(host: &[u8]) -> bool {
    [
        &b".rds.amazonaws.com"[..],
        b".elb.amazonaws.com",
        b".eks.amazonaws.com",
        b".cache.amazonaws.com",
        b".azmk8s.io",
    ]
    .iter()
    .any(|zone| host.ends_with(zone))
        || (host.starts_with(b"ec2-") && host.ends_with(b".amazonaws.com"))
}

/// Whether a host is a name in the DNS of a cluster.
pub fn is_cluster_dns(host: &[u8]) -> bool {
    let host = host.to_ascii_lowercase();
    host.ends_with(b".svc")
        || memchr::memmem::find(&host, b".svc.").is_some()
        || host.ends_with(b".pod.cluster.local")
}

/// Words that mark the next name as a host.
const HOST_WORDS: &str = "connect connecting connected to host hostname server registry resolve resolving lookup ssh ping dial tcp nfs \
    nfs4 mount from at on via node proxy dns addr address endpoint fqdn added curl scp rsync telnet nslookup dig \
    host= peer upstream domain zone search login reach pull push reachable";

fn name(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let Some((span, host)) = whole_name(hit, found) else {
        return;
    };
    let last = labels(&host).next_back().unwrap_or_default();
    let count = labels(&host).count();
    let ending = listed(PRIVATE_TLDS, last) && (last != b"consul" || is_consul(&host));
    let private = ending || host.ends_with(b".home.arpa") || host.ends_with(b".ts.net");
    let company = inside_company(&host, count)
        && last.iter().all(u8::is_ascii_alphabetic)
        && (2..=6).contains(&last.len())
        && !listed(NOT_TLDS, last);
    if !(private || company || is_cloud(&host)) {
        return;
    }
    if is_cluster_dns(&host) {
        return;
    }
    // The rule for mail addresses decides.
    if before(hit.text, span.start) == b'@' && is_company_mail(&host) && !reaches(hit.text, &span) {
        let start = local_part(hit.text, span.start - 1);
        if stands_alone(hit.text, &(start..span.end)) {
            return;
        }
    }
    let certain = is_certain(hit.text, &span, &host, count);
    let weak = WEAK_TLDS.contains(&last) && !company;
    let numbered = host[..host.len() - last.len()]
        .iter()
        .any(|b| b.is_ascii_digit() || *b == b'-');
    let strong = certain
        || (numbered && !weak)
        || (numbered && last == b"local" && !is_file(hit.text, &span))
        || (count >= 3 && !weak && speaks_of_hosts(hit.text, &span))
        || (count >= 3 && weak && reaches(hit.text, &span))
        || (count >= 3 && PLAIN_TLDS.contains(&last))
        || (count >= 3 && numbered && matches!(last, b"priv" | b"private" | b"dc1" | b"dc2"))
        || (count >= 3 && last == b"internal" && is_address_like(hit.text, &span))
        || (company && numbered);
    if strong && !is_code(hit.text, &span, &host) {
        found.report(&PRIVATE_HOST, span);
    }
}

/// Whether a domain is one that companies use for public mail addresses, such as `corp.acme.com`. A machine has a longer name.
pub fn is_company_mail(domain: &[u8]) -> bool {
    domain.starts_with(b"corp.") && labels(domain).count() == 3
}

/// Whether a name is in the DNS of Consul, and not a module.
fn is_consul(host: &[u8]) -> bool {
    labels(host).any(|label| matches!(label, b"service" | b"node" | b"query" | b"connect" | b"virtual"))
}

/// Endings of files and code that look like the domain of a country.
const NOT_TLDS: &str = "py rs md sh toml yaml yml json txt html xml js ts go cc cpp cu cuh hpp ini cfg conf log lock so java kt rb \
    pl c h d o a ptx env example new get set len from into err map iter push pop data value name key type state \
    inner impl util utils core test tests error types model api proto sqlite db";

/// The whole dotted name around a keyword, in lower case, if it can be a host.
fn whole_name(hit: &Hit<'_>, found: &mut MatchSink<'_>) -> Option<(std::ops::Range<usize>, Vec<u8>)> {
    let text = hit.text;
    let mut span = around(text, hit.span.clone(), 128, |b| {
        is_word(b) || b == b'-' || b == b'.'
    });
    found.count_work(span.len());
    found.skip_to(span.end);
    while span.end > span.start && matches!(text[span.end - 1], b'.' | b'-' | b'_') {
        span.end -= 1;
    }
    while span.start < span.end && matches!(text[span.start], b'.' | b'-') {
        span.start += 1;
    }
    // Skip `_grpc._tcp.` of a service record.
    while text[span.start] == b'_'
        && let Some(point) = memchr::memchr(b'.', &text[span.clone()])
    {
        span.start += point + 1;
        if span.is_empty() {
            return None;
        }
    }
    let raw = &text[span.clone()];
    let camel = raw
        .windows(2)
        .any(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase());
    // `Sources.Local` is a field in code.
    let field = raw.rsplit(|b| *b == b'.').next().is_some_and(|last| {
        last.first().is_some_and(u8::is_ascii_uppercase) && last.iter().skip(1).any(u8::is_ascii_lowercase)
    });
    if raw.contains(&b'_')
        || camel
        || field
        || !raw.contains(&b'.')
        || memchr::memmem::find(raw, b"..").is_some()
    {
        return None;
    }
    let host = raw.to_ascii_lowercase();
    (!is_example(&host)).then_some((span, host))
}

/// Whether the context proves a host: a port follows, or `@`, `//` or a bracket precedes.
fn is_certain(text: &[u8], span: &std::ops::Range<usize>, host: &[u8], count: usize) -> bool {
    let before = before(text, span.start);
    let port = after(text, span.end) == b':'
        && text
            .get(span.end + 1)
            .is_some_and(|b| b.is_ascii_digit() || *b == b'/');
    // `admin@linear.local` is rather a module than a login.
    let module =
        count == 2 && host.ends_with(b".local") && !host.iter().any(|b| b.is_ascii_digit() || *b == b'-');
    let login = before == b'@' && span.start >= 2 && is_word(text[span.start - 2]) && !module;
    (port && (count >= 3 || host.iter().any(|b| b.is_ascii_digit() || *b == b'-')))
        || login
        || text[..span.start].ends_with(b"//")
        || before == b'[' && text[span.end..].starts_with(b"]:")
}

/// Whether a wildcard precedes the name, or a path follows.
fn is_address_like(text: &[u8], span: &std::ops::Range<usize>) -> bool {
    let path = after(text, span.end) == b'/' && is_word(after(text, span.end + 1));
    path || text[..span.start].ends_with(b"*.") || text[..span.start].ends_with(b"*")
}

fn is_file(text: &[u8], span: &std::ops::Range<usize>) -> bool {
    matches!(before(text, span.start), b'/' | b'\\') && !text[..span.start].ends_with(b"//")
}

/// Whether the name is an import, a call or a path in a source tree.
fn is_code(text: &[u8], span: &std::ops::Range<usize>, host: &[u8]) -> bool {
    let row = crate::window::line(text, span.clone());
    let lead = text[row.start..span.start].trim_ascii_start();
    let first = lead.split(|b| b.is_ascii_whitespace()).next().unwrap_or_default();
    let word = labels(host).next().unwrap_or_default();
    matches!(
        first,
        b"import"
            | b"from"
            | b"package"
            | b"use"
            | b"using"
            | b"require"
            | b"#include"
            | b"namespace"
            | b"module"
    ) || after(text, span.end) == b'('
        || matches!(
            word,
            b"self"
                | b"this"
                | b"com"
                | b"org"
                | b"net"
                | b"io"
                | b"java"
                | b"jdk"
                | b"torch"
                | b"std"
                | b"os"
                | b"sys"
                | b"config"
                | b"cfg"
                | b"args"
                | b"ctx"
                | b"settings"
        )
        || is_file(text, span)
}

/// Whether the word before a name, or the command of the line, connects to hosts.
fn reaches(text: &[u8], span: &std::ops::Range<usize>) -> bool {
    const WORDS: &str = "connect connecting connected resolve resolving lookup ssh scp sftp ping dial nslookup dig telnet login enotfound \
        getaddrinfo relay reach reaching";
    let row = crate::window::line(text, span.clone());
    let mut words = text[row.start..span.start]
        .split(|b| !is_word(*b) && *b != b'-')
        .filter(|word| !word.is_empty());
    let first = words.clone().find(|word| *word != b"$").unwrap_or_default();
    let last = words
        .rfind(|word| *word != b"to")
        .unwrap_or_default()
        .to_ascii_lowercase();
    listed(WORDS, &last)
        || listed(
            "ssh scp sftp ping dig nslookup telnet redfishtool ipmitool",
            first,
        )
}

fn speaks_of_hosts(text: &[u8], span: &std::ops::Range<usize>) -> bool {
    let row = crate::window::line(text, span.clone());
    let lead = &text[row.start..span.start];
    let word = lead
        .split(|b| !is_word(*b))
        .rfind(|word| !word.is_empty())
        .unwrap_or_default()
        .to_ascii_lowercase();
    reaches(text, span)
        || listed(HOST_WORDS, &word)
        || word.ends_with(b"host")
        || word.ends_with(b"addr")
        || word.ends_with(b"url")
        || word.ends_with(b"server")
        || (lead.trim_ascii().is_empty() && text[span.end..row.end].trim_ascii().is_empty())
}

fn service(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let Some((span, host)) = whole_name(hit, found) else {
        return;
    };
    if !is_cluster_dns(&host) || is_code(hit.text, &span, &host) {
        return;
    }
    let count = labels(&host).count();
    let mut first = labels(&host);
    if listed(
        "name service svc service-name svc-name pod pod-name hostname",
        first.next().unwrap_or_default(),
    ) && listed("namespace ns namespace-name", first.next().unwrap_or_default())
    {
        return;
    }
    let zone = memchr::memmem::find(&host, b".svc.").is_some() || host.ends_with(b".local");
    let numbered = host.iter().any(|b| b.is_ascii_digit() || *b == b'-');
    if count >= 3 && (zone || numbered || is_certain(hit.text, &span, &host, count)) {
        found.report(&CLUSTER_DNS, span);
    }
}

fn operations(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let Some((span, host)) = whole_name(hit, found) else {
        return;
    };
    let count = labels(&host).count();
    let last = labels(&host).next_back().unwrap_or_default();
    let ending = matches!(
        last,
        b"com" | b"net" | b"io" | b"ai" | b"co" | b"dev" | b"cloud" | b"eu" | b"de" | b"uk" | b"us" | b"tech"
    );
    if count >= 3
        && ending
        && is_operations(&host)
        && host.starts_with(&hit.text[hit.span.clone()].to_ascii_lowercase())
        && !is_code(hit.text, &span, &host)
    {
        found.report(&PRIVATE_HOST, span);
    }
}
