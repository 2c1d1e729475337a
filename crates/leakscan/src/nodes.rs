//! Names of machines, where a prompt, a message or a field says that they are.

use crate::false_positives::is_placeholder;
use crate::false_positives::listed;
use crate::hosts;
use crate::kinds::NODE_NAME;
use crate::kinds::PRIVATE_HOST;
use crate::rule::Rule;
use crate::window::after;
use crate::window::before;
use crate::window::has_byte_within;
use crate::window::is_word;

/// The rules of this family.
pub static RULES: &[Rule] = &[
    Rule::line(&NODE_NAME, &["nccl ", "rccl "], r"(?:^|[\s\]|>])([A-Za-z][\w.-]*):\d+:\d+ \[\d+\] (?:\S+:\d+ )?[NR]CCL ").accept_if(is_machine),
    Rule::line(&NODE_NAME, &["@"], r"(?:^|[\s(\[>`])([a-z_][\w.-]*@[A-Za-z][\w.-]*)(?::| )[~/][^\s$#]*\]?\s?[$#%](?:\s|$)|\[([a-z_][\w.-]*@[A-Za-z][\w.-]*) [^\s\]]+\][$#%](?:\s|$)").accept_if(is_login).prefilter_if(|text, at| is_word(before(text, at)) && after(text, at + 1).is_ascii_alphabetic()),
    Rule::line(
        &NODE_NAME,
        &["host", "node", "master_addr", "fqdn", "machine", "instance", "nodelist", "server_name", "worker_name", "kubernetes.io/hostname"],
        r#"(?:^|[^\w-])(?i:(?:[a-z0-9]+_)?(?:(?:batch)?host(?:_?names?|list)?|node_?names?|node|head_node|master_addr|fqdn|machine(?:_?name)?|node_?list|worker_name|server_name|instance)|-?-?(?:host|node)|kubernetes\.io/hostname)\\?["']?\s{0,2}[=:]\s{0,2}\\?["']?([A-Za-z][\w.-]*(?:-|\d)[\w.-]*(?:\[[\d,-]+\])?)"#,
    )
    .accept_if(is_numbered_machine)
    .prefilter_if(is_given),
    Rule::line(&NODE_NAME, &["slurm", "srun", "nodelist", "scontrol", "sinfo", "salloc", "sbatch", "squeue", "sacct", "stepid"], r"(?i:nodelist|nodes|error|nodename|-w|--nodelist|--exclude|-x|hostnames?|\bnode|\bon|srun: job \d+)[\s=:]{1,3}([A-Za-z][\w-]*-?\[[\d,-]+\]|[A-Za-z][\w-]*\d+\b)").accept_if(is_numbered_machine),
    Rule::line(&NODE_NAME, &["[00", "[01", "[02", "[03", "[04", "[05", "[06", "[07", "[08", "[09"], r"(?:^|[\s,='\x22`])([a-z][a-z0-9-]*[a-z-]\[0\d+(?:[,-]\d+)+\])(?:[\s,'\x22`:]|$)").accept_if(is_node_list).prefilter_if(|text, at| matches!(before(text, at), b'a'..=b'z' | b'-')),
    Rule::line(&NODE_NAME, &["started on <", "dispatched to <", "execution host", "bsub "], r"(?:(?:started on|dispatched to) <(?:\d+\*)?|\s-m\s[\x22']?)([a-z][\w.-]*\d+)").accept_if(is_numbered_machine),
    // Logs of whole machines: the name stands behind the time.
    Rule::line(&NODE_NAME, &["systemd[", " kernel: ", "sshd[", "kubelet[", "containerd[", "dockerd[", "slurmd[", "nvidia-persistenced[", "nv-hostengine", "sudo[", "sudo:", "cron[", "chronyd[", "networkmanager["], r"[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d ([A-Za-z][\w.-]*\d[\w.-]*) [\w./-]+(?:\[\d+\])?:").accept_if(is_machine),
    Rule::line(&NODE_NAME, &[">1 20"], r"<\d{1,3}>1 20\S+ ([A-Za-z][\w.-]*(?:-|\d)[\w.-]*) ").accept_if(is_machine),
    Rule::line(&NODE_NAME, &["linux "], r"(?:^|\s)Linux ([A-Za-z][\w.-]*(?:-|\d)[\w.-]*) \d+\.\d+\.\d+\S* #\d").accept_if(is_machine),
    Rule::line(&NODE_NAME, &["computername"], r"(?i:computername)\s?[=:]\s?([A-Za-z][\w-]*(?:-|\d)[\w-]*)").accept_if(is_machine),
    Rule::line(&NODE_NAME, &["instance ", "instance=", "target ", "target=", "upstream ", "peer ", "endpoint ", "replica "], r"(?i:instance|target|upstream|peer|endpoint|replica)[\s=\x22'`]{1,3}([a-z][a-z0-9]*(?:-[a-z0-9]+)*-?\d+):\d{2,5}\b").accept_if(is_numbered_machine).prefilter_if(|text, at| has_byte_within(text, at, 48, b':')),
    Rule::line(&NODE_NAME, &["gethostname", "uname -n", "$(hostname)", "$ hostname", "hostname ->", "nodename", "hostname is"], r#"(?:gethostname\(\)|getfqdn\(\)|uname -n|hostname(?: -[fs])?|hostname is|nodename(?:\(\))?(?: (?:is|was|gave|returned))?)[\s>=:-]{1,5}["']?([A-Za-z][\w.-]*(?:-|\d)[\w.-]*)"#).accept_if(is_numbered_machine),
    Rule::line(&NODE_NAME, &[" slots="], r"^\s*([a-z][\w.-]*\d)\s+slots=\d").accept_if(is_machine),
    Rule::line(&NODE_NAME, &[" idle ", " alloc ", " drain ", " mix ", " down "], r"\s(?:idle|alloc|mix|down|drain)[*~#]?\s+([a-z][\w-]*\[[\d,-]+\]|[a-z][\w-]*-\d+)\s*$").accept_if(is_machine),
    Rule::line(&NODE_NAME, &[" hca-", " mlx5"], r#""([a-z][\w-]*\d)\s(?:HCA-|mlx5)"#).accept_if(is_machine),
    Rule::line(&NODE_NAME, &[": gpu ", ": nvrm", ": xid"], r"^([a-z][a-z0-9]*(?:-[a-z0-9]+)*-\d{2,4}): (?:GPU|NVRM|Xid)\b").accept_if(is_machine),
    Rule::line(&NODE_NAME, &["aks-", "gke-"], r"\b(aks-[a-z0-9]+-\d{8}-vmss[0-9a-z]{6}|gke-[a-z0-9-]+-[0-9a-f]{8}-[a-z0-9]{4})\b").accept_if(is_machine),
    Rule::line(&NODE_NAME, &["tfevents."], r"tfevents\.\d{9,}\.([A-Za-z][\w-]*\d[\w-]*)\.").accept_if(is_machine),
    Rule::line(&NODE_NAME, &["core.python."], r"\bcore\.\w+\.([a-z][\w-]*\d)\.\d+\.\d{9,}").accept_if(is_machine),
    Rule::line(&NODE_NAME, &["mf0;"], r"\bMF0;([A-Za-z][\w-]*):").accept_if(is_machine),
    Rule::line(&NODE_NAME, &["@o2ib", "@tcp"], r"\b([a-z][\w-]*\d)@(?:o2ib|tcp)\d?\b").accept_if(is_machine),
    Rule::line(&NODE_NAME, &["ip-10-", "ip-172-", "ip-192-168-"], r"\b(ip-(?:10|172|192)-\d{1,3}-\d{1,3}-\d{1,3})\b"),
    Rule::line(&NODE_NAME, &["hgx-", "dgx-"], r"(?:^|[^\w./@-])([dh]gx-[a-z]{2,10}-\d{1,4})\b").accept_if(is_named_chassis),
    Rule::line(&NODE_NAME, &["-gpu"], r"(?:^|[^\w./@-])([a-z]{3,12}-gpu\d{2,4})(?:[^\w.-]|\.?(?:\s|$))").accept_if(is_named_chassis),
    Rule::line(&NODE_NAME, &["ready "], r"(?:^|\s)([a-z][a-z0-9.-]*\d[a-z0-9.-]*)\s+(?:Not)?Ready(?:,SchedulingDisabled)?\s").accept_if(is_numbered_machine),
    Rule::line(&NODE_NAME, &["cordon ", "drain ", "node/", "nodes/", "taint node", "describe node", "debug node", "label node", "delete node", "get node"], r"(?:\b(?:un)?cordon\s|\bdrain\s|\bnodes?/|(?:taint|describe|debug|label|delete|get|top|drain) nodes?\s)(?:--?\S+\s)*[\x22'`]?([a-z][a-z0-9.-]*(?:-|\d)[a-z0-9.-]*)").accept_if(is_numbered_machine),
    Rule::line(&NODE_NAME, &["successfully assigned"], r"(?i:assigned) (?:\S+ )?to ([a-z][a-z0-9.-]*(?:-|\d)[a-z0-9.-]*)").accept_if(is_numbered_machine),
    Rule::line(&NODE_NAME, &["rdzv", "master-addr", "master_addr", "coordinator", "head-node", "--hosts", "--host", "nproc", "mpirun", "hostfile", "pdsh", "clush", "parallel-ssh", "pssh ", "deepspeed", "ray start"], r"(?:rdzv[_-]endpoint|master[_-]addr|coordinator(?:_address)?|head[_-]node|address|--hosts?|--include|-H|-[a-z]?w)[\s=]{1,2}[\x22']?([A-Za-z][\w.-]*(?:-|\d)[\w.-]*(?:\[[\d,-]+\])?)").accept_if(is_numbered_machine),
    Rule::line(&NODE_NAME, &["ssh ", "scp ", "rsync ", "sftp ", "mosh "], r"(?:^|[\s`$(;&|])(?:ssh|scp|rsync|sftp|mosh)\s(?:-\S+\s(?:[\w./~-]+\s)?)*?(?:[^\s@]+\s)?((?:[a-z_][\w.-]*@)?[A-Za-z][\w.-]*(?:-|\d)[\w-]*)(?::|\s|$|[`'\x22])").accept_if(is_ssh_target),
    Rule::line(&NODE_NAME, &["connect", "refused", "resolve", "lookup", "unreachable", "timed out", "ping ", "dial tcp", "no route"], r"(?i:connect(?:ed|ing|ion)?(?: refused| closed)? (?:to|from|by)(?: peer)?|resolve|resolving|lookup|ping|dial tcp|host) \[?([a-z][a-z0-9]*(?:-[a-z0-9]+)*-?\d+[a-z0-9-]*)\]?(?:[:,\s.<]|$)").accept_if(is_numbered_machine)
    .prefilter_if(goes_to_a_number),
    Rule::line(&NODE_NAME, &["on host", "on node", "on machine", "from host", "from node", "running on", "launched on", "rerun on", "reran on", "reproduces on", "tested on", "failed on", "rank "], r"(?i:(?:on|from) (?:host|node|machine)|(?:running|launched|started|scheduled|died|failed|crashed|re-?ran|re-?run|reproduces|tested) on)[\s:]\s?[`'\x22]?([a-z][a-z0-9]*(?:-[a-z0-9]+)*-[a-z]?\d+[a-z0-9-]*)").accept_if(is_numbered_machine),
    // A machine of a GPU cluster by its shape: kind of machine, then a number with a leading zero, a rack, or a second kind.
    Rule::line(
        &NODE_NAME,
        &["gpu", "dgx", "hgx", "b200", "b300", "gb200", "gb300", "h100", "h200", "a100", "mi300", "rack", "cn0", "node0", "node-0", "worker-0", "compute-0", "login0", "login-0", "bastion-", "slurm-", "trn1", "gn0"],
        r"(?:^|[^\w./@-])((?:[a-z][a-z0-9]*-){0,3}(?:gpu|dgx|hgx|[a-z]{0,6}?b[23]00|h[12]00|a100|mi300x?|trn1|cn|gn|node|worker|compute|login)(?:-[a-z0-9]+){0,2}?-?(?:0\d{1,3}|[a-z]+\d{2,4}|(?:rack|r)\d+-[a-z]+\d+)(?:-[a-z]?\d+)?)(?:[^\w.-]|\.?(?:\s|$)|-?\[)",
    )
    .prefilter_if(goes_on_with_a_number)
    .accept_if(is_shaped),
    Rule::line(&NODE_NAME, &["gpu-b", "gpu-h", "gpu-a", "dgx-b", "dgx-h", "dgx-a", "hgx-b", "hgx-h", "b200-gpu", "h100-gpu", "b200-node", "h100-node", "gpu-node", "b200-rack", "gpu-worker"], r"(?:^|[^\w./@-])((?:[a-z][a-z0-9]*-){0,2}(?:(?:gpu|dgx|hgx)-(?:g?b[23]00|h[12]00|a100)|(?:g?b[23]00|h[12]00|a100|gpu)-(?:gpu|node|rack|worker))-?[a-z]?\d{1,4}(?:-[a-z]?\d+)?)(?:[^\w.-]|\.?(?:\s|$))").accept_if(is_machine),
    Rule::line(&NODE_NAME, &["dgx", "hgx"], r"(?:^|[^\w./@-])([dh]gx[a-z]?\d{3,4})(?:[^\w.-]|\.?(?:\s|$))").accept_if(is_chassis),
    Rule::line(&PRIVATE_HOST, &["permanently added", "known_hosts", "known hosts", "host key"], r"(?i:permanently added|host key for|host) '?\[?([A-Za-z][\w.-]*\.[\w.-]+)\]?").accept_if(|host| !hosts::is_public(host)),
    Rule::line(&PRIVATE_HOST, &[":/vol", ":/export", ":/data", ":/home", ":/mnt", ":/srv", "nfs4 ", "nfs "], r"(?:^|[\s,])([a-z][a-z0-9.-]*\d[a-z0-9.-]*):/(?:vol|exports?|data|home|mnt|srv|nfs|shared?|scratch|pool|tank)\b").accept_if(is_machine),
];

/// Names in the place of a machine that name none.
const NOBODY: &str = "localhost self-hosted ubuntu-latest ubuntu-22.04 ubuntu-24.04 github-hosted node-exporter host-network \
    my-host your-host host-name node-name my-node your-node node-selector localhost4 localhost6 ip6-localhost \
    ip6-loopback runner-latest single-node multi-node x86_64 utf-8 utf8 sha256 sha-256 base64 ipv4 ipv6 http2 \
    host-only cross-compile test-host example-host node-role self-signed read-only node18 node20 node22 node24 \
    ed25519 python3 localhost0 in-cluster multi-host per-host no-host";

/// Whether the name that an anchor stands in has a digit from there on.
fn goes_on_with_a_number(text: &[u8], at: usize) -> bool {
    text[at..]
        .iter()
        .take(40)
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'['))
        .any(u8::is_ascii_digit)
}

/// Whether a word begins at an anchor and a digit follows soon.
fn goes_to_a_number(text: &[u8], at: usize) -> bool {
    !is_word(before(text, at)) && text[at..text.len().min(at + 96)].iter().any(u8::is_ascii_digit)
}

/// Whether a value follows a name soon.
fn is_given(text: &[u8], at: usize) -> bool {
    has_byte_within(text, at, 32, b'=') || has_byte_within(text, at, 32, b':')
}

/// A name that can be a machine's.
fn is_machine(name: &[u8]) -> bool {
    let text = std::str::from_utf8(name).unwrap_or_default().to_ascii_lowercase();
    let bare = text.split('.').next().unwrap_or_default();
    name.len() >= 2
        && !listed(NOBODY, &text)
        && !listed(NOBODY, bare)
        && !is_placeholder(name)
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

/// A machine's name with a number or two hyphens in it.
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
    !underscore && !camel && !number && versions == 0 && (hyphen_number || hyphens >= 2) && is_machine(name)
}

/// `user@host` of a prompt.
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

/// The target of ssh: a private name, never a public one.
fn is_ssh_target(target: &[u8]) -> bool {
    let host = target.rsplit(|b| *b == b'@').next().unwrap_or_default();
    is_numbered_machine(host)
        && (!host.contains(&b'.') || !hosts::is_public(host))
        && !host.starts_with(b"id_")
        && !host.starts_with(b"ed25519")
        && !host.starts_with(b"git@")
}

/// `gn[0101-0104]`, and not the parts of a data set.
fn is_node_list(name: &[u8]) -> bool {
    let stem = name.split(|b| *b == b'[').next().unwrap_or_default();
    let stem = stem.strip_suffix(b"-").unwrap_or(stem);
    let last = stem.rsplit(|b| *b == b'-').next().unwrap_or_default();
    !listed(
        "shard shards step steps part parts chunk file epoch ckpt layer layers expert experts rank ranks seed task job array v",
        last,
    ) && is_machine(name)
}

/// A machine with a name of its own behind or before its kind.
fn is_named_chassis(name: &[u8]) -> bool {
    let mut words = name.split(|b| *b == b'-');
    words.all(|word| {
        !listed("os station spark cloud superpod basepod multi single per cuda torch num non any all one two mini", word)
    }) && is_machine(name)
}

/// A machine's name and none of its maker's products.
fn is_chassis(name: &[u8]) -> bool {
    let kind = &name[3..];
    !listed("a100 h100 h200 b100 b200 b300", kind)
        && kind.iter().filter(|b| b.is_ascii_digit()).count() >= 3
        && !kind.ends_with(b"00")
}

/// A kind of machine with a number; a bare product name is none.
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
