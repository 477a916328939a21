//! The generator on any device that candle knows: modulation from exact tables, whole batches at once.
//!
//! Feature maps are N H W C: a pixel's channels lie side by side, as those of a table's row do and as tensor cores want
//! them. What the network is made of is a handful of [`Operators`]: `candle` says what each of them is, on every device;
//! on a GPU kernels of our own stand in for some of them and are held to it.

#[cfg(test)]
mod agreement;
mod block;
mod candle;
mod convs;
mod graphs;
mod level;
mod lookup;
mod network;
mod operators;
mod spade;
mod start;
mod tensors;

pub(crate) use candle::CandleOperators;
pub(crate) use convs::{Conv, ToImage};
pub(crate) use lookup::Lookup;
pub(crate) use network::Network;
pub(crate) use operators::{Graph, Modulation, Operators};
pub(crate) use tensors::Target;
