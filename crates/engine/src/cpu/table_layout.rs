//! Where each layer's modulation table is, and how large it may grow.

use spadework_kernels::cpu::{BLOCK, Bf16Pair, Buffer};
use spadework_model::{Architecture, Grid};

use super::{policy::Policy, scratch::Scratch, tiles};
use crate::plan::resolutions;

/// Elements of one table row in one block: scales, then shifts.
pub(super) const ROW: usize = 2 * BLOCK;

/// Counts the layers while a network is read, so that each finds its table.
pub(super) struct TableLayout {
    pub(super) levels: Vec<LevelLayout>,
    /// Codes that a neighbourhood sees.
    pub(super) window: usize,
}

/// The tables of the layers at one resolution.
pub(super) struct LevelLayout {
    pub(super) grid: Grid,
    pub(super) in_tiles: bool,
    /// Of each layer.
    pub(super) blocks: Vec<usize>,
}

impl TableLayout {
    pub(super) fn new(architecture: &Architecture, policy: Policy) -> Self {
        let level = |grid| {
            let in_tiles = policy.tables_in_tiles() && tiles::pay(architecture, grid);
            LevelLayout { grid, in_tiles, blocks: Vec::new() }
        };
        let extent = 2 * architecture.kernel - 1;
        Self { levels: resolutions(architecture).into_iter().map(level).collect(), window: extent * extent }
    }

    /// A table for a layer of so many blocks at `grid`.
    pub(super) fn add(&mut self, grid: Grid, blocks: usize) -> TableIndex {
        let level = self.level(grid);
        self.levels[level].blocks.push(blocks);
        TableIndex { level, layer: self.levels[level].blocks.len() - 1 }
    }

    /// Whether the rows of the layers at `grid` are tiles.
    pub(super) fn in_tiles(&self, grid: Grid) -> bool {
        self.levels[self.level(grid)].in_tiles
    }

    fn level(&self, grid: Grid) -> usize {
        let index = self.levels.iter().position(|level| level.grid == grid);
        index.expect("every block's resolution is in the list made from the blocks")
    }
}

/// Where a layer's table is: its level, and its place there.
#[derive(Clone, Copy, Debug)]
pub(super) struct TableIndex {
    pub(super) level: usize,
    pub(super) layer: usize,
}

/// Working memory while tables are made.
pub(super) struct TableMemory {
    /// Hidden vectors of patches, in f32 or in bf16.
    pub(super) hidden: Buffer<f32>,
    pub(super) hidden_bf16: Buffer<Bf16Pair>,
    /// What tiles read of them, transformed.
    pub(super) transformed: Buffer<f32>,
    /// Each thread's products.
    pub(super) scratch: Scratch,
}

impl TableMemory {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            hidden: Buffer::default(),
            hidden_bf16: Buffer::default(),
            transformed: Buffer::default(),
            scratch: Scratch::new(threads),
        }
    }
}

pub(super) fn cells_of_row(in_tiles: bool) -> usize {
    if in_tiles { tiles::CELLS } else { 1 }
}

pub(super) fn bytes_of_cell(blocks: &[usize]) -> usize {
    blocks.iter().sum::<usize>() * ROW * size_of::<f32>()
}

/// Shares `total` out evenly, but to none more than its `most`.
pub(super) fn share_out(total: usize, most: &[usize]) -> Vec<usize> {
    let mut shares = vec![0; most.len()];
    let mut left = total;
    let mut order: Vec<usize> = (0..most.len()).collect();
    order.sort_by_key(|&index| most[index]);
    for (taken, &index) in order.iter().enumerate() {
        shares[index] = most[index].min(left / (most.len() - taken));
        left -= shares[index];
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_even_unless_less_is_enough() {
        assert_eq!(share_out(100, &[10, 500, 500]), [10, 45, 45]);
        assert_eq!(share_out(100, &[20, 1, 30]), [20, 1, 30]);
        assert_eq!(share_out(0, &[20, 1]), [0, 0]);
    }
}
