//! Decides whether results are still valid for a pull request as it is now.

use crate::domain::evidence::{Evidence, Identity};
use crate::domain::settings::Image;
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

impl ImageHistory<'_> {
    /// Whether an image must be rebuilt between two commits. A commit that is not here may have changed anything.
    fn must_rebuild(&self, was: &str, is: &str) -> bool {
        diff::between(self.git, was, is, false).map_or(true, |changes| {
            let images = images::decide(self.images, &changes);
            images.iter().any(|image| image.rebuild)
        })
    }
}
