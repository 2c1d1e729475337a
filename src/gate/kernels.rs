//! The one door between gates and kernels: whether the target is there, and what the kernel library proves.

use std::path::Path;

use crate::model::registry::{Gate, Target};
use crate::model::verdict::Reason;

/// Why this machine cannot run a gate that needs the target; none where it can, or where the gate needs none.
pub fn refuses(gate: &Gate, _target: &Target) -> Option<Reason> {
    if !gate.needs_target() {
        return None;
    }
    // Without a look through the driver no GPU is taken for the right one.
    let any = (0..64).any(|n| Path::new(&format!("/dev/nvidia{n}")).exists());
    Some(if any { Reason::OffTarget } else { Reason::NoGpu })
}
