//! The first feature map, from a latent or from the mask itself.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use spadework_model::{Architecture, Grid, Prefixed};

use super::{
    features::{blocks, cells},
    lookup::Lookup,
    read::numbers,
};
use crate::{EngineError, Input};
use spadework_kernels::cpu::{BLOCK, Buffer, Isa};

/// What the network starts from.
#[derive(Debug)]
pub(super) enum Start {
    /// Linear, z → (C, H, W).
    Latent { weights: Buffer<f32>, bias: Buffer<f32> },
    /// conv 3×3 on the mask at the latent grid's size.
    LabelMap(Lookup),
}

const KERNEL: usize = 3;

impl Start {
    pub(super) fn read(root: &Prefixed<'_>, architecture: &Architecture) -> Result<Self, EngineError> {
        let (part, width) = (root.part("fc"), architecture.start_width());
        let Some(z_dim) = architecture.z_dim else {
            return Ok(Self::LabelMap(Lookup::read(&part, architecture, width, KERNEL)?));
        };
        let features = width * cells(architecture.grid);
        Ok(Self::Latent {
            weights: numbers(&part, "weight", &[features, z_dim])?.into_iter().collect(),
            bias: numbers(&part, "bias", &[features])?.into_iter().collect(),
        })
    }

    /// Writes the first feature map of `grid`, `[block][cell][32]`.
    ///
    /// # Panics
    /// When the input has not been checked for this model.
    pub(super) fn run(&self, isa: Isa, input: &Input, grid: Grid, out: &mut [f32]) {
        match self {
            Self::Latent { weights, bias } => {
                let z = input.z.as_deref().expect("the input was checked: it has a latent");
                let channels = bias.len() / cells(grid);
                let out = &mut out[..blocks(channels) * cells(grid) * BLOCK];
                linear(isa, z, weights, bias, cells(grid), out);
            }
            Self::LabelMap(conv) => {
                let map =
                    input.plan.start.as_ref().expect("the input was checked: it has the mask to start from");
                let patches = map.windows(KERNEL);
                let mut cells_first = vec![0.0; cells(grid) * conv.width()];
                conv.apply(isa, &patches, false, &mut cells_first);
                to_blocks(&cells_first, conv.width(), out);
            }
        }
    }
}

/// `weights · z + bias`, features in C H W order, into blocks.
fn linear(isa: Isa, z: &[f32], weights: &[f32], bias: &[f32], cells: usize, out: &mut [f32]) {
    out.par_chunks_exact_mut(cells * BLOCK).enumerate().for_each(|(block, out)| {
        out.fill(0.0); // beyond the network's channels
        let features = block * BLOCK * cells..((block + 1) * BLOCK * cells).min(bias.len());
        // In the order of the weights, which are by far the most that is read.
        for (i, feature) in features.enumerate() {
            let row = &weights[feature * z.len()..(feature + 1) * z.len()];
            out[i % cells * BLOCK + i / cells] = bias[feature] + isa.run(Dot(row, z));
        }
    });
}

/// A scalar product: sixteen partial sums, added up in order, which is fast without leave to reorder.
struct Dot<'a>(&'a [f32], &'a [f32]);

impl WithSimd for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f32 {
        let mut sums = [0.0; 16];
        let (a, a_rest) = self.0.as_chunks::<16>();
        let (b, b_rest) = self.1.as_chunks::<16>();
        for (a, b) in a.iter().zip(b) {
            for i in 0..16 {
                sums[i] += a[i] * b[i];
            }
        }
        for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
            *sum += a * b;
        }
        sums.iter().sum()
    }
}

/// `[cell][channel]` to `[block][cell][32]`.
fn to_blocks(rows: &[f32], width: usize, out: &mut [f32]) {
    let cells = rows.len() / width;
    for (block, out) in out.chunks_exact_mut(cells * BLOCK).take(width / BLOCK).enumerate() {
        for (out, row) in out.chunks_exact_mut(BLOCK).zip(rows.chunks_exact(width)) {
            out.copy_from_slice(&row[block * BLOCK..(block + 1) * BLOCK]);
        }
    }
}
