//! The SPADE residual block (paper figure 4).

use candle_core::{Result, Tensor};

use crate::{
    architecture::{Architecture, Stage},
    conv::{Conv2d, leaky_relu},
    norm::BatchStatistics,
    parameters::Prefixed,
    spade::Spade,
};

/// `x_s + conv_1(lrelu(norm_1(conv_0(lrelu(norm_0 x)))))`, with a modulated 1×1 shortcut where the width changes.
#[derive(Clone, Debug)]
pub struct SpadeResBlock {
    norm_0: Spade,
    conv_0: Conv2d,
    noise_weight: Option<Tensor>, // (1, middle, 1, 1)
    norm_1: Spade,
    conv_1: Conv2d,
    shortcut: Option<(Spade, Conv2d)>,
}

/// What a block reads besides its input.
pub struct Surroundings<'a> {
    /// (N, semantic_nc, H, W) at the mask's resolution.
    pub semantics: &'a Tensor,
    /// (N, 1, h, w), a standard normal plane for each picture.
    pub noise: Option<&'a Tensor>,
    /// Gamma and beta of the block's layers, in the order `norm_0`, `norm_1`, `norm_s`.
    pub shared: Vec<(Tensor, Tensor)>,
    /// Batch statistics of a training step.
    pub training: Option<&'a dyn BatchStatistics>,
}

impl SpadeResBlock {
    /// Reads the block that `stage` describes; spectral norm is already folded into its convs.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn new(parameters: &Prefixed<'_>, architecture: &Architecture, stage: &Stage) -> Result<Self> {
        let (input, middle, output) = (stage.input, stage.middle(), stage.output);
        let shortcut = if stage.learned_shortcut() {
            let norm = Spade::new(&parameters.part("norm_s"), architecture, input)?;
            let conv = Conv2d::new(&parameters.part("conv_s"), [output, input, 1, 1], 0, 1, false)?;
            Some((norm, conv))
        } else {
            None
        };
        let noise_weight = if architecture.noise {
            Some(parameters.get("noise_w", &[middle])?.reshape((1, middle, 1, 1))?)
        } else {
            None
        };
        Ok(Self {
            norm_0: Spade::new(&parameters.part("norm_0"), architecture, input)?,
            conv_0: Conv2d::same(&parameters.part("conv_0"), input, middle, 3)?,
            noise_weight,
            norm_1: Spade::new(&parameters.part("norm_1"), architecture, middle)?,
            conv_1: Conv2d::same(&parameters.part("conv_1"), middle, output, 3)?,
            shortcut,
        })
    }

    /// (N, in, H, W) → (N, out, H, W).
    ///
    /// # Errors
    /// When shapes or types do not agree.
    pub fn forward(&self, x: &Tensor, around: Surroundings<'_>) -> Result<Tensor> {
        let Surroundings { semantics, noise, shared, training } = around;
        let mut shared = shared.into_iter();
        let modulated = self.norm_0.forward(x, semantics, shared.next(), training)?;
        let mut dx = self.conv_0.forward(&leaky_relu(&modulated)?)?;
        if let (Some(weight), Some(noise)) = (&self.noise_weight, noise) {
            dx = dx.add(&noise.broadcast_mul(weight)?)?;
        }
        let modulated = self.norm_1.forward(&dx, semantics, shared.next(), training)?;
        let dx = self.conv_1.forward(&leaky_relu(&modulated)?)?;
        match &self.shortcut {
            // The shortcut has no activation.
            Some((norm, conv)) => {
                conv.forward(&norm.forward(x, semantics, shared.next(), training)?)?.add(&dx)
            }
            None => x.add(&dx),
        }
    }
}
