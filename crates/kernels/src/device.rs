//! What a CUDA device runs: calls of kernels as values, and what is checked before there is one.
//!
//! Nothing here needs a device. The module `cuda` gives calls to one; with the feature `emulated`, tests run the same
//! kernels on the processor.

#[cfg_attr(
    not(any(test, feature = "cuda", feature = "emulated")),
    expect(dead_code, reason = "this build has nothing that runs a call")
)]
pub(crate) mod call;
#[cfg(any(test, feature = "emulated"))]
mod emulated;
mod error;
mod event;
mod fault;
#[cfg(any(test, feature = "cuda", feature = "emulated"))]
pub mod generator;
mod info;
#[cfg(any(test, feature = "cuda"))]
pub(crate) mod pinned;
#[cfg_attr(
    not(any(test, feature = "cuda", feature = "emulated")),
    expect(dead_code, reason = "this build has no device to compute on")
)]
pub mod training;

/// An index that names no row, in lists of rows.
pub const NO_ROW: u32 = u32::MAX;

pub use call::{Call, Launch};
pub use error::DeviceError;
pub use event::{Download, Event};
pub use fault::{DeviceFault, FaultKind};
pub use info::DeviceInfo;
