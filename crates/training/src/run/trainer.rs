//! The networks of a run at their beginning, and how the loop drives them.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use candle_core::{Device, Result as TensorResult, Tensor, bail};
use spadework_checkpoint::{Model, read_model, read_tensors};
use spadework_model::Tensors;

use super::{config::RunConfig, learning::Learner};
use crate::{
    distributed::Group,
    networks::{FEATURES_FILE, Perceptual, SceneFeatures, Vgg19, initialise},
    state::{TrainingState, Variables},
    step::{Batch, Draws, Gradients, Losses, Trainer},
};
use spadework_autograd::{Backend, Collective, power_iteration};

/// Power iterations after which the vectors of a weight that has just been read are its own.
const POWER_ITERATIONS: usize = 15;

impl Learner for Trainer {
    fn state(&self) -> &TrainingState {
        &self.state
    }

    fn generator_step(
        &mut self,
        batch: &Batch,
        draws: &Draws,
    ) -> TensorResult<(Losses, Gradients, Option<Gradients>)> {
        let step = Self::generator_step(self, batch, draws)?;
        Ok((step.losses, step.generator, step.encoder))
    }

    fn discriminator_step(&mut self, batch: &Batch, draws: &Draws) -> TensorResult<(Losses, Gradients)> {
        let step = Self::discriminator_step(self, batch, draws)?;
        Ok((step.losses, step.discriminator))
    }

    fn advance(&mut self, progress: f64) {
        Self::advance(self, progress);
    }

    fn freeze_statistics(&mut self, frozen: bool) {
        self.fix_statistics(frozen);
    }
}

impl Collective for Group {
    fn processes(&self) -> usize {
        self.world()
    }

    fn sum(&self, values: &mut [f64]) -> TensorResult<()> {
        Self::sum(self, values).map_err(candle_core::Error::wrap)
    }

    fn sum_tensor(&self, tensor: &Tensor) -> TensorResult<Tensor> {
        Self::sum_tensor(self, tensor)
    }
}

/// The networks of a run: freshly drawn, or of the model that it begins from.
///
/// # Errors
/// When a file cannot be read or does not fit.
pub fn build(config: &RunConfig, backend: &Backend, group: &Arc<Group>) -> anyhow::Result<Trainer> {
    let state = initialise(&config.networks, config.initialisation, config.seed, backend.device())?;
    let perceptual = match (&config.vgg, &config.perceptual) {
        (Some(path), _) => Some(Perceptual::Vgg(read_vgg(path, backend)?)),
        (None, Some(path)) => Some(Perceptual::Scene(read_features(path, backend)?)),
        (None, None) => None,
    };
    let collective = (group.world() > 1).then(|| Arc::clone(group) as Arc<dyn Collective>);
    Ok(Trainer::new(
        config.networks.clone(),
        config.objective,
        state,
        perceptual,
        collective,
        backend.clone(),
    )?)
}

/// Puts the generator and encoder of the model directory at `path` in the place of drawn ones.
///
/// # Errors
/// When it cannot be read, or is of other networks.
pub fn begin_from(path: &Path, state: &TrainingState) -> anyhow::Result<()> {
    let Model { generator, encoder, .. } = read_model(path)?;
    set(&state.generator, &generator)?;
    match (&state.encoder, &encoder) {
        (Some(network), Some(encoder)) => set(network, encoder)?,
        (None, None) => {}
        _ => anyhow::bail!("{} and the run do not agree on whether there is an encoder", path.display()),
    }
    Ok(())
}

/// Gives `network` the numbers of `tensors`, which have no spectral norm: it is 1 for each of their weights.
fn set(network: &Variables, tensors: &Tensors) -> TensorResult<()> {
    let find = |name: &str| match tensors.get(name) {
        Some(tensor) => Ok(tensor),
        None => bail!("the model has no tensor `{name}`"),
    };
    for (name, parameter) in &network.parameters {
        let base = name.strip_suffix("weight_orig");
        let folded = base.map_or_else(|| name.clone(), |base| format!("{base}weight"));
        let weight = find(&folded)?;
        parameter.set(&weight.to_device(parameter.device())?)?;
        let Some(base) = base else { continue };
        let [u, v] = ["weight_u", "weight_v"].map(|vector| network.buffers.get(&format!("{base}{vector}")));
        let (Some(u), Some(v)) = (u, v) else { bail!("`{name}` has no vectors") };
        let mut vectors = (u.to_device(&Device::Cpu)?, v.to_device(&Device::Cpu)?);
        for _ in 0..POWER_ITERATIONS {
            vectors = power_iteration(weight, &vectors.0)?;
        }
        u.set(&vectors.0.to_device(u.device())?)?;
        v.set(&vectors.1.to_device(v.device())?)?;
    }
    for (name, buffer) in &network.buffers {
        if name.ends_with("running_mean") || name.ends_with("running_var") {
            buffer.set(&find(name)?.to_device(buffer.device())?)?;
        }
    }
    Ok(())
}

fn read_vgg(path: &Path, backend: &Backend) -> anyhow::Result<Vgg19> {
    let tensors = read_tensors(path)?.into_iter().collect();
    Vgg19::new(&tensors, backend)
        .with_context(|| format!("{} does not hold torchvision's VGG19", path.display()))
}

fn read_features(path: &Path, backend: &Backend) -> anyhow::Result<SceneFeatures> {
    let tensors = read_tensors(&path.join(FEATURES_FILE))?.into_iter().collect();
    SceneFeatures::new(&tensors, backend)
        .with_context(|| format!("{} does not hold what `spadework-train features` writes", path.display()))
}
