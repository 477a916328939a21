//! Noise planes, weighted channel by channel.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    element::Element,
    lanes::{map, update, vectorized},
    storage::{by_dtype, dtype, slice, stored, tensor, with_values},
};

/// Cells that one task handles.
const CELLS: usize = 1024;

/// `x + weight · noise` of a map (N, H, W, C), a weight (C) and one plane (N, 1, H, W) for all channels.
///
/// # Errors
/// When sizes do not agree, or a tensor is not in the memory of a CPU.
pub fn add_noise(x: &Tensor, weight: &Tensor, noise: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    if noise.dims() != [n, 1, h, w] || weight.dims() != [c] {
        bail!("noise {:?} weighted by {:?} does not fit a map {:?}", noise.dims(), weight.dims(), x.dims())
    }
    let noise = noise.detach().to_dtype(x.dtype())?;
    x.contiguous()?.apply_op2(&weight.contiguous()?, AddNoise { noise })
}

struct AddNoise {
    noise: Tensor,
}

impl CustomOp2 for AddNoise {
    fn name(&self) -> &'static str {
        "add-noise"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(x), T => {
            let (x, weight) = (slice::<T>(x, x_layout)?, slice::<T>(weight, weight_layout)?);
            let out = with_values(&self.noise, |noise| Ok(add(x, weight, noise)))?;
            Ok(stored(out, x_layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        _: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let channels = weight.elem_count();
        by_dtype!(weight.dtype(), T => {
            let dw = with_values::<T, _>(gradient, |dy| {
                with_values(&self.noise, |noise| Ok(weight_gradient(dy, noise, channels)))
            })?;
            Ok((Some(gradient.clone()), Some(tensor(dw, weight)?)))
        })
    }
}

fn add<T: Element>(x: &[T], weight: &[T], noise: &[T]) -> Vec<T> {
    let c = weight.len();
    let mut out = vec![T::zero(); x.len()];
    let chunks = out.par_chunks_mut(CELLS * c).zip(x.par_chunks(CELLS * c)).zip(noise.par_chunks(CELLS));
    chunks.for_each(|((out, x), noise)| vectorized!(add_cells(out, x, weight, noise)));
    out
}

#[inline(always)]
fn add_cells<T: Element>(out: &mut [T], x: &[T], weight: &[T], noise: &[T]) {
    let c = weight.len();
    for ((out, x), noise) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(noise) {
        map(out, [x, weight], |[x, weight]| x + weight * *noise);
    }
}

fn weight_gradient<T: Element>(dy: &[T], noise: &[T], channels: usize) -> Vec<T> {
    let parts: Vec<Vec<T>> = dy
        .par_chunks(CELLS * channels)
        .zip(noise.par_chunks(CELLS))
        .map(|(dy, noise)| {
            let mut sums = vec![T::zero(); channels];
            vectorized!(sum_cells(&mut sums, dy, noise));
            sums
        })
        .collect();
    (0..channels).map(|c| T::from_f64(parts.iter().map(|part| part[c].to_f64()).sum())).collect()
}

#[inline(always)]
fn sum_cells<T: Element>(sums: &mut [T], dy: &[T], noise: &[T]) {
    for (dy, noise) in dy.chunks_exact(sums.len()).zip(noise) {
        update(sums, [dy], |sum, [dy]| sum + dy * *noise);
    }
}
