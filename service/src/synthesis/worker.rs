//! Runs batches of jobs on an engine.

use std::{sync::Arc, time::Instant};

use opentelemetry::trace::SpanContext;
use spadework_batching::{BatchError, BatchOutputs, Started, Worker};
use spadework_engine::{Engine, EngineError, Event, Input, Submitted};
use spadework_imaging::RgbImage;

use super::{Image, Job, Latent, ServedModel};
use crate::traces::{BatchRun, Traces};

/// Pictures of jobs, in order. A picture does not depend on its batch.
///
/// # Errors
/// As the engine.
pub fn run_jobs(engine: &mut Engine, jobs: &[Job]) -> Result<Vec<Image>, EngineError> {
    let inputs = inputs(engine, jobs)?;
    let images = engine.generate(&inputs)?;
    Ok(with_latents(images, inputs.into_iter().map(|input| input.z)).collect())
}

/// What the pictures of a batch are made from; none for a model without.
type Latents = Vec<Option<Vec<f32>>>;

fn inputs(engine: &mut Engine, jobs: &[Job]) -> Result<Vec<Input>, EngineError> {
    jobs.iter().map(|job| input(engine, job)).collect()
}

fn with_latents(
    images: Vec<RgbImage>,
    latents: impl IntoIterator<Item = Option<Vec<f32>>>,
) -> impl Iterator<Item = Image> {
    images.into_iter().zip(latents).map(|(pixels, z)| Image { pixels, z })
}

/// What the network takes for a job. Styles are encoded one by one, so that they cannot depend on one another.
pub fn input(engine: &mut Engine, job: &Job) -> Result<Input, EngineError> {
    let z = match &job.latent {
        Latent::None => None,
        Latent::Given(z) => Some(z.clone()),
        Latent::Style { picture, amount, eps } => {
            let posteriors = engine.encode_style(&[picture.as_ref()])?;
            posteriors.first().map(|posterior| posterior.sample(*amount, eps))
        }
    };
    Ok(Input { plan: job.plan.clone(), z, noise: job.noise.clone() })
}

/// A device's thread. It holds no model: each brings its engine for the device along, and both go together.
pub struct EngineWorker {
    /// The device's place among the settings.
    pub device: usize,
    /// Its name.
    pub name: String,
    /// Where the spans of batches go.
    pub traces: Traces,
    /// The end of the batch that it was given last. The next one begins there, also where it is another model's.
    pub last: Event,
}

/// An image and the span of the batch that it was made in.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The image.
    pub image: Image,
    /// The batch.
    pub batch: SpanContext,
}

impl Worker for EngineWorker {
    type Key = Arc<ServedModel>;
    type Job = Job;
    type Output = Generated;

    fn start(&mut self, model: &Arc<ServedModel>, jobs: &[Job]) -> Result<Started<Generated>, BatchError> {
        let began = Instant::now();
        let batch = Batch {
            model: model.clone(),
            device: self.name.clone(),
            traces: self.traces.clone(),
            callers: jobs.iter().map(|job| job.caller.clone()).collect(),
        };
        let (begun, latents) = self.give(model, jobs).map_err(|error| batch.failed(began, error))?;
        let pending = match begun {
            Submitted::Finished(images) => {
                return Ok(Started::Complete(batch.generated(began, images, latents)));
            }
            Submitted::InFlight(pending) => pending,
        };
        let end = pending.event();
        self.last = end.clone();
        let wait = move || {
            let (images, ran) = pending.finish().map_err(|error| batch.failed(began, batch_error(error)))?;
            Ok(BatchOutputs { outputs: batch.generated(Instant::now() - ran, images, latents), ran })
        };
        Ok(Started::Running { ended: Box::new(move || end.wait()), wait: Box::new(wait) })
    }
}

impl EngineWorker {
    /// Gives jobs to the model's engine. Also the latents that their pictures are made from.
    fn give(&self, model: &ServedModel, jobs: &[Job]) -> Result<(Submitted, Latents), BatchError> {
        let mut engine =
            model.engine(self.device).map_err(|error| match error.downcast::<EngineError>() {
                Ok(error) => batch_error(error),
                Err(error) => BatchError::Failed(error.into()),
            })?;
        let inputs = inputs(&mut engine, jobs).map_err(batch_error)?;
        let begun = engine.begin(&inputs, &self.last);
        model.log_remarks(self.device, &mut engine);
        Ok((begun.map_err(batch_error)?, inputs.into_iter().map(|input| input.z).collect()))
    }
}

/// What is to be told of a batch at its end, whatever its device's thread does by then.
struct Batch {
    model: Arc<ServedModel>,
    device: String,
    traces: Traces,
    callers: Vec<SpanContext>,
}

impl Batch {
    fn generated(&self, began: Instant, images: Vec<RgbImage>, latents: Latents) -> Vec<Generated> {
        let batch = self.trace(began, None);
        with_latents(images, latents).map(|image| Generated { image, batch: batch.clone() }).collect()
    }

    fn failed(&self, began: Instant, error: BatchError) -> BatchError {
        self.trace(began, Some(error.to_string()));
        error
    }

    fn trace(&self, began: Instant, failure: Option<String>) -> SpanContext {
        let Self { model, device, traces, callers } = self;
        traces.batch(&BatchRun { model: model.name(), device, callers, began, failure })
    }
}

fn batch_error(error: EngineError) -> BatchError {
    if error.is_out_of_memory() {
        BatchError::OutOfMemory(error.into())
    } else if error.is_device_lost() {
        BatchError::DeviceLost(error.into())
    } else {
        BatchError::Failed(error.into())
    }
}
