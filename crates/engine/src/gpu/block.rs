//! The SPADE residual block (paper figure 4).

use candle_core::{Result, Tensor};
use spadework_model::{Architecture, Prefixed, Stage};

use super::{
    conv_weights::ConvWeights,
    operators::Operators,
    spade::{SharedPredictor, Spade},
    weights::{Target, read},
};
use crate::EngineError;

/// `x_s + conv_1(lrelu(norm_1(conv_0(lrelu(norm_0 x)))))`, with a modulated 1×1 shortcut where the width changes.
#[derive(Debug)]
pub(super) struct Block {
    norm_0: Spade,
    conv_0: ConvWeights,
    noise: Option<Tensor>, // (C) f32
    norm_1: Spade,
    conv_1: ConvWeights,
    shortcut: Option<(Spade, ConvWeights)>,
}

impl Block {
    /// Reads the block that `stage` describes.
    pub(super) fn read(
        root: &Prefixed<'_>,
        architecture: &Architecture,
        stage: &Stage,
        mut shared: Option<&mut SharedPredictor>,
        target: &Target,
    ) -> std::result::Result<Self, EngineError> {
        let part = root.part(stage.name);
        let (input, middle, output) = (stage.input, stage.middle(), stage.output);
        let mut norm = |name: &str, channels: usize| {
            Spade::read(&part.part(name), architecture, channels, shared.as_deref_mut(), target)
        };
        let (norm_0, norm_1) = (norm("norm_0", input)?, norm("norm_1", middle)?);
        let shortcut = match stage.learned_shortcut() {
            true => Some((
                norm("norm_s", input)?,
                ConvWeights::read(&part.part("conv_s"), input, output, 1, false, target)?,
            )),
            false => None,
        };
        let noise = match architecture.noise {
            true => Some(target.exact(&read(&part, "noise_w", &[middle])?)?),
            false => None,
        };
        Ok(Self {
            norm_0,
            conv_0: ConvWeights::read(&part.part("conv_0"), input, middle, 3, true, target)?,
            noise,
            norm_1,
            conv_1: ConvWeights::read(&part.part("conv_1"), middle, output, 3, true, target)?,
            shortcut,
        })
    }

    /// Its layers in the order that they run in.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Spade> {
        let first = self.shortcut.as_ref().map(|(norm_s, _)| norm_s);
        first.into_iter().chain([&self.norm_0, &self.norm_1])
    }

    /// `x` (N, h, w, in), at the resolution of `ids` (N, H, W) or half of it, to (N, H, W, out). `table` answers each
    /// layer's table when it is the layer's turn, `noise` is (N, H, W) f32.
    pub(super) fn run(
        &self,
        operators: &dyn Operators,
        ids: &Tensor,
        table: &mut dyn FnMut(&Spade) -> Result<Tensor>,
        x: &Tensor,
        noise: Option<&Tensor>,
    ) -> Result<Tensor> {
        let mut modulated =
            |norm: &Spade, x: &Tensor, activate: bool| norm.run(operators, ids, &table(norm)?, x, activate);
        let shortcut = match &self.shortcut {
            Some((norm_s, conv_s)) => operators.conv(&modulated(norm_s, x, false)?, conv_s, None)?,
            None => x.clone(),
        };
        let dx = modulated(&self.norm_0, x, true)?;
        let mut dx = operators.conv(&dx, &self.conv_0, None)?;
        if let (Some(weight), Some(plane)) = (&self.noise, noise) {
            dx = operators.add_noise(dx, plane, weight)?;
        }
        let dx = modulated(&self.norm_1, &dx, true)?;
        operators.conv(&dx, &self.conv_1, Some(&shortcut))
    }
}
