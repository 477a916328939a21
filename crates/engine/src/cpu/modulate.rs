//! `lrelu(x · scale + shift)`, read up-sampled where the block doubles and written inside a border of zeros.

use pulp::{Simd, WithSimd};
use spadework_model::Grid;

use super::{
    activations::{Activations, Format, RowMut},
    features::{Features, cells},
    spade::ROW,
    statistics::Affine,
};
use crate::isa::{BLOCK, Isa};

/// Slope of the leaky ReLU for negative values.
const SLOPE: f32 = 0.2;

/// One modulation.
pub(super) struct Modulation<'a> {
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

impl Modulation<'_> {
    /// Writes `[block][1 + row + 1][1 + column + 1][32]` as `format` says.
    pub(super) fn run(&self, isa: Isa, format: Format, out: &mut Activations) {
        let blocks = self.x.values.len() / (cells(self.x.grid) * BLOCK);
        out.for_each_row(format, blocks, self.grid, |block, y, out| {
            let (grid, x) = (self.grid, self.x);
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
        });
    }
}

/// The leaky ReLU alone, of a map that is not up-sampled.
pub(super) fn activate(isa: Isa, x: Features<'_>, format: Format, out: &mut Activations) {
    let blocks = x.values.len() / (cells(x.grid) * BLOCK);
    out.for_each_row(format, blocks, x.grid, |block, y, out| isa.run(Activate { x: x.row(block, y), out }));
}

struct Row<'a> {
    x: &'a [[f32; BLOCK]],
    twice: bool,
    rows: &'a [u32],
    table: &'a [[f32; ROW]],
    affine: Option<&'a ([f32; BLOCK], [f32; BLOCK])>,
    slope: f32, // 1 leaves a value as it is
    out: RowMut<'a>,
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let shift = u32::from(self.twice);
        for (column, &row) in self.rows.iter().enumerate() {
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
            self.out.put(column, &x);
        }
    }
}

struct Activate<'a> {
    x: &'a [[f32; BLOCK]],
    out: RowMut<'a>,
}

impl WithSimd for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        for (column, x) in self.x.iter().enumerate() {
            self.out.put(column, &x.map(|x| x.max(SLOPE * x)));
        }
    }
}
