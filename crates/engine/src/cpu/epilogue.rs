//! What is added to a conv's products on their way to its output.

use pulp::{Simd, WithSimd};
use spadework_kernels::cpu::{BLOCK, Isa};
use spadework_model::Grid;

use super::features::Features;

/// What is added to the products.
#[derive(Clone, Copy)]
pub(super) struct Epilogue<'a> {
    pub(super) isa: Isa,
    /// `[block][32]`
    pub(super) bias: &'a [f32],
    pub(super) onto: Onto<'a>,
    pub(super) grid: Grid,
}

impl Epilogue<'_> {
    /// Whether the products themselves are added to what the output holds.
    pub(super) fn keeps_output(&self) -> bool {
        self.onto.output
    }

    /// The bias of a block.
    pub(super) fn bias(&self, block: usize) -> &[f32; BLOCK] {
        &self.bias.as_chunks().0[block]
    }

    /// Adds everything to the cells of `block` from `first` on.
    pub(super) fn add(&self, block: usize, first: usize, cells: &mut [[f32; BLOCK]]) {
        self.add_with(self.bias(block), block, first, cells);
    }

    /// Adds everything but the bias.
    pub(super) fn add_onto(&self, block: usize, first: usize, cells: &mut [[f32; BLOCK]]) {
        if self.onto.features.is_some() || self.onto.noise.is_some() {
            self.add_with(&[0.0; BLOCK], block, first, cells);
        }
    }

    fn add_with(&self, bias: &[f32; BLOCK], block: usize, first: usize, cells: &mut [[f32; BLOCK]]) {
        let Self { isa, onto, grid, .. } = *self;
        let noise = onto.noise.map(|Noise { plane, weights }| {
            (&plane[first..first + cells.len()], &weights.as_chunks().0[block])
        });
        let mut done = 0;
        while done < cells.len() {
            let (y, x) = ((first + done) / grid.width, (first + done) % grid.width);
            let count = (grid.width - x).min(cells.len() - done);
            isa.run(AddRow {
                cells: &mut cells[done..done + count],
                bias,
                residual: onto.features.map(|from| {
                    let shift = u32::from(from.grid != grid);
                    (from.row(block, y >> shift), x, shift)
                }),
                noise: noise.map(|(plane, weights)| (&plane[done..done + count], weights)),
            });
            done += count;
        }
    }
}

/// Cells of one row.
struct AddRow<'a> {
    cells: &'a mut [[f32; BLOCK]],
    bias: &'a [f32; BLOCK],
    /// A row, the column where `cells` begin, and by how much columns are shifted to find theirs.
    residual: Option<(&'a [[f32; BLOCK]], usize, u32)>,
    noise: Option<(&'a [f32], &'a [f32; BLOCK])>,
}

impl WithSimd for AddRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { cells, bias, residual, noise } = self;
        for (i, cell) in cells.iter_mut().enumerate() {
            for c in 0..BLOCK {
                cell[c] += bias[c];
            }
            if let Some((row, first, shift)) = residual {
                let row = &row[(first + i) >> shift];
                for c in 0..BLOCK {
                    cell[c] += row[c];
                }
            }
            if let Some((plane, weights)) = noise {
                for c in 0..BLOCK {
                    cell[c] += plane[i] * weights[c];
                }
            }
        }
    }
}

/// What a conv's result is added to, besides its bias.
#[derive(Clone, Copy, Default)]
pub(super) struct Onto<'a> {
    /// Whether it is added to what the output holds.
    pub(super) output: bool,
    /// A feature map at the same resolution, or at half of it and read up-sampled.
    pub(super) features: Option<Features<'a>>,
    pub(super) noise: Option<Noise<'a>>,
}

/// A plane that is added to every channel with that channel's weight.
#[derive(Clone, Copy)]
pub(super) struct Noise<'a> {
    pub(super) plane: &'a [f32],
    pub(super) weights: &'a [f32], // [block][32]
}
