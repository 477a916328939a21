//! Rows times a packed matrix: the inner loop of every conv and table here.
//!
//! `out[r] = rows[r] · B`, where a row is pieces that may lie anywhere in memory, so that a conv's shifted reads and a
//! table's gathered patches need no copy. The reduction runs over k in order, whatever the number of rows or threads:
//! a result never depends on what else is computed beside it.

#[cfg(target_arch = "x86_64")]
mod amx;
mod bf16;
mod element;
mod micro;
mod outer;
mod panels;

pub use bf16::Bf16;
pub use element::{Bf16Pair, Element, bf16_remainder, elements};
pub use micro::prefetch;
pub use outer::{OUTER_ROWS, Outer, add_outer};
pub use panels::{PackedMatrix, Panel};

use super::isa::{BLOCK, NARROW};

/// What every element can do and only this module may call.
mod sealed {
    use super::micro::PanelJob;

    /// An element whose rows a kernel multiplies by a panel.
    pub trait Multiply: Sized {
        /// The instructions that multiply such elements.
        type Kernel: Copy + Send + Sync + std::fmt::Debug;

        /// [`multiply`](super::multiply), whose bounds have been checked.
        ///
        /// # Safety
        /// As for [`PanelJob`].
        unsafe fn multiply(kernel: Self::Kernel, job: PanelJob<'_, Self>);
    }
}

/// Rows of A. Row r is the concatenation of `values[starts[r] + piece..][..length]` over the pieces.
#[derive(Clone, Copy)]
pub struct Rows<'a, E> {
    /// What the pieces lie in.
    pub values: &'a [E],
    /// Where each row begins.
    pub starts: &'a [usize],
    /// Where each piece begins, from the row's start.
    pub pieces: &'a [usize],
    /// Elements of a piece.
    pub length: usize,
}

impl<E> Rows<'_, E> {
    fn depth(&self) -> usize {
        self.pieces.len() * self.length
    }

    /// Whether every piece of every row lies within `values`.
    fn are_within(&self) -> bool {
        let farthest = |starts: &[usize]| starts.iter().copied().max().unwrap_or(0);
        let end = farthest(self.starts)
            .checked_add(farthest(self.pieces))
            .and_then(|start| start.checked_add(self.length));
        end.is_some_and(|end| end <= self.values.len())
    }
}

/// Whether `rows` rows of `width` numbers, `stride` apart, lie within `len`.
fn rows_fit(rows: usize, stride: usize, width: usize, len: usize) -> bool {
    let end = rows.saturating_sub(1).checked_mul(stride).and_then(|start| start.checked_add(width));
    stride >= width && end.is_some_and(|end| end <= len)
}

/// What happens to the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// They replace what is there.
    Replace,
    /// They are added to what is there.
    Add,
}

/// `out[r][..BLOCK] = rows[r] · panel` (or `+=`), with `stride` numbers from one row of `out` to the next.
///
/// # Panics
/// When a row leaves `rows.values`, the result does not fit into `out`, or the sizes do not agree.
pub fn multiply<E: Element>(
    kernel: E::Kernel,
    rows: Rows<'_, E>,
    panel: Panel<'_, E>,
    store: StoreMode,
    out: &mut [f32],
    stride: usize,
) {
    multiply_panel(kernel, rows, panel, BLOCK, store, out, stride);
}

/// The same for a panel of `width` columns, [`NARROW`] or [`BLOCK`].
///
/// # Panics
/// As [`multiply`], or when `width` is another.
pub fn multiply_panel<E: Element>(
    kernel: E::Kernel,
    rows: Rows<'_, E>,
    panel: Panel<'_, E>,
    width: usize,
    store: StoreMode,
    out: &mut [f32],
    stride: usize,
) {
    if rows.starts.is_empty() || rows.pieces.is_empty() {
        return;
    }
    assert!(width == NARROW || width == BLOCK, "a panel has {NARROW} or {BLOCK} columns");
    assert!(rows.are_within(), "a row leaves its matrix");
    assert!(rows_fit(rows.starts.len(), stride, width, out.len()), "the result does not fit");
    let elements = rows.pieces.len().checked_mul(rows.length).and_then(|depth| depth.checked_mul(width));
    assert_eq!(elements, Some(panel.values.len()), "rows and panel differ in depth");
    let job = micro::PanelJob {
        values: rows.values.as_ptr(),
        starts: rows.starts,
        pieces: rows.pieces,
        length: rows.length,
        panel: panel.values.as_ptr(),
        width,
        out: out.as_mut_ptr(),
        stride,
        add: store == StoreMode::Add,
    };
    // SAFETY: the assertions above are the job's conditions.
    unsafe { E::multiply(kernel, job) }
}

/// What [`multiply`] computes, written plainly.
pub(super) fn multiply_naive<E: Element>(
    rows: Rows<'_, E>,
    panel: Panel<'_, E>,
    store: StoreMode,
    out: &mut [f32],
    stride: usize,
) {
    for (r, &start) in rows.starts.iter().enumerate() {
        for c in 0..BLOCK {
            let sum: f64 = (0..rows.depth())
                .map(|k| {
                    let a = rows.values[start + rows.pieces[k / rows.length] + k % rows.length];
                    a.product(panel.values[k * BLOCK + c])
                })
                .sum();
            let cell = &mut out[r * stride + c];
            *cell = if store == StoreMode::Add { *cell + sum as f32 } else { sum as f32 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::isa::Isa;
    use crate::testing::TestNumbers;
    use proptest::prelude::*;

    fn values(seed: u64, len: usize) -> Vec<f32> {
        TestNumbers(seed).take(len)
    }

    fn matrix<E: Element>(seed: u64, len: usize) -> Vec<E> {
        let numbers = values(seed, len * E::NUMBERS);
        (0..len).map(|i| E::from_numbers(|j| numbers[i * E::NUMBERS + j])).collect()
    }

    /// Lengths, in elements, of a piece: what every kernel takes is a whole line.
    #[derive(Clone, Copy, Debug)]
    struct Shape {
        rows: usize,
        length: usize,
        pieces: usize,
        columns: usize,
        step: usize,
        spacing: usize,
    }

    fn shape(lines: bool) -> impl Strategy<Value = Shape> {
        let length =
            if lines { (1usize..4).prop_map(|line| 16 * line).boxed() } else { (1usize..40).boxed() };
        let spacing = prop::sample::select(vec![7usize, 16, 64]);
        (1usize..70, length, 1usize..4, 1usize..80, 1usize..60, spacing).prop_map(
            |(rows, length, pieces, columns, step, spacing)| Shape {
                rows,
                length,
                pieces,
                columns,
                step,
                spacing,
            },
        )
    }

    fn multiplies_like_the_naive_loop<E: Element>(
        kernel: E::Kernel,
        shape: Shape,
        seed: u64,
        store: StoreMode,
    ) -> Result<(), TestCaseError> {
        let Shape { rows: m, length, columns: n, .. } = shape;
        let k = length * shape.pieces;
        let pieces: Vec<usize> = (0..shape.pieces).map(|piece| piece * shape.step).collect();
        let a = matrix::<E>(seed, shape.spacing * m + 60 * 4 + length + 40);
        let b = values(seed ^ 1, k * E::NUMBERS * n);
        // Evenly spaced but for a jump somewhere, as the rows of an image are.
        let jump = seed as usize % 40;
        let start = |r: usize| shape.spacing * r + if r >= jump { seed as usize % 9 } else { 0 };
        let starts: Vec<usize> = (0..m).map(start).collect();
        let rows = Rows { values: &a[..], starts: &starts, pieces: &pieces, length };
        let matrix = PackedMatrix::<E>::new(k * E::NUMBERS, n, |k, column| b[k * n + column]);
        for panel in (0..n.div_ceil(BLOCK)).map(|index| matrix.panel(index)) {
            let stride = BLOCK + 3;
            let mut out = values(seed ^ 2, m * stride);
            let mut expected = out.clone();
            multiply(kernel, rows, panel, store, &mut out, stride);
            multiply_naive(rows, panel, store, &mut expected, stride);
            for (got, want) in out.iter().zip(&expected) {
                prop_assert!((got - want).abs() <= 4e-5, "{kernel:?}: {got} is not {want}");
            }
        }
        Ok(())
    }

    fn a_row_stands_alone<E: Element>(kernel: E::Kernel, m: usize, seed: u64) -> Result<(), TestCaseError> {
        let k = 48;
        let a = matrix::<E>(seed, m * k);
        let b = values(seed ^ 1, k * E::NUMBERS * BLOCK);
        let starts: Vec<usize> = (0..m).map(|r| r * k).collect();
        let matrix = PackedMatrix::<E>::new(k * E::NUMBERS, BLOCK, |k, column| b[k * BLOCK + column]);
        let rows = Rows { values: &a[..], starts: &starts, pieces: &[0], length: k };
        let mut together = vec![0.0; m * BLOCK];
        multiply(kernel, rows, matrix.panel(0), StoreMode::Replace, &mut together, BLOCK);
        for (row, start) in starts.iter().enumerate() {
            let mut alone = [0.0; BLOCK];
            let rows = Rows { starts: &[*start], ..rows };
            multiply(kernel, rows, matrix.panel(0), StoreMode::Replace, &mut alone, BLOCK);
            prop_assert_eq!(&alone[..], &together[row * BLOCK..][..BLOCK]);
        }
        Ok(())
    }

    #[test]
    fn bounds_that_would_wrap_around_are_refused() {
        let (values, panel) = ([0f32; 64], [0f32; 8 * BLOCK]);
        let refused = |starts: &[usize], pieces: &[usize], length: usize, stride: usize| {
            let rows = Rows { values: &values[..], starts, pieces, length };
            let multiply = || {
                let mut out = [0.0; 2 * BLOCK];
                multiply(Isa::Portable, rows, Panel { values: &panel }, StoreMode::Replace, &mut out, stride);
            };
            std::panic::catch_unwind(multiply).is_err()
        };
        assert!(!refused(&[0], &[0], 8, BLOCK));
        assert!(refused(&[usize::MAX - 7], &[0], 8, BLOCK), "start and length");
        assert!(refused(&[1], &[usize::MAX], 8, BLOCK), "start and piece");
        assert!(refused(&[0], &[0], usize::MAX, BLOCK), "length");
        assert!(refused(&[0, 0], &[0], 8, usize::MAX), "the result's rows");
        assert!(refused(&[0], &[0; 9], usize::MAX / 8, BLOCK), "the panel's elements");
    }

    proptest! {
        #[test]
        fn every_instruction_set_multiplies_like_the_naive_loop(
            (shape, lines) in (shape(false), shape(true)),
            seed in any::<u64>(),
            store in prop::sample::select(vec![StoreMode::Replace, StoreMode::Add]),
        ) {
            for isa in Isa::available() {
                multiplies_like_the_naive_loop::<f32>(isa, shape, seed, store)?;
            }
            for kernel in Bf16::available() {
                multiplies_like_the_naive_loop::<Bf16Pair>(kernel, lines, seed, store)?;
            }
        }

        #[test]
        fn a_narrow_panel_gives_the_columns_of_a_wide_one(m in 1usize..30, k in 1usize..60, seed in any::<u64>()) {
            let a = values(seed, m * k);
            let wide = values(seed ^ 1, k * BLOCK);
            let narrow: Vec<f32> = wide.chunks_exact(BLOCK).flat_map(|row| row[..NARROW].to_vec()).collect();
            let starts: Vec<usize> = (0..m).map(|r| r * k).collect();
            let rows = Rows { values: &a[..], starts: &starts, pieces: &[0], length: k };
            for isa in Isa::available() {
                let (mut all, mut some) = (vec![0.0; m * BLOCK], vec![0.0; m * NARROW]);
                multiply(isa, rows, Panel { values: &wide }, StoreMode::Replace, &mut all, BLOCK);
                multiply_panel(isa, rows, Panel { values: &narrow }, NARROW, StoreMode::Replace, &mut some, NARROW);
                for (all, some) in all.chunks_exact(BLOCK).zip(some.chunks_exact(NARROW)) {
                    prop_assert_eq!(&all[..NARROW], some);
                }
            }
        }

        #[test]
        fn a_row_does_not_depend_on_the_rows_beside_it(m in 1usize..70, seed in any::<u64>()) {
            for isa in Isa::available() {
                a_row_stands_alone::<f32>(isa, m, seed)?;
            }
            for kernel in Bf16::available() {
                a_row_stands_alone::<Bf16Pair>(kernel, m, seed)?;
            }
        }

        #[test]
        fn a_number_and_its_remainder_are_nearly_the_number(number in -1e6f32..1e6) {
            let [high, low] = Bf16Pair::new(number, bf16_remainder(number)).numbers();
            prop_assert!((high - number).abs() <= number.abs() / 256.0);
            prop_assert!((high + low - number).abs() <= number.abs() / 65536.0);
        }
    }
}
