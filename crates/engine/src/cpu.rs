//! The generator on a processor: modulation from exact tables, convs as packed products.
//!
//! Feature maps are in blocks of 32 channels, `[block][row][column][32]`: a pixel's share of a block is two cache lines,
//! and what a conv reads for one row of its kernel lies side by side. Channels beyond the network's are zero.

#[cfg(test)]
mod agreement;
mod block;
mod conv;
mod features;
mod image;
mod lookup;
mod modulate;
mod network;
mod read;
mod spade;
mod start;
mod statistics;

pub(crate) use network::Network;
