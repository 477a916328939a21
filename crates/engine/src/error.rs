//! What an engine can answer instead of pictures.

/// Why an engine was not built, a mask not planned or a batch not run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The device is not there, or this build has no support for it.
    #[error("open the device {name}: {reason}")]
    Device {
        /// What was asked for.
        name: String,
        /// Why it cannot be had, and what to do.
        reason: String,
    },
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
        let codes = [
            "ILLEGAL_ADDRESS",
            "ILLEGAL_INSTRUCTION",
            "MISALIGNED_ADDRESS",
            "INVALID_ADDRESS_SPACE",
            "INVALID_PC",
            "HARDWARE_STACK_ERROR",
            "LAUNCH_FAILED",
            "LAUNCH_TIMEOUT",
            "EXECUTION_FAILED", // of cuBLAS and cuDNN
            "DEVICE_NOT_LICENSED",
            "DEVICE_UNAVAILABLE",
            "ECC_UNCORRECTABLE",
            "CONTEXT_IS_DESTROYED",
        ];
        matches!(self, Self::Network(error) if says(error, &codes))
    }
}

impl From<candle_core::Error> for EngineError {
    fn from(error: candle_core::Error) -> Self {
        if is_out_of_memory(&error) { Self::OutOfMemory(error) } else { Self::Network(error) }
    }
}

/// Whether a device's memory did not suffice for an operation.
pub fn is_out_of_memory(error: &candle_core::Error) -> bool {
    says(error, &["OUT_OF_MEMORY", "out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED"])
}

/// The driver's error is wrapped several times on its way here; its code's name survives in the text.
fn says(error: &candle_core::Error, codes: &[&str]) -> bool {
    let text = error.to_string();
    codes.iter().any(|code| text.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_s_code_says_what_can_be_done() {
        let error = |text: &str| EngineError::from(candle_core::Error::Msg(text.to_owned()));
        assert!(error("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")").is_out_of_memory());
        assert!(
            error("DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access\")").is_device_lost()
        );
        assert!(error("CudnnError(CUDNN_STATUS_EXECUTION_FAILED)").is_device_lost());
        assert!(error("CublasError(CUBLAS_STATUS_ALLOC_FAILED)").is_out_of_memory());
        let cudnn = "CudnnError(CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)";
        assert!(error(cudnn).is_out_of_memory());
        let other = error("shape mismatch in matmul");
        assert!(!other.is_out_of_memory() && !other.is_device_lost());
    }
}
