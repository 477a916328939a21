//! A SPADE layer after its table is known: normalise, look gamma and beta up, activate (paper section 3).

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    SLOPE,
    element::Element,
    lanes::{map, update, update_two, vectorized},
    moments::{Moments, cast},
    neighbourhoods::Neighbourhoods,
    storage::{by_dtype, dtype, slice, stored, tensor, with_values},
};

/// `normalized · (1 + gamma) + beta` of a map (N, H, W, C) at the neighbourhoods' resolution, or at half of it and read
/// up-sampled; through a leaky ReLU where `activate` says so. `table` (rows, 2C) holds gamma, then beta, of every
/// neighbourhood.
///
/// The gradient of the table is a sum over the cells that read a row; what the map's gradient owes to its statistics is
/// a sum over the table's gradient, since gamma is constant in a neighbourhood.
///
/// # Errors
/// When sizes do not agree, or a tensor is not in the memory of a CPU.
pub fn modulate(
    x: &Tensor,
    table: &Tensor,
    neighbourhoods: &Arc<Neighbourhoods>,
    moments: &Arc<Moments>,
    activate: bool,
) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let grid = neighbourhoods.grid;
    let twice = (2 * h, 2 * w) == (grid.height, grid.width);
    if !twice && (h, w) != (grid.height, grid.width) {
        bail!("a map of {h}x{w} cannot be modulated at {}x{}", grid.height, grid.width)
    }
    if table.dims() != [neighbourhoods.len(), 2 * c]
        || neighbourhoods.ids.len() != n * grid.height * grid.width
    {
        bail!("a table {:?} of another mask or width was given for a map {:?}", table.dims(), x.dims())
    }
    x.contiguous()?.apply_op2(
        &table.contiguous()?,
        Modulate {
            neighbourhoods: Arc::clone(neighbourhoods),
            moments: Arc::clone(moments),
            shift: u32::from(twice),
            slope: if activate { SLOPE } else { 1.0 },
        },
    )
}

struct Modulate {
    neighbourhoods: Arc<Neighbourhoods>,
    moments: Arc<Moments>,
    shift: u32, // from a cell's row or column to the map's
    slope: f64, // 1 leaves a value as it is
}

impl CustomOp2 for Modulate {
    fn name(&self) -> &'static str {
        "modulate"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        table: &CpuStorage,
        table_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let grid = self.neighbourhoods.grid;
        let (n, _, _, c) = x_layout.shape().dims4()?;
        by_dtype!(dtype(x), T => {
            let layer = Layer::<T>::new(self, slice(x, x_layout)?, slice(table, table_layout)?);
            Ok(stored(layer.forward(), (n, grid.height, grid.width, c)))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        table: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        by_dtype!(x.dtype(), T => with_values::<T, _>(x, |x_values| with_values(table, |table_values| {
            with_values(y, |y| with_values(gradient, |dy| {
                let layer = Layer::<T>::new(self, x_values, table_values);
                let sums = layer.segment_sums(y, dy);
                let dx = match x.track_op() {
                    true => Some(tensor(layer.input_gradient(y, dy, &sums)?, x)?),
                    false => None,
                };
                Ok((dx, Some(tensor(layer.table_gradient(&sums), table)?)))
            }))
        })))
    }
}

/// The layer as slices.
struct Layer<'a, T> {
    op: &'a Modulate,
    x: &'a [T],
    table: &'a [T],
    mean: Vec<T>,
    inverse: Vec<T>,
    slope: T,
}

impl<'a, T: Element> Layer<'a, T> {
    fn new(op: &'a Modulate, x: &'a [T], table: &'a [T]) -> Self {
        let mean = cast(op.moments.mean.iter().copied());
        Self { op, x, table, mean, inverse: cast(op.moments.inverse()), slope: T::from_f64(op.slope) }
    }

    fn channels(&self) -> usize {
        self.op.moments.channels
    }

    /// The map's cell that is read at cell (`y`, `x`) of image `n`.
    #[inline(always)]
    fn source(&self, n: usize, y: usize, x: usize) -> &[T] {
        let (grid, shift, c) = (self.op.neighbourhoods.grid, self.op.shift, self.channels());
        let (h, w) = (grid.height >> shift, grid.width >> shift);
        let cell = (n * h + (y >> shift)) * w + (x >> shift);
        &self.x[cell * c..(cell + 1) * c]
    }

    /// Mean and inverse deviation of image `n`'s channels.
    #[inline(always)]
    fn statistics(&self, n: usize) -> (&[T], &[T]) {
        let c = self.channels();
        let row = self.op.moments.row(n) * c..(self.op.moments.row(n) + 1) * c;
        (&self.mean[row.clone()], &self.inverse[row])
    }

    fn forward(&self) -> Vec<T> {
        let Neighbourhoods { grid, ids, .. } = &*self.op.neighbourhoods;
        let c = self.channels();
        let mut out = vec![T::zero(); ids.len() * c];
        let rows = out.par_chunks_mut(grid.width * c).zip(ids.par_chunks(grid.width)).enumerate();
        rows.with_min_len(8).for_each(|(row, (out, ids))| {
            let (n, y) = (row / grid.height, row % grid.height);
            let (mean, inverse) = self.statistics(n);
            vectorized!(forward_row(self, (n, y), [mean, inverse], ids, out));
        });
        out
    }

    /// For every segment, gamma's and beta's gradients, (segments, 2C).
    fn segment_sums(&self, y: &[T], dy: &[T]) -> Vec<T> {
        let Neighbourhoods { cells, segments, .. } = &*self.op.neighbourhoods;
        let c = self.channels();
        let mut sums = vec![T::zero(); segments.len() * 2 * c];
        sums.par_chunks_mut(2 * c).zip(segments).with_min_len(16).for_each(|(sums, segment)| {
            let n = segment.image as usize;
            let (mean, inverse) = self.statistics(n);
            let (gamma, beta) = sums.split_at_mut(c);
            let cells = &cells[segment.start as usize..segment.end as usize];
            vectorized!(sum_segment(self, n, [mean, inverse], cells, [y, dy], [gamma, beta]));
        });
        sums
    }

    /// The table's gradient (rows, 2C).
    fn table_gradient(&self, sums: &[T]) -> Vec<T> {
        let segments_of = &self.op.neighbourhoods.segments_of;
        let width = 2 * self.channels();
        let mut gradient = vec![T::zero(); self.table.len()];
        gradient.par_chunks_mut(width).enumerate().with_min_len(64).for_each(|(id, row)| {
            let segments = segments_of[id] as usize * width..segments_of[id + 1] as usize * width;
            for part in sums[segments].chunks_exact(width) {
                row.iter_mut().zip(part).for_each(|(sum, part)| *sum += *part);
            }
        });
        gradient
    }

    /// Sums over the local cells of the normalised map's gradient, and of that times the map.
    fn sums_owed(&self, sums: &[T]) -> Vec<f64> {
        let c = self.channels();
        let rows = self.op.moments.mean.len();
        let mut owed = vec![0.0; 2 * rows];
        for (sums, segment) in sums.chunks_exact(2 * c).zip(&self.op.neighbourhoods.segments) {
            let at = self.op.moments.row(segment.image as usize) * c;
            let gamma = &self.table[2 * c * segment.id as usize..][..c];
            for i in 0..c {
                let scale = gamma[i].to_f64() + 1.0;
                owed[at + i] += scale * sums[c + i].to_f64();
                owed[rows + at + i] += scale * sums[i].to_f64();
            }
        }
        owed
    }

    fn input_gradient(&self, y: &[T], dy: &[T], sums: &[T]) -> Result<Vec<T>> {
        let Neighbourhoods { grid, ids, .. } = &*self.op.neighbourhoods;
        let (c, shift) = (self.channels(), self.op.shift);
        let rows = self.op.moments.mean.len();
        let cells = (ids.len() * c / rows) as f64;
        let owed: Vec<T> = cast(self.op.moments.owed(self.sums_owed(sums), cells)?);
        let (height, width) = (grid.height >> shift, grid.width >> shift);
        let mut dx = vec![T::zero(); self.x.len()];
        dx.par_chunks_mut(width * c).enumerate().with_min_len(4).for_each(|(row, dx)| {
            let (n, y_in) = (row / height, row % height);
            let at = self.op.moments.row(n) * c;
            let (first, second) = (&owed[at..at + c], &owed[rows + at..rows + at + c]);
            let (mean, inverse) = self.statistics(n);
            for y_out in y_in << shift..(y_in + 1) << shift {
                let start = (n * grid.height + y_out) * grid.width;
                let (ids, cells) = (&ids[start..start + grid.width], start * c..(start + grid.width) * c);
                let (y, dy) = (&y[cells.clone()], &dy[cells]);
                let constants = [mean, inverse, first, second];
                vectorized!(backward_row(self, (n, y_out), constants, ids, [y, dy], dx));
            }
        });
        Ok(dx)
    }
}

/// One row of cells, `y` of image `n`.
#[inline(always)]
fn forward_row<T: Element>(
    layer: &Layer<'_, T>,
    (n, y): (usize, usize),
    [mean, inverse]: [&[T]; 2],
    ids: &[u32],
    out: &mut [T],
) {
    let c = layer.channels();
    for (column, (out, &id)) in out.chunks_exact_mut(c).zip(ids).enumerate() {
        let x = layer.source(n, y, column);
        let (gamma, beta) = layer.table[2 * c * id as usize..][..2 * c].split_at(c);
        map(out, [x, mean, inverse, gamma, beta], |[x, mean, inverse, gamma, beta]| {
            let z = (x - mean) * inverse * (gamma + T::one()) + beta;
            if z > T::zero() { z } else { z * layer.slope }
        });
    }
}

/// Adds up the gradients of gamma and beta over `cells` of image `n`.
#[inline(always)]
fn sum_segment<T: Element>(
    layer: &Layer<'_, T>,
    n: usize,
    [mean, inverse]: [&[T]; 2],
    cells: &[u32],
    [y, dy]: [&[T]; 2],
    [gamma, beta]: [&mut [T]; 2],
) {
    let (grid, c) = (layer.op.neighbourhoods.grid, layer.channels());
    for &cell in cells {
        let at = cell as usize * c;
        let inside = cell as usize - n * grid.height * grid.width;
        let x = layer.source(n, inside / grid.width, inside % grid.width);
        let (y, dy) = (&y[at..at + c], &dy[at..at + c]);
        update_two(gamma, beta, [x, y, dy, mean], |gamma, beta, [x, y, dy, mean]| {
            let dz = if y > T::zero() { dy } else { dy * layer.slope };
            (gamma + dz * (x - mean), beta + dz)
        });
    }
    update(gamma, [inverse], |gamma, [inverse]| gamma * inverse);
}

/// Adds the input's gradient from one row of cells, `y_out` of image `n`.
#[inline(always)]
fn backward_row<T: Element>(
    layer: &Layer<'_, T>,
    (n, y_out): (usize, usize),
    [mean, inverse, first, second]: [&[T]; 4],
    ids: &[u32],
    [y, dy]: [&[T]; 2],
    dx: &mut [T],
) {
    let (c, shift) = (layer.channels(), layer.op.shift);
    let cells = ids.iter().zip(y.chunks_exact(c).zip(dy.chunks_exact(c)));
    for (column, (&id, (y, dy))) in cells.enumerate() {
        let x = layer.source(n, y_out, column);
        let gamma = &layer.table[2 * c * id as usize..][..c];
        let dx = &mut dx[(column >> shift) * c..][..c];
        let inputs = [x, y, dy, gamma, mean, inverse, first, second];
        update(dx, inputs, |dx, [x, y, dy, gamma, mean, inverse, first, second]| {
            let dz = if y > T::zero() { dy } else { dy * layer.slope };
            let owed = first + (x - mean) * inverse * second;
            dx + inverse * (dz * (gamma + T::one()) - owed)
        });
    }
}
