//! Names in Kubernetes: pods, namespaces, volume claims, contexts.

use crate::false_positives::is_placeholder;
use crate::false_positives::listed;
use crate::hosts;
use crate::kinds::CLUSTER_NAMESPACE;
use crate::kinds::POD_NAME;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::after;
use crate::window::around;
use crate::window::before;
use crate::window::line_after;

include!(concat!(env!("OUT_DIR"), "/cluster.rs"));

fn precedes_generated_suffix(text: &[u8], at: usize) -> bool {
    text.get(at + 1..at + 6)
        .is_some_and(|tail| tail.iter().all(|&b| is_generated(b)))
}

/// Whether an option for a namespace follows on the line.
fn has_namespace_option(text: &[u8], at: usize) -> bool {
    let rest = line_after(text, at);
    memchr::memchr_iter(b'-', rest).any(|at| {
        let option = &rest[at..];
        before(rest, at).is_ascii_whitespace() && (option.starts_with(b"-n") || option.starts_with(b"--n"))
    })
}

/// Whether Kubernetes uses a byte in generated names: no vowels, no characters that look alike.
fn is_generated(b: u8) -> bool {
    b"bcdfghjklmnpqrstvwxz2456789".contains(&b)
}

/// Finds generated names: `…-6d5f9c7b8d-l25f5` of a replica set, `…-rrqpr-runner-snfbw` of a runner set.
fn generated_name(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let text = hit.text;
    let at = hit.span.end;
    let Some(tail) = text.get(at..at + 5) else { return };
    let next = after(text, at + 5);
    if !tail.iter().all(|&b| is_generated(b)) || next.is_ascii_alphanumeric() || matches!(next, b'-' | b'_') {
        return;
    }
    let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let start = around(text, hit.span.start..hit.span.start, 80, is_name).start;
    let lead = &text[start..hit.span.start];
    found.count_work(lead.len() + 5);
    let mut parts = lead.rsplit(|b| *b == b'-');
    let middle = parts.next().unwrap_or_default();
    let first = parts.next().unwrap_or_default();
    let digits = |part: &[u8]| part.iter().any(u8::is_ascii_digit);
    let replica = (7..=10).contains(&middle.len())
        && middle.iter().all(|&b| is_generated(b) || b.is_ascii_digit())
        && digits(middle)
        && middle.iter().any(u8::is_ascii_alphabetic)
        && !first.is_empty();
    let runner = matches!(middle, b"runner" | b"listener" | b"workflow")
        && first.len() == 5
        && first.iter().all(|&b| is_generated(b));
    let word = before(text, start);
    if (replica || runner) && !word.is_ascii_alphanumeric() && word != b'_' {
        let start = start + lead.iter().take_while(|b| **b == b'-').count();
        found.report(&POD_NAME, start..at + 5);
    }
}

/// Whether a keyword is not in the path of a URL of a public host.
fn is_outside_public_url(text: &[u8], at: usize) -> bool {
    let start = around(text, at..at, 256, |b| {
        b.is_ascii_graphic() && !b"\"'<>()`".contains(&b)
    })
    .start;
    let lead = &text[start..at];
    let Some(authority) = memchr::memmem::find(lead, b"://").map(|scheme| &lead[scheme + 3..]) else {
        return true;
    };
    let host = authority.split(|b| *b == b'/').next().unwrap_or_default();
    !hosts::is_public(host) || crate::address::octets(host).is_some()
}

/// Words that documentation uses in place of a name.
const COMMON: &str = "my-pod pod-name my-namespace your-namespace your-pod pod-template template-spec my-pvc your-pvc my-claim \
    claim-name my-cluster your-cluster cluster-name context-name my-context self-hosted example-pod test-pod \
    test-namespace some-pod some-namespace host-network pod-security read-only non-root my-app my-release \
    pvc-name namespace-name cluster-ip cluster-admin load-balancer single-node multi-node all-namespaces \
    no-headers dry-run data-pvc thread-block storage-class docker-desktop kind-kind cluster-wide \
    namespace-scoped";

/// Namespaces of Kubernetes and of widely installed software.
const PUBLIC_NAMESPACES: &str = "default kube-system kube-public kube-node-lease cert-manager istio-system ingress-nginx gpu-operator \
    nvidia-gpu-operator metallb-system flux-system argocd argo knative-serving kubeflow all openshift kube str \
    string none null true false foo bar test ns name monitoring namespace arc-systems arc-runners \
    actions-runner-system kubernetes-dashboard local-path-storage tekton-pipelines longhorn-system calico-system \
    tigera-operator cilium node-feature-discovery volcano-system linkerd rook-ceph nvidia-network-operator \
    network-operator get list in is std packages buildkit moby k8s";

/// Whether a name is the name of an object, and not an example.
fn is_object(name: &[u8]) -> bool {
    let text = std::str::from_utf8(name).unwrap_or_default();
    name.len() >= 4
        && name.iter().any(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && !listed(COMMON, text)
        && !is_placeholder(name)
        && !text.starts_with("my-")
        && !text.starts_with("your-")
        && !text.starts_with("some-")
        && !text.starts_with("the-")
        && !text.ends_with("-name")
}

/// Whether the name of an object has a generated part or a number.
fn is_drawn(name: &[u8]) -> bool {
    name.iter().any(u8::is_ascii_digit) && is_pod(name)
        || name
            .rsplit(|b| *b == b'-')
            .next()
            .is_some_and(|tail| tail.len() == 5 && tail.iter().all(|&b| is_generated(b)) && is_pod(name))
}

/// Whether a name is the name of a pod, and not of a file in a directory `pods/`.
fn is_pod(name: &[u8]) -> bool {
    let file = [&b".yaml"[..], b".yml", b".md", b".json", b".html"]
        .iter()
        .any(|ending| name.ends_with(ending));
    !file && is_object(name)
}

/// Whether a name is a namespace of a site.
pub fn is_namespace(name: &[u8]) -> bool {
    let text = std::str::from_utf8(name).unwrap_or_default();
    is_object(name)
        && !listed(PUBLIC_NAMESPACES, text)
        && !text.starts_with("openshift-")
        && name.iter().any(u8::is_ascii_lowercase)
}

fn is_account(name: &[u8]) -> bool {
    let namespace = name.split(|b| *b == b':').next().unwrap_or_default();
    is_namespace(namespace)
}

/// Whether a name is the name of a volume or of a volume claim.
pub fn is_claim(name: &[u8]) -> bool {
    !matches!(
        name,
        b"is" | b"are" | b"support" | b"template" | b"spec" | b"name"
    ) && is_object(name)
}

/// Whether a name is the name of a context or of a cluster.
pub fn is_context(name: &[u8]) -> bool {
    let text = std::str::from_utf8(name).unwrap_or_default();
    is_object(name)
        && !matches!(
            text,
            "default"
                | "minikube"
                | "kind"
                | "docker-desktop"
                | "current"
                | "name"
                | "context"
                | "cluster"
                | "true"
                | "false"
                | "none"
                | "local"
                | "rancher-desktop"
                | "microk8s"
                | "test"
        )
        && !text.starts_with("kind-")
        && !text.starts_with("k3d-")
        && !text.starts_with("--")
}

/// Whether a file in `.kube/` has an unusual name.
fn is_kubeconfig_file(name: &[u8]) -> bool {
    !name.starts_with(b"config")
        && !name.starts_with(b"cache")
        && !matches!(name, b"kubeconfig" | b"http-cache" | b"kuberc")
        && is_object(name)
        || name.starts_with(b"config-") && is_object(name)
}

/// Finds a namespace without a hyphen in a Kubernetes manifest.
fn yaml_namespace(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let row = hit.line();
    if !hit.text[row.start..hit.span.start]
        .iter()
        .all(|b| b.is_ascii_whitespace() || *b == b'-')
    {
        return;
    }
    let value = hit.text[hit.span.end..row.end].trim_ascii();
    let plain = value.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let floor = row.start.saturating_sub(600);
    found.count_work(600);
    found.skip_to(row.end);
    let lead = &hit.text[floor..row.start];
    let kubernetes = memchr::memmem::find(lead, b"metadata:").is_some()
        || memchr::memmem::find(lead, b"apiVersion:").is_some();
    if plain && kubernetes && value.len() >= 3 && is_namespace(value) {
        let start = hit.span.end
            + hit.text[hit.span.end..row.end]
                .iter()
                .take_while(|b| b.is_ascii_whitespace())
                .count();
        found.report(&CLUSTER_NAMESPACE, start..start + value.len());
    }
}
