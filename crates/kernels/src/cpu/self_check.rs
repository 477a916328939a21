//! Chooses the kernels to use: the best that the processor has, that are allowed, and that agree with the plain loop.

use super::{
    gemm::{Bf16, Bf16Pair, Element, PackedMatrix, Rows, StoreMode, multiply, multiply_naive},
    instruction_set::InstructionSet,
    isa::{BLOCK, Isa},
};

/// The instruction sets in use.
#[derive(Clone, Debug)]
pub struct Instructions {
    /// f32 arithmetic.
    pub isa: Isa,
    /// Products of bf16 numbers, where the processor has instructions for them.
    pub bf16: Option<Bf16>,
    /// What was left aside and why, in sentences for a log.
    pub warnings: Vec<String>,
}

impl Instructions {
    /// The best kernels up to `limit`. A kernel that disagrees with the plain loop is left aside for the next one, and so is
    /// one that is not used by default on this processor, unless `limit` names it.
    pub fn choose(limit: Option<InstructionSet>) -> Self {
        let allowed = |set: InstructionSet| limit.is_none_or(|limit| set <= limit);
        let mut warnings = Vec::new();
        let mut trusted = |set: InstructionSet, agrees: bool| {
            if !agrees {
                warnings.push(format!(
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
            .filter(|kernel| allowed(kernel.set()) && (kernel.is_default() || limit == Some(kernel.set())))
            .find(|&kernel| trusted(kernel.set(), agrees::<Bf16Pair>(kernel)));
        if isa.is_portable() && limit != Some(InstructionSet::Portable) {
            warnings.push(
                "this processor has no vector instructions that kernels are written for (AVX2 with FMA, or NEON): an image \
                 takes several times as long"
                    .to_owned(),
            );
        }
        Self { isa, bf16, warnings }
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
    [StoreMode::Replace, StoreMode::Add].into_iter().all(|store| {
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
            assert!(instructions.isa.set() <= limit);
            assert!(instructions.bf16.is_none_or(|kernel| kernel.set() <= limit));
            let slow = instructions.isa.is_portable() && limit != InstructionSet::Portable;
            assert_eq!(instructions.warnings.len(), usize::from(slow), "{:?}", instructions.warnings);
        }
        assert!(Instructions::choose(None).bf16.is_none_or(|kernel| kernel.set() != InstructionSet::Amx));
        assert!(Instructions::choose(Some(InstructionSet::Portable)).isa.is_portable());
    }
}
