//! The network here against the network as `spadework-model` writes it, over architectures that differ in everything
//! that can differ.

use std::{cell::RefCell, sync::Arc};

use candle_core::{Device, Result, Tensor};
use spadework_imaging::{InstanceMap, LabelMap};
use spadework_model::{Architecture, Generator, Grid, Modulation, Norm, Parameters, Tensors, Upsampling};

use super::Network;
use crate::{Input, Planner, isa::Isa, plain::PlainGenerator};

/// Largest difference of a value in [-1, 1] that is rounding.
const TOLERANCE: f32 = 2e-5;

/// Numbers that look random and are always the same.
struct Numbers(u64);

impl Numbers {
    /// Uniform in [-1, 1).
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn below(&mut self, bound: usize) -> usize {
        ((self.next() + 1.0) / 2.0 * bound as f32) as usize
    }

    fn take(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.next()).collect()
    }
}

/// Makes up every parameter that is asked for, scaled so that activations keep their size.
struct MadeUp {
    numbers: RefCell<Numbers>,
    tensors: RefCell<Tensors>,
}

impl Parameters for MadeUp {
    fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let fan_in = shape[1..].iter().product::<usize>().max(1) as f32;
        let one_hot = name.contains("mlp_shared");
        let values: Vec<f32> = (self.numbers.borrow_mut().take(shape.iter().product()).into_iter())
            .map(|value| match name {
                _ if name.ends_with("running_var") => 1.0 + 0.5 * value,
                "conv_img.weight" => 0.1 * value / fan_in.sqrt(), // keeps tanh out of saturation
                _ if one_hot || shape.len() == 1 => 0.5 * value,
                _ => value * (3.0 / fan_in).sqrt(),
            })
            .collect();
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        self.tensors.borrow_mut().insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    }
}

fn weights(architecture: &Architecture, seed: u64) -> Tensors {
    let made_up = MadeUp { numbers: RefCell::new(Numbers(seed)), tensors: RefCell::default() };
    Generator::new(&made_up, architecture).unwrap();
    made_up.tensors.into_inner()
}

fn input(architecture: &Architecture, seed: u64) -> Input {
    let mut numbers = Numbers(seed);
    let Grid { height, width } = architecture.mask;
    // A few rectangles on a background: large areas, straight and ragged borders.
    let mut ids = vec![0; height * width];
    let mut instances = vec![0; height * width];
    for shape in 0..8 {
        let (top, left) = (numbers.below(height), numbers.below(width));
        let (bottom, right) = (top + 1 + numbers.below(height - top), left + 1 + numbers.below(width - left));
        let label = numbers.below(architecture.label_planes()) as u8;
        for cell in (top..bottom).flat_map(|y| (left..right).map(move |x| y * width + x)) {
            ids[cell] = label;
            instances[cell] = shape + 1;
        }
    }
    let labels = LabelMap::new(width, height, ids, architecture.label_planes()).unwrap();
    let instances = InstanceMap::new(width, height, instances).unwrap();
    Input {
        plan: Arc::new(Planner::new(architecture).plan(&labels, Some(&instances)).unwrap()),
        z: architecture.z_dim.map(|z_dim| numbers.take(z_dim)),
        noise: architecture
            .noise_planes()
            .iter()
            .map(|grid| numbers.take(grid.height * grid.width))
            .collect(),
    }
}

fn small() -> Architecture {
    Architecture {
        label_nc: 7,
        unknown_label: true,
        instance_edges: true,
        mask: Grid { height: 64, width: 64 },
        grid: Grid { height: 2, width: 2 },
        upsampling: Upsampling::Normal,
        ngf: 3,
        hidden: 20,
        kernel: 3,
        norm: Norm::SyncBatch,
        modulation: Modulation::PerLayer,
        z_dim: None,
        noise: false,
        encoder: None,
    }
}

fn architectures() -> Vec<(&'static str, Architecture)> {
    let latent = Architecture { z_dim: Some(11), ..small() };
    let odd = Grid { height: 1, width: 3 };
    vec![
        ("mask start", small()),
        ("latent and noise", Architecture { noise: true, ..latent.clone() }),
        ("no edges, no unknown", Architecture { unknown_label: false, instance_edges: false, ..small() }),
        ("instance norm, 5×5", Architecture { norm: Norm::Instance, kernel: 5, ..latent.clone() }),
        ("1×1", Architecture { kernel: 1, norm: Norm::Batch, ..small() }),
        ("shared", Architecture { modulation: Modulation::Shared, noise: true, ..small() }),
        (
            "shared, instance norm, other mask size",
            Architecture {
                modulation: Modulation::Shared,
                norm: Norm::Instance,
                mask: Grid { height: 50, width: 70 },
                ..latent.clone()
            },
        ),
        ("more, odd grid", Architecture { upsampling: Upsampling::More, grid: odd, ngf: 2, ..small() }),
        (
            "most, mask of another size",
            Architecture {
                upsampling: Upsampling::Most,
                grid: Grid { height: 1, width: 1 },
                mask: Grid { height: 90, width: 100 },
                ngf: 4,
                ..latent.clone()
            },
        ),
        ("wider than a block", Architecture { ngf: 6, hidden: 33, ..latent }),
    ]
}

fn network(architecture: &Architecture, tensors: &Tensors, isa: Isa, threads: usize) -> Network {
    Network::load(architecture, tensors, isa, threads).unwrap()
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_architecture_makes_the_model_s_pictures_on_every_instruction_set() {
    for (index, (name, architecture)) in architectures().into_iter().enumerate() {
        let tensors = weights(&architecture, index as u64);
        let inputs = [input(&architecture, 100), input(&architecture, 101)];
        let plain = PlainGenerator::load(&architecture, &tensors, &Device::Cpu).unwrap();
        let expected = plain.generate(&inputs).unwrap();
        assert!(difference(&expected[0], &expected[1]) > 0.01, "{name}: pictures differ");
        let largest = expected[0].iter().fold(0.0f32, |a, b| a.max(b.abs()));
        assert!((0.1..0.9999).contains(&largest), "{name}: tanh hides errors at {largest}");
        for isa in Isa::available() {
            let pictures = network(&architecture, &tensors, isa, 2).generate(&inputs).unwrap();
            for (picture, expected) in pictures.iter().zip(&expected) {
                let error = difference(picture, expected);
                assert!(error <= TOLERANCE, "{name} on {}: off by {error}", isa.name());
            }
        }
    }
}

#[test]
fn a_picture_depends_neither_on_its_batch_nor_on_the_threads() {
    for (name, architecture) in architectures() {
        let tensors = weights(&architecture, 7);
        let inputs: Vec<Input> = (0..3).map(|seed| input(&architecture, seed)).collect();
        let together = network(&architecture, &tensors, Isa::best(), 3).generate(&inputs).unwrap();
        let mut alone = network(&architecture, &tensors, Isa::best(), 1);
        for (input, expected) in inputs.iter().zip(&together).rev() {
            let picture = alone.generate(std::slice::from_ref(input)).unwrap();
            assert_eq!(&picture[0], expected, "{name}");
        }
    }
}

#[test]
fn a_mask_planned_for_another_model_is_refused() {
    let (this, other) = (small(), Architecture { grid: Grid { height: 2, width: 1 }, ..small() });
    let mut network = network(&this, &weights(&this, 1), Isa::best(), 1);
    let error = network.generate(&[input(&other, 1)]).unwrap_err();
    assert_eq!(error.to_string(), "the mask was planned for another model");
}
