//! The right-hand matrix, cut into panels of as many columns as a block of channels has.

use std::ops::Range;

use rayon::prelude::*;

use super::element::{Element, elements};
use crate::cpu::{buffer::Buffer, isa::BLOCK};

/// A k×n matrix as panels of [`BLOCK`] columns, each stored k-major. Elements beyond k and columns beyond n are zero.
#[derive(Debug)]
pub struct PackedMatrix<E: Element> {
    depth: usize, // in elements
    values: Buffer<E>,
}

/// [`BLOCK`] neighbouring columns of a [`PackedMatrix`], or some consecutive rows of elements of them, k-major.
#[derive(Clone, Copy, Debug)]
pub struct Panel<'a, E> {
    /// The elements.
    pub values: &'a [E],
}

impl<'a, E> Panel<'a, E> {
    /// The panel's rows of elements in `range`.
    pub fn rows(self, range: Range<usize>) -> Self {
        Panel { values: &self.values[range.start * BLOCK..range.end * BLOCK] }
    }
}

impl<E: Element> PackedMatrix<E> {
    /// Packs the matrix of `depth` × `columns` whose number at row `k`, column `c` is `number(k, c)`.
    pub fn new(depth: usize, columns: usize, number: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let rows = elements::<E>(depth);
        let mut values = Buffer::zeroed(rows * columns.next_multiple_of(BLOCK));
        values.par_chunks_mut((rows * BLOCK).max(1)).enumerate().for_each(|(index, panel)| {
            let start = index * BLOCK;
            for (row, cells) in panel.chunks_exact_mut(BLOCK).enumerate() {
                for (column, cell) in cells.iter_mut().enumerate().take(columns - start) {
                    *cell = E::from_numbers(|i| match row * E::NUMBERS + i {
                        k if k < depth => number(k, start + column),
                        _ => 0.0,
                    });
                }
            }
        });
        Self { depth: rows, values }
    }

    /// The `index`-th panel.
    pub fn panel(&self, index: usize) -> Panel<'_, E> {
        let size = self.depth * BLOCK;
        Panel { values: &self.values[index * size..(index + 1) * size] }
    }
}
