//! A transposed matrix times a matrix: what the gradient of a weight is, a sum over cells of outer products.

use pulp::{Simd, WithSimd};

use crate::cpu::isa::{BLOCK, Isa, NARROW, mul_add};

/// Rows of a tile of the result.
pub const OUTER_ROWS: usize = 8;

/// Cells of both operands. Run j holds `length` cells: those of A from `values[starts[j]..]`, `OUTER_ROWS` elements
/// each, those of B behind the ones of the runs before it.
#[derive(Clone, Copy)]
pub struct Outer<'a> {
    /// What the runs of A lie in.
    pub values: &'a [f32],
    /// Where each run of A begins.
    pub starts: &'a [usize],
    /// Cells of a run.
    pub length: usize,
    /// B, `width` elements for each cell of all runs.
    pub columns: &'a [f32],
    /// `NARROW` or `BLOCK`.
    pub width: usize,
}

/// `tile[i][c] += Σ A[cell][i] · B[cell][c]` over all cells, in their order.
///
/// # Panics
/// When a run leaves `outer.values`, or the sizes do not agree.
pub fn add_outer(isa: Isa, outer: Outer<'_>, tile: &mut [f32]) {
    isa.run(AddOuter { outer, tile });
}

struct AddOuter<'a> {
    outer: Outer<'a>,
    tile: &'a mut [f32],
}

impl WithSimd for AddOuter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { outer: Outer { values, starts, length, columns, width }, tile } = self;
        let Some(last) = starts.iter().max() else { return };
        let end = length.checked_mul(OUTER_ROWS).and_then(|run| run.checked_add(*last));
        let cells = starts.len().checked_mul(length).and_then(|cells| cells.checked_mul(width));
        assert!(width == NARROW || width == BLOCK, "B has {NARROW} or {BLOCK} columns");
        assert!(end.is_some_and(|end| end <= values.len()), "a run leaves its matrix");
        assert_eq!(cells, Some(columns.len()), "A and B differ in cells");
        assert_eq!(tile.len(), OUTER_ROWS * width, "the result is one tile");
        let job = OuterJob { values: values.as_ptr(), starts, length, columns: columns.as_ptr(), width };
        let tile = tile.as_mut_ptr();
        let pair = width > S::F32_LANES && (S::F32_LANES == 16 || S::REGISTER_COUNT == 32);
        // SAFETY: the assertions above are what the strips ask for, and every strip begins inside a row.
        unsafe {
            if pair {
                for start in (0..width).step_by(2 * S::F32_LANES) {
                    strip::<S, 2>(simd, job, start, tile);
                }
            } else {
                for start in (0..width).step_by(S::F32_LANES) {
                    strip::<S, 1>(simd, job, start, tile);
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct OuterJob<'a> {
    values: *const f32,
    starts: &'a [usize],
    length: usize,
    columns: *const f32,
    width: usize,
}

/// NV vectors of columns of the tile, from column `start`.
///
/// # Safety
/// `values + start` is readable for `length` cells for every run, `columns` for the cells of all runs, `tile` is
/// writable for its rows of `width`, and the strip's columns are within `width`.
#[expect(clippy::needless_range_loop, reason = "an iterator over `sums` would keep them in memory")]
#[inline(always)]
unsafe fn strip<S: Simd, const NV: usize>(simd: S, job: OuterJob<'_>, start: usize, tile: *mut f32) {
    let lanes = S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); NV]; OUTER_ROWS];
    // SAFETY: the caller's promises.
    unsafe {
        // Offsets instead of moving pointers: behind the last cell there may be no memory to point at.
        let mut column = start;
        for &run in job.starts {
            let rows = job.values.add(run);
            for cell in 0..job.length {
                let mut b = [simd.splat_f32s(0.0); NV];
                for j in 0..NV {
                    b[j] = job.columns.add(column + j * lanes).cast::<S::f32s>().read_unaligned();
                }
                for i in 0..OUTER_ROWS {
                    let a = simd.splat_f32s(*rows.add(cell * OUTER_ROWS + i));
                    for j in 0..NV {
                        sums[i][j] = mul_add(simd, a, b[j], sums[i][j]);
                    }
                }
                column += job.width;
            }
        }
        for i in 0..OUTER_ROWS {
            for j in 0..NV {
                let cell = tile.add(i * job.width + start + j * lanes).cast::<S::f32s>();
                cell.write_unaligned(simd.add_f32s(cell.read_unaligned(), sums[i][j]));
            }
        }
    }
}

/// What [`add_outer`] computes, written plainly.
#[cfg(test)]
fn add_outer_naive(outer: Outer<'_>, tile: &mut [f32]) {
    for (index, cell) in tile.iter_mut().enumerate() {
        let (i, c) = (index / outer.width, index % outer.width);
        let products = outer.starts.iter().enumerate().flat_map(|(run, start)| {
            (0..outer.length).map(move |t| {
                let a = outer.values[start + t * OUTER_ROWS + i];
                f64::from(a) * f64::from(outer.columns[(run * outer.length + t) * outer.width + c])
            })
        });
        *cell += products.sum::<f64>() as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestNumbers;
    use proptest::prelude::*;

    fn values(seed: u64, len: usize) -> Vec<f32> {
        TestNumbers(seed).take(len)
    }

    #[test]
    fn bounds_that_would_wrap_around_are_refused() {
        let values = [0f32; 64];
        let refused = |start: usize, length: usize, columns: &[f32]| {
            let starts = [start];
            let outer = Outer { values: &values, starts: &starts, length, columns, width: NARROW };
            std::panic::catch_unwind(|| add_outer(Isa::Portable, outer, &mut [0.0; OUTER_ROWS * NARROW]))
                .is_err()
        };
        assert!(!refused(0, 1, &[0.0; NARROW]));
        assert!(refused(usize::MAX - 7, 1, &[0.0; NARROW]), "start and length");
        assert!(refused(0, 1 << 60, &[]), "cells of both operands");
    }

    proptest! {
        #[test]
        fn every_instruction_set_adds_outer_products_like_the_naive_loop(
            (runs, length, step) in (1usize..5, 1usize..40, 1usize..50),
            narrow in any::<bool>(),
            seed in any::<u64>(),
        ) {
            let width = if narrow { NARROW } else { BLOCK };
            let starts: Vec<usize> = (0..runs).map(|run| run * step).collect();
            let a = values(seed, runs * step + length * OUTER_ROWS);
            let b = values(seed ^ 1, runs * length * width);
            let outer = Outer { values: &a, starts: &starts, length, columns: &b, width };
            for isa in Isa::available() {
                let mut tile = values(seed ^ 2, OUTER_ROWS * width);
                let mut expected = tile.clone();
                add_outer(isa, outer, &mut tile);
                add_outer_naive(outer, &mut expected);
                for (got, want) in tile.iter().zip(&expected) {
                    prop_assert!((got - want).abs() <= 2e-5, "{isa:?}: {got} is not {want}");
                }
            }
        }
    }
}
