//! The frozen network in whose features the perceptual loss compares images.

use candle_core::{Result, Tensor};

use super::{scene_features::SceneFeatures, vgg::Vgg19};

/// One of the networks that there are.
#[derive(Clone, Debug)]
pub enum Perceptual {
    /// VGG19, whose weights the user brings.
    Vgg(Vgg19),
    /// One that was trained on renders.
    Scene(SceneFeatures),
}

/// Weights of VGG19's five features.
const VGG: [f64; 5] = [1.0 / 32.0, 1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0];

impl Perceptual {
    /// The features of images (N, H, W, 3) in [-1, 1].
    ///
    /// # Errors
    /// When the network cannot be run on them.
    pub fn features(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        match self {
            Self::Vgg(network) => network.features(images),
            Self::Scene(network) => network.features(images),
        }
    }

    /// The features' weights in the loss.
    pub fn weights(&self) -> &[f64] {
        match self {
            Self::Vgg(_) => &VGG,
            Self::Scene(network) => network.weights(),
        }
    }

    /// The loss's name among the losses.
    pub const fn loss_name(&self) -> &'static str {
        match self {
            Self::Vgg(_) => "VGG",
            Self::Scene(_) => "Perceptual",
        }
    }
}
