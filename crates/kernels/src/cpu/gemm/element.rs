//! What matrices are made of: f32 numbers, or pairs of bf16 numbers as the pair-wise product instructions take them.

use bytemuck::{Pod, Zeroable};

use super::{Bf16, micro, sealed::Multiply};
use crate::cpu::isa::{BLOCK, Isa};

/// Four bytes of a matrix, along the direction in which products are summed.
pub trait Element: Multiply + Pod + Send + Sync {
    /// Values in an element.
    const NUMBERS: usize;
    /// The element of the numbers `number(0), number(1), …`.
    fn from_numbers(number: impl Fn(usize) -> f32) -> Self;

    /// Writes `numbers` as elements, as many as they make.
    fn store(numbers: &[f32; BLOCK], to: &mut [Self]);

    /// The sum of the products of two elements' numbers.
    fn product(self, other: Self) -> f64;
}

/// Elements that hold `numbers` numbers.
pub fn elements<E: Element>(numbers: usize) -> usize {
    numbers.div_ceil(E::NUMBERS)
}

impl Element for f32 {
    const NUMBERS: usize = 1;

    fn from_numbers(number: impl Fn(usize) -> f32) -> Self {
        number(0)
    }

    #[inline(always)]
    fn store(numbers: &[f32; BLOCK], to: &mut [Self]) {
        to.copy_from_slice(numbers);
    }

    fn product(self, other: Self) -> f64 {
        f64::from(self) * f64::from(other)
    }
}

impl Multiply for f32 {
    type Kernel = Isa;

    unsafe fn multiply(kernel: Isa, job: micro::PanelJob<'_, Self>) {
        // SAFETY: the caller's promise, handed on.
        unsafe { micro::run_f32(kernel, job) }
    }
}

/// Two neighbouring bf16 numbers, the first in the low half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct Bf16Pair(u32);

impl Bf16Pair {
    /// Rounds two numbers to bf16.
    #[inline(always)]
    pub fn new(first: f32, second: f32) -> Self {
        Self(u32::from(to_bf16(first)) | u32::from(to_bf16(second)) << 16)
    }

    /// The two numbers.
    #[inline(always)]
    pub fn numbers(self) -> [f32; 2] {
        [f32::from_bits(self.0 << 16), f32::from_bits(self.0 & 0xffff_0000)]
    }
}

/// Rounds to the nearest bf16, ties to even. A NaN may become an infinity.
#[inline(always)]
fn to_bf16(number: f32) -> u16 {
    let bits = number.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// What `number` loses when it is rounded to bf16.
#[inline(always)]
pub fn bf16_remainder(number: f32) -> f32 {
    number - f32::from_bits(u32::from(to_bf16(number)) << 16)
}

impl Element for Bf16Pair {
    const NUMBERS: usize = 2;

    fn from_numbers(number: impl Fn(usize) -> f32) -> Self {
        Self::new(number(0), number(1))
    }

    #[inline(always)]
    fn store(numbers: &[f32; BLOCK], to: &mut [Self]) {
        let mut halves = [0; BLOCK]; // in this order they are pairs, on a little-endian processor
        for (half, number) in halves.iter_mut().zip(numbers) {
            *half = to_bf16(*number);
        }
        let pairs: [u32; BLOCK / 2] = bytemuck::cast(halves);
        to.copy_from_slice(bytemuck::cast_slice(&pairs));
    }

    fn product(self, other: Self) -> f64 {
        let ([a, b], [c, d]) = (self.numbers(), other.numbers());
        f64::from(a) * f64::from(c) + f64::from(b) * f64::from(d)
    }
}

impl Multiply for Bf16Pair {
    type Kernel = Bf16;

    unsafe fn multiply(kernel: Bf16, job: micro::PanelJob<'_, Self>) {
        // SAFETY: the caller's promise, handed on.
        unsafe { kernel.run(job) }
    }
}
