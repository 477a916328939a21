//! A matrix packed for the kernels, and rows times all of it.

use std::ops::Range;

use rayon::prelude::*;
use spadework_kernels::cpu::{BLOCK, NARROW, StoreMode};

use super::element::{Columns, Element, MapRows};

/// Rows of each group that are packed together.
const AT_ONCE: usize = 16;

/// Rows of a packed matrix that are multiplied at once: a part of a panel that stays in the second-level cache.
const DEPTH: usize = 2048;

/// A matrix as it lies in `values`: row (group, i), column c is at `groups[group] + i · row + c · column`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    pub(super) values: &'a [T],
    pub(super) groups: &'a [usize],
    /// Rows of each group.
    pub(super) rows: usize,
    pub(super) row: usize,
    pub(super) column: usize,
}

impl<T: Element> Matrix<'_, T> {
    fn depth(&self) -> usize {
        self.groups.len() * self.rows
    }

    /// Copies some columns to the beginnings of rows of `width`. All groups go together, and what lies close together close
    /// together: a conv's weights have an output's a power of two apart, of which a cache holds few.
    fn pack(&self, columns: Range<usize>, width: usize, packed: &mut [T]) {
        let mut copy = |i: usize, c: usize| {
            let start = i * self.row + (columns.start + c) * self.column;
            for (group, offset) in self.groups.iter().enumerate() {
                packed[(group * self.rows + i) * width + c] = self.values[offset + start];
            }
        };
        for first in (0..self.rows).step_by(AT_ONCE) {
            let rows = first..(first + AT_ONCE).min(self.rows);
            if self.row < self.column {
                (0..columns.len()).for_each(|c| rows.clone().for_each(|i| copy(i, c)));
            } else {
                rows.for_each(|i| (0..columns.len()).for_each(|c| copy(i, c)));
            }
        }
    }
}

/// A k×n matrix as panels of columns, each k-major; columns beyond n are zero.
pub(super) struct Panels<T> {
    pub(super) width: usize,
    columns: usize,
    depth: usize,
    values: Vec<T>,
}

/// Columns of the panels that `columns` columns are cut into.
pub(super) fn panel_width(columns: usize) -> usize {
    if columns <= NARROW { NARROW } else { BLOCK }
}

impl<T: Element> Panels<T> {
    /// Packs a matrix of so many columns.
    pub(super) fn new(columns: usize, matrix: Matrix<'_, T>) -> Self {
        let (width, depth) = (panel_width(columns), matrix.depth());
        let mut values = vec![T::zero(); columns.div_ceil(width) * depth * width];
        values.par_chunks_mut((depth * width).max(1)).enumerate().for_each(|(panel, values)| {
            let start = panel * width;
            matrix.pack(start..columns.min(start + width), width, values);
        });
        Self { width, columns, depth, values }
    }

    /// `out[r][..n] = rows[r] · self`, with `stride` elements from one row of `out` to the next.
    pub(super) fn multiply(&self, rows: MapRows<'_, T>, store: StoreMode, out: &mut [T], stride: usize) {
        let mut tail = Vec::new();
        for (index, panel) in self.values.chunks_exact((self.depth * self.width).max(1)).enumerate() {
            let start = index * self.width;
            let columns = (self.columns - start).min(self.width);
            if columns == self.width {
                self.multiply_panel(rows, panel, store, &mut out[start..], stride);
                continue;
            }
            tail.resize(rows.starts.len() * self.width, T::zero());
            self.multiply_panel(rows, panel, StoreMode::Replace, &mut tail, self.width);
            for (r, sums) in tail.chunks_exact(self.width).enumerate() {
                let out = &mut out[r * stride + start..][..columns];
                match store {
                    StoreMode::Replace => out.copy_from_slice(&sums[..columns]),
                    StoreMode::Add => out.iter_mut().zip(sums).for_each(|(out, sum)| *out += *sum),
                }
            }
        }
    }

    fn multiply_panel(
        &self,
        rows: MapRows<'_, T>,
        panel: &[T],
        store: StoreMode,
        out: &mut [T],
        stride: usize,
    ) {
        let at_once = (DEPTH / rows.length.max(1)).max(1);
        for (index, pieces) in rows.pieces.chunks(at_once).enumerate() {
            let start = index * at_once * rows.length * self.width;
            let part = &panel[start..start + pieces.len() * rows.length * self.width];
            let store = if index == 0 { store } else { StoreMode::Add };
            let columns = Columns { values: &mut *out, width: self.width, stride, store };
            T::multiply(MapRows { pieces, ..rows }, part, columns);
        }
    }
}

/// `a · b` for all rows of `a`, each as long as `b` is deep.
pub(super) fn multiply_rows<T: Element>(a: &[T], b: &Panels<T>, store: StoreMode, out: &mut [T]) {
    const ROWS: usize = 240;
    let (depth, columns) = (b.depth, b.columns);
    out.par_chunks_mut(ROWS * columns).zip(a.par_chunks(ROWS * depth)).for_each(|(out, a)| {
        let starts: Vec<usize> = (0..a.len() / depth).map(|row| row * depth).collect();
        b.multiply(MapRows { values: a, starts: &starts, pieces: &[0], length: depth }, store, out, columns);
    });
}
