//! Tiles of 16 rows by 64 bytes, in inline assembly: the standard library's own intrinsics for AMX are not stable.
//!
//! A step multiplies 32 rows by 32 columns over 32 numbers of depth: two tiles of rows, two of the panel, four of sums.
//! Each call configures the tiles and releases them, so that no state outlives it.

use std::{arch::asm, sync::OnceLock};

use super::{element::Bf16Pair, micro::PanelJob};
use crate::cpu::isa::BLOCK;

/// Rows in a tile.
const TILE: usize = 16;
/// Pairs in a tile's row: one cache line.
const LINE: usize = 16;
/// Steps that are staged at once where rows are not evenly spaced.
const STAGED: usize = 12;

/// Whether the processor has AMX with bf16 and the system lets this process use it.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| has_instructions() && has_permission())
}

/// Whether the processor has the instructions and the system saves the tiles: bits 17 and 18 of XCR0.
fn has_instructions() -> bool {
    let cpuid = raw_cpuid::CpuId::new();
    let saves = cpuid.get_feature_info().is_some_and(|features| features.has_oxsave());
    let multiplies = cpuid
        .get_extended_feature_info()
        .is_some_and(|features| features.has_amx_bf16() && features.has_amx_tile());
    is_x86_feature_detected!("avx512f") && saves && multiplies && saved_state() >> 17 & 3 == 3
}

/// XCR0.
fn saved_state() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register; the caller has seen OSXSAVE, which makes the instruction legal.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Linux gives the tiles' state to a process that asks for it.
#[cfg(target_os = "linux")]
fn has_permission() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XTILEDATA: libc::c_long = 18;
    // SAFETY: the call changes what this process may use and touches no memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn has_permission() -> bool {
    false
}

/// The tiles' shapes: palette 1, eight tiles of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Configuration([u8; 64]);

static CONFIGURATION: Configuration = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = 64;
        bytes[48 + tile] = 16;
        tile += 1;
    }
    Configuration(bytes)
};

/// The sums of two tiles of rows with a panel.
#[repr(C, align(64))]
struct Sums([[f32; BLOCK]; 2 * TILE]);

/// Rows copied to where a tile can read them, `[step][row][LINE]`.
#[repr(C, align(64))]
struct Staged([[[Bf16Pair; LINE]; 2 * TILE]; STAGED]);

/// Multiplies all rows of `job` by its panel. `length` has to be whole lines.
///
/// # Safety
/// As [`PanelJob`] says, where [`is_available`] holds.
pub(super) unsafe fn run(job: PanelJob<'_, Bf16Pair>) {
    assert!(
        job.length.is_multiple_of(LINE) && job.width == BLOCK,
        "a tile's row is 32 numbers, two are a panel's"
    );
    let mut sums = Sums([[0.0; BLOCK]; 2 * TILE]);
    let mut staged = Staged([[[Bf16Pair::default(); LINE]; 2 * TILE]; STAGED]);
    // SAFETY: the processor has the instructions and the configuration is valid; it is released below.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(nostack, preserves_flags)) };
    for (group, starts) in job.starts.chunks(2 * TILE).enumerate() {
        sums.0.fill([0.0; BLOCK]);
        // SAFETY: the caller vouches for these rows and the panel.
        unsafe {
            match spacing(starts) {
                Some(stride) => in_place(job, [starts[0], starts[TILE]], stride, &mut sums),
                None => through_copies(job, starts, &mut staged, &mut sums),
            }
        }
        for (r, sums) in sums.0.iter().enumerate().take(starts.len()) {
            // SAFETY: row r of the group is a row of `out`.
            let out = unsafe {
                let start = job.out.add((group * 2 * TILE + r) * job.stride);
                &mut *start.cast::<[f32; BLOCK]>()
            };
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = if job.add { *out + sum } else { *sum };
            }
        }
    }
    // SAFETY: returns the tiles to their initial state.
    unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
}

/// The distance between neighbouring starts within each tile of a full group, where it is the same everywhere.
fn spacing(starts: &[usize]) -> Option<usize> {
    let stride = starts.get(1)?.checked_sub(starts[0])?;
    let even = |tile: &[usize]| tile.windows(2).all(|pair| pair[1].checked_sub(pair[0]) == Some(stride));
    (starts.len() == 2 * TILE && starts.chunks(TILE).all(even)).then_some(stride)
}

/// Two tiles of rows, `start`, `start + stride`, … for each of `starts`, read where they lie.
///
/// # Safety
/// As [`run`], for these 32 rows.
unsafe fn in_place(job: PanelJob<'_, Bf16Pair>, starts: [usize; 2], stride: usize, sums: &mut Sums) {
    let mut panel = job.panel;
    for &piece in job.pieces {
        // SAFETY: the rows' pieces and the panel's rows for them are readable.
        unsafe {
            let tiles = starts.map(|start| job.values.add(start + piece));
            let steps = Steps { tiles, stride, next: LINE, count: job.length / LINE };
            multiply(steps, panel, sums);
            panel = panel.add(job.length * BLOCK);
        }
    }
}

/// Rows copied together first; a group that is not full is filled up with what the buffer holds, whose sums are not used.
///
/// # Safety
/// As [`run`], for rows at `starts`.
unsafe fn through_copies(
    job: PanelJob<'_, Bf16Pair>,
    starts: &[usize],
    staged: &mut Staged,
    sums: &mut Sums,
) {
    let mut panel = job.panel;
    for &piece in job.pieces {
        for first in (0..job.length).step_by(STAGED * LINE) {
            let count = (job.length - first).div_ceil(LINE).min(STAGED);
            for (step, lines) in staged.0.iter_mut().enumerate().take(count) {
                for (line, start) in lines.iter_mut().zip(starts) {
                    // SAFETY: the piece of this row is readable for `length`, of which this is a line.
                    *line = unsafe {
                        job.values.add(start + piece + first + step * LINE).cast::<[Bf16Pair; LINE]>().read()
                    };
                }
            }
            let rows: *const Bf16Pair = staged.0.as_ptr().cast();
            // SAFETY: `count` steps were staged, and the panel has a row for each of their elements.
            unsafe {
                let tiles = [rows, rows.add(TILE * LINE)];
                let steps = Steps { tiles, stride: LINE, next: 2 * TILE * LINE, count };
                multiply(steps, panel, sums);
                panel = panel.add(count * LINE * BLOCK);
            }
        }
    }
}

/// Two tiles of evenly spaced rows, step after step. Distances are in pairs.
struct Steps {
    tiles: [*const Bf16Pair; 2],
    stride: usize,
    next: usize,
    count: usize,
}

/// Adds the products of `steps` with the panel to `sums`.
///
/// # Safety
/// The tiles are configured, 32 rows are readable for every step, and so is the panel.
unsafe fn multiply(steps: Steps, panel: *const Bf16Pair, sums: &mut Sums) {
    const BYTES: usize = size_of::<Bf16Pair>();
    // SAFETY: reads what the caller vouches for and writes `sums`; tile registers are named as clobbered.
    unsafe {
        asm!(
            "tileloadd tmm0, [{sums} + {line}*2]",
            "tileloadd tmm1, [{sums} + {line}*2 + 64]",
            "tileloadd tmm2, [{more} + {line}*2]",
            "tileloadd tmm3, [{more} + {line}*2 + 64]",
            "2:",
            "tileloadd tmm6, [{panel} + {line}*2]",
            "tileloadd tmm4, [{first} + {stride}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{panel} + {line}*2 + 64]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{second} + {stride}*1]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {first}, {next}",
            "add {second}, {next}",
            "add {panel}, 2048",
            "dec {count}",
            "jnz 2b",
            "tilestored [{sums} + {line}*2], tmm0",
            "tilestored [{sums} + {line}*2 + 64], tmm1",
            "tilestored [{more} + {line}*2], tmm2",
            "tilestored [{more} + {line}*2 + 64], tmm3",
            sums = in(reg) sums.0.as_mut_ptr(),
            more = in(reg) sums.0.as_mut_ptr().add(TILE),
            line = in(reg) 64_usize,
            panel = inout(reg) panel => _,
            first = inout(reg) steps.tiles[0] => _,
            second = inout(reg) steps.tiles[1] => _,
            stride = in(reg) steps.stride * BYTES,
            next = in(reg) steps.next * BYTES,
            count = inout(reg) steps.count => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_full_tiles_of_evenly_spaced_rows_are_read_in_place() {
        let even: Vec<usize> = (0..32).map(|r| 5 + 16 * r + r / 16 * 100).collect();
        assert_eq!(spacing(&even), Some(16));
        assert_eq!(spacing(&even[..31]), None);
        let mut bent = even.clone();
        bent[31] += 1;
        assert_eq!(spacing(&bent), None);
        let falling: Vec<usize> = (0..32).rev().collect();
        assert_eq!(spacing(&falling), None);
    }
}
