//! Checks the paths and link targets of a diff against the `scope` of a contract. `knobs` checks configuration keys.

pub mod codes;
pub mod knobs;
mod steering;

use crate::domain::contract::{Limits, Scope};
use crate::domain::finding::Finding;
use crate::domain::path_pattern::PathPattern;
use crate::git::diff::{Change, Kind, Side};
use crate::lint::codes::contract::INVALID_GLOB;
use crate::lint::path_characters;

/// A scope with parsed patterns. An invalid pattern matches nothing, and [`ScopeMatcher::faults`] reports it.
pub struct ScopeMatcher {
    allow: Vec<PathPattern>,
    deny: Vec<PathPattern>,
    faults: Vec<Finding>,
    empty: bool,
}

enum Ruling<'a> {
    Allowed,
    Denied(&'a PathPattern),
    Outside,
}

impl ScopeMatcher {
    pub fn new(scope: &Scope) -> Self {
        let mut faults = Vec::new();
        let mut compile = |list: &str, texts: &[String]| -> Vec<PathPattern> {
            let mut parse = |text: &String| {
                path_characters::parse(text)
                    .inspect_err(|fault| {
                        let message = format!("`scope.{list}` has `{text}`, which is not a path pattern");
                        faults.push(Finding::new(&INVALID_GLOB, message).help(fault));
                    })
                    .ok()
            };
            texts.iter().filter_map(&mut parse).collect()
        };
        ScopeMatcher {
            allow: compile("allow", &scope.allow),
            deny: compile("deny", &scope.deny),
            empty: scope.allow.is_empty(),
            faults,
        }
    }

    /// The patterns that cannot be used. A denied file would pass without a finding about its pattern.
    pub fn faults(&self) -> &[Finding] {
        &self.faults
    }

    fn rule(&self, path: &[u8], is_submodule: bool) -> Ruling<'_> {
        // For git a submodule is a folder, so `vendor/lib/` names it.
        let folder = is_submodule.then(|| [path, b"/"].concat());
        let covers = |pattern: &PathPattern| {
            let as_folder = folder.as_ref().filter(|_| pattern.as_str().ends_with('/'));
            pattern.matches(path) || as_folder.is_some_and(|folder| pattern.matches(folder))
        };
        if let Some(deny) = self.deny.iter().find(|d| covers(d)) {
            return Ruling::Denied(deny);
        }
        if self.allow.iter().any(covers) {
            Ruling::Allowed
        } else {
            Ruling::Outside
        }
    }

    /// Whether the scope allows a change of this path.
    pub fn allows(&self, path: &[u8]) -> bool {
        matches!(self.rule(path, false), Ruling::Allowed)
    }

    /// Checks one change. `target` is the target of a new or changed link.
    pub fn check(&self, change: &Change, target: Option<&[u8]>) -> Vec<Finding> {
        let is_submodule = [change.old.kind, change.new.kind].contains(&Kind::Submodule);
        let mut findings = Vec::new();
        if change.renamed() {
            let (from, to) = (change.old.shown(), change.new.shown());
            findings.extend(self.evaluate(&change.old, is_submodule, &format!("moved to `{to}`")));
            findings.extend(self.evaluate(&change.new, is_submodule, &format!("moved from `{from}`")));
        } else {
            findings.extend(self.evaluate(&change.new, is_submodule, what_happened(change)));
        }
        if let Some(target) = target {
            findings.extend(self.judge_link(&change.new, target));
        }
        findings.extend(self.steering(&change.new));
        findings
    }

    /// Reports a file that steers agents or gates, if the scope allows it without naming it.
    fn steering(&self, side: &Side) -> Option<Finding> {
        let path = side.shown();
        let name = steering::name_in(&path)?;
        let named = self
            .allow
            .iter()
            .any(|a| a.matches(&side.path) && steering::is_named_by(name, a.as_str()));
        (!named && self.allows(&side.path)).then(|| {
            let message = format!("`{path}` steers agents or gates, and `scope.allow` does not name it");
            Finding::new(&codes::STEERING_CHANGE, message)
                .in_path(path)
                .help("name it in `scope.allow`, or leave it out of the change")
        })
    }

    /// Reports a change of more files or lines than the contract allows.
    pub fn size(limits: Limits, files: u64, lines: u64) -> Vec<Finding> {
        [("files", limits.files, files), ("lines", limits.lines, lines)]
            .into_iter()
            .filter_map(|(what, limit, found)| {
                let limit = limit.filter(|limit| found > *limit)?;
                let message = format!("the change has {found} {what}, and `contract.limits` allows {limit}");
                Some(
                    Finding::new(&codes::CHANGE_TOO_LARGE, message)
                        .help("split the change, or change the limits of the contract first"),
                )
            })
            .collect()
    }

    fn evaluate(&self, side: &Side, is_submodule: bool, happened: &str) -> Option<Finding> {
        let path = side.shown();
        let finding = match self.rule(&side.path, is_submodule) {
            Ruling::Allowed => return None,
            Ruling::Denied(deny) => Finding::new(
                &codes::DENIED_PATH,
                format!("`{path}` is {happened}, and `scope.deny` has `{}`", deny.as_str()),
            ),
            Ruling::Outside => {
                let why = if self.empty {
                    "`scope.allow` is empty"
                } else {
                    "no entry of `scope.allow` covers it"
                };
                Finding::new(&codes::OUT_OF_SCOPE, format!("`{path}` is {happened}, and {why}"))
            }
        };
        Some(
            finding
                .in_path(path)
                .help("revert the change, or change the scope of the contract first"),
        )
    }

    fn judge_link(&self, link: &Side, target: &[u8]) -> Option<Finding> {
        let shown = String::from_utf8_lossy(target);
        let says = match resolve(&link.path, target) {
            None => format!(
                "`{}` points outside of the repository, to `{shown}`",
                link.shown()
            ),
            Some(inside) if self.allows(&inside) => return None,
            Some(inside) => format!(
                "`{}` points to `{}`, which the scope does not allow",
                link.shown(),
                String::from_utf8_lossy(&inside)
            ),
        };
        Some(
            Finding::new(&codes::LINK_OUT_OF_SCOPE, says)
                .in_path(link.shown())
                .help("link to something inside the scope, or copy what is needed"),
        )
    }
}

fn what_happened(change: &Change) -> &'static str {
    match (change.old.kind, change.new.kind) {
        (_, Kind::Absent) => "deleted",
        (_, Kind::Submodule) | (Kind::Submodule, _) => "changed as a submodule",
        (Kind::Absent, Kind::Link) => "added as a link",
        (Kind::Absent, _) => "added",
        (old, new) if old != new && change.same_content() => "changed in mode",
        _ => "changed",
    }
}

/// Returns the target of a link, relative to the top of the repository; `None` if it is outside.
fn resolve(link: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    if target.starts_with(b"/") {
        return None;
    }
    let mut parts: Vec<&[u8]> = link.split(|b| *b == b'/').collect();
    parts.pop();
    for part in target.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_resolved_inside_the_repository() {
        let at = |link: &str, target: &str| resolve(link.as_bytes(), target.as_bytes());
        assert_eq!(at("a/b/link", "../c").unwrap(), b"a/c");
        assert_eq!(at("link", "a/./b").unwrap(), b"a/b");
        assert_eq!(at("a/link", "../../x"), None);
        assert_eq!(at("a/link", "/etc"), None);
        assert_eq!(at("a/link", ".."), None);
    }
}
