//! Where a network's tensors come from: a loaded file, or a training job's variables.

use std::collections::HashMap;

use candle_core::{Result, Tensor, bail};

/// Hands out tensors by their published names.
pub trait Parameters {
    /// The tensor called `name`.
    ///
    /// # Errors
    /// When there is none, or its shape is not `shape`; the message names both.
    fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor>;
}

/// Tensors by name, as read from a file or computed by a training step.
pub type Tensors = HashMap<String, Tensor>;

impl Parameters for Tensors {
    fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let Some(tensor) = HashMap::get(self, name) else {
            bail!("tensor `{name}` is missing; expected one of shape {shape:?}")
        };
        if tensor.dims() != shape {
            bail!("tensor `{name}` has shape {:?}, expected {shape:?}", tensor.dims())
        }
        Ok(tensor.clone())
    }
}

/// The parameters below one dotted prefix.
#[derive(Clone)]
pub struct Prefixed<'a> {
    root: &'a dyn Parameters,
    prefix: String,
}

impl<'a> Prefixed<'a> {
    /// All parameters, under no prefix.
    pub fn root(root: &'a dyn Parameters) -> Self {
        Self { root, prefix: String::new() }
    }

    /// The parameters of the part called `name`.
    pub fn part(&self, name: &str) -> Self {
        Self { root: self.root, prefix: format!("{}{name}.", self.prefix) }
    }

    /// The tensor `name` below this prefix.
    ///
    /// # Errors
    /// When there is no such tensor, or it has another shape.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.root.get(&format!("{}{name}", self.prefix), shape)
    }

    /// The full name of the part itself, without the last dot.
    pub fn name(&self) -> &str {
        self.prefix.trim_end_matches('.')
    }
}
