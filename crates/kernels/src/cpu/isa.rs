//! Vector instruction sets, detected at run time.

use pulp::{Scalar128b, Simd, WithSimd};

use super::InstructionSet;

/// Columns of a wide panel, and channels of a block: whole vectors on every instruction set here.
pub const BLOCK: usize = 32;

/// Columns of a narrow panel, half a block.
pub const NARROW: usize = 16;

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug)]
pub enum Isa {
    /// The target's baseline: no fused multiply-add on x86-64.
    Portable,
    /// AVX2 with FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    /// AVX-512 F, BW, CD, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    /// NEON.
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
}

impl Isa {
    /// All that this processor can run, the best first.
    pub fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(pulp::x86::V4::try_new().map(Self::Avx512));
            found.extend(pulp::x86::V3::try_new().map(Self::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        found.extend(pulp::aarch64::Neon::try_new().map(Self::Neon));
        found.push(Self::Portable);
        found
    }

    /// The instruction set's public name.
    pub fn set(self) -> InstructionSet {
        match self {
            Self::Portable => InstructionSet::Portable,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => InstructionSet::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => InstructionSet::Avx512,
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => InstructionSet::Neon,
        }
    }

    /// Whether it is what the target has for sure.
    pub fn is_portable(self) -> bool {
        matches!(self, Self::Portable)
    }

    /// Runs `operation` compiled for this instruction set.
    #[inline]
    pub fn run<Op: WithSimd>(self, operation: Op) -> Op::Output {
        match self {
            Self::Portable => Simd::vectorize(Scalar128b, operation),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => Simd::vectorize(simd, operation),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => Simd::vectorize(simd, operation),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(simd) => Simd::vectorize(simd, operation),
        }
    }
}

/// `a · b + c`, fused where the instruction set fuses it and rounded twice where it does not.
///
/// [`Simd::mul_add_e_f32s`] always fuses: without an instruction for it, that is a library call for every number.
#[inline(always)]
pub fn mul_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    if is_baseline::<S>() { simd.add_f32s(simd.mul_f32s(a, b), c) } else { simd.mul_add_e_f32s(a, b, c) }
}

/// Whether `S` is [`Scalar128b`], by its shape: no other set used here has four lanes and sixteen registers.
const fn is_baseline<S: Simd>() -> bool {
    S::F32_LANES == Scalar128b::F32_LANES && S::REGISTER_COUNT == Scalar128b::REGISTER_COUNT
}
