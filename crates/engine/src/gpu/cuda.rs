//! The generator on a CUDA device.

#[cfg(test)]
mod agreement;
mod operators;

use candle_core::{CudaDevice, DType, Device};
use spadework_kernels::{
    cuda::{can_capture, has_bf16},
    device::DeviceError,
};
use spadework_model::{Architecture, Tensors};

use super::{GpuGenerator, Target};
use crate::{EngineError, Precision};
use operators::CudaOperators;

/// The fastest precision that is not worse than bf16.
///
/// # Errors
/// When the driver does not answer.
pub(crate) fn best_precision(device: &CudaDevice) -> Result<Precision, EngineError> {
    Ok(if has_bf16(device)? { Precision::Medium } else { Precision::Highest })
}

/// A generator on a device that was opened here, which runs its batches as graphs where `graphs` says so; and sentences for
/// a log.
pub(crate) fn network(
    architecture: &Architecture,
    generator: &Tensors,
    device: &CudaDevice,
    precision: Precision,
    graphs: bool,
) -> Result<(GpuGenerator, Vec<String>), EngineError> {
    let dtype = match precision {
        Precision::Highest | Precision::High => DType::F32,
        Precision::Medium => DType::BF16,
    };
    if dtype == DType::BF16 && !has_bf16(device)? {
        let reason = "this device has no bf16 products; use `--precision highest`".to_owned();
        return Err(DeviceError::new("cuda", reason).into());
    }
    let operators = CudaOperators::new(device, dtype, precision == Precision::High)?;
    let target = Target { device: Device::Cuda(device.clone()), dtype };
    let mut network = GpuGenerator::load(architecture, generator, target, Box::new(operators))?;
    let reason = match graphs {
        false => None,
        true if !can_capture(device) => Some("the device takes no memory in a stream's order"),
        true => network.use_graphs(architecture).err(),
    };
    let warnings = reason.map(|reason| format!("`--cuda-graphs` has no effect: {reason}"));
    Ok((network, warnings.into_iter().collect()))
}
