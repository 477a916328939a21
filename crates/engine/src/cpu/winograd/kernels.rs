//! Kernels as they are, transformed by every task that multiplies: transformed once, they would be four times as large,
//! and on small maps reading them is what takes the time.

use std::ops::Range;

use rayon::prelude::*;

use super::{SKEW, tile::Tile, transforms::KernelRows};
use crate::{
    buffer::Buffer,
    cpu::features::blocks,
    gemm::{Panel, prefetch},
    isa::{BLOCK, Isa},
};

/// Blocks of input channels whose kernels are transformed at once: their panels stay in the second-level cache.
pub(super) const CHUNK: usize = 2;

/// Numbers from one place's panel to the next.
const PLACE: usize = CHUNK * BLOCK * BLOCK + SKEW;

/// A kernel of one input channel for a block of output channels.
type Kernel = [[f32; BLOCK]; 9];

/// The kernels of a conv.
#[derive(Debug)]
pub(super) struct Kernels {
    tile: Tile,
    inputs: usize,
    values: Buffer<f32>, // [output block][input][tap][32]
}

impl Kernels {
    /// Packs `weight` (out, in, 3, 3).
    pub(super) fn new(tile: Tile, (input, output): (usize, usize), weight: &[f32]) -> Self {
        let inputs = blocks(input) * BLOCK;
        let mut values = Buffer::zeroed(blocks(output) * inputs * size_of::<Kernel>() / size_of::<f32>());
        let kernels = values.as_chunks_mut().0.as_chunks_mut().0;
        kernels.par_iter_mut().enumerate().for_each(|(index, kernel): (usize, &mut Kernel)| {
            let (block, channel) = (index / inputs, index % inputs);
            if channel < input {
                let columns = (block * BLOCK..output).take(BLOCK).enumerate();
                for (cell, column) in columns {
                    let taps = &weight[(column * input + channel) * 9..][..9];
                    kernel.iter_mut().zip(taps).for_each(|(cells, tap)| cells[cell] = *tap);
                }
            }
        });
        Self { tile, inputs, values }
    }

    /// Numbers of working memory for a chunk's panels.
    pub(super) fn panels_len(&self) -> usize {
        self.tile.places() * PLACE
    }

    /// Makes a panel for each place, for a block of output channels and a chunk of blocks of input channels.
    pub(super) fn transform(&self, isa: Isa, block: usize, inputs: Range<usize>, panels: &mut [f32]) {
        let all: &[Kernel] = self.values.as_chunks().0.as_chunks().0;
        let kernels = &all[block * self.inputs..][inputs.start * BLOCK..inputs.end * BLOCK];
        isa.run(KernelRows { tile: self.tile, kernels, place_stride: PLACE, panels });
    }

    /// Asks for a place's share of what will be transformed next.
    pub(super) fn look_ahead(&self, block: usize, inputs: Range<usize>, place: usize) {
        let all: &[Kernel] = self.values.as_chunks().0.as_chunks().0;
        let next = &all[block * self.inputs + inputs.end * BLOCK..];
        let next = next[..next.len().min(CHUNK * BLOCK)].as_flattened();
        prefetch(next.chunks(next.len().div_ceil(self.tile.places()).max(1)).nth(place).unwrap_or(&[]));
    }

    /// A place's panel of a chunk of `blocks`.
    pub(super) fn panel<'a>(&self, panels: &'a [f32], place: usize, blocks: usize) -> Panel<'a, f32> {
        Panel { values: &panels[place * PLACE..][..blocks * BLOCK * BLOCK] }
    }
}
