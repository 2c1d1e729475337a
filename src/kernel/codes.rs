//! Defines the findings about kernel sources. Must not contain the code that detects them.

use crate::domain::finding::{Code, Severity};

/// Reports an all-to-all through NCCL where experts exchange rows.
pub static MOE_ALL_TO_ALL: Code = Code {
    id: "moe-all-to-all",
    severity: Severity::Error,
    title: "The MoE path exchanges rows through an NCCL all-to-all",
    explain: "Experts exchange rows by direct writes into each other's memory; a collective on that path would stall every \
              rank for the slowest. Looked at is code, not comments: identifiers that contain `all_to_all`, `alltoall` or \
              `all2all` (NVSHMEM's own excepted), `batch_isend_irecv` and `P2POp`, and `ncclSend` and `ncclRecv` in a \
              file that groups them with `ncclGroupStart`; a string that is nothing but such a name counts too. In files \
              of the MoE path each is an error, in other changed sources a warning.",
    bad: "torch.distributed.all_to_all_single(output, input)",
    good: "rdep.dispatch(x, slots)  # writes rows into the peers' buffers",
};

/// Lists every finding about kernel sources.
pub static TABLE: &[&Code] = &[&MOE_ALL_TO_ALL];
