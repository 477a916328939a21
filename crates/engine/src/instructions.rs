//! Which kernels an engine uses: the best that the processor has, that are allowed, and that compute what they should.

use std::{fmt, str::FromStr};

use crate::{
    gemm::{Bf16, Element, PackedMatrix, Pair, Rows, Store, multiply, multiply_naive},
    isa::{BLOCK, Isa},
};

/// The instruction sets that kernels exist for. On one architecture each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstructionSet {
    /// What the target has for sure.
    Portable,
    /// NEON, on aarch64.
    Neon,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 F, BW, CD, DQ and VL.
    Avx512,
    /// AVX-512 with products of bf16 pairs.
    Avx512Bf16,
    /// Tiles with products of bf16 pairs.
    Amx,
}

impl InstructionSet {
    /// All of them, the least first.
    pub const ALL: [Self; 6] =
        [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512, Self::Avx512Bf16, Self::Amx];

    /// Its name on the command line and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Amx => "amx",
        }
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for InstructionSet {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|set| set.name() == name)
            .ok_or_else(|| format!("`{name}` is none of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// The instruction sets in use.
#[derive(Clone, Debug)]
pub(crate) struct Instructions {
    /// f32 arithmetic.
    pub(crate) isa: Isa,
    /// Products of bf16 numbers, where the processor has instructions for them.
    pub(crate) bf16: Option<Bf16>,
    /// What was left aside and why, in sentences for a log.
    pub(crate) remarks: Vec<String>,
}

impl Instructions {
    /// The best kernels up to `limit`. A kernel that disagrees with the plain loop is left aside for the next one, and so is
    /// one that does not pay on this processor, unless `limit` names it.
    pub(crate) fn choose(limit: Option<InstructionSet>) -> Self {
        let allowed = |set: InstructionSet| limit.is_none_or(|limit| set <= limit);
        let mut remarks = Vec::new();
        let mut trusted = |set: InstructionSet, agrees: bool| {
            if !agrees {
                remarks.push(format!(
                    "the {set} kernel disagrees with the plain loop on this processor; it is not used"
                ));
            }
            agrees
        };
        let isa = Isa::available()
            .into_iter()
            .filter(|isa| allowed(isa.set()))
            .find(|&isa| isa.is_portable() || trusted(isa.set(), agrees::<f32>(isa)))
            .unwrap_or(Isa::Portable);
        let bf16 = Bf16::available()
            .into_iter()
            .filter(|kernel| allowed(kernel.set()) && (kernel.pays() || limit == Some(kernel.set())))
            .find(|&kernel| trusted(kernel.set(), agrees::<Pair>(kernel)));
        Self { isa, bf16, remarks }
    }
}

/// Whether a kernel multiplies as the plain loop does: full and partial groups of rows, evenly spaced or not.
fn agrees<E: Element>(kernel: E::Kernel) -> bool {
    const LENGTH: usize = 32;
    const ROWS: usize = 77;
    let number = |seed: usize| ((seed * 7919 + 13) % 251) as f32 / 125.0 - 1.0;
    let values: Vec<E> =
        (0..ROWS * LENGTH * 3).map(|i| E::from_numbers(|j| number(E::NUMBERS * i + j))).collect();
    let matrix =
        PackedMatrix::<E>::new(2 * LENGTH * E::NUMBERS, BLOCK, |k, column| number(k * 37 + column * 101));
    // A stretch of even spacing, then another after a jump, then an odd rest.
    let starts: Vec<usize> = (0..ROWS).map(|r| r * LENGTH + if r > 40 { 5 } else { 0 }).collect();
    let rows = Rows { values: &values[..], starts: &starts, pieces: &[0, LENGTH / 2], length: LENGTH };
    [Store::Replace, Store::Add].into_iter().all(|store| {
        let mut got = vec![1.0; ROWS * BLOCK];
        let mut wanted = got.clone();
        multiply(kernel, rows, matrix.panel(0), store, &mut got, BLOCK);
        multiply_naive(rows, matrix.panel(0), store, &mut wanted, BLOCK);
        got.iter().zip(&wanted).all(|(got, wanted)| (got - wanted).abs() <= 1e-4)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kernel_goes_beyond_what_is_allowed_and_all_agree() {
        for limit in InstructionSet::ALL {
            let instructions = Instructions::choose(Some(limit));
            println!("up to {limit}: {:?}, {:?}", instructions.isa.set(), instructions.bf16); // tests/amx/run reads it
            assert!(instructions.isa.set() <= limit);
            assert!(instructions.bf16.is_none_or(|kernel| kernel.set() <= limit));
            assert!(instructions.remarks.is_empty(), "{:?}", instructions.remarks);
        }
        assert!(Instructions::choose(Some(InstructionSet::Portable)).isa.is_portable());
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for set in InstructionSet::ALL {
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        assert!("avx".parse::<InstructionSet>().unwrap_err().contains("avx2"));
    }
}
