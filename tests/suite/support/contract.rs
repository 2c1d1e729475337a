//! Builds contracts as authors write them into issues.
#![allow(dead_code, reason = "not every test binary uses each of these")]

/// A contract for work of kind `feature`. Lists are YAML flow sequences without brackets.
#[derive(Default)]
pub struct Contract<'a> {
    issue: &'a str,
    slug: &'a str,
    depends_on: &'a str,
    hotspots: &'a str,
    allow: &'a str,
    deny: &'a str,
    added_knobs: &'a str,
    changed_knobs: &'a str,
    gate: &'a str,
}

/// Returns a contract of risk `cold` that requires the Tier-A gates of [`super::results::REGISTRY`].
pub fn contract<'a>(issue: &'a str, slug: &'a str) -> Contract<'a> {
    Contract {
        issue,
        slug,
        ..Contract::default()
    }
}

impl<'a> Contract<'a> {
    /// Sets the contracts that this contract depends on.
    pub fn depends_on(self, depends_on: &'a str) -> Self {
        Contract { depends_on, ..self }
    }

    /// Sets the declared merge hotspots.
    pub fn hotspots(self, hotspots: &'a str) -> Self {
        Contract { hotspots, ..self }
    }

    /// Sets the path patterns of the scope.
    pub fn allow(self, allow: &'a str) -> Self {
        Contract { allow, ..self }
    }

    /// Sets the path patterns that are excluded from the scope.
    pub fn deny(self, deny: &'a str) -> Self {
        Contract { deny, ..self }
    }

    /// Sets the knobs that may be added and changed.
    pub fn knobs(self, added_knobs: &'a str, changed_knobs: &'a str) -> Self {
        Contract {
            added_knobs,
            changed_knobs,
            ..self
        }
    }

    /// Requires one more gate.
    pub fn requires(self, gate: &'a str) -> Self {
        Contract { gate, ..self }
    }

    /// Returns the block without its fences.
    pub fn yaml(&self) -> String {
        let Contract {
            issue,
            slug,
            depends_on,
            hotspots,
            allow,
            deny,
            added_knobs,
            changed_knobs,
            gate,
        } = self;
        let more = if gate.is_empty() {
            String::new()
        } else {
            format!("    - {gate}\n")
        };
        format!(
            "nmoe:\n  issue: {issue}\n  slug: {slug}\n  kind: feature\n  risk: cold\n  complexity: S\n  depends_on: [{depends_on}]\n  \
             merge_hotspots: [{hotspots}]\n\nscope:\n  allow: [{allow}]\n  deny: [{deny}]\n\n\
             contract:\n  invariants:\n    - B200-only (sm_100a); fail off-target\n    - No NCCL all-to-all on the MoE path\n    \
             - TOML-only configuration; container-first\n  knobs:\n    add: [{added_knobs}]\n    change: [{changed_knobs}]\n\n\
             gates:\n  required:\n    - cpu:import\n    - cpu:compileall\n{more}"
        )
    }

    /// Returns the section of the contract in an issue.
    pub fn section(&self) -> String {
        format!(
            "### Agent Contract (YAML, required)\n\n```yaml\n{}```\n",
            self.yaml()
        )
    }

    /// Returns an issue with all sections of the form.
    pub fn issue_body(&self) -> String {
        format!(
            "### Summary (what + why)\n\nWork.\n\n{}\n### Notes (optional)\n\n_No response_\n\n### Public-safety confirmation \
             (required)\n\n- [x] Nothing internal.\n",
            self.section()
        )
    }
}
