//! What a failed call of CUDA's libraries means, by the code that it answered.

use candle_core::Error;

/// What can be done about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The device has too little memory left: a smaller batch may run.
    OutOfMemory,
    /// The device will not work again in this process: every later call answers the same error.
    DeviceLost,
    /// The library has no such operation for these shapes, this type or this device.
    Unsupported,
    /// The library was called with arguments that it does not take: a bug of the caller.
    BadParameter,
    /// A part of the library, or the driver that it needs, is missing or too old.
    Installation,
    /// Anything else.
    Other,
}

/// An error of one of CUDA's libraries, and what it means.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct DeviceFault {
    kind: FaultKind,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl DeviceFault {
    /// `source` as an error of `kind`.
    pub fn new(kind: FaultKind, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind, source: source.into() }
    }

    /// What can be done about it.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }
}

impl From<DeviceFault> for Error {
    fn from(fault: DeviceFault) -> Self {
        Self::Cuda(Box::new(fault))
    }
}

impl FaultKind {
    /// The kind of an error that has come through candle, whatever it was wrapped in on its way.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::Cuda(inner) => match inner.downcast_ref::<DeviceFault>() {
                Some(fault) => fault.kind,
                #[cfg(feature = "cuda")]
                None => crate::cuda::kind_of_candle_s(&**inner),
                #[cfg(not(feature = "cuda"))]
                None => Self::Other,
            },
            Error::Context { inner, .. }
            | Error::WithPath { inner, .. }
            | Error::WithBacktrace { inner, .. } => Self::of(inner),
            _ => Self::Other,
        }
    }

    /// Of a `CUresult`.
    pub fn of_driver(code: u32) -> Self {
        match code {
            2 => Self::OutOfMemory,
            1 | 201 | 400 => Self::BadParameter,
            // No stub is a driver; a driver too old for this program, or for its kernels' PTX.
            34 | 35 | 36 | 222 | 227 | 803 | 804 => Self::Installation,
            801 => Self::Unsupported,
            46 | 101 | 102 | 214 | 220 | 226 => Self::DeviceLost, // unavailable, gone, uncorrectable memory, contained
            700 | 702 | 709 | 710 | 714..=719 | 721 => Self::DeviceLost, // what a kernel did, or an assertion in it
            810 | 999 => Self::DeviceLost,                               // MPS ended this client; unknown
            _ => Self::Other,
        }
    }

    /// Of a `cublasStatus_t`.
    pub fn of_cublas(code: u32) -> Self {
        match code {
            3 => Self::OutOfMemory,
            7 => Self::BadParameter,
            1 | 8 => Self::Installation,
            15 => Self::Unsupported,
            11 | 13 | 14 => Self::DeviceLost, // mapping, execution, internal error
            _ => Self::Other,
        }
    }

    /// Of a `cudnnStatus_t` of cuDNN 9, whose thousands are kinds.
    pub fn of_cudnn(code: u32) -> Self {
        match code {
            4003 | 4004 => Self::OutOfMemory,
            3005..=3009 | 1001..=1003 | 1008 => Self::Installation,
            2000..=2999 => Self::BadParameter,
            3000..=3999 => Self::Unsupported,
            4000..=5999 => Self::DeviceLost,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart_by_what_can_be_done() {
        use FaultKind::{BadParameter, DeviceLost, Installation, Other, OutOfMemory, Unsupported};
        let driver = [
            (2, OutOfMemory),
            (1, BadParameter),
            (700, DeviceLost),
            (710, DeviceLost),
            (999, DeviceLost),
            (900, Other),
        ];
        assert!(driver.iter().all(|&(code, kind)| FaultKind::of_driver(code) == kind));
        let cublas =
            [(3, OutOfMemory), (13, DeviceLost), (14, DeviceLost), (15, Unsupported), (7, BadParameter)];
        assert!(cublas.iter().all(|&(code, kind)| FaultKind::of_cublas(code) == kind));
        let cudnn = [
            (4004, OutOfMemory),
            (3002, Unsupported),
            (3009, Installation),
            (2003, BadParameter),
            (4000, DeviceLost),
            (5003, DeviceLost),
        ];
        assert!(cudnn.iter().all(|&(code, kind)| FaultKind::of_cudnn(code) == kind));
    }

    #[test]
    fn a_fault_keeps_its_kind_through_candle_s_wrapping_and_words_do_not_make_one() {
        let error = Error::from(DeviceFault::new(FaultKind::DeviceLost, "an illegal memory access"));
        assert_eq!(error.to_string(), "an illegal memory access");
        assert_eq!(FaultKind::of(&error.context("block 3").bt()), FaultKind::DeviceLost);
        assert_eq!(FaultKind::of(&Error::Msg("CUDA_ERROR_OUT_OF_MEMORY".to_owned())), FaultKind::Other);
    }
}
