//! CUDA's driver, cuBLAS and cuDNN on a processor, for tests where there is no GPU: loaded before the real ones, it takes
//! their place. What a program does with a device then really happens, and what it does wrong shows:
//!
//! - Kernels are the very PTX that NVRTC or nvcc made, translated to C ([`translate`]).
//! - Every stream is a thread that works on its own ([`stream`]): who does not wait reads what is not there yet.
//! - Device memory that is freed is unmapped, and so is what lies behind an allocation, rounded up to 16 bytes; what lies before
//!   it is not. Of fresh memory the first 32 MiB are NaNs ([`memory`]).
//! - A capture refuses what a device's refuses ([`stream`], [`driver`]).
//!
//! It tells nothing about speed, and nothing about what only a device's own libraries do: which algorithm they choose,
//! what order they add in, what memory they take.

mod blas;
mod dnn;
mod driver;
mod graph;
mod memory;
mod nccl;
mod numbers;
mod program;
pub mod ptx;
mod random;
mod stream;
pub mod translate;
