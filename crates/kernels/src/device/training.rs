//! The operations of a training step on a device, forward and backward: numbers only, no graph.
//!
//! [`TrainingOperators`] belongs to one device and works in its one stream; nothing here waits for its results. Tensors are f32 and lie on
//! that device, feature maps are N H W C. Every sum has an order that depends on sizes and masks alone, so the same
//! numbers give the same bits. What a device runs is `training/kernels.cu`, cuBLAS and cuDNN;
//! `TrainingOperators::emulated` runs the same kernels on the processor, for tests.

mod adam;
mod calls;
mod convolution;
mod convs;
#[cfg(any(test, feature = "emulated"))]
mod emulated;
mod layer;
mod mask;
mod operators;
mod pools;
mod sums;
mod tables;

pub use convolution::Convolution;
pub use layer::{Layer, LayerSums};
pub use mask::{Mask, MaskLists};
pub use operators::TrainingOperators;
#[cfg(any(test, feature = "cuda", feature = "emulated"))]
pub(crate) use {convolution::ConvDirection, operators::Backend};

/// The kernels' source.
#[cfg(any(test, feature = "cuda", feature = "emulated"))]
pub(crate) const SOURCE: &str = include_str!("training/kernels.cu");

/// Every kernel's name.
#[cfg(feature = "cuda")]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SOURCE.split("\nKERNEL ").skip(1).filter_map(|text| Some(text.split_once('(')?.0))
}
