//! Layers that more than one network is made of.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::{
    pass::Pass,
    specification::{ConvNorm, Normalisation},
};
use spadework_autograd::{Conv, Span};

/// A conv with its norm and the leaky ReLU behind it, as the encoder and the discriminator have them.
pub(super) struct ConvLayer<'a> {
    /// The conv's name without the index that a norm layer adds.
    pub(super) name: &'a str,
    /// (out, in, k, k)
    pub(super) shape: [usize; 4],
    pub(super) conv: Conv,
    pub(super) norm: ConvNorm,
}

impl ConvLayer<'_> {
    /// The conv's own name: with a norm layer behind it, it is the first of two.
    fn conv_name(&self) -> String {
        conv_name(self.name, self.norm)
    }

    /// The layer's weight, one step of power iteration on.
    pub(super) fn weight(&self, pass: Pass<'_>) -> Result<Tensor> {
        pass.weight(&self.conv_name(), &self.shape, self.norm.spectral)
    }

    /// (N, H, W, in) → (N, H', W', out).
    pub(super) fn forward(&self, pass: Pass<'_>, x: &Tensor) -> Result<Tensor> {
        self.apply(pass, x, &self.weight(pass)?)
    }

    /// The same with a weight that was asked for before.
    pub(super) fn apply(&self, pass: Pass<'_>, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let activate = self.conv.slope != 1.0;
        if self.norm.norm == Normalisation::None {
            let bias = pass.parameter(&format!("{}.bias", self.conv_name()), &self.shape[..1])?;
            return pass.backend.conv2d(x, weight, Some(&bias), self.conv);
        }
        let x = pass.backend.conv2d(x, weight, None, Conv { slope: 1.0, ..self.conv })?;
        if self.norm.norm == Normalisation::Instance {
            let moments = Arc::new(pass.backend.moments(&x, Span::Image)?);
            return pass.backend.normalize(&x, moments, activate);
        }
        let (name, channels) = (format!("{}.1", self.name), &self.shape[..1]);
        let synchronised = self.norm.norm == Normalisation::SyncBatch;
        let moments = pass.batch_moments(std::slice::from_ref(&name), &x, 1, synchronised)?.remove(0);
        let x = pass
            .backend
            .normalize(&x, moments, false)?
            .broadcast_mul(&pass.parameter(&format!("{name}.weight"), channels)?)?
            .broadcast_add(&pass.parameter(&format!("{name}.bias"), channels)?)?;
        if activate { pass.backend.leaky_relu(&x) } else { Ok(x) }
    }
}

/// The published name of a conv behind which `norm` may stand.
pub(super) fn conv_name(name: &str, norm: ConvNorm) -> String {
    if norm.norm == Normalisation::None { name.to_owned() } else { format!("{name}.0") }
}

/// (N, in) → (N, out).
pub(super) fn linear(pass: Pass<'_>, name: &str, x: &Tensor, output: usize) -> Result<Tensor> {
    let weight = pass.parameter(&format!("{name}.weight"), &[output, x.dim(1)?])?;
    let bias = pass.parameter(&format!("{name}.bias"), &[output])?;
    x.matmul(&weight.t()?)?.broadcast_add(&bias)
}

/// (N, C, H, W) → (N, H, W, C).
pub(super) fn channels_last(x: &Tensor) -> Result<Tensor> {
    x.permute((0, 2, 3, 1))?.contiguous()
}

/// (N, H, W, C) → (N, C, H, W).
pub(super) fn channels_first(x: &Tensor) -> Result<Tensor> {
    x.permute((0, 3, 1, 2))?.contiguous()
}
