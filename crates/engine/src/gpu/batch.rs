//! The tensors that a batch's body reads and writes, once its masks have been dealt with.

use candle_core::Tensor;

/// One batch's tensors.
pub(super) struct Batch {
    /// The first map, (N, H, W, C).
    pub(super) x: Tensor,
    /// The neighbourhood of every cell at each resolution, (N, H, W) u32.
    pub(super) ids: Vec<Tensor>,
    /// The tables of each block's layers, with room for more rows than the batch has.
    pub(super) tables: Vec<Vec<Tensor>>,
    /// Each block's noise, (N, H, W) f32, or none.
    pub(super) noise: Vec<Tensor>,
    /// The images, (N, H, W, 3) u8.
    pub(super) images: Tensor,
}

impl Batch {
    /// All of them.
    pub(super) fn tensors(&self) -> Vec<Tensor> {
        let lists = [&self.ids, &self.noise].into_iter().chain(&self.tables).flatten();
        [&self.x, &self.images].into_iter().chain(lists).cloned().collect()
    }
}
