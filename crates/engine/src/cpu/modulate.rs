//! `lrelu(x · scale + shift)`, read up-sampled where the block doubles and written inside a border of zeros.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{
    features::{Features, bordered},
    spade::ROW,
    statistics::Affine,
};
use crate::{
    isa::{BLOCK, Isa},
    plan::level::Level,
};

/// Slope of the leaky ReLU for negative values.
const SLOPE: f32 = 0.2;

/// One modulation.
pub(super) struct Modulation<'a> {
    /// The layer's input, at the level's resolution or half of it.
    pub(super) x: Features<'a>,
    pub(super) level: &'a Level,
    /// `[block][neighbourhood][scale | shift]`.
    pub(super) table: &'a [f32],
    /// What normalises the input, where its own statistics do.
    pub(super) affine: Option<&'a Affine>,
    /// Whether the leaky ReLU follows.
    pub(super) activate: bool,
}

impl Modulation<'_> {
    /// Writes `[block][1 + row + 1][1 + column + 1][32]`.
    pub(super) fn run(&self, isa: Isa, out: &mut [f32]) {
        let (grid, rows) = (self.level.grid, self.level.len());
        let border = bordered(grid);
        out.par_chunks_exact_mut(border.width * BLOCK).enumerate().for_each(|(index, out)| {
            let (block, y) = (index / border.height, index % border.height);
            let Some(cells) = inside(out, y, border.height) else { return };
            let y = y - 1;
            isa.run(Row {
                x: self.x.row(block, y * self.x.grid.height / grid.height),
                twice: self.x.grid != grid,
                ids: &self.level.ids[y * grid.width..(y + 1) * grid.width],
                table: &self.table.as_chunks().0[block * rows..(block + 1) * rows],
                affine: self.affine.map(|affine| &affine[block]),
                slope: if self.activate { SLOPE } else { 1.0 },
                out: cells,
            });
        });
    }
}

/// The leaky ReLU alone, of a map that is not up-sampled, into the same layout.
pub(super) fn activate(isa: Isa, x: Features<'_>, out: &mut [f32]) {
    let border = bordered(x.grid);
    out.par_chunks_exact_mut(border.width * BLOCK).enumerate().for_each(|(index, out)| {
        let (block, y) = (index / border.height, index % border.height);
        let Some(cells) = inside(out, y, border.height) else { return };
        isa.run(Activate { x: x.row(block, y - 1), out: cells });
    });
}

/// The inner cells of bordered row `y`, its border cleared; none for a row of the border, which is cleared whole.
fn inside(row: &mut [f32], y: usize, height: usize) -> Option<&mut [[f32; BLOCK]]> {
    if y == 0 || y + 1 == height {
        row.fill(0.0);
        return None;
    }
    let cells = row.as_chunks_mut().0;
    let last = cells.len() - 1;
    cells[0].fill(0.0);
    cells[last].fill(0.0);
    Some(&mut cells[1..last])
}

struct Row<'a> {
    x: &'a [[f32; BLOCK]],
    twice: bool,
    ids: &'a [u32],
    table: &'a [[f32; ROW]],
    affine: Option<&'a ([f32; BLOCK], [f32; BLOCK])>,
    slope: f32, // 1 leaves a value as it is
    out: &'a mut [[f32; BLOCK]],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, twice, ids, table, affine, slope, out } = self;
        let shift = u32::from(twice);
        for (column, (out, &id)) in out.iter_mut().zip(ids).enumerate() {
            let mut x = x[column >> shift];
            if let Some((scale, shift)) = affine {
                for c in 0..BLOCK {
                    x[c] = x[c] * scale[c] + shift[c];
                }
            }
            let (scale, shift) = table[id as usize].split_at(BLOCK);
            for c in 0..BLOCK {
                let y = x[c] * scale[c] + shift[c];
                out[c] = y.max(slope * y);
            }
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
        for (out, x) in self.out.iter_mut().zip(self.x) {
            for c in 0..BLOCK {
                out[c] = x[c].max(SLOPE * x[c]);
            }
        }
    }
}
