//! Recognises values that many sites share, so that they identify none: a leak with such a value is only a warning.

use crate::false_positives::listed;
use crate::kinds::CLOUD_ACCOUNT;
use crate::kinds::HARD_CODED_SECRET;
use crate::kinds::INTERNAL_URL;
use crate::kinds::Kind;
use crate::kinds::NODE_NAME;
use crate::kinds::PERSONAL_IDENTITY;
use crate::kinds::PRIVATE_ADDRESS;
use crate::kinds::PRIVATE_HOST;

/// Services that often have a single-label name inside a company.
const SERVICES: &str = "wiki go grafana prometheus jira confluence kibana jenkins gitlab nexus artifactory harbor vault consul \
    argocd minio mlflow tensorboard intranet portal alertmanager rancher loki jaeger gerrit phabricator registry";

/// Whether a name is a service that often runs inside a company.
pub fn is_known_service(host: &[u8]) -> bool {
    listed(SERVICES, host)
}

/// Whether many sites have this value.
pub fn is_generic(kind: &'static Kind, value: &[u8]) -> bool {
    if kind == &PRIVATE_ADDRESS {
        is_common_address(value)
    } else if kind == &NODE_NAME {
        is_role_and_number(value) || is_demonstration(value)
    } else if kind == &INTERNAL_URL {
        is_service_name(value) || is_local_name(value)
    } else if kind == &PRIVATE_HOST {
        is_local_name(value)
    } else if kind == &CLOUD_ACCOUNT {
        value.starts_with(b"My")
    } else if kind == &PERSONAL_IDENTITY {
        memchr::memchr(b'@', value).is_some_and(|at| is_local_name(&value[at + 1..]))
    } else if kind == &HARD_CODED_SECRET {
        is_public_key(value)
    } else {
        false
    }
}

/// Networks that are the default of a router, of a container engine, of virtual machines or of a cloud.
const DEFAULT_NETWORKS: [&[u8]; 15] = [
    b"192.168.0.",
    b"192.168.1.",
    b"192.168.33.",
    b"192.168.49.",
    b"192.168.56.",
    b"192.168.64.",
    b"192.168.99.",
    b"192.168.122.",
    b"10.0.0.",
    b"10.0.2.",
    b"172.17.0.",
    b"172.18.0.",
    b"172.19.0.",
    b"172.20.0.",
    b"172.31.",
];

/// Whether an address is in a default network, or an address of tutorials.
fn is_common_address(address: &[u8]) -> bool {
    DEFAULT_NETWORKS
        .iter()
        .any(|network| address.starts_with(network))
        || matches!(
            address,
            b"10.10.10.10" | b"10.10.1.10" | b"10.1.1.1" | b"10.1.2.3" | b"10.255.255.1" | b"172.16.1.1"
        )
}

/// Whether a name says that the machine is an example.
fn is_demonstration(name: &[u8]) -> bool {
    [
        &b"demo-"[..],
        b"test-",
        b"example-",
        b"sample-",
        b"myhost",
        b"myserver",
        b"mynode",
        b"pghost",
        b"dbhost",
    ]
    .iter()
    .any(|word| name.starts_with(word))
}

/// Whether a key has the format of a key that its issuer expects in web pages.
fn is_public_key(value: &[u8]) -> bool {
    [&b"phc_"[..], b"pk_live_", b"pk_test_"]
        .iter()
        .any(|form| value.starts_with(form))
}

/// Whether a name is a role with a number of one or two digits: `worker-1`, `node02`.
fn is_role_and_number(name: &[u8]) -> bool {
    let stem = name
        .iter()
        .rposition(|b| !b.is_ascii_digit())
        .map_or(0, |at| at + 1);
    let digits = name.len() - stem;
    let word = name[..stem]
        .strip_suffix(b"-")
        .unwrap_or(&name[..stem])
        .to_ascii_lowercase();
    let roles: [&[u8]; 16] = [
        b"worker",
        b"node",
        b"host",
        b"server",
        b"master",
        b"client",
        b"machine",
        b"slave",
        b"replica",
        b"instance",
        b"vm",
        b"agent",
        b"peer",
        b"trainer",
        b"hostname",
        b"ps",
    ];
    (1..=2).contains(&digits) && roles.contains(&&*word)
}

/// Whether a host is a name without dots, such as the services of a compose file have, and not a numbered machine.
fn is_service_name(host: &[u8]) -> bool {
    let numbered = host
        .split(|b| *b == b'-')
        .skip(1)
        .any(|part| part.iter().filter(|b| b.is_ascii_digit()).count() >= 2);
    !host.contains(&b'.') && !numbered && !is_known_service(host)
}

/// Whether a host is a word or a role, and an ending such as `.local`.
fn is_local_name(host: &[u8]) -> bool {
    let mut labels = host.split(|b| *b == b'.');
    let (Some(first), Some(last), None) = (labels.next(), labels.next(), labels.next()) else {
        return false;
    };
    (first.iter().all(u8::is_ascii_alphabetic) || is_role_and_number(first))
        && [
            &b"local"[..],
            b"home",
            b"prod",
            b"staging",
            b"private",
            b"cluster",
            b"vpn",
        ]
        .iter()
        .any(|ending| last.eq_ignore_ascii_case(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_values_differ_from_individual_ones() {
        for (kind, common, individual) in [
            (&PRIVATE_ADDRESS, "192.168.1.20", "10.61.12.4"),
            (&NODE_NAME, "worker-1", "hgx-fenn-22"),
            (&INTERNAL_URL, "coordinator", "gpu-b200-07"),
            (&INTERNAL_URL, "mock.local", "vault.heron.local"),
            (&PRIVATE_HOST, "build.local", "nas02.local"),
            (&PRIVATE_ADDRESS, "172.31.43.8", "172.30.43.8"),
            (&NODE_NAME, "demo-postgres-2", "b200-postgres-2"),
            (&PERSONAL_IDENTITY, "celery@worker1.local", "kim@nas02.local"),
        ] {
            assert!(is_generic(kind, common.as_bytes()), "{common}");
            assert!(!is_generic(kind, individual.as_bytes()), "{individual}");
        }
    }
}
