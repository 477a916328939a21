//! The networks as training sees them: unfolded spectral norm, batch statistics, a discriminator.

mod specification;

pub use specification::{ConvNorm, Discriminator, Networks, Normalisation};
