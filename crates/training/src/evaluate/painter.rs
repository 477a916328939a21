//! A model directory's images, made by the engine.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use spadework_checkpoint::{ModelConfig, read_model};
use spadework_engine::{Engine, Input, Plan, Planner, Settings};
use spadework_imaging::{EdgeMap, LabelMap, RgbImage};

/// The latent's stream of random numbers; the noise planes' follow.
const LATENT: u64 = 0;
const NOISE: u64 = 16;

/// A model that paints.
pub struct EvaluationPainter {
    /// The folder's name.
    pub name: String,
    /// Its configuration.
    pub config: ModelConfig,
    planner: Planner,
    engine: Engine,
}

/// Where an image's latent comes from.
#[derive(Clone, Copy, Debug)]
pub enum Style<'a> {
    /// The prior, drawn from the image's seed.
    Random,
    /// The mean that the encoder finds for an image.
    Of(&'a RgbImage),
}

impl EvaluationPainter {
    /// Loads the model in a directory.
    ///
    /// # Errors
    /// When it cannot be read, or the device cannot be had.
    pub fn load(directory: &Path, settings: Settings) -> anyhow::Result<Self> {
        let model = read_model(directory)?;
        let name = directory.file_name().unwrap_or(directory.as_os_str()).to_string_lossy().into_owned();
        let architecture = &model.config.architecture;
        let engine = Engine::load(architecture, &model.generator, model.encoder.as_ref(), settings)
            .with_context(|| format!("load the model {name}"))?;
        Ok(Self { name, planner: Planner::new(architecture), config: model.config, engine })
    }

    /// Whether it follows a style image.
    pub fn follows_styles(&self) -> bool {
        self.config.architecture.encoder.is_some()
    }

    /// Plans a mask, for as many images as are wanted.
    ///
    /// # Errors
    /// When the mask does not fit the model.
    pub fn plan(&self, labels: &LabelMap, edges: Option<&EdgeMap>) -> anyhow::Result<Arc<Plan>> {
        Ok(Arc::new(self.planner.plan_edges(labels, edges.cloned())?))
    }

    /// An image of a planned mask.
    ///
    /// # Errors
    /// When the network cannot be run.
    pub fn paint(&mut self, plan: &Arc<Plan>, style: Style<'_>, seed: u64) -> anyhow::Result<RgbImage> {
        let architecture = &self.config.architecture;
        let z = match style {
            Style::Of(image) => self.engine.encode_style(&[image])?.into_iter().next().map(|p| p.mu),
            Style::Random => architecture.z_dim.map(|z_dim| normals(seed, LATENT, z_dim)),
        };
        let noise = (NOISE..)
            .zip(architecture.noise_planes())
            .map(|(stream, grid)| normals(seed, stream, grid.width * grid.height));
        let input = Input { plan: plan.clone(), z, noise: noise.collect() };
        self.engine.generate(&[input])?.pop().context("the engine made no image")
    }
}

fn normals(seed: u64, stream: u64, count: usize) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    (0..count).map(|_| StandardNormal.sample(&mut random)).collect()
}
