//! One step of training: gradients of the generator, then of the discriminator, each averaged over the parts of the
//! batch and over all processes before the weights move.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::{
    mean::{GradientSum, LossSum},
    not_finite,
    step_error::{StepError, StepReport},
};
use crate::{
    distributed::Group,
    optimizer::{Adam, Betas, MovingAverage, Rates, decay_at},
    state::TrainingState,
    step::{Batch, Draws, Gradients, Losses},
};
use spadework_autograd::Backend;

/// Networks that turn a batch into gradients. They own their weights; whoever drives them changes these.
pub trait Learner {
    /// The weights.
    fn state(&self) -> &TrainingState;

    /// Losses and gradients of the generator and, where there is one, the encoder.
    ///
    /// # Errors
    /// When the batch does not fit the networks or memory is short.
    fn generator_step(
        &mut self,
        batch: &Batch,
        draws: &Draws,
    ) -> candle_core::Result<(Losses, Gradients, Option<Gradients>)>;

    /// Losses and gradients of the discriminator.
    ///
    /// # Errors
    /// When the batch does not fit the networks or memory is short.
    fn discriminator_step(
        &mut self,
        batch: &Batch,
        draws: &Draws,
    ) -> candle_core::Result<(Losses, Gradients)>;

    /// Which share of the run is done, from 0 to 1, for weights of losses that change in its course.
    fn advance(&mut self, progress: f64);

    /// Whether batch norm uses its running statistics from now on, and leaves them as they are.
    fn freeze_statistics(&mut self, frozen: bool);
}

/// A part of a batch with everything random for it.
#[derive(Clone, Debug)]
pub struct MicroBatch {
    /// Label maps and images.
    pub batch: Batch,
    /// For the generator's step.
    pub generator: Draws,
    /// For the discriminator's, which sees another fake.
    pub discriminator: Draws,
}

/// The optimisers of all networks and the average of the generator and encoder.
#[derive(Debug)]
pub struct Learning {
    pub(super) generator: Adam,
    pub(super) encoder: Option<Adam>,
    pub(super) discriminator: Adam,
    pub(super) generator_average: MovingAverage,
    pub(super) encoder_average: Option<MovingAverage>,
}

/// What a step depends on besides weights and data.
#[derive(Clone, Copy, Debug)]
pub struct StepSettings {
    /// Steps done before, from 0.
    pub step: u64,
    /// The rates of this step.
    pub rates: Rates,
    /// The average's decay, once it has risen.
    pub average_decay: f64,
}

impl Learning {
    /// Fresh optimisers, and averages that begin at the weights, which are where `backend` computes.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn new(betas: Betas, state: &TrainingState, backend: &Backend) -> candle_core::Result<Self> {
        let encoder = state.encoder.as_ref().map(|encoder| &encoder.parameters);
        Ok(Self {
            generator: Adam::new(betas, &state.generator.parameters, backend)?,
            encoder: encoder.map(|parameters| Adam::new(betas, parameters, backend)).transpose()?,
            discriminator: Adam::new(betas, &state.discriminator.parameters, backend)?,
            generator_average: MovingAverage::new(&state.generator.parameters, backend)?,
            encoder_average: encoder.map(|parameters| MovingAverage::new(parameters, backend)).transpose()?,
        })
    }

    /// The average of the generator's parameters.
    pub fn generator_average(&self) -> &BTreeMap<String, Tensor> {
        self.generator_average.tensors()
    }

    /// The average of the encoder's parameters.
    pub fn encoder_average(&self) -> Option<&BTreeMap<String, Tensor>> {
        self.encoder_average.as_ref().map(MovingAverage::tensors)
    }

    /// Makes one step on the parts of a batch.
    ///
    /// # Errors
    /// When a network cannot compute, a number is not finite, or a process has gone.
    pub fn step(
        &mut self,
        learner: &mut impl Learner,
        parts: &[MicroBatch],
        pace: StepSettings,
        group: &Group,
    ) -> Result<StepReport, StepError> {
        let mut report = self.generator_step(learner, parts, pace, group)?;
        report.extend(self.discriminator_step(learner, parts, pace, group)?);
        let decay = decay_at(pace.step, pace.average_decay);
        self.generator_average.update(&learner.state().generator.parameters, decay)?;
        if let (Some(average), Some(encoder)) = (&mut self.encoder_average, &learner.state().encoder) {
            average.update(&encoder.parameters, decay)?;
        }
        Ok(report)
    }

    /// Counts `steps` steps as made, although the last was skipped, as one that goes on from a checkpoint does.
    pub fn count(&mut self, steps: u64) {
        self.generator.count(steps);
        self.discriminator.count(steps);
        self.encoder.iter_mut().for_each(|adam| adam.count(steps));
    }

    fn generator_step(
        &mut self,
        learner: &mut impl Learner,
        parts: &[MicroBatch],
        pace: StepSettings,
        group: &Group,
    ) -> Result<StepReport, StepError> {
        let (mut losses, mut generator) = (LossSum::default(), GradientSum::default());
        let mut encoder = self.encoder.as_ref().map(|_| GradientSum::default());
        for part in parts {
            let (values, of_generator, of_encoder) = learner.generator_step(&part.batch, &part.generator)?;
            losses.add(&values);
            generator.add(of_generator)?;
            if let (Some(sum), Some(gradients)) = (&mut encoder, of_encoder) {
                sum.add(gradients)?;
            }
        }
        let mut report = losses.mean(group)?;
        let generator = generator.mean(group)?;
        let encoder = encoder.map(|sum| sum.mean(group)).transpose()?;
        let norm = not_finite::check("generator", &generator, &report)?;
        if let Some(gradients) = &encoder {
            not_finite::check("encoder", gradients, &report)?;
        }
        // Only now, with every number known to be one, do weights move.
        let (state, lr) = (learner.state(), pace.rates.generator);
        self.generator.step(&state.generator.parameters, &generator, lr)?;
        if let (Some(adam), Some(network), Some(gradients)) = (&mut self.encoder, &state.encoder, &encoder) {
            adam.step(&network.parameters, gradients, lr)?;
        }
        report.insert("gradient_norm_G".to_owned(), norm);
        Ok(report)
    }

    fn discriminator_step(
        &mut self,
        learner: &mut impl Learner,
        parts: &[MicroBatch],
        pace: StepSettings,
        group: &Group,
    ) -> Result<StepReport, StepError> {
        let (mut losses, mut gradients) = (LossSum::default(), GradientSum::default());
        for part in parts {
            let (values, of_discriminator) = learner.discriminator_step(&part.batch, &part.discriminator)?;
            losses.add(&values);
            gradients.add(of_discriminator)?;
        }
        let mut report = losses.mean(group)?;
        let gradients = gradients.mean(group)?;
        let norm = not_finite::check("discriminator", &gradients, &report)?;
        let parameters = &learner.state().discriminator.parameters;
        self.discriminator.step(parameters, &gradients, pace.rates.discriminator)?;
        report.insert("gradient_norm_D".to_owned(), norm);
        Ok(report)
    }
}
