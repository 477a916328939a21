//! Whole steps on a device beside the same on a CPU: with the kernels run on a processor, and on a CUDA device where
//! there is one.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use spadework_kernels::device::training::TrainingOperators;
use spadework_model::{Architecture, EncoderArchitecture, Modulation, Norm, Upsampling};

use super::*;
use crate::{
    networks::{ConvNorm, Discriminator, Initialisation, Normalisation, initialise},
    objective::KlReduction,
    reference::norm,
};
use spadework_autograd::{testing::architecture, testing::emulated, testing::numbers};

/// Largest ‖difference‖ / ‖CPU's‖ of a tensor.
const TOLERANCE: f64 = 1e-3;
/// What is smaller than this share of its network's largest tensor is nothing but rounding, and its error relative to that.
const VANISHING: f64 = 1e-4;
/// The same of bf16, over a network's gradients together. A few channels and norms over two cells magnify what is rounded.
const ROUNDED: f64 = 0.35;

/// Networks with everything that a step has: from a latent with encoder, noise, edges, batch norm and half-resolution
/// reads, and from a mask with instance norm and one predictor for all layers.
fn cases() -> Vec<(&'static str, Networks, Objective)> {
    let small = Discriminator { width: 3, ..Discriminator::default() };
    let latent = Networks {
        architecture: Architecture {
            z_dim: Some(4),
            noise: true,
            encoder: Some(EncoderArchitecture::Color { width: 2 }),
            ..architecture(3, Modulation::PerLayer)
        },
        generator_spectral: true,
        encoder_norm: ConvNorm::default(),
        discriminator: small,
    };
    let mask = Networks {
        architecture: Architecture {
            z_dim: None,
            norm: Norm::Instance,
            upsampling: Upsampling::Normal,
            ..architecture(3, Modulation::Shared)
        },
        discriminator: Discriminator {
            norm: ConvNorm { spectral: true, norm: Normalisation::Batch },
            ..small
        },
        ..latent.clone()
    };
    let objective = Objective {
        kl: 0.1,
        kl_reduction: KlReduction::Groups(1),
        low_resolution: 1.0,
        ..Objective::default()
    };
    vec![("latent", latent, objective), ("mask", mask, Objective { kl: 0.0, ..objective })]
}

fn batch(networks: &Networks, device: &Device) -> (Batch, Draws) {
    let architecture = &networks.architecture;
    let (h, w) = (architecture.mask.height, architecture.mask.width);
    let cell = |i: usize| (i / (h * w), i / w % h, i % w);
    let labels = (0..2 * h * w).map(cell);
    let labels = labels.map(|(n, y, x)| ((y / 9 + n) % 3 + usize::from(x > 11 + y / 5)) as u8).collect();
    let edges = (0..2 * h * w).map(cell).map(|(n, y, x)| u8::from(y % 9 == n || x == 11 + y / 5)).collect();
    let map = |values: Vec<u8>| Tensor::from_vec(values, (2, h, w), &Device::Cpu).unwrap();
    let there = |x: Tensor| x.to_dtype(DType::F32).unwrap().to_device(device).unwrap();
    let images = there(numbers(&[2, 3, h, w], 1));
    let noise = architecture.noise_planes().into_iter().zip(10..);
    let noise = noise.map(|(grid, seed)| there(numbers(&[2, 1, grid.height, grid.width], seed))).collect();
    let eps = architecture.z_dim.map(|z_dim| there(numbers(&[2, z_dim], 2)));
    (Batch { labels: map(labels), edges: Some(map(edges)), images }, Draws { eps, noise })
}

/// Losses, then gradients and buffers by name, after both steps; all on the CPU.
fn run(networks: &Networks, objective: Objective, backend: &Backend) -> (Losses, BTreeMap<String, Tensor>) {
    let state = initialise(networks, Initialisation::Default, 5, backend.device()).unwrap();
    let mut trainer = Trainer::new(networks.clone(), objective, state, None, None, backend.clone()).unwrap();
    let (batch, draws) = batch(networks, backend.device());
    let generator = trainer.generator_step(&batch, &draws).unwrap();
    let discriminator = trainer.discriminator_step(&batch, &draws).unwrap();
    let mut losses = generator.losses;
    losses.0.extend(discriminator.losses.0);
    let mut tensors = BTreeMap::new();
    let mut take = |network: &str, some: &BTreeMap<String, Tensor>| {
        let there = |(name, tensor): (&String, &Tensor)| {
            (format!("{network}.{name}"), tensor.detach().to_device(&Device::Cpu).unwrap())
        };
        tensors.extend(some.iter().map(there));
    };
    take("generator", &generator.generator);
    take("encoder", &generator.encoder.unwrap_or_default());
    take("discriminator", &discriminator.discriminator);
    take("generator after", &trainer.state.generator.tensors());
    take("discriminator after", &trainer.state.discriminator.tensors());
    take("pictures", &BTreeMap::from([("fake".to_owned(), generator.images)]));
    (losses, tensors)
}

/// Holds steps on a device to steps on a CPU.
fn agree(backend: &Backend) {
    for (case, networks, objective) in cases() {
        let (expected_losses, expected) = run(&networks, objective, &Backend::Cpu);
        let (losses, tensors) = run(&networks, objective, backend);
        for (name, expected) in &expected_losses.0 {
            let error = (losses.0[name] - expected).abs() / expected.abs();
            assert!(error < 1e-4, "{case}, loss {name}: {} instead of {expected}", losses.0[name]);
        }
        let mut worst = (0.0, String::new());
        for (name, expected) in &expected {
            let network = name.split('.').next().unwrap_or_default();
            let (size, scale) = (norm(expected).unwrap(), largest(&tensors, network));
            let size = if size < VANISHING * scale { scale } else { size }.max(f64::MIN_POSITIVE);
            let error = norm(&(&tensors[name] - expected).unwrap()).unwrap() / size;
            assert!(error <= TOLERANCE, "{case}, {name}: off by {error:e} of {size:e}");
            if error > worst.0 {
                worst = (error, name.clone());
            }
        }
        println!("{case}: {} tensors, the worst is {worst:?}", expected.len());
    }
}

fn largest(tensors: &BTreeMap<String, Tensor>, network: &str) -> f64 {
    let of_network = tensors.iter().filter(|(name, _)| name.split('.').next() == Some(network));
    of_network.map(|(_, tensor)| norm(tensor).unwrap()).fold(0.0, f64::max)
}

/// Products of bf16 move a network's gradients a little, and no number out of bounds.
fn agree_roughly(backend: &Backend) {
    for (case, networks, objective) in cases() {
        let (_, expected) = run(&networks, objective, &Backend::Cpu);
        let (losses, tensors) = run(&networks, objective, backend);
        assert!(losses.0.values().all(|loss| loss.is_finite()), "{case}: {losses:?}");
        for network in ["generator", "discriminator", "pictures"] {
            let squares = |tensors: Vec<Tensor>| {
                tensors.iter().map(|tensor| norm(tensor).unwrap().powi(2)).sum::<f64>().sqrt()
            };
            let named = |name: &&String| name.split('.').next() == Some(network);
            let distance =
                expected.keys().filter(named).map(|name| (&tensors[name] - &expected[name]).unwrap());
            let all = expected.keys().filter(named).map(|name| expected[name].clone());
            let error = squares(distance.collect()) / squares(all.collect());
            println!("{case}, {network} in bf16: off by {error:.1e}");
            assert!(error > 0.0 && error <= ROUNDED, "{case}, {network}: off by {error}");
        }
    }
}

#[test]
fn a_step_on_a_device_is_a_step_on_a_cpu() {
    agree(&emulated());
}

#[test]
fn a_step_of_bf16_products_is_nearly_the_same() {
    agree_roughly(&Backend::Device(Arc::new(TrainingOperators::emulated(true))));
}

#[cfg(feature = "cuda")]
mod cuda {
    use super::*;
    use spadework_autograd::testing::cuda;

    fn in_bf16() -> Backend {
        Backend::Device(Arc::new(TrainingOperators::open(0, Some(DType::BF16)).unwrap()))
    }

    #[test]
    #[ignore = "needs a CUDA device"]
    fn a_step_on_a_cuda_device_is_a_step_on_a_cpu() {
        agree(&cuda());
        agree_roughly(&in_bf16());
    }

    #[test]
    #[ignore = "needs a CUDA device"]
    fn the_same_state_gives_the_same_bits() {
        for backend in [cuda(), in_bf16()] {
            for (case, networks, objective) in cases() {
                let (losses, expected) = run(&networks, objective, &backend);
                for time in 0..10 {
                    let (again, tensors) = run(&networks, objective, &backend);
                    assert_eq!(again, losses, "{case}, {time}");
                    for (name, tensor) in &tensors {
                        let same = norm(&(tensor - &expected[name]).unwrap()).unwrap() == 0.0;
                        assert!(same, "{case}, {time}: {name} differs");
                    }
                }
            }
        }
    }
}
