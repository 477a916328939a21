//! The networks as training sees them: unfolded spectral norm, batch statistics, a discriminator.
//!
//! Feature maps are N H W C inside; label maps, images and weights keep their published layouts.

mod discriminator;
mod encoder;
mod generator;
mod initialisation;
mod layers;
mod pass;
mod perceptual;
pub(crate) mod scene_features;
mod specification;
mod vgg;

pub use discriminator::{Condition, Features, MultiscaleDiscriminator};
pub use encoder::Encoder;
pub use generator::{Generator, Inputs};
pub use initialisation::{Initialisation, initialise};
pub use pass::{Mode, Pass};
pub use perceptual::Perceptual;
pub use scene_features::{FEATURES_FILE, SceneFeatures};
pub use specification::{ConvNorm, Discriminator, Networks, Normalisation};
pub use vgg::Vgg19;
