//! Defines the findings about kernel sources. Must not contain the code that detects them.

use crate::domain::finding::codes;

codes! {
    MOE_ALL_TO_ALL = "moe-all-to-all", Error,
        "The MoE path exchanges rows through an NCCL all-to-all",
        "Experts exchange rows by direct writes into each other's memory; a collective on that path would stall every \
              rank for the slowest. Looked at is code, not comments: identifiers that contain `all_to_all`, `alltoall` or \
              `all2all` (NVSHMEM's own excepted), `batch_isend_irecv` and `P2POp`, NCCL's exchanges from the device and its \
              one-sided calls (`ncclLLA2A…`, `ncclGin…`, `ncclPutSignal`, `ncclWaitSignal`), and `ncclSend`, `ncclRecv`, \
              `ncclGather` and `ncclScatter` in a file that groups them with `ncclGroupStart`; a string that is nothing but such a name counts too. In files \
              of the MoE path each is an error, in other changed sources a warning.",
        "torch.distributed.all_to_all_single(output, input)",
        "rdep.dispatch(x, slots)  # writes rows into the peers' buffers";
    MOE_PATH_EMPTY = "moe-path-empty", Error,
        "No source is on the MoE path",
        "`moe.path` in configs/nmoe-gates.toml names the files in which experts exchange rows. If no source \
              matches, nothing was read, and the check proves nothing.",
        "path = [\"nmoe/moe.py\"]   # the checkout has megatron/core/transformer/moe/",
        "path = [\"megatron/core/transformer/moe/**\"]";
}
