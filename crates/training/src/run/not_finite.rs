//! Numbers that are none: found before they reach a weight.

use candle_core::{Result as TensorResult, Tensor};

use super::step_error::{NotFinite, StepError, StepReport};
use crate::step::Gradients;

/// The norm of a network's gradients.
///
/// # Errors
/// When a loss or a gradient is not finite; the first one by name is told.
pub(super) fn check(network: &str, gradients: &Gradients, losses: &StepReport) -> Result<f32, StepError> {
    if let Some((name, value)) = losses.iter().find(|(_, value)| !value.is_finite()) {
        return Err(NotFinite { what: format!("the loss `{name}` ({value})") }.into());
    }
    let mut squares = 0.0;
    for (name, square) in gradients.keys().zip(sums_of_squares(gradients)?) {
        if !square.is_finite() {
            return Err(NotFinite { what: format!("the gradient of the {network}'s `{name}`") }.into());
        }
        squares += square;
    }
    Ok(squares.sqrt() as f32)
}

/// Of each gradient. A device is asked for all of them at once, and adds up row by row, which many of its threads can do
/// together.
fn sums_of_squares(gradients: &Gradients) -> TensorResult<Vec<f64>> {
    let on_cpu = |gradient: &Tensor| gradient.sqr()?.sum_all();
    let on_device = |gradient: &Tensor| gradient.reshape((gradient.dim(0)?, ()))?.sqr()?.sum(1)?.sum_all();
    let sum =
        |gradient: &Tensor| if gradient.device().is_cpu() { on_cpu(gradient) } else { on_device(gradient) };
    let sums = gradients.values().map(sum).collect::<TensorResult<Vec<_>>>()?;
    if sums.is_empty() {
        return Ok(Vec::new());
    }
    Ok(Tensor::stack(&sums, 0)?.to_vec1::<f32>()?.into_iter().map(f64::from).collect())
}
