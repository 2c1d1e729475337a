//! Where the build script put the kernel libraries. The libraries speak C; see `include/nmoe_kernels.h`.

use std::path::Path;

/// The host build: the same ABI and arithmetic without a GPU. `None` where no C++ compiler was found.
pub fn host_library() -> Option<&'static Path> {
    option_env!("NMOE_KERNELS_HOST").map(Path::new)
}

/// The `sm_100a` build. `None` where no nvcc was found.
pub fn device_library() -> Option<&'static Path> {
    option_env!("NMOE_KERNELS_DEVICE").map(Path::new)
}
