//! Numbers of a device's types, as f64.
//!
//! The `unsafe` is sound where callers name memory that is there.

use std::{ffi::c_void, ptr, slice};

/// A type as cuBLAS and cuDNN number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    F32,
    F64,
    F16,
    Bf16,
}

impl Type {
    /// `cudaDataType_t`.
    pub fn of_cublas(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::F32,
            1 => Self::F64,
            2 => Self::F16,
            14 => Self::Bf16,
            _ => return None,
        })
    }

    /// `cudnnDataType_t`.
    pub fn of_cudnn(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::F32,
            1 => Self::F64,
            9 => Self::Bf16,
            _ => return None,
        })
    }
}

/// `count` numbers at `address`.
///
/// # Safety
/// They are there while this runs.
pub unsafe fn read(address: usize, kind: Type, count: usize) -> Vec<f64> {
    // SAFETY: the caller's.
    unsafe {
        match kind {
            Type::F32 => {
                slice::from_raw_parts(address as *const f32, count).iter().map(|&x| x.into()).collect()
            }
            Type::F64 => slice::from_raw_parts(address as *const f64, count).to_vec(),
            Type::F16 => {
                slice::from_raw_parts(address as *const u16, count).iter().map(|&x| half(x)).collect()
            }
            Type::Bf16 => {
                slice::from_raw_parts(address as *const u16, count).iter().map(|&x| brain(x)).collect()
            }
        }
    }
}

/// Numbers to `address`, rounded once.
///
/// # Safety
/// There is room while this runs.
pub unsafe fn write(address: usize, kind: Type, numbers: impl Iterator<Item = f64>) {
    for (index, number) in numbers.enumerate() {
        // SAFETY: the caller's.
        unsafe {
            match kind {
                Type::F32 => *(address as *mut f32).add(index) = number as f32,
                Type::F64 => *(address as *mut f64).add(index) = number,
                Type::F16 => unreachable!("cuBLAS refuses it, and nothing else has it"),
                Type::Bf16 => *(address as *mut u16).add(index) = to_brain(number as f32),
            }
        }
    }
}

/// The factor of a product of `kind`: an f64 for those of f64, else an f32.
///
/// # Safety
/// One lies at `address`.
pub unsafe fn factor(address: *const c_void, kind: Type) -> f64 {
    // SAFETY: the caller's.
    unsafe { if kind == Type::F64 { *address.cast() } else { f64::from(*address.cast::<f32>()) } }
}

/// Scribbles over working memory, as a device's algorithm does.
///
/// # Safety
/// There is room while this runs.
pub unsafe fn use_workspace(address: usize, bytes: usize) {
    // SAFETY: the caller's.
    unsafe { ptr::write_bytes(address as *mut u8, 0xee, bytes) };
}

/// What TF32 leaves of an f32: ten bits behind the point.
pub fn tf32(number: f64) -> f64 {
    let bits = (number as f32).to_bits();
    f32::from_bits((bits + 0xfff + (bits >> 13 & 1)) & !0x1fff).into()
}

/// `sums += Σ factors[i] · rows[i]`, where rows lie one after the other.
pub fn add_rows(sums: &mut [f64], factors: &[f64], rows: &[f64]) {
    let width = sums.len();
    let (fours, rest) = factors.as_chunks::<4>();
    for (factors, rows) in fours.iter().zip(rows.chunks_exact(4 * width)) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| &rows[i * width..][..width]);
        for i in 0..width {
            sums[i] += factors[0] * a[i] + factors[1] * b[i] + (factors[2] * c[i] + factors[3] * d[i]);
        }
    }
    for (factor, row) in rest.iter().zip(rows[4 * width * fours.len()..].chunks_exact(width)) {
        sums.iter_mut().zip(row).for_each(|(sum, number)| *sum += factor * number);
    }
}

fn brain(bits: u16) -> f64 {
    f32::from_bits(u32::from(bits) << 16).into()
}

fn to_brain(number: f32) -> u16 {
    let bits = number.to_bits();
    if number.is_nan() { 0x7fff } else { ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16 }
}

fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}
