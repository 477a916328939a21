//! One step: a batch and random draws in, losses and gradients out, buffers moved on.

use std::{collections::BTreeMap, sync::Arc};

use candle_core::{DType, Device, Result, Tensor, TensorId, backprop::GradStore, bail};
use spadework_model::{LabelBatch, Posterior, one_hot};

use crate::{
    losses,
    networks::{Encoder, Generator, Inputs, Mode, MultiscaleDiscriminator, Networks, Pass, Perceptual},
    objective::Objective,
    state::{TrainingState, Variables},
};
use spadework_autograd::{Backend, Collective, Neighbourhoods};

/// Some pairs of label map and image.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Class ids, u8 (N, H, W), at the architecture's mask size; in the memory of the CPU, where masks are compared.
    pub labels: Tensor,
    /// 1 on instance boundaries, else 0, u8 (N, H, W), likewise; for an architecture with an edge plane.
    pub edges: Option<Tensor>,
    /// Images, f32 (N, 3, H, W) in [-1, 1].
    pub images: Tensor,
}

/// Everything random in a step.
#[derive(Clone, Debug, Default)]
pub struct Draws {
    /// Standard normal (N, z_dim): the latent itself, or what the encoder's posterior is sampled with.
    pub eps: Option<Tensor>,
    /// One standard normal plane (N, 1, h, w) for each residual block, for an architecture with noise.
    pub noise: Vec<Tensor>,
}

/// Losses by their published names (`GAN`, `GAN_Feat`, `VGG`, `KLD`, `D_Fake`, `D_real`), `L1` of the low resolution and
/// `Perceptual` of a network of our own, weighted as they are summed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses(pub BTreeMap<&'static str, f32>);

/// Gradients by the parameters' names.
pub type Gradients = BTreeMap<String, Tensor>;

/// What a generator step gives.
#[derive(Clone, Debug)]
pub struct GeneratorStep {
    /// The generator's losses.
    pub losses: Losses,
    /// Gradients of the generator's parameters.
    pub generator: Gradients,
    /// Gradients of the encoder's parameters.
    pub encoder: Option<Gradients>,
    /// The images it made, (N, 3, H, W).
    pub images: Tensor,
}

/// What a discriminator step gives.
#[derive(Clone, Debug)]
pub struct DiscriminatorStep {
    /// The discriminator's losses.
    pub losses: Losses,
    /// Gradients of the discriminator's parameters.
    pub discriminator: Gradients,
}

/// Networks, objective and state: everything but an optimiser, a clock and random numbers.
pub struct Trainer {
    /// What the steps move on, and what an optimiser changes.
    pub state: TrainingState,
    networks: Networks,
    objective: Objective,
    generator: Generator,
    encoder: Option<Encoder>,
    discriminator: MultiscaleDiscriminator,
    perceptual: Option<Perceptual>,
    collective: Option<Arc<dyn Collective>>,
    backend: Backend,
    fixed_statistics: bool,
    progress: f64,
    masks: Option<(TensorId, Arc<Masks>)>, // of the last batch: both steps of an iteration read them
}

/// A batch's masks as the networks read them.
struct Masks {
    levels: Vec<Arc<Neighbourhoods>>,
    semantics: Tensor, // (N, H, W, semantic_nc)
}

impl Trainer {
    /// Trains `state` toward `objective`. `perceptual` is needed for a perceptual loss; `collective` spans the processes that
    /// train together. All tensors but a batch's masks lie where `backend` computes.
    ///
    /// # Errors
    /// When the objective needs what is not there.
    pub fn new(
        networks: Networks,
        objective: Objective,
        state: TrainingState,
        perceptual: Option<Perceptual>,
        collective: Option<Arc<dyn Collective>>,
        backend: Backend,
    ) -> Result<Self> {
        networks.architecture.check().map_err(candle_core::Error::wrap)?;
        if objective.perceptual != 0.0 && perceptual.is_none() {
            bail!("the perceptual loss needs a network's weights; give them, or set its weight to 0")
        }
        if networks.architecture.encoder.is_some() != state.encoder.is_some() {
            bail!("the architecture and the state do not agree on whether there is an encoder")
        }
        Ok(Self {
            generator: Generator::new(&networks.architecture, networks.generator_spectral),
            encoder: Encoder::new(&networks),
            discriminator: MultiscaleDiscriminator::new(&networks),
            state,
            networks,
            objective,
            perceptual,
            collective,
            backend,
            fixed_statistics: false,
            progress: 0.0,
            masks: None,
        })
    }

    /// The networks that are trained.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// Changes the losses' weights from the next step on.
    pub fn set_objective(&mut self, objective: Objective) {
        self.objective = objective;
    }

    /// Says which share of the run is done, from 0 to 1: weights that change in its course follow it.
    pub fn advance(&mut self, progress: f64) {
        self.progress = progress;
    }

    /// Normalises by the running statistics from the next step on, without changing them: for the end of a training.
    pub fn fix_statistics(&mut self, fixed: bool) {
        self.fixed_statistics = fixed;
    }

    /// The generator's losses and gradients. Buffers of all networks move on by one training pass.
    ///
    /// # Errors
    /// When the batch or the draws do not fit the networks.
    pub fn generator_step(&mut self, batch: &Batch, draws: &Draws) -> Result<GeneratorStep> {
        let masks = self.masks_of(batch)?;
        let (fake, posterior) = self.generate(batch, draws, &masks, self.training_mode())?;
        let real = channels_last(&batch.images)?;
        let pass = self.pass(&self.state.discriminator, Mode::Frozen);
        let condition = self.discriminator.condition(pass, &masks.semantics)?;
        let (fake_features, real_features) = condition.features(&fake, &real)?;

        let objective = self.objective;
        let mut sum = Sum::default();
        sum.add("GAN", 1.0, || losses::generator_loss(objective.gan, &fake_features))?;
        sum.add("GAN_Feat", objective.feature_matching, || {
            losses::feature_matching(&self.backend, &fake_features, &real_features)
        })?;
        sum.add("L1", objective.low_resolution_at(self.progress), || {
            losses::low_resolution(&self.backend, &fake, &real)
        })?;
        if let Some(network) = &self.perceptual {
            sum.add(network.loss_name(), objective.perceptual, || {
                losses::perceptual(&self.backend, network, &fake, &real)
            })?;
        }
        if let Some(posterior) = &posterior {
            sum.add("KLD", objective.kl, || losses::kl_divergence(posterior, objective.kl_reduction))?;
        }
        let images = fake.detach().permute((0, 3, 1, 2))?.contiguous()?;
        drop((fake_features, real_features, condition));
        let (losses, gradients) = sum.backward()?;
        Ok(GeneratorStep {
            losses,
            generator: gradients_of(&self.state.generator, &gradients)?,
            encoder: self
                .state
                .encoder
                .as_ref()
                .map(|encoder| gradients_of(encoder, &gradients))
                .transpose()?,
            images,
        })
    }

    /// The discriminator's losses and gradients, on images of a fresh pass without gradients. Buffers of all networks
    /// move on by one training pass.
    ///
    /// # Errors
    /// When the batch or the draws do not fit the networks.
    pub fn discriminator_step(&mut self, batch: &Batch, draws: &Draws) -> Result<DiscriminatorStep> {
        let masks = self.masks_of(batch)?;
        let frozen = if self.fixed_statistics { Mode::Evaluate } else { Mode::Frozen };
        let (fake, _) = self.generate(batch, draws, &masks, frozen)?;
        let pass = self.pass(&self.state.discriminator, Mode::Train);
        let condition = self.discriminator.condition(pass, &masks.semantics)?;
        let (fake, real) = condition.features(&fake.detach(), &channels_last(&batch.images)?)?;
        let (fake, real) = losses::discriminator_loss(self.objective.gan, &fake, &real)?;
        let mut sum = Sum::default();
        sum.add("D_Fake", 1.0, || Ok(fake))?;
        sum.add("D_real", 1.0, || Ok(real))?;
        let (losses, gradients) = sum.backward()?;
        let discriminator = gradients_of(&self.state.discriminator, &gradients)?;
        Ok(DiscriminatorStep { losses, discriminator })
    }

    /// Images (N, 3, H, W) of `generator`'s parameters, which may be an average of the trained ones. `mode` says
    /// whether running statistics are used or, as in [`Mode::Frozen`], moved on.
    ///
    /// # Errors
    /// When the masks, the latent or the noise do not fit the architecture.
    pub fn images(
        &self,
        generator: &Variables,
        mode: Mode,
        (labels, edges): (&Tensor, Option<&Tensor>),
        z: Option<&Tensor>,
        noise: &[Tensor],
    ) -> Result<Tensor> {
        let masks = Masks::new(&self.networks, &self.backend, labels, edges, DType::F32)?;
        let inputs = Inputs { masks: &masks.levels, semantics: &masks.semantics, z, noise };
        let images = self.generator.forward(self.pass(generator, mode), inputs)?;
        images.detach().permute((0, 3, 1, 2))?.contiguous()
    }

    /// The posterior of `z` for images (N, 3, H, W), by `encoder`'s parameters.
    ///
    /// # Errors
    /// When there is no encoder.
    pub fn posterior(&self, encoder: &Variables, images: &Tensor) -> Result<Posterior> {
        let Some(network) = &self.encoder else { bail!("this model has no encoder") };
        let Posterior { mu, logvar } = network.forward(self.pass(encoder, Mode::Evaluate), images)?;
        Ok(Posterior { mu: mu.detach(), logvar: logvar.detach() })
    }

    fn training_mode(&self) -> Mode {
        if self.fixed_statistics { Mode::FixedStatistics } else { Mode::Train }
    }

    fn pass<'a>(&'a self, variables: &'a Variables, mode: Mode) -> Pass<'a> {
        Pass::new(variables, mode, self.collective.as_ref(), &self.backend)
    }

    /// Images (N, H, W, 3), and the posterior that their latent was drawn from.
    fn generate(
        &self,
        batch: &Batch,
        draws: &Draws,
        masks: &Masks,
        mode: Mode,
    ) -> Result<(Tensor, Option<Posterior>)> {
        let (posterior, z) = match (&self.encoder, &self.state.encoder, &draws.eps) {
            (Some(encoder), Some(variables), Some(eps)) => {
                let posterior = encoder.forward(self.pass(variables, mode), &batch.images)?;
                let z = posterior.sample(eps)?;
                (Some(posterior), Some(z))
            }
            (Some(_), _, _) => bail!("a model with an encoder needs `eps`"),
            (None, _, eps) => (None, eps.clone()),
        };
        let inputs =
            Inputs { masks: &masks.levels, semantics: &masks.semantics, z: z.as_ref(), noise: &draws.noise };
        Ok((self.generator.forward(self.pass(&self.state.generator, mode), inputs)?, posterior))
    }

    fn masks_of(&mut self, batch: &Batch) -> Result<Arc<Masks>> {
        if let Some((id, masks)) = &self.masks
            && *id == batch.labels.id()
        {
            return Ok(Arc::clone(masks));
        }
        let dtype = batch.images.dtype();
        let masks = Masks::new(&self.networks, &self.backend, &batch.labels, batch.edges.as_ref(), dtype)?;
        let masks = Arc::new(masks);
        self.masks = Some((batch.labels.id(), Arc::clone(&masks)));
        Ok(masks)
    }
}

impl Masks {
    fn new(
        networks: &Networks,
        backend: &Backend,
        labels: &Tensor,
        edges: Option<&Tensor>,
        dtype: DType,
    ) -> Result<Self> {
        let architecture = &networks.architecture;
        let levels = Neighbourhoods::of_batch(architecture, labels, edges)?;
        let levels = levels.into_iter().map(|level| backend.place(level, architecture).map(Arc::new));
        let levels = levels.collect::<Result<_>>()?;
        let semantics = match backend {
            Backend::Cpu => {
                let ids = labels.flatten_all()?.to_vec1::<u8>()?;
                let edges = edges.map(|edges| edges.flatten_all()?.to_vec1::<u8>()).transpose()?;
                let batch = LabelBatch { ids: &ids, edges: edges.as_deref() };
                channels_last(&one_hot(architecture, batch, dtype, labels.device())?)?
            }
            Backend::Device(_) => {
                planes(architecture.label_planes(), backend.device(), labels, edges)?.to_dtype(dtype)?
            }
        };
        Ok(Self { levels, semantics })
    }
}

/// One-hot planes with the edge plane behind them, (N, H, W, semantic_nc), made where they are read: a mask's bytes
/// travel, not its planes.
fn planes(count: usize, device: &Device, labels: &Tensor, edges: Option<&Tensor>) -> Result<Tensor> {
    let ids = (0..count).map(|id| id as u8).collect(); // a label is a byte
    let labels = labels.to_device(device)?.unsqueeze(3)?;
    let one_hot = labels.broadcast_eq(&Tensor::from_vec(ids, count, device)?)?;
    let both = match edges {
        Some(edges) => Tensor::cat(&[one_hot, edges.to_device(device)?.unsqueeze(3)?], 3)?,
        None => one_hot,
    };
    both.to_dtype(DType::F32)
}

/// Weighted losses, on their way to one number.
#[derive(Default)]
struct Sum {
    terms: Vec<(&'static str, Tensor)>,
}

impl Sum {
    /// Adds a loss unless its weight is 0.
    fn add(&mut self, name: &'static str, weight: f64, loss: impl FnOnce() -> Result<Tensor>) -> Result<()> {
        if weight != 0.0 {
            self.terms.push((name, (loss()? * weight)?));
        }
        Ok(())
    }

    /// Every loss, and the gradients of their sum.
    fn backward(self) -> Result<(Losses, GradStore)> {
        let (names, terms): (Vec<_>, Vec<_>) = self.terms.into_iter().unzip();
        let terms = Tensor::stack(&terms, 0)?;
        let gradients = terms.sum_all()?.backward()?;
        // Read last: a device is waited for once, with all its work given to it.
        let values = terms.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        Ok((Losses(names.into_iter().zip(values).collect()), gradients))
    }
}

/// The gradients of a network's parameters; of one that no loss depends on, zeros.
fn gradients_of(variables: &Variables, gradients: &GradStore) -> Result<Gradients> {
    let gradient = |(name, var): (&String, &candle_core::Var)| {
        let gradient = gradients.get(var).cloned();
        Ok((name.clone(), gradient.map_or_else(|| var.zeros_like(), Ok)?))
    };
    variables.parameters.iter().map(gradient).collect()
}

/// (N, C, H, W) → (N, H, W, C).
fn channels_last(x: &Tensor) -> Result<Tensor> {
    x.permute((0, 2, 3, 1))?.contiguous()
}

#[cfg(test)]
mod agreement;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_that_are_made_on_a_device_are_those_of_the_model() -> Result<()> {
        let architecture =
            spadework_autograd::testing::architecture(3, spadework_model::Modulation::PerLayer);
        let pixels = 2 * architecture.mask.height * architecture.mask.width;
        let ids: Vec<u8> = (0..pixels).map(|i| (i % 4) as u8).collect();
        let edges: Vec<u8> = (0..pixels).map(|i| u8::from(i % 7 == 0)).collect();
        let batch = LabelBatch { ids: &ids, edges: Some(&edges) };
        let expected = channels_last(&one_hot(&architecture, batch, DType::F32, &Device::Cpu)?)?;
        let shape = (2, architecture.mask.height, architecture.mask.width);
        let map = |values: &[u8]| Tensor::from_slice(values, shape, &Device::Cpu);
        let made = planes(4, &Device::Cpu, &map(&ids)?, Some(&map(&edges)?))?;
        assert_eq!(made.dims(), expected.dims());
        assert_eq!(made.ne(&expected)?.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?, 0.0);
        Ok(())
    }
}
