//! The accelerators of this machine.

#[cfg(not(feature = "cuda"))]
use spadework_kernels::device::DeviceError;
use spadework_kernels::device::DeviceInfo;

use crate::EngineError;

/// The CUDA devices of this machine.
///
/// # Errors
/// When this build has no support for them, or no driver answers.
pub fn devices() -> Result<Vec<DeviceInfo>, EngineError> {
    #[cfg(feature = "cuda")]
    return Ok(spadework_kernels::cuda::list()?);
    #[cfg(not(feature = "cuda"))]
    Err(without_cuda("cuda"))
}

/// This build cannot open the device called `name`.
#[cfg(not(feature = "cuda"))]
pub(crate) fn without_cuda(name: &str) -> EngineError {
    let reason = "this binary was built without CUDA; use the CUDA image or `--device cpu`";
    EngineError::from(DeviceError::new(name, reason.to_owned()))
}
