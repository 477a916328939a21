//! What a step reports, and why one fails.

use std::collections::BTreeMap;

use crate::distributed::DistributedError;

/// What a step reports, by name.
pub type StepReport = BTreeMap<String, f32>;

/// Why a step failed. The weights are then as they were before the network whose step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The networks.
    #[error("compute a step")]
    Compute(#[source] candle_core::Error),
    /// The device has too little memory.
    #[error(
        "the device has no memory left for a step: compute fewer images at a time, with a smaller `--batch` or, for the same \
         batch in parts, a larger `--accumulate`"
    )]
    OutOfMemory(#[source] candle_core::Error),
    /// Another process.
    #[error(transparent)]
    Distributed(#[from] DistributedError),
    /// A loss or gradient is no number.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
}

impl From<candle_core::Error> for StepError {
    fn from(error: candle_core::Error) -> Self {
        if spadework_engine::is_out_of_memory(&error) {
            Self::OutOfMemory(error)
        } else {
            Self::Compute(error)
        }
    }
}

/// A loss or gradient that is infinite or not a number.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not finite; look for what is odd in the samples of this step, or train at a lower --lr")]
pub struct NotFinite {
    /// Which.
    pub what: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_memory_says_what_to_change() {
        use spadework_kernels::device::{DeviceFault, FaultKind};

        let error = |kind| {
            StepError::from(candle_core::Error::from(DeviceFault::new(kind, "a call failed"))).to_string()
        };
        let full = error(FaultKind::OutOfMemory);
        assert!(full.contains("--batch") && full.contains("--accumulate"), "{full}");
        assert_eq!(error(FaultKind::Other), "compute a step");
    }
}
