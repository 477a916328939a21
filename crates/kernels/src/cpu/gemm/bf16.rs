//! The instructions that multiply pairs of bf16 numbers and sum in f32.

use super::{element::Bf16Pair, micro::PanelJob};
use crate::cpu::InstructionSet;

/// A set of bf16 instructions that this processor has: there is no value for a set that it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bf16(Kernel);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    /// `tdpbf16ps`: tiles of 16×16 sums, Sapphire Rapids and later.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// `vdpbf16ps`: vectors of 16 sums, Zen 4, Cooper Lake and later.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Bf16 {
    /// All that this processor has, the best first.
    pub fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(super::amx::is_available().then_some(Self(Kernel::Amx)));
            found.extend(x86::has_avx512_bf16().then_some(Self(Kernel::Avx512)));
        }
        found
    }

    /// The instruction set's public name.
    pub fn set(self) -> InstructionSet {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kernel::Amx => InstructionSet::Amx,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => InstructionSet::Avx512Bf16,
        }
    }

    /// Whether it is used unless another is named. AMX is not, since it has never run on a processor that has it. AMD's
    /// `vdpbf16ps` does two vectors' work in one; Intel's takes as long as four vectors of f32 products.
    pub fn is_default(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kernel::Amx => false,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => !x86::is_intel(),
        }
    }

    /// Whether it multiplies tiles, many times faster than vectors.
    pub fn has_tiles(self) -> bool {
        self.set() == InstructionSet::Amx
    }

    /// Multiplies all rows of `job` by its panel.
    ///
    /// # Safety
    /// As [`PanelJob`] says.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no value of the type"))]
    pub(super) unsafe fn run(self, job: PanelJob<'_, Bf16Pair>) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a value of the variant exists only where the processor has the instructions; the job's bounds are
            // the caller's promise.
            Kernel::Amx => unsafe { super::amx::run(job) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Kernel::Avx512 => unsafe { x86::run(job) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_set1_epi32, _mm512_setzero_ps,
    };

    use crate::cpu::gemm::{
        element::Bf16Pair,
        micro::{self, Lanes, PanelJob},
    };

    pub(super) fn has_avx512_bf16() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
    }

    pub(super) fn is_intel() -> bool {
        raw_cpuid::CpuId::new().get_vendor_info().is_some_and(|vendor| vendor.as_str() == "GenuineIntel")
    }

    /// Sixteen pairs. A value exists only inside [`run`].
    #[derive(Clone, Copy)]
    struct Pairs(());

    impl Lanes for Pairs {
        type Element = Bf16Pair;
        type Vector = __m512i;
        type Sums = __m512;
        const COUNT: usize = 16;
        const REGISTERS: usize = 32;

        #[inline(always)]
        fn zeros(self) -> __m512 {
            // SAFETY: `self` says that this runs where AVX-512 does.
            unsafe { _mm512_setzero_ps() }
        }

        #[inline(always)]
        fn splat(self, element: Bf16Pair) -> __m512i {
            // SAFETY: as above.
            unsafe { _mm512_set1_epi32(bytemuck::cast(element)) }
        }

        #[inline(always)]
        fn multiply_add(self, a: __m512i, b: __m512i, sums: __m512) -> __m512 {
            // SAFETY: as above, with BF16; the two vector types are the same 64 bytes.
            unsafe {
                _mm512_dpbf16_ps(
                    sums,
                    std::mem::transmute::<__m512i, __m512bh>(a),
                    std::mem::transmute::<__m512i, __m512bh>(b),
                )
            }
        }

        #[inline(always)]
        fn add(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_add_ps(a, b) }
        }
    }

    /// # Safety
    /// As [`PanelJob`] says.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn run(job: PanelJob<'_, Bf16Pair>) {
        // SAFETY: the caller's promise, handed on.
        unsafe { micro::run(Pairs(()), job) }
    }
}
