//! "Same" convs, 1×1 and 3×3, in the form that a policy says is best.

#[cfg(test)]
mod tests;

use spadework_model::{Grid, Prefixed};

use super::{
    direct::{Direct, Operand},
    epilogue::{Epilogue, Onto},
    features::blocks,
    policy::Form,
    read::numbers,
    scratch::Scratch,
    source::Source,
    winograd::Winograd,
};
use crate::EngineError;
use spadework_kernels::cpu::{BLOCK, Bf16Pair, Buffer, Isa, bf16_remainder};

/// A packed conv.
#[derive(Debug)]
pub(super) struct PackedConv {
    products: Products,
    bias: Buffer<f32>, // [block][32]
}

/// How the products are taken.
#[derive(Debug)]
enum Products {
    Direct(Direct<f32>),
    DirectBf16(Direct<Bf16Pair>),
    /// `x·w` as `high(x)·high(w) + low(x)·high(w) + high(x)·low(w)`.
    ThreeBf16 {
        high: Direct<Bf16Pair>,
        low: Direct<Bf16Pair>,
    },
    Winograd(Winograd),
}

impl PackedConv {
    /// Reads `weight` (out, in, k, k) and, where `bias` says so, `bias`.
    pub(super) fn read(
        part: &Prefixed<'_>,
        (input, output): (usize, usize),
        kernel: usize,
        bias: bool,
        form: Form,
    ) -> Result<Self, EngineError> {
        let weight = numbers(part, "weight", &[output, input, kernel, kernel])?;
        let bias = if bias { numbers(part, "bias", &[output])? } else { vec![0.0; output] };
        Ok(Self::new((input, output), kernel, &weight, &bias, form))
    }

    /// Packs `weight` (out, in, k, k).
    pub(super) fn new(
        (input, output): (usize, usize),
        kernel: usize,
        weight: &[f32],
        bias: &[f32],
        form: Form,
    ) -> Self {
        let direct = |kernels| Direct::new(kernels, (input, output), kernel, weight);
        let products = match form {
            Form::Direct(isa) => Products::Direct(Direct::new(isa, (input, output), kernel, weight)),
            Form::DirectBf16(bf16) => Products::DirectBf16(direct(bf16)),
            Form::ThreeBf16(bf16) => {
                let low: Vec<f32> = weight.iter().map(|&weight| bf16_remainder(weight)).collect();
                let low = Direct::new(bf16, (input, output), kernel, &low);
                Products::ThreeBf16 { high: direct(bf16), low }
            }
            Form::Winograd(isa, tile) => {
                Products::Winograd(Winograd::new(isa, tile, (input, output), weight))
            }
        };
        let mut padded = Buffer::zeroed(blocks(output) * BLOCK);
        padded[..output].copy_from_slice(bias);
        Self { products, bias: padded }
    }

    /// Elements of working memory that [`run`](Self::run) is best given for a map of `grid`.
    pub(super) fn held_len(&self, grid: Grid, threads: usize) -> usize {
        match &self.products {
            Products::Direct(conv) => conv.held_len(grid, 1, threads),
            Products::DirectBf16(conv) => conv.held_len(grid, 1, threads),
            Products::ThreeBf16 { high, .. } => high.held_len(grid, 2, threads),
            Products::Winograd(conv) => conv.held_len(grid, threads),
        }
    }

    /// Convolves `source` into `out`, `[block][row][column][32]`.
    ///
    /// `held` is working memory of [`held_len`](Self::held_len), of which no more is used than is best, `scratch` each thread's own.
    pub(super) fn run(
        &self,
        isa: Isa,
        source: &dyn Source,
        onto: Onto<'_>,
        (held, scratch): (&mut [f32], &Scratch),
        out: &mut [f32],
    ) {
        let epilogue = Epilogue { isa, bias: &self.bias, onto, grid: source.grid() };
        let best = self.held_len(source.grid(), rayon::current_num_threads()).min(held.len());
        let held = &mut held[..best];
        let (number, remainder) = (Operand::Number, Operand::Remainder);
        match &self.products {
            Products::Direct(conv) => Direct::run(&[(conv, number)], source, epilogue, held, out),
            Products::DirectBf16(conv) => Direct::run(&[(conv, number)], source, epilogue, held, out),
            Products::ThreeBf16 { high, low } => {
                let terms = [(high, number), (high, remainder), (low, number)];
                Direct::run(&terms, source, epilogue, held, out);
            }
            Products::Winograd(conv) => conv.run(source, epilogue, held, scratch, out),
        }
    }
}
