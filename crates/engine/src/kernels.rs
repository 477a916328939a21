//! The f32 kernels by themselves, for work that is not a planned picture: the training job's convs and tables.

use crate::{
    gemm::{self, OUTER_ROWS, Panel, add_outer, multiply_panel},
    instructions::Instructions,
    isa::{BLOCK, Isa, NARROW},
};
pub use crate::{
    gemm::{Outer, Store},
    plan::{
        codes::{CodeMap, decode},
        level::{Level, NO_PATCH},
    },
};

/// Rows of f32 numbers.
pub type Rows<'a> = gemm::Rows<'a, f32>;

/// Columns of a wide panel.
pub const WIDE: usize = BLOCK;

/// Columns of a narrow panel.
pub const SLIM: usize = NARROW;

/// Rows of a tile of outer products.
pub const TILE_ROWS: usize = OUTER_ROWS;

/// The kernels for the best instruction set that this processor has.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    isa: Isa,
}

impl Kernels {
    /// Asks the processor what it can run.
    pub fn best() -> Self {
        Self { isa: Instructions::choose(None).isa }
    }

    /// `out[r][..width] = rows[r] · panel` (or `+=`), with `stride` elements from one row of `out` to the next.
    ///
    /// `panel` holds `width` elements, [`WIDE`] or [`SLIM`], for each element of a row.
    ///
    /// # Panics
    /// When a row leaves `rows.values`, the result does not fit into `out`, or the sizes do not agree.
    pub fn multiply(
        self,
        rows: Rows<'_>,
        panel: &[f32],
        width: usize,
        store: Store,
        out: &mut [f32],
        stride: usize,
    ) {
        multiply_panel(self.isa, rows, Panel { values: panel }, width, store, out, stride);
    }

    /// `tile[i][c] += Σ A[cell][i] · B[cell][c]` over the cells of `outer`, for [`TILE_ROWS`] rows.
    ///
    /// # Panics
    /// When a run leaves `outer.values`, or the sizes do not agree.
    pub fn add_outer(self, outer: Outer<'_>, tile: &mut [f32]) {
        add_outer(self.isa, outer, tile);
    }
}
