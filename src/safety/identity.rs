//! What this machine and this run are called, so that it can be taken out of what leaves.

use std::fmt;
use std::path::Path;

use super::allow;
use super::terms::Terms;

/// Names, and what to write instead of each.
#[derive(Clone, Default)]
pub struct Identity {
    pub(super) names: Vec<Name>,
    pub(super) terms: Terms,
}

/// A name and what to write instead.
#[derive(Clone)]
pub(super) struct Name {
    pub(super) text: Vec<u8>,
    pub(super) placeholder: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Identity {
    /// Nothing but the built-in rules.
    pub fn none() -> Self {
        Identity::default()
    }

    /// What this machine says about itself: host names, addresses, user, home, pod, namespace, hardware.
    pub fn of_machine() -> Self {
        let mut identity = Identity::default();
        let uname = rustix::system::uname();
        let host = uname.nodename().to_string_lossy().into_owned();
        identity.name(&host, "[host]");
        if let Some((short, _)) = host.split_once('.') {
            identity.name(short, "[host]");
        }
        for (variables, placeholder) in [
            (
                &[
                    "HOSTNAME",
                    "NODE_NAME",
                    "K8S_NODE_NAME",
                    "SPEC_NODENAME",
                    "SLURMD_NODENAME",
                    "SLURM_JOB_NODELIST",
                    "MASTER_ADDR",
                ][..],
                "[host]",
            ),
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
            for variable in variables {
                identity.name(&std::env::var(variable).unwrap_or_default(), placeholder);
            }
        }
        let home = std::env::var("HOME").unwrap_or_default();
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

    /// A name that must not leave, and what to write instead. Short, empty and well-known names are left alone: taking
    /// `root` or `default` out of a log would spoil it and hide nothing.
    pub fn name(&mut self, text: &str, placeholder: &str) {
        let text = text.trim();
        let known = text.eq_ignore_ascii_case("localhost")
            || text.starts_with("127.")
            || text == "::1"
            || text == "00:00:00:00:00:00"
            || matches!(
                text,
                "/" | "/root"
                    | "/home/runner"
                    | "/home"
                    | "/github/home"
                    | "default"
                    | "local"
                    | "cluster.local"
                    | "svc.cluster.local"
                    | "."
                    | "runner"
                    | "root"
            );
        if text.len() < 3 || known || allow::is_common_name(text) {
            return;
        }
        self.insert(text, placeholder);
        let (lower, upper) = (text.to_lowercase(), text.to_uppercase());
        if placeholder != "[home]" && placeholder != "[user]" {
            self.insert(&lower, placeholder);
            self.insert(&upper, placeholder);
        }
    }

    /// The value of a variable that gates require: it becomes `${NAME}` wherever it stands. Values that say nothing, such as
    /// numbers and single words of three letters, stay.
    pub fn variable(&mut self, name: &str, value: &str) {
        for line in value.lines() {
            let line = line.trim();
            let bare = if line.len() > 1 {
                line.trim_end_matches('/')
            } else {
                line
            };
            if bare.len() < 4
                || bare.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b',')
                || matches!(
                    bare,
                    "true" | "false" | "none" | "/tmp" | "/usr" | "auto" | "default"
                )
            {
                continue;
            }
            let placeholder = format!("${{{name}}}");
            self.insert(bare, &placeholder);
            let escaped = serde_json::Value::from(bare).to_string();
            self.insert(escaped.trim_matches('"'), &placeholder);
            let percent: String = bare
                .bytes()
                .map(|b| match b {
                    b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
                    b => format!("%{b:02X}"),
                })
                .collect();
            self.insert(&percent, &placeholder);
        }
    }

    /// The private list.
    pub fn terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    fn insert(&mut self, text: &str, placeholder: &str) {
        if text.len() >= 3 && !self.names.iter().any(|name| name.text == text.as_bytes()) {
            self.names.push(Name {
                text: text.as_bytes().to_vec(),
                placeholder: placeholder.to_owned(),
            });
        }
    }

    /// The names that a runner can be asked to mask wherever they stand: those that are no word of everyday use, which
    /// would spoil the log and the outputs of steps. They may go to the runner and nowhere else.
    pub fn distinctive(&self) -> impl Iterator<Item = String> {
        let names = self.names.iter().filter(|name| {
            let letters = name.text.iter().all(u8::is_ascii_alphabetic);
            name.text.len() >= if letters { 12 } else { 8 }
        });
        names.map(|name| String::from_utf8_lossy(&name.text).into_owned())
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

/// Addresses of this machine's interfaces, as the kernel lists them.
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
