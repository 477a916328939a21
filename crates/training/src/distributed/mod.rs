//! Several processes that train one model: who they are, and sums of numbers over all of them.
//!
//! Each process sees its share of every batch; gradients and batch statistics are summed over all, so that the
//! weights stay the same everywhere. Rank 0 alone writes files.

mod error;
mod frame;
mod group;
mod ranks;

pub use error::DistributedError;
pub use group::Group;
pub use ranks::{RankPlacement, place_from_environment};

#[cfg(test)]
pub(crate) use group::tests::as_group;
