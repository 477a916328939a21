//! The gradients of weight and bias: sums over all cells, in an order that depends on the sizes alone.

use rayon::prelude::*;
use spadework_kernels::cpu::OUTER_ROWS;

use super::{
    super::{
        element::{Element, Outer},
        lanes::{update, vectorized},
        panels::panel_width,
    },
    geometry::{Geometry, row_groups},
};

/// Output cells that are packed at once.
const CELLS: usize = 1024;

/// Parts that the cells of a small weight are cut into, each with a sum of its own.
const MOST_PARTS: usize = 16;

/// Most elements that the parts' sums may have together.
const MOST_SUMS: usize = 1 << 23;

/// `x` (N, H, W, in) and `dy` (N, H', W', out) to the gradient of the weight (out, in, k, k).
pub(crate) fn weight_gradient<T: Element>(geometry: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let Geometry { batch, input, output, out_height, out_width, .. } = *geometry;
    let taps = geometry.taps();
    let width = panel_width(output);
    let (panels, blocks) = (output.div_ceil(width), input.div_ceil(OUTER_ROWS));
    let sums = blocks * taps * OUTER_ROWS * width;
    let groups = cell_groups(batch, out_height, out_width);
    let parts = (groups.len() / 2).clamp(1, MOST_PARTS).min((MOST_SUMS / (sums * panels)).max(1));
    let tasks: Vec<(usize, &[Group])> = (0..panels)
        .flat_map(|panel| groups.chunks(groups.len().div_ceil(parts)).map(move |part| (panel, part)))
        .collect();
    let parts = tasks.len() / panels;
    let mut buffer = vec![T::zero(); tasks.len() * sums];
    buffer.par_chunks_mut(sums).zip(tasks).for_each(|(sums, (panel, groups))| {
        accumulate(geometry, x, dy, panel * width, width, groups, sums);
    });
    let mut gradient = vec![T::zero(); output * input * taps];
    gradient.par_chunks_mut(width * input * taps).zip(buffer.par_chunks(parts * sums)).for_each(
        |(gradient, parts)| {
            add_parts(taps, input * taps, width, parts.chunks_exact(sums), gradient);
        },
    );
    gradient
}

/// Adds up parts, `[block][tap][8][width]` each, into the kernels of `width` outputs, of `each` numbers. A block at a time goes
/// through memory of its own: rows of the result lie a power of two apart, of which a cache holds few.
fn add_parts<'a, T: Element>(
    taps: usize,
    each: usize,
    width: usize,
    parts: impl Iterator<Item = &'a [T]> + Clone,
    gradient: &mut [T],
) {
    let (block_len, tiles) = (OUTER_ROWS * taps, OUTER_ROWS * taps * width);
    let mut kernels = vec![T::zero(); tiles]; // (out, row of the block, tap)
    for (block, start) in (0..each).step_by(block_len).enumerate() {
        kernels.fill(T::zero());
        for part in parts.clone() {
            for (index, row) in part[block * tiles..][..tiles].chunks_exact(width).enumerate() {
                let first = index % OUTER_ROWS * taps + index / OUTER_ROWS;
                let sums = kernels[first..].iter_mut().step_by(block_len);
                sums.zip(row).for_each(|(sum, part)| *sum += *part);
            }
        }
        for (out, kernels) in gradient.chunks_exact_mut(each).zip(kernels.chunks_exact(block_len)) {
            let out = &mut out[start..each.min(start + block_len)];
            out.copy_from_slice(&kernels[..out.len()]);
        }
    }
}

/// Part of one image's output: rows of it, or a stretch of one long row.
#[derive(Clone, Copy)]
struct Group {
    image: usize,
    y: usize,
    rows: usize,
    x: usize,
    columns: usize,
}

fn cell_groups(batch: usize, rows: usize, width: usize) -> Vec<Group> {
    let columns = width.min(CELLS);
    row_groups(batch, rows, (CELLS / columns.max(1)).clamp(1, rows.max(1)))
        .into_iter()
        .flat_map(|(image, y, rows)| {
            (0..width).step_by(columns.max(1)).map(move |x| Group {
                image,
                y,
                rows,
                x,
                columns: columns.min(width - x),
            })
        })
        .collect()
}

/// Adds the products of the cells of `groups` with output channels from `first`: `[block][tap][8][width]`.
fn accumulate<T: Element>(
    geometry: &Geometry,
    x: &[T],
    dy: &[T],
    first: usize,
    width: usize,
    groups: &[Group],
    sums: &mut [T],
) {
    let Geometry { kernel, stride, .. } = *geometry;
    let (taps, tile) = (geometry.taps(), OUTER_ROWS * width);
    let (mut columns, mut packed) = (Vec::new(), Vec::new());
    for &group in groups {
        pack_columns(geometry, dy, group, first, width, &mut columns);
        let reach = geometry.reach();
        let (plane_height, plane_width) = (group.rows + reach, group.columns + reach);
        for (block, sums) in sums.chunks_exact_mut(taps * tile).enumerate() {
            pack_block(geometry, x, group, block * OUTER_ROWS, &mut packed);
            for (tap, sums) in sums.chunks_exact_mut(tile).enumerate() {
                let (ky, kx) = (tap / kernel, tap % kernel);
                let plane = ky % stride * stride + kx % stride;
                let starts: Vec<usize> = (0..group.rows)
                    .map(|row| (plane * plane_height + ky / stride + row) * plane_width + kx / stride)
                    .map(|cell| cell * OUTER_ROWS)
                    .collect();
                let length = group.columns;
                T::add_outer(
                    Outer { values: &packed, starts: &starts, length, columns: &columns, width },
                    sums,
                );
            }
        }
    }
}

/// A group's gradients, `width` channels from `first` of each cell.
fn pack_columns<T: Element>(
    geometry: &Geometry,
    dy: &[T],
    group: Group,
    first: usize,
    width: usize,
    packed: &mut Vec<T>,
) {
    let Geometry { output, out_height, out_width, .. } = *geometry;
    let channels = (output - first).min(width);
    packed.clear();
    packed.resize(group.rows * group.columns * width, T::zero());
    for (row, packed) in packed.chunks_exact_mut(group.columns * width).enumerate() {
        let start = ((group.image * out_height + group.y + row) * out_width + group.x) * output;
        for (cell, packed) in packed.chunks_exact_mut(width).enumerate() {
            packed[..channels].copy_from_slice(&dy[start + cell * output + first..][..channels]);
        }
    }
}

/// Eight input channels from `first`, one plane for each phase of the stride, zero outside the map.
fn pack_block<T: Element>(geometry: &Geometry, x: &[T], group: Group, first: usize, packed: &mut Vec<T>) {
    let Geometry { height, width, input, padding, stride, kernel, .. } = *geometry;
    let reach = geometry.reach();
    let (plane_height, plane_width) = (group.rows + reach, group.columns + reach);
    let channels = (input - first).min(OUTER_ROWS);
    packed.clear();
    packed.resize(stride * stride * plane_height * plane_width * OUTER_ROWS, T::zero());
    for (row, cells) in packed.chunks_exact_mut(plane_width * OUTER_ROWS).enumerate() {
        let (plane, row) = (row / plane_height, row % plane_height);
        let (phase_y, phase_x) = (plane / stride, plane % stride);
        if phase_y >= kernel || phase_x >= kernel {
            continue;
        }
        let source = ((group.y + row) * stride + phase_y).checked_sub(padding);
        let Some(y) = source.filter(|y| *y < height) else { continue };
        let start = (group.image * height + y) * width;
        for (column, cell) in cells.chunks_exact_mut(OUTER_ROWS).enumerate() {
            let source = ((group.x + column) * stride + phase_x).checked_sub(padding);
            let Some(column) = source.filter(|column| *column < width) else { continue };
            let channels_at = (start + column) * input + first;
            if channels == OUTER_ROWS {
                cell.copy_from_slice(&x[channels_at..channels_at + OUTER_ROWS]);
            } else {
                cell[..channels].copy_from_slice(&x[channels_at..channels_at + channels]);
            }
        }
    }
}

/// The sum over cells of each of `columns` columns.
pub(crate) fn column_sums<T: Element>(values: &[T], columns: usize) -> Vec<T> {
    let chunks: Vec<Vec<T>> = values
        .par_chunks(CELLS * columns)
        .map(|cells| {
            let mut sums = vec![T::zero(); columns];
            vectorized!(add_cells(&mut sums, cells));
            sums
        })
        .collect();
    let total = |column: usize| chunks.iter().map(|chunk| chunk[column].to_f64()).sum::<f64>();
    (0..columns).map(|column| T::from_f64(total(column))).collect()
}

#[inline(always)]
fn add_cells<T: Element>(sums: &mut [T], cells: &[T]) {
    for cell in cells.chunks_exact(sums.len()) {
        update(sums, [cell], |sum, [value]| sum + value);
    }
}
