//! What only a GPU can show. `deploy/cuda/check` runs these on one; elsewhere they are ignored.

mod graphs;

use std::time::Duration;

use candle_core::{CudaDevice, DType, Device, Tensor};
use spadework_model::{Architecture, Tensors};

use spadework_kernels::cuda::{forbid_in_capture, open};

use super::{network, operators::CudaOperators};
use crate::{
    Input, Precision,
    gpu::{CandleOperators, ConvWeights, GpuGenerator, Lookup, Operators, Target, ToImage},
    reference::PlainGenerator,
    testing::fixtures::{TestNumbers, architectures, difference, input, small, weights},
};
use spadework_kernels::device::{Download, Event, generator::ModulateArgs};

/// Largest difference of a value in [-1, 1] from the processor's, in f32 without TF32.
const TOLERANCE: f32 = 1e-4;

/// Wide enough for tensor cores, odd enough for none, and both start forms.
fn networks() -> Vec<(String, Architecture)> {
    let wide = Architecture { ngf: 16, hidden: 64, ..small() };
    let names = architectures().into_iter().map(|(name, architecture)| (name.to_owned(), architecture));
    names.chain([("tensor cores".to_owned(), wide)]).collect()
}

fn on_device(architecture: &Architecture, tensors: &Tensors, precision: Precision) -> GpuGenerator {
    network(architecture, tensors, &open(0).unwrap(), precision, false).unwrap().0
}

fn inputs(architecture: &Architecture, count: u64) -> Vec<Input> {
    (0..count).map(|seed| input(architecture, 100 + seed)).collect()
}

/// So many runs, or `SPADEWORK_RUNS` where that is less: an emulated device is slow.
fn runs(most: usize) -> usize {
    let least = std::env::var("SPADEWORK_RUNS").ok().and_then(|text| text.parse().ok());
    least.map_or(most, |least: usize| least.min(most))
}

/// Decibels, of values in [-1, 1].
fn psnr(a: &[f32], b: &[f32]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    10.0 * (4.0 * a.len() as f64 / squares.max(f64::MIN_POSITIVE)).log10()
}

fn on(device: &CudaDevice, seed: u64, shape: &[usize], dtype: DType) -> Tensor {
    let values = TestNumbers(seed).take(shape.iter().product());
    let tensor = Tensor::from_vec(values, shape, &Device::Cuda(device.clone())).unwrap();
    tensor.to_dtype(dtype).unwrap()
}

fn indices(device: &CudaDevice, seed: u64, shape: &[usize], bound: usize) -> Tensor {
    let mut numbers = TestNumbers(seed);
    let values: Vec<u32> = (0..shape.iter().product()).map(|_| numbers.below(bound) as u32).collect();
    Tensor::from_vec(values, shape, &Device::Cuda(device.clone())).unwrap()
}

fn agree(what: &str, fast: &Tensor, candle: &Tensor) {
    let allowed = if fast.dtype() == DType::BF16 { 1.0 / 64.0 } else { 2e-5 };
    let flat = |tensor: &Tensor| -> Vec<f32> {
        tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    assert_eq!(fast.shape(), candle.shape(), "{what}");
    for (a, b) in flat(fast).into_iter().zip(flat(candle)) {
        assert!((a - b).abs() <= allowed * b.abs().max(1.0), "{what}: {a} instead of {b}");
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn every_operator_does_what_candle_s_does() {
    let device = open(0).unwrap();
    let candle = CandleOperators { device: Device::Cuda(device.clone()) };
    for dtype in [DType::F32, DType::BF16] {
        let fast = CudaOperators::new(&device, dtype, false).unwrap();
        for channels in [3, 6, 8, 64, 256] {
            let what = |operator: &str| format!("{operator} of {channels} channels in {dtype:?}");
            let conv = Lookup {
                weights: on(&device, 1, &[90, channels], DType::F32),
                bias: on(&device, 2, &[channels], DType::F32),
                dtype,
            };
            let rows = indices(&device, 3, &[500, 9], 90);
            let hidden = fast.lookup(&rows, &conv, true).unwrap();
            agree(&what("lookup"), &hidden, &candle.lookup(&rows, &conv, true).unwrap());

            let taps = indices(&device, 4, &[700, 9], 501);
            let gathered = fast.gather(&hidden, &taps).unwrap();
            agree(&what("gather"), &gathered, &candle.gather(&hidden, &taps).unwrap());

            let second = (on(&device, 5, &[9 * channels, 2 * channels], dtype) / channels as f64).unwrap();
            let product = |operators: &dyn Operators| {
                let out = operators.blank(&[700, 2 * channels], dtype).unwrap();
                operators.product(&gathered, &second, &out).unwrap();
                out
            };
            let table = product(&fast);
            agree(&what("product"), &table, &product(&candle));

            for (side, images) in [(16, 3), (8, 3)] {
                let x = on(&device, 6, &[images, side, side, channels], dtype);
                let modulation = ModulateArgs {
                    ids: &indices(&device, 7, &[images, 16, 16], 700),
                    table: &table,
                    bias: &on(&device, 8, &[2, channels], DType::F32),
                    normalise: &on(&device, 9, &[images, 2, channels], DType::F32),
                    activate: true,
                };
                let y = fast.modulate(&x, &modulation).unwrap();
                agree(&what("modulate"), &y, &candle.modulate(&x, &modulation).unwrap());

                for kernel in [1, 3] {
                    let weight = on(&device, 10, &[channels, kernel, kernel, channels], dtype);
                    let bias = on(&device, 11, &[channels], DType::F32);
                    let conv = ConvWeights {
                        weight: (weight / (channels * kernel) as f64).unwrap(),
                        rounded_bias: Some(bias.to_dtype(dtype).unwrap()),
                        // What cuDNN adds is rounded; let both add the same.
                        bias: Some(bias.to_dtype(dtype).unwrap().to_dtype(DType::F32).unwrap()),
                    };
                    let what = what(&format!("conv {kernel}×{kernel}"));
                    agree(
                        &what,
                        &fast.conv(&y, &conv, None).unwrap(),
                        &candle.conv(&y, &conv, None).unwrap(),
                    );
                    let onto = Some(&x);
                    agree(
                        &what,
                        &fast.conv(&y, &conv, onto).unwrap(),
                        &candle.conv(&y, &conv, onto).unwrap(),
                    );
                }
            }
            let x = on(&device, 12, &[2, 16, 16, channels], dtype);
            let weight = (on(&device, 13, &[9, channels, 4], DType::F32) / channels as f64).unwrap();
            let to_image = ToImage { weight, bias: on(&device, 14, &[3], DType::F32) };
            let image = |operators: &dyn Operators| {
                let out = operators.blank(&[2, 16, 16, 3], DType::F32).unwrap();
                operators.image(&x, &to_image, &out).unwrap();
                out
            };
            agree(&what("picture"), &image(&fast), &image(&candle));
        }
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn every_architecture_makes_the_processor_s_images() {
    for (index, (name, architecture)) in networks().into_iter().enumerate() {
        let tensors = weights(&architecture, index as u64);
        let inputs = inputs(&architecture, 3);
        let expected = PlainGenerator::load(&architecture, &tensors, &Device::Cpu).unwrap();
        let expected = expected.generate(&inputs).unwrap();
        for (precision, least) in
            [(Precision::Highest, 90.0), (Precision::High, 55.0), (Precision::Medium, 35.0)]
        {
            let network = on_device(&architecture, &tensors, precision);
            for (image, expected) in network.generate_tensor(&inputs).unwrap().iter().zip(&expected) {
                let (error, decibels) = (difference(image, expected), psnr(image, expected));
                println!("{name}, {precision}: largest difference {error:.1e}, {decibels:.1} dB");
                assert!(precision != Precision::Highest || error <= TOLERANCE, "{name}: off by {error}");
                assert!(decibels >= least, "{name}, {precision}: {decibels} dB");
            }
        }
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn candle_s_operators_on_the_device_make_the_same_images() {
    let device = open(0).unwrap();
    for (index, (name, architecture)) in networks().into_iter().enumerate() {
        let tensors = weights(&architecture, index as u64);
        let inputs = inputs(&architecture, 2);
        let target = Target { device: Device::Cuda(device.clone()), dtype: DType::F32 };
        let operators = Box::new(CandleOperators { device: target.device.clone() });
        let judge = GpuGenerator::load(&architecture, &tensors, target, operators).unwrap();
        let fast = on_device(&architecture, &tensors, Precision::Highest);
        let images = fast.generate_tensor(&inputs).unwrap();
        for (image, expected) in images.iter().zip(&judge.generate_tensor(&inputs).unwrap()) {
            let error = difference(image, expected);
            assert!(error <= TOLERANCE, "{name}: off by {error}");
        }
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn an_image_does_not_depend_on_its_batchmates_to_the_last_bit() {
    for (index, (name, architecture)) in networks().into_iter().enumerate() {
        let tensors = weights(&architecture, index as u64);
        let inputs = inputs(&architecture, 8);
        for precision in [Precision::Highest, Precision::Medium] {
            let network = on_device(&architecture, &tensors, precision);
            let expected = network.generate(&inputs[..1]).unwrap().remove(0);
            for size in [2, 3, 4, 8] {
                let mut batch = inputs[..size].to_vec();
                batch.reverse();
                let images = network.generate(&batch).unwrap();
                let differing = images[size - 1].iter().zip(&expected).filter(|(a, b)| a != b).count();
                assert_eq!(differing, 0, "{name}, {precision}, batch of {size}: bytes that differ");
            }
        }
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn a_hundred_runs_make_the_same_bytes() {
    for (index, (name, architecture)) in networks().into_iter().enumerate() {
        let tensors = weights(&architecture, index as u64);
        let inputs = inputs(&architecture, 4);
        let network = on_device(&architecture, &tensors, Precision::Medium);
        let expected = network.generate(&inputs).unwrap();
        for run in 0..runs(100) {
            assert!(network.generate(&inputs).unwrap() == expected, "{name}: run {run} differs");
        }
    }
}

/// Begins batches while others run, two of one network and two of the other in turn: each makes what it makes alone.
fn take_turns(
    networks: &[GpuGenerator; 2],
    batches: &[Vec<Input>],
    expected: &[Vec<Vec<Vec<u8>>>],
    turns: usize,
    batch_of: impl Fn(usize) -> usize,
) {
    let start = std::time::Instant::now();
    let (mut after, mut sum) = (Event::default(), Duration::ZERO);
    let mut running: Option<(Box<dyn Download>, usize, usize)> = None;
    for turn in 0..turns {
        let (which, batch) = (turn / 2 % 2, batch_of(turn));
        let begun = networks[which].begin(&batches[batch], &after).unwrap().unwrap();
        after = begun.event();
        if let Some((before, which, batch)) = running.replace((begun, which, batch)) {
            let (images, ran) = before.finish().unwrap();
            assert!(images == expected[which][batch], "turn {turn}");
            assert!(ran > Duration::ZERO, "turn {turn}");
            sum += ran;
        }
    }
    drop(running);
    // Each batch's time is its own: together they fit into the time that has passed.
    assert!(sum <= start.elapsed(), "{sum:?} in {:?}", start.elapsed());
}

#[test]
#[ignore = "needs a CUDA device"]
fn batches_that_begin_while_another_runs_make_the_same_bytes_and_take_turns() {
    let (_, architecture) = networks().pop().unwrap();
    let network = |seed| on_device(&architecture, &weights(&architecture, seed), Precision::Highest);
    let networks = [network(5), network(6)]; // a stream each
    let batches: Vec<Vec<Input>> = (1..=4).map(|size| inputs(&architecture, 2 * size)).collect();
    let expected: Vec<Vec<Vec<Vec<u8>>>> = (networks.iter())
        .map(|network| batches.iter().map(|batch| network.generate(batch).unwrap()).collect())
        .collect();
    // Twice the same network, then the other, with ever another batch.
    take_turns(&networks, &batches, &expected, runs(200), |turn| turn % batches.len());
}

#[test]
#[ignore = "needs a CUDA device"]
fn the_end_of_a_batch_is_waited_for_on_another_thread_while_the_next_begins() {
    let (_, architecture) = networks().pop().unwrap();
    let network = on_device(&architecture, &weights(&architecture, 8), Precision::Highest);
    let inputs = inputs(&architecture, 4);
    let expected = network.generate(&inputs).unwrap();
    let mut running = network.begin(&inputs, &Event::default()).unwrap().unwrap();
    for turn in 0..runs(50) {
        let end = running.event();
        let waiting = std::thread::spawn(move || {
            end.wait();
            end.is_complete()
        });
        let next = network.begin(&inputs, &running.event()).unwrap().unwrap();
        assert!(waiting.join().unwrap(), "turn {turn}");
        let (images, _) = std::mem::replace(&mut running, next).finish().unwrap();
        assert!(images == expected, "turn {turn}");
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn a_batch_that_is_dropped_leaves_its_memory_to_the_next() {
    let (_, architecture) = networks().pop().unwrap();
    let network = on_device(&architecture, &weights(&architecture, 7), Precision::Highest);
    let (one, other) = (inputs(&architecture, 8), inputs(&architecture, 3));
    let expected = network.generate(&other).unwrap();
    for _ in 0..runs(50) {
        drop(network.begin(&one, &Event::default()).unwrap());
        assert!(network.generate(&other).unwrap() == expected);
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn engines_on_two_threads_do_not_disturb_one_another() {
    let (_, architecture) = networks().pop().unwrap();
    let tensors = weights(&architecture, 3);
    let inputs = inputs(&architecture, 4);
    let expected = on_device(&architecture, &tensors, Precision::Highest).generate(&inputs).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            // Built here, used there, as a server does.
            let network = on_device(&architecture, &tensors, Precision::Highest);
            let (inputs, expected) = (&inputs, &expected);
            scope.spawn(move || {
                for _ in 0..runs(50) {
                    assert!(network.generate(inputs).unwrap() == *expected);
                }
            });
        }
    });
}

#[test]
#[ignore = "needs a CUDA device"]
fn a_full_device_says_so_and_works_again_once_there_is_room() {
    let (_, architecture) = networks().pop().unwrap();
    let tensors = weights(&architecture, 4);
    let inputs = inputs(&architecture, 16);
    let network = on_device(&architecture, &tensors, Precision::Highest);
    let expected = network.generate(&inputs).unwrap();
    let device = open(0).unwrap();
    let mut filling = Vec::new();
    for size in [1usize << 30, 1 << 24, 1 << 20] {
        while let Ok(memory) = device.alloc_zeros::<u8>(size) {
            filling.push(memory);
        }
    }
    let large: Vec<Input> = inputs.iter().cycle().take(512).cloned().collect();
    let error = network.generate(&large).map(drop).unwrap_err();
    assert!(error.is_out_of_memory() && !error.is_device_lost(), "{error:?}");
    filling.clear();
    device.cuda_stream().synchronize().unwrap();
    assert!(network.generate(&inputs).unwrap() == expected);
}

#[test]
#[ignore = "needs a CUDA device"]
fn a_device_that_is_not_there_is_named() {
    let Err(spadework_kernels::device::DeviceError { name, reason }) = open(1000) else {
        panic!("there is a thousandth device")
    };
    assert_eq!(name, "cuda:1000");
    assert!(reason.contains("numbered from 0"), "{reason}");
}
