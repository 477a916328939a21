//! The operations of a training step on a device, forward and backward: numbers only, no graph.
//!
//! [`Operators`] belongs to one device and works in its one stream; nothing here waits for its results. Tensors are f32 and lie on
//! that device, feature maps are N H W C. Every sum has an order that depends on sizes and masks alone, so the same
//! numbers give the same bits. What a device runs is `training/kernels.cu`, cuBLAS and cuDNN; `Operators::on_cpu` runs the
//! same kernels on a processor, for tests.

mod adam;
mod calls;
mod convs;
mod layer;
mod mask;
mod operators;
mod pools;
mod sums;
mod tables;
#[cfg(any(test, feature = "twin"))]
mod twin;

pub use convs::Convolution;
pub use layer::{Layer, LayerSums};
pub use mask::{Mask, MaskLists};
pub use operators::Operators;
#[cfg(any(test, feature = "cuda", feature = "twin"))]
pub(crate) use operators::{Backend, Direction};

#[cfg(feature = "cuda")]
pub use crate::cuda::{Communicator, Nccl, NcclId, take};

/// The kernels' source.
#[cfg(any(test, feature = "cuda", feature = "twin"))]
pub(crate) const SOURCE: &str = include_str!("training/kernels.cu");

/// Every kernel's name.
#[cfg(feature = "cuda")]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SOURCE.split("\nKERNEL ").skip(1).filter_map(|text| Some(text.split_once('(')?.0))
}
