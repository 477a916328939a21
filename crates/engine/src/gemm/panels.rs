//! The right-hand matrix, cut into panels of as many columns as a block of channels has.

use std::ops::Range;

use rayon::prelude::*;

use crate::{buffer::Buffer, isa::BLOCK};

/// A k×n matrix as panels of [`BLOCK`] columns, each stored k-major. Columns beyond n are zero.
#[derive(Debug)]
pub(crate) struct PackedMatrix {
    depth: usize,
    values: Buffer<f32>,
}

/// [`BLOCK`] neighbouring columns of a [`PackedMatrix`], or some consecutive rows of them, k-major.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel<'a> {
    pub(crate) values: &'a [f32],
}

impl<'a> Panel<'a> {
    /// The panel's rows in `range`.
    pub(crate) fn rows(self, range: Range<usize>) -> Self {
        Panel { values: &self.values[range.start * BLOCK..range.end * BLOCK] }
    }
}

impl PackedMatrix {
    /// Packs the matrix whose element at row `k`, column `c` is `element(k, c)`.
    pub(crate) fn new(depth: usize, columns: usize, element: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let mut values = Buffer::zeroed(depth * columns.next_multiple_of(BLOCK));
        values.par_chunks_mut((depth * BLOCK).max(1)).enumerate().for_each(|(index, panel)| {
            let start = index * BLOCK;
            for (k, row) in panel.chunks_exact_mut(BLOCK).enumerate() {
                for (column, value) in row.iter_mut().enumerate().take(columns - start) {
                    *value = element(k, start + column);
                }
            }
        });
        Self { depth, values }
    }

    /// The `index`-th panel.
    pub(crate) fn panel(&self, index: usize) -> Panel<'_> {
        let size = self.depth * BLOCK;
        Panel { values: &self.values[index * size..(index + 1) * size] }
    }
}
