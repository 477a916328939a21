//! Average pooling between the discriminator's scales, and max-pooling in VGG.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    element::Element,
    storage::{by_dtype, dtype, slice, stored, tensor, with_values},
};

/// 3×3 average pooling with stride 2 and padding 1, (N, H, W, C) → (N, ⌈H/2⌉, ⌈W/2⌉, C). A cell at the border is divided
/// by the number of real cells under its window.
///
/// # Errors
/// Where the tensor is not in the memory of a CPU.
pub fn average_pool(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(AveragePool)
}

struct AveragePool;

/// Input rows (or columns) under output row `i` of `size` rows.
fn window(i: usize, size: usize) -> std::ops::Range<usize> {
    (2 * i).saturating_sub(1)..(2 * i + 2).min(size)
}

impl CustomOp1 for AveragePool {
    fn name(&self) -> &'static str {
        "average-pool"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = layout.shape().dims4()?;
        let (oh, ow) = (h.div_ceil(2), w.div_ceil(2));
        by_dtype!(dtype(storage), T => {
            let x = slice::<T>(storage, layout)?;
            let mut out = vec![T::default(); n * oh * ow * c];
            out.par_chunks_mut(ow * c).enumerate().for_each(|(row, out)| {
                let (rows, x) = (window(row % oh, h), &x[row / oh * h * w * c..]);
                for (i, out) in out.chunks_exact_mut(c).enumerate() {
                    let columns = window(i, w);
                    let share = 1.0 / (rows.len() * columns.len()) as T;
                    for y in rows.clone() {
                        for cell in x[(y * w + columns.start) * c..(y * w + columns.end) * c].chunks_exact(c) {
                            out.iter_mut().zip(cell).for_each(|(out, x)| *out += x * share);
                        }
                    }
                }
            });
            Ok(stored(out, (n, oh, ow, c)))
        })
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (_, h, w, c) = x.dims4()?;
        by_dtype!(x.dtype(), T => {
            let dx = with_values::<T, _>(gradient, |dy| Ok(spread(dy, x.elem_count(), [h, w, c])))?;
            tensor(dx, x).map(Some)
        })
    }
}

/// Hands every output's gradient to the inputs under its window.
fn spread<T: Element>(dy: &[T], len: usize, [h, w, c]: [usize; 3]) -> Vec<T> {
    let (oh, ow) = (h.div_ceil(2), w.div_ceil(2));
    let mut dx = vec![T::zero(); len];
    dx.par_chunks_mut(h * w * c).zip(dy.par_chunks(oh * ow * c)).for_each(|(dx, dy)| {
        for (index, dy) in dy.chunks_exact(c).enumerate() {
            let (rows, columns) = (window(index / ow, h), window(index % ow, w));
            let share = T::from_f64(1.0 / (rows.len() * columns.len()) as f64);
            for y in rows {
                for cell in dx[(y * w + columns.start) * c..(y * w + columns.end) * c].chunks_exact_mut(c) {
                    cell.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += *dy * share);
                }
            }
        }
    });
    dx
}

/// 2×2 max-pooling, (N, H, W, C) → (N, ⌊H/2⌋, ⌊W/2⌋, C). Among equal cells the first, row by row, gets the gradient.
///
/// # Errors
/// When a side has one cell only, or the tensor is not in the memory of a CPU.
pub fn max_pool(x: &Tensor) -> Result<Tensor> {
    let (_, h, w, _) = x.dims4()?;
    if h < 2 || w < 2 {
        bail!("a map of {h}x{w} has no square of 2x2 to pool")
    }
    x.contiguous()?.apply_op1(MaxPool)
}

struct MaxPool;

/// Where the four cells under output cell (`y`, `x`) begin, in an image of `w` columns and `c` channels.
fn four(y: usize, x: usize, w: usize, c: usize) -> [usize; 4] {
    let first = (2 * y * w + 2 * x) * c;
    [first, first + c, first + w * c, first + (w + 1) * c]
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = layout.shape().dims4()?;
        let (oh, ow) = (h / 2, w / 2);
        by_dtype!(dtype(storage), T => {
            let x = slice::<T>(storage, layout)?;
            let mut out = vec![T::default(); n * oh * ow * c];
            out.par_chunks_mut(ow * c).enumerate().for_each(|(row, out)| {
                let x = &x[row / oh * h * w * c..];
                for (column, out) in out.chunks_exact_mut(c).enumerate() {
                    let cells = four(row % oh, column, w, c);
                    for (i, out) in out.iter_mut().enumerate() {
                        *out = cells.iter().map(|cell| x[cell + i]).fold(T::NEG_INFINITY, T::max);
                    }
                }
            });
            Ok(stored(out, (n, oh, ow, c)))
        })
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (_, h, w, c) = x.dims4()?;
        by_dtype!(x.dtype(), T => {
            let dx = with_values::<T, _>(x, |x| with_values(gradient, |dy| Ok(to_largest(x, dy, [h, w, c]))))?;
            tensor(dx, x).map(Some)
        })
    }
}

/// Hands every output's gradient to the largest of its cells.
fn to_largest<T: Element>(x: &[T], dy: &[T], [h, w, c]: [usize; 3]) -> Vec<T> {
    let (oh, ow) = (h / 2, w / 2);
    let mut dx = vec![T::zero(); x.len()];
    let images = dx.par_chunks_mut(h * w * c).zip(x.par_chunks(h * w * c)).zip(dy.par_chunks(oh * ow * c));
    images.for_each(|((dx, x), dy)| {
        for (index, dy) in dy.chunks_exact(c).enumerate() {
            let cells = four(index / ow, index % ow, w, c);
            for (i, dy) in dy.iter().enumerate() {
                let largest = cells[1..]
                    .iter()
                    .fold(cells[0], |best, cell| if x[cell + i] > x[best + i] { *cell } else { best });
                dx[largest + i] += *dy;
            }
        }
    });
    dx
}
