//! Rows times a packed matrix: the inner loop of every conv and table here.
//!
//! `out[r] = rows[r] · B`, where a row is pieces that may lie anywhere in memory, so that a conv's shifted reads and a
//! table's gathered patches need no copy. The reduction runs over k in order, whatever the number of rows or threads:
//! a result never depends on what else is computed beside it.

mod micro;
mod outer;
mod panels;

use pulp::{Simd, WithSimd};

pub use outer::Outer;
pub(crate) use outer::{OUTER_ROWS, add_outer};
pub(crate) use panels::{PackedMatrix, Panel};

use crate::isa::{BLOCK, Isa, NARROW};

/// Rows of A. Row r is the concatenation of `values[starts[r] + piece..][..length]` over the pieces.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// What the pieces lie in.
    pub values: &'a [f32],
    /// Where each row begins.
    pub starts: &'a [usize],
    /// Where each piece begins, from the row's start.
    pub pieces: &'a [usize],
    /// Elements of a piece.
    pub length: usize,
}

impl Rows<'_> {
    fn depth(&self) -> usize {
        self.pieces.len() * self.length
    }
}

/// What happens to the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// They replace what is there.
    Replace,
    /// They are added to what is there.
    Add,
}

/// `out[r][..BLOCK] = rows[r] · panel` (or `+=`), with `stride` elements from one row of `out` to the next.
pub(crate) fn multiply(
    isa: Isa,
    rows: Rows<'_>,
    panel: Panel<'_>,
    store: Store,
    out: &mut [f32],
    stride: usize,
) {
    multiply_panel(isa, rows, panel, BLOCK, store, out, stride);
}

/// The same for a panel of `width` columns, [`NARROW`] or [`BLOCK`].
pub(crate) fn multiply_panel(
    isa: Isa,
    rows: Rows<'_>,
    panel: Panel<'_>,
    width: usize,
    store: Store,
    out: &mut [f32],
    stride: usize,
) {
    assert!(width == NARROW || width == BLOCK, "a panel has {NARROW} or {BLOCK} columns");
    isa.run(Multiply { rows, panel, width, store, out, stride });
}

struct Multiply<'a> {
    rows: Rows<'a>,
    panel: Panel<'a>,
    width: usize,
    store: Store,
    out: &'a mut [f32],
    stride: usize,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, panel, width, store, out, stride } = self;
        let (Some(last), Some(farthest)) = (rows.starts.iter().max(), rows.pieces.iter().max()) else {
            return;
        };
        assert!(last + farthest + rows.length <= rows.values.len(), "a row leaves its matrix");
        assert!((rows.starts.len() - 1) * stride + width <= out.len(), "the result does not fit");
        assert_eq!(rows.depth() * width, panel.values.len(), "rows and panel differ in depth");
        let job = micro::Job {
            values: rows.values.as_ptr(),
            starts: rows.starts,
            pieces: rows.pieces,
            length: rows.length,
            panel: panel.values.as_ptr(),
            width,
            out: out.as_mut_ptr(),
            stride,
            add: store == Store::Add,
        };
        // SAFETY: the three assertions above are the kernel's three conditions.
        unsafe { micro::run(simd, job) }
    }
}

/// What [`multiply`] computes, written plainly.
#[cfg(test)]
pub(crate) fn multiply_naive(rows: Rows<'_>, panel: Panel<'_>, store: Store, out: &mut [f32], stride: usize) {
    for (r, &start) in rows.starts.iter().enumerate() {
        for c in 0..BLOCK {
            let sum: f64 = (0..rows.depth())
                .map(|k| {
                    let a = rows.values[start + rows.pieces[k / rows.length] + k % rows.length];
                    f64::from(a) * f64::from(panel.values[k * BLOCK + c])
                })
                .sum();
            let cell = &mut out[r * stride + c];
            *cell = if store == Store::Add { *cell + sum as f32 } else { sum as f32 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(seed: u64, len: usize) -> Vec<f32> {
        let mut state = seed;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect()
    }

    proptest! {
        #[test]
        fn every_instruction_set_multiplies_like_the_naive_loop(
            (m, length, pieces, n) in (1usize..30, 1usize..40, 1usize..4, 1usize..80),
            (seed, step) in (any::<u64>(), 1usize..60),
            add in any::<bool>(),
        ) {
            let k = length * pieces;
            let pieces: Vec<usize> = (0..pieces).map(|piece| piece * step).collect();
            let a = values(seed, 7 * m + 60 * 4 + length);
            let b = values(seed ^ 1, k * n);
            let starts: Vec<usize> = (0..m).map(|r| 7 * r + seed as usize % 5).collect();
            let rows = Rows { values: &a, starts: &starts, pieces: &pieces, length };
            let store = if add { Store::Add } else { Store::Replace };
            let matrix = PackedMatrix::new(k, n, |k, column| b[k * n + column]);
            for isa in Isa::available() {
                for panel in (0..n.div_ceil(BLOCK)).map(|index| matrix.panel(index)) {
                    let stride = BLOCK + 3;
                    let mut out = values(seed ^ 2, m * stride);
                    let mut expected = out.clone();
                    multiply(isa, rows, panel, store, &mut out, stride);
                    multiply_naive(rows, panel, store, &mut expected, stride);
                    for (got, want) in out.iter().zip(&expected) {
                        prop_assert!((got - want).abs() <= 2e-5, "{}: {got} is not {want}", isa.name());
                    }
                }
            }
        }

        #[test]
        fn a_narrow_panel_gives_the_columns_of_a_wide_one(m in 1usize..30, k in 1usize..60, seed in any::<u64>()) {
            let a = values(seed, m * k);
            let wide = values(seed ^ 1, k * BLOCK);
            let narrow: Vec<f32> = wide.chunks_exact(BLOCK).flat_map(|row| row[..NARROW].to_vec()).collect();
            let starts: Vec<usize> = (0..m).map(|r| r * k).collect();
            let rows = Rows { values: &a, starts: &starts, pieces: &[0], length: k };
            for isa in Isa::available() {
                let (mut all, mut some) = (vec![0.0; m * BLOCK], vec![0.0; m * NARROW]);
                multiply(isa, rows, Panel { values: &wide }, Store::Replace, &mut all, BLOCK);
                multiply_panel(isa, rows, Panel { values: &narrow }, NARROW, Store::Replace, &mut some, NARROW);
                for (all, some) in all.chunks_exact(BLOCK).zip(some.chunks_exact(NARROW)) {
                    prop_assert_eq!(&all[..NARROW], some);
                }
            }
        }

        #[test]
        fn a_row_does_not_depend_on_the_rows_beside_it(m in 1usize..30, seed in any::<u64>()) {
            let k = 37;
            let a = values(seed, m * k);
            let b = values(seed ^ 1, k * BLOCK);
            let starts: Vec<usize> = (0..m).map(|r| r * k).collect();
            let matrix = PackedMatrix::new(k, BLOCK, |k, column| b[k * BLOCK + column]);
            let rows = Rows { values: &a, starts: &starts, pieces: &[0], length: k };
            for isa in Isa::available() {
                let mut together = vec![0.0; m * BLOCK];
                multiply(isa, rows, matrix.panel(0), Store::Replace, &mut together, BLOCK);
                for (row, start) in starts.iter().enumerate() {
                    let mut alone = [0.0; BLOCK];
                    let rows = Rows { starts: &[*start], ..rows };
                    multiply(isa, rows, matrix.panel(0), Store::Replace, &mut alone, BLOCK);
                    prop_assert_eq!(&alone[..], &together[row * BLOCK..][..BLOCK]);
                }
            }
        }
    }
}
