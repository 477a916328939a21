//! Batch-norm statistics of the averaged generator, estimated again: the running ones belong to the weights that were
//! trained, not to their average.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use super::Averaged;
use crate::{
    networks::Mode,
    state::Variables,
    step::{Batch, Draws, Trainer},
};

/// The share of a batch's statistics in running statistics that were 0 before it.
const MOMENTUM: f64 = 0.1;

/// Replaces the running statistics of `averaged` by the means of the statistics of `batches`. Every second batch gets
/// latents of the encoder, if there is one; the others get `eps` itself.
///
/// # Errors
/// When a batch cannot be had, or does not fit the networks.
pub fn reestimate(
    trainer: &Trainer,
    averaged: &Averaged,
    batches: impl IntoIterator<Item = anyhow::Result<(Batch, Draws)>>,
) -> anyhow::Result<()> {
    let mut sums = BTreeMap::new();
    let mut count = 0;
    for batch in batches {
        let (batch, draws) = batch?;
        statistics_of(&averaged.generator)
            .try_for_each(|(_, statistic)| statistic.set(&statistic.zeros_like()?))?;
        let encoder = averaged.encoder.as_ref().filter(|_| count % 2 == 0);
        forward(trainer, &averaged.generator, encoder, &batch, &draws)?;
        add(&mut sums, &averaged.generator)?;
        count += 1;
    }
    for (name, statistic) in statistics_of(&averaged.generator) {
        if let Some(sum) = sums.get(name) {
            statistic.set(&sum.affine(1.0 / (MOMENTUM * f64::from(count)), 0.0)?)?;
        }
    }
    Ok(())
}

fn forward(
    trainer: &Trainer,
    generator: &Variables,
    encoder: Option<&Variables>,
    batch: &Batch,
    draws: &Draws,
) -> Result<()> {
    let z = match (encoder, &draws.eps) {
        (Some(encoder), Some(eps)) => Some(trainer.posterior(encoder, &batch.images)?.sample(eps)?),
        (_, eps) => eps.clone(),
    };
    let masks = (&batch.labels, batch.edges.as_ref());
    trainer.images(generator, Mode::Frozen, masks, z.as_ref(), &draws.noise).map(drop)
}

fn add(sums: &mut BTreeMap<String, Tensor>, generator: &Variables) -> Result<()> {
    for (name, statistic) in statistics_of(generator) {
        let sum = match sums.get(name) {
            Some(sum) => (sum + statistic.as_tensor())?,
            None => statistic.copy()?,
        };
        sums.insert(name.clone(), sum.detach());
    }
    Ok(())
}

fn statistics_of(generator: &Variables) -> impl Iterator<Item = (&String, &candle_core::Var)> {
    let is_statistic = |name: &str| name.ends_with("running_mean") || name.ends_with("running_var");
    generator.buffers.iter().filter(move |(name, _)| is_statistic(name))
}
