//! Convs as products of shifted rows: no column buffer.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use spadework_model::Grid;

use super::{
    epilogue::Epilogue,
    features::{blocks, cells},
    source::{Source, bordered_row},
};
use spadework_kernels::cpu::{
    BLOCK, Element, PackedMatrix, Rows, StoreMode, bf16_remainder, elements, multiply,
};

/// Cells that one task computes: enough to reuse a panel that lies in the first-level cache.
const CELLS: usize = 256;

/// Blocks and taps whose panel is read at once: it stays in the first-level cache.
const TAPS: usize = 8;

/// Elements of input that are held at once for each thread, so that they stay in the last-level cache.
const HELD: usize = 1 << 20;

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

    /// Elements of working memory that [`run`](Self::run) is best given for a map of `grid` and so many inputs.
    pub(super) fn held_len(&self, grid: Grid, inputs: usize, threads: usize) -> usize {
        let (line_len, more) = (inputs * self.line_len(grid), self.kernel - 1);
        let rows = (HELD * threads / line_len).saturating_sub(more).clamp(1, grid.height);
        (rows + more) * line_len
    }

    /// Elements of one row of all blocks of input, with its border.
    fn line_len(&self, grid: Grid) -> usize {
        self.input_blocks * (grid.width + self.kernel - 1) * elements::<E>(BLOCK)
    }

    /// The sum of convs of `source`, into `out`, `[block][row][column][32]`.
    ///
    /// All threads make some rows of input, then each multiplies some of their cells with a block of weights.
    ///
    /// `held` is working memory of at least one row of output.
    pub(super) fn run(
        terms: &[(&Self, Operand)],
        source: &dyn Source,
        epilogue: Epilogue<'_>,
        held: &mut [f32],
        out: &mut [f32],
    ) {
        let Some((first, _)) = terms.first() else { return };
        let (grid, more) = (epilogue.grid, first.kernel - 1);
        let operands = if terms.iter().any(|(_, operand)| *operand == Operand::Remainder) { 2 } else { 1 };
        let line_len = first.line_len(grid);
        let at_once = (held.len() / (operands * line_len) - more).min(grid.height);
        let held: &mut [E] = bytemuck::cast_slice_mut(held);
        for top in (0..grid.height).step_by(at_once) {
            let lines = at_once.min(grid.height - top) + more;
            let (high, low) = held[..operands * lines * line_len].split_at_mut(lines * line_len);
            first.read(source, epilogue, top, lines, (high, low));
            let (high, low) = (&*high, &*low);
            let planes = out.par_chunks_exact_mut(cells(grid) * BLOCK).enumerate();
            let tasks = planes.flat_map(|(block, plane)| {
                let rows = &mut plane[top * grid.width * BLOCK..][..(lines - more) * grid.width * BLOCK];
                let parts = rows.par_chunks_mut(CELLS * BLOCK).enumerate();
                parts.map(move |(part, out)| (block, part * CELLS, out))
            });
            tasks.for_each(|(block, cell, out)| {
                let mut store = if epilogue.keeps_output() { StoreMode::Add } else { StoreMode::Replace };
                for (conv, operand) in terms {
                    let input = if *operand == Operand::Number { high } else { low };
                    conv.accumulate(block, cell, (input, lines), grid, store, out);
                    store = StoreMode::Add;
                }
                epilogue.add(block, top * grid.width + cell, out.as_chunks_mut().0);
            });
        }
    }

    /// Makes `lines` rows of input from `top` on, `[block][line][column][32]`, and what they lose in rounding where it is wanted.
    fn read(
        &self,
        source: &dyn Source,
        epilogue: Epilogue<'_>,
        top: usize,
        lines: usize,
        (high, low): (&mut [E], &mut [E]),
    ) {
        let (border, cell_len) = (self.kernel / 2, elements::<E>(BLOCK));
        let width = epilogue.grid.width + 2 * border;
        let mut low: Vec<Option<&mut [E]>> = low.chunks_exact_mut(width * cell_len).map(Some).collect();
        low.resize_with(lines * self.input_blocks, || None);
        let rows = high.par_chunks_exact_mut(width * cell_len).zip(low).enumerate();
        rows.for_each_init(Vec::new, |numbers, (index, (high, low))| {
            let (block, line) = (index / lines, top + index % lines);
            if E::NUMBERS == 1 {
                let high = bytemuck::cast_slice_mut(high);
                bordered_row(source, epilogue.isa, block, line, border, high);
                return;
            }
            numbers.resize(width * BLOCK, 0.0);
            bordered_row(source, epilogue.isa, block, line, border, numbers);
            epilogue.isa.run(Pack { numbers: numbers.as_chunks().0, high, low });
        });
    }

    /// The conv for the cells that `out` holds, some input blocks after the other.
    fn accumulate(
        &self,
        block: usize,
        first: usize,
        (input, lines): (&[E], usize),
        grid: Grid,
        mut store: StoreMode,
        out: &mut [f32],
    ) {
        let cell_len = elements::<E>(BLOCK);
        let row_len = (grid.width + self.kernel - 1) * cell_len;
        let starts: Vec<usize> = (first..first + out.len() / BLOCK)
            .map(|cell| cell / grid.width * row_len + cell % grid.width * cell_len)
            .collect();
        let plane_len = lines * row_len;
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
            store = StoreMode::Add;
        }
    }
}

/// What of the input a conv's weights are multiplied with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    /// The numbers, rounded to what elements hold.
    Number,
    /// What the rounding lost, rounded.
    Remainder,
}

/// Numbers to elements.
struct Pack<'a, E> {
    numbers: &'a [[f32; BLOCK]],
    high: &'a mut [E],
    low: Option<&'a mut [E]>,
}

impl<E: Element> WithSimd for Pack<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let cell_len = elements::<E>(BLOCK);
        for (numbers, high) in self.numbers.iter().zip(self.high.chunks_exact_mut(cell_len)) {
            E::store(numbers, high);
        }
        let Some(low) = self.low else { return };
        for (numbers, low) in self.numbers.iter().zip(low.chunks_exact_mut(cell_len)) {
            E::store(&numbers.map(bf16_remainder), low);
        }
    }
}
