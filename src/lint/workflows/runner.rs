//! Reads `runs-on`: the labels of a job, and whether GitHub hosts its runner.

use crate::document::node::Node;
use crate::lint::workflows::expression::{Scope, UNKNOWN};

/// Who provides the machine of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runner {
    /// GitHub, or a provider that starts a new machine for each job.
    Hosted,
    /// The owner of the repository. The machine can keep what a job leaves on it.
    Own,
    /// The file does not say.
    Unknown,
}

/// The starts of the labels of GitHub's runners. An owner can give a runner any other label.
const HOSTED: [&str; 3] = ["ubuntu-", "windows-", "macos-"];

/// The starts of labels of providers that start a new machine for each job. The file does not say whether the repository uses the
/// provider, so the machine is not known.
const PROVIDERS: [&str; 7] = [
    "depot-",
    "blacksmith-",
    "namespace-profile-",
    "nscloud-",
    "buildjet-",
    "warp-",
    "codspeed-macro",
];

/// What labels of providers contain.
const PROVIDED: [&str; 4] = ["ubuntu", "windows", "macos", "codspeed-macro"];

/// Labels that do not identify a runner.
const COMMON: [&str; 7] = ["self-hosted", "linux", "windows", "macos", "x64", "arm", "arm64"];

/// Reads `runs-on`: a word, a list, or a map with a group and labels. Returns the labels that only the owner knows, and the kind of
/// the runner. `known` are the labels that the settings name as own. `names_own` tells whether the workflow names own runners anywhere,
/// which matters if the value is computed.
pub(super) fn of(
    node: Option<&Node>,
    scope: Scope<'_>,
    known: &[String],
    names_own: impl Fn() -> bool,
) -> (Vec<String>, Runner) {
    let Some(node) = node else {
        return (Vec::new(), Runner::Hosted);
    };
    let is_hosted = |label: &str| is_hosted(label) && !known.iter().any(|own| own == label);
    let is_group = node.get("group").is_some();
    let node = node.get("labels").unwrap_or(node);
    let texts = node.text().into_iter().chain(node.texts().map(|(text, _)| text));
    // A list needs a runner with each of its labels. Each label has one or more possible values.
    // Values that take too long to find can hide the label of an own runner.
    let labels: Option<Vec<Vec<String>>> = texts.map(|text| scope.values_within_budget(text)).collect();
    let Some(labels) = labels else {
        return (Vec::new(), Runner::Own);
    };
    let all = || labels.iter().flatten();
    let is_list = !node.items().is_empty();
    let is_own = |label: &&String| !label.contains(UNKNOWN) && !is_hosted(label) && !is_provided(label);
    let own = match is_list {
        true => {
            // GitHub's runners have one label.
            all().any(|label| label == "self-hosted" || is_own(&label) && !is_common(label))
                || !labels
                    .iter()
                    .any(|values| values.iter().all(|label| is_hosted(label)))
        }
        false => all().any(|label| !is_hosted(label)),
    };
    let runner = if labels.is_empty() {
        if is_group { Runner::Own } else { Runner::Hosted }
    } else if !own {
        // The runners of a group can have any label.
        if is_group { Runner::Unknown } else { Runner::Hosted }
    } else if all().any(|label| is_own(&label)) || all().any(|label| label.contains(UNKNOWN)) && names_own() {
        Runner::Own
    } else {
        Runner::Unknown
    };
    let own = all().filter(is_own).filter(|label| !is_common(label));
    (own.cloned().collect(), runner)
}

/// Whether a label is a runner of GitHub. An unknown label with such a start is one too.
fn is_hosted(label: &str) -> bool {
    HOSTED.iter().any(|hosted| label.starts_with(hosted))
}

/// Whether a label is one of a provider.
fn is_provided(label: &str) -> bool {
    PROVIDERS.iter().any(|start| label.starts_with(start)) && PROVIDED.iter().any(|os| label.contains(os))
}

/// Whether a label does not identify a runner.
fn is_common(label: &str) -> bool {
    COMMON.iter().any(|word| label.eq_ignore_ascii_case(word))
}
