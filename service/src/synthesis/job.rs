//! One picture to make, and the picture.

use std::sync::Arc;

use opentelemetry::trace::SpanContext;
use spadework_engine::Plan;
use spadework_imaging::RgbImage;

/// One picture to make: everything that it is a function of, besides the model, and who asked for it.
#[derive(Clone, Debug)]
pub struct Job {
    /// The planned mask.
    pub plan: Arc<Plan>,
    /// Where its latent comes from.
    pub latent: Latent,
    /// Noise planes, one for each residual block of a model with noise.
    pub noise: Vec<Vec<f32>>,
    /// The span of its request, for its batch to link to. The picture does not depend on it.
    pub caller: SpanContext,
}

/// Where a picture's latent comes from.
#[derive(Clone, Debug)]
pub enum Latent {
    /// The model has none.
    None,
    /// It is known.
    Given(Vec<f32>),
    /// The encoder tells it: `mu + amount · exp(logvar / 2) · eps`.
    Style {
        /// The style picture, at the model's size.
        picture: Arc<RgbImage>,
        /// 0 for the mean, 1 for a sample.
        amount: f32,
        /// Standard normal numbers, `z_dim` of them.
        eps: Vec<f32>,
    },
}

impl Job {
    /// About how many bytes of its own it holds while it waits, beside what images of one mask share.
    pub fn own_bytes(&self) -> usize {
        let latent = match &self.latent {
            Latent::None => 0,
            Latent::Given(z) => size_of_val(&z[..]),
            Latent::Style { eps, .. } => size_of_val(&eps[..]),
        };
        let noise: usize = self.noise.iter().map(|plane| size_of_val(&plane[..])).sum();
        latent + noise
    }

    /// About how many bytes images of one mask share.
    pub fn shared_bytes(&self) -> usize {
        let style = match &self.latent {
            Latent::Style { picture, .. } => picture.pixels().len(),
            Latent::None | Latent::Given(_) => 0,
        };
        self.plan.bytes() + style
    }
}

/// An image that was made.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its pixels.
    pub pixels: RgbImage,
    /// The latent it was made from, where the model has one.
    pub z: Option<Vec<f32>>,
}
