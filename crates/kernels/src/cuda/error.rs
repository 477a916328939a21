//! Errors of CUDA's libraries, told apart by their codes.

use candle_core::{Error, cuda_backend::CudaError};
use cudarc::{cublas::result::CublasError, cudnn::CudnnError, driver::DriverError, nvrtc::CompileError};

use crate::device::{DeviceFault, FaultKind};

impl From<DriverError> for DeviceFault {
    fn from(error: DriverError) -> Self {
        Self::new(FaultKind::of_driver(error.0 as u32), error)
    }
}

impl From<CublasError> for DeviceFault {
    fn from(error: CublasError) -> Self {
        Self::new(FaultKind::of_cublas(error.0 as u32), error)
    }
}

impl From<CudnnError> for DeviceFault {
    fn from(error: CudnnError) -> Self {
        Self::new(FaultKind::of_cudnn(error.0 as u32), error)
    }
}

impl From<CompileError> for DeviceFault {
    fn from(error: CompileError) -> Self {
        Self::new(FaultKind::Other, error)
    }
}

/// An error of CUDA's libraries as candle's.
pub(super) fn cuda_error(error: impl Into<DeviceFault>) -> Error {
    error.into().into()
}

/// The kind of an error that candle's own calls have made.
pub(crate) fn kind_of_candle_s(error: &(dyn std::error::Error + Send + Sync + 'static)) -> FaultKind {
    match error.downcast_ref::<CudaError>() {
        Some(CudaError::Cuda(error) | CudaError::Load { cuda: error, .. }) => {
            FaultKind::of_driver(error.0 as u32)
        }
        Some(CudaError::Cublas(error)) => FaultKind::of_cublas(error.0 as u32),
        _ => error
            .downcast_ref::<DriverError>()
            .map_or(FaultKind::Other, |error| FaultKind::of_driver(error.0 as u32)),
    }
}
