//! Runs batches of jobs on an engine.

use std::sync::Arc;

use opentelemetry::trace::SpanContext;
use spadework_batching::{BatchError, Begun, Worker};
use spadework_engine::{Engine, EngineError, Input};

use super::{Job, Latent, Picture, ServedModel};
use crate::traces::Traces;

/// Pictures of jobs, in order. A picture does not depend on its batch.
///
/// # Errors
/// As the engine.
pub fn run_jobs(engine: &mut Engine, jobs: &[Job]) -> Result<Vec<Picture>, EngineError> {
    let inputs = jobs.iter().map(|job| input(engine, job)).collect::<Result<Vec<_>, _>>()?;
    let images = engine.generate(&inputs)?;
    Ok(images.into_iter().zip(inputs).map(|(image, input)| Picture { image, z: input.z }).collect())
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

/// A device's thread. It holds nothing: a model brings its engine for each device along, and both go together.
pub struct EngineWorker {
    /// The device's place among the settings.
    pub device: usize,
    /// Its name.
    pub name: String,
    /// Where the spans of batches go.
    pub traces: Traces,
}

/// A picture and the span of the batch that it was made in.
#[derive(Clone, Debug)]
pub struct Made {
    /// The picture.
    pub picture: Picture,
    /// The batch.
    pub batch: SpanContext,
}

impl Worker for EngineWorker {
    type Key = Arc<ServedModel>;
    type Job = Job;
    type Output = Made;

    fn begin(&mut self, model: &Arc<ServedModel>, jobs: &[Job]) -> Result<Begun<Made>, BatchError> {
        let trace = self.traces.batch(model.name(), &self.name, jobs.iter().map(|job| &job.caller));
        let batch = trace.context();
        let pictures = self.pictures(model, jobs);
        trace.finish(pictures.as_ref().err().map(ToString::to_string));
        let made = |picture| Made { picture, batch: batch.clone() };
        Ok(Begun::Done(pictures?.into_iter().map(made).collect()))
    }
}

impl EngineWorker {
    fn pictures(&self, model: &ServedModel, jobs: &[Job]) -> Result<Vec<Picture>, BatchError> {
        let mut engine =
            model.engine(self.device).map_err(|error| match error.downcast::<EngineError>() {
                Ok(error) => batch_error(error),
                Err(error) => BatchError::Failed(error.into()),
            })?;
        run_jobs(&mut engine, jobs).map_err(batch_error)
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
