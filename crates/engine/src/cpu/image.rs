//! The last layer: leaky ReLU, conv 3×3 to three colours, tanh.

use rayon::prelude::*;
use spadework_model::{Grid, Prefixed};

use super::{
    activations::Activations,
    conv::{Conv, Onto},
    network::Scratch,
    policy::Policy,
    read::numbers,
};
use crate::{
    EngineError,
    isa::{BLOCK, Isa},
};

const COLOURS: usize = 3;
const KERNEL: usize = 3;
const TAPS: usize = KERNEL * KERNEL;

/// Three output channels would leave most of a block idle. A 1×1 conv computes all nine taps of the three colours as 27
/// channels instead, and every pixel adds up its neighbours' share.
#[derive(Debug)]
pub(super) struct ToImage {
    pub(super) taps: Conv, // C → [tap][colour]
    bias: [f32; COLOURS],
}

impl ToImage {
    pub(super) fn read(
        root: &Prefixed<'_>,
        channels: usize,
        picture: Grid,
        policy: Policy,
    ) -> Result<Self, EngineError> {
        let part = root.part("conv_img");
        let weight = numbers(&part, "weight", &[COLOURS, channels, KERNEL, KERNEL])?; // (3, C, 3, 3)
        let mut by_tap = vec![0.0; weight.len()]; // (tap · 3 + colour, C)
        for (i, value) in weight.iter().enumerate() {
            let (colour, channel, tap) = (i / (channels * TAPS), i / TAPS % channels, i % TAPS);
            by_tap[(tap * COLOURS + colour) * channels + channel] = *value;
        }
        let bias = numbers(&part, "bias", &[COLOURS])?;
        let shape = (channels, TAPS * COLOURS);
        let taps = Conv::new(shape, 1, &by_tap, &[0.0; TAPS * COLOURS], policy.to_image(picture));
        Ok(Self { taps, bias: [bias[0], bias[1], bias[2]] })
    }

    /// The picture, C H W in [-1, 1], from activated features; `products` is working memory of one block.
    pub(super) fn run(
        &self,
        isa: Isa,
        activated: &Activations,
        grid: Grid,
        scratch: &Scratch,
        products: &mut [f32],
    ) -> Vec<f32> {
        self.taps.run(isa, activated, grid, Onto::default(), (&mut [], scratch), products);
        let products: &[[f32; BLOCK]] = products.as_chunks().0;
        let mut picture = vec![0.0; COLOURS * grid.height * grid.width];
        picture.par_chunks_exact_mut(grid.width).enumerate().for_each(|(index, row)| {
            let (colour, y) = (index / grid.height, index % grid.height);
            for (x, value) in row.iter_mut().enumerate() {
                *value = (self.bias[colour] + sum_taps(products, grid, y, x, colour)).tanh();
            }
        });
        picture
    }
}

fn sum_taps(products: &[[f32; BLOCK]], grid: Grid, y: usize, x: usize, colour: usize) -> f32 {
    let mut sum = 0.0;
    for (row, y) in (0..KERNEL).map(|row| (row, y + row)) {
        for (column, x) in (0..KERNEL).map(|column| (column, x + column)) {
            if (1..=grid.height).contains(&y) && (1..=grid.width).contains(&x) {
                let cell = (y - 1) * grid.width + x - 1;
                sum += products[cell][(row * KERNEL + column) * COLOURS + colour];
            }
        }
    }
    sum
}
