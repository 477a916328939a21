//! The network's dense convs, as a device wants them.

use candle_core::{Result, Tensor};
use spadework_model::Prefixed;

use super::weights::{Target, read};

/// A "same" conv, 1×1 or 3×3.
#[derive(Clone, Debug)]
pub(crate) struct ConvWeights {
    /// (out, k, k, in), in the type that the network computes in.
    pub(crate) weight: Tensor,
    /// (out), f32.
    pub(crate) bias: Option<Tensor>,
    /// The same in the type that the network computes in, for libraries that want it so.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "only cuDNN takes it"))]
    pub(crate) rounded_bias: Option<Tensor>,
}

impl ConvWeights {
    /// Reads `weight` (out, in, k, k) and, where `bias` says so, `bias`.
    pub(super) fn read(
        part: &Prefixed<'_>,
        input: usize,
        output: usize,
        kernel: usize,
        bias: bool,
        target: &Target,
    ) -> Result<Self> {
        let weight = read(part, "weight", &[output, input, kernel, kernel])?.permute((0, 2, 3, 1))?;
        let bias = match bias {
            true => Some(read(part, "bias", &[output])?),
            false => None,
        };
        Ok(Self {
            weight: target.rounded(&weight)?,
            bias: bias.as_ref().map(|bias| target.exact(bias)).transpose()?,
            rounded_bias: bias.as_ref().map(|bias| target.rounded(bias)).transpose()?,
        })
    }
}

/// The last conv, 3×3 to three colours.
#[derive(Clone, Debug)]
pub(crate) struct ToImage {
    /// (tap, in, 4) f32; the fourth column is zero, so that a row is one load of 16 bytes.
    pub(crate) weight: Tensor,
    /// (3), f32.
    pub(crate) bias: Tensor,
}

impl ToImage {
    /// Reads `conv_img`.
    pub(super) fn read(root: &Prefixed<'_>, channels: usize, target: &Target) -> Result<Self> {
        let part = root.part("conv_img");
        let weight = read(&part, "weight", &[3, channels, 3, 3])?.flatten_from(2)?.permute((2, 1, 0))?; // (9, C, 3)
        // What the network computes in rounds this conv's weights as it does the others'.
        let weight = weight.contiguous()?.to_dtype(target.dtype)?.pad_with_zeros(2, 0, 1)?;
        Ok(Self { weight: target.exact(&weight)?, bias: target.exact(&read(&part, "bias", &[3])?)? })
    }
}
