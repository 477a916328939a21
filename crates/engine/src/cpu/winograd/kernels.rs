//! WinogradKernels as they are, transformed by every task that multiplies: transformed once, they would be up to four times as large,
//! and on small maps reading them is what takes the time.

use std::ops::Range;

use rayon::prelude::*;

use super::{SKEW, tile::Tile, transforms::KernelRows};
use crate::cpu::features::blocks;
use spadework_kernels::cpu::{BLOCK, Buffer, Isa, Panel, Rows, StoreMode, multiply, prefetch};

/// Blocks of input channels whose kernels are transformed at once: their panels stay in the second-level cache.
const CHUNK: usize = 2;

/// Elements from one place's panel to the next.
const PLACE: usize = CHUNK * BLOCK * BLOCK + SKEW;

/// Where the numbers of some tiles lie, in a block of transformed input and in products: `[place][tile][32]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) tiles: usize,
    /// Elements from one place to the next.
    pub(super) place_len: usize,
    /// Elements of all places.
    pub(super) block_len: usize,
}

impl Layout {
    pub(super) fn new(tile: Tile, tiles: usize) -> Self {
        let place_len = tiles * BLOCK + SKEW;
        Self { tiles, place_len, block_len: tile.places() * place_len }
    }
}

/// A kernel of one input channel for a block of output channels.
type Kernel = [[f32; BLOCK]; 9];

/// The kernels of a conv.
#[derive(Debug)]
pub(super) struct WinogradKernels {
    tile: Tile,
    inputs: usize,
    values: Buffer<f32>, // [output block][input][tap][32]
}

impl WinogradKernels {
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

    /// Elements of working memory that [`multiply`](Self::multiply) needs.
    pub(super) fn memory_len(&self, layout: Layout) -> usize {
        layout.block_len + self.tile.places() * PLACE
    }

    /// The products of tiles with one block of output channels, at the beginning of `memory`. `transformed` has a layout for each
    /// block of input channels.
    pub(super) fn multiply<'a>(
        &self,
        isa: Isa,
        block: usize,
        layout: Layout,
        transformed: &[f32],
        memory: &'a mut [f32],
    ) -> &'a [f32] {
        let (products, panels) = memory.split_at_mut(layout.block_len);
        let starts: Vec<usize> = (0..layout.tiles).map(|tile| tile * BLOCK).collect();
        let input_blocks = self.inputs / BLOCK;
        for first in (0..input_blocks).step_by(CHUNK) {
            let inputs = first..(first + CHUNK).min(input_blocks);
            self.transform(isa, block, inputs.clone(), panels);
            let store = if first == 0 { StoreMode::Replace } else { StoreMode::Add };
            let pieces: Vec<usize> = (0..inputs.len()).map(|input| input * layout.block_len).collect();
            for (place, products) in products.chunks_exact_mut(layout.place_len).enumerate() {
                let values = &transformed[first * layout.block_len + place * layout.place_len..];
                let rows = Rows { values, starts: &starts, pieces: &pieces, length: BLOCK };
                let panel = Panel { values: &panels[place * PLACE..][..inputs.len() * BLOCK * BLOCK] };
                multiply(isa, rows, panel, store, products, BLOCK);
                self.look_ahead(block, inputs.clone(), place);
            }
        }
        products
    }

    /// Makes a panel for each place, for a block of output channels and a chunk of blocks of input channels.
    fn transform(&self, isa: Isa, block: usize, inputs: Range<usize>, panels: &mut [f32]) {
        let all: &[Kernel] = self.values.as_chunks().0.as_chunks().0;
        let kernels = &all[block * self.inputs..][inputs.start * BLOCK..inputs.end * BLOCK];
        isa.run(KernelRows { tile: self.tile, kernels, place_stride: PLACE, panels });
    }

    /// Asks for a place's share of what lies behind the chunk: the next one, or that of the next block of output channels.
    fn look_ahead(&self, block: usize, inputs: Range<usize>, place: usize) {
        let all: &[Kernel] = self.values.as_chunks().0.as_chunks().0;
        let next = &all[block * self.inputs + inputs.end * BLOCK..];
        let next = next[..next.len().min(CHUNK * BLOCK)].as_flattened().as_flattened();
        prefetch(next.chunks(next.len().div_ceil(self.tile.places()).max(1)).nth(place).unwrap_or(&[]));
    }
}
