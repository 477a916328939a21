//! What goes into an image, and what a style image becomes.

use std::sync::Arc;

use crate::Plan;

/// Everything one image is a function of, besides the model.
#[derive(Clone, Debug)]
pub struct Input {
    /// The planned mask.
    pub plan: Arc<Plan>,
    /// The latent, `z_dim` numbers, for a model that has one.
    pub z: Option<Vec<f32>>,
    /// One row-major plane for each residual block, for a model with noise.
    pub noise: Vec<Vec<f32>>,
}

/// The encoder's answer for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    /// Mean of `z`.
    pub mu: Vec<f32>,
    /// Logarithm of its variance.
    pub logvar: Vec<f32>,
}

impl Posterior {
    /// `mu + amount · exp(logvar / 2) · eps`.
    pub fn sample(&self, amount: f32, eps: &[f32]) -> Vec<f32> {
        let scaled = self.logvar.iter().zip(eps).map(|(logvar, eps)| amount * (logvar / 2.0).exp() * eps);
        self.mu.iter().zip(scaled).map(|(mu, scaled)| mu + scaled).collect()
    }
}
