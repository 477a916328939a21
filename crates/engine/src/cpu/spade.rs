//! A SPADE layer's gamma and beta, once for each distinct neighbourhood of the mask (paper section 3).
//!
//! The layer is `(x − mean)/σ · (1 + gamma) + beta`. Both convs that predict gamma and beta see nothing but the mask, so
//! equal neighbourhoods have equal gamma and beta: a table row for each, `scale | shift` with the layer being
//! `x · scale + shift`. Running statistics are folded into the second conv's weights:
//! `scale = (1 + gamma)/σ`, `shift = beta − mean · scale`.
//!
//! The second conv is a sum over its taps of a product with the hidden vector of the patch at that tap. The products are
//! taken once for each distinct patch, and every neighbourhood adds up those of its taps. Where the layout says so, rows are those of
//! [tiles](super::tiles) instead.

use std::sync::Arc;

use candle_core::Tensor;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use spadework_model::{Architecture, EPSILON, Grid, Norm, Prefixed};

use super::{
    features::blocks,
    lookup::Lookup,
    policy::Policy,
    read::numbers,
    scratch::Scratch,
    table_layout::{ROW, TableIndex, TableLayout, TableMemory},
    table_plan::TablePlan,
    tiles::{CELLS, KERNEL},
    winograd::SeparateTiles,
};
use crate::{
    EngineError,
    plan::level::{NO_PATCH, Portion},
    predictor::Predictor,
};
use spadework_kernels::cpu::{
    BLOCK, Bf16Pair, Buffer, Element, Isa, PackedMatrix, Rows, StoreMode, elements, multiply,
};

/// A tile's rows in one block.
const TILE_ROW: usize = CELLS * ROW;

/// One SPADE layer.
#[derive(Debug)]
pub(super) struct Spade {
    /// Where its table is.
    pub(super) table: TableIndex,
    hidden: Arc<Lookup>,
    instance: bool,
    second: Second,
    bias: Buffer<f32>, // [block][scale | shift, or beta in tiles][32]
}

/// The second conv, `[tap][hidden]` × `[block][tap][scale | shift][32]`, in f32 or in bf16.
#[derive(Debug)]
enum Second {
    F32(TapProducts<f32>),
    Bf16(TapProducts<Bf16Pair>),
    /// `[block][scale | beta][32]` output channels, tiles of cells at a time.
    Tiles {
        conv: SeparateTiles,
        /// What the shift lacks is `−mean · scale`, of the scale as it was computed: were it a sum of its own, the errors of F(4×4) in
        /// both would not cancel where the mean is large.
        mean: Buffer<f32>, // [block][32]
    },
}

/// The products of hidden vectors with every tap.
#[derive(Debug)]
struct TapProducts<E: Element> {
    instructions: E::Kernel,
    taps: usize,
    weights: PackedMatrix<E>, // hidden × [block][tap][scale | shift][32]
}

/// The predictor that all layers share, where the architecture has one.
pub(super) type SharedPredictor = crate::predictor::SharedPredictor<Lookup>;

/// Reads the first conv, which predictors of all layers of an architecture have alike.
pub(super) fn first_conv(
    architecture: &Architecture,
) -> impl FnOnce(&Prefixed<'_>) -> Result<Lookup, EngineError> {
    |part| Lookup::read(part, architecture, architecture.hidden, architecture.kernel)
}

/// One layer's predictor as plain numbers, gamma's and beta's.
struct Weights {
    hidden: Arc<Lookup>,
    weight: [Vec<f32>; 2], // (C, hidden, k, k)
    bias: [Vec<f32>; 2],   // (C)
}

impl Weights {
    fn of(predictor: Predictor<Lookup>) -> Result<Self, EngineError> {
        let halves = |both: &Tensor| -> candle_core::Result<[Vec<f32>; 2]> {
            let half = |index: usize| both.chunk(2, 0)?[index].flatten_all()?.to_vec1();
            Ok([half(0)?, half(1)?])
        };
        let (weight, bias) = (halves(&predictor.weight)?, halves(&predictor.bias)?);
        Ok(Self { hidden: predictor.hidden, weight, bias })
    }
}

/// Running statistics as what normalises: `(x − mean) · inverse`.
struct Running {
    mean: Vec<f64>,
    inverse: Vec<f64>,
}

impl Running {
    fn read(part: &Prefixed<'_>, norm: Norm, channels: usize) -> Result<Self, EngineError> {
        if norm == Norm::Instance {
            return Ok(Self { mean: vec![0.0; channels], inverse: vec![1.0; channels] });
        }
        let part = part.part("param_free_norm");
        let mean = numbers(&part, "running_mean", &[channels])?;
        let variance = numbers(&part, "running_var", &[channels])?;
        Ok(Self {
            mean: mean.into_iter().map(f64::from).collect(),
            inverse: variance.into_iter().map(|v| (f64::from(v) + EPSILON).sqrt().recip()).collect(),
        })
    }

    /// The same but for the mean, which is left out.
    fn without_mean(&self) -> Self {
        Self { mean: vec![0.0; self.mean.len()], inverse: self.inverse.clone() }
    }

    /// Gamma's and beta's parts of a linear form as scale's and shift's.
    fn fold(&self, channel: usize, gamma: f64, beta: f64) -> [f32; 2] {
        let scale = gamma * self.inverse[channel];
        [scale as f32, (beta - self.mean[channel] * scale) as f32]
    }
}

impl Spade {
    /// Reads the layer called `part` at `grid`; in a shared modulation it takes the next rows of `shared`.
    pub(super) fn read(
        part: &Prefixed<'_>,
        architecture: &Architecture,
        (channels, grid): (usize, Grid),
        policy: Policy,
        layout: &mut TableLayout,
        shared: Option<&mut SharedPredictor>,
    ) -> Result<Self, EngineError> {
        let predictor = Predictor::read(part, architecture, channels, shared, first_conv(architecture))?;
        let predictor = Weights::of(predictor)?;
        let running = Running::read(part, architecture.norm, channels)?;
        let table = layout.add(grid, blocks(channels));
        let in_tiles = layout.in_tiles(grid);
        Ok(Self::fold(architecture, channels, (policy, in_tiles), table, &predictor, &running))
    }

    fn fold(
        architecture: &Architecture,
        channels: usize,
        (policy, in_tiles): (Policy, bool),
        table: TableIndex,
        predictor: &Weights,
        running: &Running,
    ) -> Self {
        let Weights { hidden, weight: [gamma, beta], bias: [gamma_bias, beta_bias] } = predictor;
        let all = running;
        let centred = all.without_mean();
        let running = if in_tiles { &centred } else { all };
        let (width, taps) = (architecture.hidden, architecture.kernel * architecture.kernel);
        let weight = |k: usize, column: usize| {
            let (tap, half) = (column / ROW % taps, column / BLOCK % 2);
            let channel = column / (taps * ROW) * BLOCK + column % BLOCK;
            if k >= width || channel >= channels {
                return 0.0;
            }
            let weight = (channel * width + k) * taps + tap;
            running.fold(channel, f64::from(gamma[weight]), f64::from(beta[weight]))[half]
        };
        let shape = (hidden.width(), blocks(channels) * taps * ROW);
        let second = if in_tiles {
            let by_tap = |i: usize| {
                let (output, input, tap) = (i / (taps * width), i / taps % width, i % taps);
                weight(input, (output / ROW * taps + tap) * ROW + output % ROW)
            };
            let outputs = blocks(channels) * ROW;
            let weight: Vec<f32> = (0..outputs * width * taps).into_par_iter().map(by_tap).collect();
            let mut mean = Buffer::zeroed(blocks(channels) * BLOCK);
            mean.iter_mut().zip(&all.mean).for_each(|(padded, mean)| *padded = *mean as f32);
            Second::Tiles { conv: SeparateTiles::new(policy.isa, (width, outputs), &weight), mean }
        } else if let Some(bf16) = policy.table_bf16() {
            Second::Bf16(TapProducts::new(bf16, taps, shape, weight))
        } else {
            Second::F32(TapProducts::new(policy.isa, taps, shape, weight))
        };
        let mut bias = Buffer::zeroed(blocks(channels) * ROW);
        for channel in 0..channels {
            let gamma = 1.0 + f64::from(gamma_bias[channel]);
            let folded = running.fold(channel, gamma, f64::from(beta_bias[channel]));
            let start = channel / BLOCK * ROW + channel % BLOCK;
            [bias[start], bias[start + BLOCK]] = folded;
        }
        let instance = architecture.norm == Norm::Instance;
        Self { table, hidden: Arc::clone(hidden), instance, second, bias }
    }

    /// Whether the layer's input has to be normalised by its own statistics first.
    pub(super) fn is_instance(&self) -> bool {
        self.instance
    }

    /// Makes the rows of `plan` in the layer's `table`, `[block][row][cell of a tile][scale | shift]`.
    ///
    /// A row depends on its own neighbourhood or tile alone, to the last bit.
    pub(super) fn tabulate(&self, isa: Isa, plan: &TablePlan, memory: &mut TableMemory, table: &mut [f32]) {
        if plan.portions.is_empty() {
            return;
        }
        let TableMemory { hidden, hidden_bf16, transformed, scratch } = memory;
        match &self.second {
            Second::Tiles { conv, mean } => {
                self.tiles(isa, (conv, mean), plan, (hidden, transformed), scratch, table);
            }
            Second::F32(second) => self.rows(isa, second, plan, hidden, scratch, table),
            Second::Bf16(second) => self.rows(isa, second, plan, hidden_bf16, scratch, table),
        }
    }

    /// The rows as tiles.
    fn tiles(
        &self,
        isa: Isa,
        (conv, mean): (&SeparateTiles, &[f32]),
        plan: &TablePlan,
        (hidden, transformed): (&mut Buffer<f32>, &mut Buffer<f32>),
        scratch: &Scratch,
        table: &mut [f32],
    ) {
        let hidden = hidden.at_least(plan.patches.len() / (KERNEL * KERNEL) * self.hidden.width());
        self.hidden.apply(isa, &plan.patches, true, hidden);
        let hidden = &*hidden;
        let block_len = |portion: &Portion| SeparateTiles::block_len(portion.rows.len());
        let lens = plan.portions.iter().map(|portion| conv.input_blocks() * block_len(portion));
        let mut rest = transformed.at_least(lens.sum());
        let mut inputs = Vec::new();
        for portion in &plan.portions {
            let (input, others) = rest.split_at_mut(conv.input_blocks() * block_len(portion));
            inputs.push((portion, input));
            rest = others;
        }
        inputs.par_iter_mut().for_each(|(portion, input)| {
            input.par_chunks_exact_mut(block_len(portion)).enumerate().for_each(|(block, input)| {
                let read = |i: usize| (portion.taps[i] != NO_PATCH).then_some(portion.taps[i] as usize);
                conv.transform(block, portion.rows.len(), hidden, read, input);
            });
        });
        let biases: &[[f32; ROW]] = self.bias.as_chunks().0;
        let height = table.len() / biases.len();
        let blocks = table.chunks_exact_mut(height).zip(biases).enumerate();
        let tasks: Vec<_> = blocks
            .flat_map(|(block, (table, bias))| {
                let spans = plan.spans::<TILE_ROW>(table.as_chunks_mut().0);
                spans
                    .zip(&inputs)
                    .map(move |((portion, rows), (_, input))| (block, bias, portion, &**input, rows))
            })
            .collect();
        tasks.into_par_iter().for_each(|(block, bias, portion, input, rows)| {
            let tiles = portion.rows.len();
            scratch.with(conv.memory_len(tiles), |memory| {
                let mean = &mean.as_chunks::<BLOCK>().0[block];
                let first = portion.rows[0];
                let row = |tile: usize| (portion.rows[tile] - first) as usize;
                let biases = bias.as_chunks().0;
                conv.run(2 * block, tiles, input, &biases[0], memory, |tile, scales| {
                    for (cell, scale) in rows[row(tile)].chunks_exact_mut(ROW).zip(scales) {
                        cell[..BLOCK].copy_from_slice(scale);
                    }
                });
                conv.run(2 * block + 1, tiles, input, &biases[1], memory, |tile, betas| {
                    for (cell, beta) in rows[row(tile)].chunks_exact_mut(ROW).zip(betas) {
                        let (scale, shift) = cell.split_at_mut(BLOCK);
                        for c in 0..BLOCK {
                            shift[c] = beta[c] - mean[c] * scale[c];
                        }
                    }
                });
            });
        });
    }

    /// The rows as neighbourhoods.
    fn rows<E: Element>(
        &self,
        isa: Isa,
        second: &TapProducts<E>,
        plan: &TablePlan,
        hidden: &mut Buffer<E>,
        scratch: &Scratch,
        table: &mut [f32],
    ) {
        let width = elements::<E>(self.hidden.width());
        let hidden = hidden.at_least(plan.patches.len() / second.taps * width);
        self.hidden.apply(isa, &plan.patches, true, hidden);
        let hidden = &*hidden;
        let start = |&patch: &u32| patch as usize * width;
        let starts: Vec<Vec<usize>> =
            plan.portions.iter().map(|portion| portion.patches.iter().map(start).collect()).collect();
        let biases: &[[f32; ROW]] = self.bias.as_chunks().0;
        let height = table.len() / biases.len();
        let blocks = table.chunks_exact_mut(height).zip(biases).enumerate();
        let tasks: Vec<_> = blocks
            .flat_map(|(block, (table, bias))| {
                let spans = plan.spans::<ROW>(table.as_chunks_mut().0);
                spans.zip(&starts).map(move |((portion, rows), starts)| (block, bias, portion, starts, rows))
            })
            .collect();
        tasks.into_par_iter().for_each(|(block, bias, portion, starts, rows)| {
            scratch.with(second.taps * portion.patches.len() * ROW, |products| {
                second.multiply(block, hidden, width, starts, products);
                isa.run(SumTaps { portion, products: products.as_chunks().0, bias, rows });
            });
        });
    }
}

impl<E: Element> TapProducts<E> {
    fn new(
        instructions: E::Kernel,
        taps: usize,
        (depth, columns): (usize, usize),
        weight: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        Self { instructions, taps, weights: PackedMatrix::new(depth, columns, weight) }
    }

    /// Products of the patches at `starts` with every tap of one block, `[tap][patch][scale | shift]`.
    fn multiply(&self, block: usize, hidden: &[E], width: usize, starts: &[usize], products: &mut [f32]) {
        let rows = Rows { values: hidden, starts, pieces: &[0], length: width };
        for (tap, products) in products.chunks_exact_mut(starts.len() * ROW).enumerate() {
            for half in 0..2 {
                let panel = self.weights.panel((block * self.taps + tap) * 2 + half);
                multiply(
                    self.instructions,
                    rows,
                    panel,
                    StoreMode::Replace,
                    &mut products[half * BLOCK..],
                    ROW,
                );
            }
        }
    }
}

/// Every neighbourhood of a portion adds up the products of its taps, in their order.
struct SumTaps<'a> {
    portion: &'a Portion,
    products: &'a [[f32; ROW]], // [tap][patch]
    bias: &'a [f32; ROW],
    rows: &'a mut [[f32; ROW]], // of the table, from the portion's first on
}

impl WithSimd for SumTaps<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { portion, products, bias, rows } = self;
        let patches = portion.patches.len();
        let taps = portion.taps.len() / portion.rows.len();
        let first = portion.rows[0];
        for (&row, taps) in portion.rows.iter().zip(portion.taps.chunks_exact(taps)) {
            let mut sum = *bias;
            for (tap, &patch) in taps.iter().enumerate() {
                if patch != NO_PATCH {
                    let product = &products[tap * patches + patch as usize];
                    for i in 0..ROW {
                        sum[i] += product[i];
                    }
                }
            }
            rows[(row - first) as usize] = sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        cpu::{row_cache::RowCache, tiles::Tiles},
        plan::{codes::CodeMap, level::Level},
        testing::fixtures::{TestNumbers, small, weights},
    };
    use spadework_kernels::cpu::Instructions;

    const CHANNELS: usize = 40;

    /// The layer's table for every row of `level`, and the row of every cell.
    fn table(architecture: &Architecture, level: &Level, in_tiles: bool, mean: f64) -> (Vec<f32>, Vec<u32>) {
        let tensors = weights(architecture, 5);
        let part = Prefixed::root(&tensors).part("head_0").part("norm_0").part("mlp_shared.0");
        let mut numbers = TestNumbers(7);
        let size = CHANNELS * architecture.hidden * KERNEL * KERNEL;
        let predictor = Weights {
            hidden: Arc::new(first_conv(architecture)(&part).unwrap()),
            weight: [numbers.take(size), numbers.take(size)],
            bias: [numbers.take(CHANNELS), numbers.take(CHANNELS)],
        };
        let running = Running { mean: vec![mean; CHANNELS], inverse: vec![1.0; CHANNELS] };
        let policies = Policy::all(&Instructions::choose(None));
        let policy = policies.iter().find(|(policy, _)| policy.tables_in_tiles()).unwrap().0;
        let mut layout = TableLayout::new(architecture, policy);
        let index = layout.add(architecture.grid, blocks(CHANNELS));
        let f32_policy = policies[0].0;
        let policy = if in_tiles { policy } else { f32_policy };
        let spade = Spade::fold(architecture, CHANNELS, (policy, in_tiles), index, &predictor, &running);
        let (windows, extent) = (Tiles::of(level), 2 * KERNEL - 1);
        let (plan, cells, rows) = if in_tiles {
            let placed = RowCache::new(crate::cpu::tiles::WINDOW, 0).place(&windows.windows);
            let cell = |cell: usize| {
                let (place, inner) = Tiles::find(level.grid.width, cell);
                placed.rows[windows.ids[place] as usize] * CELLS as u32 + inner as u32
            };
            let cells: Vec<u32> = (0..level.ids.len()).map(cell).collect();
            (TablePlan::of_tiles(level, &windows, &placed, 2), cells, placed.rows.len() * CELLS)
        } else {
            let placed = RowCache::new(extent * extent, 0).place(&level.windows);
            let cells = level.ids.iter().map(|&id| placed.rows[id as usize]).collect();
            (TablePlan::new(level, &placed, 2), cells, placed.rows.len())
        };
        let mut table = vec![0.0; blocks(CHANNELS) * rows * ROW];
        spade.tabulate(policy.isa, &plan, &mut TableMemory::new(1), &mut table);
        (table, cells)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// However large the mean: what a layer makes of an input near its mean is off by no more.
        #[test]
        fn tiles_are_the_sums_over_taps(
            seed in prop::collection::vec(0u8..2, 192),
            mean in prop::sample::select(vec![0.0f64, 30.0]),
        ) {
            let architecture = small();
            let grid = Grid { height: 12, width: 16 };
            let level = Level::new(&CodeMap::new(grid, &seed, None), KERNEL);
            let (tiles, tile_cells) = table(&architecture, &level, true, mean);
            let (taps, tap_cells) = table(&architecture, &level, false, mean);
            let (tile_len, tap_len) = (tiles.len() / blocks(CHANNELS), taps.len() / blocks(CHANNELS));
            for channel in 0..CHANNELS {
                for (tile, tap) in tile_cells.iter().zip(&tap_cells) {
                    let value = |table: &[f32], start: usize| {
                        let (scale, shift) = (table[start + channel % BLOCK], table[start + BLOCK + channel % BLOCK]);
                        (mean + 1.0) * f64::from(scale) + f64::from(shift)
                    };
                    let got = value(&tiles, channel / BLOCK * tile_len + *tile as usize * ROW);
                    let want = value(&taps, channel / BLOCK * tap_len + *tap as usize * ROW);
                    prop_assert!((got - want).abs() <= 2e-4, "{got} is not {want}");
                }
            }
        }
    }
}
