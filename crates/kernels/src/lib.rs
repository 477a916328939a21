//! Numeric kernels for processors and CUDA devices: every line of `unsafe` in the workspace.
//!
//! This crate knows tensors, shapes and strides, and no network. Each public function checks its arguments, with checked
//! arithmetic, before a kernel reads or writes memory; each kernel is held by tests to a plain loop beside it.

pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod device;
mod grouped;
mod process;
#[cfg(any(test, feature = "emulated"))]
pub mod testing;

pub use grouped::Grouped;
pub use process::prepare_for_training;
