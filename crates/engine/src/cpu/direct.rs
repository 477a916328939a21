//! Convs as products of shifted rows: no column buffer.

use rayon::prelude::*;

use super::{
    conv::Epilogue,
    features::{blocks, bordered, cells},
};
use crate::{
    gemm::{Element, PackedMatrix, Rows, Store, elements, multiply},
    isa::BLOCK,
};

/// Cells that one task computes: enough to reuse a panel that lies in the first-level cache.
const CELLS: usize = 256;

/// Blocks and taps whose panel is read at once: it stays in the first-level cache.
const TAPS: usize = 8;

/// A packed conv of kernel 1 or 3.
#[derive(Debug)]
pub(super) struct Direct<E: Element> {
    instructions: E::Kernel,
    kernel: usize,
    input_blocks: usize,
    weights: PackedMatrix<E>, // [input block][row][column][32] × output channels
}

impl<E: Element> Direct<E> {
    /// Packs `weight` (out, in, k, k).
    pub(super) fn new(
        instructions: E::Kernel,
        (input, output): (usize, usize),
        kernel: usize,
        weight: &[f32],
    ) -> Self {
        let (taps, input_blocks) = (kernel * kernel, blocks(input));
        let weights = PackedMatrix::new(input_blocks * taps * BLOCK, output, |k, column| {
            let channel = k / (taps * BLOCK) * BLOCK + k % BLOCK;
            let tap = k / BLOCK % taps;
            if channel < input { weight[(column * input + channel) * taps + tap] } else { 0.0 }
        });
        Self { instructions, kernel, input_blocks, weights }
    }

    /// The sum of convs of inputs, `[block][1 + row + 1][1 + column + 1][32]`, into `out`, `[block][row][column][32]`.
    pub(super) fn run(convs: &[(&Self, &[E])], epilogue: Epilogue<'_>, out: &mut [f32]) {
        let planes = out.par_chunks_exact_mut(cells(epilogue.grid) * BLOCK).enumerate();
        let tasks = planes.flat_map(|(block, plane)| {
            let parts = plane.par_chunks_mut(CELLS * BLOCK).enumerate();
            parts.map(move |(part, out)| (block, part * CELLS, out))
        });
        tasks.for_each(|(block, first, out)| {
            let mut store = if epilogue.keeps_output() { Store::Add } else { Store::Replace };
            for (conv, input) in convs {
                conv.accumulate(block, first, input, epilogue, store, out);
                store = Store::Add;
            }
            epilogue.add(block, first, out.as_chunks_mut().0);
        });
    }

    /// The conv for the cells that `out` holds, some input blocks after the other.
    fn accumulate(
        &self,
        block: usize,
        first: usize,
        input: &[E],
        Epilogue { grid, .. }: Epilogue<'_>,
        mut store: Store,
        out: &mut [f32],
    ) {
        let (border, cell_len) = (bordered(grid), elements::<E>(BLOCK));
        let offset = 1 - self.kernel / 2; // a 1×1 kernel starts at the cell itself
        let starts: Vec<usize> = (first..first + out.len() / BLOCK)
            .map(|cell| (cell / grid.width + offset) * border.width + cell % grid.width + offset)
            .map(|cell| cell * cell_len)
            .collect();
        let (row_len, plane_len) = (border.width * cell_len, cells(border) * cell_len);
        let depth = self.kernel * self.kernel * cell_len;
        let panel = self.weights.panel(block);
        let at_once = (TAPS / (self.kernel * self.kernel)).max(1);
        for index in (0..self.input_blocks).step_by(at_once) {
            let end = (index + at_once).min(self.input_blocks);
            let piece = |block| (0..self.kernel).map(move |row| block * plane_len + row * row_len);
            let pieces: Vec<usize> = (0..end - index).flat_map(piece).collect();
            let values = &input[index * plane_len..end * plane_len];
            let rows = Rows { values, starts: &starts, pieces: &pieces, length: self.kernel * cell_len };
            let panel = panel.rows(index * depth..end * depth);
            multiply(self.instructions, rows, panel, store, out, BLOCK);
            store = Store::Add;
        }
    }
}
