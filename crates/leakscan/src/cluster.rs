//! What Kubernetes names: pods, namespaces, claims, contexts.

use crate::false_positives::is_placeholder;
use crate::false_positives::listed;
use crate::kinds::KUBE_CONTEXT;
use crate::kinds::NAMESPACE;
use crate::kinds::POD_NAME;
use crate::kinds::VOLUME_CLAIM;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::after;
use crate::window::around;

/// The rules of this family.
pub static RULES: &[Rule] = &[
    Rule::code(&POD_NAME, &["-"], generated_name)
        .prefilter_if(|text, at| text.get(at + 1..at + 6).is_some_and(|tail| tail.iter().all(|&b| is_generated(b)))),
    Rule::line(&POD_NAME, &["pod/", "pods/"], r"\bpods?/([a-z0-9][a-z0-9.-]*-[a-z0-9.-]*[a-z0-9])").accept_if(is_pod),
    Rule::line(&POD_NAME, &["pods \"", "pod \"", "pod '", "pods '", "pod `", "pod \\\""], r#"\bpods?\s\\?["'`]([a-z0-9][a-z0-9./-]*-[a-z0-9.-]*[a-z0-9])\\?["'`]"#).accept_if(is_object),
    Rule::line(&POD_NAME, &["pod"], r#"\b(?i:pod|pod[_-]?name)\\?["']?\s{0,2}[=:]\s{0,2}\\?["']?([a-z0-9][a-z0-9.-]*-[a-z0-9.-]*[a-z0-9])\\?["',}\s]?"#).accept_if(is_object),
    Rule::line(&POD_NAME, &["crashloopbackoff", "oomkilled", "imagepullbackoff", "errimagepull", "containercreating", " running", " pending", " completed ", " evicted ", " terminating "], r"(?:^|\s)([a-z0-9][a-z0-9.]*-[a-z0-9.-]*[a-z0-9])\s+\d+/\d+\s+(?:Running|Pending|Completed|Evicted|Terminating|Error|CrashLoopBackOff|OOMKilled|ImagePullBackOff|ErrImagePull|ContainerCreating)(?:\s+\d|\s*$)").accept_if(is_object),
    Rule::line(&POD_NAME, &["crashloopbackoff", "oomkilled", "imagepullbackoff", "containercreating", " running", " pending", " evicted"], r"(?:^|\s)([a-z0-9][a-z0-9-]*-[bcdfghjklmnpqrstvwxz2456789]{5})\s+(?:Running|Pending|Evicted|CrashLoopBackOff|OOMKilled|ImagePullBackOff|ContainerCreating)\b").accept_if(is_object),
    Rule::line(&POD_NAME, &["pod "], r"\b(?i:pod) ([a-z0-9]+(?:-[a-z0-9]+)*-[bcdfghjklmnpqrstvwxz2456789]{5})(?:[\s,.:]|$)").accept_if(is_drawn),
    Rule::line(&POD_NAME, &["pod "], r"\b(?i:pod) ([a-z0-9]+(?:-[a-z0-9]+){2,}) (?:is|was|has|failed|crashed)\b").accept_if(is_drawn),
    Rule::line(&POD_NAME, &["/log/containers/", "/log/pods/"], r"/log/(?:containers/([a-z0-9][a-z0-9.-]*)_|pods/([a-z0-9-]+_[a-z0-9][a-z0-9.-]*)_)").accept_if(is_object),
    Rule::line(&POD_NAME, &["-shard-", "-run-", "wf-"], r"\b([a-z0-9-]+-[bcdfghjklmnpqrstvwxz2456789]{5}-[a-z0-9-]+-(?:\d{7,10}|pod))\b").accept_if(is_drawn),
    Rule::line(&POD_NAME, &["name:  "], r"^Name:\s+([a-z0-9-]+-[bcdfghjklmnpqrstvwxz2456789]{5})\s*$").accept_if(is_object),
    Rule::line(&POD_NAME, &["kubectl cp ", "stern "], r"(?:\bkubectl cp\s(?:\S+\s)?([a-z0-9-]+/[a-z0-9][a-z0-9.-]*):|\bstern\s([a-z0-9-]+-[bcdfghjklmnpqrstvwxz2456789]{5})(?:\s|$))").accept_if(is_object),
    Rule::line(&POD_NAME, &["pod "], r"\b(?i:pod) ([a-z0-9]+(?:-[a-z0-9]+)+_[a-z0-9-]+)(?:[\s,.:(]|$)").accept_if(is_object),
    Rule::line(&VOLUME_CLAIM, &["pvc "], r"\bPVC ([a-z0-9-]+/[a-z0-9][a-z0-9.-]*[a-z0-9])\b").accept_if(is_claim),
    Rule::line(&POD_NAME, &["crictl "], r"\bcrictl\s[^\n]*\s([a-z0-9]+(?:-[a-z0-9]+){2,})\s*$").accept_if(is_drawn),
    Rule::at(&VOLUME_CLAIM, &["kubernetes_persistent_volume_claim"], r#"kubernetes_persistent_volume_claim(?:_v1)?"\s+"\w+"\s*\{\s*metadata\s*\{\s*name\s*=\s*"([a-z0-9.-]+)""#).accept_if(is_claim),
    Rule::at(&VOLUME_CLAIM, &["name:  "], r"Name:\s+([a-z0-9.-]+)\s*\nStatus:\s+Bound\b").accept_if(is_claim),
    Rule::line(&VOLUME_CLAIM, &["` pvc", "\" pvc", "' pvc", "` claim", "\" claim"], r#"["'`]([a-z0-9]+(?:-[a-z0-9]+)+)["'`] (?i:pvc|claim)\b"#).accept_if(is_claim),
    Rule::line(&POD_NAME, &["pod "], r"\b(?i:pod) ([a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9.]*-[a-z0-9.-]*[a-z0-9])\b").accept_if(is_object),
    Rule::line(&POD_NAME, &["runner name", "runner_name", "listener name"], r#"(?i:(?:runner|listener)[ _]name)["']?\s{0,2}[=:]\s{0,2}["'`]?([a-z0-9][a-z0-9.-]*-[a-z0-9.-]*[a-z0-9])"#).accept_if(is_object),
    Rule::line(&POD_NAME, &["kubectl", "oc logs", "oc exec", "oc rsh", "stern ", "crictl"], r"(?:kubectl|oc|k)\s(?:-\S+\s(?:[\w-]+\s)?)*?(?:logs|exec|attach|port-forward|debug|rsh|cp|(?:describe|delete|get|edit|annotate|label|top)\s(?:po|pod|pods))\s(?:-n\s\S+\s|-[a-mo-z]\w*\s|--[\w-]+(?:=\S+)?\s)*(?:pod/|po/)?([a-z0-9][a-z0-9.-]*-[a-z0-9.-]*[a-z0-9])").accept_if(is_object),
    Rule::line(&NAMESPACE, &["kubectl", "helm", "stern", "k9s", "oc ", "kustomize", "velero", "argocd", "flux ", "istioctl", "kubectx", "kubeseal", "skaffold", "tilt ", "vcluster", "arena ", "linkerd", "cilium", "kubecolor", "tkn "], r#"(?:^|[\s`'"(/$;&|])(?:vcluster|arena|linkerd|cilium|kubecolor|tkn|kubectl|helm|helmfile|stern|k9s|oc|kustomize|velero|argocd|flux|istioctl|kubeseal|skaffold|tilt|k)\s(?:[^|;&\n]*?\s)?(?:-n[\s=]?|--namespace[\s=]|--namespaces[\s=])["']?([a-z0-9][a-z0-9-]*)"#).accept_if(is_namespace),
    Rule::line(&NAMESPACE, &["-namespace"], r#"--(?:(?:dest|kube|target|watch)-)?namespace[\s=]["']?([a-z0-9][a-z0-9-]*[a-z0-9])"#).accept_if(is_namespace),
    Rule::line(&NAMESPACE, &["kubens ", "oc new-project ", "oc project ", "create namespace ", "create ns ", "namespaces/", "namespace/"], r"(?:\bkubens|\boc (?:new-)?project|\bcreate n(?:amespace|s)|\b(?:describe|delete|get|label) n(?:amespaces?|s)|\bnamespaces?/)[\s/]?([a-z0-9][a-z0-9-]*[a-z0-9])").accept_if(is_namespace),
    Rule::line(&NAMESPACE, &["ns/"], r"\bns/([a-z0-9]+(?:-[a-z0-9]+)+)").accept_if(is_namespace),
    Rule::line(&NAMESPACE, &["describe ns ", "describe namespace ", "delete ns ", "delete namespace ", "get ns ", "get namespace ", "label ns ", "label namespace "], r"\b(?:describe|delete|get|label) n(?:amespaces?|s)\s([a-z0-9][a-z0-9-]*[a-z0-9])").accept_if(is_namespace),
    Rule::line(&NAMESPACE, &["namespace"], r#"\b(?i:namespace|namespace[_-]?name|pod_namespace|kube_namespace|k8s_namespace|target_?namespace)\\?["']?\s{0,2}[:=]\s{0,2}\\?["']?([a-z][a-z0-9]*(?:-[a-z0-9]+)+)(?:[\\"',}\s]|$)"#).accept_if(is_namespace),
    Rule::code(&NAMESPACE, &["namespace: "], yaml_namespace),
    Rule::at(&NAMESPACE, &["kind: namespace"], r#"kind: Namespace\s+metadata:\s+name:\s+["']?([a-z0-9][a-z0-9-]*)"#).accept_if(is_namespace),
    Rule::at(&VOLUME_CLAIM, &["kind: persistentvolume"], r#"kind: PersistentVolume(?:Claim)?\s+(?:metadata:\s+)?name:\s+["']?([a-z0-9][a-z0-9.-]*)"#).accept_if(is_claim),
    Rule::line(&VOLUME_CLAIM, &["claim \"", "claim '", "claim `", "bound to claim "], r#"\bclaim ["'`]?([a-z0-9][a-z0-9.-]*[-/][a-z0-9.-]*[a-z0-9])["'`\s]?"#).accept_if(is_claim),
    Rule::line(&NAMESPACE, &["namespace \"", "namespace '", "namespace `", "namespaces \"", "namespace \\\""], r#"\bnamespaces?\s\\?["'`]([a-z0-9][a-z0-9-]*[a-z0-9])\\?["'`]"#).accept_if(is_namespace),
    Rule::line(&NAMESPACE, &["using project \""], r#"[Uu]sing project "([a-z0-9][a-z0-9-]*)""#).accept_if(is_namespace),
    Rule::line(&NAMESPACE, &["in namespace ", "in the namespace "], r"\bin (?:the )?namespace ([a-z0-9]+(?:-[a-z0-9]+)+)").accept_if(is_namespace),
    Rule::line(&NAMESPACE, &["serviceaccount:", "serviceaccounts:"], r"\b(?i:serviceaccounts?):([a-z0-9][a-z0-9-]*(?::[a-z0-9][a-z0-9.-]*)?)").accept_if(is_account),
    Rule::line(&VOLUME_CLAIM, &["claimname", "existingclaim"], r#"(?i:claim_?name|existing_?claim)\\?["']?\s{0,2}[:=]\s{0,2}\\?["']?([A-Za-z0-9][A-Za-z0-9.-]*)"#).accept_if(is_claim),
    Rule::line(&VOLUME_CLAIM, &["persistentvolumeclaim", "persistentvolume"], r#"(?i:persistentvolume(?:claim)?s?)[\s/=]\\?["'`]?([a-z0-9][a-z0-9.-]*-[a-z0-9.-]*[a-z0-9])"#).accept_if(is_claim),
    Rule::line(&VOLUME_CLAIM, &["pvc"], r#"(?:\b|_|source)(?i:pvc)(?:/|\s|\s?[=:]\s?|_name[=:]\s?|\s"|\s')\\?["'`]?([a-z0-9][a-z0-9.-]*-[a-z0-9.-]*[a-z0-9])"#).accept_if(is_claim),
    Rule::line(&VOLUME_CLAIM, &["pvc"], r"(?i:pvc)[^\n]{0,20}[\s/]([a-z0-9]+(?:-[a-z0-9]+)*-(?:rwx|rwo|rox|pvc)|[a-z0-9]+(?:-[a-z0-9]+)+)\s+(?:Bound|Pending|Lost|Terminating)\b").accept_if(is_claim),
    Rule::line(&VOLUME_CLAIM, &["volumes=["], r"volumes=\[([a-z0-9]+(?:-[a-z0-9]+)+)").accept_if(is_claim),
    Rule::line(&VOLUME_CLAIM, &["pvc-", "csi-vol-"], r"\b((?:pvc|csi-vol)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"),
    Rule::line(&VOLUME_CLAIM, &["volumename:", "volumehandle:"], r#"volume(?:Name|Handle):\s{0,2}["']?([a-z0-9][\w.:-]*-[\w.:-]*\w)"#).accept_if(is_claim),
    Rule::line(&VOLUME_CLAIM, &[" bound "], r"^\s*([a-z0-9]+(?:-[a-z0-9]+)+)\s+Bound\s+\S+\s+\d+[GTM]i\b").accept_if(is_claim),
    Rule::line(&KUBE_CONTEXT, &["use-context", "set-context", "delete-context", "rename-context", "--context", "--kube-context", "kubectx", "current-context", "get-contexts"], r#"(?:(?:use|set|delete|rename)-context|--(?:kube-)?context[\s=]|current-context:|\bkubectx)\s{0,2}["']?([A-Za-z0-9][\w.@:/-]*)"#).accept_if(is_context),
    Rule::line(&KUBE_CONTEXT, &["to context \"", "to context '", "to context `", "to new context ", "context \""], r#"(?:(?i:switched to (?:new )?context)|^(?:error: )?(?i:context)) ["'`]([\w.@:/-]*[\d@:/-][\w.@:/-]*)["'`]"#).accept_if(is_context),
    Rule::line(&KUBE_CONTEXT, &["get-credentials", "update-kubeconfig", "--cluster-name", "--cluster ", "--cluster=", "--cluster_name"], r#"(?:get-credentials\s(?:--\S+\s\S+\s)*?|update-kubeconfig\s[^\n]*?--name[\s=]|--cluster(?:[-_]name)?[\s=])["']?([A-Za-z0-9][\w.-]*)"#).accept_if(is_context),
    Rule::line(&KUBE_CONTEXT, &["kube login ", "kubeconfig save ", "rancher context switch ", "argocd cluster add ", "--kubecontext"], r"(?:kube login|kubeconfig save|rancher context switch|argocd cluster add|--kubecontext)\s(?:--?\S+\s)*([A-Za-z0-9][\w.:-]*)").accept_if(is_context),
    Rule::line(&KUBE_CONTEXT, &["az aks"], r"az aks\s[^\n]*?(?:-n|--name)[\s=]([A-Za-z0-9][\w.-]*)").accept_if(is_context),
    Rule::line(&KUBE_CONTEXT, &["cluster"], r#"\b(?i:cluster|cluster[_-]?name|kube_?cluster|k8s_?cluster)\\?["']?\s{0,2}[=:]\s{0,2}\\?["']?([a-z][a-z0-9]*(?:-[a-z0-9]+)+)(?:[\\"',}\s]|$)"#).accept_if(is_context),
    Rule::line(&KUBE_CONTEXT, &["context:"], r#"^\s*-?\s*context:\s{1,2}["']?([a-z][\w.]*(?:[@-][\w.]+)+)["']?\s*$"#).accept_if(is_context),
    Rule::line(&KUBE_CONTEXT, &["kubernetes-admin@"], r"\bkubernetes-admin@([a-z][\w.-]*-[\w.-]*\w)").accept_if(is_context),
    Rule::line(&KUBE_CONTEXT, &["kube_context", "kubecontext", "config_context", "k8s_contexts("], r#"(?i:kube_?context|config_context|k8s_contexts\()["']?\s?[:=]?\s?["']?([a-z][\w.-]*-[\w.-]*\w)"#).accept_if(is_context),
    Rule::line(&KUBE_CONTEXT, &["\u{2388}"], r"\|([a-z][\w.@/-]*-[\w.@/-]*):[\w-]+\)").accept_if(is_context),
    Rule::line(&KUBE_CONTEXT, &["/api-"], r"\b([\w-]+/api-[\w-]+:\d{4}(?:/[\w:]+)?)").accept_if(is_context),
    Rule::line(&KUBE_CONTEXT, &[" cluster"], r"(?:\bthe ([a-z][a-z0-9]*(?:-[a-z0-9]+)*-(?:prod|production|staging|stage|dev)(?:-[a-z0-9]+)?) cluster\b|\bcluster ([a-z][a-z0-9]*(?:-[a-z0-9]+)*-(?:prod|production|staging|stage)(?:-[a-z0-9]+)?)\b)").accept_if(is_context),
    Rule::line(&KUBE_CONTEXT, &["gke_"], r"\b(gke_[a-z][a-z0-9-]+_[a-z]+-[a-z0-9-]+_[a-z0-9-]+)"),
    Rule::line(&KUBE_CONTEXT, &[":eks:", ":cluster/"], r"arn:aws[a-z-]*:eks:[a-z0-9-]+:\d{12}:cluster/([\w-]+)").accept_if(is_context),
    Rule::line(&KUBE_CONTEXT, &["kubeconfig", "--kubeconfig", ".kube/"], r#"\.kube/([\w.-]*\w)"#).accept_if(is_kubeconfig_file),
    Rule::line(&KUBE_CONTEXT, &["kubeconfig"], r#"(?i:kubeconfig)[\s=:]{1,2}["']?((?:[\w./$~-]*/)?[\w.-]*-[\w-]*\.(?:ya?ml|conf|kubeconfig|config))"#).accept_if(is_context),
];

/// Letters and digits that Kubernetes takes for generated names: no vowels, nothing that could be misread.
fn is_generated(b: u8) -> bool {
    b"bcdfghjklmnpqrstvwxz2456789".contains(&b)
}

/// `…-6d5f9c7b8d-l25f5` of a replica set, `…-rrqpr-runner-snfbw` of a runner set.
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
    let word = crate::window::before(text, start);
    if (replica || runner) && !word.is_ascii_alphanumeric() && word != b'_' {
        let start = start + lead.iter().take_while(|b| **b == b'-').count();
        found.report(&POD_NAME, start..at + 5);
    }
}

/// Words that stand where a name would, in documentation and help.
const COMMON: &str = "my-pod pod-name my-namespace your-namespace your-pod pod-template template-spec my-pvc your-pvc my-claim \
    claim-name my-cluster your-cluster cluster-name context-name my-context self-hosted example-pod test-pod \
    test-namespace some-pod some-namespace host-network pod-security read-only non-root my-app my-release \
    pvc-name namespace-name cluster-ip cluster-admin load-balancer single-node multi-node all-namespaces \
    no-headers dry-run data-pvc thread-block storage-class docker-desktop kind-kind cluster-wide \
    namespace-scoped";

/// Namespaces that come with Kubernetes and with what everyone installs.
const PUBLIC_NAMESPACES: &str = "default kube-system kube-public kube-node-lease cert-manager istio-system ingress-nginx gpu-operator \
    nvidia-gpu-operator metallb-system flux-system argocd argo knative-serving kubeflow all openshift kube str \
    string none null true false foo bar test ns name monitoring namespace arc-systems arc-runners \
    actions-runner-system kubernetes-dashboard local-path-storage tekton-pipelines longhorn-system calico-system \
    tigera-operator cilium node-feature-discovery volcano-system linkerd rook-ceph nvidia-network-operator \
    network-operator get list in is std packages";

/// A name of an object that is nobody's example.
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
}

/// An object's name with something in it that was drawn or counted.
fn is_drawn(name: &[u8]) -> bool {
    name.iter().any(u8::is_ascii_digit) && is_pod(name)
        || name
            .rsplit(|b| *b == b'-')
            .next()
            .is_some_and(|tail| tail.len() == 5 && tail.iter().all(|&b| is_generated(b)) && is_pod(name))
}

/// An object's name and no file of a directory `pods/`.
fn is_pod(name: &[u8]) -> bool {
    let file = [&b".yaml"[..], b".yml", b".md", b".json", b".html"]
        .iter()
        .any(|ending| name.ends_with(ending));
    !file && is_object(name)
}

/// A namespace that does not come with Kubernetes or what everyone installs.
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

/// The name of a volume or of a claim to one.
pub fn is_claim(name: &[u8]) -> bool {
    !matches!(
        name,
        b"is" | b"are" | b"support" | b"template" | b"spec" | b"name"
    ) && is_object(name)
}

/// The name of a context or a cluster.
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

/// A file in `.kube/` that is not the usual one.
fn is_kubeconfig_file(name: &[u8]) -> bool {
    !name.starts_with(b"config")
        && !name.starts_with(b"cache")
        && !matches!(name, b"kubeconfig" | b"http-cache" | b"kuberc")
        && is_object(name)
        || name.starts_with(b"config-") && is_object(name)
}

/// A namespace without a hyphen, in YAML that is Kubernetes' own.
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
        found.report(&NAMESPACE, start..start + value.len());
    }
}
