//! The register-blocked kernel: a few rows of A against a panel of B, all sums in registers.

use pulp::Simd;

use crate::isa::BLOCK;

/// Raw view of one multiplication; see [`run`] for what must hold.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) values: *const f32,
    pub(super) starts: &'a [usize],
    pub(super) pieces: &'a [usize],
    pub(super) length: usize,
    pub(super) panel: *const f32,
    /// Columns of the panel: whole strips of every instruction set.
    pub(super) width: usize,
    pub(super) out: *mut f32,
    pub(super) stride: usize,
    pub(super) add: bool,
}

/// Multiplies all rows of `job` by its panel.
///
/// # Safety
/// `values + start + piece` is readable for `length` elements for every start and piece, `panel` for `width` elements
/// for each element of a row, and row r of `out`, at `r · stride`, is writable for `width` elements by this call alone.
#[inline(always)]
pub(super) unsafe fn run<S: Simd>(simd: S, job: Job<'_>) {
    // The widest tile of sums that leaves registers for one row of B and one broadcast.
    // SAFETY: the caller's promise, handed on.
    unsafe {
        match (S::F32_LANES, S::REGISTER_COUNT) {
            (16, _) if job.width == S::F32_LANES => columns::<S, 12, 1>(simd, job),
            (16, _) => columns::<S, 12, 2>(simd, job),
            (8, 32) if job.width == BLOCK => columns::<S, 6, 4>(simd, job),
            (8, _) => columns::<S, 6, 2>(simd, job),
            (4, 32) => columns::<S, 6, 4>(simd, job),
            _ => columns::<S, 2, 2>(simd, job),
        }
    }
}

/// Walks the panel in strips of NV vectors.
#[inline(always)]
unsafe fn columns<S: Simd, const MR: usize, const NV: usize>(simd: S, job: Job<'_>) {
    let width = NV * S::F32_LANES;
    assert!(job.width.is_multiple_of(width), "a panel is whole strips");
    for start in (0..job.width).step_by(width) {
        // SAFETY: the strip starts inside the panel's and the result's rows.
        unsafe {
            let strip = Job { panel: job.panel.add(start), out: job.out.add(start), ..job };
            blocks::<S, MR, NV>(simd, strip);
        }
    }
}

/// Walks the rows in blocks of MR, then in ever smaller ones.
#[inline(always)]
unsafe fn blocks<S: Simd, const MR: usize, const NV: usize>(simd: S, job: Job<'_>) {
    let mut row = 0;
    let rows = job.starts.len();
    // SAFETY: each block stays within the rows of the job, for which the caller vouches.
    unsafe {
        while row + MR <= rows {
            block::<S, MR, NV>(simd, job, row);
            row += MR;
        }
        if MR > 8 && row + 8 <= rows {
            block::<S, 8, NV>(simd, job, row);
            row += 8;
        }
        if MR > 4 && row + 4 <= rows {
            block::<S, 4, NV>(simd, job, row);
            row += 4;
        }
        if MR > 2 && row + 2 <= rows {
            block::<S, 2, NV>(simd, job, row);
            row += 2;
        }
        while row < rows {
            block::<S, 1, NV>(simd, job, row);
            row += 1;
        }
    }
}

/// Rows `row .. row + MR` against NV vectors of columns.
#[expect(clippy::needless_range_loop, reason = "an iterator over `sums` would keep them in memory")]
#[inline(always)]
unsafe fn block<S: Simd, const MR: usize, const NV: usize>(simd: S, job: Job<'_>, row: usize) {
    let lanes = S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); NV]; MR];
    // SAFETY: the caller vouches for MR rows in pieces, for a panel row per element, and for MR rows of `out`.
    unsafe {
        let mut panel = job.panel;
        for &piece in job.pieces {
            let mut rows = [job.values; MR];
            for i in 0..MR {
                rows[i] = job.values.add(*job.starts.get_unchecked(row + i) + piece);
            }
            for k in 0..job.length {
                let mut columns = [simd.splat_f32s(0.0); NV];
                for j in 0..NV {
                    columns[j] = panel.add(j * lanes).cast::<S::f32s>().read_unaligned();
                }
                for i in 0..MR {
                    let a = simd.splat_f32s(*rows[i].add(k));
                    for j in 0..NV {
                        sums[i][j] = simd.mul_add_e_f32s(a, columns[j], sums[i][j]);
                    }
                }
                panel = panel.add(job.width);
            }
        }
        for i in 0..MR {
            let out = job.out.add((row + i) * job.stride);
            for j in 0..NV {
                let cell = out.add(j * lanes).cast::<S::f32s>();
                let sum = if job.add { simd.add_f32s(cell.read_unaligned(), sums[i][j]) } else { sums[i][j] };
                cell.write_unaligned(sum);
            }
        }
    }
}
