//! The gradient of the input: for each phase of the stride, a conv of the output's gradient with that phase's taps.

use rayon::prelude::*;
use spadework_kernels::cpu::StoreMode;

use super::{
    super::{
        element::{Element, MapRows},
        panels::{Matrix, Panels},
    },
    geometry::{Geometry, row_groups, rows_at_once, split_rows},
};

/// The taps that reach input cells of one phase, last first, as a packed matrix (tap, out) × in.
struct Phase<T> {
    rows: usize,
    columns: usize,
    panels: Panels<T>,
}

/// `dy` (N, H', W', out) to the gradient of the input (N, H, W, in).
pub(super) fn input_gradient<T: Element>(geometry: &Geometry, dy: &[T], weight: &[T]) -> Vec<T> {
    let Geometry { batch, height, width, input, stride, .. } = *geometry;
    let phases: Vec<Phase<T>> = (0..stride * stride)
        .map(|phase| Phase::new(geometry, weight, phase / stride, phase % stride))
        .collect();
    let mut dx = vec![T::zero(); batch * height * width * input];
    let groups = row_groups(batch, height, rows_at_once(height, width, batch));
    let parts = split_rows(&mut dx, &groups, width * input);
    parts.into_par_iter().for_each_init(Vec::new, |tile, ((n, y, rows), dx)| {
        let window = Window::copy(geometry, dy, n, y, rows, tile);
        if stride == 1 {
            window.convolve(&phases[0], y..y + rows, 0, tile, dx);
            return;
        }
        for (row, dx) in dx.chunks_exact_mut(width * input).enumerate() {
            let row = y + row;
            for column in 0..stride.min(width) {
                let phase = (row + geometry.padding) % stride * stride + (column + geometry.padding) % stride;
                window.convolve(&phases[phase], row..row + 1, column, tile, &mut dx[column * input..]);
            }
        }
    });
    dx
}

impl<T: Element> Phase<T> {
    fn new(geometry: &Geometry, weight: &[T], row: usize, column: usize) -> Self {
        let Geometry { input, output, kernel, stride, .. } = *geometry;
        let count = |first: usize| kernel.saturating_sub(first).div_ceil(stride);
        let (rows, columns) = (count(row), count(column));
        let tap = |y: usize, x: usize| (row + y * stride) * kernel + column + x * stride;
        let groups: Vec<usize> =
            (0..rows).rev().flat_map(|y| (0..columns).rev().map(move |x| tap(y, x))).collect();
        let taps = geometry.taps();
        let matrix =
            Matrix { values: weight, groups: &groups, rows: output, row: input * taps, column: taps };
        let panels = Panels::new(input, matrix);
        Self { rows, columns, panels }
    }
}

/// The output cells that some input rows are seen by, in a tile with zeros where there is no output.
struct Window<'a> {
    geometry: &'a Geometry,
    top: usize,  // window row of the tile's first row, plus `reach`
    left: usize, // the same for columns
    width: usize,
}

impl<'a> Window<'a> {
    fn copy<T: Element>(
        geometry: &'a Geometry,
        dy: &[T],
        n: usize,
        y: usize,
        rows: usize,
        tile: &mut Vec<T>,
    ) -> Self {
        let Geometry { width, output, padding, stride, out_height, out_width, .. } = *geometry;
        let reach = geometry.reach();
        let (top, bottom) = ((y + padding) / stride, (y + rows - 1 + padding) / stride);
        let (left, right) = (padding / stride, (width - 1 + padding) / stride);
        let (tile_height, tile_width) = (bottom - top + 1 + reach, right - left + 1 + reach);
        tile.clear();
        tile.resize(tile_height * tile_width * output, T::zero());
        let first = left.saturating_sub(reach);
        let offset = first + reach - left;
        let copied = out_width.saturating_sub(first).min(tile_width - offset);
        for (row, cells) in tile.chunks_exact_mut(tile_width * output).enumerate() {
            if let Some(source) = (top + row).checked_sub(reach).filter(|source| *source < out_height) {
                let start = ((n * out_height + source) * out_width + first) * output;
                cells[offset * output..][..copied * output].copy_from_slice(&dy[start..][..copied * output]);
            }
        }
        Self { geometry, top, left, width: tile_width }
    }

    /// Input rows `rows` and every `stride`-th column from `first`: their gradients, one after the other in `dx`.
    fn convolve<T: Element>(
        &self,
        phase: &Phase<T>,
        rows: std::ops::Range<usize>,
        first: usize,
        tile: &[T],
        dx: &mut [T],
    ) {
        let Geometry { width, input, output, padding, stride, .. } = *self.geometry;
        if phase.rows * phase.columns == 0 {
            return;
        }
        let reach = self.geometry.reach();
        let mut starts = Vec::with_capacity(rows.len() * width.div_ceil(stride));
        for y in rows {
            let row = (y + padding) / stride - self.top + reach + 1 - phase.rows;
            for x in (first..width).step_by(stride) {
                let column = (x + padding) / stride - self.left + reach + 1 - phase.columns;
                starts.push((row * self.width + column) * output);
            }
        }
        let pieces: Vec<usize> = (0..phase.rows).map(|row| row * self.width * output).collect();
        let rows = MapRows { values: tile, starts: &starts, pieces: &pieces, length: phase.columns * output };
        phase.panels.multiply(rows, StoreMode::Replace, dx, stride * input);
    }
}
