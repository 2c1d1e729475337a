//! Checks before a run whether the selected gates can run here, and reports everything that is missing for all gates.

use std::ffi::OsString;
use std::path::Path;

use indexmap::IndexMap;

use crate::domain::executor::{Executor, ExecutorKind};
use crate::domain::gate_environment;
use crate::domain::ids::GateId;
use crate::domain::registry::{Gate, GateKind, Registry};
use crate::domain::results::GateResult;
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::gpu_probe::GpuProbe;
use crate::gate::metrics::Meter;
use crate::system::files;

/// The least free space for the results, in bytes.
const FREE: u64 = 16 << 20;

/// The machine that is checked.
pub struct Machine<'a> {
    pub target: &'a GpuProbe,
    /// Looks up a variable in the environment of this process.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The checkout under test.
    pub subject: &'a Path,
    /// The path of the results.
    pub results: &'a Path,
    /// What can submit jobs; `None` if the caller submits none.
    pub submits: Option<Submits<'a>>,
}

/// What can submit jobs.
#[derive(Clone, Copy)]
pub struct Submits<'a> {
    /// The programs that SLURM needs.
    pub clients: &'a [&'a str],
    /// Whether a cluster of Kubernetes is configured.
    pub has_cluster: bool,
}

/// Returns the gates that cannot run, each with everything that it lacks, in the order of the selection.
pub fn check(
    registry: &Registry,
    gate_ids: &[GateId],
    runs: impl Fn(&str, &Gate) -> bool,
    machine: &Machine<'_>,
) -> IndexMap<GateId, GateResult> {
    let everywhere = machine.lacks();
    gate_ids
        .iter()
        .filter_map(|id| registry.gates.get(id).map(|gate| (id, gate)))
        .filter(|(id, gate)| gate.kind != GateKind::External && runs(id, gate))
        .filter_map(|(id, gate)| {
            let mut result = machine.evaluate(registry, gate, gate_ids)?;
            if let (Some(reason), None) = (everywhere, result.reason) {
                result.reason = Some(reason);
            }
            result.reason.is_some().then(|| (id.clone(), result))
        })
        .collect()
}

impl Machine<'_> {
    /// Returns a reason that prevents all gates.
    fn lacks(&self) -> Option<Reason> {
        let path = (self.variable)("PATH").unwrap_or_default();
        if ["bash", "git"].iter().any(|tool| !files::on_path(&path, tool)) {
            return Some(Reason::Prerequisite);
        }
        let temporary = (self.variable)("TMPDIR").unwrap_or_else(|| OsString::from("/tmp"));
        let full = [self.results, Path::new(&temporary)]
            .into_iter()
            .filter_map(files::free_space)
            .any(|free| free < FREE);
        full.then_some(Reason::DiskFull)
    }

    /// Returns why a gate cannot be submitted.
    fn cannot_submit(&self, executor: &Executor) -> Option<Reason> {
        let path = (self.variable)("PATH").unwrap_or_default();
        let can = match (self.submits, executor.kind) {
            (None, _) | (_, ExecutorKind::Local) => return Some(Reason::NoExecutor),
            (Some(with), ExecutorKind::Slurm) => {
                with.clients.iter().all(|client| files::on_path(&path, client))
            }
            (Some(with), ExecutorKind::Kubernetes) => with.has_cluster,
        };
        (!can).then_some(Reason::Prerequisite)
    }

    fn evaluate(&self, registry: &Registry, gate: &Gate, gate_ids: &[GateId]) -> Option<GateResult> {
        let mut result = GateResult::new(Verdict::Invalid, None);
        let is_submitted = match registry.submits(gate) {
            Ok(None) => false,
            Ok(Some(executor)) => match self.cannot_submit(executor) {
                None => true,
                reason => {
                    result.reason = reason;
                    return Some(result);
                }
            },
            Err(_) => {
                result.reason = Some(Reason::NoExecutor);
                return Some(result);
            }
        };
        if gate.kind.compares() {
            let compared = gate.compare_gate.as_ref().and_then(|id| registry.gates.get(id));
            result.reason = match &gate.compare_gate {
                Some(_) if compared.is_some_and(|gate| !matches!(registry.submits(gate), Ok(None))) => {
                    Some(Reason::NoExecutor)
                }
                Some(id) if registry.gates.contains_key(id) => {
                    (!gate_ids.iter().any(|selected| selected == id)).then_some(Reason::CompareMissing)
                }
                _ => Some(Reason::BadRegistry),
            };
            return Some(result);
        }
        result.missing_env = gate
            .requires
            .iter()
            .filter(|name| (self.variable)(name).is_none_or(|v| v.is_empty()))
            .cloned()
            .collect();
        result.missing_files = gate
            .requires_files
            .iter()
            .filter(|path| !files::contains(self.subject, path))
            .cloned()
            .collect();
        result.reason = if !usable(gate) {
            Some(Reason::BadRegistry)
        } else if !result.missing_env.is_empty() {
            Some(Reason::MissingEnv)
        } else if !result.missing_files.is_empty() {
            Some(Reason::MissingFile)
        } else if is_submitted {
            // The nodes of the job have the target.
            None
        } else {
            self.target.refusal_reason(gate, registry)
        };
        Some(result)
    }
}

/// Whether the definition of a gate is valid.
fn usable(gate: &Gate) -> bool {
    let has_command =
        gate.kind != GateKind::Command || gate.cmd.as_ref().is_some_and(|c| !c.trim().is_empty());
    has_command
        && Meter::new(&gate.reads()).is_ok()
        && !gate
            .requires
            .iter()
            .any(|name| gate_environment::is_forbidden(name))
}
