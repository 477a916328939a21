//! Differentiable operations that candle computes wrongly, slowly or not at all. The functions run on a CPU, in f32 and
//! f64; [`Backend`] has them on a device as well, in f32.
//!
//! Feature maps are N H W C here: a cell's channels lie side by side, as the kernels and the tables want them. Every
//! operation gives the same bits for the same input, whatever the number of threads.

mod activation;
mod backend;
mod conv;
mod device;
mod distance;
mod element;
mod graph;
mod lanes;
mod modulate;
mod moments;
mod neighbourhoods;
mod noise;
mod normalize;
mod panels;
mod pool;
mod spectral;
mod storage;
mod table;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod upsample;

pub use activation::leaky_relu;
pub use backend::Backend;
pub use conv::{Conv, conv2d};
pub use distance::mean_distance;
pub use modulate::modulate;
pub use moments::{Collective, Moments, Span, fixed_moments, moments};
pub use neighbourhoods::Neighbourhoods;
pub use noise::add_noise;
pub use normalize::normalize;
pub use pool::{average_pool, max_pool};
pub use spectral::{power_iteration, spectral_weight};
pub use table::{hidden, table};
pub use upsample::upsample_twice;

/// Slope of the leaky ReLU below zero.
pub const SLOPE: f64 = 0.2;
