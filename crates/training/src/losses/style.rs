//! The loss of the encoder's posterior.

use candle_core::{Result, Tensor};
use spadework_model::Posterior;

use crate::objective::KlReduction;

/// KL divergence of the posteriors from the standard normal.
///
/// # Errors
/// When mean and log-variance differ in shape.
pub fn kl_divergence(posterior: &Posterior, reduction: KlReduction) -> Result<Tensor> {
    let Posterior { mu, logvar } = posterior;
    let terms = (((logvar + 1.0)? - mu.sqr()?)? - logvar.exp()?)?;
    let sum = (terms.sum_all()? * -0.5)?;
    match reduction {
        KlReduction::Sum => Ok(sum),
        KlReduction::Groups(size) => sum * (size as f64 / mu.dim(0)? as f64),
    }
}
