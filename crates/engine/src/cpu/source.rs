//! What convs read: rows of features that are made when they are read, a few MB for each thread, not as a whole map.

use spadework_model::Grid;

use spadework_kernels::cpu::{BLOCK, Isa};

/// A conv's input.
pub(super) trait Source: Sync {
    /// Its resolution.
    fn grid(&self) -> Grid;

    /// Writes row `y` of a block of channels.
    fn row(&self, isa: Isa, block: usize, y: usize, out: &mut [[f32; BLOCK]]);
}

/// Writes row `line − border` inside a border of zeros, `border` cells wide; a row outside the map is zero.
pub(super) fn bordered_row(
    source: &dyn Source,
    isa: Isa,
    block: usize,
    line: usize,
    border: usize,
    out: &mut [f32],
) {
    match line.checked_sub(border).filter(|y| *y < source.grid().height) {
        Some(y) => {
            let (left, rest) = out.split_at_mut(border * BLOCK);
            let (inner, right) = rest.split_at_mut(source.grid().width * BLOCK);
            left.fill(0.0);
            source.row(isa, block, y, inner.as_chunks_mut().0);
            right.fill(0.0);
        }
        None => out.fill(0.0),
    }
}
