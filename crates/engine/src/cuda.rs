//! A CUDA device: how it is opened, and the operators that are faster there than candle's.
//!
//! An engine has one stream and works from one thread at a time. All its memory is allocated, used and freed in that
//! stream's order, so nothing here waits for the device but [`Download::finish`](crate::pending::Download::finish) and, on
//! threads of others, [`End::wait`](crate::End::wait).

#[cfg(test)]
mod agreement;
mod convs;
mod device;
mod gemm;
mod gradients;
mod graph;
mod launch;
mod memory;
mod nccl;
mod operators;
mod staging;
mod training;

pub(crate) use device::{best_precision, list, open};
pub use memory::take;
pub use nccl::{Communicator, Nccl, NcclId};
pub(crate) use staging::wait;

use candle_core::{CudaDevice, DType, Device, Error};
use spadework_model::{Architecture, Tensors};

use crate::{
    EngineError, Precision,
    tables::{Network, Target},
};
use operators::CudaOperators;

/// A generator on a device that was opened here, which runs its batches as graphs where `graphs` says so; and sentences for
/// a log.
pub(crate) fn network(
    architecture: &Architecture,
    generator: &Tensors,
    device: &CudaDevice,
    precision: Precision,
    graphs: bool,
) -> Result<(Network, Vec<String>), EngineError> {
    let dtype = match precision {
        Precision::Highest | Precision::High => DType::F32,
        Precision::Medium => DType::BF16,
    };
    if dtype == DType::BF16 && !device::has_bf16(device)? {
        let reason = "this device has no bf16 products; use `--precision highest`".to_owned();
        return Err(EngineError::Device { name: "cuda".to_owned(), reason });
    }
    let operators = CudaOperators::new(device, dtype, precision == Precision::High)?;
    let target = Target { device: Device::Cuda(device.clone()), dtype };
    let mut network = Network::load(architecture, generator, target, Box::new(operators))?;
    let reason = match graphs {
        false => None,
        true if !graph::possible(device) => Some("the device takes no memory in a stream's order"),
        true => network.use_graphs(architecture).err(),
    };
    let remarks = reason.map(|reason| format!("`--cuda-graphs` has no effect: {reason}"));
    Ok((network, remarks.into_iter().collect()))
}

/// An error of CUDA's libraries as candle's.
fn cuda_error(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Cuda(Box::new(error))
}
