//! Weights on their way to a device.

use candle_core::{DType, Device, Result, Tensor};
use spadework_model::Prefixed;

/// Where weights go, and the type that the network computes in there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) device: Device,
    pub(crate) dtype: DType,
}

impl Target {
    /// A tensor as f32 on the device.
    pub(super) fn exact(&self, tensor: &Tensor) -> Result<Tensor> {
        tensor.to_dtype(DType::F32)?.contiguous()?.to_device(&self.device)
    }

    /// A tensor in the type that the network computes in.
    pub(super) fn rounded(&self, tensor: &Tensor) -> Result<Tensor> {
        tensor.to_dtype(self.dtype)?.contiguous()?.to_device(&self.device)
    }
}

/// The tensor `name` in f32 where it was loaded, its shape checked.
pub(super) fn read(part: &Prefixed<'_>, name: &str, shape: &[usize]) -> Result<Tensor> {
    part.get(name, shape)?.to_dtype(DType::F32)
}
