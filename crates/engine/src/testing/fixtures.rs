//! Architectures that differ in everything that can differ, with made-up weights and masks, for the tests that hold the
//! engines to the model.

use std::{cell::RefCell, sync::Arc};

use candle_core::{Device, Result, Tensor};
use spadework_imaging::{InstanceMap, LabelMap};
use spadework_model::{Architecture, Generator, Grid, Modulation, Norm, Parameters, Tensors, Upsampling};

pub(crate) use spadework_kernels::testing::TestNumbers;

use crate::{Input, Planner};

/// Makes up every parameter that is asked for, scaled so that activations keep their size.
struct MadeUp {
    numbers: RefCell<TestNumbers>,
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

pub(crate) fn weights(architecture: &Architecture, seed: u64) -> Tensors {
    let made_up = MadeUp { numbers: RefCell::new(TestNumbers(seed)), tensors: RefCell::default() };
    Generator::new(&made_up, architecture).unwrap();
    made_up.tensors.into_inner()
}

pub(crate) fn input(architecture: &Architecture, seed: u64) -> Input {
    let mut numbers = TestNumbers(seed);
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
    planned(architecture, numbers, ids, instances)
}

/// An input of a mask in which hardly any neighbourhood comes twice.
pub(crate) fn noisy(architecture: &Architecture, seed: u64) -> Input {
    let mut numbers = TestNumbers(seed);
    let cells = architecture.mask.height * architecture.mask.width;
    let ids = (0..cells).map(|_| numbers.below(architecture.label_planes()) as u8).collect();
    planned(architecture, numbers, ids, vec![0; cells])
}

fn planned(
    architecture: &Architecture,
    mut numbers: TestNumbers,
    ids: Vec<u8>,
    instances: Vec<u32>,
) -> Input {
    let Grid { height, width } = architecture.mask;
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

pub(crate) fn small() -> Architecture {
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

pub(crate) fn architectures() -> Vec<(&'static str, Architecture)> {
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

/// The largest difference of two images.
pub(crate) fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}
