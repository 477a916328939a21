//! Normalisation without scale and shift, and the leaky ReLU behind it.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    SLOPE,
    element::Element,
    lanes::{map, update_two, vectorized},
    moments::{CELLS, Moments, cast},
    storage::{by_dtype, dtype, slice, stored, tensor, with_values},
};

/// `(x − mean) / √(variance + ε)` of an (N, H, W, C) map, through a leaky ReLU where `activate` says so.
///
/// # Errors
/// Where the tensor is not in the memory of a CPU.
pub fn normalize(x: &Tensor, moments: Arc<Moments>, activate: bool) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Normalize { moments, slope: if activate { SLOPE } else { 1.0 } })
}

struct Normalize {
    moments: Arc<Moments>,
    slope: f64, // 1 leaves a value as it is
}

impl CustomOp1 for Normalize {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(storage), T => {
            let out = self.forward(slice::<T>(storage, layout)?, layout.dims()[0]);
            Ok(stored(out, layout.shape().clone()))
        })
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let n = x.dim(0)?;
        by_dtype!(x.dtype(), T => {
            let dx = with_values::<T, _>(x, |x| {
                with_values(y, |y| with_values(gradient, |dy| self.backward(x, y, dy, n)))
            })?;
            tensor::<T>(dx, y).map(Some)
        })
    }
}

impl Normalize {
    fn forward<T: Element>(&self, x: &[T], n: usize) -> Vec<T> {
        let channels = self.moments.channels;
        let (mean, inverse): (Vec<T>, Vec<T>) =
            (cast(self.moments.mean.iter().copied()), cast(self.moments.inverse()));
        let slope = T::from_f64(self.slope);
        let each = x.len() / n;
        let mut out = vec![T::zero(); x.len()];
        for (n, (out, x)) in out.chunks_exact_mut(each).zip(x.chunks_exact(each)).enumerate() {
            let row = self.moments.row(n) * channels..(self.moments.row(n) + 1) * channels;
            let (mean, inverse) = (&mean[row.clone()], &inverse[row]);
            let chunks = out.par_chunks_mut(CELLS * channels).zip(x.par_chunks(CELLS * channels));
            chunks.for_each(|(out, x)| vectorized!(forward_cells(out, x, mean, inverse, slope)));
        }
        out
    }

    fn backward<T: Element>(&self, x: &[T], y: &[T], dy: &[T], n: usize) -> Result<Vec<T>> {
        let (channels, each) = (self.moments.channels, x.len() / n);
        let rows = self.moments.mean.len();
        let (mean, inverse): (Vec<T>, Vec<T>) =
            (cast(self.moments.mean.iter().copied()), cast(self.moments.inverse()));
        let cells_of = |n: usize| {
            let (at, image) = (self.moments.row(n) * channels, n * each..(n + 1) * each);
            let cells = Cells {
                x: &x[image.clone()],
                y: &y[image.clone()],
                dy: &dy[image],
                mean: &mean[at..at + channels],
                inverse: &inverse[at..at + channels],
                slope: T::from_f64(self.slope),
            };
            (at, cells)
        };
        let mut sums = vec![0.0; 2 * rows];
        for n in 0..n {
            let (at, cells) = cells_of(n);
            for (c, [gradient, product]) in cells.sums().into_iter().enumerate() {
                sums[at + c] += gradient;
                sums[rows + at + c] += product;
            }
        }
        let cells = (x.len() / channels * channels / rows) as f64;
        let owed: Vec<T> = cast(self.moments.owed(sums, cells)?);
        let mut dx = vec![T::zero(); x.len()];
        for (n, dx) in dx.chunks_exact_mut(each).enumerate() {
            let (at, cells) = cells_of(n);
            cells.gradient(&owed[at..at + channels], &owed[rows + at..rows + at + channels], dx);
        }
        Ok(dx)
    }
}

/// One image's map, output and gradient, with its statistics.
struct Cells<'a, T> {
    x: &'a [T],
    y: &'a [T],
    dy: &'a [T],
    mean: &'a [T],
    inverse: &'a [T],
    slope: T,
}

impl<T: Element> Cells<'_, T> {
    /// Sums of the gradient before the leaky ReLU, alone and times the normalised map.
    fn sums(&self) -> Vec<[f64; 2]> {
        let channels = self.mean.len();
        let chunk = CELLS * channels;
        let parts = self.x.par_chunks(chunk).zip(self.y.par_chunks(chunk)).zip(self.dy.par_chunks(chunk));
        let parts: Vec<(Vec<T>, Vec<T>)> = parts
            .map(|((x, y), dy)| {
                let (mut first, mut second) = (vec![T::zero(); channels], vec![T::zero(); channels]);
                vectorized!(sum_cells(self, [x, y, dy], &mut first, &mut second));
                (first, second)
            })
            .collect();
        let total = |c: usize| {
            parts
                .iter()
                .fold([0.0, 0.0], |[a, b], (first, second)| [a + first[c].to_f64(), b + second[c].to_f64()])
        };
        (0..channels).map(total).collect()
    }

    /// The gradient of the map, given what it owes to its statistics.
    fn gradient(&self, first: &[T], second: &[T], dx: &mut [T]) {
        let channels = self.mean.len();
        let chunk = CELLS * channels;
        let parts = self.x.par_chunks(chunk).zip(self.y.par_chunks(chunk)).zip(self.dy.par_chunks(chunk));
        dx.par_chunks_mut(chunk).zip(parts).for_each(|(dx, ((x, y), dy))| {
            vectorized!(backward_cells(self, [x, y, dy], first, second, dx));
        });
    }
}

#[inline(always)]
fn forward_cells<T: Element>(out: &mut [T], x: &[T], mean: &[T], inverse: &[T], slope: T) {
    for (out, x) in out.chunks_exact_mut(mean.len()).zip(x.chunks_exact(mean.len())) {
        map(out, [x, mean, inverse], |[x, mean, inverse]| {
            let y = (x - mean) * inverse;
            if y > T::zero() { y } else { y * slope }
        });
    }
}

#[inline(always)]
fn sum_cells<T: Element>(cells: &Cells<'_, T>, [x, y, dy]: [&[T]; 3], first: &mut [T], second: &mut [T]) {
    let channels = cells.mean.len();
    let maps = x.chunks_exact(channels).zip(y.chunks_exact(channels)).zip(dy.chunks_exact(channels));
    for ((x, y), dy) in maps {
        update_two(
            first,
            second,
            [x, y, dy, cells.mean, cells.inverse],
            |a, b, [x, y, dy, mean, inverse]| {
                let dz = if y > T::zero() { dy } else { dy * cells.slope };
                (a + dz, b + dz * ((x - mean) * inverse))
            },
        );
    }
}

#[inline(always)]
fn backward_cells<T: Element>(
    cells: &Cells<'_, T>,
    [x, y, dy]: [&[T]; 3],
    first: &[T],
    second: &[T],
    dx: &mut [T],
) {
    let channels = cells.mean.len();
    let maps = x.chunks_exact(channels).zip(y.chunks_exact(channels)).zip(dy.chunks_exact(channels));
    for (dx, ((x, y), dy)) in dx.chunks_exact_mut(channels).zip(maps) {
        let inputs = [x, y, dy, cells.mean, cells.inverse, first, second];
        map(dx, inputs, |[x, y, dy, mean, inverse, first, second]| {
            let dz = if y > T::zero() { dy } else { dy * cells.slope };
            inverse * (dz - first - (x - mean) * inverse * second)
        });
    }
}
