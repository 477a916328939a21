//! The parameter-free normalisation inside a SPADE layer.

use candle_core::{Result, Tensor};

use crate::{architecture::Norm, parameters::Prefixed};

/// Added to every variance, as in the published code.
pub const EPSILON: f64 = 1e-5;

/// Supplies batch statistics in training, where they span the batch and perhaps several processes.
pub trait BatchStatistics {
    /// Mean and biased variance of `x` (N, C, H, W) for the layer called `layer`, each (1, C, 1, 1).
    ///
    /// The implementation records what the running statistics need.
    fn observe(&self, layer: &str, x: &Tensor) -> Result<(Tensor, Tensor)>;
}

/// Normalises without scale or shift of its own: those come from the semantic map.
#[derive(Clone, Debug)]
pub enum ParameterFreeNorm {
    /// Batch norm over N, H, W.
    Batch {
        /// The layer's name, under which training records its statistics.
        name: String,
        /// Running mean, (1, C, 1, 1).
        mean: Tensor,
        /// Running variance, (1, C, 1, 1).
        variance: Tensor,
    },
    /// Instance norm over H, W.
    Instance,
}

impl ParameterFreeNorm {
    /// Reads `running_mean` and `running_var` (C) where the norm has them.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn new(parameters: &Prefixed<'_>, norm: Norm, channels: usize) -> Result<Self> {
        match norm {
            Norm::Instance => Ok(Self::Instance),
            Norm::Batch | Norm::SyncBatch => Ok(Self::Batch {
                name: parameters.name().to_owned(),
                mean: parameters.get("running_mean", &[channels])?.reshape((1, channels, 1, 1))?,
                variance: parameters.get("running_var", &[channels])?.reshape((1, channels, 1, 1))?,
            }),
        }
    }

    /// (x − mean) / √(variance + 1e-5). Running statistics are used unless training supplies its own.
    ///
    /// # Errors
    /// When shapes or types do not agree.
    pub fn forward(&self, x: &Tensor, training: Option<&dyn BatchStatistics>) -> Result<Tensor> {
        let (mean, variance) = match (self, training) {
            (Self::Instance, _) => instance_statistics(x)?,
            (Self::Batch { name, .. }, Some(statistics)) => statistics.observe(name, x)?,
            (Self::Batch { mean, variance, .. }, None) => (mean.clone(), variance.clone()),
        };
        x.broadcast_sub(&mean)?.broadcast_div(&(variance + EPSILON)?.sqrt()?)
    }
}

/// Mean and biased variance of each picture and channel, (N, C, 1, 1).
pub(crate) fn instance_statistics(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let (n, c, h, w) = x.dims4()?;
    let flat = x.reshape((n, c, h * w))?;
    let mean = flat.mean_keepdim(2)?;
    let variance = flat.broadcast_sub(&mean)?.sqr()?.mean_keepdim(2)?;
    Ok((mean.reshape((n, c, 1, 1))?, variance.reshape((n, c, 1, 1))?))
}
