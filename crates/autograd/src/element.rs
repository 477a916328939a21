//! The numbers that the operations compute with, and the two products that everything heavy is made of.

use std::sync::LazyLock;

use candle_core::WithDType;
use spadework_kernels::cpu::{
    self, Instructions, Isa, OUTER_ROWS, Panel, StoreMode, add_outer, multiply_panel,
};

/// The best instruction set of this processor.
static ISA: LazyLock<Isa> = LazyLock::new(|| Instructions::choose(None).isa);

/// Rows of A: row r is the concatenation of `values[starts[r] + piece..][..length]` over the pieces.
#[derive(Clone, Copy)]
pub(super) struct MapRows<'a, T> {
    pub(super) values: &'a [T],
    pub(super) starts: &'a [usize],
    pub(super) pieces: &'a [usize],
    pub(super) length: usize,
}

/// Where a product goes: to the first `width` of every `stride` values.
pub(super) struct Columns<'a, T> {
    pub(super) values: &'a mut [T],
    pub(super) width: usize,
    pub(super) stride: usize,
    pub(super) store: StoreMode,
}

/// Cells of two matrices, in runs: see [`cpu::Outer`].
#[derive(Clone, Copy)]
pub(super) struct Outer<'a, T> {
    pub(super) values: &'a [T],
    pub(super) starts: &'a [usize],
    pub(super) length: usize,
    pub(super) columns: &'a [T],
    pub(super) width: usize,
}

/// f32, by the kernels for processors, and f64, by plain loops: what derivatives are checked in.
pub(super) trait Element: WithDType {
    /// `out[r] = rows[r] · panel` (or `+=`).
    fn multiply(rows: MapRows<'_, Self>, panel: &[Self], out: Columns<'_, Self>);

    /// `tile[i][c] += Σ A[cell][i] · B[cell][c]` for [`OUTER_ROWS`] rows.
    fn add_outer(outer: Outer<'_, Self>, tile: &mut [Self]);
}

impl Element for f32 {
    fn multiply(rows: MapRows<'_, Self>, panel: &[Self], out: Columns<'_, Self>) {
        let MapRows { values, starts, pieces, length } = rows;
        let Columns { values: sums, width, stride, store } = out;
        let rows = cpu::Rows { values, starts, pieces, length };
        multiply_panel(*ISA, rows, Panel { values: panel }, width, store, sums, stride);
    }

    fn add_outer(outer: Outer<'_, Self>, tile: &mut [Self]) {
        let Outer { values, starts, length, columns, width } = outer;
        add_outer(*ISA, cpu::Outer { values, starts, length, columns, width }, tile);
    }
}

impl Element for f64 {
    fn multiply(rows: MapRows<'_, Self>, panel: &[Self], out: Columns<'_, Self>) {
        for (r, &start) in rows.starts.iter().enumerate() {
            let sums = &mut out.values[r * out.stride..][..out.width];
            if out.store == StoreMode::Replace {
                sums.fill(0.0);
            }
            let row = rows.pieces.iter().flat_map(|piece| &rows.values[start + piece..][..rows.length]);
            for (a, b) in row.zip(panel.chunks_exact(out.width)) {
                sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
            }
        }
    }

    fn add_outer(outer: Outer<'_, Self>, tile: &mut [Self]) {
        let runs = outer.starts.iter().flat_map(|&start| {
            outer.values[start..start + outer.length * OUTER_ROWS].chunks_exact(OUTER_ROWS)
        });
        for (a, b) in runs.zip(outer.columns.chunks_exact(outer.width)) {
            for (a, tile) in a.iter().zip(tile.chunks_exact_mut(outer.width)) {
                tile.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
            }
        }
    }
}
