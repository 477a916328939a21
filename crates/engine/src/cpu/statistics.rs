//! Instance norm's statistics, which only the image being made can tell.

use rayon::prelude::*;
use spadework_model::EPSILON;

use super::features::Features;
use spadework_kernels::cpu::BLOCK;

/// A per-channel `x · scale + shift`, in blocks.
pub(super) type Affine = Vec<([f32; BLOCK], [f32; BLOCK])>;

/// What normalises `x` to mean 0 and variance 1 over its cells, channel by channel.
///
/// Nearest up-sampling repeats every cell equally often, so the statistics of an up-sampled map are these as well.
pub(super) fn normalising(x: Features<'_>) -> Affine {
    let cells = x.grid.height * x.grid.width;
    x.values.par_chunks_exact(cells * BLOCK).map(|block| of_block(block.as_chunks().0)).collect()
}

fn of_block(cells: &[[f32; BLOCK]]) -> ([f32; BLOCK], [f32; BLOCK]) {
    let count = cells.len() as f64;
    let mut mean = [0.0f64; BLOCK];
    for cell in cells {
        for (sum, &x) in mean.iter_mut().zip(cell) {
            *sum += f64::from(x);
        }
    }
    mean.iter_mut().for_each(|sum| *sum /= count);
    let mut variance = [0.0f64; BLOCK];
    for cell in cells {
        for ((sum, mean), &x) in variance.iter_mut().zip(&mean).zip(cell) {
            *sum += (f64::from(x) - mean).powi(2);
        }
    }
    let scale = variance.map(|sum| (sum / count + EPSILON).sqrt().recip());
    let shift = std::array::from_fn(|c| (-mean[c] * scale[c]) as f32);
    (scale.map(|scale| scale as f32), shift)
}
