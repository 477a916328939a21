//! A SPADE layer's gamma and beta, once for each distinct neighbourhood of the mask (paper section 3).
//!
//! The layer is `(x − mean)/σ · (1 + gamma) + beta`. Both convs that predict gamma and beta see nothing but the mask, so
//! equal neighbourhoods have equal gamma and beta: a table row for each, `scale | shift` with the layer being
//! `x · scale + shift`. Running statistics are folded into the second conv's weights:
//! `scale = (1 + gamma)/σ`, `shift = beta − mean · scale`.
//!
//! The second conv is a sum over its taps of a product with the hidden vector of the patch at that tap. The products are
//! taken once for each distinct patch, and every neighbourhood adds up those of its taps.

use std::sync::Arc;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use spadework_model::{Architecture, EPSILON, Modulation, Norm, Prefixed};

use super::{features::blocks, lookup::Lookup, network::Scratch, read::numbers};
use crate::{
    EngineError,
    buffer::Buffer,
    gemm::{PackedMatrix, Rows, Store, multiply},
    isa::{BLOCK, Isa},
    plan::level::{Level, NO_PATCH, Portion},
};

/// Elements of one table row in one block: scales, then shifts.
pub(super) const ROW: usize = 2 * BLOCK;

/// Distinct patches whose products are held at once, by each thread.
const MOST_PATCHES: usize = 4096;

/// Hidden vectors are whole vectors on every instruction set.
const HIDDEN_ALIGN: usize = 16;

/// One SPADE layer.
#[derive(Debug)]
pub(super) struct Spade {
    hidden: Arc<Lookup>,
    taps: usize,
    blocks: usize,
    instance: bool,
    second: PackedMatrix, // hidden × [block][tap][scale | shift][32]
    bias: Buffer<f32>,    // [block][scale | shift][32]
}

/// The network that predicts every layer's gamma and beta, for an architecture that shares it.
pub(super) struct SharedPredictor {
    hidden: Arc<Lookup>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    next: usize, // first row of the next layer
}

impl SharedPredictor {
    /// Reads `modulation.*`; layers then take their rows in network order.
    pub(super) fn read(
        root: &Prefixed<'_>,
        architecture: &Architecture,
    ) -> Result<Option<Self>, EngineError> {
        if architecture.modulation == Modulation::PerLayer {
            return Ok(None);
        }
        let Architecture { hidden, kernel, .. } = *architecture;
        let part = root.part("modulation");
        let width = |stage: &spadework_model::Stage| {
            stage.input + stage.middle() + if stage.learned_shortcut() { stage.input } else { 0 }
        };
        let rows = 2 * architecture.stages().iter().map(width).sum::<usize>();
        let joint = part.part("mlp_gamma_beta");
        let first = part.part("mlp_shared.0");
        Ok(Some(Self {
            hidden: Arc::new(Lookup::read(&first, architecture, hidden, kernel, HIDDEN_ALIGN)?),
            weight: numbers(&joint, "weight", &[rows, hidden, kernel, kernel])?,
            bias: numbers(&joint, "bias", &[rows])?,
            next: 0,
        }))
    }

    fn layer(&mut self, channels: usize) -> Predictor {
        let row = self.weight.len() / self.bias.len();
        let start = self.next;
        self.next += 2 * channels;
        let (gamma, beta) = (start..start + channels, start + channels..self.next);
        Predictor {
            hidden: Arc::clone(&self.hidden),
            gamma: self.weight[gamma.start * row..gamma.end * row].to_vec(),
            beta: self.weight[beta.start * row..beta.end * row].to_vec(),
            gamma_bias: self.bias[gamma].to_vec(),
            beta_bias: self.bias[beta].to_vec(),
        }
    }
}

/// One layer's two convs as they are stored.
struct Predictor {
    hidden: Arc<Lookup>,
    gamma: Vec<f32>, // (C, hidden, k, k)
    beta: Vec<f32>,
    gamma_bias: Vec<f32>,
    beta_bias: Vec<f32>,
}

impl Predictor {
    fn read(part: &Prefixed<'_>, architecture: &Architecture, channels: usize) -> Result<Self, EngineError> {
        let Architecture { hidden, kernel, .. } = *architecture;
        let shape = [channels, hidden, kernel, kernel];
        let (first, gamma, beta) = (part.part("mlp_shared.0"), part.part("mlp_gamma"), part.part("mlp_beta"));
        Ok(Self {
            hidden: Arc::new(Lookup::read(&first, architecture, hidden, kernel, HIDDEN_ALIGN)?),
            gamma: numbers(&gamma, "weight", &shape)?,
            beta: numbers(&beta, "weight", &shape)?,
            gamma_bias: numbers(&gamma, "bias", &[channels])?,
            beta_bias: numbers(&beta, "bias", &[channels])?,
        })
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

    /// Gamma's and beta's parts of a linear form as scale's and shift's.
    fn fold(&self, channel: usize, gamma: f64, beta: f64) -> [f32; 2] {
        let scale = gamma * self.inverse[channel];
        [scale as f32, (beta - self.mean[channel] * scale) as f32]
    }
}

impl Spade {
    /// Reads the layer called `part`; in a shared modulation it takes the next rows of `shared`.
    pub(super) fn read(
        part: &Prefixed<'_>,
        architecture: &Architecture,
        channels: usize,
        shared: Option<&mut SharedPredictor>,
    ) -> Result<Self, EngineError> {
        let predictor = match shared {
            Some(shared) => shared.layer(channels),
            None => Predictor::read(part, architecture, channels)?,
        };
        let running = Running::read(part, architecture.norm, channels)?;
        Ok(Self::fold(architecture, channels, &predictor, &running))
    }

    fn fold(architecture: &Architecture, channels: usize, predictor: &Predictor, running: &Running) -> Self {
        let Predictor { hidden, gamma, beta, gamma_bias, beta_bias } = predictor;
        let (width, taps) = (architecture.hidden, architecture.kernel * architecture.kernel);
        let blocks = blocks(channels);
        let second = PackedMatrix::new(hidden.width(), blocks * taps * ROW, |k, column| {
            let (tap, half) = (column / ROW % taps, column / BLOCK % 2);
            let channel = column / (taps * ROW) * BLOCK + column % BLOCK;
            if k >= width || channel >= channels {
                return 0.0;
            }
            let weight = (channel * width + k) * taps + tap;
            running.fold(channel, f64::from(gamma[weight]), f64::from(beta[weight]))[half]
        });
        let mut bias = Buffer::zeroed(blocks * ROW);
        for channel in 0..channels {
            let gamma = 1.0 + f64::from(gamma_bias[channel]);
            let folded = running.fold(channel, gamma, f64::from(beta_bias[channel]));
            let start = channel / BLOCK * ROW + channel % BLOCK;
            [bias[start], bias[start + BLOCK]] = folded;
        }
        let instance = architecture.norm == Norm::Instance;
        Self { hidden: Arc::clone(hidden), taps, blocks, instance, second, bias }
    }

    /// Whether the layer's input has to be normalised by its own statistics first.
    pub(super) fn is_instance(&self) -> bool {
        self.instance
    }

    /// Elements of this layer's table for `rows` neighbourhoods.
    pub(super) fn table_len(&self, rows: usize) -> usize {
        self.blocks * rows * ROW
    }

    /// Elements of the hidden map over a level's patches.
    pub(super) fn hidden_len(&self, level: &Level) -> usize {
        level.patches.len() / self.taps * self.hidden.width()
    }

    /// The layer's table `[block][neighbourhood][scale | shift]` for a level.
    ///
    /// `hidden` and `scratch` are working memory. A row depends on its own neighbourhood alone, to the last bit.
    pub(super) fn tabulate(
        &self,
        isa: Isa,
        level: &Level,
        hidden: &mut [f32],
        scratch: &Scratch,
        table: &mut [f32],
    ) {
        self.hidden.apply(&level.patches, true, hidden);
        let hidden = &*hidden;
        let portions = level.portions(0..level.len() as u32, MOST_PATCHES);
        let starts: Vec<Vec<usize>> = portions
            .iter()
            .map(|portion| {
                portion.patches.iter().map(|&patch| patch as usize * self.hidden.width()).collect()
            })
            .collect();
        table.par_chunks_exact_mut(level.len() * ROW).enumerate().for_each(|(block, table)| {
            for (portion, starts) in portions.iter().zip(&starts) {
                scratch.with(self.taps * portion.patches.len() * ROW, |products| {
                    self.multiply(isa, block, hidden, starts, products);
                    let bias = &self.bias.as_chunks().0[block];
                    isa.run(SumTaps {
                        portion,
                        products: products.as_chunks().0,
                        bias,
                        table: table.as_chunks_mut().0,
                    });
                });
            }
        });
    }

    /// Products of the patches at `starts` with every tap of one block, `[tap][patch][scale | shift]`.
    fn multiply(&self, isa: Isa, block: usize, hidden: &[f32], starts: &[usize], products: &mut [f32]) {
        let rows = Rows { values: hidden, starts, pieces: &[0], length: self.hidden.width() };
        for (tap, products) in products.chunks_exact_mut(starts.len() * ROW).enumerate() {
            for half in 0..2 {
                let panel = self.second.panel((block * self.taps + tap) * 2 + half);
                multiply(isa, rows, panel, Store::Replace, &mut products[half * BLOCK..], ROW);
            }
        }
    }
}

/// Every neighbourhood of a portion adds up the products of its taps, in their order.
struct SumTaps<'a> {
    portion: &'a Portion,
    products: &'a [[f32; ROW]], // [tap][patch]
    bias: &'a [f32; ROW],
    table: &'a mut [[f32; ROW]],
}

impl WithSimd for SumTaps<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { portion, products, bias, table } = self;
        let patches = portion.patches.len();
        let taps = portion.taps.len() / portion.rows.len();
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
            table[row as usize] = sum;
        }
    }
}
