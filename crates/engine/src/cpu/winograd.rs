//! 3×3 convs by Winograd's minimal filtering (Lavin and Gray 2016, arXiv 1509.09308), F(2×2, 3×3) and F(4×4, 3×3).
//!
//! A tile of m×m outputs is `Aᵀ[(G w Gᵀ) ⊙ (Bᵀ x B)]A`: m+2 squared products of channel vectors in place of 9·m². The products
//! at one place of all tiles are a matrix product.

mod kernels;
mod separate;
mod tile;
mod transforms;

use rayon::prelude::*;
use spadework_model::Grid;

use super::{
    epilogue::Epilogue,
    features::{blocks, cells},
    scratch::Scratch,
    source::{Source, bordered_row},
};
use kernels::{Layout, WinogradKernels};
pub(super) use separate::SeparateTiles;
use spadework_kernels::cpu::{BLOCK, Isa};
pub(super) use tile::Tile;
use transforms::{InputRow, OutputRow};

/// Elements between one place of all tiles and the next, beyond their own: so they do not share a cache set.
const SKEW: usize = 16;

/// Tiles that one task multiplies: weights are read and transformed once for all of them.
const GROUP: usize = 128;

/// Elements of transformed input that are held at once for each thread, so that they stay in the last-level cache.
const HELD: usize = 512 << 10;

/// A packed 3×3 conv.
#[derive(Debug)]
pub(super) struct Winograd {
    isa: Isa,
    tile: Tile,
    input_blocks: usize,
    kernels: WinogradKernels,
}

impl Winograd {
    /// Packs `weight` (out, in, 3, 3).
    pub(super) fn new(isa: Isa, tile: Tile, channels: (usize, usize), weight: &[f32]) -> Self {
        let kernels = WinogradKernels::new(tile, channels, weight);
        Self { isa, tile, input_blocks: blocks(channels.0), kernels }
    }

    /// Elements of working memory that [`run`](Self::run) is best given for a map of `grid`.
    pub(super) fn held_len(&self, grid: Grid, threads: usize) -> usize {
        let groups = Groups::new(self, grid);
        groups.input_len * (HELD * threads / groups.input_len).clamp(1, groups.count)
    }

    /// Convolves `source` into `out`, `[block][row][column][32]`.
    ///
    /// All threads transform the input of some groups of tiles, then each multiplies that of a group with a block of weights.
    ///
    /// `held` is working memory for at least one group, `scratch` lends each thread its own.
    pub(super) fn run(
        &self,
        source: &dyn Source,
        epilogue: Epilogue<'_>,
        held: &mut [f32],
        scratch: &Scratch,
        out: &mut [f32],
    ) {
        let groups = Groups::new(self, epilogue.grid);
        let at_once = (held.len() / groups.input_len).min(groups.count);
        let held = &mut held[..at_once * groups.input_len];
        for first in (0..groups.count).step_by(at_once) {
            held.par_chunks_exact_mut(groups.layout.block_len).enumerate().for_each(
                |(index, transformed)| {
                    let (group, block) = (first + index / self.input_blocks, index % self.input_blocks);
                    if group < groups.count {
                        self.transform_input(source, block, (groups, group), scratch, transformed);
                    }
                },
            );
            let held = &*held;
            let planes = out.par_chunks_exact_mut(cells(epilogue.grid) * BLOCK).enumerate();
            let tasks = planes.flat_map(|(block, plane)| {
                let parts = plane.par_chunks_mut(groups.cells * BLOCK).enumerate();
                let parts = parts.skip(first).take(at_once);
                parts.map(move |(group, out)| (block, group, out))
            });
            tasks.for_each(|(block, group, out)| {
                let transformed = &held[(group - first) * groups.input_len..][..groups.input_len];
                scratch.with(self.kernels.memory_len(groups.layout), |memory| {
                    let products = self.kernels.multiply(self.isa, block, groups.layout, transformed, memory);
                    self.transform_output(epilogue, block, groups, products, out);
                });
                epilogue.add_onto(block, group * groups.cells, out.as_chunks_mut().0);
            });
        }
    }

    /// Bᵀ x B of one block of input channels of a group, `[place][tile][channel]`.
    fn transform_input(
        &self,
        source: &dyn Source,
        block: usize,
        (groups, group): (Groups, usize),
        scratch: &Scratch,
        transformed: &mut [f32],
    ) {
        let outputs = self.tile.outputs();
        let (top, lines) = (group * groups.rows * outputs, groups.rows * outputs + 2);
        let grid = Grid { height: lines, width: source.grid().width + 2 };
        scratch.with(cells(grid) * BLOCK, |input| {
            for (line, row) in input.chunks_exact_mut(grid.width * BLOCK).enumerate() {
                bordered_row(source, self.isa, block, top + line, 1, row);
            }
            for row in 0..groups.rows {
                self.isa.run(InputRow {
                    tile: self.tile,
                    cells: input.as_chunks().0,
                    grid,
                    top: row * outputs,
                    tiles: groups.per_row,
                    place_stride: groups.layout.place_len,
                    out: &mut transformed[row * groups.per_row * BLOCK..],
                });
            }
        });
    }

    /// Aᵀ m A and the bias, into the cells of a group.
    fn transform_output(
        &self,
        epilogue: Epilogue<'_>,
        block: usize,
        groups: Groups,
        products: &[f32],
        out: &mut [f32],
    ) {
        let width = epilogue.grid.width;
        for (row, out) in out.chunks_mut(self.tile.outputs() * width * BLOCK).enumerate() {
            self.isa.run(OutputRow {
                tile: self.tile,
                products: &products[row * groups.per_row * BLOCK..],
                place_stride: groups.layout.place_len,
                tiles: groups.per_row,
                width,
                bias: epilogue.bias(block),
                add: epilogue.keeps_output(),
                out: out.as_chunks_mut().0,
            });
        }
    }
}

/// How a map's rows of tiles are cut into groups of whole rows, and where a group's numbers lie.
#[derive(Clone, Copy, Debug)]
struct Groups {
    count: usize,
    /// Rows of tiles in a group. The last group may have some below the map: their input is zero, their output left out.
    rows: usize,
    /// Tiles in a row.
    per_row: usize,
    /// Cells of output in a group.
    cells: usize,
    layout: Layout,
    /// Elements of transformed input, a block after the other.
    input_len: usize,
}

impl Groups {
    fn new(conv: &Winograd, grid: Grid) -> Self {
        let outputs = conv.tile.outputs();
        let (tile_rows, per_row) = (grid.height.div_ceil(outputs), grid.width.div_ceil(outputs));
        let rows = (GROUP / per_row).clamp(1, tile_rows);
        let layout = Layout::new(conv.tile, rows * per_row);
        Self {
            count: tile_rows.div_ceil(rows),
            rows,
            per_row,
            cells: rows * outputs * grid.width,
            layout,
            input_len: conv.input_blocks * layout.block_len,
        }
    }
}
