//! The SPADE networks (Park et al. 2019, arXiv 1903.07291) as readable, differentiable candle functions.
//!
//! This crate says what is *right*; `spadework-engine` says what is fast and is held to it by tests. It does no
//! I/O, holds no clock and draws no random numbers: the latent `z` and the noise planes are arguments.
//! Axes are N C H W, in that order; pictures are scaled to [-1, 1].

mod architecture;
mod conv;
mod encoder;
mod generator;
mod modulation;
mod norm;
mod parameters;
mod residual;
mod resize;
mod semantics;
mod spade;

pub use architecture::{
    Architecture, ArchitectureError, EncoderArchitecture, Grid, Modulation, Norm, PublishedOptions, Stage,
    Upsampling,
};
pub use conv::{Conv2d, Linear};
pub use encoder::{Encoder, Posterior};
pub use generator::{Generator, GeneratorInput};
pub use modulation::SharedModulation;
pub use norm::{BatchStatistics, EPSILON, ParameterFreeNorm};
pub use parameters::{Parameters, Prefixed, Tensors};
pub use residual::{SpadeResBlock, Surroundings};
pub use resize::{nearest_index, resize_nearest, upsample_twice};
pub use semantics::{LabelBatch, one_hot};
pub use spade::Spade;
