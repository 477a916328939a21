//! Why a device, or one of its libraries, cannot be used.

/// A device or a library that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("open the device {name}: {reason}")]
pub struct DeviceError {
    /// What was asked for, such as `cuda:0` or `NCCL`.
    pub name: String,
    /// Why it cannot be had, and what to do.
    pub reason: String,
}

impl DeviceError {
    /// `name` cannot be had for `reason`.
    pub fn new(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name: name.into(), reason: reason.into() }
    }
}
