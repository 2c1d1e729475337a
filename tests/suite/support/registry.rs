//! Builds registries as maintainers write them.
#![allow(dead_code, reason = "not every test binary uses each of these")]

use std::fmt::Write as _;

/// The text of a registry, gate by gate.
#[derive(Clone, Default)]
pub struct Registry {
    gates: String,
    bundles: String,
}

/// Returns a registry without gates.
pub fn registry() -> Registry {
    Registry::default()
}

impl Registry {
    /// Adds a Tier-A gate.
    pub fn tier_a(self, id: &str, cmd: &str) -> Self {
        self.gate(id, cmd, "tier = \"a\"")
    }

    /// Adds a Tier-B gate that needs eight GPUs.
    pub fn tier_b(self, id: &str, cmd: &str) -> Self {
        self.gate(id, cmd, "tier = \"b\"\ngpus = 8")
    }

    /// Adds a gate with further keys.
    pub fn gate(self, id: &str, cmd: &str, keys: &str) -> Self {
        self.raw(&format!("[gates.\"{id}\"]\n{keys}\ncmd = '''{cmd}'''"))
    }

    /// Adds a Tier-B perf gate with further keys.
    pub fn perf(self, id: &str, compare_gate: &str, keys: &str) -> Self {
        self.raw(&format!(
            "[gates.\"{id}\"]\ntier = \"b\"\nkind = \"perf\"\ncompare_gate = \"{compare_gate}\"\nmetric = \"node_tps_p50\"\n{keys}"
        ))
    }

    /// Adds text.
    pub fn raw(mut self, text: &str) -> Self {
        self.gates.push_str(text);
        self.gates.push('\n');
        self
    }

    /// Adds a bundle.
    pub fn bundle(mut self, name: &str, ids: &[&str]) -> Self {
        writeln!(self.bundles, "{name} = {ids:?}").unwrap();
        self
    }

    /// Returns the text.
    pub fn text(&self) -> String {
        format!("{}[bundles]\n{}", self.gates, self.bundles)
    }
}
