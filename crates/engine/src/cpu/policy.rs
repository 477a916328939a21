//! Which form each product takes at a precision, on the instruction sets there are.

use super::winograd::Tile;
use crate::Precision;
use spadework_kernels::cpu::{Bf16, InstructionSet, Instructions, Isa};

/// How an engine multiplies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(super) isa: Isa,
    arithmetic: Arithmetic,
}

/// What numbers are multiplied.
#[derive(Clone, Copy, Debug)]
enum Arithmetic {
    F32 {
        precise: bool,
    },
    /// bf16 in vectors: not so fast that plain convs would beat Winograd's in f32.
    Bf16Vectors(Bf16),
    /// bf16 in tiles.
    Bf16Tiles(Bf16),
    /// f32 as three products of bf16, in tiles.
    ThreeBf16Tiles(Bf16),
}

/// The form of one conv.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Direct(Isa),
    DirectBf16(Bf16),
    ThreeBf16(Bf16),
    Winograd(Isa, Tile),
}

impl Policy {
    /// The policy for a precision, and the precision that it has: without bf16 instructions, `medium` is `high`, and so is
    /// what was left open.
    pub(crate) fn new(asked: Option<Precision>, instructions: &Instructions) -> (Self, Precision) {
        let isa = instructions.isa;
        let precision = match (asked, instructions.bf16) {
            (None | Some(Precision::Medium), None) => Precision::High,
            (None, Some(_)) => Precision::Medium,
            (Some(precision), _) => precision,
        };
        let arithmetic = match (precision, instructions.bf16) {
            (Precision::Medium, Some(bf16)) if bf16.has_tiles() => Arithmetic::Bf16Tiles(bf16),
            (Precision::Medium, Some(bf16)) => Arithmetic::Bf16Vectors(bf16),
            (Precision::High, Some(bf16)) if bf16.has_tiles() => Arithmetic::ThreeBf16Tiles(bf16),
            (precision, _) => Arithmetic::F32 { precise: precision == Precision::Highest },
        };
        (Self { isa, arithmetic }, precision)
    }

    /// The instruction set of its products.
    pub(super) fn instruction_set(self) -> InstructionSet {
        match self.arithmetic {
            Arithmetic::F32 { .. } => self.isa.set(),
            Arithmetic::Bf16Vectors(bf16)
            | Arithmetic::Bf16Tiles(bf16)
            | Arithmetic::ThreeBf16Tiles(bf16) => bf16.set(),
        }
    }

    /// Every policy that these kernels can follow.
    #[cfg(test)]
    pub(crate) fn all(instructions: &Instructions) -> Vec<(Self, Precision)> {
        let f32 = [(true, Precision::Highest), (false, Precision::High)]
            .map(|(precise, precision)| (Arithmetic::F32 { precise }, precision));
        let bf16 = instructions.bf16.into_iter().flat_map(|bf16| {
            [
                (Arithmetic::Bf16Vectors(bf16), Precision::Medium),
                (Arithmetic::Bf16Tiles(bf16), Precision::Medium),
                (Arithmetic::ThreeBf16Tiles(bf16), Precision::High),
            ]
        });
        let policy = |(arithmetic, precision)| (Self { isa: instructions.isa, arithmetic }, precision);
        f32.into_iter().chain(bf16).map(policy).collect()
    }

    /// The form of a conv.
    pub(super) fn conv(self, kernel: usize) -> Form {
        match self.arithmetic {
            Arithmetic::Bf16Tiles(bf16) => Form::DirectBf16(bf16),
            Arithmetic::ThreeBf16Tiles(bf16) => Form::ThreeBf16(bf16),
            Arithmetic::F32 { precise: true } if kernel == 3 => Form::Winograd(self.isa, Tile::Two),
            _ if kernel == 3 => Form::Winograd(self.isa, Tile::Four),
            Arithmetic::Bf16Vectors(bf16) => Form::DirectBf16(bf16),
            Arithmetic::F32 { .. } => Form::Direct(self.isa),
        }
    }

    /// Whether modulation's second conv is F(4×4, 3×3) where that pays: in f32, but not where errors have to be a plain sum's.
    pub(super) fn tables_in_tiles(self) -> bool {
        matches!(self.arithmetic, Arithmetic::F32 { precise: false } | Arithmetic::ThreeBf16Tiles(_))
    }

    /// The instructions for modulation's second conv, where it is in bf16.
    pub(super) fn table_bf16(self) -> Option<Bf16> {
        match self.arithmetic {
            Arithmetic::Bf16Vectors(bf16) | Arithmetic::Bf16Tiles(bf16) => Some(bf16),
            Arithmetic::F32 { .. } | Arithmetic::ThreeBf16Tiles(_) => None,
        }
    }
}
