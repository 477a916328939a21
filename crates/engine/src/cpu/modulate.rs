//! `lrelu(x · scale + shift)`, read up-sampled where the block doubles.

use pulp::{Simd, WithSimd};
use spadework_model::Grid;

use super::{
    features::{Features, cells},
    source::Source,
    statistics::Affine,
    table_layout::ROW,
};
use spadework_kernels::cpu::{BLOCK, Isa};

/// Slope of the leaky ReLU for negative values.
const SLOPE: f32 = 0.2;

/// One modulation.
pub(super) struct ModulatedRows<'a> {
    /// The layer's input, at the output's resolution or half of it.
    pub(super) x: Features<'a>,
    /// Resolution of the output.
    pub(super) grid: Grid,
    /// The table's row of every cell.
    pub(super) rows: &'a [u32],
    /// `[block][row][scale | shift]`.
    pub(super) table: &'a [f32],
    /// What normalises the input, where its own statistics do.
    pub(super) affine: Option<&'a Affine>,
    /// Whether the leaky ReLU follows.
    pub(super) activate: bool,
}

impl Source for ModulatedRows<'_> {
    fn grid(&self) -> Grid {
        self.grid
    }

    fn row(&self, isa: Isa, block: usize, y: usize, out: &mut [[f32; BLOCK]]) {
        let (grid, x) = (self.grid, self.x);
        let blocks = x.values.len() / (cells(x.grid) * BLOCK);
        let table: &[[f32; ROW]] = self.table.as_chunks().0;
        let height = table.len() / blocks;
        isa.run(Row {
            x: x.row(block, y * x.grid.height / grid.height),
            twice: x.grid != grid,
            rows: &self.rows[y * grid.width..(y + 1) * grid.width],
            table: &table[block * height..(block + 1) * height],
            affine: self.affine.map(|affine| &affine[block]),
            slope: if self.activate { SLOPE } else { 1.0 },
            out,
        });
    }
}

/// The leaky ReLU alone, of a map that is not up-sampled.
pub(super) struct Activated<'a>(pub(super) Features<'a>);

impl Source for Activated<'_> {
    fn grid(&self) -> Grid {
        self.0.grid
    }

    fn row(&self, isa: Isa, block: usize, y: usize, out: &mut [[f32; BLOCK]]) {
        isa.run(Activate { x: self.0.row(block, y), out });
    }
}

struct Row<'a> {
    x: &'a [[f32; BLOCK]],
    twice: bool,
    rows: &'a [u32],
    table: &'a [[f32; ROW]],
    affine: Option<&'a ([f32; BLOCK], [f32; BLOCK])>,
    slope: f32, // 1 leaves a value as it is
    out: &'a mut [[f32; BLOCK]],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let shift = u32::from(self.twice);
        for (column, (&row, out)) in self.rows.iter().zip(self.out).enumerate() {
            let mut x = self.x[column >> shift];
            if let Some((scale, shift)) = self.affine {
                for c in 0..BLOCK {
                    x[c] = x[c] * scale[c] + shift[c];
                }
            }
            let (scale, shift) = self.table[row as usize].split_at(BLOCK);
            for c in 0..BLOCK {
                let y = x[c] * scale[c] + shift[c];
                x[c] = y.max(self.slope * y);
            }
            *out = x;
        }
    }
}

struct Activate<'a> {
    x: &'a [[f32; BLOCK]],
    out: &'a mut [[f32; BLOCK]],
}

impl WithSimd for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (x, out) in self.x.iter().zip(self.out) {
            for c in 0..BLOCK {
                out[c] = x[c].max(SLOPE * x[c]);
            }
        }
    }
}
