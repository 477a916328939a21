//! The adversarial losses, each the mean over patches and scales.

use candle_core::{Result, Tensor, bail};

use crate::{networks::Features, objective::GanMode};

/// What the generator minimises, from the discriminator's features of its images.
///
/// # Errors
/// When there is no scale.
pub fn generator_loss(mode: GanMode, fake: &Features) -> Result<Tensor> {
    mean_over_scales(fake, |decision| match mode {
        GanMode::Hinge | GanMode::Wasserstein => decision.mean_all()?.neg(),
        GanMode::LeastSquares | GanMode::Original => against(mode, decision, true),
    })
}

/// What the discriminator minimises: the losses on fake and on real images.
///
/// # Errors
/// When there is no scale.
pub fn discriminator_loss(mode: GanMode, fake: &Features, real: &Features) -> Result<(Tensor, Tensor)> {
    let fake = mean_over_scales(fake, |decision| against(mode, decision, false))?;
    let real = mean_over_scales(real, |decision| against(mode, decision, true))?;
    Ok((fake, real))
}

/// The loss of a discriminator whose decision should have been "real" or "fake".
fn against(mode: GanMode, decision: &Tensor, real: bool) -> Result<Tensor> {
    let target = if real { 1.0 } else { 0.0 };
    let toward = if real { decision.neg()? } else { decision.clone() }; // smaller is better
    match mode {
        GanMode::Hinge => (toward + 1.0)?.relu()?.mean_all(),
        GanMode::Wasserstein => toward.mean_all(),
        GanMode::LeastSquares => (decision - target)?.sqr()?.mean_all(),
        // ln(1 + exp(t)), without the overflow
        GanMode::Original => {
            let small = (toward.abs()?.neg()?.exp()? + 1.0)?.log()?;
            (toward.relu()? + small)?.mean_all()
        }
    }
}

fn mean_over_scales(features: &Features, loss: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let decisions = features.iter().filter_map(|maps| maps.last());
    let losses = decisions.map(loss).collect::<Result<Vec<_>>>()?;
    if losses.is_empty() {
        bail!("a discriminator needs at least one scale")
    }
    Tensor::stack(&losses, 0)?.mean_all()
}
