//! What an engine can answer instead of images.

use spadework_kernels::device::{DeviceError, FaultKind};

/// Why an engine was not built, a mask not planned or a batch not run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The device is not there, or this build has no support for it.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The device has too little memory left: a smaller batch may run.
    #[error(
        "the device has no memory left; other processes may hold some of it (nvidia-smi tells), and a smaller batch or model \
         needs less"
    )]
    OutOfMemory(#[source] candle_core::Error),
    /// A tensor is missing or misshapen, or an operation failed.
    #[error("run the network")]
    Network(#[source] candle_core::Error),
    /// An input does not fit the network.
    #[error("{0}")]
    Input(String),
}

impl EngineError {
    /// Whether the device's memory did not suffice.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::OutOfMemory(_))
    }

    /// Whether the device will not work again in this process: after an illegal access or a lost device every later
    /// call answers the same error.
    pub fn is_device_lost(&self) -> bool {
        matches!(self, Self::Network(error) if FaultKind::of(error) == FaultKind::DeviceLost)
    }
}

impl From<candle_core::Error> for EngineError {
    fn from(error: candle_core::Error) -> Self {
        if is_out_of_memory(&error) { Self::OutOfMemory(error) } else { Self::Network(error) }
    }
}

/// Whether a device's memory did not suffice for an operation.
pub fn is_out_of_memory(error: &candle_core::Error) -> bool {
    FaultKind::of(error) == FaultKind::OutOfMemory
}

#[cfg(test)]
mod tests {
    use spadework_kernels::device::DeviceFault;

    use super::*;

    #[test]
    fn a_fault_s_kind_says_what_can_be_done() {
        let error =
            |kind| EngineError::from(candle_core::Error::from(DeviceFault::new(kind, "a call failed")));
        assert!(error(FaultKind::OutOfMemory).is_out_of_memory());
        assert!(error(FaultKind::DeviceLost).is_device_lost());
        for kind in [FaultKind::BadParameter, FaultKind::Unsupported, FaultKind::Other] {
            assert!(!error(kind).is_out_of_memory() && !error(kind).is_device_lost());
        }
    }
}
