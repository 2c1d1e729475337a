//! Selects gates: resolves a bundle, a list, a tier or a contract to an ordered list without duplicates.
//!
//! Depends on the registry only, and must not read the machine.

use std::borrow::Borrow;
use std::collections::HashSet;

use crate::domain::contract::Contract;
use crate::domain::ids::GateId;
use crate::domain::registry::{GateKind, Registry, SINGLE, TIER_A, TIER_B, Tier};
use crate::domain::suggest::{did_you_mean, nearest};

/// The gates that the caller asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// A bundle of the registry, or [`SINGLE`].
    pub bundle: Option<String>,
    pub gates: Vec<String>,
    /// Every gate of this tier.
    pub tier: Option<Tier>,
}

/// The resolved gates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The name of the selection: a bundle, `single`, `tier_a`, `tier_b`, or `None` for a list of gates.
    pub bundle: Option<String>,
    /// Gate ids in the requested order, without duplicates.
    pub gate_ids: Vec<GateId>,
}

/// Why a request cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The request names no bundle, gate or tier.
    #[error("cannot select gates: none are named\nhelp: give --bundle NAME, --gate ID or --tier a")]
    Nothing,
    /// The registry does not have this gate.
    #[error("cannot find the gate `{id}` in the registry{}", hint(.nearest.as_deref()))]
    UnknownGate {
        id: String,
        /// The most similar id.
        nearest: Option<String>,
    },
    /// The registry does not have this bundle.
    #[error("cannot find the bundle `{name}` in the registry{}", hint(.nearest.as_deref()))]
    UnknownBundle {
        name: String,
        /// The most similar name.
        nearest: Option<String>,
    },
    /// A bundle names a gate that the registry does not have.
    #[error("cannot use the bundle `{bundle}`: the registry does not have its gate `{id}`{}", hint(.nearest.as_deref()))]
    DanglingBundle {
        bundle: String,
        id: String,
        /// The most similar id.
        nearest: Option<String>,
    },
    /// The bundle `single` needs exactly one gate.
    #[error("cannot use the bundle `single`: it takes exactly one --gate, and {0} are given")]
    NotSingle(usize),
}

fn hint(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("; {}", did_you_mean(nearest)),
        None => "\nhelp: `nmoe-gates gates list` prints the gates and bundles".to_owned(),
    }
}

/// Resolves a request: first the bundle, then the gates, then the tier. Keeps the order and drops duplicates.
///
/// # Errors
/// The registry does not have a name, the request is empty, or `single` does not have exactly one gate.
pub fn resolve(registry: &Registry, request: &Request) -> Result<Selection, SelectError> {
    let single = request.bundle.as_deref() == Some(SINGLE);
    if single && request.gates.len() != 1 {
        return Err(SelectError::NotSingle(request.gates.len()));
    }
    if request.bundle.is_none() && request.gates.is_empty() && request.tier.is_none() {
        return Err(SelectError::Nothing);
    }
    let mut ids: Vec<&GateId> = Vec::new();
    if let Some(name) = request.bundle.as_deref().filter(|_| !single) {
        let bundle = registry
            .bundles
            .get(name)
            .ok_or_else(|| SelectError::UnknownBundle {
                name: name.to_owned(),
                nearest: nearest(name, registry.bundles.keys().map(GateId::as_str).chain([SINGLE]))
                    .map(str::to_owned),
            })?;
        for id in bundle {
            if !registry.gates.contains_key(id) {
                return Err(SelectError::DanglingBundle {
                    bundle: name.to_owned(),
                    id: id.to_string(),
                    nearest: nearest(id, registry.gates.keys().map(GateId::as_str)).map(str::to_owned),
                });
            }
            ids.push(id);
        }
    }
    for id in &request.gates {
        let (id, _) = registry
            .gates
            .get_key_value(id)
            .ok_or_else(|| SelectError::UnknownGate {
                id: id.clone(),
                nearest: nearest(id, registry.gates.keys().map(GateId::as_str)).map(str::to_owned),
            })?;
        ids.push(id);
    }
    if let Some(tier) = request.tier {
        ids.extend(
            registry
                .gates
                .iter()
                .filter(|(_, g)| g.tier == tier)
                .map(|(id, _)| id),
        );
    }
    let mut seen = HashSet::new();
    let gate_ids = ids.into_iter().filter(|id| seen.insert(*id)).cloned().collect();
    let bundle = match (&request.bundle, request.gates.len(), request.tier) {
        (Some(name), 0, None) => Some(name.clone()),
        (Some(_), 1, None) if single => Some(SINGLE.to_owned()),
        (None, 1, None) => Some(SINGLE.to_owned()),
        (None, 0, Some(Tier::A)) => Some(TIER_A.to_owned()),
        (None, 0, Some(Tier::B)) => Some(TIER_B.to_owned()),
        _ => None,
    };
    Ok(Selection { bundle, gate_ids })
}

/// Returns all gates that a contract needs, without duplicates: the required gates, then the compared gate and the perf gate.
pub fn required(contract: &Contract) -> Vec<GateId> {
    let perf = contract.gates.perf.iter().flat_map(|p| [&p.compare, &p.gate]);
    let mut seen = HashSet::new();
    contract
        .gates
        .required
        .iter()
        .chain(perf)
        .filter(|id| seen.insert(id.as_str()))
        .cloned()
        .collect()
}

/// Returns the gates of a contract that a selection does not include, without those of Tier A: the author of the change attests
/// those.
pub fn uncovered(registry: &Registry, contract: &Contract, gate_ids: &[GateId]) -> Vec<GateId> {
    let covered: HashSet<&GateId> = gate_ids.iter().collect();
    tier_b(registry, contract)
        .into_iter()
        .filter(|id| !covered.contains(id))
        .collect()
}

/// Returns the gates of a contract without those of Tier A, which the author of the change runs.
pub fn tier_b(registry: &Registry, contract: &Contract) -> Vec<GateId> {
    required(contract)
        .into_iter()
        .filter(|id| registry.gates.get(id).is_none_or(|g| g.tier == Tier::B))
        .collect()
}

/// Returns the smallest bundle that includes all Tier-B gates of a contract. If several have the same size, the first wins.
pub fn smallest_bundle<'a>(registry: &'a Registry, contract: &Contract) -> Option<&'a str> {
    smallest(registry, &tier_b(registry, contract))
}

/// Returns the smallest bundle that includes all these gates. If several have the same size, the first wins.
pub fn smallest<'a>(registry: &'a Registry, needed: &[impl Borrow<GateId>]) -> Option<&'a str> {
    registry
        .bundles
        .iter()
        .map(|(name, ids)| (name, ids.iter().collect::<HashSet<_>>()))
        .filter(|(_, ids)| needed.iter().all(|id| ids.contains(id.borrow())))
        .min_by_key(|(_, ids)| ids.len())
        .map(|(name, _)| name.as_str())
}

/// The name of a kind in lists and matrices.
pub fn kind_name(kind: GateKind) -> &'static str {
    match kind {
        GateKind::Command => "command",
        GateKind::Perf => "perf",
        GateKind::External => "external",
        GateKind::Kernel => "kernel",
        GateKind::Numeric => "numeric",
    }
}

/// The letter of a tier in lists and matrices.
pub fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::A => "a",
        Tier::B => "b",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
mod tests {
    use super::*;

    fn registry() -> Registry {
        toml::from_str(
            r#"
            [gates."cpu:import"]
            tier = "a"
            cmd = "true"
            [gates."b200:one"]
            tier = "b"
            cmd = "true"
            [gates."b200:two"]
            tier = "b"
            cmd = "true"
            [bundles]
            pair = ["b200:two", "b200:one", "b200:two"]
            dangling = ["b200:on"]
            "#,
        )
        .unwrap()
    }

    fn ask(bundle: Option<&str>, gates: &[&str]) -> Result<Selection, SelectError> {
        let request = Request {
            bundle: bundle.map(str::to_owned),
            gates: gates.iter().map(|g| (*g).to_owned()).collect(),
            tier: None,
        };
        resolve(&registry(), &request)
    }

    #[test]
    fn repeats_are_dropped_and_order_is_kept() {
        let selection = ask(Some("pair"), &["cpu:import", "b200:two"]).unwrap();
        assert_eq!(selection.gate_ids, ["b200:two", "b200:one", "cpu:import"]);
        assert_eq!(selection.bundle, None);
        assert_eq!(ask(Some("pair"), &[]).unwrap().bundle.as_deref(), Some("pair"));
    }

    #[test]
    fn one_gate_is_single() {
        assert_eq!(
            ask(None, &["b200:one"]).unwrap(),
            ask(Some("single"), &["b200:one"]).unwrap()
        );
        assert_eq!(ask(Some("single"), &[]), Err(SelectError::NotSingle(0)));
        assert_eq!(ask(None, &[]), Err(SelectError::Nothing));
    }

    #[test]
    fn an_unknown_name_comes_with_the_nearest() {
        let said = |r: Result<Selection, SelectError>| r.unwrap_err().to_string();
        assert!(said(ask(None, &["b200:tow"])).ends_with("did you mean `b200:two`?"));
        assert!(said(ask(Some("piar"), &[])).ends_with("did you mean `pair`?"));
        assert!(
            said(ask(Some("dangling"), &[]))
                .contains("cannot use the bundle `dangling`: the registry does not have its gate `b200:on`")
        );
        assert_eq!(
            said(ask(None, &["entirely-else"])),
            "cannot find the gate `entirely-else` in the registry\nhelp: `nmoe-gates gates list` prints the gates and bundles"
        );
    }
}
