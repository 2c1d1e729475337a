//! Turns the selected gates of a registry into those of a rehearsal, which runs on a machine without the target.
//!
//! Must not run anything.

use indexmap::IndexMap;

use crate::domain::ids::GateId;
use crate::domain::registry::{Gate, GateKind, Registry};
use crate::domain::results::GateResult;
use crate::domain::verdict::{Reason, Verdict};

/// Replaces the command of each gate that needs the target or an executor with its `rehearse` command. Returns the results of the gates that a
/// rehearsal skips: gates without such a command, and comparisons, whose numbers would mean nothing.
pub fn prepare(registry: &mut Registry, ids: &[GateId]) -> IndexMap<GateId, GateResult> {
    let mut skipped = IndexMap::new();
    for id in ids {
        let Some(gate) = registry.gates.get_mut(id) else {
            continue;
        };
        let compares = gate.kind.compares();
        if !compares && !gate.needs_target() && gate.executor.is_none() {
            continue;
        }
        match gate.rehearse.take().filter(|_| !compares) {
            Some(cmd) => {
                *gate = Gate {
                    kind: GateKind::Command,
                    cmd: Some(cmd),
                    gpus: 0,
                    kernel: Some(false),
                    nodes: 1,
                    executor: None,
                    // The data of the target is not on this machine.
                    requires: Vec::new(),
                    ..gate.clone()
                };
            }
            None => {
                skipped.insert(
                    id.clone(),
                    GateResult::new(Verdict::NotRun, Some(Reason::Rehearsal)),
                );
            }
        }
    }
    skipped
}
