//! The last layer: leaky ReLU, conv 3×3 to three colours, tanh.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use spadework_model::{Grid, Prefixed};

use super::{
    conv::PackedConv, epilogue::Onto, policy::Policy, read::numbers, scratch::Scratch, source::Source,
};
use crate::EngineError;
use spadework_kernels::cpu::{BLOCK, Isa};

const COLOURS: usize = 3;
const KERNEL: usize = 3;
const TAPS: usize = KERNEL * KERNEL;

/// Three output channels would leave most of a block idle. A 1×1 conv computes all nine taps of the three colours as 27
/// channels instead, and every pixel adds up its neighbours' share.
#[derive(Debug)]
pub(super) struct ToImage {
    pub(super) taps: PackedConv, // C → [tap][colour]
    bias: [f32; COLOURS],
}

impl ToImage {
    pub(super) fn read(root: &Prefixed<'_>, channels: usize, policy: Policy) -> Result<Self, EngineError> {
        let part = root.part("conv_img");
        let weight = numbers(&part, "weight", &[COLOURS, channels, KERNEL, KERNEL])?; // (3, C, 3, 3)
        let mut by_tap = vec![0.0; weight.len()]; // (tap · 3 + colour, C)
        for (i, value) in weight.iter().enumerate() {
            let (colour, channel, tap) = (i / (channels * TAPS), i / TAPS % channels, i % TAPS);
            by_tap[(tap * COLOURS + colour) * channels + channel] = *value;
        }
        let bias = numbers(&part, "bias", &[COLOURS])?;
        let shape = (channels, TAPS * COLOURS);
        let taps = PackedConv::new(shape, 1, &by_tap, &[0.0; TAPS * COLOURS], policy.conv(1));
        Ok(Self { taps, bias: [bias[0], bias[1], bias[2]] })
    }

    /// The image, C H W in [-1, 1], from activated features; `products` is working memory of one block.
    pub(super) fn run(
        &self,
        isa: Isa,
        activated: &dyn Source,
        memory: (&mut [f32], &Scratch),
        products: &mut [f32],
    ) -> Vec<f32> {
        let grid = activated.grid();
        self.taps.run(isa, activated, Onto::default(), memory, products);
        let products: &[[f32; BLOCK]] = products.as_chunks().0;
        let plane = grid.height * grid.width;
        let mut image = vec![0.0; COLOURS * plane];
        let (red, others) = image.split_at_mut(plane);
        let (green, blue) = others.split_at_mut(plane);
        let [red, green, blue] = [red, green, blue].map(|plane| plane.par_chunks_exact_mut(grid.width));
        red.zip(green).zip(blue).enumerate().for_each(|(y, ((red, green), blue))| {
            isa.run(ImageRow { products, grid, y, bias: self.bias, out: [red, green, blue] });
        });
        image
    }
}

/// One row of the image.
struct ImageRow<'a> {
    products: &'a [[f32; BLOCK]], // of every cell
    grid: Grid,
    y: usize,
    bias: [f32; COLOURS],
    out: [&'a mut [f32]; COLOURS],
}

impl WithSimd for ImageRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        for x in 0..self.grid.width {
            let sums = self.sum_taps(x);
            for ((row, bias), sum) in self.out.iter_mut().zip(self.bias).zip(sums) {
                row[x] = bias + sum;
            }
        }
        self.out.iter_mut().for_each(|row| tanh(row));
    }
}

impl ImageRow<'_> {
    #[inline(always)]
    fn sum_taps(&self, x: usize) -> [f32; COLOURS] {
        let mut sums = [0.0; COLOURS + 1]; // a whole vector: one more than is used
        for row in 0..KERNEL {
            for column in 0..KERNEL {
                let (y, x) = (self.y + row, x + column);
                if (1..=self.grid.height).contains(&y) && (1..=self.grid.width).contains(&x) {
                    let products = &self.products[(y - 1) * self.grid.width + x - 1];
                    let first = (row * KERNEL + column) * COLOURS;
                    for (sum, product) in sums.iter_mut().zip(&products[first..]) {
                        *sum += product;
                    }
                }
            }
        }
        [sums[0], sums[1], sums[2]]
    }
}

/// tanh, to 5·10⁻⁷: the rational approximation of the Eigen library, in operations that compile to vectors.
#[inline(always)]
fn tanh(values: &mut [f32]) {
    /// Beyond it, 1 is as near as the approximation.
    const SATURATED: f32 = 7.905_311;
    const ODD: [f32; 7] = [
        -2.760_768_5e-16,
        2.000_188e-13,
        -8.604_672e-11,
        5.122_297e-8,
        1.485_722_4e-5,
        6.372_619e-4,
        4.893_524_6e-3,
    ];
    const EVEN: [f32; 4] = [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3];
    for value in values {
        let x = *value;
        let square = x * x;
        let polynomial = |coefficients: &[f32]| coefficients.iter().fold(0.0, |sum, c| sum * square + c);
        let inside = (x * polynomial(&ODD) / polynomial(&EVEN)).clamp(-1.0, 1.0);
        *value = if x.abs() >= SATURATED { 1.0f32.copysign(x) } else { inside };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tanh_is_tanh(numbers in prop::collection::vec(prop_oneof![-10.0f32..10.0, -0.01f32..0.01, any::<f32>()], 1..40)) {
            let mut values = numbers.clone();
            tanh(&mut values);
            for (value, number) in values.iter().zip(&numbers) {
                prop_assert!((value - number.tanh()).abs() <= 5e-7 || number.is_nan(), "tanh({number}) = {value}");
            }
        }
    }

    #[test]
    fn the_largest_numbers_are_exactly_white_and_black() {
        let mut values = [9.1, f32::INFINITY, -9.1, f32::NEG_INFINITY, 0.0];
        tanh(&mut values);
        assert_eq!(values, [1.0, 1.0, -1.0, -1.0, 0.0]);
    }
}
