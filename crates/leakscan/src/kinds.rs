//! The kinds of leak, each with the text that explains it.
//!
//! An example of a leak must not be a leak: what would be secret or private is described in angle brackets.

/// How much a leak weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// May be harmless.
    Warning,
    /// Must not be published.
    Error,
}

/// A kind of leak with a stable kebab-case name.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Stable name, such as `private-address`.
    pub id: &'static str,
    /// The severity of a leak of this kind.
    pub severity: Severity,
    /// What was found, in a few words.
    pub title: &'static str,
    /// Why it matters and how to fix it, in a few sentences of Markdown.
    pub explain: &'static str,
    /// A short example with the leak described in angle brackets; may be empty.
    pub bad: &'static str,
    /// The same example, fixed.
    pub good: &'static str,
}

/// Every kind of leak.
pub static TABLE: &[&Kind] = &[
    &GITHUB_TOKEN,
    &CLOUD_KEY,
    &MODEL_API_KEY,
    &PACKAGE_TOKEN,
    &SERVICE_TOKEN,
    &WEB_TOKEN,
    &PRIVATE_KEY,
    &KUBECONFIG,
    &STORED_LOGIN,
    &PASSWORD_HASH,
    &CREDENTIAL_URL,
    &WEBHOOK,
    &PRESIGNED_URL,
    &HARD_CODED_SECRET,
    &PRIVATE_ADDRESS,
    &PRIVATE_HOST,
    &NODE_NAME,
    &CLUSTER_DNS,
    &POD_NAME,
    &NAMESPACE,
    &VOLUME_CLAIM,
    &KUBE_CONTEXT,
    &HARDWARE_ID,
    &CLOUD_ACCOUNT,
    &INTERNAL_URL,
    &RUNBOOK,
    &PRIVATE_PATH,
    &PERSON,
    &PRIVATE_TERM,
];

const fn secret(
    id: &'static str,
    title: &'static str,
    explain: &'static str,
    bad: &'static str,
    good: &'static str,
) -> Kind {
    Kind {
        id,
        severity: Severity::Error,
        title,
        explain,
        bad,
        good,
    }
}

/// A token of GitHub.
pub static GITHUB_TOKEN: Kind = secret(
    "github-token",
    "a GitHub token",
    "A personal, OAuth, app, refresh or runner-registration token, plain or inside an `AUTHORIZATION: basic` header. \
Revoke it first (removing the text is not enough), then pass it as a secret of the repository.",
    "GITHUB_TOKEN=<the token itself>",
    "token: ${{ secrets.GITHUB_TOKEN }}",
);

/// A key of AWS, Azure, Google or another cloud.
pub static CLOUD_KEY: Kind = secret(
    "cloud-key",
    "a credential of a cloud provider",
    "Access keys, session tokens, storage keys, client secrets and service-account keys of AWS, Azure, Google Cloud and \
other providers. Revoke it at its issuer first, then read it from the environment or use workload identity.",
    "AWS_SECRET_ACCESS_KEY=<the key itself>",
    "AWS_SECRET_ACCESS_KEY=$(cat /run/secrets/aws)",
);

/// A key of a model, data or experiment service.
pub static MODEL_API_KEY: Kind = secret(
    "model-api-key",
    "an API key of a model, data or experiment service",
    "Keys of model providers, hubs and experiment trackers. They spend money and read private data. Revoke it first, then \
read it from the environment.",
    "WANDB_API_KEY=<the key itself>",
    "WANDB_API_KEY=${WANDB_API_KEY}",
);

/// A token that can publish packages.
pub static PACKAGE_TOKEN: Kind = secret(
    "package-token",
    "a token of a package registry",
    "A token for crates.io, PyPI, npm, RubyGems, NuGet, Docker Hub and the like can replace what others install. Revoke it \
first, then use trusted publishing or a secret of the repository.",
    "cargo login <the token itself>",
    "cargo publish  # with CARGO_REGISTRY_TOKEN from a secret",
);

/// A token of some other service.
pub static SERVICE_TOKEN: Kind = secret(
    "service-token",
    "a token of a service",
    "The text has the format of a token of a well-known service (chat, payments, monitoring, hosting, identity, …). Revoke \
it first, then read it from the environment.",
    "SLACK_TOKEN=<the token itself>",
    "SLACK_TOKEN=${SLACK_TOKEN}",
);

/// A JSON web token.
pub static WEB_TOKEN: Kind = secret(
    "web-token",
    "a JSON web token",
    "A signed token, such as the one of a Kubernetes service account, is a credential until it expires, and its readable \
part often names the cluster. Invalidate it and remove it.",
    "Authorization: Bearer <header.payload.signature>",
    "Authorization: Bearer ${TOKEN}",
);

/// A private key.
pub static PRIVATE_KEY: Kind = secret(
    "private-key",
    "a private key",
    "A private key in PEM, OpenSSH, PGP, PuTTY, age, minisign, WireGuard or JWK form. Replace the key pair wherever the \
public half is trusted; a key that was public once is burnt.",
    "<a PEM block whose first line names a private key>",
    "key_file: ${SIGNING_KEY_FILE}",
);

/// A kubeconfig.
pub static KUBECONFIG: Kind = secret(
    "kubeconfig",
    "a kubeconfig or a part of one",
    "A kubeconfig names the cluster's API server and carries or produces credentials for it. Rotate the user's \
certificate or token and keep the file outside the repository.",
    "client-key-data: <base64 of the key>",
    "KUBECONFIG=~/.kube/config",
);

/// A login stored for a tool.
pub static STORED_LOGIN: Kind = secret(
    "stored-login",
    "a login stored for a tool",
    "The form in which netrc, docker's config.json, .pgpass, .htpasswd and similar files hold user names with passwords. \
Change the password and let the tool ask a credential helper.",
    "machine git.example.com login ci password <the password itself>",
    "machine git.example.com login ci password ${GIT_PASSWORD}",
);

/// A password's hash.
pub static PASSWORD_HASH: Kind = secret(
    "password-hash",
    "the hash of a password",
    "A crypt, bcrypt or argon2 hash can be attacked offline once it is public. Change the password.",
    "root:<a crypt hash>:19000:0:99999:7:::",
    "root:*:19000:0:99999:7:::",
);

/// A URL with a password in it.
pub static CREDENTIAL_URL: Kind = secret(
    "credential-url",
    "a URL or connection string that carries a credential",
    "The part before `@`, or a key in a connection string, is a credential. Change it, and build the URL from variables.",
    "postgresql://trainer:<the password itself>@db.example.com/experiments",
    "postgresql://${DB_USER}:${DB_PASSWORD}@db.example.com/experiments",
);

/// A webhook.
pub static WEBHOOK: Kind = secret(
    "webhook-url",
    "a webhook's URL",
    "Whoever knows a webhook's URL can post through it. Replace the webhook and keep the URL in a secret.",
    "https://hooks.slack.com/services/<team>/<hook>/<key>",
    "SLACK_WEBHOOK=${SLACK_WEBHOOK}",
);

/// A URL with a signature.
pub static PRESIGNED_URL: Kind = secret(
    "presigned-url",
    "a presigned URL",
    "The signature in the URL grants access to everyone until it expires, and the URL names the bucket. Revoke the key \
that signed it, or wait out its lifetime, and link to a public place.",
    "https://<bucket>.s3.amazonaws.com/model.pt?X-Amz-Signature=<64 hex digits>",
    "https://huggingface.co/<org>/<model>",
);

/// A secret given as a plain value.
pub static HARD_CODED_SECRET: Kind = secret(
    "hard-coded-secret",
    "a secret given as a plain value",
    "A name such as password, token, secret or key is given a value that looks random or typed by a person. Change it, and \
read it from the environment. If the value is a digest or a test's constant, say so in an allowance.",
    "db_password: <the password itself>",
    "db_password: ${DB_PASSWORD}",
);

/// An address that is not public.
pub static PRIVATE_ADDRESS: Kind = secret(
    "private-address",
    "an address of a private network",
    "Addresses of RFC 1918, carrier-grade NAT (RFC 6598), IPv6 unique-local and link-local ranges show how a cluster is \
laid out. Documentation ranges (192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32), localhost and whole ranges \
such as 10.0.0.0/8 are quiet.",
    "MASTER_ADDR=<an address of the node>",
    "MASTER_ADDR=192.0.2.17",
);

/// A host that is not public.
pub static PRIVATE_HOST: Kind = secret(
    "private-host",
    "a host name of a private network",
    "Names under `.internal`, `.corp`, `.lan`, `.local` and other private endings, or inside an organisation's internal \
zone, are of no use to a reader and of much use to an attacker. Write a placeholder or a name under example.com.",
    "registry.<your internal zone>:5000/ml/nmoe",
    "registry.example.com:5000/ml/nmoe",
);

/// The name of a machine.
pub static NODE_NAME: Kind = secret(
    "node-name",
    "the name of a machine",
    "Short machine names appear in prompts, NCCL and Slurm messages, `host=` fields and `HOSTNAME`. Replace them by a role: \
`node 0`, `<host>`.",
    "host=<name of the machine> step=12",
    "host=<host> step=12",
);

/// A name in cluster DNS.
pub static CLUSTER_DNS: Kind = secret(
    "cluster-dns",
    "the DNS name of a service inside a cluster",
    "`service.namespace.svc…` names the service and its namespace. Write a placeholder.",
    "redis://<service>.<namespace>.svc.<zone>:6379",
    "redis://${REDIS_HOST}:6379",
);

/// A pod.
pub static POD_NAME: Kind = secret(
    "pod-name",
    "the name of a pod",
    "Pod names carry the workload's and the replica set's name. Write `<pod>`.",
    "kubectl logs <name of a real pod>",
    "kubectl logs <pod>",
);

/// A namespace.
pub static NAMESPACE: Kind = secret(
    "cluster-namespace",
    "the name of a namespace",
    "A namespace or a service account of the cluster. Write `<namespace>`; Kubernetes' own (`default`, `kube-system`, …) \
are quiet.",
    "kubectl -n <name of a real namespace> get pods",
    "kubectl -n <namespace> get pods",
);

/// A volume claim.
pub static VOLUME_CLAIM: Kind = secret(
    "volume-claim",
    "the name of a volume or volume claim",
    "Claims and volumes name where data lives in the cluster. Write a placeholder or a variable.",
    "claimName: <name of a real claim>",
    "claimName: ${NMOE_DATA_PVC}",
);

/// A kube context or cluster.
pub static KUBE_CONTEXT: Kind = secret(
    "kube-context",
    "the name of a cluster, context or kubeconfig",
    "Contexts, cluster names and kubeconfig files name the cluster and often its provider and region. Write a placeholder.",
    "kubectl config use-context <name of a real context>",
    "kubectl config use-context <context>",
);

/// An identity burnt into hardware.
pub static HARDWARE_ID: Kind = secret(
    "hardware-id",
    "the identity of a piece of hardware",
    "GPU UUIDs, MAC addresses, InfiniBand GUIDs, serial numbers and machine ids tell machines apart for ever. The model and \
the index are enough.",
    "GPU 0: NVIDIA B200 (UUID: <the GPU's UUID>)",
    "GPU 0: NVIDIA B200",
);

/// An account or resource in a cloud.
pub static CLOUD_ACCOUNT: Kind = secret(
    "cloud-account",
    "an account or resource in a cloud",
    "Account numbers, project and subscription ids, buckets, instance and network ids are where an attack begins. Write a \
placeholder; documentation's account 123456789012 is quiet.",
    "arn:aws:iam::<account>:role/runner",
    "arn:aws:iam::123456789012:role/runner",
);

/// An internal URL.
pub static INTERNAL_URL: Kind = secret(
    "internal-url",
    "a URL of an internal service",
    "The URL points at a machine or service that the public cannot reach, and names it. Link to a public page, or write \
what is to be seen there.",
    "see http://<host of the dashboard>:3000/d/abc",
    "see https://<your-grafana-host>/d/<uid>",
);

/// A runbook or an incident.
pub static RUNBOOK: Kind = secret(
    "runbook",
    "an internal runbook, incident, ticket or document",
    "Links into a company's wiki, incident tool, tracker, chat or document store. The public cannot open them; titles and \
ids leak what goes on. Write the steps into the repository's docs.",
    "runbook: https://<company>.pagerduty.com/incidents/<id>",
    "runbook: docs/runner.md",
);

/// An absolute path of a private machine.
pub static PRIVATE_PATH: Kind = secret(
    "private-path",
    "a path of a private machine",
    "Home folders and mount points of shared storage name people, projects and file servers. Use `${NMOE_DATA_PATH}` and \
its kind, a path inside the repository, or one of the image (`/workspace`, `/data`).",
    "/home/<a person>/nmoe/configs/moonlet.toml",
    "${NMOE_RUN_ROOT}/configs/moonlet.toml",
);

/// A person or an account.
pub static PERSON: Kind = secret(
    "personal-identity",
    "a person, login or private mail address",
    "Logins, on-call names and mail addresses of people belong to them. Name a role or a GitHub handle.",
    "whoami -> <a login>",
    "ask the maintainers",
);

/// A term of the private list.
pub static PRIVATE_TERM: Kind = secret(
    "private-term",
    "a name from the private list",
    "The text holds a name or pattern that `NMOE_PRIVATE_TERMS` or `NMOE_PRIVATE_TERMS_FILE` lists. Only the place is said, \
never the name.",
    "",
    "",
);

/// Whether a kind of leak is a credential, which must be revoked and not only removed.
pub fn is_credential(code: &Kind) -> bool {
    TABLE
        .iter()
        .take_while(|known| known.id != PRIVATE_ADDRESS.id)
        .any(|known| known.id == code.id)
}

/// What a clean text says instead of a leak.
pub fn placeholder(code: &Kind) -> &'static str {
    match code.id {
        "private-address" => "[address]",
        "private-host" | "node-name" | "cluster-dns" | "internal-url" => "[host]",
        "pod-name" => "[pod]",
        "cluster-namespace" => "[namespace]",
        "volume-claim" => "[volume]",
        "kube-context" => "[cluster]",
        "hardware-id" => "[hardware]",
        "cloud-account" => "[account]",
        "runbook" => "[link]",
        "private-path" => "[path]",
        "personal-identity" => "[person]",
        "private-term" => "[private]",
        _ => "[secret]",
    }
}

/// Whether leaks of this kind have a form that nothing else has, so that they are believed in a binary file too.
pub fn has_form(code: &Kind) -> bool {
    [
        &GITHUB_TOKEN,
        &CLOUD_KEY,
        &MODEL_API_KEY,
        &PACKAGE_TOKEN,
        &SERVICE_TOKEN,
        &WEB_TOKEN,
        &PRIVATE_KEY,
    ]
    .iter()
    .any(|known| known.id == code.id)
}
