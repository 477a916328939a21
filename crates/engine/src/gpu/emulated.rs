//! The device kernels on the processor, against candle's operators and, as a whole network, against the model.

use candle_core::{DType, Device, Result, Tensor};
use proptest::{prelude::*, test_runner::TestCaseError};

use crate::{
    Input,
    gpu::{CandleOperators, ConvWeights, GpuGenerator, Lookup, Operators, Target, ToImage},
    reference::PlainGenerator,
    testing::fixtures::{TestNumbers, architectures, difference, input, weights},
};
use spadework_kernels::device::{
    Download, Event,
    generator::{EmulatedGenerator, Launch as _, ModulateArgs, add, gather, lookup, modulate, to_image},
};

/// As a device's operators, with a conv that fuses nothing.
struct Emulated {
    kernels: EmulatedGenerator,
    candle: CandleOperators,
}

impl Emulated {
    fn compile(dtype: DType) -> Self {
        Self { kernels: EmulatedGenerator::compile(dtype), candle: CandleOperators { device: Device::Cpu } }
    }
}

impl Operators for Emulated {
    fn begin(&self, after: &Event) -> Result<()> {
        self.candle.begin(after)
    }

    fn blank(&self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        self.candle.blank(shape, dtype)
    }

    fn upload(&self, len: usize, write: &mut dyn FnMut(&mut [u32])) -> Result<Tensor> {
        self.candle.upload(len, write)
    }

    fn upload_real(&self, numbers: &[f32]) -> Result<Tensor> {
        self.candle.upload_real(numbers)
    }

    fn lookup(&self, rows: &Tensor, conv: &Lookup, rectify: bool) -> Result<Tensor> {
        let out = Tensor::zeros((rows.dim(0)?, conv.bias.dim(0)?), conv.dtype, &Device::Cpu)?;
        self.kernels.launch(&lookup(rows, &conv.weights, &conv.bias, rectify, &out)?)?;
        Ok(out)
    }

    fn gather(&self, hidden: &Tensor, taps: &Tensor) -> Result<Tensor> {
        let ((rows, area), width) = (taps.dims2()?, hidden.dim(1)?);
        let out = Tensor::zeros((rows, area * width), hidden.dtype(), &Device::Cpu)?;
        self.kernels.launch(&gather(hidden, taps, &out)?)?;
        Ok(out)
    }

    fn product(&self, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<()> {
        self.candle.product(a, b, out)
    }

    fn modulate(&self, x: &Tensor, modulation: &ModulateArgs<'_>) -> Result<Tensor> {
        let (images, height, width) = modulation.ids.dims3()?;
        let out = Tensor::zeros((images, height, width, x.dim(3)?), x.dtype(), &Device::Cpu)?;
        self.kernels.launch(&modulate(x, modulation, &out)?)?;
        Ok(out)
    }

    fn conv(&self, x: &Tensor, conv: &ConvWeights, onto: Option<&Tensor>) -> Result<Tensor> {
        let y = self.candle.conv(x, &ConvWeights { bias: None, ..conv.clone() }, None)?;
        self.kernels.launch(&add(&y, conv.bias.as_ref(), onto, None)?)?;
        Ok(y)
    }

    fn add_noise(&self, x: Tensor, plane: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let x = x.copy()?; // the test still has the other
        self.kernels.launch(&add(&x, None, None, Some([plane, weight]))?)?;
        Ok(x)
    }

    fn image(&self, x: &Tensor, conv: &ToImage, out: &Tensor) -> Result<()> {
        self.kernels.launch(&to_image(x, &conv.weight, &conv.bias, out)?)
    }

    fn download(&self, images: &Tensor) -> Result<Box<dyn Download>> {
        self.candle.download(images)
    }
}

/// A tensor of made-up numbers in `dtype`.
fn made_up(seed: u64, shape: &[usize], dtype: DType) -> Tensor {
    let values = TestNumbers(seed).take(shape.iter().product());
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

/// Made-up whole numbers below `bound`.
fn indices(seed: u64, shape: &[usize], bound: usize) -> Tensor {
    let mut numbers = TestNumbers(seed);
    let values: Vec<u32> = (0..shape.iter().product()).map(|_| numbers.below(bound) as u32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Equal but for the last bit or two of a sum near 1 in f32, or for one rounding to bf16.
fn agree(kernel: Result<Tensor>, candle: Result<Tensor>) -> std::result::Result<(), TestCaseError> {
    let (kernel, candle) = (kernel.unwrap(), candle.unwrap());
    prop_assert_eq!(kernel.shape(), candle.shape());
    prop_assert_eq!(kernel.dtype(), candle.dtype());
    let allowed = if kernel.dtype() == DType::BF16 { 1.0 / 128.0 } else { 4e-6 };
    let flat = |tensor: &Tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
    for (a, b) in flat(&kernel).unwrap().into_iter().zip(flat(&candle).unwrap()) {
        prop_assert!((a - b).abs() <= allowed * b.abs().max(1.0), "{} instead of {}", a, b);
    }
    Ok(())
}

/// Channels that a thread takes one by one, and all at once.
const CHANNELS: [usize; 4] = [1, 6, 8, 24];

#[test]
fn every_kernel_does_what_candle_s_operator_does() {
    for dtype in [DType::F32, DType::BF16] {
        let on_cpu = Emulated::compile(dtype);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
        let inputs = (
            any::<u64>(),
            1usize..4,
            1usize..5,
            1usize..5,
            prop::sample::select(CHANNELS.to_vec()),
            any::<[bool; 3]>(),
        );
        runner.run(&inputs, |inputs| every_kernel(&on_cpu, dtype, inputs)).unwrap();
    }
}

fn every_kernel(
    on_cpu: &Emulated,
    dtype: DType,
    (seed, images, h, w, channels, [twice, first, second]): (u64, usize, usize, usize, usize, [bool; 3]),
) -> std::result::Result<(), TestCaseError> {
    let candle = &on_cpu.candle;
    let (height, width) = if twice { (2 * h, 2 * w) } else { (h, w) };
    let rows = 7;

    let conv = Lookup {
        weights: made_up(seed, &[5 * 9, channels], DType::F32),
        bias: made_up(seed + 1, &[channels], DType::F32),
        dtype,
    };
    let patches = indices(seed + 2, &[rows, 9], 5 * 9);
    agree(on_cpu.lookup(&patches, &conv, first), candle.lookup(&patches, &conv, first))?;

    let hidden = made_up(seed + 3, &[rows, channels], dtype);
    let taps = indices(seed + 4, &[11, 9], rows + 1);
    agree(on_cpu.gather(&hidden, &taps), candle.gather(&hidden, &taps))?;

    let x = made_up(seed + 5, &[images, h, w, channels], dtype);
    let modulation = ModulateArgs {
        ids: &indices(seed + 6, &[images, height, width], rows),
        table: &made_up(seed + 7, &[rows, 2 * channels], dtype),
        bias: &made_up(seed + 8, &[2, channels], DType::F32),
        normalise: &made_up(seed + 9, &[if first { images } else { 1 }, 2, channels], DType::F32),
        activate: second,
    };
    agree(on_cpu.modulate(&x, &modulation), candle.modulate(&x, &modulation))?;

    let y = made_up(seed + 10, &[images, height, width, channels], dtype);
    let (plane, weight) = (
        made_up(seed + 11, &[images, height, width], DType::F32),
        made_up(seed + 12, &[channels], DType::F32),
    );
    agree(on_cpu.add_noise(y.clone(), &plane, &weight), candle.add_noise(y.clone(), &plane, &weight))?;

    let bias = first.then(|| made_up(seed + 13, &[channels], DType::F32));
    let conv = ConvWeights {
        weight: made_up(seed + 14, &[channels, 1, 1, channels], dtype),
        bias,
        rounded_bias: None,
    };
    let onto = second.then_some(&x);
    let scale = ConvWeights { weight: (&conv.weight / channels as f64).unwrap(), ..conv };
    agree(on_cpu.conv(&y, &scale, onto), candle.conv(&y, &scale, onto))?;

    let weight = made_up(seed + 15, &[9, channels, 3], DType::F32).pad_with_zeros(2, 0, 1).unwrap();
    let to_image =
        ToImage { weight: (weight / channels as f64).unwrap(), bias: made_up(seed + 16, &[3], DType::F32) };
    let image_of = |operators: &dyn Operators, dtype| {
        let out = operators.blank(&[images, h, w, 3], dtype)?;
        operators.image(&x, &to_image, &out)?;
        Ok(out)
    };
    let image = |dtype| (image_of(on_cpu, dtype), image_of(candle, dtype));
    let (kernel, candle) = image(DType::F32);
    agree(kernel, candle)?;
    let (kernel, candle) = image(DType::U8);
    let flat = |tensor: Result<Tensor>| tensor.unwrap().flatten_all().unwrap().to_vec1::<u8>().unwrap();
    for (a, b) in flat(kernel).into_iter().zip(flat(candle)) {
        prop_assert!(a.abs_diff(b) <= 1, "byte {} instead of {}", a, b); // a value at the edge of two
    }
    Ok(())
}

#[test]
fn whole_networks_of_the_kernels_make_the_model_s_images() {
    let on = ["latent and noise", "instance norm, 5×5", "shared", "more, odd grid"];
    for (index, (name, architecture)) in architectures().into_iter().enumerate() {
        if !on.contains(&name) {
            continue;
        }
        let tensors = weights(&architecture, index as u64);
        let inputs: [Input; 2] = [input(&architecture, 100), input(&architecture, 101)];
        let plain = PlainGenerator::load(&architecture, &tensors, &Device::Cpu).unwrap();
        let target = Target { device: Device::Cpu, dtype: DType::F32 };
        let operators = Box::new(Emulated::compile(DType::F32));
        let network = GpuGenerator::load(&architecture, &tensors, target, operators).unwrap();
        let images = network.generate_tensor(&inputs).unwrap();
        for (image, expected) in images.iter().zip(&plain.generate(&inputs).unwrap()) {
            let error = difference(image, expected);
            assert!(error <= 2e-5, "{name}: off by {error}");
        }
    }
}
