//! The averaged networks: what is shown, measured and exported.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use crate::{
    run::Learning,
    state::{TrainingState, Variables},
};

/// The averages of parameters, beside copies of the buffers of the networks that they are averages of.
#[derive(Clone, Debug)]
pub struct Averaged {
    /// The generator.
    pub generator: Variables,
    /// The encoder, if there is one.
    pub encoder: Option<Variables>,
}

impl Averaged {
    /// The averages of `learning`.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn of(state: &TrainingState, learning: &Learning) -> Result<Self> {
        let encoder = state.encoder.as_ref().zip(learning.encoder_average());
        Ok(Self {
            generator: averaged(&state.generator, learning.generator_average())?,
            encoder: encoder.map(|(network, average)| averaged(network, average)).transpose()?,
        })
    }
}

fn averaged(network: &Variables, average: &BTreeMap<String, Tensor>) -> Result<Variables> {
    let parameters = average.iter().map(|(name, tensor)| Ok((name.clone(), tensor.copy()?)));
    let buffers = network.buffers.iter().map(|(name, buffer)| Ok((name.clone(), buffer.copy()?.detach())));
    Variables::from_tensors(parameters.chain(buffers).collect::<Result<Vec<_>>>()?)
}
