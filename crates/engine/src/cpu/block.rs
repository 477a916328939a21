//! The SPADE residual block (paper figure 4).

use spadework_model::{Architecture, Grid, Prefixed, Stage};

use super::{
    conv::PackedConv,
    epilogue::{Noise, Onto},
    features::{Features, blocks, cells},
    modulate::ModulatedRows,
    policy::Policy,
    read::numbers,
    spade::{SharedPredictor, Spade},
    statistics::normalising,
    table_layout::TableLayout,
    workspace::{Parts, Workspace},
};
use crate::{EngineError, Phase, ProfileSink};
use spadework_kernels::cpu::{BLOCK, Buffer, Isa};

/// `x_s + conv_1(lrelu(norm_1(conv_0(lrelu(norm_0 x)))))`, with a modulated 1×1 shortcut where the width changes.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stage: Stage,
    norm_0: Spade,
    conv_0: PackedConv,
    noise: Option<Buffer<f32>>, // [block][32]
    norm_1: Spade,
    conv_1: PackedConv,
    shortcut: Option<(Spade, PackedConv)>,
}

impl Block {
    /// Reads the block that `stage` describes.
    pub(super) fn read(
        root: &Prefixed<'_>,
        architecture: &Architecture,
        stage: Stage,
        policy: Policy,
        layout: &mut TableLayout,
        mut shared: Option<&mut SharedPredictor>,
    ) -> Result<Self, EngineError> {
        let part = root.part(stage.name);
        let (input, middle, output) = (stage.input, stage.middle(), stage.output);
        let mut norm = |name: &str, channels: usize| {
            let shape = (channels, stage.grid);
            Spade::read(&part.part(name), architecture, shape, policy, layout, shared.as_deref_mut())
        };
        let conv = |name: &str, shape: (usize, usize), kernel: usize| {
            let form = policy.conv(kernel);
            PackedConv::read(&part.part(name), shape, kernel, kernel > 1, form)
        };
        let (norm_0, norm_1) = (norm("norm_0", input)?, norm("norm_1", middle)?);
        let shortcut = match stage.learned_shortcut() {
            true => Some((norm("norm_s", input)?, conv("conv_s", (input, output), 1)?)),
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
            conv_0: conv("conv_0", (input, middle), 3)?,
            noise,
            norm_1,
            conv_1: conv("conv_1", (middle, output), 3)?,
            shortcut,
        })
    }

    pub(super) fn convs(&self) -> impl Iterator<Item = &PackedConv> {
        [&self.conv_0, &self.conv_1].into_iter().chain(self.shortcut.iter().map(|(_, conv)| conv))
    }

    /// Reads the block's input from `workspace.x` and leaves its output there.
    pub(super) fn run(
        &self,
        isa: Isa,
        noise: Option<&[f32]>,
        workspace: &mut Workspace,
        sink: ProfileSink<'_>,
    ) {
        let Stage { input, output, grid, doubled, .. } = self.stage;
        let middle = self.stage.middle();
        let mut from = grid;
        if doubled {
            (from.height, from.width) = (grid.height / 2, grid.width / 2);
        }
        let out_len = blocks(output) * cells(grid) * BLOCK;
        let dx_len = blocks(middle) * cells(grid) * BLOCK;
        let Workspace { x, dx, out, parts } = workspace;
        let (dx, out_values) = (&mut dx[..dx_len], &mut out[..out_len]);
        let x_features = Features::new(x, input, from);

        let mut onto = Onto { features: Some(x_features), ..Onto::default() };
        if let Some((norm_s, conv_s)) = &self.shortcut {
            let layer = Layer { norm: norm_s, conv: conv_s, activate: false, grid };
            layer.run(isa, x_features, Onto::default(), (parts, sink), out_values);
            onto = Onto { output: true, ..Onto::default() };
        }
        let noise = match (&self.noise, noise) {
            (Some(weights), Some(plane)) => Some(Noise { plane, weights }),
            _ => None,
        };
        let layer = Layer { norm: &self.norm_0, conv: &self.conv_0, activate: true, grid };
        layer.run(isa, x_features, Onto { noise, ..Onto::default() }, (parts, sink), dx);
        let layer = Layer { norm: &self.norm_1, conv: &self.conv_1, activate: true, grid };
        layer.run(isa, Features::new(dx, middle, grid), onto, (parts, sink), out_values);
        std::mem::swap(x, out);
    }
}

/// A SPADE layer and the conv that reads it.
struct Layer<'a> {
    norm: &'a Spade,
    conv: &'a PackedConv,
    activate: bool,
    grid: Grid,
}

impl Layer<'_> {
    fn run(
        &self,
        isa: Isa,
        x: Features<'_>,
        onto: Onto<'_>,
        (parts, sink): (&mut Parts, ProfileSink<'_>),
        out: &mut [f32],
    ) {
        let Parts { tables, held, scratch } = parts;
        let view = tables.of(isa, self.norm);
        sink(Phase::Tables);
        let affine = self.norm.is_instance().then(|| normalising(x));
        let modulation = ModulatedRows {
            x,
            grid: self.grid,
            rows: view.cells,
            table: view.table,
            affine: affine.as_ref(),
            activate: self.activate,
        };
        self.conv.run(isa, &modulation, onto, (held, scratch), out);
        sink(Phase::Convs);
    }
}
