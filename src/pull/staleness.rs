//! Decides whether results are still valid for a pull request as it is now.

use crate::domain::container::Container;
use crate::domain::evidence::{Evidence, Identity, Isolation};
use crate::domain::registry::{GateKind, Registry};
use crate::domain::resolution::Resolution;
use crate::domain::results::Results;
use crate::domain::settings::Image;
use crate::domain::verdict::Verdict;
use crate::git::{Git, diff};
use crate::plan::images;

/// The images of the runners, and a clone to find out what changed in them.
#[derive(Clone, Copy)]
pub struct ImageHistory<'a> {
    pub git: &'a Git,
    pub images: &'a [Image],
}

/// Returns the identities in which `found` differs from `now`; empty if the results are valid.
///
/// Results of an image are also stale if a file of an image changed between their base and the base of `now`.
pub fn stale(found: &Evidence, now: &Evidence, history: Option<ImageHistory<'_>>) -> Vec<Identity> {
    let mut stale = found.stale_for(now);
    if let (Some(history), Some(_), Some(was), Some(is)) = (history, &found.image, &found.base, &now.base)
        && !stale.contains(&Identity::Image)
        && history.must_rebuild(was, is)
    {
        stale.push(Identity::Image);
    }
    stale
}

/// Returns all identities that make results invalid, with the image that a gate ran in.
pub fn all(
    results: &Results,
    now: &Evidence,
    history: ImageHistory<'_>,
    registry: &Registry,
) -> Vec<Identity> {
    let mut all = stale(&results.evidence, now, Some(history));
    if !all.contains(&Identity::Image) && ran_in_other_image(results, registry) {
        all.push(Identity::Image);
    }
    all
}

/// Returns what changed since a run was resolved. `branch` is the base branch now: another one may have the same tip.
pub fn of_run(resolution: &Resolution, now: &Evidence, branch: &str) -> Vec<Identity> {
    let mut stale = stale(&resolution.evidence(), now, None);
    if resolution.base_branch != branch && !stale.contains(&Identity::Base) {
        stale.push(Identity::Base);
    }
    stale
}

/// Whether a gate ran in another image than the registry names for it by digest, or passed in a container and names no image.
pub fn ran_in_other_image(results: &Results, registry: &Registry) -> bool {
    let in_container = results.evidence.isolation == Some(Isolation::Container);
    // A published comment names the image of a gate only if it is not that of the run.
    let of_run = results.evidence.image.as_deref().filter(|_| in_container);
    results.results.iter().any(|(id, result)| {
        // An external gate runs elsewhere.
        let gate = registry
            .gates
            .get(id)
            .filter(|gate| gate.kind != GateKind::External);
        let container = gate.map(|gate| registry.container_of(gate));
        let Some(wanted) = container.as_ref().and_then(Container::digest) else {
            return false;
        };
        match result.image.as_deref().or(of_run) {
            Some(image) => image != wanted,
            None => in_container && result.status == Verdict::Pass,
        }
    })
}

impl ImageHistory<'_> {
    /// Whether an image must be rebuilt between two commits. A commit that is not here may have changed anything.
    fn must_rebuild(&self, was: &str, is: &str) -> bool {
        diff::between(self.git, was, is, false).map_or(true, |changes| {
            let images = images::decide(self.images, &changes);
            images.iter().any(|image| image.rebuild)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_another_image_are_found() {
        let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
        let registry: Registry = toml::from_str(&format!(
            "[container]\nimage = \"{}\"\n[gates.x]\ntier = \"a\"\ncmd = \"true\"",
            digest("a")
        ))
        .unwrap();
        let results = |isolation: &str, of_run: Option<&str>, image: Option<&str>| -> Results {
            serde_json::from_value(serde_json::json!({
                "schema": 1, "bundle": null, "gate_ids": ["x"], "overall": "pass", "started_at": null, "duration_s": null,
                "evidence": {"head": null, "base": null, "merge": null, "tree": null, "dirty": false, "registry": null, "isolation": isolation,
                    "contract": null, "image": of_run.map(digest), "tool": null, "target": null, "run": null},
                "results": {"x": {"status": "pass", "reason": null, "rc": 0, "duration_s": 1.0, "node_tps_p50": null, "image": image.map(digest)}},
            }))
            .unwrap()
        };
        for (isolation, of_run, of_gate, is_other) in [
            ("container", Some("a"), Some("a"), false),
            ("container", Some("a"), None, false),
            ("container", None, Some("a"), false),
            ("container", Some("a"), Some("b"), true),
            ("container", Some("b"), None, true),
            ("container", None, None, true),
            // The image of a job whose gates run on its machine.
            ("cgroup", Some("b"), None, false),
            ("cgroup", None, None, false),
        ] {
            let found = ran_in_other_image(&results(isolation, of_run, of_gate), &registry);
            assert_eq!(found, is_other, "{isolation} {of_run:?} {of_gate:?}");
        }
    }
}
