//! A run's tensors under the names that they have in a checkpoint.
//!
//! `generator.`, `encoder.` and `discriminator.` precede the published names of parameters and buffers; `moments.`
//! precedes those of the optimisers, and `average.` those of the averages.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var, bail};

use super::{checkpoint::Stored, learning::Learning};
use crate::{
    optimizer::{Adam, MovingAverage},
    state::{TrainingState, Variables},
};

/// Everything that a run's future depends on, besides its position.
pub fn tensors(state: &TrainingState, learning: &Learning) -> Vec<(String, Tensor)> {
    let mut all = Vec::new();
    for (network, variables) in networks(state) {
        let named = variables.tensors().into_iter();
        all.extend(named.map(|(name, tensor)| (format!("{network}.{name}"), tensor)));
    }
    for (network, adam) in optimizers(learning) {
        all.extend(named("moments", network, adam.moments()));
    }
    for (network, average) in averages(learning) {
        all.extend(named("average", network, average.tensors()));
    }
    all
}

/// Puts everything that `stored` has into place.
///
/// # Errors
/// When a tensor is missing, of another shape, or not asked for: the checkpoint is then of other networks.
pub fn restore(stored: &mut Stored, state: &TrainingState, learning: &mut Learning) -> Result<()> {
    let steps = stored.position.step;
    for (network, variables) in networks(state) {
        for (name, variable) in variables.parameters.iter().chain(&variables.buffers) {
            set(variable, &stored.take(&format!("{network}.{name}"))?, name)?;
        }
    }
    let mut take = |kind: &str, network: &str, name: &str| stored.take(&format!("{kind}.{network}.{name}"));
    learning.generator.restore(steps, |name| take("moments", "generator", name))?;
    learning.discriminator.restore(steps, |name| take("moments", "discriminator", name))?;
    learning.generator_average.restore(|name| take("average", "generator", name))?;
    if let (Some(adam), Some(average)) = (&mut learning.encoder, &mut learning.encoder_average) {
        adam.restore(steps, |name| take("moments", "encoder", name))?;
        average.restore(|name| take("average", "encoder", name))?;
    }
    match stored.left_over() {
        Some(name) => bail!("{} has a tensor `{name}` that these networks do not", stored.path.display()),
        None => Ok(()),
    }
}

/// What the buffers hold now.
pub(super) fn copied_buffers(state: &TrainingState) -> Result<Vec<Tensor>> {
    buffers(state).map(|buffer| buffer.as_tensor().copy()).collect()
}

/// Puts back what [`copied_buffers`] has copied.
pub(super) fn restore_buffers(state: &TrainingState, copied: &[Tensor]) -> Result<()> {
    buffers(state).zip(copied).try_for_each(|(buffer, copy)| buffer.set(copy))
}

fn buffers(state: &TrainingState) -> impl Iterator<Item = &Var> {
    networks(state).flat_map(|(_, variables)| variables.buffers.values())
}

/// The networks by name.
fn networks(state: &TrainingState) -> impl Iterator<Item = (&'static str, &Variables)> {
    let encoder = state.encoder.as_ref().map(|encoder| ("encoder", encoder));
    [("generator", &state.generator), ("discriminator", &state.discriminator)].into_iter().chain(encoder)
}

fn optimizers(learning: &Learning) -> impl Iterator<Item = (&'static str, &Adam)> {
    let encoder = learning.encoder.as_ref().map(|encoder| ("encoder", encoder));
    [("generator", &learning.generator), ("discriminator", &learning.discriminator)]
        .into_iter()
        .chain(encoder)
}

fn averages(learning: &Learning) -> impl Iterator<Item = (&'static str, &MovingAverage)> {
    let encoder = learning.encoder_average.as_ref().map(|encoder| ("encoder", encoder));
    [("generator", &learning.generator_average)].into_iter().chain(encoder)
}

fn named(kind: &str, network: &str, tensors: &BTreeMap<String, Tensor>) -> Vec<(String, Tensor)> {
    tensors.iter().map(|(name, tensor)| (format!("{kind}.{network}.{name}"), tensor.clone())).collect()
}

fn set(variable: &Var, stored: &Tensor, name: &str) -> Result<()> {
    if variable.shape() != stored.shape() || variable.dtype() != stored.dtype() {
        bail!(
            "`{name}` is stored as {:?} of shape {:?}, expected {:?} of shape {:?}",
            stored.dtype(),
            stored.dims(),
            variable.dtype(),
            variable.dims()
        )
    }
    variable.set(&stored.to_device(variable.device())?)
}
