//! The forward direction.

use rayon::prelude::*;
use spadework_kernels::cpu::StoreMode;

use super::{
    super::{
        element::{Element, MapRows},
        lanes::{update, vectorized},
        panels::{Matrix, Panels},
    },
    geometry::{Geometry, row_groups, rows_at_once, split_rows},
};

/// `x ⋆ weight + bias`, through a ReLU of slope `slope` below zero.
pub(super) fn convolve<T: Element>(
    geometry: &Geometry,
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    slope: T,
) -> Vec<T> {
    let Geometry { batch, input, output, kernel, out_height, out_width, .. } = *geometry;
    let taps = geometry.taps();
    let groups: Vec<usize> = (0..taps).collect();
    let matrix = Matrix { values: weight, groups: &groups, rows: input, row: taps, column: input * taps };
    let panels = Panels::new(output, matrix);
    let mut out = vec![T::zero(); batch * out_height * out_width * output];
    let groups = row_groups(batch, out_height, rows_at_once(out_height, out_width, batch));
    let parts = split_rows(&mut out, &groups, out_width * output);
    parts.into_par_iter().for_each_init(Vec::new, |tile, ((n, y, rows), out)| {
        let image = &x[n * geometry.height * geometry.width * input..];
        let width = padded_rows(geometry, image, y, rows, tile);
        let starts: Vec<usize> = (0..rows * out_width)
            .map(|cell| (cell / out_width * width + cell % out_width) * geometry.stride * input)
            .collect();
        let pieces: Vec<usize> = (0..kernel).map(|row| row * width * input).collect();
        let rows = MapRows { values: tile, starts: &starts, pieces: &pieces, length: kernel * input };
        panels.multiply(rows, StoreMode::Replace, out, output);
        vectorized!(finish(out, bias, slope));
    });
    out
}

/// Copies the input rows under output rows `y..y + rows` into `tile`, inside a border of zeros; returns its width.
fn padded_rows<T: Element>(
    geometry: &Geometry,
    image: &[T],
    y: usize,
    rows: usize,
    tile: &mut Vec<T>,
) -> usize {
    let Geometry { height, width, input, kernel, padding, stride, out_width, .. } = *geometry;
    let (tile_height, tile_width) = ((rows - 1) * stride + kernel, (out_width - 1) * stride + kernel);
    let copied = width.min(tile_width - padding.min(tile_width));
    tile.clear();
    tile.reserve(tile_height * tile_width * input);
    for row in 0..tile_height {
        let source = (y * stride + row).checked_sub(padding).filter(|source| *source < height);
        let end = (row + 1) * tile_width * input;
        if let Some(source) = source {
            tile.resize(tile.len() + padding.min(tile_width) * input, T::zero());
            tile.extend_from_slice(&image[source * width * input..][..copied * input]);
        }
        tile.resize(end, T::zero());
    }
    tile_width
}

/// Adds the bias and applies the ReLU.
#[inline(always)]
fn finish<T: Element>(out: &mut [T], bias: Option<&[T]>, slope: T) {
    if let Some(bias) = bias {
        for cell in out.chunks_exact_mut(bias.len()) {
            update(cell, [bias], |out, [bias]| out + bias);
        }
    }
    if slope != T::one() {
        update(out, [], |y, []| if y > T::zero() { y } else { y * slope });
    }
}
