//! The image encoder: a style picture to the posterior of `z` (paper section 3, multi-modal synthesis).

use candle_core::{Result, Tensor, bail};

use crate::{
    architecture::{Architecture, EncoderArchitecture},
    conv::{Conv2d, Linear, leaky_relu},
    norm::{EPSILON, instance_statistics},
    parameters::{Parameters, Prefixed},
};

/// Height and width the encoder works at; the published code fixes it.
const SIDE: usize = 256;

/// Mean and log-variance of `z`, each (N, z_dim).
#[derive(Clone, Debug)]
pub struct Posterior {
    /// Mean.
    pub mu: Tensor,
    /// Logarithm of the variance.
    pub logvar: Tensor,
}

impl Posterior {
    /// `mu + exp(logvar / 2) · eps`, with `eps` (N, z_dim) drawn by the caller.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn sample(&self, eps: &Tensor) -> Result<Tensor> {
        (&self.logvar * 0.5)?.exp()?.mul(eps)?.add(&self.mu)
    }
}

/// Stride-2 convs down to 4×4, then two linear layers.
#[derive(Clone, Debug)]
pub struct Encoder {
    kind: EncoderArchitecture,
    layers: Vec<Conv2d>,
    fc_mu: Linear,
    fc_var: Linear,
}

impl Encoder {
    /// Builds the encoder from its folded tensors: `layer1.0` … `layer6.0` (published) or `layers.0` … `layers.4`
    /// (color), `fc_mu` and `fc_var`.
    ///
    /// # Errors
    /// When the architecture has no encoder, or a tensor is missing or has another shape.
    pub fn new(parameters: &dyn Parameters, architecture: &Architecture) -> Result<Self> {
        architecture.check().map_err(candle_core::Error::wrap)?;
        let (Some(kind), Some(z_dim)) = (architecture.encoder, architecture.z_dim) else {
            bail!("this model has no encoder")
        };
        let root = Prefixed::root(parameters);
        let (names, widths, bias): (Vec<String>, Vec<usize>, bool) = match kind {
            EncoderArchitecture::Published { width } => (
                (1..=6).map(|i| format!("layer{i}.0")).collect(),
                [1, 2, 4, 8, 8, 8].map(|factor| factor * width).to_vec(),
                false, // instance norm removes any bias
            ),
            EncoderArchitecture::Color { width } => (
                (0..5).map(|i| format!("layers.{i}")).collect(),
                [1, 2, 4, 4, 4].map(|factor| factor * width).to_vec(),
                true,
            ),
        };
        let mut input = 3;
        let mut layers = Vec::with_capacity(widths.len());
        for (name, &output) in names.iter().zip(&widths) {
            layers.push(Conv2d::new(&root.part(name), [output, input, 3, 3], 1, 2, bias)?);
            input = output;
        }
        let features = input * 4 * 4;
        Ok(Self {
            kind,
            layers,
            fc_mu: Linear::new(&root.part("fc_mu"), features, z_dim)?,
            fc_var: Linear::new(&root.part("fc_var"), features, z_dim)?,
        })
    }

    /// Pictures (N, 3, H, W) in [-1, 1] of any size to the posterior of `z`.
    ///
    /// # Errors
    /// When shapes or types do not agree.
    pub fn forward(&self, picture: &Tensor) -> Result<Posterior> {
        let (_, _, h, w) = picture.dims4()?;
        let mut x = if (h, w) == (SIDE, SIDE) {
            picture.clone()
        } else {
            picture.upsample_bilinear2d(SIDE, SIDE, false)?
        };
        if matches!(self.kind, EncoderArchitecture::Color { .. }) {
            x = x.avg_pool2d(2)?;
        }
        for layer in &self.layers {
            x = layer.forward(&x)?;
            if matches!(self.kind, EncoderArchitecture::Published { .. }) {
                let (mean, variance) = instance_statistics(&x)?;
                x = x.broadcast_sub(&mean)?.broadcast_div(&(variance + EPSILON)?.sqrt()?)?;
            }
            x = leaky_relu(&x)?; // after the last layer too, before the linear layers
        }
        let x = x.flatten_from(1)?; // (N, features)
        let logvar = self.fc_var.forward(&x)?;
        let logvar = match self.kind {
            EncoderArchitecture::Published { .. } => logvar,
            EncoderArchitecture::Color { .. } => logvar.clamp(-8.0, 8.0)?,
        };
        Ok(Posterior { mu: self.fc_mu.forward(&x)?, logvar })
    }
}
