//! Decides which images a diff makes necessary to rebuild: those whose files changed, and those that are built on them.
//!
//! Code is not a reason, because every run checks it out and builds it again.

use serde::Serialize;

use crate::domain::path_pattern::PathPattern;
use crate::domain::settings::Image;
use crate::git::diff::{Change, Kind};

/// Whether an image must be rebuilt, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The name of the image.
    pub name: String,
    /// Whether it must be rebuilt.
    pub rebuild: bool,
    /// The reasons, one sentence each.
    pub why: Vec<String>,
}

/// Decides for each image of a chain, in build order. Each image is built on the previous one.
pub fn decide(chain: &[Image], changes: &[Change]) -> Vec<Decision> {
    let mut below: Option<&str> = None;
    let mut decisions = Vec::new();
    for image in chain {
        let mut why: Vec<String> = changes
            .iter()
            .flat_map(|change| touches(change, &image.files))
            .collect();
        why.extend(below.map(|name| format!("it is built on `{name}`")));
        let rebuild = !why.is_empty();
        if rebuild {
            below = Some(&image.name);
        } else {
            why.push(format!(
                "nothing changed in {}",
                image
                    .files
                    .iter()
                    .map(PathPattern::written)
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
        }
        decisions.push(Decision {
            name: image.name.clone(),
            rebuild,
            why,
        });
    }
    decisions
}

/// Rebuilds all images, because no earlier commit exists.
pub fn all(chain: &[Image], why: &str) -> Vec<Decision> {
    let rebuilt = |image: &Image| Decision {
        name: image.name.clone(),
        rebuild: true,
        why: vec![why.to_owned()],
    };
    chain.iter().map(rebuilt).collect()
}

/// Describes what a change does to these files. A changed file mode is ignored, because builds copy only the content.
fn touches(change: &Change, files: &[PathPattern]) -> Vec<String> {
    let is_one = |path: &[u8]| files.iter().any(|f| f.matches(path));
    let (old, new) = (change.old.shown(), change.new.shown());
    if change.renamed() {
        let mut why = Vec::new();
        if is_one(&change.old.path) {
            why.push(format!("`{old}` moved to `{new}`"));
        }
        if is_one(&change.new.path) {
            why.push(format!("`{new}` moved here from `{old}`"));
        }
        return why;
    }
    if !is_one(&change.new.path) || change.same_content() {
        return Vec::new();
    }
    let what = match (change.old.kind, change.new.kind) {
        (Kind::Absent, _) => "was added",
        (_, Kind::Absent) => "was removed",
        _ => "changed",
    };
    vec![format!("`{new}` {what}")]
}
