//! CUDA devices: how they are opened, and what runs there.
//!
//! A device has one stream and is worked with from one thread at a time. All its memory is allocated, used and freed in that
//! stream's order, so nothing here waits for the device but [`Download::finish`](crate::device::Download::finish) and, on
//! other threads, [`Event::wait`](crate::device::Event::wait).

mod capture;
mod cublas;
mod cudnn_backward;
mod cudnn_forward;
mod device;
mod error;
mod launch;
mod memory;
mod nccl;
mod staging;
mod training;

pub use capture::{CapturedGraph, can_capture, capture, forbid_in_capture, trim};
pub use cublas::Gemm;
pub use cudnn_forward::{Added, Convolve, convs};
pub use device::{has_bf16, list, open};
pub(crate) use error::kind_of_candle_s;
pub use launch::CompiledKernels;
pub use memory::blank;
pub use nccl::{Communicator, Nccl, NcclId};
pub(crate) use staging::wait;
pub use staging::{Staging, StreamStart};
