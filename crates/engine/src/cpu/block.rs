//! The SPADE residual block (paper figure 4).

use spadework_model::{Architecture, Prefixed, Stage};

use super::{
    conv::{Conv, Noise, Onto},
    features::{Features, blocks, bordered, cells},
    modulate::Modulation,
    network::Workspace,
    read::numbers,
    spade::{SharedPredictor, Spade},
    statistics::normalising,
};
use crate::{
    EngineError,
    buffer::Buffer,
    isa::{BLOCK, Isa},
    plan::level::Level,
};

/// `x_s + conv_1(lrelu(norm_1(conv_0(lrelu(norm_0 x)))))`, with a modulated 1×1 shortcut where the width changes.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stage: Stage,
    norm_0: Spade,
    conv_0: Conv,
    noise: Option<Buffer<f32>>, // [block][32]
    norm_1: Spade,
    conv_1: Conv,
    shortcut: Option<(Spade, Conv)>,
}

impl Block {
    /// Reads the block that `stage` describes.
    pub(super) fn read(
        root: &Prefixed<'_>,
        architecture: &Architecture,
        stage: Stage,
        mut shared: Option<&mut SharedPredictor>,
    ) -> Result<Self, EngineError> {
        let part = root.part(stage.name);
        let (input, middle, output) = (stage.input, stage.middle(), stage.output);
        let mut norm = |name: &str, channels: usize| {
            Spade::read(&part.part(name), architecture, channels, shared.as_deref_mut())
        };
        let (norm_0, norm_1) = (norm("norm_0", input)?, norm("norm_1", middle)?);
        let shortcut = match stage.learned_shortcut() {
            true => {
                Some((norm("norm_s", input)?, Conv::read(&part.part("conv_s"), input, output, 1, false)?))
            }
            false => None,
        };
        let noise = match architecture.noise {
            true => {
                let mut weights = numbers(&part, "noise_w", &[middle])?;
                weights.resize(blocks(middle) * BLOCK, 0.0);
                Some(weights.into_iter().collect())
            }
            false => None,
        };
        Ok(Self {
            stage,
            norm_0,
            conv_0: Conv::read(&part.part("conv_0"), input, middle, 3, true)?,
            noise,
            norm_1,
            conv_1: Conv::read(&part.part("conv_1"), middle, output, 3, true)?,
            shortcut,
        })
    }

    /// Reads the block's input from `workspace.x` and leaves its output there.
    pub(super) fn run(&self, isa: Isa, level: &Level, noise: Option<&[f32]>, workspace: &mut Workspace) {
        let Stage { input, output, grid, doubled, .. } = self.stage;
        let middle = self.stage.middle();
        let mut from = grid;
        if doubled {
            (from.height, from.width) = (grid.height / 2, grid.width / 2);
        }
        let Workspace { x, dx, out, modulated, tables, .. } = workspace;
        let out_len = blocks(output) * cells(grid) * BLOCK;
        let out_values = &mut out[..out_len];
        let dx = &mut dx[..blocks(middle) * cells(grid) * BLOCK];
        let x_features = Features::new(x, input, from);

        let mut onto = Onto::Features(x_features);
        if let Some((norm_s, conv_s)) = &self.shortcut {
            modulate(isa, norm_s, level, x_features, false, tables, modulated);
            conv_s.run(isa, modulated, grid, Onto::Nothing, None, out_values);
            onto = Onto::Output;
        }
        modulate(isa, &self.norm_0, level, x_features, true, tables, modulated);
        let noise = match (&self.noise, noise) {
            (Some(weights), Some(plane)) => Some(Noise { plane, weights }),
            _ => None,
        };
        self.conv_0.run(isa, modulated, grid, Onto::Nothing, noise, dx);
        modulate(isa, &self.norm_1, level, Features::new(dx, middle, grid), true, tables, modulated);
        self.conv_1.run(isa, modulated, grid, onto, None, out_values);
        std::mem::swap(x, out);
    }
}

/// Runs one SPADE layer into `modulated`.
fn modulate(
    isa: Isa,
    spade: &Spade,
    level: &Level,
    x: Features<'_>,
    activate: bool,
    tables: &mut super::network::Tables,
    modulated: &mut Buffer<f32>,
) {
    let table = tables.of(isa, spade, level);
    let affine = spade.is_instance().then(|| normalising(x));
    let blocks = x.values.len() / (cells(x.grid) * BLOCK);
    let out = &mut modulated[..blocks * cells(bordered(level.grid)) * BLOCK];
    Modulation { x, level, table, affine: affine.as_ref(), activate }.run(isa, out);
}
