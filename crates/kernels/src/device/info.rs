//! A CUDA device as a person wants to know it.

/// A CUDA device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// As `--device` takes it, such as `cuda:0`.
    pub name: String,
    /// The maker's name for it.
    pub model: String,
    /// Major and minor.
    pub compute_capability: (i32, i32),
    /// All of its memory, in bytes.
    pub total_bytes: usize,
    /// Memory that nobody uses now, in bytes.
    pub free_bytes: usize,
    /// The newest CUDA release that the driver supports, such as `13.0`.
    pub driver: String,
}
