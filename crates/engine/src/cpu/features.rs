//! Where a feature map's numbers lie.

use spadework_model::Grid;

use spadework_kernels::cpu::BLOCK;

/// Blocks that hold `channels`.
pub(super) fn blocks(channels: usize) -> usize {
    channels.div_ceil(BLOCK)
}

/// Cells of a grid.
pub(super) fn cells(grid: Grid) -> usize {
    grid.height * grid.width
}

/// A feature map to read, `[block][row][column][32]`.
#[derive(Clone, Copy)]
pub(super) struct Features<'a> {
    pub(super) values: &'a [f32],
    pub(super) grid: Grid,
}

impl<'a> Features<'a> {
    /// `channels` channels of `grid`, at the start of `values`.
    pub(super) fn new(values: &'a [f32], channels: usize, grid: Grid) -> Self {
        Self { values: &values[..blocks(channels) * cells(grid) * BLOCK], grid }
    }

    /// One row of one block, `[column][32]`.
    pub(super) fn row(&self, block: usize, y: usize) -> &'a [[f32; BLOCK]] {
        let start = (block * self.grid.height + y) * self.grid.width * BLOCK;
        self.values[start..start + self.grid.width * BLOCK].as_chunks().0
    }
}
