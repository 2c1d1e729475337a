//! Returns the paths of the kernel libraries from the build script. Their C interface is in `include/nmoe_kernels.h`.

use std::path::Path;

/// Returns the host build, with the same ABI and arithmetic but without a GPU. `None` without a C++ compiler.
pub fn host_library() -> Option<&'static Path> {
    option_env!("NMOE_KERNELS_HOST").map(Path::new)
}

/// Returns the `sm_100a` build. `None` without nvcc.
pub fn device_library() -> Option<&'static Path> {
    option_env!("NMOE_KERNELS_DEVICE").map(Path::new)
}
