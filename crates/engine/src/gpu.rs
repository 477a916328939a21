//! The generator on a GPU: modulation from exact tables, whole batches at once.
//!
//! Feature maps are N H W C: a pixel's channels lie side by side, as those of a table's row do and as tensor cores want
//! them. What the network is made of is a handful of [`Operators`]: candle's say what each of them is, on every device;
//! on a GPU kernels of ours stand in for some of them and are held to it.

#[cfg(test)]
mod agreement;
mod batch;
mod batch_level;
mod block;
mod candle_operators;
mod conv_weights;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
#[cfg(test)]
mod emulated;
mod generator;
mod graphs;
mod lookup;
mod network;
mod operators;
mod spade;
mod start;
mod weights;

pub(crate) use candle_operators::CandleOperators;
pub(crate) use conv_weights::{ConvWeights, ToImage};
pub(crate) use generator::GpuGenerator;
pub(crate) use lookup::Lookup;
pub(crate) use operators::{Graph, Operators};
pub(crate) use weights::Target;
