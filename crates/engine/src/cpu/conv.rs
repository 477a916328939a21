//! "Same" convs, 1×1 and 3×3, in the form that a policy says is best.

#[cfg(test)]
mod tests;

use pulp::{Simd, WithSimd};
use spadework_model::{Grid, Prefixed};

use super::{
    direct::{Direct, Operand},
    features::{Features, blocks},
    network::Scratch,
    policy::Form,
    read::numbers,
    source::Source,
    winograd::Winograd,
};
use crate::{
    EngineError,
    buffer::Buffer,
    gemm::{Pair, bf16_remainder},
    isa::{BLOCK, Isa},
};

/// A packed conv.
#[derive(Debug)]
pub(super) struct Conv {
    products: Products,
    bias: Buffer<f32>, // [block][32]
}

/// How the products are taken.
#[derive(Debug)]
enum Products {
    Direct(Direct<f32>),
    DirectBf16(Direct<Pair>),
    /// `x·w` as `high(x)·high(w) + low(x)·high(w) + high(x)·low(w)`.
    ThreeBf16 {
        high: Direct<Pair>,
        low: Direct<Pair>,
    },
    Winograd(Winograd),
}

/// What a conv's result is added to, besides its bias.
#[derive(Clone, Copy, Default)]
pub(super) struct Onto<'a> {
    /// Whether it is added to what the output holds.
    pub(super) output: bool,
    /// A feature map at the same resolution, or at half of it and read up-sampled.
    pub(super) features: Option<Features<'a>>,
    pub(super) noise: Option<Noise<'a>>,
}

/// A plane that is added to every channel with that channel's weight.
#[derive(Clone, Copy)]
pub(super) struct Noise<'a> {
    pub(super) plane: &'a [f32],
    pub(super) weights: &'a [f32], // [block][32]
}

impl Conv {
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

    /// Numbers of working memory that [`run`](Self::run) is best given for a map of `grid`.
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

/// What is added to the products.
#[derive(Clone, Copy)]
pub(super) struct Epilogue<'a> {
    pub(super) isa: Isa,
    bias: &'a [f32],
    onto: Onto<'a>,
    pub(super) grid: Grid,
}

impl Epilogue<'_> {
    /// Whether the products themselves are added to what the output holds.
    pub(super) fn keeps_output(&self) -> bool {
        self.onto.output
    }

    /// The bias of a block.
    pub(super) fn bias(&self, block: usize) -> &[f32; BLOCK] {
        &self.bias.as_chunks().0[block]
    }

    /// Adds everything to the cells of `block` from `first` on.
    pub(super) fn add(&self, block: usize, first: usize, cells: &mut [[f32; BLOCK]]) {
        self.add_with(self.bias(block), block, first, cells);
    }

    /// Adds everything but the bias.
    pub(super) fn add_onto(&self, block: usize, first: usize, cells: &mut [[f32; BLOCK]]) {
        if self.onto.features.is_some() || self.onto.noise.is_some() {
            self.add_with(&[0.0; BLOCK], block, first, cells);
        }
    }

    fn add_with(&self, bias: &[f32; BLOCK], block: usize, first: usize, cells: &mut [[f32; BLOCK]]) {
        let Self { isa, onto, grid, .. } = *self;
        let noise = onto.noise.map(|Noise { plane, weights }| {
            (&plane[first..first + cells.len()], &weights.as_chunks().0[block])
        });
        let mut done = 0;
        while done < cells.len() {
            let (y, x) = ((first + done) / grid.width, (first + done) % grid.width);
            let count = (grid.width - x).min(cells.len() - done);
            isa.run(AddRow {
                cells: &mut cells[done..done + count],
                bias,
                residual: onto.features.map(|from| {
                    let shift = u32::from(from.grid != grid);
                    (from.row(block, y >> shift), x, shift)
                }),
                noise: noise.map(|(plane, weights)| (&plane[done..done + count], weights)),
            });
            done += count;
        }
    }
}

/// Cells of one row.
struct AddRow<'a> {
    cells: &'a mut [[f32; BLOCK]],
    bias: &'a [f32; BLOCK],
    /// A row, the column where `cells` begin, and by how much columns are shifted to find theirs.
    residual: Option<(&'a [[f32; BLOCK]], usize, u32)>,
    noise: Option<(&'a [f32], &'a [f32; BLOCK])>,
}

impl WithSimd for AddRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { cells, bias, residual, noise } = self;
        for (i, cell) in cells.iter_mut().enumerate() {
            for c in 0..BLOCK {
                cell[c] += bias[c];
            }
            if let Some((row, first, shift)) = residual {
                let row = &row[(first + i) >> shift];
                for c in 0..BLOCK {
                    cell[c] += row[c];
                }
            }
            if let Some((plane, weights)) = noise {
                for c in 0..BLOCK {
                    cell[c] += plane[i] * weights[c];
                }
            }
        }
    }
}
