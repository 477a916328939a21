//! Every form of a conv against a plain sum, over shapes that fill no block, tile or group evenly.

use proptest::prelude::*;
use spadework_kernels::testing;

use super::*;
use crate::cpu::{
    epilogue::Noise,
    features::{Features, cells},
    winograd::Tile,
};
use spadework_kernels::cpu::Bf16;

/// A conv to be computed.
#[derive(Clone, Debug)]
struct Case {
    channels: (usize, usize),
    kernel: usize,
    grid: Grid,
    onto_output: bool,
    /// A residual at the same resolution, or at half of it.
    residual: Option<bool>,
    noise: bool,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let grid = |heights, widths| (heights, widths).prop_map(|(height, width)| Grid { height, width });
    // Many channels, or a map of several groups of tiles.
    let shape = prop_oneof![
        (grid(1usize..21, 1usize..37), (1usize..70, 1usize..70)),
        (grid(60usize..90, 30usize..50), (1usize..4, 1usize..40)),
    ];
    let kernel = prop::sample::select(vec![1, 3]);
    let onto = (any::<bool>(), any::<Option<bool>>(), any::<bool>());
    (shape, kernel, onto, any::<u64>()).prop_map(|((grid, channels), kernel, onto, seed)| Case {
        channels,
        kernel,
        grid,
        onto_output: onto.0,
        residual: onto.1,
        noise: onto.2,
        seed,
    })
}

/// Elements in [-1, 1].
fn random(seed: u64, len: usize) -> Vec<f32> {
    testing::TestNumbers(seed).take(len)
}

/// What a form's products may differ from exact ones by, in units of a sum's standard deviation, and whether its numbers
/// are rounded to bf16 before.
fn forms(kernel: usize) -> Vec<(Form, f64, bool)> {
    let mut forms = Vec::new();
    for isa in Isa::available() {
        forms.push((Form::Direct(isa), 1e-5, false));
        if kernel == 3 {
            forms.push((Form::Winograd(isa, Tile::Two), 2e-5, false));
            forms.push((Form::Winograd(isa, Tile::Four), 1e-4, false));
        }
    }
    for bf16 in Bf16::available() {
        forms.push((Form::DirectBf16(bf16), 1e-5, true));
        forms.push((Form::ThreeBf16(bf16), 2e-4, false));
    }
    forms
}

/// A case's numbers.
struct TestNumbers {
    input: Vec<f32>,  // C H W
    weight: Vec<f32>, // (out, in, k, k)
    bias: Vec<f32>,
    /// What the output holds before, in blocks.
    before: Vec<f32>,
    /// A residual's grid and numbers, in blocks.
    residual: Option<(Grid, Vec<f32>)>,
    noise: (Vec<f32>, Vec<f32>),
}

/// C H W.
struct Planes<'a> {
    values: &'a [f32],
    channels: usize,
    grid: Grid,
}

impl Source for Planes<'_> {
    fn grid(&self) -> Grid {
        self.grid
    }

    fn row(&self, _: Isa, block: usize, y: usize, out: &mut [[f32; BLOCK]]) {
        for (x, cell) in out.iter_mut().enumerate() {
            *cell = std::array::from_fn(|c| match block * BLOCK + c {
                channel if channel < self.channels => {
                    self.values[channel * cells(self.grid) + y * self.grid.width + x]
                }
                _ => 0.0,
            });
        }
    }
}

impl Case {
    fn numbers(&self) -> TestNumbers {
        let Self { channels: (input, output), kernel, grid, seed, .. } = *self;
        let in_blocks = |grid| blocks(output) * cells(grid) * BLOCK;
        let residual_grid = |half| match half {
            true => Grid { height: grid.height.div_ceil(2), width: grid.width.div_ceil(2) },
            false => grid,
        };
        TestNumbers {
            input: random(seed, input * cells(grid)),
            weight: random(seed ^ 1, input * output * kernel * kernel),
            bias: random(seed ^ 2, output),
            before: random(seed ^ 3, in_blocks(grid)),
            residual: self.residual.map(residual_grid).map(|grid| (grid, random(seed ^ 4, in_blocks(grid)))),
            noise: (random(seed ^ 5, cells(grid)), random(seed ^ 6, blocks(output) * BLOCK)),
        }
    }

    /// The output in blocks, by the kernels.
    fn computed(&self, numbers: &TestNumbers, form: Form, isa: Isa) -> Vec<f32> {
        let conv = PackedConv::new(self.channels, self.kernel, &numbers.weight, &numbers.bias, form);
        let input = Planes { values: &numbers.input, channels: self.channels.0, grid: self.grid };
        let (plane, weights) = &numbers.noise;
        let residual = numbers.residual.as_ref();
        let onto = Onto {
            output: self.onto_output,
            features: residual.map(|(grid, values)| Features::new(values, self.channels.1, *grid)),
            noise: self.noise.then_some(Noise { plane, weights }),
        };
        let mut out = numbers.before.clone();
        let mut held = Buffer::zeroed(conv.held_len(self.grid, (self.seed % 2) as usize));
        conv.run(isa, &input, onto, (&mut held, &Scratch::new(1)), &mut out);
        out
    }

    /// One number of the output, plainly.
    fn expected(&self, numbers: &TestNumbers, (channel, cell): (usize, usize), sum: f64) -> f64 {
        let in_blocks =
            |plane: usize, cell: usize| (channel / BLOCK * plane + cell) * BLOCK + channel % BLOCK;
        let (y, x) = (cell / self.grid.width, cell % self.grid.width);
        let mut sum = sum + f64::from(numbers.bias[channel]);
        if self.onto_output {
            sum += f64::from(numbers.before[in_blocks(cells(self.grid), cell)]);
        }
        if let Some((grid, values)) = &numbers.residual {
            let shift = u32::from(*grid != self.grid);
            sum += f64::from(values[in_blocks(cells(*grid), (y >> shift) * grid.width + (x >> shift))]);
        }
        if self.noise {
            let (plane, weights) = &numbers.noise;
            sum += f64::from(plane[cell]) * f64::from(weights[channel]);
        }
        sum
    }

    /// The conv alone, C H W, in f64.
    fn sums(&self, input: &[f32], weight: &[f32]) -> Vec<f64> {
        let (Grid { height, width }, (inputs, outputs)) = (self.grid, self.channels);
        let (taps, reach) = (self.kernel * self.kernel, self.kernel / 2);
        let mut sums = vec![0.0; outputs * height * width];
        for (index, sum) in sums.iter_mut().enumerate() {
            let (channel, y, x) = (index / (height * width), index / width % height, index % width);
            for tap in 0..taps {
                let (from_y, from_x) = (y + tap / self.kernel, x + tap % self.kernel);
                if !(reach..height + reach).contains(&from_y) || !(reach..width + reach).contains(&from_x) {
                    continue;
                }
                let cell = (from_y - reach) * width + from_x - reach;
                for c in 0..inputs {
                    let weight = weight[(channel * inputs + c) * taps + tap];
                    *sum += f64::from(input[c * height * width + cell]) * f64::from(weight);
                }
            }
        }
        sums
    }
}

fn to_bf16(values: &[f32]) -> Vec<f32> {
    values.iter().map(|&value| value - bf16_remainder(value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_form_is_the_plain_sum(case in cases()) {
        let isa = Isa::available()[0];
        let numbers = case.numbers();
        let exact = case.sums(&numbers.input, &numbers.weight);
        let rounded = case.sums(&to_bf16(&numbers.input), &to_bf16(&numbers.weight));
        // Elements in [-1, 1] have a variance of a third.
        let deviation = ((case.channels.0 * case.kernel * case.kernel) as f64).sqrt() / 3.0;
        for (form, error, in_bf16) in forms(case.kernel) {
            let got = case.computed(&numbers, form, isa);
            let bound = error * (deviation + 1.0);
            for (index, &sum) in if in_bf16 { &rounded } else { &exact }.iter().enumerate() {
                let plane = cells(case.grid);
                let (channel, cell) = (index / plane, index % plane);
                let got = f64::from(got[(channel / BLOCK * plane + cell) * BLOCK + channel % BLOCK]);
                let want = case.expected(&numbers, (channel, cell), sum);
                prop_assert!((got - want).abs() <= bound, "{form:?}: {got} is not {want} within {bound}");
            }
        }
    }
}
