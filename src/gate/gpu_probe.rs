//! Checks whether the GPUs of this machine fit a gate.
//!
//! Must not build or load a kernel library.

use std::cell::{OnceCell, RefCell};

use crate::domain::registry::{Gate, Registry};
use crate::domain::verdict::Reason;
use crate::kernel::driver::{self, Driver, Need, Probe};

/// The GPUs of this machine. The driver is asked once, and only if a gate needs GPUs.
#[derive(Debug, Default)]
pub struct GpuProbe {
    probe: OnceCell<Probe>,
    lacks: RefCell<Option<String>>,
}

impl GpuProbe {
    /// Returns why this machine cannot run a gate; `None` if it can, or if the gate needs no GPU.
    pub fn refusal_reason(&self, gate: &Gate, registry: &Registry) -> Option<Reason> {
        if !gate.needs_target() {
            return None;
        }
        let probe = self.probe.get_or_init(|| driver::probe(&driver::LIMITS));
        let refusal = driver::check_machine(probe, &Need::of(&registry.target(), gate.gpus))
            .and_then(|driver| driver.check_target(registry))
            .err()?;
        self.lacks.borrow_mut().get_or_insert_with(|| refusal.message());
        Some(refusal.reason)
    }

    /// Returns what was found and what is needed, if a gate was refused.
    pub fn refusal_message(&self) -> Option<String> {
        self.lacks.borrow().clone()
    }

    /// Returns the driver; `None` if no gate needed GPUs or no driver answered.
    pub fn driver(&self) -> Option<&Driver> {
        match self.probe.get() {
            Some(Probe::Answered(driver)) => Some(driver),
            _ => None,
        }
    }

    /// Returns the target that was found, such as `b200x8`; `None` if no gate needed GPUs or there are none.
    pub fn found(&self) -> Option<String> {
        match self.probe.get() {
            Some(Probe::Answered(driver)) => driver.target(),
            _ => None,
        }
    }
}
