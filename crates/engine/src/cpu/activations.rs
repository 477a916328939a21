//! What convs read: activated features inside a border of zeros, in the numbers that the conv multiplies.

use rayon::prelude::*;
use spadework_model::Grid;

use super::features::{blocks, bordered, cells};
use crate::{
    buffer::Buffer,
    gemm::{Element, Pair, bf16_remainder, elements},
    isa::BLOCK,
};

/// A conv's input, `[block][1 + row + 1][1 + column + 1][32]`, in memory for each format.
#[derive(Default)]
pub(super) struct Activations {
    pub(super) f32: Buffer<f32>,
    /// Rounded to bf16.
    pub(super) high: Buffer<Pair>,
    /// What the rounding left, rounded to bf16.
    pub(super) low: Buffer<Pair>,
}

/// The numbers that a conv reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// f32.
    F32,
    /// bf16.
    Bf16,
    /// bf16, and the remainders in bf16.
    Split,
}

/// The inner cells of a row, to be written.
pub(super) enum RowMut<'a> {
    F32(&'a mut [f32]),
    Bf16(&'a mut [Pair]),
    Split { high: &'a mut [Pair], low: &'a mut [Pair] },
}

impl RowMut<'_> {
    /// Writes a cell.
    #[inline(always)]
    pub(super) fn put(&mut self, column: usize, numbers: &[f32; BLOCK]) {
        match self {
            Self::F32(cells) => put(cells, column, numbers),
            Self::Bf16(cells) => put(cells, column, numbers),
            Self::Split { high, low } => {
                put(high, column, numbers);
                put(low, column, &numbers.map(bf16_remainder));
            }
        }
    }
}

#[inline(always)]
fn put<E: Element>(cells: &mut [E], column: usize, numbers: &[f32; BLOCK]) {
    let len = elements::<E>(BLOCK);
    E::store(numbers, &mut cells[column * len..(column + 1) * len]);
}

impl Activations {
    /// Memory for as many channels of `grid` as any of `formats` says.
    pub(super) fn new(shapes: impl Iterator<Item = (Format, usize, Grid)>) -> Self {
        let (mut f32, mut high, mut low) = (0, 0, 0);
        for (format, channels, grid) in shapes {
            let numbers = blocks(channels) * cells(bordered(grid)) * BLOCK;
            match format {
                Format::F32 => f32 = f32.max(numbers),
                Format::Bf16 => high = high.max(elements::<Pair>(numbers)),
                Format::Split => {
                    high = high.max(elements::<Pair>(numbers));
                    low = low.max(elements::<Pair>(numbers));
                }
            }
        }
        Self { f32: Buffer::zeroed(f32), high: Buffer::zeroed(high), low: Buffer::zeroed(low) }
    }

    /// Calls `write` with block, row and the row's cells for every row of a map of `grid`, and clears the border.
    pub(super) fn for_each_row(
        &mut self,
        format: Format,
        blocks: usize,
        grid: Grid,
        write: impl Fn(usize, usize, RowMut<'_>) + Sync,
    ) {
        let border = bordered(grid);
        let (row_f32, row_bf16) = (border.width * BLOCK, border.width * elements::<Pair>(BLOCK));
        let rows = blocks * border.height;
        let at = |index: usize| (index / border.height, (index % border.height).wrapping_sub(1));
        match format {
            Format::F32 => {
                let lines = self.f32[..rows * row_f32].par_chunks_exact_mut(row_f32).enumerate();
                lines.for_each(|(index, line)| {
                    let (block, y) = at(index);
                    if let Some(cells) = inside(line, y < grid.height) {
                        write(block, y, RowMut::F32(cells));
                    }
                });
            }
            Format::Bf16 => {
                let lines = self.high[..rows * row_bf16].par_chunks_exact_mut(row_bf16).enumerate();
                lines.for_each(|(index, line)| {
                    let (block, y) = at(index);
                    if let Some(cells) = inside(line, y < grid.height) {
                        write(block, y, RowMut::Bf16(cells));
                    }
                });
            }
            Format::Split => {
                let high = self.high[..rows * row_bf16].par_chunks_exact_mut(row_bf16);
                let low = self.low[..rows * row_bf16].par_chunks_exact_mut(row_bf16);
                high.zip(low).enumerate().for_each(|(index, (high, low))| {
                    let (block, y) = at(index);
                    let inner = (inside(high, y < grid.height), inside(low, y < grid.height));
                    if let (Some(high), Some(low)) = inner {
                        write(block, y, RowMut::Split { high, low });
                    }
                });
            }
        }
    }
}

/// The inner cells of a bordered line, its border cleared; none of a line of the border, which is cleared whole.
fn inside<E: Element>(line: &mut [E], inner: bool) -> Option<&mut [E]> {
    let zero = E::from_numbers(|_| 0.0);
    if !inner {
        line.fill(zero);
        return None;
    }
    let (len, last) = (elements::<E>(BLOCK), line.len() - elements::<E>(BLOCK));
    line[..len].fill(zero);
    line[last..].fill(zero);
    Some(&mut line[len..last])
}
