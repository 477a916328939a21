//! The network here against the network as `spadework-model` writes it, over architectures that differ in everything
//! that can differ.

use candle_core::{DType, Device};
use spadework_model::{Architecture, Grid, Tensors};

use super::{CandleOperators, GpuGenerator, Target};
use crate::{
    Input,
    reference::PlainGenerator,
    testing::fixtures::{architectures, difference, input, small, weights},
};
use spadework_kernels::device::Event;

/// Largest difference of a value in [-1, 1] that is rounding, in f32.
const TOLERANCE: f32 = 2e-5;

fn network(architecture: &Architecture, tensors: &Tensors, dtype: DType) -> GpuGenerator {
    let operators = CandleOperators { device: Device::Cpu };
    let target = Target { device: Device::Cpu, dtype };
    GpuGenerator::load(architecture, tensors, target, Box::new(operators)).unwrap()
}

#[test]
fn every_architecture_makes_the_model_s_images() {
    for (index, (name, architecture)) in architectures().into_iter().enumerate() {
        let tensors = weights(&architecture, index as u64);
        let inputs = [input(&architecture, 100), input(&architecture, 101)];
        let plain = PlainGenerator::load(&architecture, &tensors, &Device::Cpu).unwrap();
        let expected = plain.generate(&inputs).unwrap();
        let images = network(&architecture, &tensors, DType::F32).generate_tensor(&inputs).unwrap();
        for (image, expected) in images.iter().zip(&expected) {
            let error = difference(image, expected);
            assert!(error <= TOLERANCE, "{name}: off by {error}");
        }
    }
}

#[test]
fn an_image_does_not_depend_on_its_batch_to_the_last_bit() {
    for (index, (name, architecture)) in architectures().into_iter().enumerate() {
        let tensors = weights(&architecture, index as u64);
        let mut inputs: Vec<Input> = (0..3).map(|seed| input(&architecture, seed)).collect();
        inputs.push(inputs[1].clone()); // shares its plan
        for dtype in [DType::F32, DType::BF16] {
            let network = network(&architecture, &tensors, dtype);
            let together = network.generate_tensor(&inputs).unwrap();
            for (input, expected) in inputs.iter().zip(&together).rev() {
                let alone = network.generate_tensor(std::slice::from_ref(input)).unwrap();
                assert!(alone[0] == *expected, "{name}, {dtype:?}: {}", difference(&alone[0], expected));
            }
        }
    }
}

#[test]
fn bytes_are_the_truncated_numbers() {
    let architecture = small();
    let network = network(&architecture, &weights(&architecture, 1), DType::F32);
    let inputs = [input(&architecture, 1), input(&architecture, 2)];
    let (bytes, numbers) = (network.generate(&inputs).unwrap(), network.generate_tensor(&inputs).unwrap());
    for (bytes, numbers) in bytes.iter().zip(&numbers) {
        let plane = numbers.len() / 3;
        let expected = (0..numbers.len()).map(|i| numbers[i % 3 * plane + i / 3]);
        let expected = expected.map(|x| ((x + 1.0) / 2.0 * 255.0).clamp(0.0, 255.0) as u8);
        assert_eq!(*bytes, expected.collect::<Vec<_>>());
    }
}

#[test]
fn batches_that_have_begun_together_make_the_bytes_of_each_alone() {
    for (index, (name, architecture)) in architectures().into_iter().enumerate() {
        let network = network(&architecture, &weights(&architecture, index as u64), DType::F32);
        let batches: Vec<Vec<Input>> = [1, 3, 2]
            .map(|size| (0..size).map(|seed| input(&architecture, 10 * size + seed)).collect())
            .into();
        let begin = |batch: &Vec<Input>| network.begin(batch, &Event::default()).unwrap().unwrap();
        let begun: Vec<_> = batches.iter().map(begin).collect();
        for (batch, begun) in batches.iter().zip(begun).rev() {
            assert!(begun.finish().unwrap().0 == network.generate(batch).unwrap(), "{name}");
        }
    }
}

#[test]
fn what_does_not_fit_the_model_is_refused() {
    let architecture = small();
    let network = network(&architecture, &weights(&architecture, 1), DType::F32);
    let refusal = |input: Input| network.generate(&[input]).unwrap_err().to_string();
    let other = Architecture { grid: Grid { height: 2, width: 1 }, ..small() };
    assert_eq!(refusal(input(&other, 1)), "the mask was planned for another model");
    let with_z = Input { z: Some(vec![0.0]), ..input(&architecture, 1) };
    assert_eq!(refusal(with_z), "this model has no latent; `z` was given");
    let with_noise = Input { noise: vec![vec![0.0]], ..input(&architecture, 1) };
    assert_eq!(refusal(with_noise), "1 noise planes were given, the model takes 0");
}
