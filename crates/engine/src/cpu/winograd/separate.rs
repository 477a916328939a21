//! Convs of tiles that lie apart, whose input is gathered.

use spadework_model::Grid;

use super::{
    kernels::{Layout, WinogradKernels},
    tile::Tile,
    transforms::{InputRow, OutputRow},
};
use crate::cpu::features::blocks;
use spadework_kernels::cpu::{BLOCK, Isa};

const TILE: Tile = Tile::Four;
/// Vectors that a tile reads.
const READ: usize = TILE.side() * TILE.side();
/// Cells of output in a tile.
const CELLS: usize = TILE.outputs() * TILE.outputs();

/// A packed 3×3 conv.
#[derive(Debug)]
pub(in crate::cpu) struct SeparateTiles {
    isa: Isa,
    input_blocks: usize,
    kernels: WinogradKernels,
}

impl SeparateTiles {
    /// Cells of output on a tile's side.
    pub(in crate::cpu) const SIDE: usize = TILE.outputs();
    /// Vectors on the side of what a tile reads.
    pub(in crate::cpu) const READ_SIDE: usize = TILE.side();

    /// Packs `weight` (out, in, 3, 3).
    pub(in crate::cpu) fn new(isa: Isa, channels: (usize, usize), weight: &[f32]) -> Self {
        Self { isa, input_blocks: blocks(channels.0), kernels: WinogradKernels::new(TILE, channels, weight) }
    }

    /// Blocks of input channels.
    pub(in crate::cpu) fn input_blocks(&self) -> usize {
        self.input_blocks
    }

    /// Elements of the transformed input of so many tiles, of one block of input channels.
    pub(in crate::cpu) fn block_len(tiles: usize) -> usize {
        Layout::new(TILE, tiles).block_len
    }

    /// Transforms one block of what `tiles` tiles read: `read` tells which of `vectors` each place has, none where it is zero.
    pub(in crate::cpu) fn transform(
        &self,
        block: usize,
        tiles: usize,
        vectors: &[f32],
        read: impl Fn(usize) -> Option<usize>,
        out: &mut [f32],
    ) {
        let side = TILE.side();
        for tile in 0..tiles {
            let mut cells = [[0.0; BLOCK]; READ];
            for (i, cell) in cells.iter_mut().enumerate() {
                if let Some(vector) = read(tile * READ + i) {
                    let start = (vector * self.input_blocks + block) * BLOCK;
                    cell.copy_from_slice(&vectors[start..start + BLOCK]);
                }
            }
            self.isa.run(InputRow {
                tile: TILE,
                cells: &cells,
                grid: Grid { height: side, width: side },
                top: 0,
                tiles: 1,
                place_stride: Layout::new(TILE, tiles).place_len,
                out: &mut out[tile * BLOCK..],
            });
        }
    }

    /// Elements of working memory that [`run`](Self::run) needs for so many tiles.
    pub(in crate::cpu) fn memory_len(&self, tiles: usize) -> usize {
        self.kernels.memory_len(Layout::new(TILE, tiles))
    }

    /// Convolves with one block of output channels, and hands every tile's cells to `put`. `transformed` holds all blocks of input.
    pub(in crate::cpu) fn run(
        &self,
        block: usize,
        tiles: usize,
        transformed: &[f32],
        bias: &[f32; BLOCK],
        memory: &mut [f32],
        mut put: impl FnMut(usize, &[[f32; BLOCK]; CELLS]),
    ) {
        let layout = Layout::new(TILE, tiles);
        let products = self.kernels.multiply(self.isa, block, layout, transformed, memory);
        for tile in 0..tiles {
            let mut cells = [[0.0; BLOCK]; CELLS];
            self.isa.run(OutputRow {
                tile: TILE,
                products: &products[tile * BLOCK..],
                place_stride: layout.place_len,
                tiles: 1,
                width: TILE.outputs(),
                bias,
                add: false,
                out: &mut cells,
            });
            put(tile, &cells);
        }
    }
}
