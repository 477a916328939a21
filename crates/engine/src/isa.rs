//! Which vector instructions the kernels use, found out at run time.

use pulp::{Scalar128b, Simd, WithSimd};

use crate::InstructionSet;

/// Channels come in blocks of this many, whole vectors on every instruction set here.
pub(crate) const BLOCK: usize = 32;

/// Half a block, for what has few channels.
pub(crate) const NARROW: usize = 16;

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Isa {
    /// Whatever the target has for sure.
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
    pub(crate) fn available() -> Vec<Self> {
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
    pub(crate) fn set(self) -> InstructionSet {
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
    pub(crate) fn is_portable(self) -> bool {
        matches!(self, Self::Portable)
    }

    /// Runs `operation` compiled for this instruction set.
    #[inline]
    pub(crate) fn run<Op: WithSimd>(self, operation: Op) -> Op::Output {
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
