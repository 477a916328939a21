//! What is exported beside what was trained: one makes the images of the other.

use candle_core::{DType, Device, Result, Tensor};
use spadework_checkpoint::{CONFIG_VERSION, ModelConfig, WeightType, read_model, write_model};
use spadework_model::{Architecture, EncoderArchitecture, Grid, LabelBatch, Modulation, Posterior, one_hot};

use super::*;
use crate::{
    networks::{Initialisation, Mode, Networks, initialise},
    objective::Objective,
    state::Variables,
    step::Trainer,
};
use spadework_autograd::{Backend, power_iteration, testing::architecture, testing::numbers};

const TOLERANCE: f64 = 2e-5;
const BATCH: usize = 2;

fn networks(modulation: Modulation, encoder: EncoderArchitecture) -> Networks {
    let architecture = Architecture {
        ngf: 2,
        z_dim: Some(4),
        noise: true,
        encoder: Some(encoder),
        ..architecture(3, modulation)
    };
    Networks {
        architecture,
        generator_spectral: true,
        encoder_norm: Default::default(),
        discriminator: Default::default(),
    }
}

/// A batch of masks, and everything that an image of each is made from.
struct Batch {
    ids: Vec<u8>,
    edges: Vec<u8>,
    images: Tensor,
    eps: Tensor,
    noise: Vec<Tensor>,
}

impl Batch {
    fn new(architecture: &Architecture, seed: u64) -> Result<Self> {
        let Grid { height, width } = architecture.mask;
        let cells =
            || (0..BATCH * height * width).map(|i| (i / (height * width), i / width % height, i % width));
        let random = |shape: &[usize], seed| numbers(shape, seed).to_dtype(DType::F32);
        let planes = (seed + 2..).zip(architecture.noise_planes());
        Ok(Self {
            ids: cells().map(|(n, y, x)| ((y / 9 + n) % 3 + usize::from(x > 11 + y / 5)) as u8).collect(),
            edges: cells().map(|(n, y, x)| u8::from(y % 9 == n || x == 11 + y / 5)).collect(),
            images: random(&[BATCH, 3, height, width], seed)?,
            eps: random(&[BATCH, 4], seed + 1)?,
            noise: planes
                .map(|(seed, grid)| random(&[BATCH, 1, grid.height, grid.width], seed))
                .collect::<Result<_>>()?,
        })
    }

    /// The trainer's images, and the posterior of their latents.
    fn trained(&self, trainer: &Trainer, averaged: &Averaged, mode: Mode) -> Result<(Tensor, Posterior)> {
        let Grid { height, width } = trainer.networks().architecture.mask;
        let masks = |ids: &[u8]| Tensor::from_slice(ids, (BATCH, height, width), &Device::Cpu);
        let (labels, edges) = (masks(&self.ids)?, masks(&self.edges)?);
        let posterior = trainer.posterior(averaged.encoder.as_ref().unwrap(), &self.images)?;
        let z = posterior.sample(&self.eps)?;
        let masks = (&labels, Some(&edges));
        Ok((trainer.images(&averaged.generator, mode, masks, Some(&z), &self.noise)?, posterior))
    }

    /// The same of a model that has been read.
    fn served(&self, model: &spadework_checkpoint::Model) -> Result<(Tensor, Posterior)> {
        let architecture = &model.config.architecture;
        let encoder = spadework_model::Encoder::new(model.encoder.as_ref().unwrap(), architecture)?;
        let posterior = encoder.forward(&self.images)?;
        let masks = LabelBatch { ids: &self.ids, edges: Some(&self.edges) };
        let input = spadework_model::GeneratorInput {
            semantics: &one_hot(architecture, masks, DType::F32, &Device::Cpu)?,
            z: Some(&posterior.sample(&self.eps)?),
            noise: &self.noise,
        };
        Ok((spadework_model::Generator::new(&model.generator, architecture)?.forward(input)?, posterior))
    }
}

/// Brings `u` and `v` of every spectral norm to where a long training brings them. The export computes them anew.
fn settle(network: &Variables) -> Result<()> {
    for (name, u) in &network.buffers {
        let Some(base) = name.strip_suffix("weight_u") else { continue };
        for _ in 0..1000 {
            let weight = network.parameters[&format!("{base}weight_orig")].as_tensor();
            let (new_u, v) = power_iteration(weight, u.as_tensor())?;
            u.set(&new_u)?;
            network.buffers[&format!("{base}weight_v")].set(&v)?;
        }
    }
    Ok(())
}

fn largest(x: &Tensor) -> Result<f64> {
    x.abs()?.flatten_all()?.max(0)?.to_dtype(DType::F64)?.to_scalar()
}

#[test]
fn an_exported_model_makes_the_images_of_the_trained_one() -> anyhow::Result<()> {
    for (modulation, encoder) in [
        (Modulation::PerLayer, EncoderArchitecture::Published { width: 2 }),
        (Modulation::Shared, EncoderArchitecture::Color { width: 2 }),
    ] {
        let networks = networks(modulation, encoder);
        let architecture = networks.architecture.clone();
        let state = initialise(&networks, Initialisation::Default, 5, &Device::Cpu)?;
        let averaged = Averaged { generator: state.generator.clone(), encoder: state.encoder.clone() };
        let trainer = Trainer::new(networks, Objective::default(), state, None, None, Backend::Cpu)?;
        // Passes as in training move the running statistics away from 0 and 1.
        for seed in 0..30 {
            let _ = Batch::new(&architecture, 100 * seed)?.trained(&trainer, &averaged, Mode::Frozen)?;
        }
        settle(&averaged.generator)?;
        settle(averaged.encoder.as_ref().unwrap())?;

        let folder = tempfile::tempdir()?;
        let directory = folder.path().join("model");
        let config = ModelConfig {
            version: CONFIG_VERSION,
            description: String::new(),
            licence: String::new(),
            provenance: String::new(),
            architecture: architecture.clone(),
            labels: Vec::new(),
            styles: Vec::new(),
        };
        let tensors = ModelTensors::of(&averaged)?;
        write_model(&directory, &config, &tensors.generator, tensors.encoder.as_ref(), WeightType::F32)?;

        let batch = Batch::new(&architecture, 7)?;
        let (trained, posterior) = batch.trained(&trainer, &averaged, Mode::Evaluate)?;
        let (served, read) = batch.served(&read_model(&directory)?)?;
        let contrast = largest(&trained.broadcast_sub(&trained.mean_keepdim((2, 3))?)?)?;
        assert!(contrast > 0.05, "{modulation:?}: images of one colour, {contrast}, would show nothing");
        for (what, trained, served) in [
            ("pictures", &trained, &served),
            ("mu", &posterior.mu, &read.mu),
            ("logvar", &posterior.logvar, &read.logvar),
        ] {
            let difference = largest(&(trained - served)?)?;
            assert!(difference < TOLERANCE, "{modulation:?}: {what} differ by {difference}");
        }
    }
    Ok(())
}
