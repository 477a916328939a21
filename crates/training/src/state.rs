//! What training changes: parameters and buffers by their published names.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var, bail};

/// The tensors of one network.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// What the optimiser changes.
    pub parameters: BTreeMap<String, Var>,
    /// What a forward pass in training changes: running statistics, and the vectors `u` and `v` of spectral norm.
    pub buffers: BTreeMap<String, Var>,
}

/// The tensors of all networks that are trained.
#[derive(Clone, Debug, Default)]
pub struct TrainingState {
    /// The generator's.
    pub generator: Variables,
    /// The style encoder's, where there is one.
    pub encoder: Option<Variables>,
    /// The discriminator's, of all scales.
    pub discriminator: Variables,
}

impl Variables {
    /// Sorts tensors under their published names into parameters and buffers.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    pub fn from_tensors(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Result<Self> {
        let mut variables = Self::default();
        for (name, tensor) in tensors {
            let kind = if is_buffer(&name) { &mut variables.buffers } else { &mut variables.parameters };
            kind.insert(name, Var::from_tensor(&tensor)?);
        }
        Ok(variables)
    }

    /// Parameters and buffers alike, detached from any graph.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        let both = self.parameters.iter().chain(&self.buffers);
        both.map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect()
    }

    /// The parameter `name` of shape `shape`.
    ///
    /// # Errors
    /// When there is none, or its shape is another; the message names both.
    pub fn parameter(&self, name: &str, shape: &[usize]) -> Result<&Var> {
        find(&self.parameters, name, shape)
    }

    /// The buffer `name` of shape `shape`.
    ///
    /// # Errors
    /// When there is none, or its shape is another; the message names both.
    pub fn buffer(&self, name: &str, shape: &[usize]) -> Result<&Var> {
        find(&self.buffers, name, shape)
    }
}

/// Whether a tensor of this published name is a buffer.
pub fn is_buffer(name: &str) -> bool {
    let leaf = name.rsplit('.').next().unwrap_or(name);
    matches!(leaf, "running_mean" | "running_var" | "num_batches_tracked" | "weight_u" | "weight_v")
}

fn find<'a>(variables: &'a BTreeMap<String, Var>, name: &str, shape: &[usize]) -> Result<&'a Var> {
    match variables.get(name) {
        None => bail!("tensor `{name}` is missing; expected one of shape {shape:?}"),
        Some(var) if var.dims() != shape => {
            bail!("tensor `{name}` has shape {:?}, expected {shape:?}", var.dims())
        }
        Some(var) => Ok(var),
    }
}
