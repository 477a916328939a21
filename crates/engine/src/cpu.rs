//! The generator on a processor: modulation from exact tables, convs as packed products.
//!
//! [`policy`] says which form each product takes at a precision; [`tables`] keeps tables from one mask to the next.
//!
//! Feature maps are in blocks of 32 channels, `[block][row][column][32]`: a pixel's share of a block is two cache lines,
//! and what a conv reads for one row of its kernel lies side by side. Channels beyond the network's are zero.

#[cfg(test)]
mod agreement;
mod block;
mod conv;
mod direct;
mod epilogue;
mod features;
mod image;
mod lookup;
mod modulate;
mod network;
mod policy;
mod read;
mod row_cache;
mod scratch;
mod source;
mod spade;
mod start;
mod statistics;
mod table_layout;
mod table_plan;
mod tables;
mod tiles;
mod winograd;
mod workspace;

pub(crate) use network::CpuGenerator;
pub(crate) use policy::Policy;
