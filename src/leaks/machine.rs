//! Collects the names of this machine, so that the redactor can replace them.
//!
//! Must not read the environment itself; the caller passes a lookup.

use std::path::Path;

use leakscan::identity::Identity;

/// Variables of SLURM that name nodes, one or as a list such as `n[1-2]`.
pub const OF_SLURM: [&str; 7] = [
    "SLURM_JOB_NODELIST",
    "SLURM_NODELIST",
    "SLURM_STEP_NODELIST",
    "SLURM_SUBMIT_HOST",
    "SLURM_SRUN_COMM_HOST",
    "SLURM_LAUNCH_NODE_IPADDR",
    "SLURM_TOPOLOGY_ADDR",
];

/// Variables that name the host.
pub const HOSTS: &[&str] = &[
    "HOSTNAME",
    "NODE_NAME",
    "K8S_NODE_NAME",
    "SPEC_NODENAME",
    "SLURMD_NODENAME",
    OF_SLURM[0],
    OF_SLURM[1],
    OF_SLURM[2],
    OF_SLURM[3],
    OF_SLURM[4],
    OF_SLURM[5],
    OF_SLURM[6],
    "MASTER_ADDR",
];

/// Reads the host names, addresses, user, home, pod, namespace and hardware of this machine.
pub fn identity(variable: impl Fn(&str) -> Option<String>) -> Identity {
    let mut identity = Identity::none();
    let uname = rustix::system::uname();
    host(&mut identity, &uname.nodename().to_string_lossy());
    for (variables, placeholder) in [
        (HOSTS, "[host]"),
        (
            &[
                "POD_NAME",
                "K8S_POD_NAME",
                "RUNNER_NAME",
                "ACTIONS_RUNNER_POD_NAME",
            ],
            "[pod]",
        ),
        (
            &["POD_NAMESPACE", "K8S_NAMESPACE", "KUBE_NAMESPACE"],
            "[namespace]",
        ),
        (&["USER", "LOGNAME", "SUDO_USER"], "[user]"),
        (
            &["POD_IP", "HOST_IP", "NODE_IP", "KUBERNETES_SERVICE_HOST"],
            "[address]",
        ),
    ] {
        for name in variables {
            identity.name(&variable(name).unwrap_or_default(), placeholder);
        }
    }
    let home = variable("HOME").unwrap_or_default();
    identity.name(home.trim_end_matches('/'), "[home]");
    identity.name(
        &first_line("/var/run/secrets/kubernetes.io/serviceaccount/namespace"),
        "[namespace]",
    );
    identity.name(&first_line("/etc/machine-id"), "[machine]");
    for (pattern, placeholder) in [("address", "[mac]")] {
        for entry in entries("/sys/class/net") {
            identity.name(&first_line(entry.join(pattern)), placeholder);
        }
    }
    for gpu in entries("/proc/driver/nvidia/gpus") {
        let facts = std::fs::read_to_string(gpu.join("information")).unwrap_or_default();
        for line in facts.lines().filter(|line| line.starts_with("GPU UUID")) {
            identity.name(line.split_once(':').map_or("", |(_, uuid)| uuid.trim()), "[gpu]");
        }
    }
    let resolver = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    for line in resolver.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("search" | "domain") => words.for_each(|zone| identity.name(zone, "[zone]")),
            Some("nameserver") => words.for_each(|address| identity.name(address, "[address]")),
            _ => {}
        }
    }
    for address in local_addresses() {
        identity.name(&address, "[address]");
    }
    identity
}

/// Adds the name of a machine, also without its domain.
pub fn host(identity: &mut Identity, name: &str) {
    identity.name(name, "[host]");
    let short = name.split('.').next().unwrap_or_default();
    // Of an address, a part alone is only a number.
    if !short.bytes().all(|byte| byte.is_ascii_digit()) {
        identity.name(short, "[host]");
    }
}

fn first_line(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn entries(dir: &str) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(dir)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

/// The addresses of the interfaces of this machine.
fn local_addresses() -> Vec<String> {
    let mut found = Vec::new();
    let table = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let mut last = "";
    for line in table.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address;
        } else if line == "/32 host LOCAL" && !found.iter().any(|known| known == last) {
            found.push(last.to_owned());
        }
    }
    let table = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    for line in table.lines() {
        let digits = line.split_whitespace().next().unwrap_or_default();
        if let Ok(bits) = u128::from_str_radix(digits, 16) {
            found.push(std::net::Ipv6Addr::from(bits).to_string());
        }
    }
    found
}
