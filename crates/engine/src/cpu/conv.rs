//! "Same" convs, 1×1 and 3×3, as products of shifted rows: no column buffer.

use rayon::prelude::*;
use spadework_model::{Grid, Prefixed};

use super::{
    features::{Features, blocks, bordered, cells},
    read::numbers,
};
use crate::{
    EngineError,
    buffer::Buffer,
    gemm::{PackedMatrix, Rows, Store, multiply},
    isa::{BLOCK, Isa},
};

/// Cells that one task computes: enough to reuse a panel that lies in the first-level cache.
const CELLS: usize = 256;

/// A packed conv.
#[derive(Debug)]
pub(super) struct Conv {
    kernel: usize,
    input_blocks: usize,
    weights: PackedMatrix, // [input block][row][column][32] × output channels
    bias: Buffer<f32>,     // [block][32]
}

/// What a conv's result is added to, besides its bias.
#[derive(Clone, Copy)]
pub(super) enum Onto<'a> {
    /// Nothing.
    Nothing,
    /// What the output holds.
    Output,
    /// A feature map at the same resolution, or at half of it and read up-sampled.
    Features(Features<'a>),
}

/// A plane that is added to every channel with that channel's weight.
#[derive(Clone, Copy)]
pub(super) struct Noise<'a> {
    pub(super) plane: &'a [f32],
    pub(super) weights: &'a [f32], // [block][32]
}

impl Conv {
    /// Reads `weight` (out, in, k, k) and, where `bias` says so, `bias`.
    pub(super) fn read(
        part: &Prefixed<'_>,
        input: usize,
        output: usize,
        kernel: usize,
        bias: bool,
    ) -> Result<Self, EngineError> {
        let weight = numbers(part, "weight", &[output, input, kernel, kernel])?;
        let bias = if bias { numbers(part, "bias", &[output])? } else { vec![0.0; output] };
        Ok(Self::new(input, output, kernel, &weight, &bias))
    }

    /// Packs `weight` (out, in, k, k).
    pub(super) fn new(input: usize, output: usize, kernel: usize, weight: &[f32], bias: &[f32]) -> Self {
        let (taps, input_blocks) = (kernel * kernel, blocks(input));
        let weights = PackedMatrix::new(input_blocks * taps * BLOCK, output, |k, column| {
            let channel = k / (taps * BLOCK) * BLOCK + k % BLOCK;
            let tap = k / BLOCK % taps;
            if channel < input { weight[(column * input + channel) * taps + tap] } else { 0.0 }
        });
        let mut padded = Buffer::zeroed(blocks(output) * BLOCK);
        padded[..output].copy_from_slice(bias);
        Self { kernel, input_blocks, weights, bias: padded }
    }

    /// Convolves `input`, `[block][1 + row + 1][1 + column + 1][32]`, into `out`, `[block][row][column][32]`.
    pub(super) fn run(
        &self,
        isa: Isa,
        input: &[f32],
        grid: Grid,
        onto: Onto<'_>,
        noise: Option<Noise<'_>>,
        out: &mut [f32],
    ) {
        let tasks = out.par_chunks_exact_mut(cells(grid) * BLOCK).enumerate().flat_map(|(block, out)| {
            let parts = out.par_chunks_mut(CELLS * BLOCK).enumerate();
            parts.map(move |(part, out)| (block, part * CELLS, out))
        });
        tasks.for_each(|(block, first, out)| {
            self.begin(block, first, grid, onto, noise, out.as_chunks_mut().0);
            self.accumulate(isa, block, first, input, grid, out);
        });
    }

    /// Writes all but the conv itself.
    fn begin(
        &self,
        block: usize,
        first: usize,
        grid: Grid,
        onto: Onto<'_>,
        noise: Option<Noise<'_>>,
        out: &mut [[f32; BLOCK]],
    ) {
        match onto {
            Onto::Nothing => out.fill([0.0; BLOCK]),
            Onto::Output => {}
            Onto::Features(x) => {
                for (i, out) in out.iter_mut().enumerate() {
                    let (y, column) = ((first + i) / grid.width, (first + i) % grid.width);
                    let row = x.row(block, y * x.grid.height / grid.height);
                    *out = row[column * x.grid.width / grid.width];
                }
            }
        }
        let bias = &self.bias.as_chunks::<BLOCK>().0[block];
        for (i, out) in out.iter_mut().enumerate() {
            for c in 0..BLOCK {
                out[c] += bias[c];
            }
            if let Some(Noise { plane, weights }) = noise {
                let (plane, weights) = (plane[first + i], &weights.as_chunks::<BLOCK>().0[block]);
                for c in 0..BLOCK {
                    out[c] += plane * weights[c];
                }
            }
        }
    }

    /// Adds the conv for the cells that `out` holds, one input block after the other.
    fn accumulate(&self, isa: Isa, block: usize, first: usize, input: &[f32], grid: Grid, out: &mut [f32]) {
        let border = bordered(grid);
        let offset = 1 - self.kernel / 2; // a 1×1 kernel starts at the cell itself
        let starts: Vec<usize> = (first..first + out.len() / BLOCK)
            .map(|cell| (cell / grid.width + offset) * border.width + cell % grid.width + offset)
            .map(|cell| cell * BLOCK)
            .collect();
        let rows: Vec<usize> = (0..self.kernel).map(|row| row * border.width * BLOCK).collect();
        let depth = self.kernel * self.kernel * BLOCK;
        let panel = self.weights.panel(block);
        for (index, values) in input.chunks_exact(cells(border) * BLOCK).take(self.input_blocks).enumerate() {
            let rows = Rows { values, starts: &starts, pieces: &rows, length: self.kernel * BLOCK };
            let panel = panel.rows(index * depth..(index + 1) * depth);
            multiply(isa, rows, panel, Store::Add, out, BLOCK);
        }
    }
}
