//! The register-blocked kernel: a few rows of A against a panel of B, all sums in registers.

use pulp::{Simd, WithSimd};

use crate::cpu::isa::{Isa, mul_add};

/// Raw view of one multiplication.
///
/// Whoever runs it promises that `values + start + piece` is readable for `length` elements for every start and piece,
/// `panel` for `width` elements for each element of a row, and that row r of `out`, at `r · stride`, is writable for
/// `width` numbers by this job alone.
pub struct PanelJob<'a, E> {
    pub(super) values: *const E,
    pub(super) starts: &'a [usize],
    pub(super) pieces: &'a [usize],
    pub(super) length: usize,
    pub(super) panel: *const E,
    /// Columns of the panel: whole strips of every instruction set.
    pub(super) width: usize,
    pub(super) out: *mut f32,
    pub(super) stride: usize,
    pub(super) add: bool,
}

impl<E> Clone for PanelJob<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for PanelJob<'_, E> {}

/// Vectors of sums, and how products of elements are added to them.
pub(super) trait Lanes: Copy {
    /// What a row and a panel are made of.
    type Element: Copy;
    /// Some elements of a panel's row, or one element of a row in every place.
    type Vector: Copy;
    /// As many sums.
    type Sums: Copy;
    /// Places in a vector.
    const COUNT: usize;
    /// Vector registers of the processor.
    const REGISTERS: usize;

    fn zeros(self) -> Self::Sums;
    fn splat(self, element: Self::Element) -> Self::Vector;
    fn multiply_add(self, a: Self::Vector, b: Self::Vector, sums: Self::Sums) -> Self::Sums;

    /// # Safety
    /// `from` is readable for `COUNT` elements.
    #[inline(always)]
    unsafe fn load(self, from: *const Self::Element) -> Self::Vector {
        // SAFETY: a vector is `COUNT` elements.
        unsafe { from.cast::<Self::Vector>().read_unaligned() }
    }

    fn add(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;
}

/// f32 numbers on any instruction set of pulp.
#[derive(Clone, Copy)]
struct Floats<S>(S);

impl<S: Simd> Lanes for Floats<S> {
    type Element = f32;
    type Vector = S::f32s;
    type Sums = S::f32s;
    const COUNT: usize = S::F32_LANES;
    const REGISTERS: usize = S::REGISTER_COUNT;

    #[inline(always)]
    fn zeros(self) -> S::f32s {
        self.0.splat_f32s(0.0)
    }

    #[inline(always)]
    fn splat(self, element: f32) -> S::f32s {
        self.0.splat_f32s(element)
    }

    #[inline(always)]
    fn multiply_add(self, a: S::f32s, b: S::f32s, sums: S::f32s) -> S::f32s {
        mul_add(self.0, a, b, sums)
    }

    #[inline(always)]
    fn add(self, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.add_f32s(a, b)
    }
}

/// Multiplies all rows of `job` by its panel, in f32.
///
/// # Safety
/// As [`PanelJob`] says.
pub(super) unsafe fn run_f32(isa: Isa, job: PanelJob<'_, f32>) {
    struct Run<'a>(PanelJob<'a, f32>);

    impl WithSimd for Run<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            // SAFETY: `run_f32`'s caller vouches for the job.
            unsafe { run(Floats(simd), self.0) }
        }
    }
    isa.run(Run(job));
}

/// Multiplies all rows of `job` by its panel.
///
/// # Safety
/// As [`PanelJob`] says.
#[inline(always)]
pub(super) unsafe fn run<L: Lanes>(lanes: L, job: PanelJob<'_, L::Element>) {
    // The widest tile of sums that leaves registers for one row of B and one broadcast.
    // SAFETY: the caller's promise, handed on.
    unsafe {
        match (L::COUNT, L::REGISTERS) {
            (16, _) if job.width == L::COUNT => columns::<L, 12, 1>(lanes, job),
            (16, _) => columns::<L, 12, 2>(lanes, job),
            (8, _) => columns::<L, 6, 2>(lanes, job),
            (4, 32) => columns::<L, 6, 4>(lanes, job),
            _ => columns::<L, 6, 2>(lanes, job),
        }
    }
}

/// Walks the panel in strips of NV vectors.
#[inline(always)]
unsafe fn columns<L: Lanes, const MR: usize, const NV: usize>(lanes: L, job: PanelJob<'_, L::Element>) {
    let width = NV * L::COUNT;
    assert!(job.width.is_multiple_of(width), "a panel is whole strips");
    for start in (0..job.width).step_by(width) {
        // SAFETY: the strip starts inside the panel's and the result's rows.
        unsafe {
            let strip = PanelJob { panel: job.panel.add(start), out: job.out.add(start), ..job };
            blocks::<L, MR, NV>(lanes, strip);
        }
    }
}

/// Walks the rows in blocks of MR, then in ever smaller ones.
#[inline(always)]
unsafe fn blocks<L: Lanes, const MR: usize, const NV: usize>(lanes: L, job: PanelJob<'_, L::Element>) {
    let mut row = 0;
    let rows = job.starts.len();
    // SAFETY: each block stays within the rows of the job, for which the caller vouches.
    unsafe {
        while row + MR <= rows {
            block::<L, MR, NV>(lanes, job, row);
            row += MR;
        }
        if MR > 8 && row + 8 <= rows {
            block::<L, 8, NV>(lanes, job, row);
            row += 8;
        }
        if MR > 4 && row + 4 <= rows {
            block::<L, 4, NV>(lanes, job, row);
            row += 4;
        }
        if MR > 2 && row + 2 <= rows {
            block::<L, 2, NV>(lanes, job, row);
            row += 2;
        }
        while row < rows {
            block::<L, 1, NV>(lanes, job, row);
            row += 1;
        }
    }
}

/// Elements in a cache line.
const LINE: usize = 16;

/// Asks for the line of an element that will be read soon. Any address will do.
#[inline(always)]
fn prefetch_line<E>(element: *const E) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of an address that cannot be read does nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(element.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = element;
}

/// Asks for numbers that will be read soon, into the second-level cache.
#[inline(always)]
pub fn prefetch(numbers: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in numbers.iter().step_by(LINE) {
        // SAFETY: the address can be read.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(line).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = numbers;
}

/// Rows `row .. row + MR` against NV vectors of columns.
#[expect(clippy::needless_range_loop, reason = "an iterator over `sums` would keep them in memory")]
#[inline(always)]
unsafe fn block<L: Lanes, const MR: usize, const NV: usize>(
    lanes: L,
    job: PanelJob<'_, L::Element>,
    row: usize,
) {
    let mut sums = [[lanes.zeros(); NV]; MR];
    // SAFETY: the caller vouches for MR rows in pieces, for a panel row per element, and for MR rows of `out`.
    unsafe {
        // Offsets instead of moving pointers: behind the last row of a strip there may be no memory to point at.
        let mut panel = 0;
        for &piece in job.pieces {
            let mut rows = [job.values; MR];
            let mut ahead = rows; // the next block's rows, which come from a farther cache
            for i in 0..MR {
                rows[i] = job.values.add(*job.starts.get_unchecked(row + i) + piece);
                let next = job.starts.get(row + MR + i).map_or(0, |start| start + piece);
                ahead[i] = job.values.add(next);
            }
            for k in 0..job.length {
                if k.is_multiple_of(LINE) {
                    for i in 0..MR {
                        prefetch_line(ahead[i].wrapping_add(k));
                    }
                }
                let mut columns = [lanes.load(job.panel.add(panel)); NV];
                for j in 1..NV {
                    columns[j] = lanes.load(job.panel.add(panel + j * L::COUNT));
                }
                for i in 0..MR {
                    let a = lanes.splat(*rows[i].add(k));
                    for j in 0..NV {
                        sums[i][j] = lanes.multiply_add(a, columns[j], sums[i][j]);
                    }
                }
                panel += job.width;
            }
        }
        for i in 0..MR {
            let out = job.out.add((row + i) * job.stride);
            for j in 0..NV {
                let cell = out.add(j * L::COUNT).cast::<L::Sums>();
                let sum = if job.add { lanes.add(cell.read_unaligned(), sums[i][j]) } else { sums[i][j] };
                cell.write_unaligned(sum);
            }
        }
    }
}
