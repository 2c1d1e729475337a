//! The one door between gates and kernels: whether the target is there, and what the kernel library proves.

use std::cell::{OnceCell, RefCell};

use crate::domain::registry::{Gate, Target};
use crate::domain::verdict::Reason;
use crate::kernel::driver::{self, Need, Probe};

/// The GPUs of this machine, looked at once and only where a gate needs them.
#[derive(Debug, Default)]
pub struct GpuProbe {
    probe: OnceCell<Probe>,
    lacks: RefCell<Option<String>>,
}

impl GpuProbe {
    /// Why this machine cannot run a gate that needs the target; none where it can, or where the gate needs none.
    pub fn refusal_reason(&self, gate: &Gate, target: &Target) -> Option<Reason> {
        if !gate.needs_target() {
            return None;
        }
        let probe = self.probe.get_or_init(|| driver::probe(&driver::LIMITS));
        let refusal = driver::check_machine(probe, &Need::of(target, gate.gpus)).err()?;
        self.lacks.borrow_mut().get_or_insert_with(|| refusal.message());
        Some(refusal.reason)
    }

    /// What was found and what is needed, where a gate was refused.
    pub fn refusal_message(&self) -> Option<String> {
        self.lacks.borrow().clone()
    }

    /// The target that was found, such as `b200x8`; none where nobody looked or there is none.
    pub fn found(&self) -> Option<String> {
        match self.probe.get() {
            Some(Probe::Answered(driver)) => driver.target(),
            _ => None,
        }
    }
}
