//! The accelerators of this machine, as a person wants to know them.

use crate::EngineError;

/// A CUDA device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// As `--device` takes it, such as `cuda:0`.
    pub name: String,
    /// The maker's name for it.
    pub model: String,
    /// Major and minor.
    pub compute_capability: (i32, i32),
    /// All of its memory.
    pub total_bytes: usize,
    /// What nobody uses now.
    pub free_bytes: usize,
    /// The newest CUDA release that the driver supports, such as `13.0`.
    pub driver: String,
}

/// The CUDA devices of this machine.
///
/// # Errors
/// When this build has no support for them, or no driver answers.
pub fn devices() -> Result<Vec<DeviceInfo>, EngineError> {
    #[cfg(feature = "cuda")]
    return crate::cuda::list();
    #[cfg(not(feature = "cuda"))]
    Err(without_cuda("cuda"))
}

/// This build cannot open the device called `name`.
#[cfg(not(feature = "cuda"))]
pub(crate) fn without_cuda(name: &str) -> EngineError {
    let reason = "this binary was built without CUDA; use the CUDA image or `--device cpu`";
    EngineError::Device { name: name.to_owned(), reason: reason.to_owned() }
}
